"""Functions of complex numbers as operations of the table, on the real and the imaginary part.

Each is given parts, active or plain, and returns parts: with NumPy's own formulas where it has
some, so that values are its bits, signs of zeros and infinities included, and branches that those
take are choices, not guards.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.ops import CODE
from tapegrad.record.array import as_active_data, wrap
from tapegrad.record.complex_numbers.complex_types import (
    PART_TYPES,
    is_part_active,
    plain_complex,
)
from tapegrad.record.functions.operands import selected, tape_of
from tapegrad.record.functions.registry import record

Parts = tuple[Any, Any]


def _operation(name: str) -> Callable[..., Any]:
    """Return an operation of the table that computes plainly where nothing is active."""
    code, ufunc = CODE[name], getattr(np, name)

    def operation(*operands: Any) -> Any:
        if any(map(is_part_active, operands)):
            return record(code, *operands)
        with np.errstate(all="ignore"):
            return ufunc(*operands)

    return operation


def _arithmetic(name: str, operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return an operation for which numbers have an operator: that is the quickest."""
    ufunc = getattr(np, name)

    def arithmetic(x: Any, y: Any) -> Any:
        first, second = type(x), type(y)
        if first in PART_TYPES or second in PART_TYPES:
            return operation(x, y)
        if first is float and second is float and (y or name != "divide"):
            return operation(x, y)
        with np.errstate(all="ignore"):
            return ufunc(x, y)

    return arithmetic


add, subtract, divide, _multiply = (
    _arithmetic("add", operator.add),
    _arithmetic("subtract", operator.sub),
    _arithmetic("divide", operator.truediv),
    _arithmetic("multiply", operator.mul),
)
negative, absolute, sqrt, exp, log, log1p, expm1 = map(
    _operation, ("negative", "absolute", "sqrt", "exp", "log", "log1p", "expm1")
)
cos, sin, cosh, sinh = map(_operation, ("cos", "sin", "cosh", "sinh"))
hypot, arctan2, copysign = map(_operation, ("hypot", "arctan2", "copysign"))
_less, _greater, _greater_equal = map(_operation, ("less", "greater", "greater_equal"))
not_equal, isnan = map(_operation, ("not_equal", "isnan"))


def multiply(x: Any, y: Any) -> Any:
    """Return the product of two real numbers; times 1.0 it's the other one."""
    if type(x) is float and x == 1.0:
        return y
    return x if type(y) is float and y == 1.0 else _multiply(x, y)


def chosen(condition: Any, x: Any, y: Any) -> Any:
    """Return one number where a condition holds and the other one elsewhere, unguarded."""
    if not is_part_active(condition):
        if np.ndim(condition) == 0:
            return x if condition else y
        if not is_part_active(x) and not is_part_active(y):
            return np.where(condition, x, y)
        tape = tape_of(x, y)
        moved = selected(tape, condition, as_active_data(tape, x), as_active_data(tape, y))
        return wrap(tape, moved)
    return record(CODE["add"], record(CODE["keep"], condition, x),
                  record(CODE["drop"], condition, y))  # fmt: skip


# --- arithmetic -----------------------------------------------------------------------------------


def product(ar: Any, ai: Any, br: Any, bi: Any) -> Parts:
    """Return the product of two numbers."""
    return (
        subtract(multiply(ar, br), multiply(ai, bi)),
        add(multiply(ar, bi), multiply(ai, br)),
    )


def _ratios(br: Any, bi: Any) -> Parts:
    """Return a number divided by whichever of its parts is larger: that one gives 1."""
    if not is_part_active(bi) and np.ndim(bi) == 0 and bi == 0.0:
        return 1.0, 0.0
    is_larger = _greater_equal(absolute(br), absolute(bi))
    # Where both are zero, their quotient has to be something else than NaN.
    quotient = divide(bi, br)
    if is_part_active(br):
        quotient = record(CODE["keep"], br, quotient)
    elif np.any(br == 0.0):
        quotient = chosen(np.equal(br, 0.0), 0.0, quotient)
    return chosen(is_larger, 1.0, divide(br, bi)), chosen(is_larger, quotient, 1.0)


def quotient(ar: Any, ai: Any, br: Any, bi: Any) -> Parts:
    """Return the quotient of two numbers, by Smith's algorithm as NumPy has it."""
    c, d = _ratios(br, bi)
    scale = divide(1.0, add(multiply(br, c), multiply(bi, d)))
    return (
        multiply(add(multiply(ar, c), multiply(ai, d)), scale),
        multiply(subtract(multiply(ai, c), multiply(ar, d)), scale),
    )


def reciprocal(re: Any, im: Any) -> Parts:
    """Return 1 divided by a number."""
    c, d = _ratios(re, im)
    denominator = add(multiply(re, c), multiply(im, d))
    return divide(c, denominator), divide(negative(d), denominator)


def modulus(re: Any, im: Any) -> Any:
    """Return the absolute value."""
    return hypot(re, im)


def phase(re: Any, im: Any) -> Any:
    """Return the angle."""
    return arctan2(im, re)


