"""Black-Scholes call prices of 100,000 options, the normal distribution function through erf.

The point is (spot, strike, rate, volatility, time) by option; the function is the prices' total,
whose gradient holds each option's five derivatives.
"""

import math
from typing import Any

import numba
import numpy as np
from scipy.special import erf

from workloads.workload import Array, Workload

OPTIONS = 100_000
ROOT_HALF = math.sqrt(0.5)


def array_form(x: Any) -> Any:
    """NumPy and scipy.special."""
    spot, strike, rate, volatility, time = x[0], x[1], x[2], x[3], x[4]
    spread = volatility * np.sqrt(time)
    d1 = (np.log(spot / strike) + rate * time) / spread + 0.5 * spread
    d2 = d1 - spread
    discounted = strike * np.exp(-rate * time)
    gain = spot * (0.5 + 0.5 * erf(d1 * ROOT_HALF))
    return np.sum(gain - discounted * (0.5 + 0.5 * erf(d2 * ROOT_HALF)))


@numba.njit(cache=True)
def compiled(x: Array) -> float:
    """The same as a loop."""
    total = 0.0
    for i in range(x.shape[1]):
        spot, strike, rate, volatility, time = x[0, i], x[1, i], x[2, i], x[3, i], x[4, i]
        spread = volatility * math.sqrt(time)
        d1 = (math.log(spot / strike) + rate * time) / spread + 0.5 * spread
        d2 = d1 - spread
        discounted = strike * math.exp(-rate * time)
        gain = spot * (0.5 + 0.5 * math.erf(d1 * ROOT_HALF))
        total += gain - discounted * (0.5 + 0.5 * math.erf(d2 * ROOT_HALF))
    return total


@numba.njit(cache=True)
def greeks(x: Array) -> tuple[float, Array]:
    """Value and gradient from the closed forms (Hull, Options, Futures and Other Derivatives)."""
    total = 0.0
    gradient = np.empty_like(x)
    for i in range(x.shape[1]):
        spot, strike, rate, volatility, time = x[0, i], x[1, i], x[2, i], x[3, i], x[4, i]
        root = math.sqrt(time)
        spread = volatility * root
        d1 = (math.log(spot / strike) + rate * time) / spread + 0.5 * spread
        discount = math.exp(-rate * time)
        below1 = 0.5 + 0.5 * math.erf(d1 * ROOT_HALF)
        below2 = 0.5 + 0.5 * math.erf((d1 - spread) * ROOT_HALF)
        density = math.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi)
        total += spot * below1 - strike * discount * below2
        gradient[0, i] = below1
        gradient[1, i] = -discount * below2
        gradient[2, i] = strike * time * discount * below2
        gradient[3, i] = spot * density * root
        gradient[4, i] = (
            0.5 * spot * density * volatility / root + rate * strike * discount * below2
        )
    return total, gradient


def book() -> Array:
    """Options of ordinary moneyness, rates and times."""
    low = np.array([[80.0], [80.0], [0.01], [0.1], [0.2]])
    high = np.array([[120.0], [120.0], [0.05], [0.5], [2.0]])
    return low + (high - low) * np.random.default_rng(5).random((5, OPTIONS))


def workload() -> Workload:
    """The whole book."""
    return Workload("bs", book(), (), compiled, greeks)
