"""Functions with rules of the user's own: what is called, what comes back, what is refused."""

import ctypes
import ctypes.util
import dataclasses
import functools
import math
import operator
import pickle
import re
import threading
import traceback
from collections import namedtuple

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import (
    InputTypeError,
    LostDerivativeError,
    NotPicklableError,
    StructureError,
    UnsupportedFunctionError,
    WrongRuleWarning,
)

X = np.array([0.3, -1.2, 2.0])


def plain(x):
    """What code that can't be recorded needs: no active numbers."""
    for part in x if type(x) in (list, tuple) else [x]:
        assert type(part) in (float, np.ndarray), type(part)
    return x


@tg.custom_rule(vjp=lambda cotangent, result, x: cotangent * np.cos(x))
def sine(x):
    return np.sin(plain(x))


@tg.custom_rule(jvp=lambda tangent, result, x: tangent * np.cos(x), sparsity="diagonal")
def sine_forward(x):
    return np.sin(plain(x))


@tg.custom_rule(jacobian=lambda x: np.diag(np.cos(x)) if np.ndim(x) else np.cos(x))
def sine_jacobian(x):
    return np.sin(plain(x))


@tg.custom_rule(jacobian=lambda x: np.cos(x), sparsity="diagonal")
def sine_entries(x):
    return np.sin(plain(x))


SINES = [sine, sine_forward, sine_jacobian, sine_entries]


def mixed(rule):
    return lambda x: np.sum(rule(x * x) * x)


# --- every order, by every rule -----------------------------------------------------------------


@pytest.mark.parametrize("rule", SINES)
def test_one_rule_gives_every_derivative(rule):
    ours, theirs = mixed(rule), mixed(np.sin)
    derivative = tg.value_and_grad(ours)
    for x in (X, X + 0.1, -X):  # recorded, then replayed
        value, gradient = derivative(x)
        assert value == pytest.approx(theirs(x))
        np.testing.assert_allclose(gradient, tg.grad(theirs)(x))
    assert len(derivative.recorded.recordings) == 1
    np.testing.assert_allclose(tg.jvp(ours, X, X)[1], tg.jvp(theirs, X, X)[1])
    np.testing.assert_allclose(tg.hessian(ours)(X), tg.hessian(theirs)(X), atol=1e-12)
    np.testing.assert_allclose(tg.hvp(ours)(X, X), tg.hvp(theirs)(X, X))
    np.testing.assert_allclose(tg.jacobian(rule)(X), np.diag(np.cos(X)), atol=1e-15)


@pytest.mark.parametrize("rule", SINES)
def test_a_rule_takes_floats_arrays_of_any_shape_and_empty_ones(rule):
    assert tg.grad(lambda x: rule(x) * 2.0)(0.5) == pytest.approx(2.0 * math.cos(0.5))
    third = tg.grad(tg.grad(tg.grad(lambda x: rule(x) * x)))
    assert third(0.5) == pytest.approx(-3.0 * math.sin(0.5) - 0.5 * math.cos(0.5))
    assert rule(0.5) == np.sin(0.5)
    if rule is not sine_jacobian:
        for shape in [(1,), (2, 3), (), (2, 1, 2)]:
            x = np.linspace(0.1, 1.0, int(np.prod(shape))).reshape(shape)
            np.testing.assert_allclose(tg.grad(lambda x: np.sum(rule(x)))(x), np.cos(x))
        assert tg.grad(lambda x: np.sum(rule(x)))(np.zeros((0, 2))).shape == (0, 2)


def test_plain_calls_are_the_functions_own():
    called = []

    @tg.custom_rule(vjp=operator.mul)
    def same(x, *rest, **more):
        called.append((x, rest, more))
        return x

    thing = object()
    assert same(thing, 1, a=2) is thing
    assert called == [(thing, (1,), {"a": 2})]
    assert (same.__name__, same.__doc__) == ("same", None)


# --- trees ----------------------------------------------------------------------------------------

Pair = namedtuple("Pair", "first second")


@dataclasses.dataclass
class State:
    position: np.ndarray
    mass: float


