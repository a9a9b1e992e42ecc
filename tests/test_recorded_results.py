"""Recorded functions: arguments that change under the recording, and results; scipy."""

from __future__ import annotations

import collections
import dataclasses
import functools
import types

import numpy as np
import pytest
import scipy.optimize
from recording_counts import counted, ran, rosenbrock
from test_recorded_limit import ByContent

import tapegrad as tg
from tapegrad.errors import InputTypeError


@dataclasses.dataclass
class Cell:
    lam: float


class Plain:
    def __init__(self, lam):
        self.lam = lam


MUTABLE = {
    "namespace": (lambda: types.SimpleNamespace(lam=0.1),
                  lambda held, v: setattr(held, "lam", v), lambda held: held.lam),
    "object": (lambda: Plain(0.1), lambda held, v: setattr(held, "lam", v), lambda held: held.lam),
    "object_with_a_list": (lambda: Plain([0.1]), lambda held, v: held.lam.__setitem__(0, v),
                           lambda held: held.lam[0]),
    "dataclass": (lambda: Cell(0.1), lambda held, v: setattr(held, "lam", v),
                  lambda held: held.lam),
    "list_of_objects": (lambda: [Plain(0.1)], lambda held, v: setattr(held[0], "lam", v),
                        lambda held: held[0].lam),
    "equal_by_content": (lambda: ByContent([0.1]), lambda held, v: held.content.__setitem__(0, v),
                         lambda held: held.content[0]),
    "set": (lambda: {0.1}, lambda held, v: (held.clear(), held.add(v)),
            lambda held: next(iter(held))),
    "ordered_dict": (lambda: collections.OrderedDict(lam=0.1),
                     lambda held, v: held.update(lam=v), lambda held: held["lam"]),
    "defaultdict": (lambda: collections.defaultdict(float, lam=0.1),
                    lambda held, v: held.update(lam=v), lambda held: held["lam"]),
    "deque": (lambda: collections.deque([0.1]), lambda held, v: held.__setitem__(0, v),
              lambda held: held[0]),
    "object_array": (lambda: np.array([0.1, None], object), lambda held, v: held.__setitem__(0, v),
                     lambda held: held[0]),
    "int_array": (lambda: np.array([1]), lambda held, v: held.__setitem__(0, round(10 * v)),
                  lambda held: held[0] / 10.0),
    "float_array": (lambda: np.array([0.1]), lambda held, v: held.__setitem__(0, v),
                    lambda held: held[0]),
    "object_in_a_lambda": (lambda: Plain(0.1), lambda held, v: setattr(held, "lam", v),
                           lambda held: (lambda h: h.lam)(held)),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTABLE)
def test_an_argument_mutated_between_calls_never_gives_the_old_gradient(name):
    make, change, read = MUTABLE[name]
    held = make()
    derivative = tg.grad(lambda x, held: read(held) * x * x)
    for lam in (0.1, 0.2, 0.3, 0.1):
        change(held, lam)
        assert derivative(3.0, held) == pytest.approx(6.0 * lam, rel=1e-14)


def test_a_function_given_as_an_argument_is_watched():
    lam = 0.1

    def helper(x):
        return lam * x

    derivative = tg.grad(lambda x, g: g(x) * x)
    assert derivative(3.0, helper) == pytest.approx(0.6)
    lam = 0.2
    assert derivative(3.0, helper) == pytest.approx(1.2)


def test_a_method_decorated_in_the_class_sees_the_objects_attributes():
    class Model:
        def __init__(self, lam):
            self.lam = lam

        @functools.partial(tg.grad, argnums=1)
        def slope(self, x):
            return self.lam * x * x

    one, two = Model(0.1), Model(10.0)
    assert one.slope(3.0) == pytest.approx(0.6)
    assert two.slope(3.0) == 60.0
    one.lam = 0.2
    assert one.slope(3.0) == pytest.approx(1.2)
    assert two.slope(3.0) == 60.0


def test_two_namespaces_that_hold_arrays_can_be_told_apart():
    derivative = tg.grad(lambda x, held: x * float(held.w[0]))
    for w in (2.0, 3.0, 2.0):
        assert derivative(1.0, types.SimpleNamespace(w=np.array([w, w]))) == w


