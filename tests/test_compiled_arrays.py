"""Arrays of active numbers in compiled code: as NumPy's, and as from Python."""

import math

import numpy as np
import pytest
from numba import njit

import tapegrad as tg
from tapegrad.testing import check_grads

X = np.array([0.7, -1.3, 0.4, 2.1, -0.2, 0.9])
ELSEWHERE = np.array([-0.5, 0.3, 1.4, -2.0, 0.8, 0.1])

FUNCTIONS = {}


@njit
def put(out, k, numbers):
    """Append numbers to those in `out`: compiled faster than what `np.concatenate` needs."""
    for number in numbers.flat:
        out[k] = number
        k += 1
    return k


def case(function):
    """Collect a function of an array of six that returns an array of one axis."""
    FUNCTIONS[function.__name__] = njit(function)
    return function


@case
def made(x):
    a, b, c = np.zeros(3), np.empty((2, 3)), np.ones(2)
    d, e, f = np.full(2, x[0]), np.full((1, 2), 2.5), np.eye(3)
    a[0], a[2] = x[0], x[1] * 2.0
    for i in range(2):
        for j in range(3):
            b[i, j] = x[3 * i + j] * j
    c += x[2]
    e[0, 1] = x[3]
    f[0, 2] = x[5]
    g = np.zeros(2, dtype=x.dtype)
    g[1] = x[4]
    h = np.zeros(2, np.float64)
    h[0] = x[4] ** 2
    counts = np.zeros(3, np.int64)
    counts[1] = 7
    out = np.zeros(40)
    k = put(out, put(out, put(out, 0, a), b), c)
    k = put(out, put(out, put(out, k, d), e), f)
    return out[: put(out, put(out, put(out, k, g), h), counts)]


@case
def made_like(x):
    block = x.reshape((2, 3))
    a, b, c = np.zeros_like(x), np.empty_like(block), np.ones_like(block)
    a[1] = x[1] * x[2]
    b[:] = block * 3.0
    c[0] *= x[:3]
    d = np.full_like(x, 0.5)
    d[-1] = x[0]
    copy = x.copy()
    copy[0] = 9.0
    out = np.zeros(50)
    k = put(out, put(out, put(out, 0, a), b.flatten()), c.ravel())
    return out[: put(out, put(out, put(out, k, d), copy), x)]


@case
def made_of_numbers(x):
    a = np.array([x[0], 1.0, x[1] * x[2]])
    b = np.array([[x[0], 2.0], [x[3], x[4]]])
    c = np.asarray([x[5], x[5] ** 2])
    d = np.array([1.0, 2.0])
    d[0] = x[0]
    out = np.zeros(20)
    return out[: put(out, put(out, put(out, put(out, 0, a), b), c), d)]


@case
def moved(x):
    block = x.reshape(2, 3)
    cube = x.reshape((1, 2, 3))
    swapped = block.T.copy()
    swapped[0, :] += 1.0
    part = block[:, 1:].copy()
    part[1, 0] = x[0] * x[1]
    out = np.zeros(50)
    k = put(out, put(out, put(out, 0, swapped), x[::-1]), x[1:5:2])
    k = put(out, put(out, put(out, k, block[1]), block[:, 0]), np.transpose(block))
    return out[: put(out, put(out, put(out, k, cube[0, 1]), part), x.astype(np.float64))]


@case
def assigned(x):
    a, b = np.zeros((3, 3)), np.zeros(6)
    a[0] = x[:3]
    a[1:, 1:] = x[2:].reshape(2, 2)
    a[:, 0] = 4.0
    a[2, :] += x[3:]
    b[:] = x
    b[1:3] = b[3:5]
    b[0], b[5] = b[5], b[0]
    view = a[1]
    view[2] = x[0] ** 2
    out = np.zeros(20)
    return out[: put(out, put(out, 0, a), b)]


@case
def walked(x):
    out = np.zeros(6)
    for i, number in enumerate(x):
        out[i] += number * i
    for row in x.reshape(3, 2):
        out[:2] += row
    for index, number in np.ndenumerate(x.reshape(2, 3)):
        out[index[1]] += number * index[0]
    for k, number in enumerate(x.flat):
        out[k] -= 0.5 * number
    for a, b in zip(x[:3], x[3:]):  # noqa: B905  # Numba's zip has no `strict`
        out[5] += a * b
    return out


@case
def computed(x):
    row, column = x[:3], x[3:].copy().reshape(3, 1)
    table = row * column + 0.5 - row / 2.0
    table **= 2
    table -= column
    table *= row
    table /= 1.5
    powers = 2.0**row + np.abs(column[:, 0]) ** 1.5 - (-row)
    parts = np.exp(-row) * np.sin(x[:3]) + np.tanh(row) - np.sqrt(row * row + 1.0)
    chosen = np.maximum(row, 0.5) + np.minimum(column[:, 0], row) + np.abs(row)
    out = np.zeros(30)
    k = put(out, put(out, put(out, 0, table), powers), parts)
    return out[: put(out, put(out, k, chosen), np.arctan2(row, column[:, 0]))]


@case
def reduced(x):
    block = x.reshape(2, 3)
    out = np.zeros(50)
    out[0], out[1], out[2], out[3] = np.sum(x), x.sum(), np.mean(x), x.mean()
    out[4], out[5], out[6], out[7] = np.max(x), x.min(), np.prod(x), x.prod()
    out[8], out[9], out[10] = np.var(x), x.std(), np.ptp(x)
    out[11], out[12] = np.linalg.norm(x), np.trace(block)
    k = put(out, put(out, 13, np.sum(block, axis=0)), block.sum(axis=1))
    k = put(out, put(out, k, np.sum(block, axis=-1)), np.cumsum(x))
    return out[: put(out, put(out, k, np.cumprod(x)), np.diff(x))]


