"""Blocks of complex arrays: each complex operand and result is two of the block's, its parts.

A rule is written with complex arrays and NumPy's names, so that it computes on plain ones and is
recorded on active ones, to any order. An adjoint `w` of a number `z` stands for the derivative
`Re(conj(w) dz)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shape, Shapes
from tapegrad.record.array import tapes_in
from tapegrad.record.complex_numbers.complex_types import (
    complex_array,
    is_part_active,
    paired,
    parts,
)
from tapegrad.record.linear.shaped import ShapedBlock, applied, is_absent
from tapegrad.record.nesting import current, innermost
from tapegrad.record.pairs import is_complex


class ComplexBlock(ShapedBlock):
    """A block of complex arrays.

    Whoever derives from it says what shapes the results have and which are real, and gives
    `computed`, `pulled` and `pushed` in complex arrays.
    """

    @staticmethod
    def complex_shapes(operand_shapes: Shapes) -> Sequence[tuple[Shape, bool]]:
        """Return the shape of each result and whether it's complex, from the operands' shapes."""
        raise NotImplementedError

    def computed(self, *operands: Any) -> Sequence[Any]:
        """Return the results."""
        raise NotImplementedError

    def pulled(self, operands: Sequence[Any], results: Sequence[Any],
               adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints; adjoints that are zero are None."""
        raise NotImplementedError

    def pushed(self, operands: Sequence[Any], results: Sequence[Any],
               tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the results' tangents; tangents that are zero are zeros."""
        raise NotImplementedError

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        """Return the shapes of the results' parts."""
        found: list[Shape] = []
        for shape, is_pair in self.complex_shapes(operand_shapes[::2]):
            found += [shape] * (1 + is_pair)
        return tuple(found)

    @property
    def _kinds(self) -> list[bool]:
        return [is_pair for _, is_pair in self.complex_shapes(self.operand_shapes[::2])]

    def _joined(self, numbers: Sequence[Any]) -> list[Any]:
        """Return results, or what belongs to them, as complex arrays and real ones."""
        rest, found = list(numbers), []
        for is_pair in self._kinds:
            first = rest.pop(0)
            found.append(paired(first, rest.pop(0)) if is_pair else first)
        return found

    def _apart(self, numbers: Sequence[Any]) -> list[Any]:
        """Return results, or what belongs to them, as the parts."""
        found: list[Any] = []
        for number, is_pair in zip(numbers, self._kinds, strict=True):
            found += _both(number) if is_pair else [_real(number)]
        return found

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the parts of the results."""
        return self._apart(self.computed(*_pairs(operands)))

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the parts of the operands' adjoints."""
        given = [None if _is_zero(w) else w for w in self._joined(adjoints)]
        if all(w is None for w in given):
            return [None] * len(operands)
        with np.errstate(all="ignore"):
            found = self.pulled(_pairs(operands), self._joined(results), given)
        return [part for w in found for part in ([None, None] if w is None else _both(w))]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the parts of the results' tangents."""
        moved = [np.zeros(shape) if tangent is None else tangent
                 for tangent, shape in zip(tangents, self.operand_shapes, strict=True)]  # fmt: skip
        with np.errstate(all="ignore"):
            return self._apart(self.pushed(_pairs(operands), self._joined(results), _pairs(moved)))


def _pairs(numbers: Sequence[Any]) -> list[Any]:
    return [paired(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]


def _both(number: Any) -> list[Any]:
    re, im = parts(number)
    return [re, im if np.shape(im) == np.shape(re) else np.zeros(np.shape(re))]


def _real(number: Any) -> Any:
    return number.real if is_complex(number) else number


def _is_zero(number: Any) -> bool:
    return all(is_absent(part) or (not is_part_active(part) and not np.any(part))
               for part in parts(number))  # fmt: skip


def of_block(kind: type[ComplexBlock], operands: Sequence[Any], *options: Any) -> list[Any]:
    """Return the results of a block of complex arrays, some of which depend on the input."""
    given = [part for operand in operands for part in _both(operand)]
    rest, results = list(applied(kind, given, *options)), []
    for _, is_pair in kind.complex_shapes(tuple(map(np.shape, given[::2]))):
        first = rest.pop(0)
        results.append(paired(first, rest.pop(0)) if is_pair else first)
    return results


def as_complex(operand: Any) -> Any:
    """Return an operand of linear algebra as a complex array of its tape."""
    tapes = list(tapes_in(operand))
    return complex_array(innermost(tapes) if tapes else current(), operand)


def adjoint_of(a: Any) -> Any:
    """Return the conjugate transposes of matrices."""
    return np.conjugate(np.swapaxes(a, -1, -2))
