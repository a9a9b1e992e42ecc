"""Incomplete gamma and beta functions' derivatives by their parameters, as compiled code.

The derivative of a distribution by a parameter is the integral of the density times its score,
which changes its sign once, and whose whole integral is zero: of the two sides of the point one
has no change of sign, so that nothing cancels there. That side is a series where that is short,
and otherwise Gauss's quadrature, in a logarithm of the variable, as far as the density matters.
"""

from __future__ import annotations

import math

import numpy as np

from tapegrad.jit import jit
from tapegrad.special.densities import beta_weight, gamma_density, t_density, t_score
from tapegrad.special.gamma import digamma, digamma_rise

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS
_NEGLIGIBLE = 38.0
"""The exponent beyond which a density no longer matters."""
_SHORT = 60.0
"""How many terms of a series take as long as quadrature."""
_PANEL = 4.0
"""How long a range, in a logarithm of the variable, the nodes cover."""


@jit
def _beyond_linear(s: float) -> float:
    """Return exp(s) - 1 - s."""
    if abs(s) > 0.3:
        return math.expm1(s) - s
    total, term = 0.0, 0.5 * s * s
    for k in range(3, 16):
        total += term
        term *= s / k
    return total


# --- gamma ------------------------------------------------------------------------------------


@jit
def _gamma_exponent(a: float, x: float, s: float) -> float:
    """Return how much the logarithm of t times the density is less at t = x exp(s) than at x."""
    return (x - a) * s + x * _beyond_linear(s)


@jit
def _gamma_range(a: float, x: float, sign: float) -> float:
    """Return how far from x, in log(t), the density matters, above or below."""
    slope = max(sign * (x - a), 0.0)
    s = 2.0 * _NEGLIGIBLE / (slope + math.sqrt(slope * slope + 2.0 * _NEGLIGIBLE * x))
    for _ in range(40):
        left = _gamma_exponent(a, x, sign * s) - _NEGLIGIBLE
        if -1.0 < left < 4.0:
            break
        s -= left / abs(x - a + x * math.expm1(sign * s))
    return s


@jit
def _gamma_series(a: float, x: float) -> float:
    score = digamma(a + 1.0) - math.log(x)
    total, term, n = score, 1.0, 0
    while n < 1000:
        n += 1
        score += 1.0 / (a + n)
        term *= x / (a + n)
        total += term * score
        if term * score < 1e-17 * total:
            break
    return -x / a * gamma_density(a, x) * total


@jit
def gammainc_by_a(a: float, x: float) -> float:
    """Return the derivative of the regularized lower incomplete gamma function by a."""
    if not (a > 0.0 and x >= 0.0):
        return math.nan
    if x == 0.0 or x == math.inf or a == math.inf:
        return 0.0
    if math.log(x) <= digamma(a + 1.0) and (a < 30.0 or x < 0.5 * a):
        return _gamma_series(a, x)
    if a > 15.0:
        r = 1.0 / (a * a)
        level = -0.5 / a - r * (1 / 12 - r * (1 / 120 - r * (1 / 252 - r * (1 / 240))))
        start = level - (math.log1p((x - a) / a) if abs(x - a) < 0.5 * a else math.log(x / a))
    else:
        start = digamma(a) - math.log(x)
    sign = -1.0 if start > 0.0 else 1.0
    reach = _gamma_range(a, x, sign)
    total = 0.0
    for k in range(len(_NODES)):
        s = reach * _NODES[k]
        total += _WEIGHTS[k] * math.exp(-_gamma_exponent(a, x, sign * s)) * (abs(start) + s)
    return -x * gamma_density(a, x) * reach * total


# --- beta -------------------------------------------------------------------------------------


@jit
def _log(x: float, y: float) -> float:
    """Return log(x), where y is 1 - x."""
    return math.log1p(-y) if y < 0.5 else math.log(x)


@jit
def _terms(a: float, b: float, x: float, y: float) -> float:
    """Return about how many terms the series in x has."""
    before = max(x * (a + b) - a - 1.0, 0.0) / y
    return before + _NEGLIGIBLE / -_log(x, y) if b >= 1.0 or x < 0.999 else math.inf


@jit
def _first_series(a: float, b: float, x: float, y: float) -> float:
    """Return the derivative by a of the series in x, without its factor."""
    score = _log(x, y) + digamma_rise(a, b) - 1.0 / a
    total, term, n = score, 1.0, 0.0
    while n < 20000.0:
        term *= x * (a + b + n) / (a + 1.0 + n)
        score += (1.0 - b) / ((a + b + n) * (a + 1.0 + n))
        n += 1.0
        total += term * score
        if abs(term * score) < 1e-17 * abs(total) and x * (a + b + n) < a + 1.0 + n:
            break
    return total / a


