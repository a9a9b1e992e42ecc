"""Guards inside derivatives of derivatives are checked by the replay."""

from __future__ import annotations

import numpy as np
import pytest
from ticks import new_ticks, ran

import tapegrad as tg


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
    ticks = new_ticks()

    def f(x):
        def g(y):
            ticks.release()
            return y * y * x

        return tg.grad(g)(x)

    derivative = tg.grad(tg.grad(f))
    for x in (1.0, 2.0, 3.0):
        assert derivative(x) == 4.0
    assert ran(ticks) == 1


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
