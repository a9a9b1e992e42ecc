"""Functions with rules that compiled functions call."""

import math

import numpy as np
import pytest
from numba import TypingError, njit

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError


@njit
def product(x, y):
    if y > 100.0:
        raise ValueError("too much")
    return x * y + 0.5


@njit
def product_vjp(ct, result, x, y):
    return ct * y, ct * x


rule = tg.custom_rule(product, vjp=product_vjp)


@njit
def parts(x, y):
    return np.sin(x), x.sum() * y


vector_rule = tg.custom_rule(
    parts, vjp=lambda ct, result, x, y: (ct[0] * np.cos(x) + ct[1] * y, ct[1] * np.sum(x))
)


@njit
def program(x, n):
    t = x[0]
    for k in range(n):
        t = rule(t, x[1]) + 0.1 * t * t if t > 0.0 else rule(2.0, k)
    waves, total = vector_rule(x, t)
    return (waves * x).sum() + total


def in_python(x, n):
    t = x[0]
    for k in range(n):
        t = t * x[1] + 0.5 + 0.1 * t * t if t > 0.0 else 2.0 * k + 0.5
    return np.sum(np.sin(x) * x) + np.sum(x) * t


X = np.array([0.5, 0.2])


def test_a_compiled_function_calls_rules():
    assert program(X, 5) == pytest.approx(in_python(X, 5), rel=1e-15)
    ours, theirs = tg.value_and_grad(program), tg.value_and_grad(in_python)
    for x in (X, 2.0 * X, -X, X):
        (value, gradient), (v, g) = ours(x, 5), theirs(x, 5)
        assert value == pytest.approx(v, rel=1e-14)
        np.testing.assert_allclose(gradient, g, rtol=1e-13)
    names = [block.name for block in ours.recorded.latest.tape.blocks]
    assert names == ["product", "parts"]
    np.testing.assert_allclose(
        tg.hessian(program)(X, 3), tg.hessian(in_python)(X, 3), rtol=1e-12, atol=1e-14
    )

    @tg.custom_rule(vjp=lambda ct, result, x: 2.0 * ct, check=False)
    def other(x):
        return x

    mixed = tg.grad(lambda x: other(program(x, 2)))  # the tape goes on in Python
    np.testing.assert_allclose(mixed(X), 2.0 * theirs(X, 2)[1])


def test_what_a_rule_raises_leaves_compiled_code():
    derivative = tg.grad(program)
    right = derivative(X, 1)
    with pytest.raises(ValueError, match="too much"):
        derivative(np.array([0.5, 101.0]), 1)
    np.testing.assert_array_equal(derivative(X, 1), right)


def test_a_rule_that_a_compiled_function_calls_may_be_replaced():
    replaced = tg.custom_rule(product, vjp=product_vjp, check=False)

    @njit
    def f(x):
        return replaced(x, 2.0)

    derivative = tg.grad(f)
    assert derivative(3.0) == 2.0
    replaced.defvjp(lambda ct, result, x, y: (7.0 * ct, 0.0))
    assert derivative(3.0) == 7.0


def test_what_can_not_follow_a_rule_refuses_it_by_name():
    with pytest.raises(UnsupportedFunctionError, match=r"product has a rule .*compiled\(x\)\.njit"):
        tg.value_and_grad(program).njit(X, 2, np.empty(2))

    @tg.custom_rule(vjp=lambda ct, result, x: ct * math.cos(x))
    def plain(x):
        return math.sin(x)

    @njit
    def f(x):
        return plain(x)

    for call in (lambda: f(1.0), lambda: tg.grad(f)(1.0)):
        with pytest.raises((TypingError, UnsupportedFunctionError), match="plain must be compiled"):
            call()
