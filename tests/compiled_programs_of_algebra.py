"""Compiled programs of linear algebra, statistics and choices."""

from __future__ import annotations

import math

import numpy as np
from compiled_programs import program
from numba import njit

# --- linear algebra ---------------------------------------------------------------------------


@program([2.0, 1.5, 3.0, 0.4, -0.6, 1.0])
def tridiagonal_solve_in_place(x):
    n = 3
    diagonal, right = x[:n].copy(), x[n:].copy()
    for i in range(1, n):
        factor = -0.3 / diagonal[i - 1]
        diagonal[i] -= factor * -0.3
        right[i] -= factor * right[i - 1]
    right[n - 1] /= diagonal[n - 1]
    for i in range(n - 2, -1, -1):
        right[i] = (right[i] + 0.3 * right[i + 1]) / diagonal[i]
    return np.sum(right * right)


@program([0.3, -0.2, 0.5])
def log_determinant_by_cholesky(x):
    n = len(x)
    matrix, lower = np.zeros((n, n)), np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            matrix[i, j] = math.exp(-((x[i] - x[j]) ** 2)) + (1.0 if i == j else 0.0)
    for i in range(n):
        for j in range(i + 1):
            rest = matrix[i, j]
            for k in range(j):
                rest -= lower[i, k] * lower[j, k]
            lower[i, j] = math.sqrt(rest) if i == j else rest / lower[j, j]
    return 2.0 * np.sum(np.log(np.diag(lower)))


@program([0.1, 2.0, -1.0, 0.5], [3.0, 1.0, 0.5, 0.5])
def elimination_with_pivots(x):
    a = np.array([[x[0], x[1]], [x[2], x[3]]])
    b = np.array([1.0, x[0]])
    if abs(a[1, 0]) > abs(a[0, 0]):
        for j in range(2):
            a[0, j], a[1, j] = a[1, j], a[0, j]
        b[0], b[1] = b[1], b[0]
    factor = a[1, 0] / a[0, 0]
    y = (b[1] - factor * b[0]) / (a[1, 1] - factor * a[0, 1])
    return (b[0] - a[0, 1] * y) / a[0, 0] + y


@njit
def element_stiffness(length, modulus):
    return modulus / length * np.array([[1.0, -1.0], [-1.0, 1.0]])


@program([1.0, 2.0, 0.5])
def finite_elements(x):
    n = len(x)
    stiffness, load = np.zeros((n + 1, n + 1)), np.ones(n + 1)
    for e in range(n):
        stiffness[e : e + 2, e : e + 2] += element_stiffness(1.0 / n, x[e])
    displacement = np.linalg.solve(stiffness[1:, 1:], load[1:])
    return np.max(displacement) + displacement[0]


@program([0.2, 0.7, -0.4, 1.1])
def power_iteration(x):
    matrix = np.empty((2, 2))
    matrix[0, :] = x[:2]
    matrix[1] = x[2:]
    matrix = matrix @ matrix.T
    vector = np.ones(2)
    for _ in range(6):
        vector = matrix @ vector
        vector /= np.sqrt(np.sum(vector**2))
    return vector @ matrix @ vector


@program([0.9, 0.1, -0.3, 0.2])
def quaternion_rotation(x):
    w, a, b, c = x / np.linalg.norm(x)
    rotated = np.array([
        1.0 - 2.0 * (b * b + c * c), 2.0 * (a * b + c * w), 2.0 * (a * c - b * w),
    ])  # fmt: skip
    return rotated[0] * 0.3 + rotated[1] * -1.2 + rotated[2]


@program(np.linspace(-1.0, 1.3, 12).tolist())
def blocks_of_three_axes(x):
    cube = x.reshape((2, 3, 2))
    other = np.zeros_like(cube)
    other[0] = cube[1] * 2.0
    other[1, :, 0] = cube[0, :, 1]
    other[1, 1:, 1] += cube[0, :2, 0] ** 2
    return np.sum(other * cube) + other.sum(axis=0).sum(axis=1)[1]


# --- statistics -------------------------------------------------------------------------------

OBSERVED = np.array([0.3, 0.9, 1.1, 0.7, 1.6])


@program([0.2, 0.8, -1.0])
def kalman_filter(x):
    drift, gain_noise, log_noise = x[0], x[1] ** 2, x[2]
    mean, variance, likelihood = 0.0, 1.0, 0.0
    for y in OBSERVED:
        mean, variance = mean + drift, variance + gain_noise
        innovation, spread = y - mean, variance + math.exp(log_noise)
        likelihood -= 0.5 * (math.log(spread) + innovation**2 / spread)
        gain = variance / spread
        mean, variance = mean + gain * innovation, (1.0 - gain) * variance
    return likelihood


