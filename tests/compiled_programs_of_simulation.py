"""Compiled programs that simulate, search and count, with points where they branch otherwise."""

from __future__ import annotations

import math
from collections import namedtuple

import numpy as np
from compiled_programs import program
from numba import njit

# --- roots and quadrature ---------------------------------------------------------------------


@njit
def cubic(t, x):
    return t**3 + x[0] * t - x[1]


@program([1.0, 2.5], [0.2, 0.9])
def root_by_secants(x):
    before, now = 0.0, 1.5
    for _ in range(40):
        rise = cubic(now, x) - cubic(before, x)
        if abs(rise) < 1e-14:
            return now
        before, now = now, now - cubic(now, x) * (now - before) / rise
        if abs(now - before) < 1e-13:
            break
    return now


@njit
def residuals(u, v, x):
    return u * u + v * v - x[0], u * v - x[1]


@program([4.0, 1.0], [2.5, 0.7])
def two_equations_by_newton(x):
    u, v = 2.0, 0.3
    for _ in range(20):
        f, g = residuals(u, v, x)
        if max(abs(f), abs(g)) < 1e-13:
            break
        det = 2.0 * u * u - 2.0 * v * v
        u -= (f * u - 2.0 * v * g) / det
        v -= (2.0 * u * g - f * v) / det
    return u - 2.0 * v


@njit
def peak(t, x):
    return x[0] / (1.0 + x[1] * t * t)


@njit
def between(f, x, a, fa, b, fb, depth):
    middle = 0.5 * (a + b)
    fm = f(middle, x)
    whole = (b - a) * (fa + 4.0 * fm + fb) / 6.0
    if depth == 0 or abs(whole - 0.5 * (b - a) * (fa + fb)) < 1e-3:
        return whole
    return between(f, x, a, fa, middle, fm, depth - 1) + between(f, x, middle, fm, b, fb, depth - 1)


@program([1.3, 4.0], [0.4, 60.0])
def quadrature_by_halving(x):
    return between(peak, x, -1.0, peak(-1.0, x), 1.0, peak(1.0, x), 8)


# --- tables -----------------------------------------------------------------------------------

DEPTHS = np.array([0.0, 1.0, 3.0, 4.0, 6.0])
DENSITIES = np.array([1.0, 1.2, 1.1, 1.7, 1.9])


@program([0.5, 3.6, 5.1], [2.2, 7.0, -1.0])
def looked_up_by_bisection(x):
    total = 0.0
    for depth in x:
        if depth <= DEPTHS[0] or depth >= DEPTHS[-1]:
            continue
        i = np.searchsorted(DEPTHS, depth) - 1
        weight = (depth - DEPTHS[i]) / (DEPTHS[i + 1] - DEPTHS[i])
        total += (1.0 - weight) * DENSITIES[i] + weight * DENSITIES[i + 1]
    return total * x[0]


@program([0.5, 3.6, 1.2, 0.4], [2.5, 1.7, 1.2, 2.2])
def charge_on_a_grid(x):
    density = np.zeros(6)
    for i, place in enumerate(x):
        cell = int(np.floor(place))
        share = place - cell
        density[cell] += (1.0 - share) * (i + 1)
        density[cell + 1] += share
    return np.sum(density**2 * np.arange(1.0, 7.0))


@program([0.3, 1.9, 0.8, 2.6], [2.6, 0.1, 0.2, 0.3])
def sorted_by_insertion(x):
    a = x.copy()
    for i in range(1, len(a)):
        key, j = a[i], i - 1
        while j >= 0 and a[j] > key:
            a[j + 1] = a[j]
            j -= 1
        a[j + 1] = key
    middle = 0.5 * (a[1] + a[2])
    return middle * a[-1] - a[0] ** 2


# --- motion -----------------------------------------------------------------------------------


@njit
def accelerate(positions, charges, forces):
    """Fill the forces between all pairs and return their energy."""
    forces[:] = 0.0
    energy = 0.0
    n = positions.shape[0]
    for i in range(n):
        for j in range(n):
            if i == j:
                continue
            apart = 0.05
            for k in range(2):
                apart += (positions[i, k] - positions[j, k]) ** 2
            energy += 0.5 * charges[i] * charges[j] / math.sqrt(apart)
            for k in range(2):
                pull = (positions[i, k] - positions[j, k]) / (apart * math.sqrt(apart))
                forces[i, k] += charges[i] * charges[j] * pull
    return energy


