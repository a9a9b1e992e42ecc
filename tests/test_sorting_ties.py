"""Sorts and partitions of ties: NumPy's own order in Python, Numba's own in compiled code."""

from __future__ import annotations

import numba
import numpy as np
import pytest

import tapegrad as tg

KINDS = (None, "quicksort", "heapsort", "stable", "mergesort")


def tied(size, seed, special=None):
    """A matrix whose rows are full of ties, some elements of it special."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, (2, size)).astype(float)
    if special is not None:
        x[rng.random(x.shape) < 0.2] = special
    return x


def assert_as_numpy(function, x):
    """A function whose result is compared while it's recorded, and where it's replayed."""
    found = []

    def f(x):
        result = function(x)
        found.append(getattr(result, "primal", result))
        return np.sum(np.where(np.isfinite(x), x, 0.0))

    tg.grad(f)(x)
    np.testing.assert_array_equal(found[0], function(x))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 2, 5, 17, 300])
def test_a_sort_gives_numpys_order(kind, size):
    for seed, special in enumerate((None, np.nan, np.inf)):
        x = tied(size, seed, special)
        for axis in (-1, 0, None):
            assert_as_numpy(lambda x: np.argsort(x, axis, kind=kind), x)  # noqa: B023
            assert_as_numpy(lambda x: np.sort(x, axis, kind=kind), x)  # noqa: B023
        assert_as_numpy(lambda x: np.argsort(x > 0.0, kind=kind), x)
    assert_as_numpy(lambda x: np.argsort(x, stable=True), x)
    assert_as_numpy(lambda x: x[0].argsort(kind=kind), x)


@pytest.mark.parametrize("size", [1, 2, 5, 17, 300])
def test_a_partition_gives_numpys_order(size):
    for seed, special in enumerate((None, np.nan, np.inf)):
        x = tied(size, seed, special)
        for kth in (0, size - 1, -1, size // 2, [0, size // 2, size - 1]):
            for axis in (-1, None):
                assert_as_numpy(lambda x: np.partition(x, kth, axis), x)  # noqa: B023
                assert_as_numpy(lambda x: np.argpartition(x, kth, axis), x)  # noqa: B023


WEIGHTS = np.arange(1.0, 10.0)


def by_order(x):
    sums = WEIGHTS @ x[np.argsort(x)] + WEIGHTS @ np.sort(x)
    return sums + x @ np.argsort(x) + WEIGHTS @ np.partition(x, 4) + x @ np.argpartition(x, 3)


@pytest.mark.filterwarnings("ignore::tapegrad.errors.RecordingLimitWarning")
def test_a_replay_has_the_order_that_numpy_has_there():
    rng = np.random.default_rng(3)
    derivative = tg.value_and_grad(by_order)
    for _ in range(120):
        x = rng.integers(-2, 3, 9).astype(float)
        x += 0.25 * (rng.random() < 0.5)  # the same way at another point
        assert derivative(x)[0] == by_order(x)


def test_the_order_depends_on_how_elements_compare_alone():
    """What the guards of an unstable sort rest on."""
    for size in (5, 9, 33, 1000):
        x = tied(size, size)
        for y in (np.exp(x), 1e-300 * x, x**3 - 7.0):
            for find in (np.argsort, lambda x: np.argpartition(x, 2)):
                np.testing.assert_array_equal(find(x), find(y))


def test_errors_are_numpys():
    for function in (
        lambda x: np.partition(x, 7)[0],
        lambda x: np.argpartition(x, 7)[0] * x[0],
        lambda x: np.sort(x, kind="none")[0],
        lambda x: np.sort(x, kind="quicksort", stable=True)[0],
    ):
        with pytest.raises(ValueError) as ours:  # noqa: PT011  # compared below
            tg.grad(function)(np.ones(3))
        with pytest.raises(ValueError) as numpys:  # noqa: PT011
            function(np.ones(3))
        assert str(ours.value) == str(numpys.value)


@numba.njit
def by_order_in_numba(x):
    order = np.argsort(x)
    total = 0.0
    for k in range(len(x)):
        total += order[k] * x[k] + (k + 1.0) * x[order[k]]
    return total


@pytest.mark.filterwarnings("ignore::tapegrad.errors.RecordingLimitWarning")
def test_compiled_code_has_the_order_that_numba_has():
    rng = np.random.default_rng(4)
    derivative = tg.value_and_grad(by_order_in_numba)
    for size in (3, 20):
        for _ in range(40):
            x = rng.integers(-2, 3, size).astype(float)
            assert derivative(x)[0] == by_order_in_numba(x)
