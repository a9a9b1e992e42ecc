"""How the tests of recorded functions count recordings."""

from __future__ import annotations

import operator

import numpy as np

import tapegrad as tg

MANY = 10**6


def new_ticks():
    return iter(range(MANY))


def ran(ticks):
    return MANY - operator.length_hint(ticks)


def counted(function):
    """Return the function, counting, and its ticks."""
    ticks = new_ticks()

    def f(*args, **kwargs):
        next(ticks)
        return function(*args, **kwargs)

    return f, ticks


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def fresh_gradient(function, x):
    """The gradient from a recording made at this very point."""
    return tg.grad(function)(x)
