"""Every method of SciPy's list of distributions, beside differences of SciPy's own values."""

from __future__ import annotations

import distributions
import pytest
from distributions import CONTINUOUS, DISCRETE

# What is refused: by x, loc and scale most of these have derivatives, by a shape parameter not.
# The first lot are series and integrals in compiled code, the second wait for special functions.
REFUSED_DENSITIES = {
    "gausshyper", "ksone", "kstwo", "landau", "levy_stable", "ncf", "nct", "ncx2",
    "studentized_range",
    "argus", "genhyperbolic", "geninvgauss", "norminvgauss",
}  # fmt: skip
REFUSED_CUMULATIVE = REFUSED_DENSITIES - {"landau"} | {
    "rel_breitwigner", "rice", "skewnorm", "vonmises", "vonmises_line",
    "beta", "betaprime", "chi", "chi2", "dgamma", "erlang", "f", "gamma", "gengamma", "gennorm",
    "halfgennorm", "invgamma", "jf_skew_t", "loggamma", "nakagami", "pearson3", "rdist", "t",
}  # fmt: skip
REFUSED = {
    "pdf": REFUSED_DENSITIES,
    "logpdf": REFUSED_DENSITIES,
    "cdf": REFUSED_CUMULATIVE,
    "sf": REFUSED_CUMULATIVE | {"powerlaw"},
    "logcdf": REFUSED_CUMULATIVE | {"genexpon"},
    "logsf": REFUSED_CUMULATIVE | {"genexpon", "genlogistic", "powerlaw"},
    "ppf": REFUSED_CUMULATIVE | {"genexpon", "landau"},
    "isf": REFUSED_CUMULATIVE | {"genexpon", "landau", "powerlaw"},
}
REFUSED_MASSES = {"nchypergeom_wallenius", "poisson_binom", "skellam", "zipf"}
REFUSED_SUMS = REFUSED_MASSES | {"bernoulli", "binom", "logser", "nbinom", "poisson"}
AT_LEAST = {"logpdf": 97, "cdf": 75, "sf": 74, "ppf": 73}


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
    refused = {"cdf": REFUSED_SUMS, "sf": REFUSED_SUMS, "ppf": {"poisson_binom"}}.get(
        method, REFUSED_MASSES
    )
    assert len(DISCRETE.keys() - refused) >= (12 if method in ("cdf", "sf") else 16)
    assert not found_otherwise(method, DISCRETE, refused, DISCRETE)
