"""Compiled programs differentiated unchanged: against differences, Python and compiled code."""

import numpy as np
import pytest
from compiled_checks import CHECKS, programs_of
from numba import njit

import tapegrad as tg

PROGRAMS = programs_of("compiled_programs")


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_a_program(program, check):
    check(program)


@njit
def with_a_constant_part(x):
    return x[0] * tg.stop_gradient(x[1]) + np.sum(tg.stop_gradient(x * 2.0) * x)


def test_a_derivative_is_stopped_in_compiled_code():
    x, out = np.array([0.7, 1.9]), np.empty(2)
    value, gradient = tg.value_and_grad(with_a_constant_part)(x)
    assert value == with_a_constant_part.py_func(x)
    expected = [x[1] + 2.0 * x[0], 2.0 * x[1]]
    np.testing.assert_allclose(gradient, expected, rtol=1e-15)
    tg.value_and_grad(with_a_constant_part).njit(x, out)
    np.testing.assert_allclose(out, expected, rtol=1e-15)
