"""Compiled programs differentiated unchanged: against differences, Python and compiled code."""

import compiled_programs_of_algebra  # noqa: F401 - adds its programs to the others
import compiled_programs_of_simulation  # noqa: F401
import numpy as np
import pytest
from compiled_programs import PROGRAMS
from numba import njit

import tapegrad as tg
from tapegrad.testing import check_grads

AT_EVERY_POINT = [
    pytest.param(program.function, point, id=f"{name}-{k}")
    for name, program in PROGRAMS.items()
    for k, point in enumerate(program.points)
]


@pytest.mark.parametrize(("function", "point"), AT_EVERY_POINT)
def test_value_and_gradient(function, point):
    given = point.copy()
    value, gradient = tg.value_and_grad(function)(point)
    # The form in Python says the same, and needn't be compiled for floats.
    assert value == pytest.approx(function.py_func(point), rel=1e-14)
    np.testing.assert_array_equal(point, given)
    check_grads(function.py_func, (point,))
    of_python = tg.grad(function.py_func)(point)
    np.testing.assert_allclose(gradient, of_python, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_replay_at_another_point_is_a_fresh_recording_made_there(name):
    function, points = PROGRAMS[name].function, PROGRAMS[name].points
    replayed = tg.value_and_grad(function)
    for point in points + points[::-1]:
        value, gradient = replayed(point)
        expected_value, expected = tg.value_and_grad(lambda x: function(x))(point)
        assert value == expected_value
        np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_form_for_compiled_code_finds_the_same(name):
    function, points = PROGRAMS[name].function, PROGRAMS[name].points
    derivative = tg.value_and_grad(function)
    for point in points:
        out = np.full(len(point), np.nan)
        value, expected = derivative(point)
        assert derivative.njit(point, out) == pytest.approx(value, rel=1e-14)
        np.testing.assert_allclose(out, expected, rtol=1e-11, atol=1e-13)


@njit
def with_a_constant_part(x):
    return x[0] * tg.stop_gradient(x[1]) + np.sum(tg.stop_gradient(x * 2.0) * x)


def test_a_derivative_is_stopped_in_compiled_code():
    x, out = np.array([0.7, 1.9]), np.empty(2)
    value, gradient = tg.value_and_grad(with_a_constant_part)(x)
    assert value == with_a_constant_part(x)
    expected = [x[1] + 2.0 * x[0], 2.0 * x[1]]
    np.testing.assert_allclose(gradient, expected, rtol=1e-15)
    tg.value_and_grad(with_a_constant_part).njit(x, out)
    np.testing.assert_allclose(out, expected, rtol=1e-15)
