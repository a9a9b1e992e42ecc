"""Densities of the gamma, beta and t distributions by their saddle points, as compiled code.

Loader's way (Fast and accurate computation of binomial probabilities, 2000): what Stirling's
formula leaves out, and how far a point is from the saddle, each computed without cancellation, so
that parameters may be large.
"""

from __future__ import annotations

import math

from tapegrad.jit import jit
from tapegrad.special.gamma import digamma_rise, gammaln

_HALF_LOG_2PI = 0.9189385332046728
_TWO_PI = 6.283185307179586


@jit
def stirling_error(a: float) -> float:
    """Return log(gamma(a + 1)) less Stirling's formula for it."""
    if a < 16.0:
        return gammaln(a + 1.0) - (a + 0.5) * math.log(a) + a - _HALF_LOG_2PI
    r = 1.0 / (a * a)
    tail = 1 / 1188 - r * (691 / 360360 - r * (1 / 156))
    return (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r * tail)))) / a


@jit
def deviance(x: float, m: float) -> float:
    """Return x log(x / m) + m - x, which is zero where x is m."""
    if x == 0.0:
        return m
    if abs(x - m) >= 0.1 * (x + m):
        return x * math.log(x / m) + m - x
    v = (x - m) / (x + m)
    total, term = (x - m) * v, 2.0 * x * v
    for j in range(1, 40):
        term *= v * v
        before = total
        total += term / (2 * j + 1)
        if total == before:
            break
    return total


@jit
def gamma_density(a: float, x: float) -> float:
    """Return x**(a - 1) exp(-x) / gamma(a)."""
    if a != a or x != x or a < 0.0 or x < 0.0:
        return math.nan
    if x == 0.0:
        return 0.0 if a > 1.0 or a == 0.0 else (1.0 if a == 1.0 else math.inf)
    if a == 0.0 or x == math.inf or a == math.inf:
        return 0.0
    if a < 10.0 and x < 600.0:
        return x ** (a - 1.0) * math.exp(-x) / math.gamma(a)
    return a / x * math.exp(-stirling_error(a) - deviance(a, x)) / math.sqrt(_TWO_PI * a)


@jit
def beta_weight(a: float, b: float, x: float, y: float) -> float:
    """Return x**a y**b / beta(a, b), where y is 1 - x, inside the domain."""
    n = a + b
    exponent = stirling_error(n) - stirling_error(a) - stirling_error(b)
    exponent -= deviance(a, n * x) + deviance(b, n * y)
    return math.exp(exponent) * math.sqrt(a / n * (b / _TWO_PI))


@jit
def beta_density(a: float, b: float, x: float, y: float) -> float:
    """Return x**(a - 1) y**(b - 1) / beta(a, b), where y is 1 - x."""
    if not (a >= 0.0 and b >= 0.0 and 0.0 <= x <= 1.0 and y == y):
        return math.nan
    if a == 0.0 or b == 0.0:
        return 0.0
    if x == 0.0:
        return 0.0 if a > 1.0 else (b if a == 1.0 else math.inf)
    if y == 0.0:
        return 0.0 if b > 1.0 else (a if b == 1.0 else math.inf)
    if a == math.inf or b == math.inf:
        return 0.0
    return beta_weight(a, b, x, y) / x / y


@jit
def t_density(df: float, t: float) -> float:
    """Return the density of Student's t."""
    if not df > 0.0 or t != t:
        return math.nan
    square = t * t
    if df == math.inf:
        return math.exp(-0.5 * square - _HALF_LOG_2PI)
    if square == math.inf:
        return 0.0
    half = 0.5 * df
    scale = stirling_error(half + 0.5) - stirling_error(half) - deviance(half, half + 0.5)
    # gamma(half + 1/2) / gamma(half) is sqrt(half) times exp(scale).
    return math.exp(scale - _HALF_LOG_2PI - (half + 0.5) * math.log1p(square / df))


@jit
def t_score(df: float, t: float) -> float:
    """Return the derivative of the logarithm of the density of Student's t by its parameter."""
    r = t * t / df
    if df > 60.0:
        q = 1.0 / (df * df)
        level = q * (0.5 - q * (0.25 - q * (0.5 - q * (2.125 - 15.5 * q))))
    else:
        level = digamma_rise(0.5 * df, 0.5) - 1.0 / df
    w = r / (1.0 + r)
    if r < 0.1:
        # log1p(r) is -log(1 - w), so what w leaves of it is a series of positive terms.
        power, rest = w, 0.0
        for k in range(2, 20):
            power *= w
            rest += power / k
    else:
        rest = math.log1p(r) - w
    return 0.5 * (level - rest + w / df)
