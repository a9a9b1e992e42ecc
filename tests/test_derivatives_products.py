"""Pullbacks and pushforwards: products with cotangents and tangents."""

from __future__ import annotations

import numpy as np
import pytest
from formulas import polynomial, rosenbrock
from trees import same

import tapegrad as tg
from tapegrad.errors import InputTypeError, StructureError


def test_a_pullback_may_be_called_often():
    x = np.array([1.0, 2.0, 3.0])
    value, pullback = tg.vjp(lambda x, y: x * y, x, 4.0)
    same(value, 4 * x)
    rng = np.random.default_rng(0)
    for _ in range(4):
        w = rng.standard_normal(3)
        same(pullback(w), (4 * w, float(w @ x)))


def test_several_pullbacks_do_not_disturb_each_other():
    def f(x):
        return np.exp(x) * x[0]

    points = np.random.default_rng(1).standard_normal((4, 3))
    pullbacks = [tg.vjp(f, x)[1] for x in points]
    for x, pullback in [*zip(points, pullbacks, strict=True)] * 2:
        w = np.array([1.0, -2.0, 0.5])
        wanted = w * np.exp(x) * x[0]
        wanted[0] += w @ np.exp(x)
        same(pullback(w)[0], wanted)


def test_a_pullback_with_aux_takes_the_values_cotangent_only():
    def f(x):
        return x * x, {"sum": np.sum(x), "name": "f", "n": 3}

    x = np.array([1.0, 2.0])
    value, pullback, aux = tg.vjp(f, x, has_aux=True)
    same(value, x * x)
    same(aux, {"sum": 3.0, "name": "f", "n": 3})
    for _ in range(2):
        same(pullback(np.array([1.0, 10.0]))[0], np.array([2.0, 40.0]))


@pytest.mark.parametrize(
    "bad", [np.ones(2), 1.0, (np.ones(3),), [1.0, 1.0, 1.0], np.ones((3, 1)), None, "x"], ids=repr
)
def test_a_cotangent_of_another_structure_or_shape_is_refused(bad):
    _, pullback = tg.vjp(lambda x: x * x, np.ones(3))
    with pytest.raises(StructureError):
        pullback(bad)


def test_the_shapes_are_named_where_they_disagree():
    _, pullback = tg.vjp(lambda x: x * x, np.ones(3))
    with pytest.raises(StructureError, match=r"\(2,\).*\(3,\)"):
        pullback(np.ones(2))
    with pytest.raises(StructureError, match=r"\(4,\).*\(3,\)"):
        tg.jvp(lambda x: x * x, (np.ones(3),), (np.ones(4),))
    with pytest.raises(StructureError, match=r"\(1, 3\).*\(3,\)"):
        tg.hvp(rosenbrock)(np.ones(3), np.ones((1, 3)))


@pytest.mark.parametrize(
    ("primals", "tangents"),
    [
        ((1.0, 2.0), (1.0,)),
        ((1.0, 2.0), (1.0, 2.0, 3.0)),
        ((1.0, 2.0), ((1.0,), 1.0)),
        (({"a": 1.0}, 2.0), ({"b": 1.0}, 1.0)),
        ((np.ones(2), 2.0), (1.0, 1.0)),
        ((1.0, 2.0), (np.ones(1), 1.0)),
    ],
)
def test_tangents_of_another_structure_or_shape_are_refused(primals, tangents):
    with pytest.raises(StructureError):
        tg.jvp(lambda x, y: 1.0, primals, tangents)


def test_whole_numbers_are_directions_too():
    assert tg.jvp(lambda x, y: x * y, (3.0, 4.0), (1, 0)) == (12.0, 4.0)
    same(tg.jvp(lambda x: x * x, (np.array([3.0, 4.0]),), (np.array([1, 0]),))[1],
         np.array([6.0, 0.0]))  # fmt: skip
    assert tg.vjp(lambda x: x * x, 3.0)[1](2) == (12.0,)
    same(tg.hvp(polynomial)(np.ones(3), np.array([1, 0, 0])),
         tg.hessian(polynomial)(np.ones(3))[0])  # fmt: skip


def test_jvp_and_vjp_refuse_to_differentiate_by_a_bare_integer():
    with pytest.raises(InputTypeError, match=r"pass a float, 3\.0"):
        tg.jvp(lambda x: x * 1.0, (3,), (1.0,))
    with pytest.raises(InputTypeError, match=r"pass a float, 3\.0"):
        tg.vjp(lambda x: x * 1.0, 3)


@pytest.mark.parametrize("seed", range(5))
def test_pullback_and_pushforward_are_adjoint(seed):
    def f(x, y):
        return np.sin(x) * y[0], (x @ x) * np.exp(y)

    rng = np.random.default_rng(seed)
    x, y, v, u, w = rng.standard_normal((5, 3))
    _, (da, db) = tg.jvp(f, (x, y), (v, u))
    _, pullback = tg.vjp(f, x, y)
    dx, dy = pullback((w, v))
    assert w @ da + v @ db == pytest.approx(dx @ v + dy @ u, rel=1e-12)
