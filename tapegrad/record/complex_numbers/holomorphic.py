"""Blocks of complex functions that are computed by whole arrays: NumPy's and SciPy's own values.

Each has a derivative, written with NumPy's names, so that the same formula computes and is
recorded, to any order. It keeps to the side of a branch cut that a zero's sign says.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shapes
from tapegrad.ops import CODE
from tapegrad.record.complex_numbers.complex_types import (
    ComplexNumber,
    is_part_active,
    paired,
    parts,
    plain_complex,
)
from tapegrad.record.functions.elementwise_blocks import plain_chain
from tapegrad.record.functions.operands import is_active
from tapegrad.record.functions.registry import (
    COMPLEX_RULES,
    COMPLEX_SPECIAL_RULES,
    SPECIAL_RULES,
    record,
)
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
    is_near = np.absolute(z.real) < _FAR
    if not is_active(is_near) and np.all(is_near):
        return 1.0 / np.square(np.cosh(z))
    near = np.where(is_near, z, 1.0)
    far = np.exp(-2.0 * z * np.sign(z.real))
    return np.where(is_near, 1.0 / np.square(np.cosh(near)), 4.0 * far)


def _special(name: str) -> Any:
    return getattr(importlib.import_module("scipy.special"), name)


_FAR_OF_WOFZ, _N_TERMS = 10.0, 13
"""From there on the derivative is its asymptotic series, since its two terms cancel."""


def _of_wofz(z: Any) -> Any:
    """Return Faddeeva's function's derivative, `2 i / sqrt(pi) - 2 z w(z)`."""
    is_far = np.absolute(z) > _FAR_OF_WOFZ
    near, far = np.where(is_far, 1.0, z), np.where(is_far, z, _FAR_OF_WOFZ)
    inverse = 1.0 / np.square(far)
    series: Any = 1.0
    for k in range(_N_TERMS, 0, -1):
        series = 1.0 + (k + 0.5) * inverse * series
    series = -1j / math.sqrt(math.pi) * inverse * series
    # Below the real line it is that of 2 exp(-z**2), too.
    below = np.where(far.imag < 0.0, -4.0 * far * np.exp(-np.square(far)), 0.0)
    plainly = 2j / math.sqrt(math.pi) - 2.0 * near * _special("wofz")(near)
    return np.where(is_far, series + below, plainly)


_OF_SPECIAL: dict[str, Callable[[Any], Any]] = {
    "erf": lambda z: 2.0 / math.sqrt(math.pi) * np.exp(-np.square(z)),
    "erfc": lambda z: -2.0 / math.sqrt(math.pi) * np.exp(-np.square(z)),
    "wofz": _of_wofz,
}
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
    **_OF_SPECIAL,
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
    """A function of complex numbers, given by their parts; the option is its name."""

    title = "holomorphic"

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        """Return the shapes of the parts."""
        return operand_shapes

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the parts of the value."""
        name = self.options[0]
        function = _special(name) if name in _OF_SPECIAL else getattr(np, name)
        found = function(plain_complex(*operands))
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
    if _name in _OF_SPECIAL:
        COMPLEX_SPECIAL_RULES[_name] = _recorder(_name)
    else:
        COMPLEX_RULES[getattr(np, _name)] = _recorder(_name)
SPECIAL_RULES["wofz"] = COMPLEX_SPECIAL_RULES["wofz"]  # which is complex of real numbers, too
for _function in [*COMPLEX_RULES]:  # NumPy's loops over object arrays call methods of these names
    if isinstance(_function, np.ufunc) and _function.nin == 1:
        setattr(ComplexNumber, _function.__name__, COMPLEX_RULES[_function])