def sign(re: Any, im: Any) -> Parts:
    """Return the number of modulus 1 that has the same angle; 0 of 0."""
    size = hypot(re, im)
    is_usual = not_equal(size, 0.0)
    return chosen(is_usual, divide(re, size), 0.0), chosen(is_usual, divide(im, size), 0.0)


# --- elementary functions -------------------------------------------------------------------------


def exponential(re: Any, im: Any) -> Parts:
    """Return the exponential function."""
    size = exp(re)
    if type(im) is float and im == 0.0:
        return size, im
    return multiply(size, cos(im)), multiply(size, sin(im))


def logarithm(re: Any, im: Any) -> Parts:
    """Return the logarithm, exact where the modulus is about 1."""
    excess = add(multiply(subtract(re, 1.0), add(re, 1.0)), multiply(im, im))
    is_near = _less(absolute(excess), 0.5)
    near = multiply(0.5, log1p(excess))
    return chosen(is_near, near, log(hypot(re, im))), arctan2(im, re)


def square_root(re: Any, im: Any) -> Parts:
    """Return the root in the right half of the plane."""
    signs = copysign(1.0, re), copysign(1.0, im)
    larger = sqrt(multiply(0.5, add(hypot(re, im), multiply(re, signs[0]))))
    smaller = divide(multiply(0.5, im), larger)
    smaller = chosen(isnan(smaller), im, smaller)  # of 0 and of what is infinite
    is_right = _greater(signs[0], 0.0)
    return (
        chosen(is_right, larger, multiply(smaller, signs[1])),
        chosen(is_right, smaller, multiply(larger, signs[1])),
    )


def _times(factor: float, number: Parts) -> Parts:
    return multiply(number[0], factor), multiply(number[1], factor)


def exponential_2(re: Any, im: Any) -> Parts:
    """Return 2 to the power of a number."""
    return exponential(*_times(math.log(2.0), (re, im)))


def exponential_minus_1(re: Any, im: Any) -> Parts:
    """Return the exponential function minus 1."""
    half = sin(multiply(0.5, im))
    return (
        subtract(multiply(expm1(re), cos(im)), multiply(2.0, multiply(half, half))),
        multiply(exp(re), sin(im)),
    )


def logarithm_2(re: Any, im: Any) -> Parts:
    """Return the logarithm to the base 2."""
    return _times(math.log2(math.e), logarithm(re, im))


def logarithm_10(re: Any, im: Any) -> Parts:
    """Return the logarithm to the base 10."""
    return _times(math.log10(math.e), logarithm(re, im))


def sine(re: Any, im: Any) -> Parts:
    """Return the sine."""
    return multiply(sin(re), cosh(im)), multiply(cos(re), sinh(im))


def cosine(re: Any, im: Any) -> Parts:
    """Return the cosine."""
    return multiply(cos(re), cosh(im)), negative(multiply(sin(re), sinh(im)))


def hyperbolic_sine(re: Any, im: Any) -> Parts:
    """Return the hyperbolic sine."""
    return multiply(sinh(re), cos(im)), multiply(cosh(re), sin(im))


def hyperbolic_cosine(re: Any, im: Any) -> Parts:
    """Return the hyperbolic cosine."""
    return multiply(cosh(re), cos(im)), multiply(sinh(re), sin(im))


# --- powers ---------------------------------------------------------------------------------------

_LARGEST_MULTIPLIED = 99
"""Up to that whole exponent a power is made of products, as NumPy's is."""


def _whole_power(re: Any, im: Any, exponent: int) -> Parts:
    if exponent == 0:
        return np.ones(np.broadcast_shapes(np.shape(re), np.shape(im))), 0.0
    if exponent == 1:
        return re, im
    if exponent == 3:
        return product(re, im, *product(re, im, re, im))
    result, factor, rest = None, (re, im), abs(exponent)
    while rest:
        if rest & 1:
            result = factor if result is None else product(*result, *factor)
        rest >>= 1
        if rest:
            factor = product(*factor, *factor)
    assert result is not None
    return quotient(1.0, 0.0, *result) if exponent < 0 else result


def _is_plain(number: Any) -> bool:
    return not is_part_active(number) and np.ndim(number) == 0


def power(ar: Any, ai: Any, br: Any, bi: Any) -> Parts:
    """Return the power of two numbers; exponents that are arrays may be of several kinds."""
    is_real = _is_plain(bi) and bi == 0.0
    if is_real and _is_plain(br):
        exponent = float(br)
        if exponent.is_integer() and abs(exponent) <= _LARGEST_MULTIPLIED:
            return _whole_power(ar, ai, int(exponent))
        if exponent == 0.5:
            return square_root(ar, ai)
    if is_part_active(ar) or is_part_active(ai):
        logarithms = logarithm(ar, ai)
    else:
        with np.errstate(all="ignore"):
            found = np.log(plain_complex(ar, ai))
        logarithms = found.real[()], found.imag[()]
    if is_real:
        return exponential(multiply(br, logarithms[0]), multiply(br, logarithms[1]))
    return exponential(*product(br, bi, *logarithms))
