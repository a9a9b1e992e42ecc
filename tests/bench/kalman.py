"""Figures of a Kalman filter written in NumPy: its gradient against the filter in Numba.

    python tests/bench/kalman.py [STEPS]

4 states, 2 observations, 10,000 steps: each step of the recording calls blocks, which roll. The
time of the compiled gradient is a ratio to that of the same function compiled by Numba.
"""

import os
import sys

import timing

os.environ.update(timing.ONE_THREAD)

import time
from functools import partial
from typing import Any

import numba
import numpy as np

import tapegrad as tg

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
MOST, RUNS = 4.0, 15
THETA = np.array([-2.0, -1.0, 0.99])
F = np.array(
    [[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0]]
)
H = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
DATA = 0.1 * np.random.default_rng(0).normal(size=(STEPS, 2)).cumsum(0)


def likelihood(theta: Any) -> Any:
    """Minus the logarithm of a likelihood, of two variances and a factor."""
    q, r = np.eye(4) * np.exp(theta[0]), np.eye(2) * np.exp(theta[1])
    a = F * theta[2]
    x, p, total = np.zeros(4), np.eye(4), 0.0
    for z in DATA:
        x, p = a @ x, a @ p @ a.T + q
        y, s = z - H @ x, H @ p @ H.T + r
        gain = np.linalg.solve(s, H @ p).T
        x, p = x + gain @ y, p - gain @ H @ p
        total = total + 0.5 * (y @ np.linalg.solve(s, y) + np.log(np.linalg.det(s)))
    return total


def main() -> None:
    """Print the figures."""
    timing.pin()
    derivative = tg.value_and_grad(likelihood, compile="now")
    start = time.perf_counter()
    derivative(THETA)
    recorded = time.perf_counter()
    value, gradient = derivative(THETA)
    compiled = time.perf_counter()
    function = numba.njit(likelihood)
    assert abs(function(THETA) - value) < 1e-9 * abs(value)
    ours, own = timing.in_turn(
        partial(derivative, THETA), partial(function, THETA), RUNS, limit=60.0
    )
    step = np.array([1e-4, -2e-4, 1e-5])
    change = (function(THETA + step) - function(THETA - step)) / 2.0
    assert abs(gradient @ step - change) < 1e-5 * abs(change)
    tape = derivative.recorded.recordings[0].tape
    print(f"{STEPS:,} steps, {len(tape):,} records: recorded in {recorded - start:.1f} s, compiled "
          f"in {compiled - recorded:.1f} s")  # fmt: skip
    print(f"value and gradient: {ours / own:.2f} times the filter by Numba, {1e3 * own:.1f} ms "
          f"(asked: at most {MOST})")  # fmt: skip


if __name__ == "__main__":
    main()
