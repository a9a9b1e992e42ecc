"""Adjoints that are zero by accident where they are recorded count elsewhere."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import tapegrad as tg

ZEROS_AND_TIES = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5]


def product_square(x, y):
    return (x * y) ** 2


def product_of_squares(x, y):
    return x * x * (y * y)


def product_power(x, y):
    return (x * y) ** 3


def product_through_quotient(x, y):
    return x * y * x / (1.0 + y * y)


def product_through_sine(x, y):
    return np.sin(x * y) * x


def product_through_square_function(x, y):
    return np.square(np.sin(x) * y)


def difference_square(x, y):
    return (x - y) ** 2 * x


def product_of_three(x, y):
    return x * y * (x - y)


def chain_of_zeros(x, y):
    return ((x * y) * (x * x)) * (y + x * 0.0)


CLOSED = {
    product_square: lambda x, y: [[2 * y * y, 4 * x * y], [4 * x * y, 2 * x * x]],
    product_of_squares: lambda x, y: [[2 * y * y, 4 * x * y], [4 * x * y, 2 * x * x]],
    product_power: lambda x, y: [[6 * x * y**3, 9 * x * x * y * y],
                                 [9 * x * x * y * y, 6 * y * x**3]],
    product_through_quotient: lambda x, y: [
        [2 * y / (1 + y * y), 2 * x * (1 - y * y) / (1 + y * y) ** 2],
        [2 * x * (1 - y * y) / (1 + y * y) ** 2,
         x * x * (2 * y**3 - 6 * y) / (1 + y * y) ** 3]],
    product_through_sine: lambda x, y: [
        [2 * y * np.cos(x * y) - x * y * y * np.sin(x * y),
         2 * x * np.cos(x * y) - x * x * y * np.sin(x * y)],
        [2 * x * np.cos(x * y) - x * x * y * np.sin(x * y), -(x**3) * np.sin(x * y)]],
    product_through_square_function: lambda x, y: [
        [2 * y * y * np.cos(2 * x), 2 * y * np.sin(2 * x)],
        [2 * y * np.sin(2 * x), 2 * np.sin(x) ** 2]],
    difference_square: lambda x, y: [[6 * x - 4 * y, 2 * y - 4 * x],
                                     [2 * y - 4 * x, 2 * x]],
    product_of_three: lambda x, y: [[2 * y, 2 * x - 2 * y], [2 * x - 2 * y, -2 * x]],
    chain_of_zeros: lambda x, y: [[6 * x * y * y, 6 * x * x * y], [6 * x * x * y, 2 * x**3]],
}  # fmt: skip


HESSIANS = {
    "hessian": lambda f: tg.hessian(f, (0, 1)),
    "reverse_of_reverse": lambda f: tg.jacobian(tg.grad(f, (0, 1)), (0, 1), mode="reverse"),
    "forward_of_forward": lambda f: tg.jacobian(
        tg.jacobian(f, (0, 1), mode="forward"), (0, 1), mode="forward"
    ),
    "reverse_of_forward": lambda f: tg.jacobian(
        tg.jacobian(f, (0, 1), mode="forward"), (0, 1), mode="reverse"
    ),
}


@pytest.mark.parametrize("way", HESSIANS)
@pytest.mark.parametrize("function", CLOSED, ids=lambda f: f.__name__)
def test_a_zero_at_the_recordings_point_drops_no_second_derivative(function, way):
    points = list(itertools.product(ZEROS_AND_TIES, repeat=2))
    derivative = HESSIANS[way](function)
    for x, y in points:  # all after the first are replays of a recording made at (0, 0)
        wanted = CLOSED[function](x, y)
        np.testing.assert_allclose(derivative(x, y), wanted, rtol=1e-13, atol=1e-13)
    for x, y in points[::5]:  # recorded at the point itself
        found = HESSIANS[way](function)(x, y)
        np.testing.assert_allclose(found, CLOSED[function](x, y), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("start", [0.0, -0.0, 1.0])
def test_third_derivatives_recorded_at_a_zero_are_right_elsewhere(start):
    third = tg.grad(tg.grad(tg.grad(lambda x: (x * x) ** 2 * x + np.sin(x) ** 2)))
    for x in (start, 0.0, 1.0, -0.5, 2.0):
        wanted = 60 * x * x - 4 * np.sin(2 * x)
        assert third(x) == pytest.approx(wanted, rel=1e-13, abs=1e-13)


def test_an_inner_seed_that_is_zero_by_accident_is_still_differentiated():
    product = tg.grad(lambda s: tg.vjp(lambda y: y * y * y, 2.0)[1](s)[0] * s)
    for s in (0.0, 1.0, -2.0):
        assert product(s) == 24.0 * s
    tangent = tg.grad(lambda s: tg.jvp(lambda y: y * y * y, (2.0,), (s,))[1])
    for s in (0.0, 1.0, -2.0):
        assert tangent(s) == 12.0


def test_an_outer_number_that_is_zero_by_accident_is_still_captured():
    derivative = tg.grad(lambda x: tg.grad(lambda y: x * y * y)(3.0))
    for x in (0.0, 1.0, -0.0):
        assert derivative(x) == 6.0
    derivative = tg.grad(lambda x: tg.grad(lambda y: np.sum(x * y * y))(3.0))
    np.testing.assert_array_equal(derivative(np.zeros(2)), [6.0, 6.0])


def test_an_inner_derivative_that_is_zero_by_accident_is_still_differentiated():
    # d/dy (y - x)^2 at y = x is 2 (y - x) = 0; with y fixed at 3, its slope by x is -2
    derivative = tg.grad(lambda x: tg.grad(lambda y: (y - x) ** 2)(3.0))
    for x in (3.0, 0.0, 5.0):
        assert derivative(x) == -2.0


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_sum_of_products_of_zeros_has_its_whole_hessian(n):
    def f(x):
        total = 0.0
        for i in range(n):
            for j in range(n):
                total = total + x[i] * x[j] * (1.0 + i + 2.0 * j)
        return total * total + total

    i, j = np.indices((n, n))
    weights = 2.0 + 3.0 * i + 3.0 * j  # w_ij + w_ji
    derivative = tg.hessian(f)
    for x in (np.zeros(n), np.ones(n), np.linspace(-1, 1, n) if n > 1 else np.zeros(n)):
        total, slope = 0.5 * x @ weights @ x, weights @ x
        wanted = weights * (2 * total + 1) + 2 * np.outer(slope, slope)
        np.testing.assert_allclose(derivative(x), wanted, rtol=1e-12, atol=1e-12)


KINKS = {
    "absolute": (lambda x: abs(x) * x, [2.0, -2.0], 0.0),
    "maximum": (lambda x: np.maximum(x, 0.0) * x, [2.0, 0.0], 1.0),
    "minimum": (lambda x: np.minimum(x, 0.0) * x, [0.0, 2.0], 1.0),
}


@pytest.mark.parametrize("name", KINKS)
def test_second_derivatives_at_kinks_follow_the_convention_and_replay_elsewhere(name):
    f, (right, left), tie = KINKS[name]
    second = tg.grad(tg.grad(f))
    for x, wanted in ((0.0, tie), (1.5, right), (-1.5, left), (0.0, tie)):
        assert second(x) == wanted


def test_powers_recorded_at_zero_have_every_derivative_elsewhere():
    for exponent in (1, 2, 3, 4, 5):
        derivative = lambda x, e=exponent: x**e  # noqa: E731
        wanted = np.poly1d([1.0] + [0.0] * exponent)
        for _ in range(5):
            derivative, wanted = tg.grad(derivative), wanted.deriv()
            for x in (0.0, 2.0, -1.5, 0.0):
                assert derivative(x) == pytest.approx(wanted(x), rel=1e-13, abs=1e-13)


def test_an_active_exponent_at_one_two_and_three_has_its_second_derivatives():
    second = tg.hessian(lambda x, p: x**p, (0, 1))
    for x, p in itertools.product((0.5, 1.0, 2.0), (1.0, 2.0, 3.0, 0.0, -1.0)):
        cross = x ** (p - 1) * (1 + p * math.log(x))
        wanted = [[p * (p - 1) * x ** (p - 2), cross], [cross, x**p * math.log(x) ** 2]]
        np.testing.assert_allclose(second(x, p), wanted, rtol=1e-12, atol=1e-14)