def test_structures_go_in_and_come_out():
    def of_parts(p, q, s, label, extra):
        return {"sum": p["a"] * q[0] + s.mass, "all": [s.position * q[1], None, extra],
                "label": label, "pair": Pair(p["a"] ** 2, 7)}  # fmt: skip

    def vjp(ct, result, p, q, s, label, extra):
        assert ct["label"] is None
        assert ct["pair"].second is None
        assert result["label"] == "point"
        by_position, by_sum = ct["all"][0], ct["sum"]
        return (
            {"a": by_sum * q[0] + 2.0 * p["a"] * ct["pair"].first},
            (by_sum * p["a"], np.sum(by_position * s.position)),
            State(by_position * q[1], by_sum),
            None,
        )

    rule = tg.custom_rule(of_parts, vjp=vjp, nondiff="label")

    def loss(function, p, q, s):
        out = function(p, q, s, "point", extra=None)
        assert out["label"] == "point"
        assert out["pair"].second == 7
        assert out["all"][1:] == [None, None]
        return out["sum"] * 3.0 + np.sum(out["all"][0] ** 2) + out["pair"].first

    args = {"a": 2.0}, (3.0, 0.5), State(np.array([1.0, 4.0]), 0.25)
    ours = tg.grad(functools.partial(loss, rule), argnums=(0, 1, 2))(*args)
    theirs = tg.grad(functools.partial(loss, of_parts), argnums=(0, 1, 2))(*args)
    assert ours[0] == theirs[0] == {"a": 13.0}
    assert ours[1] == theirs[1]
    np.testing.assert_allclose(ours[2].position, theirs[2].position)
    assert ours[2].mass == theirs[2].mass == 3.0


def test_none_stands_for_zero_anywhere():
    @tg.custom_rule(vjp=lambda ct, result, x, pair: (None, {"a": ct, "b": None}), check=False)
    def first(x, pair):
        return pair["a"] + 0.0 * x

    x = {"b": [1.0, 2.0], "a": 3.0}
    assert tg.grad(first, argnums=(0, 1))(1.0, x) == (0.0, {"b": [0.0, 0.0], "a": 1.0})


def test_jacobians_of_several_arguments_and_results():
    def parts(x, y, z):
        return (x * y, {"b": np.sum(x) * z})

    def jacobian(x, y, z):
        return (
            (np.diag(np.full(3, y)), x, np.zeros(3)),
            {"b": (np.full(3, z), 0.0, np.sum(x))},
        )

    rule = tg.custom_rule(parts, jacobian=jacobian)

    def loss(function, x, y, z):
        first, second = function(x, y, z)
        return np.sum(first**3) * second["b"]

    ours = tg.grad(functools.partial(loss, rule), argnums=(0, 1, 2))(X, 2.0, 0.5)
    theirs = tg.grad(functools.partial(loss, parts), argnums=(0, 1, 2))(X, 2.0, 0.5)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other)
    tangent = tg.jvp(functools.partial(loss, rule), (X, 2.0, 0.5), (X, 1.0, -1.0))[1]
    assert tangent == pytest.approx(np.sum(ours[0] * X) + ours[1] - ours[2])


# --- arguments ------------------------------------------------------------------------------------


def test_arguments_without_derivative_are_any_objects():
    class Table:
        def __init__(self, factor):
            self.factor = factor

    def scaled(x, table, weights, *, mode, power=1):
        return np.sum(x * weights) * table.factor * len(mode) * power

    def vjp(ct, result, x, table, weights, *, mode, power):
        return ct * weights * table.factor * len(mode) * power

    rule = tg.custom_rule(scaled, vjp=vjp, nondiff=["table", 2, "mode", "power"])
    weights = np.array([1.0, 2.0, 3.0])

    def f(x, factor):
        return rule(x, Table(factor), weights=weights, mode="ab") + rule(
            x, Table(2), weights, mode="c", power=4
        )

    np.testing.assert_allclose(tg.grad(f)(X, 5), weights * (10 + 8))
    with pytest.raises(TypeError, match="missing a required argument: 'mode'"):
        tg.grad(lambda x: rule(x, Table(1), weights))(X)


@pytest.mark.parametrize("nondiff", ["no", 5, -3, ["x", "no"]])
def test_an_argument_without_derivative_must_be_there(nondiff):
    with pytest.raises(InputTypeError, match=r"no argument .* its parameters are x, n"):
        tg.custom_rule(lambda x, n: x, vjp=operator.mul, nondiff=nondiff)


