"""Recorded functions: one recording is replayed, and its results are the caller's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from formulas import rosenbrock
from ticks import counted, ran

import tapegrad as tg

# --- replay and record -------------------------------------------------------------------------


def test_new_data_of_the_same_shape_is_replayed():
    f, ticks = counted(lambda x, data: np.sum((x[0] * data - x[1]) ** 2))
    derivative = tg.grad(f)
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, data = rng.standard_normal(2), rng.standard_normal(7)
        r = x[0] * data - x[1]
        expected = [2 * np.sum(r * data), -2 * np.sum(r)]
        np.testing.assert_allclose(derivative(x, data), expected, rtol=1e-12, atol=1e-12)
    assert ran(ticks) == 1


def test_a_replay_at_special_values_is_right():
    f, ticks = counted(lambda x, y: x * y + x)
    derivative = tg.grad(f, argnums=(0, 1))
    for x in (0.0, -0.0, 1e300, -1e-310, math.inf):
        for y in (0.0, 2.0, -3.0):
            dx, dy = derivative(x, y)
            assert dx == y + 1.0
            assert dy == x
    dx, dy = derivative(math.nan, 2.0)
    assert dx == 3.0
    assert math.isnan(dy)
    assert ran(ticks) == 1


def test_every_order_and_kind_of_derivative_is_recorded_once():
    for make in (tg.grad, tg.value_and_grad, tg.jacobian, tg.hessian):
        f, ticks = counted(rosenbrock)
        derivative = make(f)
        for seed in range(5):
            derivative(np.random.default_rng(seed).standard_normal(4))
        assert ran(ticks) == 1, make
    f, ticks = counted(rosenbrock)
    product = tg.hvp(f)
    for seed in range(5):
        product(*np.random.default_rng(seed).standard_normal((2, 4)))
    assert ran(ticks) == 1


def test_two_derivatives_of_one_function_have_their_own_recordings():
    f, ticks = counted(rosenbrock)
    first, second = tg.grad(f), tg.grad(f)
    x = np.linspace(0, 1, 4)
    np.testing.assert_array_equal(first(x), second(x))
    assert ran(ticks) == 2


# --- results -----------------------------------------------------------------------------------


def test_a_returned_gradient_is_fresh_each_time():
    derivative = tg.grad(rosenbrock)
    x = np.linspace(-1.0, 1.0, 5)
    first = derivative(x)
    kept = first.copy()
    first[:] = 77.0
    second = derivative(x)
    np.testing.assert_array_equal(second, kept)
    assert not np.shares_memory(first, second)
    assert not np.shares_memory(second, x)


def test_a_change_of_the_input_after_the_call_disturbs_nothing():
    x = np.linspace(-1.0, 1.0, 5)
    expected = tg.grad(rosenbrock)(x)
    derivative = tg.grad(rosenbrock)
    first = derivative(x)
    _, pullback = tg.vjp(rosenbrock, x)
    x[:] = 50.0
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(pullback(1.0)[0], expected)
    np.testing.assert_array_equal(derivative(np.linspace(-1.0, 1.0, 5)), expected)


def test_a_function_that_assigns_to_its_argument_leaves_the_callers_alone():
    def f(x):
        x[0] = x[1] * x[1]
        x += 1.0
        return np.sum(x * x)

    x = np.array([3.0, 2.0])
    for _ in range(3):
        result = tg.grad(f)(x)
        np.testing.assert_array_equal(result, [0.0, 2 * 5.0 * 4.0 + 2 * 3.0])
        np.testing.assert_array_equal(x, [3.0, 2.0])


def test_the_gradient_of_the_identity_is_not_the_seed_of_the_next_call():
    derivative = tg.jacobian(lambda x: x)
    first = derivative(np.ones(3))
    first[:] = 5.0
    np.testing.assert_array_equal(derivative(np.ones(3)), np.eye(3))


AUX = {
    "int_array": lambda x: np.array([1, 2, 3]),
    "bool_array": lambda x: np.array([True, False]),
    "float_array": lambda x: np.array([1.0, 2.0]),
    "active_array": lambda x: np.stack([x, x * x]),
    "list": lambda x: [1, [2.0, x]],
    "dict": lambda x: {"a": [1], "b": {"c": np.arange(3)}},
}


@pytest.mark.parametrize("name", AUX)
def test_an_auxiliary_result_that_is_mutated_disturbs_no_later_call(name):
    derivative = tg.grad(lambda x: (x * x, AUX[name](x)), has_aux=True)
    expected = AUX[name](np.float64(3.0))

    def check(found, wanted):
        if isinstance(wanted, dict):
            assert list(found) == list(wanted)
            for key in wanted:
                check(found[key], wanted[key])
        elif isinstance(wanted, list):
            assert len(found) == len(wanted)
            for part, other in zip(found, wanted, strict=True):
                check(part, other)
        else:
            np.testing.assert_array_equal(found, wanted)

    def spoil(found):
        if isinstance(found, np.ndarray):
            found[...] = 0
        elif isinstance(found, dict):
            for part in found.values():
                spoil(part)
            found["spoiled"] = 1
        elif isinstance(found, list):
            for part in found:
                spoil(part)
            found.append(99)

    for _ in range(3):
        gradient, aux = derivative(3.0)
        assert gradient == 6.0
        check(aux, expected)
        spoil(aux)


def test_an_auxiliary_object_is_not_shared_between_calls():
    derivative = tg.grad(lambda x: (x * x, {1, 2}), has_aux=True)
    _, aux = derivative(1.0)
    aux.add(99)
    assert derivative(1.0)[1] == {1, 2}


def test_auxiliary_results_are_those_of_the_point():
    derivative = tg.value_and_grad(
        lambda x: (x * x, {"twice": 2.0 * x, "positive": x > 0.0, "name": "f"}), has_aux=True
    )
    for x in (1.0, -3.0, 2.0):
        (value, aux), gradient = derivative(x)
        assert (value, gradient) == (x * x, 2.0 * x)
        assert aux == {"twice": 2.0 * x, "positive": x > 0.0, "name": "f"}
        assert type(aux["twice"]) is float
        assert type(aux["positive"]) is bool
