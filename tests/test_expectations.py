"""Moments, entropies and expectations of SciPy's distributions, where they are integrals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
from scipy import stats

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.testing import check_grads


def test_the_mean_of_a_logarithm_has_the_derivatives_of_its_closed_form():
    def mean(p):
        return stats.gamma.expect(np.log, args=(p[0],), scale=p[1])

    def closed(p):
        return scipy.special.digamma(p[0]) + np.log(p[1])

    p = np.array([2.3, 1.7])
    value, gradient = tg.value_and_grad(mean)(p)
    assert value == mean(p)
    np.testing.assert_allclose(value, closed(p), rtol=1e-10)
    np.testing.assert_allclose(gradient, tg.grad(closed)(p), rtol=1e-8)
    np.testing.assert_allclose(tg.hessian(mean)(p), tg.hessian(closed)(p), rtol=1e-7, atol=1e-9)


EXPECTED = {
    "of a closure": (lambda p: stats.norm.expect(lambda x: np.exp(-p[0] * x * x)),
                     lambda p: 1.0 / np.sqrt(1.0 + 2.0 * p[0]) + 0.0 * p[1]),
    "of a frozen one": (lambda p: stats.expon(scale=p[0]).expect(lambda x: x**2 * p[1]),
                        lambda p: 2.0 * p[0] ** 2 * p[1]),
    "without a function": (lambda p: stats.norm.expect(loc=p[0], scale=p[1]), lambda p: p[0]),
    "of what exceeds": (lambda p: stats.expon(scale=p[0]).expect(lambda x: max(x - p[1], 0.0)),
                        lambda p: p[0] * np.exp(-p[1] / p[0])),
    "between bounds": (lambda p: stats.expon.expect(lambda x: x, scale=p[0], lb=p[1], ub=3.0),
                       lambda p: (p[0] + p[1]) * np.exp(-p[1] / p[0])
                       - (p[0] + 3.0) * np.exp(-3.0 / p[0])),
    "of a tail": (lambda p: stats.expon.expect(lambda x: x, scale=p[0], lb=p[1], conditional=True),
                  lambda p: p[0] + p[1]),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_expectations_are_those_of_the_closed_form(name):
    expect, closed = EXPECTED[name]
    slope = tg.value_and_grad(expect)
    for p in (np.array([0.8, 1.3]), np.array([1.1, 0.6])):
        value, gradient = slope(p)
        np.testing.assert_allclose(value, expect(p), rtol=1e-14)
        np.testing.assert_allclose(gradient, tg.grad(closed)(p), rtol=1e-7, atol=1e-7)


INTEGRATED = [
    ("genhyperbolic", (1.5, 2.3, 0.3), "mean"),
    ("genhyperbolic", (1.5, 2.3, 0.3), "entropy"),
    ("burr12", (4.0, 3.0), "entropy"),
    ("exponpow", (2.7,), "var"),
    ("genhyperbolic", (1.5, 2.3, 0.3), "std"),
]


@pytest.mark.parametrize(("name", "shapes", "method"), INTEGRATED)
def test_integrals_over_densities_are_differentiated(name, shapes, method):
    def found(p):
        return getattr(getattr(stats, name), method)(*p[:-2], loc=p[-2], scale=p[-1])

    p = np.array([*shapes, 0.4, 1.7])
    np.testing.assert_allclose(tg.value_and_grad(found)(p)[0], found(p), rtol=1e-8)
    check_grads(found, (p,), order=1, rtol=1e-5)


@pytest.mark.parametrize("order", [1, 3, 4])
def test_moments_are_sums_of_those_of_the_standard_distribution(order):
    def moment(p):
        return stats.gamma.moment(order, p[0], loc=p[1], scale=p[2])

    p = np.array([2.3, 0.4, 1.7])
    np.testing.assert_allclose(tg.value_and_grad(moment)(p)[0], moment(p), rtol=1e-13)
    check_grads(moment, (p,), order=2, rtol=1e-5)


def test_arrays_of_parameters_have_an_integral_each():
    shapes = np.array([[1.5], [2.5]])
    found = tg.jacobian(stats.exponpow.entropy)(shapes)
    assert found.shape == (2, 1, 2, 1)
    for k in range(2):
        one = tg.grad(lambda c: stats.exponpow.entropy(c))(shapes[k, 0])
        assert found[k, 0, k, 0] == pytest.approx(one, rel=1e-9)
        assert found[k, 0, 1 - k, 0] == 0.0


def test_what_is_no_whole_order_or_discrete_is_refused_by_name():
    with pytest.raises(UnsupportedFunctionError, match="expect has no rule"):
        tg.grad(lambda mu: stats.poisson.expect(lambda k: k * 1.0, args=(mu,)))(2.0)
    with pytest.raises(UnsupportedFunctionError, match="moment of order 2"):
        tg.grad(lambda mu: stats.poisson.moment(2, mu))(2.0)
    assert math.isfinite(tg.grad(lambda mu: stats.norm.moment(2, mu))(2.0))