@case
def multiplied(x):
    a, b = x[:4].reshape(2, 2), x[2:].reshape(2, 2)
    plain = np.array([[1.0, 2.0], [0.5, -1.0]])
    out = np.zeros(30)
    out[0], out[1] = np.dot(x, x), x @ x
    k = put(out, put(out, put(out, 2, a @ b), a @ plain), plain @ x[:2])
    return out[: put(out, put(out, put(out, k, x[:2] @ a), np.dot(a, x[4:])), np.outer(x[:2], x))]


@case
def solved(x):
    a = x[:4].reshape(2, 2) + 3.0 * np.eye(2)
    out = np.zeros(10)
    out[0] = np.linalg.det(a)
    return out[: put(out, put(out, 1, np.linalg.solve(a, x[4:])), np.linalg.inv(a))]


@case
def chosen(x):
    y = x * 2.0
    y[x > 0.5] = 0.25
    y[x < -1.0] *= 3.0
    positive = x[x > 0.0]
    out = np.zeros(40)
    out[0], out[1] = x[np.argmax(x)] * 2.0, x[x.argmin()]
    out[2] = np.sum(x > 0.0) * 1.0 + np.where(x[0] > 0.0, x[1], 2.0)
    k = put(out, put(out, 3, np.where(x > 0.0, x, -0.1 * x)), np.clip(x, -0.5, 1.0))
    return out[: put(out, put(out, k, y), positive * positive)]


@case
def sorted_and_joined(x):
    out = np.zeros(30)
    k = put(out, put(out, 0, np.sort(x) * np.arange(6.0)), x[np.argsort(x)][:2])
    return out[: put(out, k, np.concatenate((x[:2], x[4:], x[:1] * 2.0)))]


@case
def of_nothing(x):
    empty = x[:0]
    total = np.sum(empty) + np.sum(empty * 2.0)
    out = np.zeros(1)
    out[0] = total + x[0]
    return out[: put(out, 1, empty)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives(name):
    function = FUNCTIONS[name]
    jacobian = tg.jacobian(function)
    for x in (X, ELSEWHERE, X):
        given = x.copy()
        of_python = tg.jacobian(function.py_func)(x)
        np.testing.assert_allclose(jacobian(x), of_python, rtol=1e-12, atol=1e-13)
        value, _ = tg.jvp(function, (x,), (np.ones(6),))
        np.testing.assert_allclose(value, function.py_func(x.copy()), rtol=1e-13, atol=1e-15)
        np.testing.assert_array_equal(x, given)


@pytest.mark.parametrize("name", ["made_of_numbers", "assigned", "computed", "reduced", "chosen"])
def test_derivatives_in_compiled_code(name):
    jacobian = tg.jacobian(FUNCTIONS[name])
    for x in (X, ELSEWHERE):
        expected = jacobian(x)
        out = np.full(expected.shape, np.nan)
        jacobian.njit(x, out)
        np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["computed", "reduced", "multiplied", "solved"])
def test_derivatives_against_differences(name):
    check_grads(FUNCTIONS[name].py_func, (X,))


# --- between Python and compiled code ---------------------------------------------------------


@njit
def scale(x, factor):
    return x * factor


@njit
def split(x, k):
    return x[:k].sum(), x[k:] * 2.0, (x[0], k)


@njit
def accumulate(x, out):
    for i in range(len(x)):
        out[i] += x[i] * x[i]


def test_compiled_functions_called_while_python_is_recorded():
    def function(x):
        y = scale(x, 3.0) + scale(np.sin(x), x[0])
        total, rest, (first, k) = split(y, 2)
        out = np.ones(len(rest))
        accumulate(rest, out)
        return total * first + np.sum(out) * k + scale(x[1], math.exp(x[2]))

    def plain(x):
        y = 3.0 * x + np.sin(x) * x[0]
        rest = y[2:] * 2.0
        return y[:2].sum() * y[0] + np.sum(1.0 + rest**2) * 2 + x[1] * math.exp(x[2])

    value, gradient = tg.value_and_grad(function)(X)
    expected_value, expected = tg.value_and_grad(plain)(X)
    assert value == pytest.approx(expected_value, rel=1e-14)
    np.testing.assert_allclose(gradient, expected, rtol=1e-13)
    check_grads(function, (X,), order=2)


def test_views_are_written_through():
    def function(x):
        y = np.zeros((2, 3))
        accumulate(x[:3], y[1])
        return np.sum(y * np.array([[1.0], [2.0]]))

    np.testing.assert_allclose(tg.grad(function)(X), [4 * X[0], 4 * X[1], 4 * X[2], 0.0, 0.0, 0.0])


def test_nested_derivatives_of_compiled_functions():
    @njit
    def energy(x):
        return np.sum(x**4) * x[0]

    np.testing.assert_allclose(
        tg.grad(lambda x: np.sum(tg.grad(energy)(x) * x))(X), 5.0 * tg.grad(energy)(X), rtol=1e-12
    )
    check_grads(energy, (X,), order=2)


def test_a_structure_of_results():
    @njit
    def function(x):
        return (np.sum(x), x * 2.0, x[0])

    jacobian = tg.jacobian(function)(X)
    assert isinstance(jacobian, tuple)
    np.testing.assert_array_equal(jacobian[0], np.ones(6))
    np.testing.assert_array_equal(jacobian[1], 2.0 * np.eye(6))
    np.testing.assert_array_equal(jacobian[2], np.eye(6)[0])
