"""The rows' contributions to adjoints and tangents as data: a template of operations each.

Of an operand it's `chain(w, partial)`, written as operations in a straight line on numbered
places: the operation's `x`, `y` and `z`, the `w` that is multiplied, constants, and what the
template itself has computed. A sweep that records goes through the templates of a tape's records.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.expression import ZERO, Folding
from tapegrad.ops import CODE
from tapegrad.rows import ROWS, Row, contribution

X, Y, Z, W, NONE = range(5)
"""The first places; `NONE` is the second operand of what has one."""

_PARTS = 3
_MOST_PLACES = 256


class _Writer:
    """Writes templates one after another.

    Attributes
    ----------
    lines : list of tuple
        Of an operation: its code and the places of its operands and its result.
    constants : dict
        The place of each constant.
    """

    def __init__(self) -> None:
        self.lines: list[tuple[int, int, int, int]] = []
        self.constants: dict[str, int] = {}
        self._next = _MOST_PLACES // 2

    def template(self, row: Row) -> tuple[list[int], list[int]]:
        """Write a row's; return where its parts begin and end, and the places of their results.

        The first part is what the others have in common, then there is one for each operand.
        """
        self._next = _MOST_PLACES // 2
        names = {"x": X, "y": Y, "z": Z, "w": W}
        common = Folding(names, self._constant, lambda name, places: self._line(name, *places))
        bounds, results = [len(self.lines)], [NONE]
        for expression in row.shared:
            common(expression)
        bounds.append(len(self.lines))
        for partial in (*row.partials, ZERO, ZERO)[: _PARTS - 1]:
            passed = contribution(partial)
            if passed is None:
                results.append(NONE)
            else:
                part = common.apart()
                results.append(part.apart(p=part(partial))(passed))
            bounds.append(len(self.lines))
        return bounds, results

    def _line(self, name: str, left: int, right: int = NONE) -> int:
        place = self._next
        self._next += 1
        self.lines.append((CODE[name], left, right, place))
        return place

    def _constant(self, value: float) -> int:
        return self.constants.setdefault(value.hex(), NONE + 1 + len(self.constants))


_writer = _Writer()
_templates = [_writer.template(row) for row in ROWS]

LINES = np.array(_writer.lines, np.uint8)
"""Code, operands and result of each operation of the templates."""

BOUNDS = np.array([bounds for bounds, _ in _templates], np.int32)
"""Where an operation's parts begin in `LINES`, and the last ends."""

RESULTS = np.array([results for _, results in _templates], np.uint8)
"""The places of their results."""

MOST_LINES = int((BOUNDS[:, -1] - BOUNDS[:, 0]).max())
"""The length of the longest template."""

N_CONSTANTS = len(_writer.constants)
assert N_CONSTANTS < _MOST_PLACES // 2 - NONE - 1, "constants where results are"


def places() -> tuple[Any, Any]:
    """Return values and slots of the places, the constants filled in."""
    values, slots = np.zeros(_MOST_PLACES), np.zeros(_MOST_PLACES, np.int64)
    values[NONE + 1 : NONE + 1 + N_CONSTANTS] = [float.fromhex(k) for k in _writer.constants]
    return values, slots
