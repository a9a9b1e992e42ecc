"""SciPy's distributions however they're reached, beside their cases, and what is refused."""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import pickle

import numpy as np
import pytest
from scipy import stats
from scipy.stats import gamma, genextreme, genpareto, norm, pearson3, poisson, truncnorm

import tapegrad as tg
from tapegrad.record.distributions import scipy_private

DATA = np.array([0.4, 1.3, 2.2, 0.9])
PLACE = np.array([0.7, 1.6])
SCORE = np.array([
    np.sum(DATA - PLACE[0]) / PLACE[1] ** 2,
    np.sum((DATA - PLACE[0]) ** 2) / PLACE[1] ** 3 - len(DATA) / PLACE[1],
])  # fmt: skip


class Model:
    def __init__(self, dist):
        self.dist = dist

    def loss(self, p):
        return np.sum(self.dist.logpdf(DATA, p[0], p[1]))


class Normal(stats.rv_continuous):
    def _logpdf(self, x):
        return -0.5 * x * x - 0.5 * math.log(2.0 * math.pi)

    def _pdf(self, x):
        return np.exp(self._logpdf(x))


class Doubled(stats.norm.__class__):
    def _logpdf(self, x):
        return 2.0 * super()._logpdf(x) - super()._logpdf(x)


MINE, DOUBLED, LOGPDF = Normal(name="mine"), Doubled(name="doubled"), norm.logpdf
BOUND = functools.partial(norm.logpdf, DATA)


def in_a_loop(p):
    total = 0.0
    for dist in (norm, MINE):
        total += 0.5 * np.sum(dist.logpdf(DATA, p[0], p[1]))
    return total


FORMS = {
    "by its name": lambda p: np.sum(norm.logpdf(DATA, p[0], p[1])),
    "through its module": lambda p: np.sum(stats.norm.logpdf(DATA, loc=p[0], scale=p[1])),
    "a point by its keyword": lambda p: np.sum(norm.logpdf(x=DATA, loc=p[0], scale=p[1])),
    "a loop's variable": in_a_loop,
    "an attribute": Model(norm).loss,
    "bound outside": lambda p: np.sum(LOGPDF(DATA, p[0], p[1])),
    "a partial": lambda p: np.sum(BOUND(p[0], p[1])),
    "by getattr": lambda p: np.sum(getattr(norm, "log" + "pdf")(DATA, p[0], p[1])),
    "frozen inside": lambda p: np.sum(norm(p[0], p[1]).logpdf(DATA)),
    "frozen inside by freeze": lambda p: np.sum(norm.freeze(loc=p[0], scale=p[1]).logpdf(DATA)),
    "frozen outside": lambda p: np.sum(STANDARD.logpdf((DATA - p[0]) / p[1]) - np.log(p[1])),
    "a subclass": lambda p: np.sum(MINE.logpdf(DATA, p[0], p[1])),
    "a subclass of a distribution": lambda p: np.sum(DOUBLED.logpdf(DATA, p[0], p[1])),
    "mapped": lambda p: sum(map(norm(p[0], p[1]).logpdf, DATA)),
    "broadcast": lambda p: np.sum(norm.logpdf(DATA[:, None], [p[0], p[0]], p[1])) / 2.0,
    "nnlf": lambda p: -norm.nnlf((p[0], p[1]), DATA),
    "the density": lambda p: np.sum(np.log(norm.pdf(DATA, *p))),
}
STANDARD, NEW_KIND = norm(), stats.Normal()


@pytest.mark.parametrize("form", FORMS)
def test_a_distribution_is_recognised_however_it_is_reached(form):
    function = FORMS[form]
    value, gradient = tg.value_and_grad(function)(PLACE)
    np.testing.assert_allclose(value, function(PLACE), rtol=1e-14)
    np.testing.assert_allclose(gradient, SCORE, rtol=1e-12)


