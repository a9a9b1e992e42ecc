"""Functions for Numba as scientists write them, each with points where it takes other branches."""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

PROGRAMS: dict[str, CompiledProgram] = {}


@dataclass(frozen=True)
class CompiledProgram:
    """A compiled function of one array, and where it is differentiated."""

    function: Any
    points: list[npt.NDArray[np.float64]]


def program(*points: Sequence[float]) -> Callable[[Callable[..., Any]], Any]:
    def collect(function: Callable[..., Any]) -> Any:
        compiled = njit(function)
        arrays = [np.array(point, dtype=float) for point in points]
        assert function.__name__ not in PROGRAMS
        PROGRAMS[function.__name__] = CompiledProgram(compiled, arrays)
        return compiled

    return collect


# --- recurrences and loops --------------------------------------------------------------------


@program([0.4, 3.1], [0.7, 2.2])
def logistic_map(x):
    state = x[0]
    for _ in range(12):
        state = x[1] * state * (1.0 - state)
    return state


@program([1.5, 0.3, -2.0, 0.7])
def horner(x):
    result = 0.0
    for i in range(len(x) - 1, -1, -1):
        result = result * 0.9 + x[i]
    return result


@program([2.0, 0.5])
def continued_fraction(x):
    value = x[0]
    for k in range(1, 15):
        value = x[0] + k * x[1] / value
    return value


@program([0.3, 0.9, 1.7], [1.1, -0.4, 0.2])
def smoothed_prefix_sums(x):
    sums = np.zeros(len(x) + 1)
    for i in range(len(x)):
        sums[i + 1] = sums[i] * 0.8 + x[i] ** 2
    total = 0.0
    for s in sums:
        total += math.sqrt(1.0 + s)
    return total


@program([0.2, 0.9], [0.9, 0.2])
def early_exit(x):
    total = 0.0
    for k in range(50):
        total += x[0] ** k / (k + 1.0)
        if total > 1.5:
            return total * x[1]
        if total > 1.1 and k % 2 == 1:
            break
    else:
        total -= x[1]
    return total


# --- roots, tables, quadrature ----------------------------------------------------------------


@program([2.7], [11.0])
def root_by_newton(x):
    guess = x[0]
    while abs(guess * guess - x[0]) > 1e-13:
        guess = 0.5 * (guess + x[0] / guess)
    return guess


@program([0.1, 2.3], [0.7, 1.9])
def polished_bisection(x):
    low, high = 0.0, 3.0
    for _ in range(30):
        middle = 0.5 * (low + high)
        if middle**3 + x[0] * middle > x[1]:
            high = middle
        else:
            low = middle
    root = 0.5 * (low + high)
    return root - (root**3 + x[0] * root - x[1]) / (3.0 * root**2 + x[0])


TABLE = np.array([0.0, 0.8, 1.4, 1.1, 2.0, 1.7])


@program([0.35, 1.2], [3.6, 0.7])
def table_look_up(x):
    i = min(int(x[0]), len(TABLE) - 2)
    weight = x[0] - i
    return ((1.0 - weight) * TABLE[i] + weight * TABLE[i + 1]) * x[1]


@njit
def integrand(t, rate):
    return math.exp(-rate * t) * math.cos(3.0 * t)


@program([0.7, 2.0])
def simpson(x):
    n = 20
    step = x[1] / n
    total = integrand(0.0, x[0]) + integrand(x[1], x[0])
    for i in range(1, n):
        total += (4 if i % 2 else 2) * integrand(i * step, x[0])
    return total * step / 3.0


@program([0.6, 1.4], [1.2, -0.3])
def gauss_legendre(x):
    nodes = np.array([-0.7745966692414834, 0.0, 0.7745966692414834])
    weights = np.array([5.0, 8.0, 5.0]) / 9.0
    half = 0.5 * (x[1] - x[0])
    points = 0.5 * (x[0] + x[1]) + half * nodes
    return half * np.sum(weights * np.exp(-(points**2)))


# --- differential equations -------------------------------------------------------------------


@njit
def oscillator(state, stiffness, out):
    out[0] = state[1]
    out[1] = -stiffness * state[0] - 0.1 * state[1] * abs(state[1])


