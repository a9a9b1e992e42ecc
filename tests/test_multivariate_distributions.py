"""Multivariate distributions of SciPy's, beside differences of SciPy's own values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import (
    Covariance,
    dirichlet,
    multinomial,
    multivariate_normal,
    multivariate_t,
)

import tapegrad as tg

POINTS = np.random.default_rng(0).normal(size=(5, 2))
PLACE = np.array([1.3, 0.3, 0.9, 0.2, -0.4])
CENTER, SHAPE = [0.1, 0.2], [[1.0, 0.2], [0.2, 2.0]]
FROZEN, STUDENT = multivariate_normal(CENTER, SHAPE), multivariate_t(CENTER, SHAPE, 3.0)
FACTORED = Covariance.from_cholesky([[1.0, 0.0], [0.2, 2.0]])


def matrix(p):
    return np.array([[p[0], p[1]], [p[1], p[2]]])


def proportions(p):
    return p[[0, 2, 3]] / (p[0] + p[2] + p[3])


def through_eigenvectors(p):
    return Covariance.from_eigendecomposition(np.linalg.eigh(matrix(p)))


normal = multivariate_normal.logpdf
FUNCTIONS = {
    "normal": lambda p: np.sum(normal(POINTS, p[3:], matrix(p))),
    "normal density": lambda p: multivariate_normal.pdf(p[3:], 0.5 * p[3:], matrix(p)),
    "frozen inside": lambda p: np.sum(multivariate_normal(p[3:], matrix(p)).logpdf(POINTS)),
    "frozen outside": lambda p: FROZEN.logpdf(p[3:]) + FROZEN.pdf(np.stack([p[3:], p[:2]]))[1],
    "variances": lambda p: np.sum(normal(POINTS, p[3:], p[:3:2])),
    "one variance": lambda p: np.sum(normal(POINTS, p[3:], p[0])),
    "one dimension": lambda p: np.sum(normal(POINTS[:, 0], p[3], p[0])),
    "diagonal": lambda p: np.sum(normal(POINTS, p[3:], Covariance.from_diagonal(p[:3:2]))),
    "factor": lambda p: np.sum(
        normal(POINTS, None, Covariance.from_cholesky(np.linalg.cholesky(matrix(p))))
    ),
    "precision": lambda p: np.sum(normal(POINTS, p[3:], Covariance.from_precision(matrix(p)))),
    "eigenvectors": lambda p: np.sum(normal(POINTS, p[3:], through_eigenvectors(p))),
    "factored outside": lambda p: np.sum(normal(POINTS, p[3:], FACTORED)),
    "t": lambda p: np.sum(multivariate_t.logpdf(POINTS, p[3:], matrix(p), p[0])),
    "t frozen inside": lambda p: np.sum(multivariate_t(p[3:], matrix(p), p[0]).pdf(POINTS)),
    "t frozen outside": lambda p: STUDENT.logpdf(p[3:]),
    "dirichlet": lambda p: dirichlet.logpdf(np.array([0.2, 0.3, 0.5]), p[[0, 2, 3]]),
    "dirichlet frozen": lambda p: dirichlet(p[[0, 2, 3]]).pdf(np.array([p[0], p[3]]) / 4.0),
    "multinomial": lambda p: multinomial.logpmf([2, 1, 3], 6, proportions(p)),
    "multinomial frozen": lambda p: multinomial(6, proportions(p)).pmf([[2, 1, 3], [1, 1, 4]])[1],
}


def difference(f, x, h=1e-4):
    rows = [
        (8 * (f(x + e) - f(x - e)) - (f(x + 2 * e) - f(x - 2 * e))) / (12 * h)
        for e in h * np.eye(len(x))
    ]
    return np.array(rows)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_and_values_are_right(name):
    function = FUNCTIONS[name]
    value, gradient = tg.value_and_grad(function)(PLACE)
    assert value == pytest.approx(function(PLACE), rel=1e-12)
    np.testing.assert_allclose(gradient, difference(function, PLACE), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["normal", "t", "dirichlet"])
def test_second_derivatives_are_right(name):
    function = FUNCTIONS[name]
    expected = difference(tg.grad(function), PLACE)
    np.testing.assert_allclose(tg.hessian(function)(PLACE), expected, rtol=1e-6, atol=1e-7)


def test_plain_numbers_have_scipys_bits():
    function = lambda x: x * FROZEN.logpdf([0.3, 0.4]) + 0.0 * normal([0.1, 0.2], CENTER, SHAPE)  # noqa: E731
    assert tg.value_and_grad(function)(1.0)[0] == FROZEN.logpdf([0.3, 0.4])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: FROZEN.cdf(np.array([x, 0.2])),
        lambda x: multivariate_normal.rvs(np.array([x, 0.2]), SHAPE)[0],
        lambda x: normal(POINTS[0], CENTER, np.array([[x, x], [x, x]])),
        lambda x: multinomial.logpmf(np.array([x, 2.0]), 3, [0.4, 0.6]),
    ],
)
def test_what_has_no_rule_is_refused(function):
    with pytest.raises(tg.errors.UnsupportedFunctionError, match=r"multi.* has no rule"):
        tg.grad(function)(1.0)


def test_what_scipy_refuses_is_refused():
    with pytest.raises(ValueError, match="greater than 0"):
        tg.grad(lambda a: dirichlet.logpdf(np.array([0.4, 0.6]), np.array([a, 1.0])))(-1.0)
    with pytest.raises(ValueError, match="simplex"):
        tg.grad(lambda x: dirichlet.logpdf(np.array([x, 0.6]), [1.0, 2.0]))(0.2)
