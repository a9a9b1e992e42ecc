"""Derivatives within derivatives: guards, accidental zeros, what must not be done, solvers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.optimize
from test_nesting import ZEROS_AND_TIES

import tapegrad as tg
from tapegrad.errors import MixedTapesError, TapeEndedError


def test_an_inner_guard_on_an_outer_number_is_checked_by_the_replay():
    def f(x):
        return tg.grad(lambda y: y * y * x if x > 1.0 else 5.0 * y * x)(x)

    derivative = tg.value_and_grad(f)
    for x in (2.0, 0.5, 3.0, -1.0, 1.0, 1.5):
        wanted = (2 * x * x, 4 * x) if x > 1.0 else (5.0 * x, 5.0)
        assert derivative(x) == wanted


def test_an_inner_guard_on_an_inner_number_is_checked_by_the_replay():
    def f(x):
        return tg.grad(lambda y: y * y * y if y > 1.0 else 5.0 * y)(x * x)

    derivative = tg.value_and_grad(f)
    for x in (2.0, 0.5, -3.0, 0.0, 1.0, 1.5):
        wanted = (3 * x**4, 12 * x**3) if x * x > 1.0 else (5.0, 0.0)
        assert derivative(x) == wanted


def test_an_inner_guard_on_both_numbers_is_checked_by_the_replay():
    def f(x, z):
        return tg.grad(lambda y: x * y * y if y * x > z else z * y)(x + z)

    derivative = tg.grad(f, (0, 1))
    rng = np.random.default_rng(0)
    for x, z in [*rng.standard_normal((40, 2)).tolist(), (0.0, 0.0), (1.0, -1.0)]:
        wanted = (4 * x + 2 * z, 2 * x) if (x + z) * x > z else (0.0, 1.0)
        assert derivative(x, z) == pytest.approx(wanted, rel=1e-14)


def test_an_inner_loop_count_from_an_outer_number_is_checked_by_the_replay():
    def f(x):
        def g(y):
            for _ in range(int(x)):
                y = y * y
            return y

        return tg.grad(g)(x)

    derivative = tg.grad(f)
    for x in (1.5, 2.5, 0.5, 3.25, 2.25, 1.0, 0.0):
        n = 2.0 ** int(x)
        wanted = n * (n - 1) * x ** (n - 2) if n > 1 else 0.0
        assert derivative(x) == pytest.approx(wanted, rel=1e-12)


def test_guards_three_levels_deep_are_checked_by_the_replay():
    def f(x):
        def g(y):
            return tg.grad(lambda z: z * z * y * x if z < x + y else z * y)(y * y)

        return tg.grad(g)(x)

    derivative = tg.value_and_grad(f)
    for x in (1.0, 0.5, 3.0, 2.0, -1.0, -3.0, 1.9, 2.1):
        # z = y^2 < x + y: d/dz = 2 y^3 x, d/dy = 6 y^2 x = 6 x^3; otherwise d/dz = y, d/dy = 1
        wanted = (6 * x**3, 18 * x**2) if x * x < 2 * x else (1.0, 0.0)
        assert derivative(x) == pytest.approx(wanted, rel=1e-13), x


def test_a_branch_on_an_inner_derivatives_value_is_checked_by_the_replay():
    def f(x):
        slope = tg.grad(lambda y: y * y * y - y)(x)
        return x * slope if slope > 0.0 else x

    derivative = tg.grad(f)
    for x in (1.0, 0.1, -2.0, 0.3, 0.9):
        assert derivative(x) == pytest.approx(9 * x * x - 1 if 3 * x * x > 1 else 1.0)


def test_a_replay_counts_no_new_recording_inside_either():
    ticks = iter(range(10**6))

    def f(x):
        def g(y):
            next(ticks)
            return y * y * x

        return tg.grad(g)(x)

    derivative = tg.grad(tg.grad(f))
    for x in (1.0, 2.0, 3.0):
        assert derivative(x) == 4.0
    assert next(ticks) == 1


def test_a_derivative_of_a_shared_recorded_function_works_inside_and_outside():
    slope = tg.grad(lambda y: y * y * y)
    assert slope(2.0) == 12.0
    outer = tg.grad(lambda x: slope(x) * x)
    assert outer(2.0) == 36.0
    assert slope(3.0) == 27.0
    assert outer(3.0) == 81.0
    assert tg.grad(slope)(2.0) == 12.0


def test_an_inner_derivative_at_a_constant_is_a_constant():
    derivative = tg.value_and_grad(lambda x: x * tg.grad(lambda y: y * y)(3.0))
    for x in (1.0, 2.0):
        assert derivative(x) == (6.0 * x, 6.0)


def test_an_inner_array_gradient_at_a_constant_is_a_plain_array():
    constant = np.array([1.0, 2.0])
    derivative = tg.grad(lambda x: np.sum(tg.grad(lambda y: np.sum(y**2))(constant) * x))
    assert derivative(1.0) == 6.0


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


def test_an_inner_number_that_escapes_is_refused():
    kept = []

    def keep(y):
        kept.append(y)
        return y * y

    with pytest.raises(TapeEndedError):
        tg.grad(lambda x: tg.grad(keep)(x) * kept[0])(2.0)
    with pytest.raises(TapeEndedError):
        kept[0] * 2.0


def test_numbers_that_escaped_two_recordings_are_refused_in_a_third():
    kept = []
    tg.grad(lambda x: (kept.append(x), x * x)[1])(2.0)
    with pytest.raises((TapeEndedError, MixedTapesError)):
        tg.grad(lambda y: y * kept[0])(2.0)


def test_an_inner_number_stored_in_an_outer_array_is_refused():
    def f(x):
        def g(y):
            x[0] = y * y
            return y

        return tg.grad(g)(2.0) * x[0]

    with pytest.raises(MixedTapesError):
        tg.grad(f)(np.ones(2))


def test_an_exception_inside_leaves_the_next_derivative_whole():
    def inner(y):
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            tg.grad(lambda x: tg.grad(inner)(x))(1.0)
        assert tg.grad(lambda x: x * tg.grad(lambda y: x + y)(1.0))(1.0) == 1.0


def test_an_exception_caught_inside_leaves_the_outer_derivative_whole():
    def broken(y):
        raise ZeroDivisionError

    def f(x):
        try:
            return tg.grad(broken)(x)
        except ZeroDivisionError:
            return x * x * tg.grad(lambda y: x * y)(1.0)

    assert tg.grad(f)(2.0) == 12.0


def test_a_bilevel_problem_is_solved_with_inner_newton_steps():
    def inner(p):
        y = p * 0.0 + 1.0
        for _ in range(20):
            slope, curvature = (d(y) for d in derivatives_of(p))
            y = y - slope / curvature
        return y

    def derivatives_of(p):
        g = tg.grad(lambda y: np.exp(y) - p * y)  # its minimum is at log(p)
        return g, tg.grad(g)

    result = scipy.optimize.minimize(
        tg.value_and_grad(lambda p: (inner(p[0]) - 1.5) ** 2), np.array([2.0]), jac=True
    )
    assert result.x[0] == pytest.approx(math.exp(1.5), rel=1e-5)
