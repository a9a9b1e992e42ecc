"""NumPy's functions written once: the same loops and bodies in Python and in compiled code."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from numba import njit

import tapegrad as tg
from tapegrad.ops import OPS
from tapegrad.record import stand_ins

COMPARISONS = [op.code for op in OPS if op.boolean]


def tape_of(function, *args):
    """The tape of a function's recording."""
    derivative = tg.grad(function, compile="never")
    derivative(*args)
    return derivative.recorded.recordings[0].tape


def comparisons(tape):
    return int(np.isin(tape.op, COMPARISONS).sum())


def sorts(x):
    y = np.sort(x)
    order = np.argsort(x)
    return y[0] * y[1] + order[0] * x[order[2]] + np.median(x) * x[np.argmax(x)]


def searches(x):
    return x[np.searchsorted(x, x[0] * 1.5)] * x[1]


def interpolates(x):
    return np.interp(x[0] * 1.5, x, x[::-1].copy())


COMPILED = {function: njit(function) for function in (sorts, searches, interpolates)}


def test_an_order_is_stated_by_as_many_records_in_compiled_code_as_in_python():
    x = np.array([0.4, -1.0, 2.5, 0.9, 3.5, -0.2, 1.1])
    # A sort, its order and a median each state six pairs, the greatest is compared with six.
    assert comparisons(tape_of(COMPILED[sorts], x)) == 4 * 6
    assert comparisons(tape_of(sorts, x)) == 4 * 6
    y = np.sort(x) + 2.0
    for function in (searches, interpolates):
        assert comparisons(tape_of(COMPILED[function], y)) == 2
    assert comparisons(tape_of(searches, y)) == 2


def test_in_python_no_replay_depends_on_which_knots_a_point_is_between():
    y = np.sort(np.array([0.4, -1.0, 2.5, 0.9, 3.5, -0.2, 1.1])) + 2.0
    assert len(tape_of(interpolates, y).guard_slot) == 0


@pytest.mark.parametrize("function", COMPILED)
def test_what_is_ordered_has_the_same_derivative_in_both(function):
    x = np.sort(np.array([0.4, 0.1, 2.5, 0.9, 3.5, 0.2, 1.1]))
    value, gradient = tg.value_and_grad(COMPILED[function])(x)
    assert value == function(x)
    np.testing.assert_allclose(gradient, tg.grad(function)(x), rtol=1e-14)
    out = np.zeros(7)
    assert tg.value_and_grad(COMPILED[function]).njit(x, out) == value
    np.testing.assert_allclose(out, gradient, rtol=1e-14)


def places(tape):
    """The lines at which guards of a tape were left, in their order, with how many."""
    lines = [tape.sites[k] for k in tape.guard_site]
    assert {file for file, _ in lines} == {__file__}
    return list(Counter(line for _, line in lines).items())


def test_guards_of_a_compiled_loop_stand_where_the_program_called_it():
    line = sorts.__code__.co_firstlineno
    for function in (sorts, COMPILED[sorts]):
        tape = tape_of(function, np.array([0.4, -1.0, 2.5]))
        assert places(tape) == [(line + 1, 2), (line + 2, 2), (line + 3, 4)]


@njit
def least(x):
    return x[1] * x[2] if np.argmin(x) == 0 else min((x[1], x[0]))


@njit
def reads(x, n):
    y = x * 2.0
    y.sort()
    total = y[np.searchsorted(y, x[0])] + np.interp(x[0], y, x)
    for _ in range(n):
        total += x[x.argmax()] * np.sinc(x[0])
    higher = np.where(x > 0.5, x, 2.0 * x)
    both = [x[0], x[1]]
    both.sort()
    first = sorted([x[1], x[2], x[0]])[0]
    total += max([x[0], x[1]]) + min(x[0], x[1])
    if x[0] * x[1] < 0.0:
        total *= x[2]
    return total + higher[0] + both[0] * first + least(x)


