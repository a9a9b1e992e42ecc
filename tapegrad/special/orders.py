"""Derivatives by the order: of Bessel functions of the third kind, of zeta, of harmonic numbers."""

from __future__ import annotations

import math

from tapegrad.jit import jit
from tapegrad.special.gamma import ZETA_TERMS, digamma, zeta

_NEGLIGIBLE = 40.0


@jit
def kve_moment(n: float, order: float, x: float) -> float:
    """Return exp(x) times the n-th derivative of kv(order, x) by the order.

    It's the integral over t > 0 of t**n cosh(order t) exp(-x (cosh(t) - 1)), or with sinh if n is
    odd: even functions, for which the trapezoidal rule is as exact as its step is short beside
    the peak and the strip where they are analytic.
    """
    if order != order or not x >= 0.0:
        return math.nan
    v = abs(order)
    is_odd = n % 2.0 == 1.0
    if is_odd and v == 0.0:
        return 0.0
    if x == math.inf:
        return math.nan if v == math.inf else 0.0
    if x == 0.0 or v / x == math.inf:
        return math.copysign(math.inf, order) if is_odd else math.inf
    peak = math.asinh(v / x)
    step = min(0.2, 0.45 / math.sqrt(math.hypot(x, v)))
    half = math.sinh(0.5 * peak)
    top = v * peak - 2.0 * x * half * half
    total = 0.0 if is_odd or n > 0.0 else 0.5 * math.exp(-top)
    k = 0
    while k < 100000:
        k += 1
        t = step * k
        half = math.sinh(0.5 * t)
        exponent = v * t - 2.0 * x * half * half - top
        if t > peak and exponent < -_NEGLIGIBLE:
            break
        other = -math.expm1(-2.0 * v * t) if is_odd else 1.0 + math.exp(-2.0 * v * t)
        total += 0.5 * t**n * math.exp(exponent) * other
    found = step * total * math.exp(top)
    return -found if is_odd and order < 0.0 else found


@jit
def zeta_by_order(s: float, q: float) -> float:
    """Return the derivative of Hurwitz's zeta function by s > 1; by any s if q is 1.

    By Euler and Maclaurin's formula; below zero by Riemann's reflection.
    """
    if s != s or not q > 0.0 or s == 1.0 or (s < 1.0 and q != 1.0):
        return math.nan
    if s == math.inf or q == math.inf:
        return -math.inf if q < 1.0 else 0.0
    if s < 0.0:
        r = 1.0 - s
        # The sine of an angle reduced before it's a multiple of pi, exactly.
        turn = s % 4.0
        sine = math.sin(0.5 * math.pi * turn) if s % 2.0 != 0.0 else 0.0
        cosine = math.cos(0.5 * math.pi * turn)
        value = zeta(r, 1.0)
        slope = (math.log(2.0 * math.pi) - digamma(r)) * value - zeta_by_order(r, 1.0)
        factor = 2.0 * (2.0 * math.pi) ** (s - 1.0) * math.gamma(r)
        return factor * (slope * sine + 0.5 * math.pi * cosine * value)
    total, last = 0.0, q
    end = 16.0 + 0.5 * s
    while last < end:
        term = -math.log(last) * last**-s
        total += term
        last += 1.0
        if last > q + 2.0 and abs(term) < 1e-18 * abs(total):
            return total
    log_last = math.log(last)
    power = last**-s
    total -= last * power * (log_last / (s - 1.0) + 1.0 / ((s - 1.0) * (s - 1.0)))
    total -= 0.5 * log_last * power
    rising, slope = s, 1.0
    power /= last
    for k in range(len(ZETA_TERMS)):
        total += ZETA_TERMS[k] * power * (slope - rising * log_last)
        for j in range(2 * k + 1, 2 * k + 3):
            slope = slope * (s + j) + rising
            rising *= s + j
        power /= last * last
    return total


@jit
def harmonic_slope(first: float, last: float, a: float) -> float:
    """Return the derivative by a of the logarithm of a sum of k**-a, from first to last."""
    total, by_a = 0.0, 0.0
    if not (first >= 1.0 and last == last and a == a):
        return math.nan
    if last == math.inf:
        return zeta_by_order(a, first) / zeta(a, first) if a > 1.0 else math.nan
    k = first
    while k <= last:
        term = (k / first) ** -a
        total += term
        by_a -= math.log(k) * term
        k += 1.0
    return by_a / total if total else 0.0
