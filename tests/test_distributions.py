"""Every method of SciPy's list of distributions, beside differences of SciPy's own values."""

from __future__ import annotations

import distributions
import pytest
from distributions import CONTINUOUS, DISCRETE

import tapegrad as tg

# What is refused by its shape parameters, series and integrals in compiled code; by x, loc and
# scale the cdfs of most have derivatives.
SERIES = {"gausshyper", "ksone", "kstwo", "levy_stable", "ncf", "nct", "ncx2", "studentized_range"}
INTEGRALS = {"genhyperbolic", "geninvgauss", "norminvgauss", "rel_breitwigner", "skewnorm",
             "vonmises", "vonmises_line"}  # fmt: skip
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