def test_guards_of_compiled_functions_stand_where_the_user_calls_what_reads():
    x = np.array([0.4, -1.0, 2.5])
    line = reads.py_func.__code__.co_firstlineno + 2
    inner = least.py_func.__code__.co_firstlineno + 2
    by_offset = {1: 2, 2: 2 + 2, 4: 2 * (2 + 1), 5: 3, 7: 1, 8: 3, 9: 2, 10: 1}
    expected = [(line + offset, count) for offset, count in by_offset.items()]
    assert places(tape_of(reads, x, 2)) == [*expected, (inner, 2 + 1)]
    value, gradient = tg.value_and_grad(reads)(x, 2)
    assert value == reads.py_func(x, 2)
    np.testing.assert_allclose(gradient, tg.grad(reads.py_func)(x, 2), rtol=1e-14)
    out = np.zeros(3)
    assert tg.value_and_grad(reads).njit(x, 2, out) == value
    np.testing.assert_allclose(out, gradient, rtol=1e-14)


@njit
def bodies(x):
    total = np.sinc(x[0]) + np.sinc(x[1] * 0.001) + np.polyval(x[:3], x[3])
    total += np.angle(x[4]) + np.degrees(x[0]) + math.radians(x[1]) + math.degrees(2.0)
    total += np.round(x[2] * 1.7, 2) * x[3]
    for number in np.sinc(x):
        total += number * number
    for number in np.radians(x):
        total += number * number
    for number in np.polyval(np.array([1.0, 2.0]), x):
        total += number * number
    for number in np.ravel(np.reshape(x[:4], (2, 2))):  # NumPy's moves are Numba's
        total += number * x[1]
    for number in np.round(x, 1):
        total += number * x[0]
    return total


def test_a_body_that_python_runs_is_compiled_as_it_is():
    x = np.array([0.3, -0.2, 1.5, 0.7, -2.0])
    value, gradient = tg.value_and_grad(bodies)(x)
    assert value == pytest.approx(bodies.py_func(x), rel=1e-14)
    np.testing.assert_allclose(gradient, tg.grad(bodies.py_func)(x), rtol=1e-13)
    out = np.zeros(5)
    assert tg.value_and_grad(bodies).njit(x, out) == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(out, gradient, rtol=1e-13)


@njit
def reduces(x):
    y = x[1:]
    m = np.outer(x, x)[1:, 1:]
    total = np.sum(m @ m) + y @ (m @ y) + np.prod(y) + np.sum(m.max(axis=0) * m.min(axis=1))
    total += np.nanmax(x) * np.nanmin(x) + np.std(y) + np.sum(np.diff(y, 2) ** 2)
    return total + np.sum(np.cumsum(y) * np.cumprod(y))


# Numba says of products what it says of those of plain arrays.
@pytest.mark.filterwarnings("ignore:.*faster on contiguous arrays")
def test_reductions_and_products_write_the_same_records_in_both():
    x = np.array([np.nan, 0.4, -1.0, 2.5, 0.9])
    value, gradient = tg.value_and_grad(reduces)(x)
    assert value == pytest.approx(reduces.py_func(x), rel=1e-14)
    np.testing.assert_allclose(gradient, tg.grad(reduces.py_func)(x), rtol=1e-13)
    out = np.zeros(5)
    assert tg.value_and_grad(reduces).njit(x, out) == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(out, gradient, rtol=1e-13)
    one, other = (np.bincount(tape_of(f, x).op) for f in (reduces, reduces.py_func))
    np.testing.assert_array_equal(one, other)


def test_the_list_says_where_a_function_works():
    found = tg.supported()
    assert list(found) == sorted(found)
    assert set(found.values()) == {("python",), ("python", "njit")}
    for name in (
        "exp",
        "sum",
        "sort",
        "median",
        "sinc",
        "where",
        "nanmax",
        "zeros_like",
        "reshape",
    ):
        assert found[f"numpy.{name}"] == ("python", "njit")
    for name in ("numpy.histogram", "numpy.bitwise_and", "scipy.special.digamma"):
        assert found[name] == ("python",)


def test_every_function_that_stands_for_one_of_numpys_is_in_the_list():
    found = tg.supported()
    named = {f"numpy.{f.__name__}" for f in stand_ins.FUNCTIONS if hasattr(np, f.__name__)}
    named = {name for name in named if not name.endswith((".radians", ".degrees"))}
    assert all("njit" in found[name] for name in named if name in found)
    assert not named - set(found)
