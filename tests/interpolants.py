"""Data for tests of interpolants, and what is asked of every function of them."""

from __future__ import annotations

import numpy as np

import tapegrad as tg
from tapegrad.testing import check_grads

_random = np.random.default_rng(8)
X = np.linspace(0.0, 3.0, 8) + _random.uniform(-0.1, 0.1, 8)
Y = _random.normal(size=8)
COLUMNS = _random.normal(size=(2, 8, 3))
INSIDE = np.array([0.31, 0.42, 1.13, 2.24, 2.77])
BESIDE = np.array([-0.26, 0.33, 1.14, 2.21, 3.38])


def total(found):
    """A sum of sines of all numbers of a result."""
    return np.sum(np.sin(found))


def agrees(function, *args, order=2, rtol=1e-12):
    """Ask that a function of active numbers has SciPy's value, and the derivatives of that."""
    expected = function(*args)
    found, _ = tg.value_and_grad(function, compile="never")(*args)
    np.testing.assert_allclose(found, expected, rtol, 1e-13)
    check_grads(function, args, order=order)


def recordings(derivative):
    """How many recordings a derivative has."""
    return len(derivative.recorded.recordings)


def replays(function, points, derivative=None):
    """Ask that one recording holds at all points, with the same numbers as a fresh one each."""
    again = tg.value_and_grad(function, compile="never")
    for point in points:
        value, gradient = again(point)
        np.testing.assert_allclose(value, function(point), 1e-13, 1e-14)
        fresh = tg.grad(function, compile="never")(point)
        np.testing.assert_array_equal(gradient, fresh)
        if derivative is not None:
            np.testing.assert_allclose(gradient, derivative(point), 1e-12, 1e-13)
    assert recordings(again) == 1