@program([0.0, 0.1, 1.2, -0.1, 0.5, 1.1], [0.3, 0.0, 0.9, 0.8, -0.6, 0.2])
def charges_by_velocity_verlet(x):
    positions, charges = x.reshape(3, 2).copy(), np.array([1.0, -0.5, 0.8])
    velocities, forces = np.zeros_like(positions), np.empty((3, 2))
    energy = accelerate(positions, charges, forces)
    for _ in range(4):
        velocities += 0.05 * forces
        positions += 0.1 * velocities
        energy = accelerate(positions, charges, forces)
        velocities += 0.05 * forces
    return energy + 0.5 * (velocities**2).sum() + positions[0].max()


State = namedtuple("State", "angle speed steps")


@njit
def swing(state, length, step):
    pull = -9.81 / length * math.sin(state.angle)
    speed = state.speed + step * pull
    return State(state.angle + step * speed, speed, state.steps + 1)


@program([0.9, 1.3], [0.2, 0.6])
def pendulum_until_it_turns(x):
    state = State(x[0], 0.0, 0)
    while state.angle > 0.0 and state.steps < 200:
        last, state = state, swing(state, x[1], 0.02)
    share = last.angle / (last.angle - state.angle)
    return 0.02 * (last.steps + share)


@program([0.4, 1.7, 0.9], [2.3, 0.6, 0.1])
def balls_between_walls(x):
    places, speeds, hits = np.zeros(3), np.array([1.0, -1.4, 2.2]), 0
    for i in range(3):
        places[i] = 0.2 + 0.3 * i
        speeds[i] *= x[i]
    counts = np.zeros(3, dtype=np.int64)
    for _ in range(30):
        for i in range(3):
            places[i] += 0.1 * speeds[i]
            if places[i] < 0.0:
                places[i], speeds[i] = -places[i], -0.9 * speeds[i]
            elif places[i] > 1.0:
                places[i], speeds[i] = 2.0 - places[i], -0.9 * speeds[i]
            else:
                continue
            counts[i] += 1
            hits += 1
    return np.dot(places, speeds) + 0.1 * hits * places[0] + counts[1] * speeds[2]


@program([12.0, 1.4], [19.0, 1.1])
def spiking_neuron(x):
    voltage, spikes, last_spike = -65.0, 0, -1.0
    resting = 0
    charge = 0.0
    for step in range(120):
        if resting > 0:
            resting -= 1
            continue
        voltage += 0.25 * (-(voltage + 65.0) + x[0] * x[1]) / 5.0
        if voltage >= -50.0:
            charge += voltage * (step - last_spike)
            voltage, resting, last_spike = -65.0, 8, float(step)
            spikes += 1
    return voltage + 0.01 * charge * x[1] + spikes


@program([0.0, 0.0, -3.0, 0.1], [0.0, 2.0, -3.0, 0.1])
def ray_to_a_sphere(x):
    direction = np.array([x[3], 0.2, 1.0])
    direction /= np.linalg.norm(direction)
    along = -np.dot(x[:3], direction)
    under = along**2 - (np.sum(x[:3] ** 2) - 1.0)
    if under < 0.0:
        return 0.0
    hit = x[:3] + (along - np.sqrt(under)) * direction
    return hit @ np.array([0.3, 0.5, -0.8])


@program([0.9, 0.25], [0.3, 0.1])
def epidemic_until_its_peak(x):
    susceptible, infected, recovered = 0.99, 0.01, 0.0
    day = 0
    while True:
        new = 0.5 * x[0] * susceptible * infected
        healed = 0.5 * x[1] * infected
        if new <= healed or day == 60:
            return infected + 0.01 * recovered
        susceptible, infected, recovered = (
            susceptible - new, infected + new - healed, recovered + healed,
        )  # fmt: skip
        day += 1


