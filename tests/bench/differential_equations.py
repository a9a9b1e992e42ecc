"""Differential equations: value and gradient through SciPy's solvers, beside the plain call.

An epidemic (SEIR) by RK45 and LSODA at rtol 1e-8 with 20 times of observation, by 5 parameters; a
network of 50 species and 100 reactions by BDF, by all rate constants. Ratios are of medians within
one run; the derivative's error is relative to the largest, beside one at a tolerance of 1e-12.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from scipy.integrate import solve_ivp

import tapegrad as tg
from tapegrad.function.points import Point, used

TIMES = np.linspace(0.0, 100.0, 21)[1:]


def epidemic(p, method="RK45", rtol=1e-8):
    def rates(t, y):
        S, E, I, R = y
        infected = p[0] * S * I
        return [-infected + p[4] * R, infected - p[1] * E, p[1] * E - p[2] * I, p[2] * I - p[4] * R]

    start = [1.0 - p[3], p[3], 0.0, 0.0]
    sol = solve_ivp(rates, (0, 100), start, method, t_eval=TIMES, rtol=rtol, atol=1e-2 * rtol)
    return np.sum((sol.y[2] - 0.1) ** 2)


def reactions(n_species=50, n_rates=100, seed=7):
    rng = np.random.default_rng(seed)
    pairs = np.array([rng.choice(n_species, 2, replace=False) for _ in range(n_rates)])
    made = rng.integers(0, n_species, n_rates)
    constants = 10.0 ** rng.uniform(-2, 3, n_rates)
    start = rng.uniform(0.1, 1.0, n_species)
    is_of_two = rng.random(n_rates) < 0.4
    one, other = pairs.T
    times = np.logspace(-3, 1, 20)

    def network(k, method="BDF", rtol=1e-6):
        def rates(t, y):
            speed = k * y[one] * np.where(is_of_two, y[other], 1.0)
            change = np.zeros(n_species)
            np.add.at(change, one, -speed)
            np.add.at(change, made, speed)
            return change

        sol = solve_ivp(rates, (0, 10.0), start, method, t_eval=times, rtol=rtol, atol=1e-3 * rtol)
        return np.sum(sol.y[::5] ** 2)

    return network, constants


def seconds(call, points):
    taken = []
    for point in points:
        begin = time.perf_counter()
        call(point)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def compare(name, function, x, exact):
    gradient = tg.value_and_grad(function)
    found = gradient(x)[1]
    recording = gradient.recorded.recordings[0]

    def value(x):
        return used(Point(recording, x), Point.outputs)

    points = [x * (1.0 + 1e-4 * k) for k in range(1, 8)]
    plain, alone, derived = (seconds(call, points) for call in (function, value, gradient))
    error = np.max(np.abs(found - exact)) / np.max(np.abs(exact))
    print(f"{name}: plain {1e3 * plain:.2f} ms; the value {alone / plain:.2f}, with its gradient "
          f"{derived / plain:.2f} times that; error {error:.1e}", flush=True)  # fmt: skip


def main():
    p = np.array([0.5, 0.2, 0.1, 0.01, 0.02])
    exact = tg.grad(lambda p: epidemic(p, "DOP853", 1e-12))(p)
    for method in ("RK45", "LSODA", "Radau", "BDF"):
        compare(f"SEIR, {method}", lambda p, method=method: epidemic(p, method), p, exact)
    network, k = reactions()
    exact = tg.grad(lambda k: network(k, "Radau", 1e-9))(k)
    for method in ("BDF", "LSODA"):
        compare(f"50 species, 100 constants, {method}",
                lambda k, method=method: network(k, method), k, exact)  # fmt: skip


if __name__ == "__main__":
    main()
