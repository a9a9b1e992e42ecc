"""Programs as scientists write them: their gradients against four ways to know them."""

from __future__ import annotations

import types

import numpy as np
import programs_of_simulation  # noqa: F401 - adds its programs to the others
import pytest
from programs import PROGRAMS

import tapegrad as tg
from tapegrad.testing import check_grads

AT_EVERY_POINT = [
    pytest.param(program, point, id=f"{name}-{k}")
    for name, program in PROGRAMS.items()
    for k, point in enumerate(program.points)
]


def only(kind):
    return [param for param in AT_EVERY_POINT if getattr(param.values[0], kind)]


def with_numpy_replaced(function, numpy):
    """Return a copy of a function, to which another module is `np`."""
    names = {**function.__globals__, "np": numpy}
    copy = types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


@pytest.mark.parametrize(("program", "point"), AT_EVERY_POINT)
def test_the_value_is_that_of_the_plain_program(program, point):
    given = point.copy()
    expected = program.function(point)
    assert isinstance(expected, float)
    assert tg.value_and_grad(program.function)(point)[0] == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(point, given)


@pytest.mark.parametrize(("program", "point"), AT_EVERY_POINT)
def test_the_gradient_is_that_of_differences(program, point):
    check_grads(program.function, (point,))


@pytest.mark.parametrize(("program", "point"), only("smooth"))
def test_the_second_derivative_of_smooth_programs_is_that_of_differences(program, point):
    check_grads(program.function, (point,), order=2)


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_replay_at_another_point_is_a_fresh_recording_made_there(program):
    replayed = tg.value_and_grad(program.function)
    for point in program.points + program.points[::-1]:
        # A function of its own, so that nothing recorded before can be used.
        fresh = tg.value_and_grad(lambda x: program.function(x))
        value, gradient = replayed(point)
        expected_value, expected_gradient = fresh(point)
        np.testing.assert_array_equal(value, expected_value)
        np.testing.assert_array_equal(gradient, expected_gradient)


@pytest.mark.parametrize(("program", "point"), only("array_expression"))
def test_another_library_finds_the_same_gradient(program, point):
    autograd = pytest.importorskip("autograd")
    numpy = pytest.importorskip("autograd.numpy")
    expected = autograd.grad(with_numpy_replaced(program.function, numpy))(point)
    # Of an element that cancels, only the digits left over are wrong.
    np.testing.assert_allclose(
        tg.grad(program.function)(point), expected, rtol=1e-11, atol=1e-14 * abs(expected).max()
    )
