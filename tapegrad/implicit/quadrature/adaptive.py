"""Adaptive integration of functions that return several numbers, under an error control of its own.

Each interval has the 21 nodes of a Gauss-Kronrod rule and QUADPACK's estimate of its error; those
with the largest errors are halved until the estimates' sum is small beside the integral of the
absolute value, of every component. Infinite intervals are mapped to (0, 1], as QUADPACK does.
Source: R. Piessens, E. de Doncker-Kapenga, C. W. Überhuber, D. K. Kahaner, *QUADPACK*, Springer,
1983.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tapegrad.blocks import Array
from tapegrad.function.vectors import Vector

Integrand = Callable[[float], Vector]

_POSITIVE = np.array([
    0.995657163025808080735527280689003, 0.973906528517171720077964012084452,
    0.930157491355708226001207180059508, 0.865063366688984510732096688423493,
    0.780817726586416897063717578345042, 0.679409568299024406234327365114874,
    0.562757134668604683339000099272694, 0.433395394129247190799265943165784,
    0.294392862701460198131126603103866, 0.148874338981631210884826001129720,
    0.0,
])  # fmt: skip
_OF_KRONROD = np.array([
    0.011694638867371874278064396062192, 0.032558162307964727478818972459390,
    0.054755896574351996031381300244580, 0.075039674810919952767043140916190,
    0.093125454583697605535065465083366, 0.109387158802297641899210590325805,
    0.123491976262065851077958109585166, 0.134709217311473325928054001771707,
    0.142775938577060080797094273138717, 0.147739104901338491374841515972068,
    0.149445554002916905664936468389821,
])  # fmt: skip
_OF_GAUSS = np.array([
    0.066671344308688137593568809893332, 0.149451349150580593145863396957658,
    0.219086362515982043995534934228163, 0.269266719309996355091226921569469,
    0.295524224714752870173815619188769,
])  # fmt: skip

NODES = np.concatenate([-_POSITIVE, _POSITIVE[-2::-1]])
KRONROD = np.concatenate([_OF_KRONROD, _OF_KRONROD[-2::-1]])
GAUSS = np.zeros(21)
GAUSS[1::2] = np.concatenate([_OF_GAUSS, _OF_GAUSS[::-1]])

EPS, SMALLEST = np.finfo(float).eps, np.finfo(float).tiny
MOST_INTERVALS = 400


class Estimate(NamedTuple):
    """An integral, component by component.

    Attributes
    ----------
    value, error : ndarray
    size : ndarray
        The integral of the absolute value.
    """

    value: Vector
    error: Vector
    size: Vector


def integrated(integrand: Integrand, n: int, parts: Sequence[tuple[float, float]],
               tol: float) -> tuple[Estimate, bool]:  # fmt: skip
    """Return the integral over parts, of `n` components, and whether it's within the tolerance.

    Parameters
    ----------
    integrand : callable
        Returns `n` numbers.
    n : int
    parts : sequence of (float, float)
        Their begin and end, which may be infinite.
    tol : float
        Of the error, relative to the integral of the absolute value.
    """
    pieces = [piece for part in parts for piece in _mapped(integrand, *part)]
    order = itertools.count()
    heap: list[tuple[float, int, Estimate, Integrand, float, float]] = []
    total = np.zeros((3, n))

    def add(function: Integrand, low: float, high: float) -> None:
        estimate = _rule(function, low, high)
        worst = float(np.max(np.nan_to_num(estimate.error, nan=np.inf), initial=0.0))
        heapq.heappush(heap, (-worst, next(order), estimate, function, low, high))

    for function, low, high in pieces:
        add(function, low, high)
    while True:
        total = np.array([entry[2] for entry in heap]).reshape(-1, 3, n).sum(axis=0)
        value, error, size = total
        if bool(np.all(error <= np.maximum(tol * size, SMALLEST))):
            return Estimate(value, error, size), True
        _, _, _, function, low, high = heap[0]
        middle = low + (high - low) / 2
        is_narrow = middle in (low, high)
        if len(heap) >= MOST_INTERVALS or is_narrow or not np.isfinite(size).all():
            return Estimate(value, error, size), False
        heapq.heappop(heap)
        add(function, low, middle)
        add(function, middle, high)


def _mapped(integrand: Integrand, begin: float,
            end: float) -> list[tuple[Integrand, float, float]]:  # fmt: skip
    """Return what is integrated over which finite intervals for an integral."""
    if begin == end:
        return []
    if np.isinf(begin) and np.isinf(end):
        return [*_mapped(integrand, begin, 0.0), *_mapped(integrand, 0.0, end)]
    if np.isfinite(begin) and np.isfinite(end):
        return [(integrand, begin, end)]
    at, way = (begin, np.sign(end)) if np.isfinite(begin) else (end, np.sign(begin))
    sign = way if np.isfinite(begin) else -way

    def inwards(u: float) -> Vector:
        found: Vector = sign * integrand(at + way * (1.0 - u) / u) / (u * u)
        return found

    return [(inwards, 0.0, 1.0)]


def _rule(function: Integrand, low: float, high: float) -> Estimate:
    centre, half = low + (high - low) / 2, (high - low) / 2
    with np.errstate(all="ignore"):
        values: Array = np.array([function(centre + half * node) for node in NODES])
        return estimate(values, half)


def estimate(values: Array, half: float) -> Estimate:
    """Return the integral over an interval of half a length, from values at its 21 nodes."""
    value = KRONROD @ values
    spread = KRONROD @ np.abs(values - value / 2) * abs(half)
    size = KRONROD @ np.abs(values) * abs(half)
    error = np.abs((value - GAUSS @ values) * half)
    scaled = spread * np.minimum(1.0, (200 * error / np.where(spread > 0.0, spread, 1.0)) ** 1.5)
    error = np.where((spread > 0.0) & (error > 0.0), scaled, error)
    is_rounded = size > SMALLEST / (50 * EPS)
    return Estimate(value * half, np.where(is_rounded, np.maximum(50 * EPS * size, error), error),
                    size)  # fmt: skip
