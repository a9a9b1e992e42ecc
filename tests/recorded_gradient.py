"""How the tests compare a recorded function's gradient with plain differences."""

from __future__ import annotations

import numpy as np
import pytest

import tapegrad as tg

POINT = np.array([0.4, 1.3, 2.2])


def assert_gradient(function, x=POINT, wanted=None):
    """Assert that a plain function's value and, by differences, gradient are the recorded one's."""
    value, gradient = tg.value_and_grad(function)(x)
    assert value == pytest.approx(float(function(x)), rel=1e-14)
    assert type(value) is float
    step = 1e-6
    differences = [
        (function(x + step * unit) - function(x - step * unit)) / (2 * step) for unit in np.eye(3)
    ]
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-8)