@jit
def _second_series(a: float, b: float, x: float, y: float) -> float:
    """Return the derivative by b of the series in x, without its factor."""
    score = _log(y, x) + digamma_rise(b, a)
    total, term, n = score, 1.0, 0.0
    while n < 20000.0:
        term *= x * (a + b + n) / (a + 1.0 + n)
        score += 1.0 / (a + b + n)
        n += 1.0
        total += term * score
        if term * score < 1e-17 * total and x * (a + b + n) < a + 1.0 + n:
            break
    return total / a


@jit
def _beta_exponent(a: float, n: float, x: float, s: float) -> float:
    """Return how much the logarithm of t (1 - t) times the density is less than at x.

    It's where the logarithm of t / (1 - t) is less by s.
    """
    return a * s + n * math.log1p(x * math.expm1(-s))


@jit
def _beta_range(a: float, b: float, x: float, y: float) -> float:
    """Return how far below x, in log(t / (1 - t)), the density matters."""
    n = a + b
    slope = max(a * y - b * x, 0.0)
    s = 2.0 * _NEGLIGIBLE / (slope + math.sqrt(slope * slope + 2.0 * _NEGLIGIBLE * n * x * y))
    s = min(s, 2.0 * _NEGLIGIBLE / a)
    for _ in range(40):
        left = _beta_exponent(a, n, x, s) - _NEGLIGIBLE
        if -1.0 < left < 4.0:
            break
        e = x * math.exp(-s)
        s = max(s - left / max(a - n * e / (y + e), 1e-3 * a), 0.5 * s)
    return s


@jit
def _beta_quadrature(a: float, b: float, x: float, y: float, start: float, by_first: bool) -> float:
    """Return the integral below x of the density times the score, without its factor.

    The score is `start` at x, and elsewhere it's more by how much less the logarithm of t is
    there; or, by the second parameter, by how much more that of 1 - t is.
    """
    reach = _beta_range(a, b, x, y)
    panels = int(reach / _PANEL) + 1
    step = reach / panels
    total = 0.0
    for j in range(panels):
        for k in range(len(_NODES)):
            s = step * (j + _NODES[k])
            log_w = math.log1p(x * math.expm1(-s))
            score = start + (s + log_w if by_first else -log_w)
            total += _WEIGHTS[k] * math.exp(-(a * s + (a + b) * log_w)) * score
    return step * total


@jit
def betainc_by_a(a: float, b: float, x: float, y: float) -> float:
    """Return the derivative by a of the regularized incomplete beta function; y is 1 - x."""
    if not (a > 0.0 and b > 0.0 and 0.0 <= x <= 1.0 and 0.0 <= y <= 1.0):
        return math.nan
    if x == 0.0 or y == 0.0 or a == math.inf or b == math.inf:
        return 0.0
    weight = beta_weight(a, b, x, y)
    if weight == 0.0:
        return 0.0
    log_x, rise = _log(x, y), digamma_rise(a, b)
    below, above = math.inf, math.inf
    if log_x + rise - 1.0 / a <= 0.0:
        below = _terms(a, b, x, y)
    if log_x + rise >= 0.0:
        above = _terms(b, a, y, x)
    if min(below, above) > _SHORT and a + b > 1.0:
        if log_x + rise <= 0.0:
            return -weight * _beta_quadrature(a, b, x, y, -log_x - rise, True)
        return -weight * _beta_quadrature(b, a, y, x, log_x + rise, False)
    if below <= above:
        return weight * _first_series(a, b, x, y)
    return -weight * _second_series(b, a, y, x)


# --- t ----------------------------------------------------------------------------------------


@jit
def stdtr_by_df(df: float, t: float) -> float:
    """Return the derivative of Student's distribution by its parameter.

    Of large parameters by quadrature of the score, which is positive near zero and negative beyond.
    """
    if not df > 0.0 or t != t:
        return math.nan
    size = abs(t)
    if t == 0.0 or size == math.inf or df == math.inf:
        return 0.0
    if df < 20.0:
        square = size * size
        x, y = df / (df + square), square / (df + square)
        part = 0.25 * betainc_by_a(0.5 * df, 0.5, x, y)
        return math.copysign(part + 0.5 * size * t_density(df, t) / df, t)
    total = 0.0
    if t_score(df, size) > 0.0 or size < 1.0:
        for k in range(len(_NODES)):
            u = size * _NODES[k]
            total += _WEIGHTS[k] * t_density(df, u) * t_score(df, u)
        return math.copysign(size * total, t)
    # In the logarithm of 1 + t**2 / df the density falls as an exponential.
    first = math.log1p(size * size / df)
    reach = 2.0 * _NEGLIGIBLE / df
    for k in range(len(_NODES)):
        v = first + reach * _NODES[k] * _NODES[k]
        u = math.sqrt(df * math.expm1(v))
        slope = 0.5 * (df + u * u) / u * 2.0 * reach * _NODES[k]
        total += _WEIGHTS[k] * t_density(df, u) * t_score(df, u) * slope
    return math.copysign(total, t)
