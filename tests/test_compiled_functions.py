"""NumPy's functions in compiled code that are loops of ours, and types by their names."""

from __future__ import annotations

import numpy as np
import pytest
from numba import float64 as numbas_float64
from numba import njit
from numpy import float64

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.testing import check_grads

POINTS = [np.array([0.31, 0.72, 0.13, 0.54, 0.92, 0.35]),
          np.array([1.31, -0.72, 0.43, 0.05, -0.92, 0.65])]  # fmt: skip


@njit
def of_vectors(x):
    knots, values = np.array([0.0, 0.5, 1.0]), np.array([1.0, 3.0, 2.0])
    y = np.linspace(x[0], x[1], 5)
    y[0] = np.array(x[2])  # an array without axes
    total = np.interp(x[0], knots, x[1:4]) + np.median(x) * x[0] + np.median(x[:3])
    total += np.trapezoid(x, dx=0.5) + np.trapezoid(y) * np.nansum(x)
    total += np.round(x[0], 1) * x[1]
    for number in np.cross(x[:3], x[3:6]):
        total += number * number
    for number in np.interp(x, knots, values):
        total += number
    for number in np.linspace(0.0, 1.0, 3):
        total += number * x[3]
    return total


@njit
def of_matrices(x):
    whole, m = x.copy().reshape((1, 2, 1, 3)), x.copy().reshape((2, 3))
    total = 0.0
    for axis in (1, 3, -4):
        for number in np.sum(whole, axis=axis).flat:
            total += number * number
    for number in np.triu(m, 1).flat:
        total += number * number
    for number in np.tril(m, -1).flat:
        total += 3.0 * number
    for number in np.cross(m, x[1:4]).flat:
        total += number * number
    return total


@njit
def of_named_types(x):
    y, z, w = np.zeros(3, float64), np.zeros(3, dtype="float64"), np.empty(2, dtype="f8")
    y[0], z[0], z[1] = x[0], x[1], x[2]
    w[0], w[1] = float64(x[3]), x[4]
    return y[0] * z[0] + z[1] * z[1] * w[0] * w[1] + x[5]


@njit(numbas_float64(numbas_float64[:]))
def of_declared_types(x):
    return np.sum(x * x * x)


FUNCTIONS = {f.__name__: f for f in (of_vectors, of_matrices, of_named_types, of_declared_types)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients_are_those_of_plain_python(name):
    function = FUNCTIONS[name]
    for point in POINTS:
        value, gradient = tg.value_and_grad(function)(point)
        assert value == pytest.approx(function.py_func(point), rel=1e-13)
        check_grads(function.py_func, (point,))
        np.testing.assert_allclose(gradient, tg.grad(function.py_func)(point), rtol=1e-12)


@pytest.mark.parametrize("name", ["of_vectors", "of_named_types"])
def test_the_form_for_compiled_code_is_the_same(name):
    derivative = tg.value_and_grad(FUNCTIONS[name])
    for point in POINTS:
        out = np.zeros(6)
        value, gradient = derivative(point)
        assert derivative.njit(point, out) == pytest.approx(value, rel=1e-14)
        np.testing.assert_allclose(out, gradient, rtol=1e-12)


@njit
def edges(x, y, k):
    if k == 0:
        return np.median(x)
    if k == 1:
        return np.nansum(x)
    if k == 2:
        return np.interp(x[0], y, y)
    return np.round(x, -1)[1]


def test_nans_and_ends_are_numpys():
    with_nan, y = np.array([12.0, 16.0, np.nan]), np.array([0.0, 1.0, 2.0])
    for k in range(4):
        for x in (with_nan, with_nan[:2], np.array([np.nan, 25.0]), np.array([2.0, -5.0])):
            value, gradient = tg.value_and_grad(edges)(x, y, k)
            np.testing.assert_array_equal(value, edges.py_func(x, y, k))
            wanted = tg.grad(edges.py_func)(x, y, k)
            if not np.isnan(value):
                np.testing.assert_allclose(gradient, wanted, rtol=1e-13)


def test_an_array_stored_in_one_element_is_refused_in_words():
    @njit
    def function(x):
        y = np.zeros(2)
        y[0] = x
        return y[0]

    with pytest.raises(UnsupportedFunctionError) as caught:
        tg.grad(function)(np.ones(3))
    assert "%" not in str(caught.value)
    assert "insertvalue" not in str(caught.value)
