"""Programs on arrays as scientists write them, each with points where it takes other branches."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, hypot, log, sqrt

import numpy as np
import numpy.typing as npt

PROGRAMS: dict[str, Program] = {}


@dataclass(frozen=True)
class Program:
    """A function of one array, and what is known of it.

    Attributes
    ----------
    smooth : bool
        Its second derivatives are compared with differences too.
    array_expression : bool
        It assigns no elements and calls NumPy by the global name `np`, so that another library
        can stand in for NumPy.
    """

    function: Callable[[npt.NDArray[np.float64]], float]
    points: list[npt.NDArray[np.float64]]
    smooth: bool
    array_expression: bool


def program(points: Sequence[Sequence[float]], smooth=False, array_expression=False):
    def collect(function):
        arrays = [np.array(point, dtype=float) for point in points]
        assert function.__name__ not in PROGRAMS
        PROGRAMS[function.__name__] = Program(function, arrays, smooth, array_expression)
        return function

    return collect


# --- arrays filled, masked, indexed and moved ---------------------------------------------------


@program([[1.0, 4.0, 2.0, -1.0], [0.5, 0.25, 3.0, 2.0, 1.0, -2.0]], smooth=True)
def deviation_from_a_moving_average(x):
    smoothed = np.zeros(len(x))
    for i in range(len(x)):
        smoothed[i] = x[max(0, i - 1) : i + 2].mean()
    return np.sum((x - smoothed) ** 2)


@program([[1.0, 2.0, 1.5, 0.0], [0.0, -1.0, 0.5]], smooth=True)
def length_of_a_curve(x):
    slope = np.empty(len(x))
    slope[0] = x[1] - x[0]
    slope[-1] = x[-1] - x[-2]
    slope[1:-1] = (x[2:] - x[:-2]) / 2
    return np.trapezoid(np.sqrt(1 + slope**2), dx=0.5)


@program([[0.3, -0.4, 2.0, -3.0], [1.8, -0.4, 0.2, 0.1], [2.0, 3.0, 4.0, -5.0]])
def huber_by_masks(x):
    loss = np.zeros_like(x)
    small = np.abs(x) < 1.0
    loss[small] = 0.5 * x[small] ** 2
    loss[~small] = np.abs(x[~small]) - 0.5
    return loss.sum()


@program([[0.3, -0.4, 2.0], [0.6, 0.4, -2.0], [1.0, 2.0, 3.0]])
def mean_of_the_positive(x):
    positive = x[x > 0]
    return positive.mean() + len(positive) * np.prod(positive)


@program([[0.2, 1.6, 3.3], [2.7, 1.6, 0.4], [2.2, 2.4, 2.6]])
def charge_on_a_grid(x):
    cell = np.floor(x).astype(int)
    share = x - cell
    density = np.zeros(6)
    np.add.at(density, cell, 1 - share)
    np.add.at(density, cell + 1, share)
    return np.sum(density**2 * np.arange(1.0, 7.0))


@program([[0.2, 1.6, 3.3, -0.5, 0.8, 1.0], [1.0, 0.5, -1.0, 2.0, 0.1, 0.2]], smooth=True)
def scattered_assignments(x):
    y = np.zeros(6)
    y[[4, 1, 3]] = x[:3] ** 2
    y[[0, 2, 5]] += np.sin(x[3:])
    y[np.arange(0, 6, 2)] *= x[1::2]
    return y @ np.cos(y[::-1])


@program([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.3, -0.2, 0.1, 2.0, 1.0, 0.5]], smooth=True)
def additions_to_views(x):
    y = x.copy()
    even, pairs = y[::2], y.reshape(-1, 2)
    even += x[1::2] ** 2
    pairs[1:] -= 0.5 * pairs[:-1]
    pairs.T[0] *= np.array([1.0, 2.0, 3.0])
    return np.sum(y**2) * y[-1]


@program([[3.0, 1.0, 2.0, 0.5], [1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.5, 1.0]])
def sorted_by_swaps(x):
    a = x.copy()
    for end in range(len(a) - 1, 0, -1):
        for i in range(end):
            if a[i] > a[i + 1]:
                a[[i, i + 1]] = a[[i + 1, i]]
    return sum(v**k for k, v in enumerate(a, 1))


@program([[1.0, 2.0, -1.0], [0.5, 0.1, 0.2, 3.0]], smooth=True)
def joined_and_padded(x):
    ends = np.concatenate([x[-1:], x, x[:1]])
    rows = np.stack([ends[:-2], ends[1:-1], ends[2:]])
    padded = np.pad(rows, ((1, 1), (0, 1)), mode="edge")
    return np.sum(np.tanh(padded[1:] * padded[:-1]))


@program([[1.0, 5.0, 2.0, 9.0, -4.0], [3.0, 2.0, 1.0, 0.0, 7.0]])
def trimmed_mean(x):
    kept = sorted(x)[1:-1]
    return sum(kept) / len(kept) + max(x) * min(x)


@program([[0.5, 2.0, 4.5, 0.2], [6.5, 0.1, 1.1, 3.9]])
def looked_up_between_points(x):
    return np.sum(np.interp(x, DEPTHS, DENSITIES) * x)


DEPTHS = np.array([0.0, 1.0, 3.0, 4.0, 6.0])
DENSITIES = np.array([1.0, 1.2, 1.1, 1.7, 1.9])


@program([[0.5, 2.2], [2.6, 0.3], [3.7, 3.2]])
def read_from_a_table(x):
    total = 0.0
    for place, v in enumerate(x):
        row = DENSITIES[int(v)]
        total += row * v**2 + DEPTHS[int(np.floor(v)) + place]
    return total


# --- linear algebra in loops --------------------------------------------------------------------

MATRIX = [2.0, 0.5, -1.0, 0.3, 1.5, 0.7, -0.2, 0.4, 1.8]
OTHER_MATRIX = [0.1, 1.5, 0.3, 1.9, 0.4, -0.6, 0.2, -0.7, 2.2]


@program([MATRIX, OTHER_MATRIX], smooth=True)
def gram_schmidt(x):
    q = x.reshape(3, 3).copy()
    for i in range(3):
        for j in range(i):
            q[i] -= (q[i] @ q[j]) * q[j]
        q[i] /= np.sqrt(q[i] @ q[i])
    return np.sum(q * np.arange(9.0).reshape(3, 3))


@program([MATRIX, OTHER_MATRIX, MATRIX[::-1]])
def determinant_by_pivots(x):
    a = x.reshape(3, 3).copy()
    sign = 1
    for k in range(3):
        pivot = k + int(np.argmax(np.abs(a[k:, k])))
        if pivot != k:
            a[[k, pivot]] = a[[pivot, k]]
            sign = -sign
        a[k + 1 :, k] /= a[k, k]
        a[k + 1 :, k + 1 :] -= np.outer(a[k + 1 :, k], a[k, k + 1 :])
    return sign * np.prod(np.diag(a))


@program([MATRIX, OTHER_MATRIX])
def householder(x):
    r = np.array(x).reshape(3, 3)
    for k in range(2):
        v = r[k:, k].copy()
        v[0] += np.copysign(np.linalg.norm(v), v[0])
        v /= np.linalg.norm(v)
        r[k:, k:] -= 2.0 * np.outer(v, v @ r[k:, k:])
    return np.sum(np.log(np.abs(np.diag(r)))) + r[0, 2]


@program([MATRIX, OTHER_MATRIX], smooth=True)
def cholesky(x):
    b = x.reshape(3, 3)
    a = b @ b.T + np.eye(3)
    lower = np.zeros((3, 3))
    for i in range(3):
        for j in range(i + 1):
            s = a[i, j] - sum(lower[i, k] * lower[j, k] for k in range(j))
            lower[i, j] = sqrt(s) if i == j else s / lower[j, j]
    return 2 * sum(log(lower[i, i]) for i in range(3)) + lower[2, 0]


@program([[1.0, 2.0, 3.0, 4.0, 5.0], [0.2, -1.0, 0.5, 0.1]], smooth=True)
def tridiagonal_sweeps(x):
    n = len(x)
    upper, right = np.zeros(n), np.zeros(n)
    for i in range(n):
        below = upper[i - 1] if i else 0.0
        pivot = 2.5 + x[i] ** 2 + below
        upper[i] = -1.0 / pivot
        right[i] = (x[i] + (right[i - 1] if i else 0.0)) / pivot
    for i in range(n - 2, -1, -1):
        right[i] -= upper[i] * right[i + 1]
    return np.sum(right**2)


@program([[2.0, 0.3, -0.4, 1.0, 0.2, 0.5], [0.5, 0.3, 0.1, 9.0, -0.2, 1.5]])
def largest_eigenvalue(x):
    a = np.empty((3, 3))
    a[np.triu_indices(3)] = x
    a[np.tril_indices(3)] = a.T[np.tril_indices(3)]
    v, value, last = np.ones(3), 0.0, 1.0
    while abs(value - last) > 1e-14:
        w = a @ v
        v = w / np.sqrt(np.sum(w * w))
        last, value = value, v @ a @ v
    return value


@program([MATRIX, OTHER_MATRIX], smooth=True)
def determinant_by_recursion(x):
    def minor(a):
        if a.shape == (1, 1):
            return a[0, 0]
        below = [np.delete(a[1:], k, axis=1) for k in range(len(a))]
        return sum((-1) ** k * a[0, k] * minor(b) for k, b in enumerate(below))

    return minor(x.reshape(3, 3))


@program([[1.0, 2.0, 0.5, 1.5], [0.4, 1.1, 3.0, 0.7]], smooth=True)
def chain_of_springs(x):
    n = len(x)
    stiffness = np.zeros((n + 1, n + 1))
    for e, k in enumerate(x):
        ends = np.ix_([e, e + 1], [e, e + 1])
        stiffness[ends] += np.exp(k) * np.array([[1.0, -1.0], [-1.0, 1.0]])
    load = np.linspace(0.5, 1.0, n)
    return load @ np.linalg.solve(stiffness[1:, 1:], load)


# --- statistics and learning --------------------------------------------------------------------


@program([[1.0, 2.0, 0.5, 1.5, 4.0, 0.1], [0.4, 1.1, 3.0, 0.7, 2.0, 2.5]], True, True)
def residual_of_a_fit(x):
    t = np.linspace(-1.0, 1.0, 6)
    design = np.stack([t**k for k in range(3)], axis=1)
    weight = 1.0 + x[:, None] ** 2
    c = np.linalg.solve(design.T @ (weight * design), design.T @ (weight[:, 0] * x))
    return np.sum((design @ c - x) ** 2)


@program([[0.3, -0.5, 1.0, 0.2, 0.1], [1.5, 0.5, -1.0, 0.7, -0.3]], True, True)
def mixture_of_normals(x):
    data = np.array([-1.3, -0.2, 0.1, 0.9, 1.7, 2.0])
    means, widths = x[:2], np.exp(x[2:4])
    weights = np.array([0.0, 1.0]) * x[4]
    logs = weights - np.log(widths) - 0.5 * ((data[:, None] - means) / widths) ** 2
    top = np.max(logs, axis=1, keepdims=True)
    total = top[:, 0] + np.log(np.sum(np.exp(logs - top), axis=1))
    return np.sum(total) - 6 * np.log(1 + np.exp(x[4]))


@program([[0.3, -0.5, 1.4, 0.2, 0.7, -0.9], [-1.5, 0.5, -1.0, 0.7, -0.3, 0.4]], False, True)
def network_with_relu(x):
    inputs = np.array([[0.5, 1.0], [-1.0, 0.3], [0.2, -0.8]])
    hidden = inputs @ np.reshape(x[:4], (2, 2))
    hidden = np.where(hidden > 0, hidden, 0.1 * hidden)
    output = np.tanh(hidden @ x[4:])
    return np.mean((output - np.array([0.1, 0.5, -0.4])) ** 2)


@program([np.linspace(-1, 1, 12), np.sin(np.arange(12.0))], smooth=True, array_expression=True)
def attention(x):
    tokens = np.reshape(x, (3, 4))
    mix = np.cos(np.arange(16.0)).reshape(4, 4)
    scores = np.einsum("id,de,je->ij", tokens, mix, tokens) / np.sqrt(4.0)
    scores = np.exp(scores - np.max(scores, axis=1, keepdims=True))
    shares = scores / np.sum(scores, axis=1, keepdims=True)
    return np.sum(np.einsum("ij,jd->id", shares, tokens) ** 2)


@program([[0.3, -0.5, 1.0], [2.0, 1.5, -0.2]], smooth=True, array_expression=True)
def logistic_regression(x):
    features = np.array([[1.0, 0.2, 3.0], [1.0, -1.0, 0.5], [1.0, 0.7, -2.0], [1.0, 2.0, 1.0]])
    signs = np.array([1.0, -1.0, -1.0, 1.0])
    return np.sum(np.logaddexp(0.0, -signs * np.dot(features, x))) + 0.1 * np.dot(x, x)


@program([[0.3, 1.5, 1.0, 2.0], [2.0, 1.5, -0.2, 0.1, 0.6]], smooth=True, array_expression=True)
def roughness_of_a_path(x):
    path = np.cumsum(x)
    return np.sum(np.diff(path, n=2) ** 2) + np.var(path) + np.mean(np.diff(path)) ** 3


@program([[0.0, 0.1, 2.0, 2.3], [1.0, 1.2, 0.3, 3.0], [3.0, 2.0, -1.0, 0.1]])
def clusters_by_nearest_centre(x):
    data = np.array([[0.1, 0.2], [0.4, -0.1], [2.0, 2.2], [2.5, 1.9], [1.2, 1.4]])
    centres = x.reshape(2, 2)
    for _ in range(2):
        distance = ((data[:, None, :] - centres) ** 2).sum(axis=2)
        label = np.argmin(distance, axis=1)
        new = centres.copy()
        for k in range(2):
            if np.any(label == k):
                new[k] = 0.5 * centres[k] + 0.5 * data[label == k].mean(axis=0)
        centres = new
    return np.min(((data[:, None, :] - centres) ** 2).sum(axis=2), axis=1).sum()


# --- Python's own constructs --------------------------------------------------------------------


@program([[0.3, -0.5, 1.0], [2.0, 1.5, -0.2, 0.1]], smooth=True, array_expression=True)
def horner(x):
    value = 0.0
    for c in [0.5, -2.0, 1.0, 3.0]:
        value = value * x + c
    return sum(value)


@program([[0.3, 0.5, 1.0], [2.0, 1.5, 0.2, 0.1]], smooth=True, array_expression=True)
def continued_fraction(x):
    return functools.reduce(lambda below, v: v + 1.0 / (2.0 + below**2), reversed(x), 0.0)


@program([[40.4, -3.7, 48.9, 2.4], [0.1, 0.2, 0.4, -0.8]], smooth=True)
def great_circle(x):
    (lat, lon), (lat2, lon2) = [[math.radians(v) for v in pair] for pair in (x[:2], x[2:])]
    h = math.sin((lat2 - lat) / 2) ** 2
    h += math.cos(lat) * math.cos(lat2) * math.sin((lon2 - lon) / 2) ** 2
    return 2 * 6.371 * math.asin(math.sqrt(h))


@program([[0.0, 0.1, 2.0, 0.3, 1.0, 2.0], [1.0, 1.2, 0.3, 3.0, 2.0, 2.0]], smooth=True)
def perimeter_times_area(x):
    corners = list(zip(x[::2], x[1::2], strict=True))
    following = corners[1:] + corners[:1]
    sides = list(zip(corners, following, strict=True))
    perimeter = sum(hypot(c - a, d - b) for (a, b), (c, d) in sides)
    return perimeter * sum(a * d - b * c for (a, b), (c, d) in sides) / 2


class Enzyme:
    """A reaction's rate."""

    inhibited = True

    def __init__(self, fastest, half):
        self.fastest = fastest
        self.half = half

    def rate(self, s):
        rate = self.fastest * s / (self.half + s)
        return rate / (1.0 + s**2) if self.inhibited and s > 1.0 else rate

    def __call__(self, amounts):
        self.last = [self.rate(s) for s in amounts]
        return max(self.last)


@program([[2.0, 0.5, 0.3, 0.8], [2.0, 0.5, 1.3, 0.2], [1.0, 2.0, 3.0, 4.0]])
def method_of_an_object(x):
    enzyme = Enzyme(fastest=x[0], half=exp(x[1]))
    return enzyme(x[2:]) + sum(r**2 for r in enzyme.last)


@program([[2.0, 0.5, 0.3], [0.2, 1.5, 1.3]], smooth=True)
def dictionary_of_parameters(x):
    settings = {"amplitude": x[0], "decay": x[1], "shift": x[2], "times": [0.1, 0.6, 1.4]}
    settings["amplitude"] *= 2
    settings.update({"offset": settings.pop("shift") ** 2})

    def model(t, *, amplitude, decay, offset=0.0, **_):
        return amplitude * exp(-decay * t) + offset

    return sum(model(t, **settings) ** 2 for t in settings["times"])
