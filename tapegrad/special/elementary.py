"""Roots, exponentials, logistic functions, entropies and transformations, as compiled code."""

from __future__ import annotations

import ctypes
import math
import sys

import numpy as np
from llvmlite import binding as llvm
from numba import float64, types

from tapegrad.jit import jit

_LN2 = 0.6931471805599453
_LARGEST_EXPONENT = 700.0

_LIBRARY = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
llvm.add_symbol("tapegrad_cbrt", ctypes.cast(_LIBRARY.cbrt, ctypes.c_void_p).value)
_cbrt_of_c = types.ExternalFunction("tapegrad_cbrt", float64(float64))


@jit
def nearest_remainder(x: float, y: float) -> float:
    """Return x minus the whole multiple of y nearest to it, exactly; the even one of two."""
    width, distance = abs(y), abs(x)
    if width == math.inf and distance < math.inf:
        return x
    above = np.fmod(distance, width)  # NaN where there is no remainder
    below = width - above
    if above > below:
        above = -below
    elif above == below:  # an even multiple and a half, or an odd one
        above -= 2.0 * np.fmod(0.5 * (distance - above), width)
    return math.copysign(1.0, x) * above


@jit
def single(x: float) -> float:
    """Return the nearest number of single precision."""
    return np.float64(np.float32(x))


@jit
def cbrt(x: float) -> float:
    """Return the real cube root: the C library's, as NumPy's is.

    Numba writes a power, and leaves it to LLVM's version to see what that means.
    """
    return _cbrt_of_c(x)


@jit
def exp2(x: float) -> float:
    """Return 2 to the power x."""
    return 2.0**x


@jit
def exp10(x: float) -> float:
    """Return 10 to the power x."""
    return 10.0**x


@jit
def expit(x: float) -> float:
    """Return the logistic function 1 / (1 + exp(-x)), without overflow on either side."""
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


@jit
def logaddexp(x: float, y: float) -> float:
    """Return log(exp(x) + exp(y))."""
    if x == y:
        return x + _LN2
    difference = x - y
    if difference > 0.0:
        return x + math.log1p(math.exp(-difference))
    if difference <= 0.0:
        return y + math.log1p(math.exp(difference))
    return difference


@jit
def logaddexp2(x: float, y: float) -> float:
    """Return log2(2**x + 2**y)."""
    if x == y:
        return x + 1.0
    difference = x - y
    if difference > 0.0:
        return x + math.log1p(2.0**-difference) / _LN2
    if difference <= 0.0:
        return y + math.log1p(2.0**difference) / _LN2
    return difference


@jit
def log_expit(x: float) -> float:
    """Return log(expit(x))."""
    return x - math.log1p(math.exp(x)) if x < 0.0 else -math.log1p(math.exp(-x))


@jit
def logit(x: float) -> float:
    """Return log(x / (1 - x)); beside its zero, 1/2, by the inverse of tanh."""
    if 0.25 < x < 0.75:
        return 2.0 * math.atanh(2.0 * x - 1.0)
    return math.log(x / (1.0 - x))


# --- products with logarithms, zero where a factor is ------------------------------------------


@jit
def xlogy(x: float, y: float) -> float:
    """Return x log(y), 0 for x = 0."""
    return 0.0 if x == 0.0 and y == y else x * math.log(y)


@jit
def xlog1py(x: float, y: float) -> float:
    """Return x log(1 + y), 0 for x = 0."""
    return 0.0 if x == 0.0 and y == y else x * math.log1p(y)


@jit
def entr(x: float) -> float:
    """Return -x log(x), 0 at 0 and negative infinity below."""
    return -math.inf if x < 0.0 else -xlogy(x, x)


@jit
def log_ratio(x: float, y: float) -> float:
    """Return log(x / y), without cancellation where the two are near each other."""
    if abs(x - y) < 0.5 * abs(y):
        return math.log1p((x - y) / y)
    return math.log(x / y)


