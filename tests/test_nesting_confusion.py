"""Derivatives inside recorded functions: perturbations aren't confused."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import tapegrad as tg


def test_the_classic_perturbation_confusion_is_one():
    assert tg.grad(lambda x: x * tg.grad(lambda y: x + y)(1.0))(1.0) == 1.0
    assert tg.grad(lambda x: x * tg.grad(lambda y: x + y)(x))(3.0) == 1.0


def inner_grad(g):
    return lambda y: tg.grad(g)(y)


def inner_value_and_grad(g):
    return lambda y: tg.value_and_grad(g)(y)[1]


def inner_jacobian_forward(g):
    return lambda y: tg.jacobian(g, mode="forward")(y)


def inner_jacobian_reverse(g):
    return lambda y: tg.jacobian(g, mode="reverse")(y)


def inner_jvp(g):
    return lambda y: tg.jvp(g, (y,), (1.0,))[1]


def inner_vjp(g):
    return lambda y: tg.vjp(g, y)[1](1.0)[0]


INNER = [inner_grad, inner_value_and_grad, inner_jacobian_forward, inner_jacobian_reverse,
         inner_jvp, inner_vjp]  # fmt: skip
OUTER = INNER


@pytest.mark.parametrize("outer", OUTER, ids=lambda f: "outer_" + f.__name__[6:])
@pytest.mark.parametrize("inner", INNER, ids=lambda f: f.__name__)
def test_no_pair_of_derivatives_confuses_its_perturbations(inner, outer):
    # d/dx [x d/dy (x + y)] = 1;  d/dx [x d/dy (x y) at y = 2] = d/dx x^2 = 2 x
    assert outer(lambda x: x * inner(lambda y: x + y)(1.0))(3.0) == 1.0
    assert outer(lambda x: x * inner(lambda y: x * y)(2.0))(3.0) == 6.0
    # d/dx [x d/dy (x y) at y = x] = 2 x, and d/dx [d/dy (x^2 y^3) at y = x] = d/dx 3 x^4
    assert outer(lambda x: x * inner(lambda y: x * y)(x))(3.0) == 6.0
    assert outer(lambda x: inner(lambda y: x * x * y * y * y)(x))(2.0) == 96.0
    # a derivative with respect to y of what depends on x only is zero, also to x
    assert outer(lambda x: x * inner(lambda y: x * x)(2.0))(3.0) == 0.0
    # y doesn't leak out of the inner function
    assert outer(lambda x: inner(lambda y: y * y)(x) * x)(3.0) == 12.0


@pytest.mark.parametrize(
    "derivatives",
    list(itertools.product([inner_grad, inner_jvp, inner_jacobian_reverse], repeat=3)),
    ids=lambda d: "-".join(f.__name__[6:] for f in d),
)
def test_three_levels_do_not_confuse_their_perturbations(derivatives):
    a, b, c = derivatives

    def f(x):
        def g(y):
            def h(z):
                return x * x * y * y * y * z * z + x * y * z

            return c(h)(x + y) * y

        return b(g)(x) * x

    # h_z = 2 x^2 y^3 z + x y; at z = x + y times y: G = 2 x^2 y^4 (x + y) + x y^2
    # G_y = 8 x^3 y^3 + 10 x^2 y^4 + 2 x y; at y = x times x: 18 x^7 + 2 x^3
    for x in (1.5, -0.5, 0.0):
        assert a(f)(x) == pytest.approx(126 * x**6 + 6 * x**2, rel=1e-13)


def test_three_levels_with_every_captured_number_used_at_the_innermost():
    def f(x):
        return tg.grad(lambda y: tg.grad(lambda z: x * y * z)(z_at(x, y)) * x * y)(x)

    def z_at(x, y):
        return x - y

    # d/dz = x y; times x y = x^2 y^2; d/dy = 2 x^2 y; at y = x: 2 x^3
    assert tg.value_and_grad(f)(3.0) == (54.0, 54.0)


def test_siskind_and_pearlmutters_example_of_a_curried_function():
    # 'Perturbation confusion in forward automatic differentiation of higher-order functions'
    def s(u):
        return lambda f: lambda x: f(x + u)

    def derivative(f):
        return tg.grad(f)

    d_hat = s(0.5)
    assert d_hat(d_hat(np.exp))(1.0) == pytest.approx(math.exp(2.0))
    assert derivative(lambda u: s(u)(s(u)(np.exp))(1.0))(0.0) == pytest.approx(2 * math.e)
    shifted = derivative(lambda u: derivative(s(u)(np.exp))(1.0))
    assert shifted(0.5) == pytest.approx(math.exp(1.5))


def test_two_derivatives_side_by_side_do_not_meet():
    def f(x):
        return tg.grad(lambda y: y * y * x)(x) + tg.grad(lambda y: y * x)(x) * x

    assert tg.value_and_grad(f)(3.0) == (18.0 + 9.0, 12.0 + 6.0)


def test_an_outer_number_that_is_only_a_seed_or_a_direction_counts():
    def by_jvp(x):
        return tg.jvp(lambda y: y * y * y, (2.0,), (x * x,))[1]

    def by_vjp(x):
        return tg.vjp(lambda y: y * y * y, 2.0)[1](x * x)[0]

    def by_hvp(x):
        return tg.hvp(lambda y: y * y * y)(2.0, x * x)

    for f in (by_jvp, by_vjp, by_hvp):
        value, gradient = tg.value_and_grad(f)(3.0)
        assert (value, gradient) == (108.0, 72.0), f.__name__


def test_a_pullback_made_outside_is_used_inside():
    _, pullback = tg.vjp(lambda y: y * y * y, 2.0)
    assert tg.grad(lambda x: pullback(x * x)[0])(3.0) == 72.0


def test_an_outer_number_among_the_results_of_an_inner_function_counts():
    def f(x):
        value, gradient = tg.value_and_grad(lambda y: (y * y, x * x), has_aux=True)(x)
        return value[1] * gradient

    assert tg.grad(f)(3.0) == 6 * 9.0
    jacobian = tg.grad(lambda x: np.sum(tg.jacobian(lambda y: (x, x * y, y)[1])(2.0) * x))
    assert jacobian(3.0) == 6.0
