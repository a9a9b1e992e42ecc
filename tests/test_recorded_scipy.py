"""Recorded derivatives as scipy's solvers take them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
from formulas import rosenbrock
from ticks import counted, ran

import tapegrad as tg


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "CG", "TNC", "SLSQP"])
def test_minimize_takes_value_and_grad_with_jac_true(method):
    f, ticks = counted(rosenbrock)
    result = scipy.optimize.minimize(
        tg.value_and_grad(f), np.zeros(5), jac=True, method=method, tol=1e-8
    )
    np.testing.assert_allclose(result.x, 1.0, atol=1e-3)
    assert ran(ticks) == 1


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-exact"])
def test_minimize_takes_a_hessian(method):
    result = scipy.optimize.minimize(
        rosenbrock, np.full(4, 0.9), jac=tg.grad(rosenbrock), hess=tg.hessian(rosenbrock),
        method=method,
    )  # fmt: skip
    np.testing.assert_allclose(result.x, 1.0, atol=1e-5)


@pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-krylov", "trust-constr"])
def test_minimize_takes_a_hessian_product(method):
    f, ticks = counted(rosenbrock)
    result = scipy.optimize.minimize(
        rosenbrock, np.zeros(4), jac=tg.grad(rosenbrock), hessp=tg.hvp(f), method=method
    )
    np.testing.assert_allclose(result.x, 1.0, atol=1e-3)
    assert ran(ticks) == 1


def test_minimize_passes_args_through():
    def loss(x, data, power, kind):
        residual = x[0] * data**power - x[1]
        return np.sum(residual**2) + (np.sum(x**2) if kind == "ridge" else 0.0)

    data = np.linspace(0.0, 2.0, 9)
    args = (data, 2, "ridge")
    design = np.stack([data**2, -np.ones(9)], 1)
    expected = np.linalg.solve(design.T @ design + np.eye(2), np.zeros(2))
    for options in (
        {"fun": tg.value_and_grad(loss), "jac": True},
        {"fun": loss, "jac": tg.grad(loss), "hess": tg.hessian(loss), "method": "trust-exact"},
        {"fun": loss, "jac": tg.grad(loss), "hessp": tg.hvp(loss), "method": "Newton-CG"},
    ):
        result = scipy.optimize.minimize(x0=np.array([3.0, -2.0]), args=args, **options)
        np.testing.assert_allclose(result.x, expected, atol=1e-6)


def test_least_squares_takes_a_jacobian():
    t = np.linspace(0.0, 1.0, 20)
    y = 2.0 * np.exp(-1.5 * t)

    def residual(p, t, y):
        return p[0] * np.exp(-p[1] * t) - y

    f, ticks = counted(residual)
    for method in ("trf", "dogbox", "lm"):
        result = scipy.optimize.least_squares(
            residual, [1.0, 1.0], jac=tg.jacobian(f), args=(t, y), method=method
        )
        np.testing.assert_allclose(result.x, [2.0, 1.5], rtol=1e-7)
    assert ran(ticks) == 3


def test_root_takes_a_jacobian():
    def equations(x):
        return np.stack([x[0] ** 2 + x[1] ** 2 - 4.0, x[0] * x[1] - 1.0])

    for method in ("hybr", "lm"):
        result = scipy.optimize.root(equations, [2.0, 0.3], jac=tg.jacobian(equations),
                                     method=method)  # fmt: skip
        assert result.success
        np.testing.assert_allclose(equations(result.x), 0.0, atol=1e-9)


def test_root_scalar_takes_two_derivatives():
    def cube(x):
        return x * x * x - 2.0

    result = scipy.optimize.root_scalar(
        cube, x0=1.0, fprime=tg.grad(cube), fprime2=tg.grad(tg.grad(cube)), method="halley"
    )
    assert result.root == pytest.approx(2.0 ** (1 / 3), rel=1e-14)