def test_an_active_number_without_derivative_is_refused_and_its_value_is_taken():
    @tg.custom_rule(vjp=lambda ct, result, x, n: ct * n, nondiff="n")
    def times(x, n):
        return x * n

    for n in (lambda y: y, lambda y: [1.0, y], lambda y: {"a": (y,)}):
        with pytest.raises(LostDerivativeError, match=r"argument n of times .* x\.value"):
            tg.grad(lambda y, n=n: times(2.0 * y, n(y)))(3.0)
    assert tg.grad(lambda y: times(2.0 * y, y.value))(3.0) == 6.0


def test_methods_and_static_methods_have_rules():
    class Spring:
        def __init__(self, k):
            self.k = k

        @tg.custom_rule(vjp=lambda ct, result, self, x: ct * self.k * x)
        def energy(self, x):
            return 0.5 * self.k * x * x

        @staticmethod
        @tg.custom_rule(vjp=lambda ct, result, x: 3.0 * ct)
        def triple(x):
            return 3.0 * x

        @tg.custom_rule(vjp=lambda ct, result, x: 4.0 * ct)
        @staticmethod
        def fourfold(x):
            return 4.0 * x

    spring = Spring(2.0)
    assert spring.energy(3.0) == 9.0
    assert tg.grad(spring.energy)(3.0) == 6.0
    assert tg.grad(lambda x: spring.energy(x) + Spring.triple(x) + spring.triple(x))(3.0) == 12.0
    assert tg.grad(lambda x: Spring.fourfold(x))(1.0) == 4.0
    derivative = tg.grad(lambda x: spring.energy(x))
    assert derivative(3.0) == 6.0
    spring.k = 5.0
    assert derivative(3.0) == 15.0


def test_objects_that_are_called_have_rules():
    class Power:
        def __init__(self, n):
            self.n = n

        def __call__(self, x):
            return plain(x) ** self.n

    cube = Power(3)
    for function in (cube, functools.partial(pow, exp=3), functools.partial(Power.__call__, cube)):
        rule = tg.custom_rule(function, vjp=lambda ct, result, x, *more, **named: (
            (3.0 * x**2 * ct, *[None] * (len(more) + len(named)))
            if more or named else 3.0 * x**2 * ct))  # fmt: skip
        derivative = tg.grad(lambda x, rule=rule: rule(x) * 1.0)
        assert [derivative(x) for x in (2.0, 1.0)] == [12.0, 3.0]
        assert "CustomRule" in repr(rule)


def test_complex_results_are_refused():
    rule = tg.custom_rule(lambda x: complex(x, 1.0), vjp=lambda ct, result, x: ct)
    with pytest.raises(InputTypeError, match=r"returns complex numbers.* the imaginary part"):
        tg.grad(lambda x: abs(rule(x)))(1.0)


def test_arguments_are_copies_that_can_be_kept_but_not_written():
    kept = []

    @tg.custom_rule(vjp=lambda ct, result, x: kept.append((x, ct, result)) or ct)
    def identity(x):
        kept.append(x)
        return x  # the very array

    f = tg.value_and_grad(lambda x: np.sum(identity(x) ** 2 + identity(x)), compile="never")
    for x in (X, 2.0 * X):
        np.testing.assert_allclose(f(x)[1], 2.0 * x + 1.0)
    last = kept[-1]
    f(np.zeros(3))
    np.testing.assert_array_equal(last[0], 2.0 * X)
    np.testing.assert_array_equal(last[2], 2.0 * X)

    @tg.custom_rule(vjp=lambda ct, result, x: ct)
    def writes(x):
        x += 1.0
        return x

    with pytest.raises(UnsupportedFunctionError, match="writes writes into its arguments"):
        tg.grad(lambda x: np.sum(writes(x)))(X)


def test_an_argument_given_twice_has_both_derivatives():
    @tg.custom_rule(vjp=lambda ct, result, x, y: (ct * y, ct * x))
    def times(x, y):
        return x * y

    assert tg.grad(lambda x: times(x, x))(3.0) == 6.0
    assert tg.grad(tg.grad(lambda x: times(x, times(x, x))))(3.0) == pytest.approx(18.0)
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(times(x, x[::-1])))(X), 2 * X[::-1])


# --- mixed with other code ------------------------------------------------------------------------