def test_other_points_replay_the_recording_and_second_derivatives_are_right():
    function, ran = FORMS["frozen inside"], []
    counted = tg.value_and_grad(lambda p: (ran.append(1), function(p))[1], compile="now")
    for point in (PLACE, 2.0 * PLACE, 0.5 * PLACE):
        assert counted(point)[0] == pytest.approx(function(point), rel=1e-13)
    n, (mean, scale) = len(DATA), PLACE
    r = DATA - mean
    mixed = -2.0 * np.sum(r) / scale**3
    hessian = [[-n / scale**2, mixed], [mixed, n / scale**2 - 3.0 * np.sum(r**2) / scale**4]]
    np.testing.assert_allclose(tg.hessian(function)(PLACE), hessian, rtol=1e-12)


def test_plain_numbers_have_scipys_bits():
    def function(x):
        frozen = gamma(2.5, scale=1.5)
        return x * frozen.logpdf(DATA).sum() * norm.ppf(0.3) * poisson.logpmf(3, 2.2)

    expected = gamma.logpdf(DATA, 2.5, scale=1.5).sum() * norm.ppf(0.3) * poisson.logpmf(3, 2.2)
    value, gradient = tg.value_and_grad(function)(1.0)
    assert value == expected
    assert gradient == pytest.approx(expected, rel=1e-15)


def test_what_was_frozen_outside_and_changes_is_seen():
    frozen = norm(0.0, scale=2.0)
    gradient = tg.grad(lambda x: frozen.logpdf(x))
    assert gradient(1.0) == pytest.approx(-0.25)
    frozen.kwds["scale"] = 1.0
    assert gradient(1.0) == pytest.approx(-1.0)


# --- supports ---------------------------------------------------------------------------------


def test_the_support_is_a_choice_and_not_a_guard():
    function = lambda p: np.sum(np.exp(stats.expon.logpdf(DATA, p[0], p[1])))  # noqa: E731
    derivative = tg.value_and_grad(function)
    for loc in (0.0, 0.5, 1.0, 2.0, 5.0):
        inside = DATA[loc <= DATA]
        value, gradient = derivative(np.array([loc, 1.5]))
        density = np.exp(-(inside - loc) / 1.5) / 1.5
        assert value == pytest.approx(np.sum(density), abs=1e-15)
        assert gradient[0] == pytest.approx(np.sum(density) / 1.5, abs=1e-15)
    assert len(derivative.recorded.recordings) == 1


def test_invalid_parameters_and_nan_give_what_scipy_gives():
    derivative = tg.value_and_grad(lambda p: np.sum(norm.cdf(DATA, p[0], p[1])))
    assert derivative(PLACE)[0] == pytest.approx(np.sum(norm.cdf(DATA, *PLACE)))
    assert math.isnan(derivative(np.array([0.7, -1.0]))[0])
    values = tg.jacobian(lambda p: gamma.logpdf([-1.0, np.nan, np.inf, 2.0], p[0], scale=p[1]))
    assert not values(PLACE)[0].any()
    assert np.isnan(values(PLACE)[1]).all()
    np.testing.assert_array_equal(
        tg.value_and_grad(lambda x: np.sum(norm.cdf(x)))(np.array([-np.inf, np.inf, 0.0]))[1],
        [0.0, 0.0, norm.pdf(0.0)],
    )


@pytest.mark.parametrize("x", [np.zeros((0,)), np.full((2, 1, 3), 1.2), np.float64(1.2)])
def test_arrays_of_any_shape_are_taken(x):
    function = lambda p: np.sum(gamma.logpdf(x, p[0], scale=[[p[1]], [2.0]]))  # noqa: E731
    value, gradient = tg.value_and_grad(function)(PLACE)
    assert value == pytest.approx(function(PLACE))
    step = np.array([1e-6, 0.0])
    expected = (function(PLACE + step) - function(PLACE - step)) / 2e-6
    assert gradient[0] == pytest.approx(expected, rel=1e-8, abs=1e-9)


# --- where a case removes a singularity -------------------------------------------------------


def richardson(f, x, h=6e-2):
    """First and second derivatives from values at points that are not x."""
    first = [(f(x + s) - f(x - s)) / (2 * s) for s in (h, h / 2, h / 4)]
    second = [(f(x + s) - f(x)) / s**2 + (f(x - s) - f(x)) / s**2 for s in (h, h / 2, h / 4)]
    for table in (first, second):
        while len(table) > 1:
            k = 4 ** (4 - len(table))
            table[:] = [(k * b - a) / (k - 1) for a, b in itertools.pairwise(table)]
    return first[0], second[0]


