"""Arrays outside of recorded functions, and what the tests assert of functions that use them."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import LostDerivativeError

T = np.array([0.2, 0.5, 0.9])
M = np.array([[0.2, 0.5, 0.9], [1.0, 2.0, 3.0]])
IDX = [2, 0, 1]
OUTSIDE = {"T": T, "M": M}
POINTS = np.array([0.4, 1.3, 2.2]), np.array([-1.1, 0.6, 3.5])


def assert_slope(function, slope):
    """Assert the value, the plain function's, and the gradient, at two points, and what's kept."""
    kept = {name: array.copy() for name, array in OUTSIDE.items()}
    derivative = tg.value_and_grad(function)
    for x in POINTS:
        value, gradient = derivative(x)
        np.testing.assert_allclose(value, function(x), rtol=1e-14)
        np.testing.assert_allclose(gradient, slope(x), rtol=1e-13, atol=1e-14)
    for name, array in OUTSIDE.items():
        np.testing.assert_array_equal(array, kept[name])


def assert_refused(function, match="write y = np"):
    with pytest.raises(LostDerivativeError, match=match):
        tg.grad(function)(POINTS[0])
