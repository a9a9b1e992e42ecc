"""Places where a function leaves numbers hold plain ones, of the last call."""

from __future__ import annotations

import functools
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest

import tapegrad as tg

X = np.array([1.0, 2.0])
Y = np.array([3.0, -1.0])


class Leaving:
    def __init__(self):
        self.table, self.history, self.recent = {}, [], deque(maxlen=2)
        self.slots = np.zeros(2, object)

    def f(self, x):
        self.residual = x - 1.0
        self.value = np.sum(self.residual**2)
        self.table["value"] = self.value
        self.pair = (x[0], {"y": [x[1]]})
        self.result = SimpleNamespace()
        self.result.value = self.value
        self.history.append(self.value)
        self.recent.append(self.value)
        self.slots[0] = self.value
        self.is_large = self.value > 3.0
        return self.value


def times_ones(product):
    return lambda x: product(x, np.ones(2))


WAYS = {
    "grad": lambda f: tg.grad(f),
    "compiled": lambda f: tg.value_and_grad(f, compile="now"),
    "handle": lambda f: tg.value_and_grad(f).compiled(X),
    "jacobian": lambda f: tg.jacobian(f),
    "hessian": lambda f: tg.hessian(f),
    "hvp": lambda f: times_ones(tg.hvp(f)),
    "hvp_compiled": lambda f: times_ones(tg.hvp(f, compile="now")),
    "jvp": lambda f: lambda x: tg.jvp(f, x, x),
    "vjp": lambda f: lambda x: tg.vjp(f, x)[0],
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_left_in_places_is_plain_and_of_the_last_call(way):
    model = Leaving()
    derivative = WAYS[way](model.f)
    for x in (X, Y, np.array([0.5, 4.0]), X):
        value = float(np.sum((x - 1.0) ** 2))
        derivative(x)
        assert type(model.residual) is np.ndarray
        np.testing.assert_array_equal(model.residual, x - 1.0)
        for found in (model.value, model.table["value"], model.result.value, model.slots[0],
                      model.history[-1], model.recent[-1]):  # fmt: skip
            assert type(found) is float
            assert found == value
        assert model.pair == (x[0], {"y": [x[1]]})
        assert type(model.pair[1]["y"][0]) is float
        assert model.is_large is (value > 3.0)


def test_a_list_that_grows_at_a_call_grows_at_every_call():
    model = Leaving()
    derivative = tg.grad(model.f)
    for x in (X, Y, X):
        derivative(x)
    assert model.history == [1.0, 8.0, 1.0]
    assert list(model.recent) == [8.0, 1.0]


def test_a_list_or_dictionary_in_anothers_place_is_the_one_that_is_filled():
    model = Leaving()
    derivative = tg.grad(model.f)
    derivative(X)
    old_history, old_table = model.history, model.table
    model.history, model.table = [], {}
    for x in (Y, X):
        derivative(x)
    assert (model.history, model.table) == ([8.0, 1.0], {"value": 1.0})
    assert (old_history, old_table) == ([1.0], {"value": 1.0})


def test_a_list_that_is_cleared_holds_the_last_call_only():
    trace = []

    def f(x):
        trace.clear()
        y = x
        for _ in range(3):
            y = y * x
            trace.append(y)
        return y

    derivative = tg.grad(f)
    for x in (2.0, 3.0, 1.0):
        assert derivative(x) == 4.0 * x**3
        assert trace == [x**2, x**3, x**4]


def test_closure_variables_and_defaults_are_places():
    last = None

    def f(x, *, memo={}):  # noqa: B006
        nonlocal last
        last = x * x
        memo["y"] = 2.0 * last
        return last

    derivative = tg.grad(f)
    for x in (2.0, 3.0):
        derivative(x)
        assert (last, f.__kwdefaults__["memo"]["y"]) == (x * x, 2.0 * x * x)
    assert type(last) is float


def test_slots_and_dataclasses_are_places():
    from dataclasses import dataclass

    @dataclass
    class State:
        x: float
        v: float

    class Body:
        __slots__ = ("state",)

    body = Body()

    def f(x):
        body.state = State(x, 2.0 * x)
        return body.state.x * body.state.v

    derivative = tg.grad(f)
    for x in (1.0, 2.0):
        assert derivative(x) == 4.0 * x
        assert body.state == State(x, 2.0 * x)
        assert type(body.state.v) is float


def test_what_an_inner_derivative_leaves_depends_on_the_outer_point():
    kept = SimpleNamespace()

    def inner(y, x):
        kept.p = x * y
        return kept.p * y

    def outer(x):
        slope = tg.grad(inner)(3.0, x)
        return slope * kept.p

    derivative = tg.grad(outer)
    assert [derivative(1.0), derivative(2.0)] == [36.0, 72.0]  # of 6x · 3x
    assert (type(kept.p), kept.p) == (float, 6.0)


def test_the_best_so_far_is_kept_and_used():
    class Best:
        def __init__(self):
            self.best, self.where = float("inf"), None

        def f(self, x):
            value = (x - 1.0) ** 2
            if value < self.best:
                self.best, self.where = value, x
            return value

    model = Best()
    derivative = tg.grad(model.f)
    best = float("inf")
    for x in (5.0, 3.0, 4.0, 2.0, 2.5, 9.0):
        assert derivative(x) == 2.0 * (x - 1.0)
        best = min(best, (x - 1.0) ** 2)
        assert (type(model.best), model.best, model.where) == (float, best, 1.0 + best**0.5)


def test_a_branch_fills_its_own_places():
    model = SimpleNamespace()

    def f(x):
        if x > 0.0:
            model.positive = x
        else:
            model.negative = x
        return x * x

    derivative = tg.grad(f)
    for x in (1.0, -2.0, 3.0, -4.0):
        derivative(x)
    assert (model.positive, model.negative) == (3.0, -4.0)


def test_a_function_that_raises_leaves_plain_numbers_too():
    model = SimpleNamespace()

    def f(x):
        model.square = x * x
        if x > 1.0:
            raise ValueError("too large")
        return x

    with pytest.raises(ValueError, match="too large"):
        tg.grad(f)(2.0)
    assert (type(model.square), model.square) == (float, 4.0)


class Lazy:
    @functools.cached_property
    def weights(self):
        return np.linspace(1.0, 2.0, 3)


KEPT_LIST, KEPT_TABLE, LAZY = [], {}, Lazy()


def by_cached_property(x):
    return np.sum(x * LAZY.weights)


def by_list(x):
    if not KEPT_LIST:
        KEPT_LIST.append(np.linspace(1.0, 2.0, 3))
    return np.sum(x * KEPT_LIST[0])


def by_table(x):
    if len(x) not in KEPT_TABLE:
        KEPT_TABLE[len(x)] = np.linspace(1.0, 2.0, 3)
    return np.sum(x * KEPT_TABLE[len(x)])


@pytest.mark.parametrize("function", [by_cached_property, by_list, by_table])
def test_an_array_made_once_and_kept_is_a_plain_one_afterwards(function):
    derivative = tg.grad(function)
    x = np.array([0.3, -0.7, 1.2])
    for point in (x, 2.0 * x):
        np.testing.assert_array_equal(derivative(point), [1.0, 1.5, 2.0])
    assert function(x) == np.sum(x * [1.0, 1.5, 2.0])
    for kept in (*KEPT_LIST, *KEPT_TABLE.values(), *vars(LAZY).values()):
        assert type(kept) is np.ndarray