CASES = {
    "genpareto": lambda c: genpareto.logpdf(1.2, c),
    "genpareto's cdf": lambda c: genpareto.cdf(1.5, c),
    "genpareto's ppf": lambda c: genpareto.ppf(0.7, c),
    "genpareto's isf": lambda c: genpareto.isf(0.7, c),
    "genextreme": lambda c: genextreme.logpdf(1.5, c),
    "genextreme's cdf": lambda c: genextreme.cdf(0.5, c),
    "genextreme's ppf": lambda c: genextreme.ppf(0.7, c),
    "pearson3": lambda c: pearson3.logpdf(0.5, c),
    "skewnorm": lambda c: stats.skewnorm.logpdf(0.5, c),
    "tukeylambda": lambda c: stats.tukeylambda.ppf(0.7, c),
    "kappa4's h": lambda c: stats.kappa4.logpdf(0.5, c, 0.3),
    "kappa4's k": lambda c: stats.kappa4.logpdf(0.5, 0.3, c),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_at_and_beside_a_case_the_derivatives_are_the_limits(case):
    function = CASES[case]
    first, second = richardson(function, 0.0)
    derivative, curvature = tg.grad(function), tg.grad(tg.grad(function))
    for c in (0.0, 1e-12, -1e-9, 1e-7, 1e-5):
        assert derivative(c) == pytest.approx(first + c * second, rel=1e-5), c
        assert curvature(c) == pytest.approx(second, rel=2e-3), c


def test_the_generalised_paretos_derivative_at_zero_is_none_that_scipys_formula_has():
    x = np.array([0.5])
    assert tg.grad(lambda c: np.sum(genpareto.logpdf(x, c)))(0.0) == pytest.approx(-0.375)
    # -x + x**2 / 2 by hand


def test_students_t_is_normal_at_infinity():
    value, gradient = tg.value_and_grad(lambda p: stats.t.logpdf(p[0], p[1]))(
        np.array([0.8, np.inf])
    )
    assert value == norm.logpdf(0.8)
    np.testing.assert_array_equal(gradient, [-0.8, 0.0])
    near = tg.grad(lambda df: stats.t.logpdf(0.8, df))(1e9)
    assert near == pytest.approx((0.25 - 0.8**4 / 4 + 0.8**2 / 2) / 1e18, rel=1e-3)


def test_a_case_without_a_rule_is_refused_there_and_nowhere_else():
    derivative = tg.grad(lambda c: stats.triang.logpdf(0.5, c))
    assert derivative(0.7) == pytest.approx(-1.0 / 0.7)
    with pytest.raises(tg.errors.UnsupportedFunctionError, match="case of its own at"):
        derivative(0.0)
    with pytest.raises(tg.errors.UnsupportedFunctionError, match="genextreme"):
        tg.grad(lambda c: genextreme.mean(c))(1e-9)


# --- quantiles, moments, truncation -----------------------------------------------------------


def test_quantiles_have_scipys_value_and_derivatives_to_second_order():
    a, q = 2.5, 0.3
    function = lambda p: gamma.ppf(p[0], 2.5, scale=p[1])  # noqa: E731
    value, gradient = tg.value_and_grad(function)(np.array([q, 1.5]))
    assert value == gamma.ppf(q, a, scale=1.5)
    density = gamma.pdf(value, a, scale=1.5)
    np.testing.assert_allclose(gradient, [1.0 / density, value / 1.5], rtol=1e-10)
    slope = (a - 1.0) / value - 1.0 / 1.5  # of the density's logarithm
    assert tg.hessian(function)(np.array([q, 1.5]))[0, 0] == pytest.approx(-slope / density**2)
    ends = tg.jacobian(lambda q: gamma.ppf(q, 2.5))
    assert gamma.ppf(0.0, 2.5) == tg.value_and_grad(lambda q: gamma.ppf(q, 2.5))(0.0)[0] == 0.0
    assert math.isnan(tg.value_and_grad(lambda q: gamma.ppf(q, 2.5))(1.5)[0])
    assert np.isfinite(ends(0.5))


def test_quantiles_by_a_shape_follow_the_distribution_function():
    function = lambda a: stats.foldnorm.ppf(0.6, a)  # noqa: E731
    first, second = richardson(function, 1.3)
    assert tg.grad(function)(1.3) == pytest.approx(first, rel=1e-8)
    assert tg.grad(tg.grad(function))(1.3) == pytest.approx(second, rel=1e-5)


def test_moments_medians_and_intervals_are_formulas():
    function = lambda p: (  # noqa: E731
        gamma.mean(p[0], scale=p[1]) + gamma.var(p[0], scale=p[1]) + gamma.std(p[0], scale=p[1])
        + gamma.entropy(p[0], scale=p[1]) + norm.median(p[0], p[1]) + norm.interval(0.9, *p)[1]
        + norm(p[0], p[1]).stats()[1]
    )  # fmt: skip
    value, gradient = tg.value_and_grad(function)(PLACE)
    assert value == pytest.approx(function(PLACE), rel=1e-13)
    for k in range(2):
        first, _ = richardson(lambda t, k=k: function(np.where(np.arange(2) == k, t, PLACE)),
                              PLACE[k])  # fmt: skip
        assert gradient[k] == pytest.approx(first, rel=1e-8)


def test_the_truncated_normal_is_right_far_out():
    function = lambda p: truncnorm.logpdf(p[0], p[1], p[2])  # noqa: E731
    for place in ([0.5, -1.0, 2.0], [31.0, 30.0, 40.0], [-31.0, -40.0, -30.0]):
        value, gradient = tg.value_and_grad(function)(np.array(place))
        assert value == pytest.approx(truncnorm.logpdf(*place), rel=1e-9)
        mass = truncnorm._logpdf(place[1], *place[1:])
        np.testing.assert_allclose(gradient[:2], [-place[0], np.exp(mass)], rtol=1e-7)
    half = lambda a: truncnorm.cdf(1.0, a, np.inf)  # noqa: E731
    expected = norm.pdf(0.3) * norm.sf(1.0) / norm.sf(0.3) ** 2
    assert tg.grad(half)(0.3) == pytest.approx(-expected)


# --- what is refused --------------------------------------------------------------------------


REFUSED = {
    "binom.logpmf by its parameter n": lambda x: stats.binom.logpmf(2, x + 4.5, 0.3),
    "norm.rvs": lambda x: norm.rvs(x, size=3)[0],
    "poisson.expect": lambda x: poisson(x).expect(lambda k: k * 1.0),
    "poisson.moment": lambda x: poisson.moment(2, x),
    "Normal.__init__": lambda x: stats.Normal(mu=x).logpdf(1.0),
    "Normal.logpdf": lambda x: NEW_KIND.logpdf(x),
    "landau.logpdf": lambda x: stats.landau.logpdf(x),
    "levy_stable.cdf": lambda x: stats.levy_stable.cdf(0.2, 1.5, x),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_is_refused_by_name(name):
    with pytest.raises(tg.errors.UnsupportedFunctionError, match=name) as caught:
        tg.grad(REFUSED[name])(0.5)
    assert "tapegrad.custom_rule" in str(caught.value)


def test_whole_numbers_have_no_derivative_and_steps_have_none():
    assert tg.grad(lambda k: poisson.logpmf(k, 2.2))(3.0) == 0.0
    assert tg.grad(lambda q: poisson.ppf(q, 2.2))(0.4) == 0.0
    # How many successes end a negative binomial's trials need not be whole.
    by_n = tg.grad(lambda n: stats.nbinom.logpmf(3, n, 0.4))(2.5)
    assert by_n == pytest.approx(richardson(lambda n: stats.nbinom.logpmf(3, n, 0.4), 2.5)[0])


def test_the_variables_of_a_method_with_a_closure_can_be_looked_at_while_it_runs():
    limit, seen = 2.0, []

    class Watched:
        def loss(self, x):
            seen.append(inspect.currentframe().f_back.f_locals.get("limit"))
            return x * limit

    assert tg.grad(Watched().loss)(3.0) == 2.0
    assert 2.0 in seen


def test_a_derivative_of_a_likelihood_pickles():
    model = tg.grad(Model(norm).loss)
    model(PLACE)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model))(PLACE), model(PLACE))


def test_what_is_used_of_scipys_insides_is_there():
    assert not scipy_private.faults()
