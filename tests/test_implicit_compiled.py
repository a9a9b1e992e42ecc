"""Solvers called in the user's compiled functions: run, recorded, and what is refused there."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from numba import NumbaWarning

import tapegrad as tg
from tapegrad.errors import NoConvergenceError, UnsupportedFunctionError
from tapegrad.testing import check_grads

FACTOR = 1.0

ROOT = tg.root(lambda x, a: FACTOR * x * x - a, 1.0)
ROOTS = tg.root(lambda x, a, b, pair: x * x - a * b * pair[0], np.ones((2, 1)))
LEAST = tg.minimizer(lambda x, a: (x[0] - a) ** 2 + np.exp(x[1]), np.ones(2), bounds=(0.0, None))
BOTH = tg.root(lambda s, a: (s[0] - a, s[1] - a), (1.0, 2.0))


@numba.njit
def scalars(a):
    total = 0.0
    for k in range(1, 4):
        total += k * ROOT(k * a)
    return total


@numba.njit
def arrays(p):
    y = ROOTS(p.reshape(2, 1), 2.0 * p[0], (p[1], 3))
    z = LEAST(p[0])
    return np.sum(y * y * y) + y[0, 0] * z[0] + ROOT(2.0)


@numba.njit
def branching(a):
    return ROOT(a) if ROOT(a) > 2.0 else 3.0 * a


def test_a_compiled_function_that_solves_runs_and_is_differentiated():
    assert scalars(2.0) == pytest.approx(2**0.5 * (1 + 2**1.5 + 3**1.5), rel=1e-14)
    slope = tg.value_and_grad(scalars)
    for a in (2.0, 3.0):
        wanted = a**0.5 * (1 + 2**1.5 + 3**1.5)
        assert slope(a) == pytest.approx((wanted, wanted / (2 * a)), rel=1e-14)
    assert len(slope.recorded.recordings) == 1
    check_grads(scalars, (2.0,), order=2)


def test_arrays_and_tuples_go_in_and_arrays_come_out():
    p = np.array([1.0, 2.0])
    slope = tg.value_and_grad(arrays)
    for point in (p, 2.0 * p):
        found, wanted = slope(point), tg.value_and_grad(arrays.py_func)(point)
        assert arrays(point) == pytest.approx(found[0], rel=1e-14)
        assert found[0] == pytest.approx(wanted[0], rel=1e-14)
        np.testing.assert_allclose(found[1], wanted[1], rtol=1e-13)
    np.testing.assert_allclose(tg.hessian(arrays)(p), tg.hessian(arrays.py_func)(p), rtol=1e-12)


def test_solutions_are_compared_under_guards():
    slope = tg.value_and_grad(branching)
    for a in (9.0, 1.0, 16.0):
        assert slope(a) == pytest.approx((a**0.5, a**-0.5 / 2) if a > 4 else (3 * a, 3.0))


def test_what_a_residual_reads_is_watched_from_compiled_functions(monkeypatch):
    slope = tg.value_and_grad(scalars)
    plain = slope(2.0)
    for factor in (4.0, 1.0):
        monkeypatch.setattr(f"{__name__}.FACTOR", factor)
        assert slope(2.0) == pytest.approx(tuple(x / factor**0.5 for x in plain), rel=1e-13)
        assert scalars(2.0) == pytest.approx(plain[0] / factor**0.5, rel=1e-13)


def test_errors_pass_through_compiled_functions():
    with pytest.raises(NoConvergenceError):
        scalars(-1.0)
    slope = tg.value_and_grad(scalars)
    for _ in range(2):
        with pytest.raises(NoConvergenceError):
            slope(-1.0)
        assert slope(2.0)[1] == pytest.approx(scalars(2.0) / 4.0)


@numba.njit
def of_two(a):
    return BOTH(a)[0]


@numba.njit
def by_keyword(a):
    return ROOT(a=a)


@numba.njit
def making(a):
    return tg.root(lambda x: x * x, a)()


CHECKPOINT = tg.checkpoint(lambda x: x)


@numba.njit
def checkpointed(a):
    return CHECKPOINT(a)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (of_two, r"tapegrad.root can't be called .*only solutions that are a number or one array"),
        (by_keyword, r"tapegrad.root can't be called .*not with keywords"),
        (making, r"tapegrad.root can't be called .*make it outside"),
        (checkpointed, r"tapegrad.checkpoint can't be called .*call it in plain Python"),
    ],
)
def test_what_can_not_be_called_in_compiled_functions_says_what_can(function, message):
    with pytest.raises(numba.TypingError, match=message):
        function(2.0)
    with pytest.raises((UnsupportedFunctionError, numba.TypingError), match=message):
        tg.grad(function)(2.0)


def test_forms_in_which_no_python_runs_refuse_solvers():
    message = r"tapegrad.root can't be called .*no Python"
    with pytest.raises(UnsupportedFunctionError, match=message):
        tg.value_and_grad(arrays).njit(np.ones(2), np.empty(2))


def test_code_that_solves_is_not_cached_on_disk():
    @numba.njit(cache=True)
    def solving(a):
        return ROOT(a)

    with pytest.warns(NumbaWarning, match="Cannot cache compiled function"):
        assert solving(9.0) == 3.0
