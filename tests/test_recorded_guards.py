"""Guards: a replay across a flipped branch, compared with a fresh recording."""

from __future__ import annotations

import bisect
import math

import numpy as np
import pytest
from ticks import counted, new_ticks, ran

import tapegrad as tg
from tapegrad.function.recorded import MOST_RECORDINGS


def fresh_gradient(function, x):
    """The gradient from a recording made at this very point."""
    return tg.grad(function)(x)


def absolute(x):
    return x if x > 0.0 else -x


def collatz_like(x):
    steps = 0
    while x > 1.0:
        x = x * 0.5 if int(x) % 2 == 0 else x * 0.75 - 0.1
        steps += 1
    return x * (1.0 + steps)


def by_max(x):
    return max(x * x, 3.0 * x, 2.0)


def by_min_of_list(x):
    return min([x * x, 1.0 - x, 2.0 * x])


def by_sorted(x):
    a, b, c = sorted([x * x, 2.0 * x, 1.0])
    return a + 10.0 * b + 100.0 * c


def by_table(x):
    table = [1.0, -2.0, 4.0, -8.0]
    return table[int(abs(x)) % 4] * x * x


def by_bisect(x):
    knots = [-1.5, 0.0, 0.5, 2.0]
    k = bisect.bisect(knots, x)
    return (k + 1.0) * x**2


def by_round(x):
    return round(x) * x + round(x, 1) * x


def by_floor(x):
    return math.floor(x) * x + math.ceil(x) * x * x


def by_loop_count(x):
    total = x
    for k in range(int(abs(x))):
        total = total * x + k
    return total


def by_and_or(x):
    if (x > 0.0 and x < 1.0) or x > 2.0:
        return x * x
    return x * x * x if not x < -1.0 else x


def by_chained_comparison(x):
    return x * x if -1.0 <= x < 1.0 else 3.0 * x


def by_equality(x):
    if x == 0.0:
        return 5.0 * x
    return x * x if x != 1.0 else 7.0 * x


def by_truth(x):
    return x * x if x else 5.0 * x


def by_any(x):
    return x * x if any(x > k for k in (2.0, 1.0)) else 3.0 * x


def by_is_integer(x):
    return x * x if x.is_integer() else 3.0 * x


def by_exception(x):
    try:
        if x < 0.0:
            raise ValueError
        return x * x
    except ValueError:
        return 4.0 * x


def by_early_stop(x):
    guess = x * 0.5 + 1.0
    for _ in range(50):
        new = 0.5 * (guess + (x * x + 1.0) / guess)
        if abs(new - guess) < 1e-9:
            break
        guess = new
    return guess


def by_recursion(x):
    return x * x if x <= 1.0 else by_recursion(x * 0.5) * 3.0


def by_three_ways(x):
    return (
        (x if x > 0 else 2.0 * x)
        * (x if x > 1 else 3.0)
        * (x * x if x > -1 else 0.5)
        * (1.0 if x > 2 else 1.5)
    )


BRANCHING = [absolute, collatz_like, by_max, by_min_of_list, by_sorted, by_table, by_bisect,
             by_round, by_floor, by_loop_count, by_and_or, by_chained_comparison, by_equality,
             by_truth, by_any, by_is_integer, by_exception, by_early_stop, by_recursion,
             by_three_ways]  # fmt: skip
POINTS = [3.7, -0.25, 0.0, -0.0, 1.0, 0.5, 2.0, -1.0, 2.5, -1.5, 1.25, -3.2, 0.75, 3.0, 1e-9]


@pytest.mark.parametrize("function", BRANCHING, ids=lambda f: f.__name__)
def test_a_branch_taken_otherwise_is_recorded_again_and_found_again(function):
    f, ticks = counted(function)
    derivative = tg.value_and_grad(f)
    expected = {}
    for x in POINTS:
        expected[x] = tg.value_and_grad(function)(x)
        assert derivative(x) == expected[x], x
        assert expected[x][0] == function(x)
    recorded = ran(ticks)
    assert recorded < len(POINTS) or function is by_round
    rng = np.random.default_rng(1)
    for x in rng.permutation(POINTS * 3).tolist():
        assert derivative(x) == expected[x], x
    assert ran(ticks) == recorded