def test_rules_live_in_loops_beside_guards_and_in_nested_derivatives():
    def f(x, n):
        total = 0.0
        for k in range(n):
            x = sine(x) if x > 0.0 else 2.0 * x
            total = total + x * k
        return total + tg.grad(lambda y: sine(x * y) * y)(1.0)

    def again(x, n):
        total = 0.0
        for k in range(n):
            x = np.sin(x) if x > 0.0 else 2.0 * x
            total = total + x * k
        return total + tg.grad(lambda y: np.sin(x * y) * y)(1.0)

    ours, theirs = tg.value_and_grad(f), tg.value_and_grad(again)
    for x in (0.5, 1.5, -0.25, 0.7):
        np.testing.assert_allclose(ours(x, 20), theirs(x, 20))


def test_what_is_no_number_in_a_result_is_todays():
    @tg.custom_rule(vjp=lambda ct, result, x: ct[1])
    def counted(x):
        return int(x), x, "big" if x > 2.0 else "small"

    def f(x):
        n, y, name = counted(x)
        return y * n * (10.0 if name == "big" else 1.0)

    derivative = tg.grad(f)
    assert [derivative(x) for x in (1.5, 1.6, 2.5, 3.5, 1.5)] == [1.0, 1.0, 20.0, 30.0, 1.0]
    only_count = tg.value_and_grad(lambda x: 2.0 * x * tg.custom_rule(
        int, vjp=lambda ct, result, x: None)(x))  # fmt: skip
    assert [only_count(x) for x in (1.5, 3.5)] == [(3.0, 2.0), (21.0, 6.0)]


def test_the_shape_of_a_result_may_depend_on_the_numbers():
    @tg.custom_rule(vjp=lambda ct, result, x: np.sum(ct))
    def repeated(x):
        return np.full(int(x), x)

    derivative = tg.grad(lambda x: np.sum(repeated(x)))
    assert [derivative(x) for x in (2.5, 2.6, 4.5, 2.5)] == [2.0, 2.0, 4.0, 2.0]


def test_plain_arguments_give_plain_results_which_are_watched():
    table = {"factor": 2.0}

    @tg.custom_rule(vjp=lambda ct, result, x: ct * table["factor"])
    def scaled(x):
        return plain(x) * table["factor"]

    def f(x):
        steps = np.zeros(int(scaled(2.0)))
        steps[0] = x
        return np.sum(steps) * scaled(3.0)

    derivative = tg.grad(f)
    assert derivative(1.0) == 6.0
    assert len(derivative.recorded.recordings) == 1
    table["factor"] = 5.0
    assert derivative(1.0) == 15.0
    assert derivative(2.0) == 15.0


def test_rules_compute_derivatives_of_others_while_something_is_recorded():
    class Storing:
        def cumulated(self, x):  # its `np.zeros` has to hold active numbers
            out = np.zeros(len(x))
            for k in range(len(x)):
                out[k] = x[k] + (out[k - 1] if k else 0.0)
            return out

    storing = Storing()

    def potential(x):
        return np.sum(storing.cumulated(x) ** 2)

    tapped = []

    @tg.custom_rule(vjp=lambda ct, result, x: ct * tg.grad(potential)(x))
    def energy(x):
        tg.tap(tapped.append, "energy")
        return potential(plain(x))

    def f(x):
        before = np.sum(storing.cumulated(x))
        return before + energy(x) + np.sum(storing.cumulated(2.0 * x))

    def right(x):
        return np.sum(storing.cumulated(3.0 * x)) + potential(x)

    derivative = tg.grad(f, compile="never")
    for x in (X, 2.0 * X):
        np.testing.assert_allclose(derivative(x), tg.grad(right)(x))
    tapped.clear()
    derivative(X)
    assert tapped == ["energy"]
    np.testing.assert_allclose(tg.hessian(f)(X), tg.hessian(right)(X))
    np.testing.assert_allclose(storing.cumulated(np.ones(2)), [1.0, 2.0])


# --- what changes ---------------------------------------------------------------------------------


def test_a_rule_that_is_replaced_is_noticed():
    @tg.custom_rule(check=False)
    def f(x):
        return x * x

    derivative = tg.grad(lambda x: f(x) * 1.0)
    with pytest.raises(UnsupportedFunctionError, match="f has no rule yet: give its jvp"):
        derivative(3.0)
    f.defvjp(lambda ct, result, x: 2.0 * x * ct)
    assert derivative(3.0) == 6.0
    f.defvjp(lambda ct, result, x: 7.0 * ct)
    assert derivative(3.0) == 7.0
    factor = 1.0
    f.defvjp(lambda ct, result, x: factor * ct)
    assert derivative(3.0) == 1.0
    factor = 2.0
    assert derivative(3.0) == 2.0


