"""Taps: a function of the user's gets plain values once a call, and affects nothing."""

from __future__ import annotations

import functools
import io

import numpy as np
import pytest
from ticks import new_ticks, ran

import tapegrad as tg
from tapegrad.errors import NoCompiledFormError, UnsupportedFunctionError

X = np.array([1.0, 2.0])
Y = np.array([3.0, -1.0])


def tapped(seen):
    """Return a function that taps its square and its first element, in that order."""

    def f(x):
        square = np.sum(x**2)
        tg.tap(seen.append, ("square", square))
        tg.tap(seen.append, ("first", x[0]))
        return square * x[0]

    return f


def expected(*points):
    return [item for x in points
            for item in (("square", float(np.sum(x**2))), ("first", float(x[0])))]  # fmt: skip


def times_ones(product):
    return lambda x: product(x, np.ones(2))


WAYS = {
    "grad": lambda f: tg.grad(f),
    "value_and_grad": lambda f: tg.value_and_grad(f),
    "has_aux": lambda f: tg.value_and_grad(lambda x: (f(x), x), has_aux=True),
    "jacobian": lambda f: tg.jacobian(f),
    "jacobian_reverse": lambda f: tg.jacobian(f, mode="reverse"),
    "hessian": lambda f: tg.hessian(f),
    "gradient_of_gradient": lambda f: tg.jacobian(tg.jacobian(f)),
    "hvp": lambda f: times_ones(tg.hvp(f)),
    "hvp_compiled": lambda f: times_ones(tg.hvp(f, compile="now")),
    "jvp": lambda f: lambda x: tg.jvp(f, x, np.ones(2)),
    "vjp": lambda f: lambda x: tg.vjp(f, x)[1](1.0),
    "compiled": lambda f: tg.value_and_grad(f, compile="now"),
    "handle": lambda f: tg.value_and_grad(f).compiled(X),
    "partial": lambda f: functools.partial(tg.grad(f)),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_derivative_calls_taps_once_a_call_in_program_order_with_todays_values(way):
    seen = []
    derivative = WAYS[way](tapped(seen))
    seen.clear()
    for x in (X, Y, X):
        derivative(x)
    assert seen == expected(X, Y, X)
    assert all(type(value) is float for _, value in seen)


def test_taps_change_no_derivative():
    seen = []
    f = tapped(seen)
    assert tg.value_and_grad(f)(X)[0] == 5.0
    np.testing.assert_array_equal(tg.grad(f)(X), [7.0, 4.0])
    np.testing.assert_array_equal(tg.hessian(f)(X), [[6.0, 4.0], [4.0, 2.0]])


def test_a_pullback_calls_no_tap():
    seen = []
    _, pullback = tg.vjp(tapped(seen), X)
    pullback(1.0)
    pullback(2.0)
    assert seen == expected(X)


def test_a_plain_call_calls_taps_at_once_with_what_it_has():
    seen = []
    assert tapped(seen)(X) == 5.0
    assert seen == expected(X)


def test_trees_and_arrays_arrive_as_plain_copies_as_they_were_when_tapped():
    seen = []

    def f(x):
        rows = np.outer(x, x)
        tg.tap(lambda tree, n: seen.append((tree, n)), {"rows": rows, "less": [x[0] < 2.0]}, 7)
        rows[0, 0] = 0.0
        return np.sum(rows)

    derivative = tg.grad(f)
    for x in (X, np.array([1.5, -1.0])):
        derivative(x)
    for (tree, n), x in zip(seen, (X, np.array([1.5, -1.0])), strict=True):
        assert type(tree["rows"]) is np.ndarray
        np.testing.assert_array_equal(tree["rows"], np.outer(x, x))
        assert tree["less"] == [True]
        assert type(tree["less"][0]) is bool
        assert n == 7
    assert seen[0][0]["rows"] is not seen[1][0]["rows"]


def test_a_failed_replay_calls_no_tap_and_a_branch_its_own():
    seen = []

    def f(x):
        tg.tap(seen.append, ("before", x))
        if x > 0.0:
            tg.tap(seen.append, ("positive", x))
            return x * x
        return -x

    derivative = tg.grad(f)
    for x in (1.0, -1.0, 2.0, -2.0):
        derivative(x)
    assert seen == [("before", 1.0), ("positive", 1.0), ("before", -1.0),
                    ("before", 2.0), ("positive", 2.0), ("before", -2.0)]  # fmt: skip


def test_taps_of_an_inner_derivative_are_called_by_the_outermost_only():
    seen = []

    def inner(y, x):
        tg.tap(seen.append, x * y)
        return x * y * y

    def outer(x):
        tg.tap(seen.append, "begin")
        slope = tg.grad(inner)(3.0, x)
        tg.tap(seen.append, slope)
        return slope * x

    derivative = tg.grad(outer)
    assert [derivative(1.0), derivative(2.0)] == [12.0, 24.0]
    assert seen == ["begin", 3.0, 6.0, "begin", 6.0, 12.0]


def test_an_inner_derivative_of_plain_numbers_passes_its_taps_on():
    seen = []

    def outer(x):
        return x * tg.grad(lambda y: tg.tap(seen.append, y) or y * y)(3.0)

    derivative = tg.grad(outer)
    assert [derivative(1.0), derivative(2.0)] == [6.0, 6.0]
    assert seen == [3.0, 3.0]


def test_what_a_tapped_function_raises_is_raised_and_the_next_call_works():
    def stop_at_two(x):
        if x == 2.0:
            raise StopIteration("two")

    derivative = tg.grad(lambda x: tg.tap(stop_at_two, x) or x * x)
    assert derivative(1.0) == 2.0
    with pytest.raises(StopIteration, match="two"):
        derivative(2.0)
    assert derivative(3.0) == 6.0


def test_a_tapped_function_may_call_the_derivative():
    seen = []

    def again(x):
        seen.append(x)
        if x < 3.0:
            derivative(x + 1.0)

    derivative = tg.grad(lambda x: tg.tap(again, x) or x * x)
    assert derivative(1.0) == 2.0
    assert seen == [1.0, 2.0, 3.0]


def test_explain_calls_no_tap():
    seen = []
    tg.explain(tg.grad(tapped(seen)), X, file=io.StringIO())
    assert seen == []


class Model:
    def __init__(self):
        self.rows, self.style, self.k, self.runs = [], "a", 2.0, new_ticks()

    def report(self, value):
        self.rows.append(self.styled(value))

    def styled(self, value):
        return value, self.style

    def by_method(self, x):
        self.runs.release()
        tg.tap(self.report, x)
        return self.k * x * x

    def by_lambda(self, x):
        self.runs.release()
        tg.tap(lambda value: self.rows.append((value, self.style)), x)
        return self.k * x * x


@pytest.mark.parametrize("name", ["by_method", "by_lambda"])
def test_what_only_a_tapped_function_reads_records_nothing_again(name):
    model = Model()
    derivative = tg.grad(getattr(model, name))
    assert derivative(1.0) == 4.0
    model.style = "b"
    assert derivative(2.0) == 8.0
    assert model.rows == [(1.0, "a"), (2.0, "b")]
    assert ran(model.runs) == 1
    model.k = 3.0
    assert derivative(2.0) == 12.0
    assert ran(model.runs) == 2


def test_another_tapped_function_in_its_place_is_the_one_called(make_module):
    module = make_module(
        "tg_tapped",
        "from tapegrad import tap\nfrom ticks import new_ticks\n"
        "seen, runs, sign = [], new_ticks(), 1.0\n"
        "def show(x):\n    seen.append(sign * x)\n"
        "def f(x):\n    runs.release()\n    tap(show, x)\n    return x * x\n",
    )
    derivative = tg.grad(module.f)
    derivative(1.0)
    module.sign = -1.0
    derivative(2.0)
    assert module.seen == [1.0, -2.0]
    assert ran(module.runs) == 1
    module.show = lambda x: module.seen.append("other")
    derivative(3.0)
    assert module.seen == [1.0, -2.0, "other"]


def test_a_list_in_anothers_place_gets_todays_values():
    model = Model()
    derivative = tg.grad(lambda x: tg.tap(model.rows.append, x) or x * x)
    derivative(1.0)
    old, model.rows = model.rows, []
    derivative(2.0)
    assert (old, model.rows) == ([1.0], [2.0])


def test_a_function_of_that_name_is_followed_as_any_other():
    class Water:
        level = 1.0

        def tap(self, function, x):
            return function(x)

    water = Water()
    derivative = tg.grad(lambda x: water.tap(lambda v: v * water.level, x))
    assert derivative(1.0) == 1.0
    water.level = 2.0
    assert derivative(1.0) == 2.0


def test_a_tapped_function_that_is_chosen_by_an_input_is_chosen_again():
    seen, shows = [], [lambda v: seen.append(v), lambda v: seen.append(-v)]
    which = [0]
    derivative = tg.grad(lambda x: tg.tap(shows[which[0]], x) or x * x)
    derivative(1.0)
    which[0] = 1
    derivative(2.0)
    assert seen == [1.0, -2.0]


def test_a_tapped_function_that_holds_active_numbers_says_to_pass_them():
    def f(x):
        y = x * x
        tg.tap(lambda: print(y))
        return y

    with pytest.raises(UnsupportedFunctionError, match=r"pass them, as in .tapegrad.tap\("):
        tg.grad(f)(1.0)


def test_an_object_of_active_numbers_is_refused_by_its_type():
    model = Model()

    def f(x):
        model.k = x
        tg.tap(print, model)
        return x

    with pytest.raises(UnsupportedFunctionError, match=r"of type Model .* tap its numbers"):
        tg.grad(f)(1.0)


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="tap takes a function"):
        tg.tap(1.0, 2.0)


def test_a_compiled_handle_has_no_form_without_python():
    seen = []
    handle = tg.value_and_grad(tapped(seen)).compiled(X)
    for form in ("njit", "address"):
        with pytest.raises(NoCompiledFormError, match=rf"tapegrad.tap.*\.{form}"):
            getattr(handle, form)
    assert seen == []
    value, gradient = handle(Y)
    assert value == 30.0
    np.testing.assert_array_equal(gradient, [28.0, -6.0])
    assert seen == expected(Y)
