"""Statistics of samples and estimated densities of scipy.stats, beside differences."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
from scipy import stats

import tapegrad as tg

RNG = np.random.default_rng(3)
X = RNG.normal(size=(7, 2))
WEIGHTS = RNG.normal(size=(7, 2))
DATA = RNG.normal(size=(2, 12))
FLAT, WEIGHTED = stats.gaussian_kde(DATA[0]), stats.gaussian_kde(DATA, weights=np.arange(1.0, 13.0))

FUNCTIONS = {
    "zscore": lambda x: np.sum(WEIGHTS * stats.zscore(x, ddof=1)),
    "zscore of all": lambda x: np.sum(WEIGHTS * stats.zscore(x, axis=None)),
    "skew": lambda x: np.sum(WEIGHTS[0] * stats.skew(x)),
    "skew without bias": lambda x: stats.skew(x, axis=None, bias=False),
    "kurtosis": lambda x: np.sum(WEIGHTS[0] * stats.kurtosis(x, keepdims=True)),
    "kurtosis of rows": lambda x: np.sum(stats.kurtosis(x.T, axis=1, fisher=False, bias=False)),
    "pearsonr": lambda x: stats.pearsonr(x[:, 0], x[:, 1]).statistic,
    "pearsonr with data": lambda x: stats.pearsonr(x[:, 0], DATA[0][:7])[0],
    "kde": lambda x: np.sum(FLAT.logpdf(x[:, 0]) + FLAT(x[:, 1])),
    "kde of weighted planes": lambda x: np.sum(WEIGHTED.logpdf(x.T) * WEIGHTED.pdf(x.T)),
    "kde of a point": lambda x: WEIGHTED.logpdf(x[0])[0],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_and_values_are_right(name):
    function = FUNCTIONS[name]
    value, gradient = tg.value_and_grad(function)(X)
    assert value == pytest.approx(function(X), rel=1e-12)
    expected, h = np.zeros_like(X), 1e-3
    for index in np.ndindex(X.shape):
        e = np.zeros_like(X)
        e[index] = h
        near, far = function(X + e) - function(X - e), function(X + 2 * e) - function(X - 2 * e)
        expected[index] = (8 * near - far) / (12 * h)
    np.testing.assert_allclose(gradient, expected, rtol=1e-7, atol=1e-9)


def test_constant_samples_give_what_scipys_do_and_replays_follow():
    skew = tg.value_and_grad(lambda x: stats.skew(x))
    assert np.isnan(skew(np.ones(4))[0])
    for x in X.T:
        assert skew(x)[0] == pytest.approx(stats.skew(x), rel=1e-13)


def test_second_derivatives_are_right():
    density = tg.grad(tg.grad(lambda x: FLAT.logpdf(x)[0]))
    h = 1e-3
    first = tg.grad(lambda x: FLAT.logpdf(x)[0])
    assert density(0.3) == pytest.approx((first(0.3 + h) - first(0.3 - h)) / (2 * h), rel=1e-5)
    assert first(0.3) == pytest.approx(
        float(np.sum(scipy.special.softmax(-0.5 * (0.3 - DATA[0]) ** 2 / FLAT.covariance[0, 0])
                     * (DATA[0] - 0.3)) / FLAT.covariance[0, 0])
    )  # fmt: skip


@pytest.mark.parametrize(
    "function",
    [
        lambda x: stats.gaussian_kde(x * DATA[0]).logpdf(0.3)[0],
        lambda x: stats.pearsonr(x * DATA[0], DATA[1]).pvalue,
        lambda x: stats.pearsonr(x * DATA[0], DATA[1], alternative="less").statistic,
        lambda x: stats.skew(x * DATA[0], nan_policy="omit"),
    ],
)
def test_what_has_no_rule_is_refused(function):
    with pytest.raises(tg.errors.UnsupportedFunctionError, match=r"scipy\.stats"):
        tg.grad(function)(1.5)
