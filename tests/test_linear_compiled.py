"""Linear algebra inside compiled functions: blocks on tapes of Python's, records on others."""

import numpy as np
import pytest
from numba import njit

import tapegrad as tg
from tapegrad.testing import check_grads

RNG = np.random.default_rng(5)


@njit
def of_one(a):
    """What is recorded operation by operation where it's small, or where there is no Python."""
    n = len(a)
    s = a @ a.T + np.eye(n)
    x = np.linalg.solve(s, a[:, ::-1])
    found = np.sum(np.linalg.cholesky(s)[n - 1]) + np.sum(x * x)
    return found + np.sum(np.linalg.inv(a)[0]) + np.linalg.det(a / 3.0)


@njit
def of_vectors(a):
    w, v = np.linalg.eigh(a @ a.T)
    q, r = np.linalg.qr(a)
    u, s, vt = np.linalg.svd(a)
    x, squares, rank, sizes = np.linalg.lstsq(a[:, :3], a[:, 1:4].copy())
    found = np.sum(w * v[0] ** 2) + np.sum(q[1] * r[1]) + np.sum(s * u[0] * vt[0])
    return found + np.sum(x) * rank + np.sum(sizes) + np.sum(squares)


@njit
def thin(a):
    u, s, vt = np.linalg.svd(a[:, :2].copy(), False)
    return np.sum(u[0] * s * vt[:, 1]) + np.sum(np.linalg.svd(np.eye(3))[1]) * a[0, 0]


@pytest.mark.parametrize("n", [4, 12])
@pytest.mark.parametrize("function", [of_one, of_vectors, thin], ids=lambda f: f.py_func.__name__)
def test_compiled_functions_have_the_derivatives_that_they_have_in_python(function, n):
    gradient, plain = tg.value_and_grad(function), tg.value_and_grad(function.py_func)
    a = RNG.normal(size=(n, n)) + 3.0 * np.eye(n)
    for point in (a, 1.1 * a, a + 0.1 * a.T):
        value, found = gradient(point)
        assert value == pytest.approx(function.py_func(point), rel=1e-12)
        np.testing.assert_allclose(found, plain(point)[1], rtol=1e-8, atol=1e-9)
    tape = gradient.recorded.recordings[0].tape
    tg.check(tape)
    assert len(tape) < 8000
    product = tg.hvp(function)(a, a.T)
    np.testing.assert_allclose(product, tg.hvp(function.py_func)(a, a.T), rtol=1e-7, atol=1e-8)
    check_grads(function, (a,), order=1)


def test_large_products_are_blocks_in_compiled_functions_too():
    @njit
    def products(a):
        b = np.ones((len(a), 20))
        c = a @ b
        return np.sum(c * c)

    for n, count in ((5, 0), (30, 1)):
        a = RNG.normal(size=(n, n))
        gradient = tg.value_and_grad(products)
        value, found = gradient(a)
        wanted = tg.value_and_grad(products.py_func)(a)
        assert value == pytest.approx(wanted[0], rel=1e-12)
        np.testing.assert_allclose(found, wanted[1], rtol=1e-10)
        assert len(gradient.recorded.recordings[0].tape.blocks) == count


@njit
def solved(a, b):
    return np.sum(np.linalg.solve(a, b)) + np.linalg.cholesky(a)[-1, -1]


@pytest.mark.parametrize("n", [2, 12])
def test_what_has_no_value_raises_numpys_error(n):
    gradient = tg.value_and_grad(solved)
    b, good = np.ones(n), np.eye(n) * 2.0
    for _ in range(2):
        with pytest.raises(np.linalg.LinAlgError, match="ingular"):
            gradient(np.zeros((n, n)), b)
        assert gradient(good, b)[0] == pytest.approx(n / 2.0 + 2.0**0.5)
    indefinite = np.eye(n)
    indefinite[0, 0] = -1.0
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        gradient(indefinite, b)


def test_derivatives_in_compiled_code_need_no_python():
    @njit
    def last(a):
        return np.linalg.cholesky(a)[-1, -1]

    gradient = tg.value_and_grad(last)

    @njit(nogil=True)
    def there(a, out):
        return gradient.njit(a, out)

    for n in (3, 12):
        a, out = np.eye(n) + 0.1, np.empty((n, n))
        value = there(a, out)
        wanted = gradient(a)
        assert value == pytest.approx(wanted[0], rel=1e-12)
        np.testing.assert_allclose(out, wanted[1], rtol=1e-8, atol=1e-12)


def test_numbers_that_are_not_active_are_not_recorded():
    @njit
    def beside(x):
        still = np.zeros((3, 3)) + 0.0 * x[0]
        for i in range(3):
            still[i, i] = i + 1.0
        w, _ = np.linalg.eigh(still)
        return x[0] * w[2]

    assert tg.grad(beside)(np.array([2.0])) == pytest.approx([3.0])
