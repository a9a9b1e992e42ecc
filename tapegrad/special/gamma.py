"""The gamma function, its logarithm, the derivatives of that, and beta, as compiled code."""

from __future__ import annotations

import math

import numpy as np

from tapegrad.jit import jit

# B_2k / (2k)!, for the Euler-Maclaurin remainder of the zeta series.
ZETA_TERMS = (
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
# B_2k / (2k (2k - 1)), for Stirling's series of the logarithm of gamma.
_STIRLING_TERMS = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156,
                   -3617 / 122400)  # fmt: skip
_STIRLING_START = 10.0
_HALF_LOG_2PI = 0.9189385332046728
_ONE_LESS_EULER = 0.42278433509846713


@jit
def gamma(x: float) -> float:
    """Return the gamma function."""
    return math.gamma(x)


@jit
def gammaln(x: float) -> float:
    """Return log(abs(gamma(x))).

    Beside its zeros, 1 and 2, by its Taylor series; by Stirling's series far from them.
    """
    if x != x or abs(x) == math.inf:
        return x
    if x <= 0.0:
        if x == np.floor(x):
            return math.inf
        if x > -1e-17:
            return -math.log(-x)
        sine = abs(math.sin(math.pi * (x - np.rint(x))))
        return math.log(math.pi / (sine * -x)) - gammaln(-x)
    if x >= _STIRLING_START:
        return (x - 0.5) * math.log(x) - x + _HALF_LOG_2PI + _stirling(x)
    if x < 0.5:
        return _gammaln_near_one(x) - math.log(x)
    if x < 1.5:
        return _gammaln_near_one(x - 1.0)
    product = 1.0
    while x > 2.5:
        x -= 1.0
        product *= x
    return _gammaln_near_two(x - 2.0) + math.log(product)


@jit
def _gammaln_near_one(d: float) -> float:
    """Return log(gamma(1 + d)) for |d| <= 1/2."""
    return _gammaln_near_two(d) - math.log1p(d)


@jit
def _gammaln_near_two(d: float) -> float:
    """Return log(gamma(2 + d)) for |d| <= 1/2."""
    total = 0.0
    for k in range(len(_GAMMALN_TAYLOR) - 1, -1, -1):
        total = (total + _GAMMALN_TAYLOR[k]) * d
    return (total + _ONE_LESS_EULER) * d


@jit
def _stirling(x: float) -> float:
    """Return what Stirling's formula lacks of log(gamma(x)), for x of ten at least."""
    inverse_square = 1.0 / (x * x)
    series = 0.0
    for k in range(len(_STIRLING_TERMS) - 1, -1, -1):
        series = series * inverse_square + _STIRLING_TERMS[k]
    return series / x


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
def digamma_rise(x: float, y: float) -> float:
    """Return digamma(x + y) - digamma(x), term by term where it may be small beside both."""
    if not (x > 0.0 and y > 0.0) or y == math.inf:
        return digamma(x + y) - digamma(x)
    rise = 0.0
    while x < 10.0:
        rise += y / x / (x + y)
        x += 1.0
    if x == math.inf:
        return 0.0
    growth = math.log1p(y / x)
    inverse_square = 1.0 / (x * x)
    power = inverse_square
    for k in range(len(_DIGAMMA_TERMS)):
        rise -= _DIGAMMA_TERMS[k] * power * math.expm1(-2.0 * (k + 1.0) * growth)
        power *= inverse_square
    return rise + growth + 0.5 * y / x / (x + y)


@jit
def _digamma_near_root(d: float) -> float:
    """Return digamma at its positive root plus d, by its Taylor series there."""
    total = 0.0
    for k in range(len(_DIGAMMA_TAYLOR) - 1, -1, -1):
        total = (total + _DIGAMMA_TAYLOR[k]) * d
    return total


@jit
def zeta(s: float, a: float) -> float:
    """Return the Hurwitz zeta function for s > 1, a > 0, by Euler-Maclaurin summation."""
    total = 0.0
    while a < _ZETA_START:
        total += a**-s
        a += 1.0
    power = a**-s
    total += power * (a / (s - 1.0) + 0.5)
    factor = s
    power /= a
    for k in range(len(ZETA_TERMS)):
        total += ZETA_TERMS[k] * factor * power
        factor *= (s + 2.0 * k + 1.0) * (s + 2.0 * k + 2.0)
        power /= a * a
    return total


# Digamma's k-th derivative over k! is -(-1)**k zeta(k + 1); |d| <= 1/4 needs 24 of them.
_DIGAMMA_TAYLOR = tuple(
    -((-1.0) ** k) * getattr(zeta, "py_func")(k + 1.0, _DIGAMMA_ROOT_HIGH)  # noqa: B009
    for k in range(1, 25)
)