@pytest.mark.parametrize(
    "bad",
    [1, True, "x", None, 1j, np.array([1, 2]), np.array([1j]), {"a": 1}, [1.0, 2], np.int64(1)],
    ids=repr,
)
def test_what_is_no_float_can_not_be_differentiated(bad):
    derivative = tg.grad(lambda x, y: y * 1.0)
    with pytest.raises(InputTypeError):
        derivative(bad, 1.0)
    assert tg.grad(lambda x, y: y * y, argnums=1)(bad, 3.0) == 6.0


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


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "CG", "TNC", "SLSQP"])
def test_minimize_takes_value_and_grad_with_jac_true(method):
    f, ticks = counted(rosenbrock)
    result = scipy.optimize.minimize(
        tg.value_and_grad(f), np.zeros(5), jac=True, method=method, tol=1e-8
    )
    np.testing.assert_allclose(result.x, 1.0, atol=1e-3)
    assert ran(ticks) == 1


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-exact"])
def test_minimize_takes_a_hessian(method):
    result = scipy.optimize.minimize(
        rosenbrock, np.full(4, 0.9), jac=tg.grad(rosenbrock), hess=tg.hessian(rosenbrock),
        method=method,
    )  # fmt: skip
    np.testing.assert_allclose(result.x, 1.0, atol=1e-5)


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-krylov", "trust-constr"])
def test_minimize_takes_a_hessian_product(method):
    f, ticks = counted(rosenbrock)
    result = scipy.optimize.minimize(
        rosenbrock, np.zeros(4), jac=tg.grad(rosenbrock), hessp=tg.hvp(f), method=method
    )
    np.testing.assert_allclose(result.x, 1.0, atol=1e-3)
    assert ran(ticks) == 1


def test_minimize_passes_args_through():
    def loss(x, data, power, kind):
        residual = x[0] * data**power - x[1]
        return np.sum(residual**2) + (np.sum(x**2) if kind == "ridge" else 0.0)

    data = np.linspace(0.0, 2.0, 9)
    args = (data, 2, "ridge")
    design = np.stack([data**2, -np.ones(9)], 1)
    expected = np.linalg.solve(design.T @ design + np.eye(2), np.zeros(2))
    for options in (
        {"fun": tg.value_and_grad(loss), "jac": True},
        {"fun": loss, "jac": tg.grad(loss), "hess": tg.hessian(loss), "method": "trust-exact"},
        {"fun": loss, "jac": tg.grad(loss), "hessp": tg.hvp(loss), "method": "Newton-CG"},
    ):
        result = scipy.optimize.minimize(x0=np.array([3.0, -2.0]), args=args, **options)
        np.testing.assert_allclose(result.x, expected, atol=1e-6)


def test_least_squares_takes_a_jacobian():
    t = np.linspace(0.0, 1.0, 20)
    y = 2.0 * np.exp(-1.5 * t)

    def residual(p, t, y):
        return p[0] * np.exp(-p[1] * t) - y

    f, ticks = counted(residual)
    for method in ("trf", "dogbox", "lm"):
        result = scipy.optimize.least_squares(
            residual, [1.0, 1.0], jac=tg.jacobian(f), args=(t, y), method=method
        )
        np.testing.assert_allclose(result.x, [2.0, 1.5], rtol=1e-7)
    assert ran(ticks) == 3


def test_root_takes_a_jacobian():
    def equations(x):
        return np.stack([x[0] ** 2 + x[1] ** 2 - 4.0, x[0] * x[1] - 1.0])

    for method in ("hybr", "lm"):
        result = scipy.optimize.root(equations, [2.0, 0.3], jac=tg.jacobian(equations),
                                     method=method)  # fmt: skip
        assert result.success
        np.testing.assert_allclose(equations(result.x), 0.0, atol=1e-9)


def test_root_scalar_takes_two_derivatives():
    def cube(x):
        return x * x * x - 2.0

    result = scipy.optimize.root_scalar(
        cube, x0=1.0, fprime=tg.grad(cube), fprime2=tg.grad(tg.grad(cube)), method="halley"
    )
    assert result.root == pytest.approx(2.0 ** (1 / 3), rel=1e-14)
