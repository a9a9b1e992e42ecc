"""Every method of SciPy's list of distributions, beside differences of SciPy's own values."""

from __future__ import annotations

import distributions
import numpy as np
import pytest
from distributions import CONTINUOUS, DISCRETE
from scipy import stats

import tapegrad as tg

# What is refused by its shape parameters, series and integrals in compiled code; by x, loc and
# scale the cdfs of most have derivatives.
SERIES = {"gausshyper", "ksone", "kstwo", "levy_stable", "ncf", "nct", "ncx2", "studentized_range"}
INTEGRALS = {"genhyperbolic", "geninvgauss", "norminvgauss", "vonmises", "vonmises_line"}
REFUSED_MASSES = {"nchypergeom_wallenius", "poisson_binom"}

# What's made of special functions, as long as these have no rules.
HAS_SPECIAL = "scipy.special.gammainc" in tg.supported()
DENSITIES = set() if HAS_SPECIAL else {"argus", "genhyperbolic", "geninvgauss", "norminvgauss"}
CDFS = set() if HAS_SPECIAL else {
    "argus", "beta", "betaprime", "chi", "chi2", "dgamma", "erlang", "f", "gamma", "gengamma",
    "genexpon", "genlogistic", "gennorm", "halfgennorm", "invgamma", "jf_skew_t", "loggamma",
    "nakagami", "pearson3", "powerlaw", "rdist", "rice", "t",
}  # fmt: skip
MASSES = set() if HAS_SPECIAL else {"skellam", "zipf"}
SUMS = set() if HAS_SPECIAL else MASSES | {"bernoulli", "binom", "logser", "nbinom", "poisson"}

REFUSED = {
    **dict.fromkeys(["pdf", "logpdf"], SERIES | DENSITIES | {"landau"}),
    **dict.fromkeys(["cdf", "sf", "logcdf", "logsf"], SERIES | INTEGRALS | CDFS),
    **dict.fromkeys(["ppf", "isf"], SERIES | INTEGRALS | CDFS | {"landau"}),
}
AT_LEAST = {"logpdf": 101, "cdf": 95, "sf": 95, "ppf": 94} if HAS_SPECIAL else {
    "logpdf": 97, "cdf": 72, "sf": 72, "ppf": 71,
}  # fmt: skip
REFUSED_DISCRETE = {
    **dict.fromkeys(["pmf", "logpmf"], REFUSED_MASSES | MASSES),
    **dict.fromkeys(["cdf", "sf"], REFUSED_MASSES | SUMS),
    "ppf": {"poisson_binom"},
}


def found_otherwise(method, table, refused, names):
    """Those that are right nor refused as is said."""
    verdicts = {name: distributions.verdict(name, method, table) for name in names}
    return {name: text for name, text in verdicts.items() if text
            and (name not in refused or "has no rule for active" not in text)}  # fmt: skip


@pytest.mark.parametrize("method", ["logpdf", "cdf", "sf", "ppf"])
def test_the_gradient_of_every_continuous_distribution_is_right_or_refused_by_name(method):
    names = [name for name in CONTINUOUS if name not in REFUSED[method]]
    assert len(names) >= AT_LEAST[method]
    assert not found_otherwise(method, CONTINUOUS, set(), names)


@pytest.mark.parametrize("method", ["logpdf", "cdf", "sf", "ppf"])
def test_what_has_no_rule_says_so(method):
    names = sorted(REFUSED[method] - distributions.SLOW)[::4]
    assert not found_otherwise(method, CONTINUOUS, REFUSED[method], names)


@pytest.mark.parametrize("method", ["pdf", "logcdf", "logsf", "isf"])
def test_the_other_methods_follow_them(method):
    names = [name for name in CONTINUOUS if name not in REFUSED[method]][::6]
    assert not found_otherwise(method, CONTINUOUS, set(), names)


@pytest.mark.parametrize("method", ["pmf", "logpmf", "cdf", "sf", "ppf"])
def test_the_gradient_of_every_discrete_distribution_is_right_or_refused_by_name(method):
    refused = REFUSED_DISCRETE[method]
    assert len(DISCRETE.keys() - refused) >= (19 if HAS_SPECIAL else 12)
    assert not found_otherwise(method, DISCRETE, refused, DISCRETE)


PLACES = {
    "norm": [], "weibull_min": [0.7], "uniform": [], "genpareto": [0.4], "truncnorm": [0.3, 1.7],
    "triang": [0.6], "laplace": [], "burr12": [0.5, 0.8], "loguniform": [0.3, 1.7], "cauchy": [],
    "gumbel_r": [], "kappa4": [0.3, 0.6],
}  # fmt: skip
METHODS = ["pdf", "logpdf", "cdf", "sf", "logcdf", "logsf", "ppf", "isf"]


def recorded(function, place):
    """What a function returns while it's recorded, in plain numbers."""
    found = []
    tg.grad(lambda p: found.append(function(p).value) or p[0])(place)
    return found[-1]


@pytest.mark.parametrize("method", METHODS)
def test_what_is_outside_at_an_end_nan_or_of_an_invalid_scale_is_as_scipys(method):
    is_quantile = method in distributions.QUANTILES
    x = np.array([0.0, 0.2, 0.9, 1.0, 1.2] if is_quantile else [-2.0, 0.3, 0.9, 2.5, np.nan])
    scales = np.array([[1.3], [0.7], [-1.0]])
    weights = np.random.default_rng(1).normal(size=(3, 5))
    for name, shapes in PLACES.items():

        def values(p, name=name):
            call = getattr(getattr(stats, name), method)
            return call(x, *[p[k] for k in range(len(p) - 2)], loc=p[-1], scale=scales * p[-2])

        place = np.array([*shapes, 1.1, 0.1])
        with np.errstate(all="ignore"):
            found, expected = recorded(values, place), values(place)
            is_finite = np.isfinite(expected)

            def total(p, values=values, is_finite=is_finite):
                return np.sum(weights * np.where(is_finite, values(p), 0.0))

            value, gradient = tg.value_and_grad(total)(place)
            slopes = distributions.difference(total, place, np.full(len(place), 1e-3))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14, err_msg=name)
        np.testing.assert_allclose(value, total(place), rtol=1e-9, err_msg=name)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-8, err_msg=name)
