"""Lotka-Volterra by 1000 Runge-Kutta steps: purely sequential, 64 operations a step, 6 inputs.

The inputs are a, b, d, g of x' = a x - b x y, y' = d x y - g y, then x(0), y(0); the loss is the
sum over the steps of (x - 1)^2 + (y - 1)^2. The operators are all it needs, so that the one form
runs on floats, inside Numba and on every tool's own numbers.
"""

from typing import Any

import numba
import numpy as np

from workloads.workload import Array, Workload

STEPS = 1000
STEP = 0.01
OPERATIONS = 64 * STEPS


def scalar_form(p: Any) -> Any:
    """Plain Python numbers."""
    a, b, d, g, x, y = p[0], p[1], p[2], p[3], p[4], p[5]
    half, sixth = STEP / 2, STEP / 6
    loss = 0.0
    for _ in range(STEPS):
        k1, l1 = a * x - b * x * y, d * x * y - g * y
        u, v = x + half * k1, y + half * l1
        k2, l2 = a * u - b * u * v, d * u * v - g * v
        u, v = x + half * k2, y + half * l2
        k3, l3 = a * u - b * u * v, d * u * v - g * v
        u, v = x + STEP * k3, y + STEP * l3
        k4, l4 = a * u - b * u * v, d * u * v - g * v
        x = x + sixth * (k1 + 2 * k2 + 2 * k3 + k4)
        y = y + sixth * (l1 + 2 * l2 + 2 * l3 + l4)
        loss = loss + (x - 1) ** 2 + (y - 1) ** 2
    return loss


compiled = numba.njit(cache=True)(scalar_form)


@numba.njit(cache=True, inline="always")
def _rates(p: Array, x: float, y: float) -> tuple[float, float]:
    """The right-hand side."""
    return (p[0] - p[1] * y) * x, (p[2] * x - p[3]) * y


@numba.njit(cache=True, inline="always")
def _pull(
    p: Array, bar: Array, x: float, y: float, kbar: float, lbar: float
) -> tuple[float, float]:
    """Adjoints of (x, y) from those of the rates (kbar, lbar); parameters' go into `bar`."""
    xy = x * y
    bar[0] += kbar * x
    bar[1] -= kbar * xy
    bar[2] += lbar * xy
    bar[3] -= lbar * y
    return (
        kbar * (p[0] - p[1] * y) + lbar * p[2] * y,
        lbar * (p[2] * x - p[3]) - kbar * p[1] * x,
    )


@numba.njit(cache=True)
def adjoint(p: Array) -> tuple[float, Array]:
    """Value and gradient, written by hand: states stored, stages computed again going back."""
    xs, ys = np.empty(STEPS + 1), np.empty(STEPS + 1)
    xs[0], ys[0] = p[4], p[5]
    half, sixth = STEP / 2, STEP / 6
    loss = 0.0
    for i in range(STEPS):
        x, y = xs[i], ys[i]
        k1, l1 = _rates(p, x, y)
        k2, l2 = _rates(p, x + half * k1, y + half * l1)
        k3, l3 = _rates(p, x + half * k2, y + half * l2)
        k4, l4 = _rates(p, x + STEP * k3, y + STEP * l3)
        xs[i + 1] = x + sixth * (k1 + 2 * k2 + 2 * k3 + k4)
        ys[i + 1] = y + sixth * (l1 + 2 * l2 + 2 * l3 + l4)
        loss += (xs[i + 1] - 1) ** 2 + (ys[i + 1] - 1) ** 2
    bar = np.zeros(6)
    xbar, ybar = 0.0, 0.0
    for i in range(STEPS - 1, -1, -1):
        x, y = xs[i], ys[i]
        k1, l1 = _rates(p, x, y)
        u2, v2 = x + half * k1, y + half * l1
        k2, l2 = _rates(p, u2, v2)
        u3, v3 = x + half * k2, y + half * l2
        k3, l3 = _rates(p, u3, v3)
        u4, v4 = x + STEP * k3, y + STEP * l3
        xbar += 2 * (xs[i + 1] - 1)
        ybar += 2 * (ys[i + 1] - 1)
        sx, sy = sixth * xbar, sixth * ybar
        u4bar, v4bar = _pull(p, bar, u4, v4, sx, sy)
        u3bar, v3bar = _pull(p, bar, u3, v3, 2 * sx + STEP * u4bar, 2 * sy + STEP * v4bar)
        u2bar, v2bar = _pull(p, bar, u2, v2, 2 * sx + half * u3bar, 2 * sy + half * v3bar)
        u1bar, v1bar = _pull(p, bar, x, y, sx + half * u2bar, sy + half * v2bar)
        xbar += u1bar + u2bar + u3bar + u4bar
        ybar += v1bar + v2bar + v3bar + v4bar
    bar[4], bar[5] = xbar, ybar
    return loss, bar


def workload() -> Workload:
    """Ten time units around the fixed point (1.5, 1.1)."""
    point = np.array([1.1, 1.0, 0.8, 1.2, 1.3, 0.7])
    return Workload("ode", point, (), compiled, adjoint)
