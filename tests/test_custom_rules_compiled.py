"""Rules whose functions are compiled by Numba: no Python runs where they are called."""

import math

import numpy as np
import pytest
from numba import njit

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError, WrongRuleWarning


@njit
def wave(x, k):
    if k < 0.0:
        raise ValueError("a negative wave number")
    return math.sin(k * x)


@njit
def wave_vjp(ct, result, x, k):
    if x > 10.0:
        raise ValueError("too far out")
    return ct * k * math.cos(k * x), ct * x * math.cos(k * x)


@njit
def wave_jvp(moved, result, x, k):
    dx, dk = moved
    return (k * dx + x * dk) * math.cos(k * x)


wave_rule = tg.custom_rule(wave, vjp=wave_vjp, jvp=wave_jvp)


@njit
def parts(x, y, scale, shift):
    first, second = np.empty(len(x)), np.empty(y.shape)
    for k in range(len(x)):
        first[k] = np.sin(x[k]) * y[0, 0] * scale + shift
    for i in range(len(y)):
        for j in range(y.shape[1]):
            second[i, j] = y[i, j] * x[0]
    return first, second


@njit
def parts_vjp(ct, result, x, y, scale, shift):
    first, second = ct
    by_x, by_y = np.empty(len(x)), np.empty(y.shape)
    for k in range(len(x)):
        by_x[k] = first[k] * np.cos(x[k]) * y[0, 0] * scale
    for i in range(len(y)):
        for j in range(y.shape[1]):
            by_y[i, j] = second[i, j] * x[0]
            by_x[0] += second[i, j] * y[i, j]
    for k in range(len(x)):
        by_y[0, 0] += first[k] * np.sin(x[k]) * scale
    return by_x, by_y


parts_rule = tg.custom_rule(parts, vjp=parts_vjp, nondiff=("scale", "shift"))


def parts_in_numpy(x, y, scale, shift):
    return np.sin(x) * y[0, 0] * scale + shift, y * x[0]


X, Y = np.array([0.3, -0.5, 0.7]), np.array([[2.0, 0.1]])


def loss(x, y, function):
    first, second = function(x, y, 3, 0.5)
    return np.sum(first**2) + np.sum(second) * x[0]


def block_of(derivative):
    return derivative.recorded.latest.tape.blocks[0]


def test_compiled_rules_are_called_by_address():
    f = tg.value_and_grad(lambda x, k: wave_rule(x, k) * x, argnums=(0, 1))
    for x, k in ((0.5, 2.0), (0.7, 1.0), (0.7, 3.0)):
        value, (by_x, by_k) = f(x, k)
        assert value == math.sin(k * x) * x
        assert by_x == pytest.approx(math.sin(k * x) + x * k * math.cos(k * x), rel=1e-15)
        assert by_k == pytest.approx(x * x * math.cos(k * x), rel=1e-15)
    block = block_of(f)
    assert all(block.compiled(kind) for kind in ("value", "pullback", "pushforward"))
    assert len({block.compiled("value"), block_of(f).compiled("value")}) == 1
    tangent = tg.jvp(lambda x: wave_rule(x, 2.0) * x, 0.5, 1.0)[1]
    assert tangent == pytest.approx(math.sin(1.0) + math.cos(1.0), rel=1e-15)
    second = tg.grad(tg.grad(lambda x: wave_rule(x, 2.0)))(0.5)
    assert second == pytest.approx(-4.0 * math.sin(1.0))


def test_compiled_rules_take_arrays_constants_and_tuples_for_all_shapes_at_once():
    ours = tg.value_and_grad(lambda x, y: loss(x, y, parts_rule), argnums=(0, 1))
    theirs = tg.value_and_grad(lambda x, y: loss(x, y, parts_in_numpy), argnums=(0, 1))
    code = set()
    for x, y in ((X, Y), (2.0 * X, Y), (np.arange(1.0, 6.0), np.ones((2, 3)))):
        for one, other in zip(ours(x, y)[1], theirs(x, y)[1], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-14)
        code.add(block_of(ours).compiled("pullback"))
    assert len(code) == 1
    assert 0 not in code
    np.testing.assert_allclose(
        tg.hessian(lambda x: loss(x, Y, parts_rule))(X),
        tg.hessian(lambda x: loss(x, Y, parts_in_numpy))(X), rtol=1e-12,
    )  # fmt: skip


def test_what_a_compiled_function_raises_arrives_as_it_is():
    derivative = tg.grad(lambda x, k: wave_rule(x, k), argnums=(0, 1))
    assert derivative(0.0, 2.0) == (2.0, 0.0)
    for x, k, message in ((0.0, -1.0, "a negative wave number"), (11.0, 1.0, "too far out")):
        with pytest.raises(ValueError, match=message):
            derivative(x, k)
        assert derivative(0.0, 2.0) == (2.0, 0.0)


@njit
def storing_vjp(ct, result, x):
    ct *= 2.0 * x
    return ct


@njit
def square(x):
    return x * x


@njit
def wrong_vjp(ct, result, x):
    return ct * 3.0 * x


def test_compiled_rules_that_write_into_arguments_or_are_wrong_are_told():
    storing = tg.custom_rule(square, vjp=storing_vjp)
    with pytest.raises(UnsupportedFunctionError, match="square writes into its arguments"):
        tg.grad(lambda x: np.sum(storing(x)))(X)
    wrong = tg.custom_rule(square, vjp=wrong_vjp)
    with pytest.warns(WrongRuleWarning, match="vjp of square"):
        tg.grad(lambda x: np.sum(wrong(x)))(X)


@njit
def of_residuals(x, y):
    return np.sin(x) * y


@njit
def fwd(x, y):
    return np.sin(x) * y, (np.cos(x), np.sin(x), y)


@njit
def bwd(kept, ct):
    cosine, sine, y = kept
    return ct * cosine * y, (ct * sine).sum()


def test_compiled_halves_of_a_reverse_sweep_keep_what_they_compute():
    f = tg.custom_vjp(of_residuals)
    f.defvjp(fwd, bwd)
    derivative = tg.value_and_grad(lambda x, y: np.sum(f(x, y) ** 2), argnums=(0, 1))
    right = tg.value_and_grad(lambda x, y: np.sum((np.sin(x) * y) ** 2), argnums=(0, 1))
    for x in (X, 2.0 * X):
        (value, (by_x, by_y)), (v, (bx, by)) = derivative(x, 1.5), right(x, 1.5)
        assert value == pytest.approx(v, rel=1e-14)
        np.testing.assert_allclose(by_x, bx, rtol=1e-14)
        assert by_y == pytest.approx(by, rel=1e-14)
    assert block_of(derivative).compiled("pullback")


def test_a_rule_that_is_compiled_in_part_is_called_both_ways():
    f = tg.custom_rule(square, vjp=lambda ct, result, x: 2.0 * x * ct)
    derivative = tg.grad(lambda x: np.sum(f(x) * x))
    for x in (X, 2.0 * X):
        np.testing.assert_allclose(derivative(x), 3.0 * x**2)
    block = block_of(derivative)
    assert block.compiled("value")
    assert not block.compiled("pullback")
    np.testing.assert_allclose(tg.hessian(lambda x: np.sum(f(x) * x))(X), np.diag(6.0 * X))