def test_a_function_that_changes_is_noticed():
    def function(x):
        return x * x

    def other(x):
        return x * x * x

    rule = tg.custom_rule(function, jacobian=lambda x: 2.0 * x, check=False)
    derivative = tg.value_and_grad(lambda x: rule(x) + rule(2.0))
    assert derivative(3.0) == (13.0, 6.0)
    function.__code__ = other.__code__
    assert derivative(3.0) == (35.0, 6.0)


def test_a_solver_that_keeps_state_is_recorded_once():
    class Solver:
        def __init__(self):
            self.calls, self.last = 0, None

        def solve(self, x):
            self.calls += 1
            self.last = x
            return math.sqrt(x)

    solver = Solver()
    rule = tg.custom_rule(lambda x: solver.solve(x), vjp=lambda ct, result, x: 0.5 * ct / result)
    derivative = tg.grad(lambda x: rule(x) * x)
    for x in (4.0, 9.0, 16.0):
        assert derivative(x) == pytest.approx(1.5 * math.sqrt(x))
    assert len(derivative.recorded.recordings) == 1
    calls = solver.calls
    derivative(25.0)
    assert solver.calls == calls + 1
    assert solver.last == 25.0


# --- wrong rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["vjp", "jvp", "jacobian"])
def test_a_rule_that_is_no_derivative_is_told_with_both_numbers(kind):
    rules = {
        "vjp": lambda ct, result, x: 3.0 * x * ct,
        "jvp": lambda t, result, x: 3.0 * x * t,
        "jacobian": lambda x: 3.0 * np.diag(x),
    }
    wrong = tg.custom_rule(lambda x: x * x, **{kind: rules[kind]})
    message = rf"the {kind} of .*<lambda> doesn't agree .* has (\S+), the difference (\S+)\. If it"
    with pytest.warns(WrongRuleWarning, match=message) as caught:
        tg.grad(lambda x: np.sum(wrong(x)))(X)
    (warning,) = caught
    assert warning.filename == __file__
    product, difference = map(float, re.search(message, str(warning.message)).groups())
    assert product == pytest.approx(1.5 * difference, rel=1e-4)
    tg.grad(lambda x: np.sum(wrong(2.0 * x)))(X)  # once
    quiet = tg.custom_rule(lambda x: x * x, check=False, **{kind: rules[kind]})
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(quiet(x)))(X), 3.0 * X)


def test_only_one_wrong_entry_is_found_and_nan_too():
    def wrong_entry(x):
        found = np.diag(2.0 * x)
        found[0, 2] = 0.1
        return found

    with pytest.warns(WrongRuleWarning):
        tg.grad(lambda x: np.sum(tg.custom_rule(lambda x: x * x, jacobian=wrong_entry)(x)))(X)
    with pytest.warns(WrongRuleWarning, match="nan, the difference"):
        tg.grad(tg.custom_rule(lambda x: x * x, vjp=lambda ct, r, x: math.nan))(1.0)


def test_right_rules_are_not_told_at_kinks_edges_and_with_a_solvers_tolerance():
    cases = [
        (abs, lambda ct, result, x: ct * np.sign(x), 0.0),
        (lambda x: max(x, 0.0), lambda ct, result, x: ct * (x > 0.0), 0.0),
        (lambda x: max(x, 0.0), lambda ct, result, x: ct * (x >= 0.0), 0.0),
        (math.sqrt, lambda ct, result, x: 0.5 * ct / math.sqrt(x), 1e-300),
        (math.log, lambda ct, result, x: ct / x, 5e-324),
        (lambda x: round(math.sin(x), 7), lambda ct, result, x: ct * math.cos(x), 0.7),
        (lambda x: x * x, lambda ct, result, x: 2.0 * x * ct, 1e200),
        (lambda x: x * x, lambda ct, result, x: 2.0 * x * ct, math.inf),
        (lambda x: x * x, lambda ct, result, x: 2.0 * x * ct, math.nan),
        (lambda x: 1e-30 * x, lambda ct, result, x: 1e-30 * ct, 1e-8),
        (lambda x: float("nan"), lambda ct, result, x: ct, 1.0),
        (math.floor, lambda ct, result, x: None, 1.5),
    ]
    for function, vjp, x in cases:
        tg.grad(lambda x, f=function, v=vjp: tg.custom_rule(f, vjp=v)(x) + x)(x)
    zeros = np.zeros(4)
    relu = tg.custom_rule(lambda x: np.maximum(x, 0.0), vjp=lambda ct, result, x: ct * (x > 0.0))
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(relu(x)))(zeros), zeros)


