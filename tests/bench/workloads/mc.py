"""An Asian call by Monte Carlo: 252 steps, 100 paths, drawn once; 5 inputs.

The point is (spot, strike, rate, volatility, time); the pay-off is the path's mean above the
strike, discounted and averaged over the paths.
"""

from functools import partial
from typing import Any

import numba
import numpy as np

from workloads.workload import Array, Workload, complex_step

PATHS, STEPS = 100, 252


def scalar_form(p: Any, normals: Any) -> Any:
    """Plain Python numbers, NumPy for the functions."""
    spot, strike, rate, volatility, time = p[0], p[1], p[2], p[3], p[4]
    dt = time / STEPS
    drift = (rate - 0.5 * volatility * volatility) * dt
    spread = volatility * np.sqrt(dt)
    total = 0.0
    for path in range(PATHS):
        price = spot
        mean = 0.0
        for step in range(STEPS):
            price = price * np.exp(drift + spread * normals[path, step])
            mean = mean + price
        total = total + np.maximum(mean / STEPS - strike, 0.0)
    return np.exp(-rate * time) * total / PATHS


def array_form(p: Any, normals: Any) -> Any:
    """NumPy: all paths at once."""
    spot, strike, rate, volatility, time = p[0], p[1], p[2], p[3], p[4]
    dt = time / STEPS
    drift = (rate - 0.5 * volatility * volatility) * dt
    spread = volatility * np.sqrt(dt)
    prices = spot * np.exp(np.cumsum(drift + spread * normals, axis=1))
    gains = np.maximum(np.mean(prices, axis=1) - strike, 0.0)
    return np.exp(-rate * time) * np.mean(gains)


compiled = numba.njit(cache=True)(scalar_form)

# np.maximum orders complex numbers by their real parts, as the pay-off needs it.
reference = partial(complex_step, array_form)


def draws() -> Array:
    """The seeded normal increments, a row for each path."""
    return np.random.default_rng(6).standard_normal((PATHS, STEPS))


def workload() -> Workload:
    """One year at the money."""
    point = np.array([100.0, 100.0, 0.03, 0.2, 1.0])
    return Workload("mc", point, (draws(),), compiled, reference)
