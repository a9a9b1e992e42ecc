"""Derivatives called from compiled code: the same numbers as from Python, in any thread."""

import ctypes
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy
import scipy.integrate
from numba import njit, prange
from numba.core.errors import NumbaWarning

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError

X = np.array([0.3, -1.2, 0.7, 2.1])
DIRECTION = np.array([1.0, -0.5, 0.25, 2.0])


@njit
def valley(x, k):
    total = 0.0
    for i in range(len(x) - 1):
        total += k * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return total


@njit
def tall(x):
    y = np.zeros(7)
    for i in range(7):
        y[i] = math.sin(i * x[i % 4]) * x[0]
    return y


@njit
def wide(x):
    return np.array([x[0] * x[1] * x[2] * x[3], np.sum(np.exp(x))])


@njit
def many_terms(x):
    a, b, c, d = x[0], x[1], x[2], x[3]
    return (a * b + b * c + c * d + d * a + a * c + b * d + a * b * c + b * c * d + a * a + d / b
            - math.exp(a * d) + a**3 * math.atan2(b, c))  # fmt: skip


@njit
def branching(x):
    best, total = max(x[0], x[1], x[2]), 0.0
    for number in x:
        if number > 0.5:
            total += number**2.5 + divmod(number, 0.4)[1]
        elif number < -1.0:
            continue
        total -= round(number, 1) * abs(number) + float(int(number))
    return total * best + min(total, best)


@njit
def constant(x):
    return 3.0


@njit
def first_of(x):
    return x[0]


@njit
def zero_times_infinity(x):
    return (x[0] - 0.3) * math.sqrt(x[1] + 1.2) + x[2]


@njit
def refuses(x):
    if x[0] > 0.0:
        raise ValueError("positive")
    return x[0] ** 2


@njit
def of_matrix(x, scale):
    return np.sum(x * x.T) * scale + x[0, 1] ** 3


value_and_gradient = tg.value_and_grad(valley)
refusing = tg.value_and_grad(refuses)

ONE_ARRAY = [many_terms, branching, constant, first_of, zero_times_infinity]


@pytest.mark.parametrize("function", ONE_ARRAY, ids=lambda f: f.__name__)
def test_a_gradient_is_that_of_python(function):
    out = np.full(4, np.nan)
    derivative = tg.value_and_grad(function)
    expected_value, expected = derivative(X)
    assert derivative.njit(X, out) == expected_value == function.py_func(X)
    np.testing.assert_allclose(out, expected, rtol=1e-13, atol=1e-15)


def test_other_arguments_are_passed_on_and_not_differentiated():
    out = np.empty(4)
    assert value_and_gradient.njit(X, 2.5, out) == valley(X, 2.5)
    np.testing.assert_allclose(out, tg.grad(valley)(X, 2.5), rtol=1e-13)


def test_any_layout_of_the_point_and_the_result():
    derivative = tg.value_and_grad(of_matrix)
    x = np.arange(18.0).reshape(3, 6)[:, ::2]
    out = np.zeros((3, 6))[:, 1::2]
    value, expected = derivative(np.ascontiguousarray(x), 0.5)
    assert derivative.njit(x, 0.5, out) == value
    np.testing.assert_allclose(out, expected, rtol=1e-13)


@pytest.mark.parametrize("function", [tall, wide], ids=lambda f: f.__name__)
def test_jacobians_of_more_and_of_fewer_outputs_than_inputs(function):
    jacobian = tg.jacobian(function)
    out = np.empty((len(function(X)), 4))
    jacobian.njit(X, out)
    np.testing.assert_allclose(out, jacobian(X), rtol=1e-13, atol=1e-15)


def test_a_derivative_along_a_vector():
    out = np.empty(7)
    tg.compiled.jvp(tall)(X, DIRECTION, out)
    np.testing.assert_allclose(out, tg.jvp(tall, (X,), (DIRECTION,))[1], rtol=1e-13)