@program([0.1, 0.9, 0.4, 0.3], [1.9, -1.0, 0.2, 0.8])
def advection_with_a_limiter(x):
    u = x.copy()
    n = len(u)
    for _ in range(3):
        flux = np.empty(n)
        for i in range(n):
            left, right = u[i] - u[i - 1], u[(i + 1) % n] - u[i]
            slope = 0.0
            if left * right > 0.0:
                slope = 2.0 * left * right / (left + right)
            flux[i] = 0.3 * (u[i] + 0.35 * slope)
        for i in range(n):
            u[i] -= flux[i] - flux[i - 1]
    return u @ np.arange(1.0, n + 1.0)


# --- statistics and recursions over tables ----------------------------------------------------


@program([0.3, 1.2, 0.9, 2.0], [1.4, -0.2, 0.5, 0.6])
def time_warping(x):
    n, m = len(x), len(DENSITIES)
    cost = np.full((n + 1, m + 1), np.inf)
    cost[0, 0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            best = min(cost[i - 1, j], cost[i, j - 1], cost[i - 1, j - 1])
            cost[i, j] = (x[i - 1] - DENSITIES[j - 1]) ** 2 + best
    return cost[n, m]


@program([0.4, 0.7, 1.1, 0.2, 0.6, 0.9], [1.4, 0.1, 0.3, 1.2, 0.2, 0.5])
def shortest_paths(x):
    length = np.zeros((3, 3))
    k = 0
    for i in range(3):
        for j in range(3):
            if i != j:
                length[i, j] = x[k]
                k += 1
    for k in range(3):
        for i in range(3):
            for j in range(3):
                length[i, j] = min(length[i, j], length[i, k] + length[k, j])
    return length.sum() + length.max() ** 2


@program([0.5, -0.2, 0.3, 1.0, 0.4, -0.7])
def columns_centred_and_scaled(x):
    table = x.reshape(3, 2)
    centred = table - table.sum(axis=0) / 3.0
    covariance = centred.T @ centred / 2.0
    scaled = np.cumsum(np.exp(table[:, 0])) / table.shape[0]
    return np.linalg.det(covariance) + covariance[0, 1] * scaled[-1]


@program([0.5, 0.1, 0.2, 0.4], [0.9, -0.3, 0.5, 0.1])
def tracked_with_two_states(x):
    motion = np.array([[1.0, x[0]], [0.0, 1.0]])
    seen = np.array([[1.0, 0.0]])
    mean, spread = np.array([x[1], 1.0]), np.eye(2)
    error = 0.0
    for y in DENSITIES[:3]:
        mean = motion @ mean
        spread = motion @ spread @ motion.T + 0.1 * np.eye(2)
        innovation = y - mean[0]
        total = spread[0, 0] + x[2] ** 2 + 0.1
        gain = spread[:, 0] / total
        mean = mean + gain * innovation
        spread = (np.eye(2) - np.outer(gain, seen[0])) @ spread
        error += innovation**2 / total + np.log(total)
    return error + mean[1] * x[3]


@program([0.2, 0.5, -0.1, 0.7], [3.0, 0.5, 1.0, 2.0])
def pivoted_rows(x):
    a, b = np.empty((3, 3)), np.ones(3)
    for i in range(3):
        for j in range(3):
            a[i, j] = np.sin(x[(i + 2 * j) % 4] * (i + 1.0) + j)
    for k in range(3):
        pivot = k + np.argmax(np.abs(a[k:, k]))
        if pivot != k:
            row = a[k].copy()
            a[k] = a[pivot]
            a[pivot] = row
            b[k], b[pivot] = b[pivot], b[k]
        for i in range(k + 1, 3):
            factor = a[i, k] / a[k, k]
            a[i, k:] -= factor * a[k, k:]
            b[i] -= factor * b[k]
    solution = np.zeros(3)
    for i in range(2, -1, -1):
        solution[i] = (b[i] - a[i, i + 1 :] @ solution[i + 1 :]) / a[i, i]
    return np.sum(np.tanh(solution))


@program([0.4, 1.2, -0.6], [1.4, 0.3, 0.6])
def fizz_buzz(x):
    total, words = 0.0, 0
    for n in range(1, 31):
        if n % 15 == 0:
            total += x[0] * x[1]
        elif n % 3 == 0:
            total -= math.sin(x[0] * n)
        elif n % 5 == 0:
            words |= 1 << (n // 5)
            total = abs(total) * x[1]
        else:
            if not (0.0 < total < 3.0):
                continue
            total += x[2] / n
    return total + words * x[2]
