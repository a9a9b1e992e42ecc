"""Arrays and lists that compiled functions make of constants, and store active numbers into."""

import numpy as np
import pytest
from numba import njit

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError

TABLE = np.array([1.0, 2.0, 4.0])
SINGLE = TABLE.astype(np.float32)
X = np.array([0.3, 0.7, 1.1])


@njit
def of_copies(x):
    a = TABLE.copy()
    a[:] = x
    b = TABLE[::-1].copy()
    b[0] = x[1] * x[1]
    c = TABLE.astype(np.float64)
    c += x
    d = np.copy(TABLE)
    e = d
    e[2] = x[2]
    return (a * b).sum() * c.sum() + d.sum()


@njit
def of_expressions(x):
    a = TABLE * 1.0
    a[0] = x[0]
    b = -TABLE
    b[1:] = x[1:]
    c = np.exp(TABLE)
    c[1] *= x[1]
    d = np.arange(3.0)
    d[0] = x[2]
    e = np.outer(TABLE, TABLE)
    row = e.reshape(-1)[3:]
    row[0] = x[0]
    f = np.where(TABLE > 1.5, TABLE, 0.5)
    for k in range(3):
        f[k] -= x[k] * d[k]
    return a.sum() * b.sum() * c.sum() + (d * f).sum() * e.sum()


@njit
def of_lists(x):
    a = [1.0, 2.0]
    a[0] = x[0]
    b = [0.5] * 3
    b[1] = x[1] * a[0]
    c = [[0.0, 1.0], [2.0, 3.0]]
    c[1][0] = x[2]
    p, q = TABLE * 2.0, TABLE + 1.0
    for one in (p, q):
        one[0] = x[0]
    return (a[0] + a[1]) * (b[0] + b[1] + b[2]) * c[1][0] + c[0][1] * p.sum() * q.sum()


@pytest.mark.parametrize("function", [of_copies, of_expressions, of_lists])
def test_what_is_made_of_constants_can_be_stored_into(function):
    before = TABLE.copy()
    value, gradient = tg.value_and_grad(function)(X)
    assert value == pytest.approx(function.py_func(X), rel=1e-14)
    wanted = tg.grad(function.py_func)(X)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-14)
    assert np.array_equal(TABLE, before)


def test_a_form_for_compiled_code_stores_into_them_too():
    out = np.empty(3)
    value = tg.value_and_grad(of_expressions).njit(X, out)
    assert value == pytest.approx(of_expressions.py_func(X), rel=1e-14)
    wanted = tg.grad(of_expressions.py_func)(X)
    np.testing.assert_allclose(out, wanted, rtol=1e-14)


@njit
def without_active_stores(x):
    y = TABLE.copy()
    y[0] = len(x)
    y[1] += x.shape[0]
    return np.linalg.eigvalsh(np.outer(y, y) + np.eye(3).shape[0])[2] * x[0]


def test_an_array_that_is_given_no_active_number_stays_one_of_floats():
    y = np.array([3.0, 5.0, 4.0])
    wanted = np.linalg.eigvalsh(np.outer(y, y) + 3)[2]
    np.testing.assert_allclose(tg.grad(without_active_stores)(X), [wanted, 0.0, 0.0])


@njit
def into_a_view(x):
    y = TABLE[1:]
    y[0] = x[0]
    return TABLE.sum()


@njit
def into_single_precision(x):
    y = SINGLE.copy()
    y[0] = x[0]
    return y.sum()


@pytest.mark.parametrize("function", [into_a_view, into_single_precision])
def test_what_shares_its_memory_or_rounds_is_refused(function):
    with pytest.raises(UnsupportedFunctionError, match=r"write y = np\.zeros\(a\.shape\)"):
        tg.grad(function)(X)
