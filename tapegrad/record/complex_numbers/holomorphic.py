"""Blocks of the complex functions that are computed by whole arrays: NumPy's own values.

Each has a derivative, written with NumPy's names, so that the same formula computes and is
recorded, to any order. It keeps to the side of a branch cut that a zero's sign says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shapes
from tapegrad.ops import CODE
from tapegrad.record.complex_numbers.complex_types import (
    is_part_active,
    paired,
    parts,
    plain_complex,
)
from tapegrad.record.functions.elementwise_blocks import plain_chain
from tapegrad.record.functions.registry import COMPLEX_RULES, record
from tapegrad.record.linear.shaped import ShapedBlock, applied


def _moved(z: Any, factor: float, by: float) -> Any:
    """Return a number times a real one plus another, a zero imaginary part with its sign."""
    return paired(factor * z.real + by, factor * z.imag)


def _of_arcsin(z: Any, found: Any) -> Any:
    return 1.0 / np.sqrt(_moved(z * z, -1.0, 1.0))


_DERIVATIVES: dict[str, Callable[[Any, Any], Any]] = {
    "tan": lambda z, found: 1.0 + found * found,
    "tanh": lambda z, found: 1.0 - found * found,
    "arcsin": _of_arcsin,
    "arccos": lambda z, found: -_of_arcsin(z, found),
    "arctan": lambda z, found: 1.0 / _moved(z * z, 1.0, 1.0),
    "arcsinh": lambda z, found: 1.0 / np.sqrt(_moved(z * z, 1.0, 1.0)),
    "arccosh": lambda z, found: 1.0 / (np.sqrt(_moved(z, 1.0, -1.0))
                                       * np.sqrt(_moved(z, 1.0, 1.0))),
    "arctanh": lambda z, found: 1.0 / _moved(z * z, -1.0, 1.0),
    "log1p": lambda z, found: 1.0 / _moved(z, 1.0, 1.0),
}  # fmt: skip


def _chain(x: Any, y: Any) -> Any:
    """Return the product of two real numbers, zero where one is."""
    if is_part_active(x) or is_part_active(y):
        return record(CODE["chain"], x, y)
    return plain_chain(x, y)


def _product(x: Any, y: Any) -> list[Any]:
    """Return the parts of the product of two complex numbers, terms of zeros left out."""
    (a, b), (c, d) = parts(x), parts(y)
    return [_chain(a, c) - _chain(b, d), _chain(a, d) + _chain(b, c)]


class Holomorphic(ShapedBlock):
    """A function of complex numbers, given by their parts; the option is its name in NumPy."""

    title = "holomorphic"

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        """Return the shapes of the parts."""
        return operand_shapes

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the parts of the value."""
        found = getattr(np, self.options[0])(plain_complex(*operands))
        return [found.real, found.imag]

    def _derivative(self, operands: Sequence[Any], results: Sequence[Any]) -> Any:
        with np.errstate(all="ignore"):
            return _DERIVATIVES[self.options[0]](paired(*operands), paired(*results))

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint times the derivative's conjugate."""
        derivative = np.conjugate(self._derivative(operands, results))
        with np.errstate(all="ignore"):
            return _product(paired(*adjoints), derivative)

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent times the derivative."""
        moved = paired(*(np.zeros(shape) if tangent is None else tangent for tangent, shape in
                         zip(tangents, self.operand_shapes, strict=True)))  # fmt: skip
        with np.errstate(all="ignore"):
            return _product(moved, self._derivative(operands, results))


def _recorder(name: str) -> Callable[..., Any]:
    def recorder(z: Any) -> Any:
        re, im = np.broadcast_arrays(*parts(z))
        found = applied(Holomorphic, [re, im], name)
        return paired(*found)

    return recorder


for _name in _DERIVATIVES:
    COMPLEX_RULES[getattr(np, _name)] = _recorder(_name)
