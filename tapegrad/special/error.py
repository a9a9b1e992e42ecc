"""The error function's relatives and the normal distribution, as compiled code."""

from __future__ import annotations

import math

from tapegrad.jit import jit

_SQRT_PI = 1.7724538509055159
_SQRT2 = 1.4142135623730951
# 1 / sqrt(2) in two parts.
_SQRT_HALF, _SQRT_HALF_LOW = 0.7071067811865476, -4.833646656726457e-17
_ROOT_HIGH = 0.7071067690849304  # its first 24 bits
_ROOT_LOW = _SQRT_HALF - _ROOT_HIGH
_LARGEST_ROOT = 26.6  # of what exp doesn't overflow at
_SPLITTER = 134217729.0  # 2**27 + 1


@jit
def _exp_square(x: float) -> float:
    """Return exp(x * x), the product's rounding error included (T. J. Dekker's product)."""
    product = x * x
    shifted = _SPLITTER * x
    high = shifted - (shifted - x)
    low = x - high
    error = ((high * high - product) + 2.0 * high * low) + low * low
    return math.exp(product) * (1.0 + error)


@jit
def _erfcx(x: float) -> float:
    """Return exp(x**2) erfc(x), by the asymptotic series where erfc would soon underflow."""
    if x < 25.0 or x != x:
        return math.inf if x < -_LARGEST_ROOT else _exp_square(x) * math.erfc(x)
    t = 0.5 / (x * x)
    series = 1.0
    for k in range(15, 0, -2):
        series = 1.0 - k * t * series
    return series / (x * _SQRT_PI)


@jit
def scaled_erfc(order: float, x: float) -> float:
    """Return exp(x**2) times erfc integrated `order` times from x to infinity.

    A derivative adds one to the order. By the recurrence 2 n I(n) = I(n - 2) - 2 x I(n - 1), as
    a continued fraction of positive terms where its own would cancel.
    """
    n = int(order)
    scaled = _erfcx(x)
    if n == 0 or x == -math.inf or x != x:
        return scaled
    if x > 1.0:
        last = n + 150.0
        ratio = 1.0 / (x + math.sqrt(x * x + 2.0 * last + 2.0))
        m = last
        while m > 0.0:
            ratio = 1.0 / (2.0 * x + 2.0 * (m + 1.0) * ratio)
            if m <= n:
                scaled *= ratio
            m -= 1.0
        return scaled
    before = 2.0 / _SQRT_PI
    for m in range(1, n + 1):
        before, scaled = scaled, (before - 2.0 * x * scaled) / (2.0 * m)
    return scaled


@jit
def _erfcinv_of_small(p: float) -> float:
    """Return the inverse of erfc for 0 < p <= 1/2, by Newton's method on its logarithm."""
    logarithm = math.log(p)
    y = math.sqrt(-logarithm)
    y = math.sqrt(max(-logarithm - math.log(y * _SQRT_PI + 0.5), 0.1))
    for _ in range(6):
        scaled = _erfcx(y)
        step = ((math.log(scaled) - logarithm) - y * y) * scaled * (0.5 * _SQRT_PI)
        y += step
        if abs(step) < 1e-9 * y:
            break
    return y


@jit
def erfinv(x: float) -> float:
    """Return the inverse of erf, by Halley's method about zero."""
    if abs(x) > 0.5:
        if abs(x) >= 1.0:
            return math.copysign(math.inf, x) if abs(x) == 1.0 else math.nan
        return math.copysign(_erfcinv_of_small(1.0 - abs(x)), x)
    y = 0.5 * _SQRT_PI * x * (1.0 + 0.2617993877991494 * x * x)
    for _ in range(3):
        error = (math.erf(y) - x) * (0.5 * _SQRT_PI) * math.exp(y * y)
        y -= error / (1.0 + y * error)
    return y


@jit
def erfcinv(x: float) -> float:
    """Return the inverse of erfc."""
    if 0.0 < x < 0.5:
        return _erfcinv_of_small(x)
    if 1.5 < x < 2.0:
        return -_erfcinv_of_small(2.0 - x)
    if x <= 0.0 or x >= 2.0:
        return math.nan if x < 0.0 or x > 2.0 else math.copysign(math.inf, 1.0 - x)
    return erfinv(1.0 - x)


@jit
def ndtr(x: float) -> float:
    """Return the normal distribution function, the error of x / sqrt(2) included."""
    quotient = x * _SQRT_HALF
    if x > -2.0 or x < -40.0 or x != x:
        return 0.5 * math.erfc(-quotient)
    shifted = _SPLITTER * x
    high = shifted - (shifted - x)
    error = ((high * _ROOT_HIGH - quotient) + (x - high) * _ROOT_HIGH) + high * _ROOT_LOW
    error += (x - high) * _ROOT_LOW + x * _SQRT_HALF_LOW
    upper = math.erfc(-quotient)
    return 0.5 * (upper + upper * (2.0 / _SQRT_PI) * error / _erfcx(-quotient))


@jit
def log_ndtr(x: float) -> float:
    """Return the logarithm of the normal distribution function."""
    if x < 0.0:
        return math.log(0.5 * _erfcx(-x * _SQRT_HALF)) - 0.5 * x * x
    return math.log1p(-ndtr(-x))


@jit
def ndtri(p: float) -> float:
    """Return the inverse of the normal distribution function."""
    return -_SQRT2 * erfcinv(2.0 * p)