@program([1.0, 0.0, 2.0], [0.3, -1.5, 4.0])
def runge_kutta(x):
    state, step = x[:2].copy(), 0.05
    k1, k2, k3, k4 = np.zeros(2), np.zeros(2), np.zeros(2), np.zeros(2)
    for _ in range(20):
        oscillator(state, x[2], k1)
        oscillator(state + 0.5 * step * k1, x[2], k2)
        oscillator(state + 0.5 * step * k2, x[2], k3)
        oscillator(state + step * k3, x[2], k4)
        state += step / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return state[0] ** 2 + 0.5 * state[1]


@program([1.3, 0.4])
def adaptive_steps(x):
    t, y, step = 0.0, x[0], 0.2
    for _ in range(200):
        if t >= 1.0:
            break
        step = min(step, 1.0 - t)
        euler = y + step * (-x[1] * y * y)
        middle = y + 0.5 * step * (-x[1] * y * y)
        better = y + step * (-x[1] * middle * middle)
        error = abs(better - euler)
        if error < 1e-2:
            t, y = t + step, better
            step *= 1.5
        else:
            step *= 0.5
    return y


@program([0.4, -0.2, 1.1, 0.6])
def leapfrog(x):
    position, velocity = x[:2].copy(), x[2:].copy()
    for _ in range(15):
        velocity -= 0.05 * position * (1.0 + position @ position)
        position += 0.1 * velocity
        velocity -= 0.05 * position * (1.0 + position @ position)
    return np.sum(position**2) + velocity[0] * velocity[1]


@program([0.1, 0.5, 0.9, 0.2, 0.7, 0.3])
def heat_in_place(x):
    u = x.copy()
    for _ in range(8):
        last = u[0]
        for i in range(1, len(u) - 1):
            new = u[i] + 0.2 * (last - 2.0 * u[i] + u[i + 1])
            last, u[i] = u[i], new
    return np.mean(u**2)


@program([1.6, 9.0], [0.9, 14.0])
def bouncing_ball(x):
    height, speed, bounces = x[0], 0.0, 0
    for _ in range(120):
        speed -= 9.81 * 0.01
        height += speed * 0.01
        if height < 0.0:
            height, speed = -height, -0.8 * speed
            bounces += 1
    return height * x[1] + bounces


# --- particles --------------------------------------------------------------------------------


@program([0.0, 0.1, 1.2, -0.1, 0.5, 1.1, -0.8, 0.7])
def lennard_jones(x):
    atoms = x.reshape((4, 2))
    energy = 0.0
    for i in range(4):
        for j in range(i):
            apart = atoms[i] - atoms[j]
            inverse = 1.0 / (apart[0] ** 2 + apart[1] ** 2)
            energy += 4.0 * (inverse**6 - inverse**3)
    return energy


@program([0.5, 0.0, -0.5, 0.1, 0.1, 0.8])
def gravity_step(x):
    positions = x.reshape(3, 2)
    forces = np.zeros((3, 2))
    masses = (1.0, 0.3, 0.7)
    for i in range(3):
        for j in range(i + 1, 3):
            d = positions[j] - positions[i]
            pull = d * (masses[i] * masses[j] / (np.sum(d * d) + 0.01) ** 1.5)
            forces[i] += pull
            forces[j] -= pull
    return np.linalg.norm(forces[0]) + forces[1, 0] * forces[2, 1]


Body = namedtuple("Body", ["mass", "speed"])


@njit
def collide(first, second, restitution):
    total = first.mass + second.mass
    centre = (first.mass * first.speed + second.mass * second.speed) / total
    change = restitution * (first.speed - second.speed)
    return (Body(first.mass, centre - second.mass / total * change),
            Body(second.mass, centre + first.mass / total * change))  # fmt: skip


@program([1.0, 2.0, 0.6, 0.9])
def collisions_of_named_tuples(x):
    a, b = Body(x[0], 1.0), Body(x[1], -x[2])
    for _ in range(3):
        a, b = collide(a, b, x[3])
    return a.speed * b.mass + b.speed**2
