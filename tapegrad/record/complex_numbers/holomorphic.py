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


def _moved(z: Any, by: float) -> Any:
    """Return a number plus a real one, a zero imaginary part with its sign."""
    return paired(z.real + by, z.imag)


def _less_square(z: Any) -> Any:
    """Return `1 - z * z`, on the side of a cut where it belongs."""
    return paired(1.0 - z.real, -z.imag) * _moved(z, 1.0)


def _plus_square(z: Any) -> Any:
    """Return `1 + z * z`, on the side of a cut where it belongs."""
    return paired(1.0 - z.imag, z.real) * paired(1.0 + z.imag, -z.real)


_FAR = 20.0
"""From there on `tan` and `tanh` are 1 to rounding, or i, and their derivatives exponential."""


def _of_tanh(z: Any) -> Any:
    near = np.where(np.absolute(z.real) < _FAR, z, 1.0)
    far = np.exp(-2.0 * z * np.sign(z.real))
    return np.where(np.absolute(z.real) < _FAR, 1.0 / np.square(np.cosh(near)), 4.0 * far)


_DERIVATIVES: dict[str, Callable[[Any], Any]] = {
    "tan": lambda z: _of_tanh(paired(-z.imag, z.real)),
    "tanh": _of_tanh,
    "arcsin": lambda z: 1.0 / np.sqrt(_less_square(z)),
    "arccos": lambda z: -1.0 / np.sqrt(_less_square(z)),
    "arctan": lambda z: 1.0 / _plus_square(z),
    "arcsinh": lambda z: 1.0 / np.sqrt(_plus_square(z)),
    "arccosh": lambda z: 1.0 / (np.sqrt(_moved(z, -1.0)) * np.sqrt(_moved(z, 1.0))),
    "arctanh": lambda z: 1.0 / _less_square(z),
    "log1p": lambda z: 1.0 / _moved(z, 1.0),
}


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

    def _derivative(self, operands: Sequence[Any]) -> Any:
        with np.errstate(all="ignore"):
            return _DERIVATIVES[self.options[0]](paired(*operands))

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint times the derivative's conjugate."""
        derivative = np.conjugate(self._derivative(operands))
        with np.errstate(all="ignore"):
            return _product(paired(*adjoints), derivative)

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent times the derivative."""
        moved = paired(*(np.zeros(shape) if tangent is None else tangent for tangent, shape in
                         zip(tangents, self.operand_shapes, strict=True)))  # fmt: skip
        with np.errstate(all="ignore"):
            return _product(moved, self._derivative(operands))


def _recorder(name: str) -> Callable[..., Any]:
    def recorder(z: Any) -> Any:
        re, im = np.broadcast_arrays(*parts(z))
        found = applied(Holomorphic, [re, im], name)
        return paired(*found)

    return recorder


for _name in _DERIVATIVES:
    COMPLEX_RULES[getattr(np, _name)] = _recorder(_name)