@jit
def rel_entr(x: float, y: float) -> float:
    """Return x log(x / y), 0 for x = 0 and infinity outside of its domain."""
    if x != x or y != y:
        return x + y
    if x > 0.0 and y > 0.0:
        ratio = x / y
        if 0.5 < ratio < 2.0:
            return x * math.log1p((x - y) / y)
        if 1e-300 < ratio < math.inf:
            return x * math.log(ratio)
        return x * (math.log(x) - math.log(y))
    return 0.0 if x == 0.0 and y >= 0.0 else math.inf


@jit
def kl_div(x: float, y: float) -> float:
    """Return x log(x / y) - x + y; where x is near y by its Taylor series, as the terms cancel."""
    if x > 0.0 and y > 0.0:
        d = (x - y) / y
        if abs(d) < 0.25:
            series = 0.0
            for k in range(27, -1, -1):
                series = 1.0 / ((k + 1.0) * (k + 2.0)) - series * d
            return y * d * d * series
        return rel_entr(x, y) - x + y
    return y if x == 0.0 and y >= 0.0 else rel_entr(x, y)


# --- losses -------------------------------------------------------------------------------------


@jit
def huber(delta: float, r: float) -> float:
    """Return r**2 / 2 up to delta and delta (abs(r) - delta / 2) beyond."""
    if delta < 0.0:
        return math.inf
    size = abs(r)
    return 0.5 * r * r if size <= delta else delta * (size - 0.5 * delta)


@jit
def pseudo_huber(delta: float, r: float) -> float:
    """Return delta**2 (sqrt(1 + (r / delta)**2) - 1), without its cancellation."""
    if delta < 0.0:
        return math.inf
    if delta == 0.0 or r == 0.0:
        return 0.0
    ratio = r / delta
    if ratio - ratio != 0.0:
        return abs(r) * delta
    return r * (r / (1.0 + math.hypot(1.0, ratio)))


# --- transformations to normality ---------------------------------------------------------------


@jit
def boxcox(x: float, power: float) -> float:
    """Return (x**power - 1) / power, log(x) for a power of zero."""
    logarithm = math.log(x)
    if abs(power) < 1e-19:
        return logarithm
    return math.expm1(power * logarithm) / power


@jit
def inv_boxcox(y: float, power: float) -> float:
    """Return the inverse of boxcox for a power."""
    product = power * y
    if power == 0.0 or abs(product) < 1e-17:  # where a quotient would lose digits to underflow
        return math.exp(y)
    if product == math.inf:
        return math.exp((math.log(abs(power)) + math.log(abs(y))) / power)
    return math.exp(math.log1p(product) / power)


@jit
def exponential_moment(order: float, x: float) -> float:
    """Return the integral of s**order exp(s x) for s from 0 to 1; of order 0 it's exprel(x).

    A derivative adds one to the order. All terms of the two series are positive.
    """
    n = int(order)
    if x != x:
        return x
    if abs(x) == math.inf:
        return 0.0 if x < 0.0 else x
    if n == 0 and x <= _LARGEST_EXPONENT:
        return math.expm1(x) / x if x != 0.0 else 1.0
    if x > 2.0 * n + 2.0:  # scaled, as the exponential may overflow before x divides it
        moment = -math.expm1(-x) / x
        for m in range(1, n + 1):
            moment = (1.0 - m * moment) / x
        half = math.exp(0.5 * x)
        return moment * half * half
    if x < -40.0 - 2.0 * n:
        exponential = math.exp(x)
        moment = -1.0 / x
        for m in range(1, n + 1):
            moment = (exponential - m * moment) / x
        return moment
    term = 1.0
    total = 0.0
    k = 0.0
    while term > 1e-17 * total:
        if x >= 0.0:
            total += term / (n + k + 1.0)
            term *= x / (k + 1.0)
        else:
            term /= n + k + 1.0
            total += term
            term *= -x
        k += 1.0
    return total if x >= 0.0 else total * math.exp(x)