@program([0.5, -0.3, 0.1], [-0.5, 0.9, 0.4])
def most_likely_path(x):
    scores = np.zeros(2)
    for k in range(6):
        stay = scores + x[k % 3]
        leave = scores[::-1] - x[2] * 0.5
        scores = np.maximum(stay, leave) + np.array([0.1 * k, x[0]])
    return max(scores[0], scores[1])


@njit
def normal_cdf(z):
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


@program([100.0, 95.0, 0.03, 0.25, 0.7])
def black_scholes(x):
    spot, strike, rate, volatility, time = x
    spread = volatility * math.sqrt(time)
    d = (math.log(spot / strike) + (rate + 0.5 * volatility**2) * time) / spread
    return spot * normal_cdf(d) - strike * math.exp(-rate * time) * normal_cdf(d - spread)


DRAWS = np.random.default_rng(5).normal(size=(6, 10))


@program([1.0, 0.3], [1.1, 0.1])
def option_on_fixed_draws(x):
    total = 0.0
    for path in DRAWS:
        price, highest = x[0], x[0]
        for draw in path:
            price *= math.exp(x[1] * 0.3 * draw - 0.5 * (0.3 * x[1]) ** 2)
            highest = max(highest, price)
        if highest < 1.35:
            total += max(price - 0.95, 0.0)
    return total / len(DRAWS)


@program([0.3, -1.0, 0.8], [2.0, 2.5, -0.5])
def log_of_summed_exponentials(x):
    largest = np.max(x)
    weights = np.exp(x - largest)
    return largest + math.log(weights.sum()) + (weights / weights.sum())[1]


# --- choices ----------------------------------------------------------------------------------


@program([0.3, 0.8, -0.2], [0.9, -0.8, 0.4])
def state_machine(x):
    state, total = 0, 0.0
    for k in range(12):
        signal = math.sin(k * x[0]) + x[2]
        if state == 0:
            total += signal * x[1]
            state = 1 if signal > 0.4 else 0
        elif state == 1:
            total -= signal**2
            state = 2 if signal < 0.2 else 1
        else:
            total *= 0.9
            state = 0
    return total


@njit
def larger_or_blend(a, b=None):
    if b is None:
        return a * 0.5
    return a if a > b else 0.3 * a + 0.7 * b


@program([0.4, 0.9], [0.9, 0.4])
def optional_arguments(x):
    return larger_or_blend(x[0], x[1]) * larger_or_blend(x[1]) + larger_or_blend(x[0], 0.5)


@njit
def ackermann_like(depth, value):
    if depth == 0:
        return value + 0.1
    return ackermann_like(depth - 1, value * value * 0.5) + value / depth


@program([0.7, 1.2])
def recursion(x):
    return ackermann_like(4, x[0]) * x[1]


@program([0.4, -0.7, 1.9, 0.2], [-0.4, 0.7, -1.9, 2.2])
def lists_and_masks(x):
    kept = [abs(number) for number in x if number > -0.5]
    kept.append(x[0] * x[1])
    pairs = [(kept[i], i * x[2]) for i in range(len(kept))]
    total = sum(kept)
    for first, second in pairs:
        total += first * second
    y = x * 2.0
    y[y > 1.0] = 0.5
    return total + np.sum(np.where(x > 0.0, x**2, -0.1 * x)) + np.sum(y[y < 0.4])


@program([7.3, 2.1], [-3.7, 1.4])
def remainders_and_rounding(x):
    whole, rest = divmod(x[0], x[1])
    return (whole + rest * x[1] + x[0] % 0.7 + x[0] // 2.0 + np.fmod(x[0], x[1])
            + round(x[1], 1) * x[0] + math.floor(x[0]) * x[1] + x[1] ** int(x[1]))  # fmt: skip


SCALES = (0.5, 1.5)


def scaled_by(factor):
    offset = np.array([0.1, 0.2])

    @njit
    def scaled(number, k):
        return factor * number * SCALES[k] + offset[k]

    return scaled


scaled_by_three = scaled_by(3.0)


@program([0.6, -1.1])
def closures_and_constants(x):
    return scaled_by_three(x[0], 0) * scaled_by_three(x[1], 1) + scaled_by_three(2.0, 0) * x[0]
