"""Special functions of one or two floats, as compiled code for the sweeps.

They return what NumPy or scipy.special does, infinities and NaN included, and raise nothing.
"""

from __future__ import annotations

import math

import numpy as np

from tapegrad.jit import jit

_LN2 = 0.6931471805599453

# B_2k / (2k)!, for the Euler-Maclaurin remainder of the zeta series.
_ZETA_TERMS = (
    1 / 12,
    -1 / 720,
    1 / 30240,
    -1 / 1209600,
    1 / 47900160,
    -691 / 1307674368000,
    1 / 74724249600,
    -3617 / 10670622842880000,
    43867 / 5109094217170944000,
    -174611 / 802857662698291200000,
)
_ZETA_START = 16.0
# B_2k / 2k, for digamma's asymptotic series.
_DIGAMMA_TERMS = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
_DIGAMMA_ROOT_HIGH, _DIGAMMA_ROOT_LOW = 1.4616321449683622, 9.549995429965697e-17


@jit
def powi(x: float, n: float) -> float:
    """Return x to a whole power: products up to the eighth, the library's pow beyond."""
    m = abs(n)
    if m > 8.0:
        return x**n
    result = 1.0
    square = x
    k = int(m)
    while k > 0:
        if k & 1:
            result *= square
        square *= square
        k >>= 1
    if n >= 0.0:
        return result
    inverse = 1.0 / result
    return inverse if inverse != 0.0 else x**n  # the product may overflow where this doesn't vanish


@jit
def cbrt(x: float) -> float:
    """Return the real cube root."""
    return np.cbrt(x)


@jit
def exp2(x: float) -> float:
    """Return 2 to the power x."""
    return 2.0**x


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
def gammaln(x: float) -> float:
    """Return log(abs(gamma(x)))."""
    return x if x == -math.inf else math.lgamma(x)


@jit
def _tan_pi(x: float) -> float:
    """Return tan(pi x), reduced exactly before the product with pi."""
    r = x - np.rint(x)
    return math.tan(math.pi * r)


@jit
def digamma(x: float) -> float:
    """Return the derivative of log(gamma(x)).

    Shifted upward to the asymptotic series, reflected for negative x, and expanded about the
    positive root, where the terms cancel (M. Abramowitz and I. Stegun, 6.3.5, 6.3.7, 6.3.18).
    """
    if x == 0.0:
        return math.copysign(math.inf, -x)
    if x < 0.0:
        if x == np.floor(x):
            return math.nan
        return digamma(1.0 - x) - math.pi / _tan_pi(x)
    if abs(x - _DIGAMMA_ROOT_HIGH) < 0.25:
        return _digamma_near_root((x - _DIGAMMA_ROOT_HIGH) - _DIGAMMA_ROOT_LOW)
    shift = 0.0
    while x < 10.0:
        shift -= 1.0 / x
        x += 1.0
    if x == math.inf:
        return x
    inverse_square = 1.0 / (x * x)
    series = 0.0
    for k in range(len(_DIGAMMA_TERMS) - 1, -1, -1):
        series = (series + _DIGAMMA_TERMS[k]) * inverse_square
    return shift + math.log(x) - 0.5 / x - series


@jit
def _digamma_near_root(d: float) -> float:
    """Return digamma at its positive root plus d, by its Taylor series there."""
    total = 0.0
    for k in range(len(_DIGAMMA_TAYLOR) - 1, -1, -1):
        total = (total + _DIGAMMA_TAYLOR[k]) * d
    return total


@jit
def _zeta(s: float, a: float) -> float:
    """Return the Hurwitz zeta function for s > 1, a > 0, by Euler-Maclaurin summation."""
    total = 0.0
    while a < _ZETA_START:
        total += a**-s
        a += 1.0
    power = a**-s
    total += power * (a / (s - 1.0) + 0.5)
    factor = s
    power /= a
    for k in range(len(_ZETA_TERMS)):
        total += _ZETA_TERMS[k] * factor * power
        factor *= (s + 2.0 * k + 1.0) * (s + 2.0 * k + 2.0)
        power /= a * a
    return total


# Digamma's k-th derivative over k! is -(-1)**k zeta(k + 1); |d| <= 1/4 needs 24 of them.
_DIGAMMA_TAYLOR = tuple(
    -((-1.0) ** k) * getattr(_zeta, "py_func")(k + 1.0, _DIGAMMA_ROOT_HIGH)  # noqa: B009
    for k in range(1, 25)
)


@jit
def _cotangent_derivative(n: int, x: float) -> float:
    """Return the n-th derivative of pi cot(pi x) divided by pi**(n + 1).

    It is a polynomial in c = cot(pi x), by d/dx c = -pi (1 + c**2).
    """
    c = 1.0 / _tan_pi(x)
    polynomial = np.zeros(n + 2)
    polynomial[1] = 1.0
    for order in range(n):
        derived = np.zeros(n + 2)
        for k in range(1, order + 2):
            derived[k - 1] -= k * polynomial[k]
            derived[k + 1] -= k * polynomial[k]
        polynomial = derived
    value = 0.0
    for k in range(n + 1, -1, -1):
        value = value * c + polynomial[k]
    return value


@jit
def polygamma(order: float, x: float) -> float:
    """Return the derivative of a whole order of digamma (Abramowitz and Stegun, 6.4.10, 6.4.7)."""
    if order == 0.0:
        return digamma(x)
    if x != x:
        return x
    n = int(order)
    if x <= 0.0 and x == np.floor(x):
        return math.inf if n % 2 else -math.inf
    if x < 0.0:
        reflected = polygamma(order, 1.0 - x)
        cotangent = math.pi ** (n + 1) * _cotangent_derivative(n, x)
        return (reflected if n % 2 == 0 else -reflected) - cotangent
    if x == math.inf:
        return 0.0
    magnitude = math.gamma(order + 1.0) * _zeta(order + 1.0, x)
    return magnitude if n % 2 else -magnitude