@pytest.mark.parametrize("function", BRANCHING, ids=lambda f: f.__name__)
def test_second_derivatives_replayed_across_a_flip_are_those_of_a_fresh_recording(function):
    derivative = tg.grad(tg.grad(function))
    for x in [*POINTS, *reversed(POINTS)]:
        assert derivative(x) == tg.grad(tg.grad(function))(x), x


def test_every_path_of_a_chain_of_branches_is_found_from_every_other():
    def f(x):
        ticks.release()
        total = 0.0
        for k in range(5):
            total = total + (2.0**k * x[k] if x[k] > 0.0 else -(3.0**k) * x[k])
        return total

    ticks = new_ticks()
    derivative = tg.grad(f)
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 5)).reshape(5, -1).T
    assert len(signs) == MOST_RECORDINGS
    powers = np.arange(5.0)
    order = np.random.default_rng(2)
    for _ in range(6):
        for sign in order.permutation(signs):
            expected = np.where(sign > 0, 2.0**powers, -(3.0**powers))
            np.testing.assert_array_equal(derivative(sign), expected)
    assert ran(ticks) == 32


def test_paths_of_different_lengths_are_found_again():
    def f(x):
        ticks.release()
        y = x
        while y > 1.0:
            y = y * 0.5
        return y * x

    ticks = new_ticks()
    derivative = tg.grad(f)
    points = [0.5 * 2.0**k * 1.5 for k in range(16)]
    order = np.random.default_rng(3)
    for _ in range(5):
        for x in order.permutation(points):
            assert derivative(float(x)) == fresh_gradient(lambda v: halved(v) * v, float(x))
    assert ran(ticks) == 16


def halved(y):
    while y > 1.0:
        y = y * 0.5
    return y


def test_guards_on_elements_of_arrays_are_checked():
    def f(x):
        ticks.release()
        return np.sum(x[x > 0.0] ** 2) - np.sum(x[x <= 0.0])

    ticks = new_ticks()
    derivative = tg.grad(f)
    rng = np.random.default_rng(4)
    for _ in range(3):
        for sign in ([1, 1, 1], [1, -1, 1], [-1, -1, -1], [1, 1, -1]):
            x = np.array(sign) * rng.uniform(0.5, 2.0, 3)
            np.testing.assert_array_equal(derivative(x), np.where(x > 0, 2 * x, -1.0))
    assert ran(ticks) == 4


def test_a_guard_at_a_nan_takes_the_way_python_takes():
    derivative = tg.grad(lambda x: 2.0 * x if x < 1.0 else 3.0 * x)
    for x, expected in ((0.0, 2.0), (math.nan, 3.0), (0.0, 2.0), (math.nan, 3.0), (2.0, 3.0)):
        assert derivative(x) == expected


def test_a_recording_that_began_at_a_nan_is_not_used_elsewhere():
    derivative = tg.grad(lambda x: 2.0 * x if x < 1.0 else 3.0 * x)
    assert [derivative(x) for x in (math.nan, 0.0, 2.0, math.nan)] == [3.0, 2.0, 3.0, 3.0]


def test_data_that_is_not_differentiated_is_guarded_too():
    f, ticks = counted(lambda x, data: 2.0 * x if data > 0.0 else 3.0 * x)
    derivative = tg.grad(f)
    assert [derivative(1.0, d) for d in (1.0, -1.0, 2.0, -2.0)] == [2.0, 3.0, 2.0, 3.0]
    assert ran(ticks) == 2


def test_a_function_that_raises_at_one_point_still_replays_at_others():
    def f(x):
        ticks.release()
        if x < 0.0:
            raise ArithmeticError("negative")
        return x * x

    ticks = new_ticks()
    derivative = tg.grad(f)
    assert derivative(3.0) == 6.0
    for _ in range(3):
        with pytest.raises(ArithmeticError, match="negative"):
            derivative(-1.0)
        assert derivative(4.0) == 8.0
    assert ran(ticks) == 4
