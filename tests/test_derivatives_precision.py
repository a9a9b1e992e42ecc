"""Derivatives of whole models, against multiple precision and extrapolated differences."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

import tapegrad as tg
from tapegrad.testing import extrapolated_difference

# --- against multiple precision ----------------------------------------------------------------


class With:
    """One formula for tapegrad and for mpmath."""

    def __init__(self, library):
        self.exp, self.sin, self.cos = library.exp, library.sin, library.cos
        self.log, self.sqrt, self.tanh = library.log, library.sqrt, library.tanh
        self.atan = getattr(library, "atan", None) or library.arctan


SCALARS = {
    "exp_of_sin": lambda m, x: m.exp(m.sin(x)) * x,
    "quotient": lambda m, x: (x * x - 1) / (x * x + 1),
    "logarithm": lambda m, x: m.log(1 + x * x) * m.sqrt(2 + x),
    "power": lambda m, x: (2 + x) ** (x * 0.5),
    "whole_power": lambda m, x: x**5 - 3 * x**-2,
    "tanh_chain": lambda m, x: m.tanh(m.tanh(x) * 2 - m.atan(x)),
    "iteration": lambda m, x: iterated(m, x),
}


def iterated(m, x):
    y = x
    for _ in range(8):
        y = m.cos(y) * x + y / 3
    return y


@pytest.mark.parametrize("x", [0.3, 1.0, 1.7])
@pytest.mark.parametrize("name", SCALARS)
def test_first_to_third_derivatives_are_those_of_multiple_precision(name, x):
    formula = SCALARS[name]
    numpy = With(np)
    derivative = function = lambda v: formula(numpy, v)
    exact = With(mpmath)
    with mpmath.workdps(60):
        for order in (1, 2, 3):
            derivative = tg.grad(derivative)
            wanted = float(mpmath.diff(lambda v: formula(exact, v), mpmath.mpf(x), order))
            assert derivative(x) == pytest.approx(wanted, rel=1e-11, abs=1e-11), order
            assert derivative(x) == derivative(x)
    value = tg.value_and_grad(function)(x)[0]
    assert value == pytest.approx(float(function(x)), rel=1e-14)


def test_a_derivative_of_the_fifth_order_is_right():
    derivative = lambda x: x * np.exp(2.0 * x)  # noqa: E731
    for order in range(1, 6):
        derivative = tg.grad(derivative)
        wanted = (2.0**order * 0.5 + order * 2.0 ** (order - 1)) * np.exp(1.0)
        assert derivative(0.5) == pytest.approx(wanted, rel=1e-12)


# --- models ------------------------------------------------------------------------------------


def lotka_volterra(p):
    """The squared end state of Lotka and Volterra's equations, by 40 Runge-Kutta steps."""

    def rates(u, v):
        return p[0] * u - p[1] * u * v, p[3] * u * v - p[2] * v

    u, v, h = p[4], p[5], 0.1
    for _ in range(40):
        a, b = rates(u, v)
        c, d = rates(u + 0.5 * h * a, v + 0.5 * h * b)
        e, f = rates(u + 0.5 * h * c, v + 0.5 * h * d)
        g, i = rates(u + h * e, v + h * f)
        u = u + h / 6.0 * (a + 2.0 * c + 2.0 * e + g)
        v = v + h / 6.0 * (b + 2.0 * d + 2.0 * f + i)
    return u * u + v * v


def lennard_jones(x):
    """The energy of atoms in space."""
    energy = 0.0
    for i in range(len(x)):
        for j in range(i):
            r2 = np.sum((x[i] - x[j]) ** 2)
            s6 = 1.0 / r2**3
            energy = energy + 4.0 * (s6 * s6 - s6)
    return energy


def logistic(w):
    data = np.linspace(-1.0, 1.0, 12).reshape(6, 2)
    label = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
    return np.sum(np.log1p(np.exp(-label * (data @ w[:2] + w[2])))) + 0.1 * np.dot(w, w)


MODELS = {
    "lotka_volterra": (lotka_volterra, np.array([0.55, 0.03, 0.8, 0.025, 3.0, 4.0])),
    "lennard_jones": (
        lennard_jones,
        np.array([[0.0, 0.0, 0.0], [1.2, 0.1, 0.0], [0.3, 1.1, 0.2], [0.1, 0.2, 1.3]]),
    ),
    "logistic": (logistic, np.array([0.3, -0.2, 0.1])),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_agree_with_extrapolated_differences(name):
    f, x = MODELS[name]
    gradient = tg.grad(f)(x)
    direction = np.random.default_rng(7).standard_normal(x.shape) * (abs(x) + 0.1)
    wanted, _ = extrapolated_difference(lambda t: np.array([f(x + t * direction)]), 0.03)
    assert np.sum(gradient * direction) == pytest.approx(wanted[0], rel=1e-8)
    product = tg.hvp(f)(x, direction)
    derivative = tg.grad(f)
    wanted, _ = extrapolated_difference(lambda t: derivative(x + t * direction).ravel(), 0.03)
    np.testing.assert_allclose(product.ravel(), wanted, rtol=1e-6, atol=1e-7 * abs(wanted).max())
    hessian = tg.hessian(f)(x).reshape(x.size, x.size)
    np.testing.assert_allclose(hessian @ direction.ravel(), product.ravel(), rtol=1e-10,
                               atol=1e-12 * abs(hessian).max())  # fmt: skip
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-9, atol=1e-12 * abs(hessian).max())


def test_forces_of_isolated_atoms_add_to_zero():
    f, x = MODELS["lennard_jones"]
    np.testing.assert_allclose(np.sum(tg.grad(f)(x), axis=0), 0.0, atol=1e-12)
