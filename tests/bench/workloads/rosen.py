"""The Rosenbrock chain: sum over i < n - 1 of 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2.

Eight operations a term, every term independent, each input read by two of them.
"""

from typing import Any

import numba
import numpy as np

from workloads.workload import Array, Workload


def array_form(x: Any) -> Any:
    """NumPy."""
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def scalar_form(x: Any) -> Any:
    """Plain Python numbers."""
    total = 0.0
    for i in range(len(x) - 1):
        total += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


compiled = numba.njit(cache=True)(scalar_form)


@numba.njit(cache=True)
def adjoint(x: Array) -> tuple[float, Array]:
    """Value and gradient, written by hand."""
    total = 0.0
    gradient = np.zeros_like(x)
    for i in range(len(x) - 1):
        curve = x[i + 1] - x[i] ** 2
        miss = 1.0 - x[i]
        total += 100.0 * curve**2 + miss**2
        gradient[i] -= 400.0 * curve * x[i] + 2.0 * miss
        gradient[i + 1] = 200.0 * curve
    return total, gradient


def start(n: int) -> Array:
    """A seeded point around the minimum."""
    return 1.0 + 0.3 * np.random.default_rng(n).standard_normal(n)


def workload(n: int) -> Workload:
    """The chain of `n` variables."""
    return Workload("rosen", start(n), (), compiled, adjoint)