# The k-th derivative of log(gamma) at 2 over k! is (-1)**k zeta(k, 2) / k.
_GAMMALN_TAYLOR = tuple(
    (-1.0) ** k * getattr(zeta, "py_func")(float(k), 2.0) / k  # noqa: B009
    for k in range(2, 29)
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


# The greatest number whose factorial is finite.
_MOST_FACTORIAL = 170.0


@jit
def _polygamma_of_high_order(order: float, x: float) -> float:
    """Return an infinite factorial times the zeta series, whose terms next to zero decide."""
    if x <= 0.0 and x == np.floor(x):
        nearest = math.inf
    else:
        nearest = (x if x > 0.0 else x - np.ceil(x)) ** (-order - 1.0)
        if x < 0.0:
            part = x - np.floor(x)  # between a half and itself nothing is left of the two
            nearest += part ** (-order - 1.0)
            nearest += (1.0 + part) ** (-order - 1.0)
    is_odd = np.fmod(order + 1.0, 2.0) == 1.0
    return -math.inf * nearest if is_odd else math.inf * nearest


@jit
def polygamma(order: float, x: float) -> float:
    """Return the derivative of a whole order of digamma (Abramowitz and Stegun, 6.4.10, 6.4.7)."""
    if order == 0.0:
        return digamma(x)
    if x != x:
        return x
    if not order > 0.0 or (order < math.inf and order != np.floor(order)):
        return math.nan
    if order > _MOST_FACTORIAL:
        return _polygamma_of_high_order(order, x)
    n = int(order)
    if x <= 0.0 and x == np.floor(x):
        return math.inf if n % 2 else -math.inf
    if x < 0.0:
        reflected = polygamma(order, 1.0 - x)
        cotangent = math.pi ** (n + 1) * _cotangent_derivative(n, x)
        return (reflected if n % 2 == 0 else -reflected) - cotangent
    if x == math.inf:
        return 0.0
    magnitude = math.gamma(order + 1.0) * zeta(order + 1.0, x)
    return magnitude if n % 2 else -magnitude


# --- beta -------------------------------------------------------------------------------------


@jit
def _beta_of_gammas(x: float, y: float) -> float:
    """Return beta where no gamma overflows, the rounding error of x + y included."""
    total = x + y
    part = total - x
    error = (x - (total - part)) + (y - part)
    larger, smaller = math.gamma(x), math.gamma(y)
    if abs(larger) < abs(smaller):
        larger, smaller = smaller, larger
    value = larger / math.gamma(total) * smaller
    return value * (1.0 - error * digamma(total)) if error != 0.0 else value


@jit
def betaln(x: float, y: float) -> float:
    """Return log(abs(beta(x, y))).

    Stirling's formula takes the large parts of the three logarithms out of their difference
    (SLATEC's DLBETA).
    """
    if x != x or y != y:
        return x + y
    p, q = min(x, y), max(x, y)
    if _is_pole(q):
        p, q = q, p
    if _is_pole(p):
        if q == np.floor(q) and 1.0 - p - q > 0.0:
            return betaln(1.0 - p - q, q)
        return math.inf
    if q == math.inf:
        return -math.inf if p > 0.0 else math.inf
    if q < _STIRLING_START or p + q < _STIRLING_START:
        if abs(p) < 1e-100 or p < 0.0:
            return gammaln(p) + (gammaln(q) - gammaln(p + q))
        return math.log(_beta_of_gammas(p, q))
    correction = _stirling(q) - _stirling(p + q)
    if p < _STIRLING_START:
        return (
            gammaln(p) + correction + p - p * math.log(p + q) + (q - 0.5) * math.log1p(-p / (p + q))
        )
    return (
        (_HALF_LOG_2PI - 0.5 * math.log(q) + _stirling(p) + correction)
        + (p - 0.5) * math.log(p / (p + q))
        + q * math.log1p(-p / (p + q))
    )


@jit
def beta(x: float, y: float) -> float:
    """Return gamma(x) gamma(y) / gamma(x + y)."""
    if _is_pole(x) or _is_pole(y):
        other, pole = (y, x) if _is_pole(x) else (x, y)
        return _sign_at_pole(other, pole) * math.exp(betaln(x, y))
    total = x + y
    if max(abs(x), abs(y), abs(total)) > 170.0:
        sign = _sign_of_gamma(x) * _sign_of_gamma(y) * _sign_of_gamma(total)
        return sign * math.exp(betaln(x, y))
    if _is_pole(total):
        return 0.0
    return _beta_of_gammas(x, y)


@jit
def _is_pole(x: float) -> bool:
    return x <= 0.0 and x == np.floor(x)


@jit
def _sign_of_gamma(x: float) -> float:
    return 1.0 if x > 0.0 or np.floor(x) % 2.0 == 0.0 else -1.0


@jit
def _sign_at_pole(x: float, pole: float) -> float:
    """Return the sign of beta where one argument is a pole of gamma."""
    return 1.0 if x != np.floor(x) or 1.0 - x - pole <= 0.0 or x % 2.0 == 0.0 else -1.0
