"""Jacobians and Hessians, in every mode and every way to make them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
from formulas import polynomial, rosenbrock
from trees import same

import tapegrad as tg
from tapegrad.testing import extrapolated_difference


def curves(x):
    return np.stack([x[0] * x[1], np.sin(x[2]), x[0] / x[2], x[1] ** 3 * x[2], np.exp(-x[0])])


def jacobian_of_curves(x):
    a, b, c = x
    return np.array(
        [
            [b, a, 0.0],
            [0.0, 0.0, np.cos(c)],
            [1 / c, 0.0, -a / c**2],
            [0.0, 3 * b**2 * c, b**3],
            [-np.exp(-a), 0.0, 0.0],
        ]
    )


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
@pytest.mark.parametrize("seed", range(3))
def test_a_jacobian_is_the_closed_form_in_every_mode(mode, seed):
    x = np.random.default_rng(seed).uniform(0.5, 2.0, 3)
    same(tg.jacobian(curves, mode=mode)(x), jacobian_of_curves(x))


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_a_jacobians_shape_is_the_results_then_the_arguments(mode):
    x = np.arange(6.0).reshape(2, 3)
    jacobian = tg.jacobian(lambda x: np.stack([x.T, x.T * x.T]), mode=mode)(x)
    assert jacobian.shape == (2, 3, 2, 2, 3)
    wanted = np.zeros((2, 3, 2, 2, 3))
    for i in range(2):
        for j in range(3):
            wanted[0, j, i, i, j] = 1.0
            wanted[1, j, i, i, j] = 2 * x[i, j]
    np.testing.assert_array_equal(jacobian, wanted)


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_jacobians_of_numbers_are_floats_and_of_nothing_are_empty(mode):
    jacobian = tg.jacobian(lambda x: x * x, mode=mode)(3.0)
    assert jacobian == 6.0
    assert type(jacobian) is float
    assert tg.jacobian(lambda x: x * x, mode=mode)(np.zeros(0)).shape == (0, 0)
    assert tg.jacobian(lambda x: x[:0] * 2, mode=mode)(np.zeros(3)).shape == (0, 3)
    same(tg.jacobian(lambda x: x * np.ones(3), mode=mode)(2.0), np.ones(3))


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="sideways"):
        tg.jacobian(curves, mode="sideways")


def test_a_result_used_twice_and_an_input_returned_directly_are_counted():
    def f(x):
        y = x[0] * x[1]
        return y, y, x[0], (x, x[1])

    for mode in ("forward", "reverse"):
        found = tg.jacobian(f, mode=mode)(np.array([2.0, 3.0]))
        row = np.array([3.0, 2.0])
        same(found, (row, row, np.array([1.0, 0.0]), (np.eye(2), np.array([0.0, 1.0]))))


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_truth_values_and_integers_among_results_have_no_derivative(mode):
    found = tg.jacobian(lambda x: (x * x, x > 0.0, 3), mode=mode)(2.0)
    assert found == (4.0, 0.0, None)


@pytest.mark.parametrize("n", [2, 5, 8])
@pytest.mark.parametrize("seed", range(3))
def test_rosenbrocks_gradient_hessian_and_product_are_scipys(n, seed):
    rng = np.random.default_rng(seed)
    x, v = rng.standard_normal((2, n))
    same(tg.grad(rosenbrock)(x), scipy.optimize.rosen_der(x), rtol=1e-10)
    hessian = tg.hessian(rosenbrock)(x)
    same(hessian, scipy.optimize.rosen_hess(x), rtol=1e-10)
    np.testing.assert_array_equal(hessian, hessian.T)
    same(tg.hvp(rosenbrock)(x, v), scipy.optimize.rosen_hess_prod(x, v), rtol=1e-10)


FUNCTIONS = {
    "polynomial": polynomial,
    "ratio": lambda x: x[0] * x[1] / (1.0 + x[2] ** 2),
    "exponential": lambda x: np.exp(np.dot(x, x) * 0.1) * x[2],
    "trigonometric": lambda x: np.sin(x[0] * x[1]) + np.cos(x[2]) * np.tan(0.3 * x[0]),
    "powers": lambda x: (1.0 + x[0] ** 2) ** x[1] + np.sqrt(2.0 + x[2] ** 2),
    "angles": lambda x: np.arctan2(x[0], 2.0 + x[1] ** 2) * np.arcsinh(x[2]),
    "loop": lambda x: x_after_map(x),
}


def x_after_map(x):
    a, b = x[0] * 0.3, x[1] * 0.3
    for _ in range(6):
        a, b = np.sin(a + 0.5 * b) + x[2] * 0.1, a * b + 0.2
    return a * b


@pytest.mark.parametrize("name", FUNCTIONS)
def test_hessians_are_symmetric_and_agree_in_every_way_to_make_them(name):
    f = FUNCTIONS[name]
    rng = np.random.default_rng(5)
    for _ in range(3):
        x, v = rng.standard_normal((2, 3))
        hessian = tg.hessian(f)(x)
        scale = abs(hessian).max() + 1.0
        np.testing.assert_allclose(hessian, hessian.T, rtol=1e-12, atol=1e-13 * scale)
        for other in (
            tg.jacobian(tg.grad(f))(x),
            tg.jacobian(tg.grad(f), mode="reverse")(x),
            tg.jacobian(tg.jacobian(f, mode="forward"), mode="forward")(x),
            tg.jacobian(tg.jacobian(f, mode="reverse"), mode="reverse")(x),
            tg.jacobian(tg.jacobian(f, mode="forward"), mode="reverse")(x),
        ):
            np.testing.assert_allclose(other, hessian, rtol=1e-11, atol=1e-13 * scale)
        for product in (
            tg.hvp(f)(x, v),
            tg.grad(lambda y, f=f, v=v: np.dot(tg.grad(f)(y), v))(x),
            tg.jvp(tg.grad(f), (x,), (v,))[1],
            tg.vjp(tg.grad(f), x)[1](v)[0],
            tg.grad(lambda y, f=f, v=v: tg.jvp(f, (y,), (v,))[1])(x),
        ):
            np.testing.assert_allclose(product, hessian @ v, rtol=1e-11, atol=1e-13 * scale)
        gradient = tg.grad(f)
        difference, _ = extrapolated_difference(lambda t, x=x, v=v, g=gradient: g(x + t * v))
        np.testing.assert_allclose(hessian @ v, difference, rtol=1e-6, atol=1e-7 * scale)
