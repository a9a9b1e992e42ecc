"""Functions that several tests differentiate."""

from __future__ import annotations

import numpy as np


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def two(x, y):
    return x * x * y + np.sin(y)


def polynomial(x):
    return np.sum(x**3) * x[0] + x[1] * x[2]
