"""Calls of functions with rules: arguments, methods, and the code around them."""

import functools
import operator

import numpy as np
import pytest
from user_rules import X, plain, sine

import tapegrad as tg
from tapegrad.errors import (
    InputTypeError,
    LostDerivativeError,
    UnsupportedFunctionError,
)

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
