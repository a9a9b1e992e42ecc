"""What adds nothing to a derivative: stopped gradients, and branches not taken."""

from __future__ import annotations

import numpy as np
import pytest
from trees import same

import tapegrad as tg

# --- stop_gradient -----------------------------------------------------------------------------


def test_stop_gradient_keeps_the_value_and_stops_every_order():
    def f(x):
        return x * tg.stop_gradient(x)

    assert tg.value_and_grad(f)(3.0) == (9.0, 3.0)
    derivative = tg.grad(f)
    assert [derivative(x) for x in (1.0, 5.0, -2.0)] == [1.0, 5.0, -2.0]
    assert tg.grad(tg.grad(f))(3.0) == 0.0
    assert tg.hessian(lambda x: x**3 * tg.stop_gradient(x) ** 2)(2.0) == 6 * 2.0 * 4.0
    assert tg.jacobian(tg.grad(f), mode="reverse")(3.0) == 0.0
    assert tg.jvp(f, (3.0,), (1.0,)) == (9.0, 3.0)


def test_stop_gradient_of_a_tree_stops_every_leaf():
    def f(p):
        q = tg.stop_gradient(p)
        return np.sum(p["w"] * q["w"]) * q["b"][0] + p["b"][0]

    w = np.array([1.0, 2.0])
    same(tg.grad(f)({"w": w, "b": [3.0]}), {"w": 3 * w, "b": [1.0]})


def test_stop_gradient_of_what_is_not_active_is_itself():
    x = {"a": [1, "s", None, 2.5], "b": (True,)}
    assert tg.stop_gradient(x) == x
    assert tg.stop_gradient(2.0) == 2.0


def test_a_guard_on_a_stopped_number_is_still_checked():
    derivative = tg.grad(lambda x: x * x if tg.stop_gradient(x) > 1.0 else 3.0 * x)
    assert [derivative(x) for x in (2.0, 0.5, 3.0, -1.0)] == [4.0, 3.0, 6.0, 3.0]


def test_stop_gradient_inside_an_inner_derivative_lets_the_outer_one_through():
    def f(x):
        return tg.grad(lambda y: tg.stop_gradient(x) * y * y)(x)

    assert tg.value_and_grad(f)(3.0) == (18.0, 6.0)


# --- NaN and infinity --------------------------------------------------------------------------


def test_nan_goes_through():
    value, gradient = tg.value_and_grad(lambda x: np.sum(x * x))(np.array([1.0, np.nan]))
    assert np.isnan(value)
    np.testing.assert_array_equal(gradient, [2.0, np.nan])


def test_a_branch_not_taken_leaks_nothing_in_any_order():
    def f(x):
        return np.where(x > 0.0, np.sqrt(np.where(x > 0.0, x, 0.0)), 0.0 * x) + x * x

    derivative = tg.grad(f)
    assert derivative(-1.0) == -2.0
    assert derivative(0.0) == 0.0
    assert tg.grad(derivative)(-1.0) == 2.0
    assert derivative(4.0) == pytest.approx(8.25)
    assert tg.grad(derivative)(4.0) == pytest.approx(2.0 - 0.25 * 4.0**-1.5)


def test_where_without_a_second_where_leaks_nothing_either():
    derivative = tg.grad(lambda x: np.where(x > 0.0, np.log(x), x * 2.0))
    assert [derivative(x) for x in (-1.0, 0.0, 4.0)] == [2.0, 2.0, 0.25]
    assert tg.grad(derivative)(-1.0) == 0.0
    assert tg.grad(derivative)(0.0) == 0.0