SHAPES = {
    "vjp": [
        (lambda ct, result, x, y: ct, r"must be \(an array of shape \(3,\), a float\), and it's an "
                                      r"array of shape \(3,\)"),
        (lambda ct, result, x, y: (ct,), r"and it's \(an array of shape \(3,\),\)"),
        (lambda ct, result, x, y: (ct[:2], 0.0), r"has shape \(2,\) where \(3,\) is needed"),
        (lambda ct, result, x, y: (ct, np.zeros(1)), r"has shape \(1,\) where \(\) is needed"),
        (lambda ct, result, x, y: (ct, "no"), "must be numbers of shape"),
        (lambda ct, result, x, y: {"x": ct, "y": 0.0}, r"and it's dict\(x: an array"),
    ],
    "jvp": [
        (lambda t, result, x, y: (t[0], 1.0), r"must be an array of shape \(3,\), and it's \("),
        (lambda t, result, x, y: 1.0, r"has shape \(\) where \(3,\) is needed"),
    ],
    "jacobian": [
        (lambda x, y: (np.eye(2), x), r"has shape \(2, 2\) where \(3, 3\) is needed"),
        (lambda x, y: np.eye(3), r"must be \(an array of shape \(3, 3\), an array of shape"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", SHAPES)
def test_what_a_rule_returns_is_compared_with_what_it_must(kind):
    for rule, message in SHAPES[kind]:
        times = tg.custom_rule(lambda x, y: x * y, **{kind: rule})
        with pytest.raises(StructureError, match=f"the result of the {kind} of .*{message}"):
            tg.grad(lambda x: np.sum(times(x, 2.0)))(X)  # noqa: B023


# --- closures -------------------------------------------------------------------------------------


def test_a_rule_that_closes_over_an_active_number_is_refused():
    def in_function(x):
        rule = tg.custom_rule(lambda y: y * x, vjp=lambda ct, result, y: ct)
        return rule(x)

    def in_rule(x):
        rule = tg.custom_rule(lambda y: 2.0 * y, vjp=lambda ct, result, y: ct * x)
        return rule(x)

    def in_list(x):
        xs = [x]
        rule = tg.custom_rule(lambda y: 2.0 * y, vjp=lambda ct, result, y: ct * xs[0])
        return rule(3.0 * x)

    def in_default(x):
        rule = tg.custom_rule(lambda y, k=x: 2.0 * y, vjp=lambda ct, result, y, k: (ct, k))
        return rule(x, 1.0)

    for f in (in_function, in_rule, in_list, in_default):
        with pytest.raises(LostDerivativeError, match=r"closes over .* as an argument"):
            tg.grad(f)(3.0)

    class Holder:
        x = 1.0

    holder = Holder()

    def in_attribute(x):
        holder.x = x
        rule = tg.custom_rule(lambda y: holder.x * y, vjp=lambda ct, result, y: ct)
        return rule(x)

    with pytest.raises(LostDerivativeError):
        tg.grad(in_attribute)(3.0)
    assert tg.grad(lambda x: sine(x))(0.0) == 1.0


def test_rules_made_while_recording_keep_what_they_close_over():
    def f(x):
        scale = np.zeros(1)
        total = 0.0
        for k in range(1, 4):
            scale[0] = k

            @tg.custom_rule(vjp=lambda ct, result, y: ct * k * scale[0])
            def times(y):
                return plain(y) * k * scale[0]  # noqa: B023

            total = total + times(x)
        return total

    derivative = tg.value_and_grad(f)
    assert derivative(1.0) == (14.0, 14.0)
    assert derivative(2.0) == (28.0, 14.0)
    assert len(derivative.recorded.recordings) == 1
    assert tg.grad(tg.grad(lambda x: f(x) * x))(1.0) == 28.0


# --- exceptions -----------------------------------------------------------------------------------


class OwnError(Exception):
    pass


def outcome(call):
    """Return what a call returns or raises."""
    try:
        return call()
    except BaseException as error:
        return error


@pytest.mark.parametrize("error", [OwnError, KeyboardInterrupt, TypeError])
def test_what_is_raised_in_a_rule_arrives_as_it_is_and_leaves_nothing_behind(error):
    failing = set()

    def fail(where):
        if where in failing:
            raise error("the solver diverged")

    @tg.custom_rule
    def f(x):
        fail("function")
        return x * x

    @f.defvjp
    def _(ct, result, x):
        fail("vjp")
        return 2.0 * x * ct

    @f.defjvp
    def _(tangent, result, x):
        fail("jvp")
        return 2.0 * x * tangent

    def g(x):
        return tg.grad(lambda y: f(y) * y)(x) * x

    calls = [
        (lambda: tg.grad(lambda x: f(x) * x), 3.0, 27.0),
        (lambda: lambda x: tg.jvp(lambda x: f(x) * x, x, 1.0)[1], 3.0, 27.0),
        (lambda: tg.grad(g), 2.0, 36.0),
    ]
    for make, x, right in calls:
        derivative = make()
        for where in ("function", "vjp", "jvp"):
            for _ in range(2):  # at the first use, then at a replay
                failing.add(where)
                found = outcome(lambda: derivative(x))  # noqa: B023
                failing.clear()
                if where != "function" and found == right:  # that rule has no part in it
                    continue
                assert type(found) is error
                assert found.args == ("the solver diverged",)
                assert traceback.extract_tb(found.__traceback__)[-1].name == "fail"
                assert derivative(x) == right
    assert tg.grad(sine)(0.0) == 1.0


# --- what can't be recorded -----------------------------------------------------------------------

libm = ctypes.CDLL(ctypes.util.find_library("m") or "ucrtbase")
libm.erf.restype, libm.erf.argtypes = ctypes.c_double, [ctypes.c_double]
SLOPE = 2.0 / math.sqrt(math.pi)


def test_code_of_another_language_has_second_derivatives_where_its_rule_can_be_recorded():
    erf = tg.custom_rule(lambda x: libm.erf(x),
                         vjp=lambda ct, result, x: ct * SLOPE * math.exp(-x * x))  # fmt: skip
    derivative = tg.grad(lambda x: erf(x) * x)
    assert derivative(0.5) == pytest.approx(math.erf(0.5) + 0.5 * SLOPE * math.exp(-0.25))
    assert tg.grad(tg.grad(erf))(0.5) == pytest.approx(-SLOPE * math.exp(-0.25))
    assert tg.grad(tg.grad(tg.grad(erf)))(0.5) == pytest.approx(-SLOPE * math.exp(-0.25))


def test_a_rule_that_can_not_be_recorded_is_named_where_a_higher_derivative_needs_it():
    rules = [
        lambda ct, result, x: ct * libm.erf(x),
        lambda ct, result, x: ct * float(x),
        lambda ct, result, x: ct * np.linalg.norm(ctypes.c_double(x).value),
    ]
    for vjp in rules:
        opaque = tg.custom_rule(lambda x: x, vjp=vjp, check=False)
        tg.grad(lambda x: opaque(x) * x)(0.5)  # noqa: B023
        with pytest.raises(UnsupportedFunctionError, match=r"rule of .* can't be recorded"):
            tg.grad(tg.grad(lambda x: opaque(x) * x))(0.5)  # noqa: B023
    assert tg.grad(tg.grad(sine))(0.5) == pytest.approx(-math.sin(0.5))


# --- sparsity -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["jvp", "vjp"])
def test_a_pattern_saves_calls_of_the_rule(kind):
    n, calls = 30, []

    def second_difference(x):
        return x[2:] - 2.0 * x[1:-1] * x[1:-1] + x[:-2]

    def jvp(t, result, x):
        calls.append(1)
        return t[2:] - 4.0 * x[1:-1] * t[1:-1] + t[:-2]

    def vjp(ct, result, x):
        calls.append(1)
        zero = np.zeros(1)
        inner = -4.0 * x[1:-1] * ct
        return (
            np.concatenate([zero, zero, ct])
            + np.concatenate([zero, inner, zero])
            + np.concatenate([ct, zero, zero])
        )

    rows = np.repeat(np.arange(n - 2), 3)
    columns = rows + np.tile([0, 1, 2], n - 2)
    dense = np.zeros((n - 2, n))
    dense[rows, columns] = 1.0
    x = np.linspace(0.1, 1.0, n)

    def loss(f):
        return lambda x: np.sum(f(x) ** 3)

    right = tg.grad(loss(second_difference))(x)
    product = tg.jvp(loss(second_difference), x, x)[1]
    rule = {"jvp": jvp, "vjp": vjp}[kind]
    for sparsity in ((rows, columns), dense, dense.astype(bool)):
        f = tg.custom_rule(second_difference, sparsity=sparsity, check=False, **{kind: rule})
        derivative = tg.grad(loss(f), compile="never")
        derivative(x)
        calls.clear()
        np.testing.assert_allclose(derivative(x), right)
        assert len(calls) == (3 if kind == "jvp" else 1)
        np.testing.assert_allclose(tg.jvp(loss(f), x, x)[1], product)
    np.testing.assert_allclose(
        tg.hessian(loss(f))(x), tg.hessian(loss(second_difference))(x), atol=1e-9
    )


def test_a_pattern_must_be_that_of_the_jacobian():
    for sparsity in (np.ones((2, 3)), ([0, 3], [0, 0]), ([0], [-1])):
        f = tg.custom_rule(lambda x: x * x, jvp=lambda t, r, x: 2 * x * t, sparsity=sparsity)
        with pytest.raises(StructureError, match=r"result, 3, and a column .* differentiated, 3"):
            tg.grad(lambda x: np.sum(f(x)))(X)  # noqa: B023
    f = tg.custom_rule(lambda x: np.sum(x), jvp=lambda t, r, x: np.sum(t), sparsity="diagonal")
    with pytest.raises(StructureError, match="can't be diagonal: it has 1 rows and 3 columns"):
        tg.grad(f)(X)
    for sparsity in ("banded", ([0, 1], [0])):
        with pytest.raises(StructureError, match="sparsity"):
            tg.custom_rule(lambda x: x, jvp=operator.mul, sparsity=sparsity)


def test_a_jacobian_may_be_sparse():
    scipy_sparse = pytest.importorskip("scipy.sparse")

    def jacobian(x):
        return scipy_sparse.diags_array([2.0 * x], offsets=[0], format="csr")

    f = tg.custom_rule(lambda x: x * x, jacobian=jacobian)
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(f(x) ** 2))(X), 4.0 * X**3)
    np.testing.assert_allclose(tg.jvp(f, X, np.ones(3))[1], 2.0 * X)
    g = tg.custom_rule(lambda x: x[:2], jacobian=jacobian, check=False)
    with pytest.raises(StructureError, match=r"must be of shape \(2, 3\), not \(3, 3\)"):
        tg.grad(lambda x: np.sum(g(x)))(X)


# --- processes and threads ------------------------------------------------------------------------


@tg.custom_rule
def cube(x):
    return x**3


@cube.defvjp
def _(ct, result, x):
    return 3.0 * ct * x**2


def loss_of_cubes(x):
    return np.sum(cube(x) * x)


def test_what_calls_a_rule_can_be_pickled_with_its_tape():
    derivative = tg.value_and_grad(loss_of_cubes)
    derivative(X)
    again = pickle.loads(pickle.dumps(derivative))
    np.testing.assert_allclose(again(X)[1], 4.0 * X**3)
    assert pickle.loads(pickle.dumps(cube)) is cube
    tape = derivative.recorded.recordings[0].tape
    other = pickle.loads(pickle.dumps(tape))
    assert other.blocks == tape.blocks
    np.testing.assert_array_equal(other.blocks[0].evaluated([X]), [X**3])
    tg.check(other)

    def f(x):
        rule = tg.custom_rule(lambda x: x, vjp=lambda ct, result, x: ct)
        return rule(x) * 2.0

    inside = tg.grad(f)
    inside(1.0)
    with pytest.raises(NotPicklableError, match="define it at a module's top level"):
        pickle.dumps(inside.recorded.recordings[0].tape)


def test_threads_use_a_rule_at_once():
    derivative = tg.grad(loss_of_cubes)
    wrong = []

    def work(k):
        for i in range(20):
            x = X + 0.01 * k + 0.1 * i
            if not np.allclose(derivative(x), 4.0 * x**3):
                wrong.append(x)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
