"""Functions with rules of the user's own: every order, structures, patterns of the Jacobian."""

import dataclasses
import functools
import math
import operator
from collections import namedtuple

import numpy as np
import pytest
from user_rules import SINES, X, mixed, sine_jacobian

import tapegrad as tg
from tapegrad.errors import (
    StructureError,
)

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
        assert ct["pair"].second == 0.0
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