def test_hessians_and_their_products():
    hessian, product = tg.hessian(valley), tg.hvp(valley)
    matrix, vector = np.empty((4, 4)), np.empty(4)
    hessian.njit(X, 2.0, matrix)
    product.njit(X, DIRECTION, 2.0, vector)
    np.testing.assert_allclose(matrix, hessian(X, 2.0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(vector, matrix @ DIRECTION, rtol=1e-12)


@njit
def descend(x, k, steps):
    out = np.empty_like(x)
    for _ in range(steps):
        value_and_gradient.njit(x, k, out)
        x = x - 0.02 * out
    return x, value_and_gradient.njit(x, k, out)


def test_an_optimiser_in_compiled_code():
    x, value = descend(np.array([0.5, 0.5]), 1.0, 4000)
    np.testing.assert_allclose(x, 1.0, rtol=1e-8)
    assert value < 1e-16


@njit(parallel=True)
def gradients_of_rows(points, k):
    gradients, values = np.empty_like(points), np.empty(len(points))
    for i in prange(len(points)):
        values[i] = value_and_gradient.njit(points[i], k, gradients[i])
    return values, gradients


def test_a_parallel_loop_over_points():
    points = np.random.default_rng(1).normal(size=(2000, 6))
    values, gradients = gradients_of_rows(points, 3.0)
    for row in range(0, 2000, 97):
        value, gradient = value_and_gradient(points[row], 3.0)
        assert values[row] == pytest.approx(value, rel=1e-14)
        np.testing.assert_allclose(gradients[row], gradient, rtol=1e-12)


def test_threads_each_have_their_own_tape():
    points = np.random.default_rng(2).normal(size=(64, 500))

    def work(row):
        out = np.empty(500)
        for _ in range(20):
            value = value_and_gradient.njit(points[row], 1.0, out)
        return value, out

    with ThreadPoolExecutor(16) as threads:
        results = list(threads.map(work, range(64)))
    for row in (0, 31, 63):
        assert results[row][0] == valley(points[row], 1.0)
        np.testing.assert_allclose(results[row][1], tg.grad(valley)(points[row], 1.0), rtol=1e-12)


# --- C functions ------------------------------------------------------------------------------


def test_a_c_function_through_ctypes():
    signature = ctypes.CFUNCTYPE(
        ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64
    )  # fmt: skip
    derivative = tg.value_and_grad(many_terms)
    out = np.empty(4)
    value = signature(derivative.address)(X.ctypes.data, out.ctypes.data, 4)
    assert value == many_terms(X)
    np.testing.assert_allclose(out, tg.grad(many_terms)(X), rtol=1e-13)


def test_a_c_function_has_no_exceptions_but_nan():
    out = np.zeros(4)
    function = ctypes.CFUNCTYPE(
        ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64
    )(refusing.address)  # fmt: skip
    assert math.isnan(function(X.ctypes.data, out.ctypes.data, 4))
    assert np.isnan(out).all()


@njit
def swing(x):
    return x[1] * math.sin(x[0]) ** 2


def test_an_integrand_for_scipy():
    integrand = scipy.LowLevelCallable(tg.grad(swing).cfunc.ctypes)
    integral, _ = scipy.integrate.quad(integrand, 0.2, 1.4, args=(3.0,))
    expected = swing(np.array([1.4, 3.0])) - swing(np.array([0.2, 3.0]))
    assert integral == pytest.approx(expected, rel=1e-12)


# --- what goes wrong --------------------------------------------------------------------------


def test_the_users_exceptions_arrive_as_they_are():
    out = np.empty(4)
    for _ in range(200):  # more than there are places for tapes
        with pytest.raises(ValueError, match="positive"):
            refusing.njit(X, out)
    assert refusing.njit(-X, out) == X[0] ** 2
    np.testing.assert_array_equal(out, [-2.0 * X[0], 0.0, 0.0, 0.0])


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="another size"):
        value_and_gradient.njit(X, 1.0, np.empty(5))
    with pytest.raises(ValueError, match=r"outputs, inputs"):
        tg.jacobian(wide).njit(X, np.empty((4, 2)))
    with pytest.raises(ValueError, match="the direction"):
        tg.compiled.jvp(tall)(X, DIRECTION[:2], np.empty(7))
    with pytest.raises(ValueError, match="the direction"):
        tg.hvp(valley).njit(X, DIRECTION[:2], 1.0, np.empty(4))


def test_a_gradient_of_an_array_names_the_function_to_use():
    with pytest.raises(UnsupportedFunctionError, match=r"use tapegrad\.jacobian"):
        tg.value_and_grad(tall).njit(X, np.empty(4))


def test_what_has_no_form_for_compiled_code():
    with pytest.raises(UnsupportedFunctionError, match=r"decorate it with numba\.njit"):
        _ = tg.grad(lambda x: x).njit
    with pytest.raises(UnsupportedFunctionError, match="argnums"):
        _ = tg.grad(valley, argnums=1).njit
    with pytest.raises(UnsupportedFunctionError, match="has_aux"):
        _ = tg.value_and_grad(valley, has_aux=True).njit
    with pytest.raises(UnsupportedFunctionError, match=r"decorate it with numba\.njit"):
        _ = tg.jacobian(tg.jacobian(tall)).njit


def test_code_with_the_library_in_it_is_kept_out_of_caches(tmp_path, monkeypatch):
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))

    @njit(cache=True)
    def doubled(x, out):
        return 2.0 * value_and_gradient.njit(x, 1.0, out)

    with pytest.warns(NumbaWarning, match="dynamic globals"):
        assert doubled(X, np.empty(4)) == 2.0 * valley(X, 1.0)
