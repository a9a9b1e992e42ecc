"""Rows of a table by the piece that a place is in, where breakpoints are active.

Which row it is depends on places and breakpoints, without a derivative; what's made of the rows is
recorded, operation by operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.record.linear.shaped import ShapedBlock, applied, is_absent


class _Rows(ShapedBlock):
    """Operands: places (m,), breakpoints (n + 1,) that ascend, and a table (n, q)."""

    title = "rows by place"

    def shapes_of(self, operand_shapes: Any) -> Any:
        """Return the shape of the rows."""
        (m,), _, (_, q) = operand_shapes
        return ((m, q),)

    def evaluated(self, operands: Sequence[Any]) -> list[Any]:
        """Return the rows."""
        return [np.array(result) for result in self.value(operands)]

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the rows."""
        places, breaks, table = operands
        return [table[_piece(places, breaks)]]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the table's adjoint."""
        places, breaks, _ = operands
        if not self.is_active[2]:
            return None, None, None
        return None, None, applied(_RowSums, (places, breaks, adjoints[0]))[0]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangents of the rows."""
        if is_absent(tangents[2]):
            return [None]
        return applied(_Rows, (*operands[:2], tangents[2]))


class _RowSums(ShapedBlock):
    """The transpose: sums of rows by piece. Operands: places, breakpoints, rows (m, q)."""

    title = "sums by place"

    def shapes_of(self, operand_shapes: Any) -> Any:
        """Return the shape of the sums."""
        _, (n,), (_, q) = operand_shapes
        return ((n - 1, q),)

    def evaluated(self, operands: Sequence[Any]) -> list[Any]:
        """Return the sums."""
        return list(self.value(operands))

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the sums."""
        places, breaks, rows = operands
        found = np.zeros(self.result_shapes[0])
        np.add.at(found, _piece(places, breaks), rows)
        return [found]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint of the rows."""
        if not self.is_active[2]:
            return None, None, None
        return None, None, applied(_Rows, (*operands[:2], adjoints[0]))[0]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangents of the sums."""
        if is_absent(tangents[2]):
            return [None]
        return applied(_RowSums, (*operands[:2], tangents[2]))


def _piece(places: Any, breaks: Any) -> Any:
    return np.clip(np.searchsorted(breaks, places, "right") - 1, 0, len(breaks) - 2)


def rows_at(places: Any, breaks: Any, table: Any) -> Any:
    """Return the row of a table that belongs to the piece of each place.

    Parameters
    ----------
    places : array_like, shape (m,)
    breaks : array_like, shape (n + 1,)
        They ascend.
    table : array_like, shape (n, q)
    """
    return applied(_Rows, (places, breaks, table))[0]
