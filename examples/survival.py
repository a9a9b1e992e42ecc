"""Fit Weibull's distribution to how long remissions of leukaemia lasted, some of them unfinished.

The record is the trial of 6-mercaptopurine of E. J. Freireich and others (Blood 21, 1963): weeks of
remission of 21 children given the drug and 21 given a placebo. A child who was still in remission
when the trial ended adds the logarithm of the survival function, all others that of the density:
SciPy's, as they stand. Three parameters of greatest likelihood are found with its exact gradient,
their standard errors from its exact Hessian; profiles of the likelihood show how far that can be
trusted. The estimates are compared with those of W. N. Venables and B. D. Ripley, *Modern Applied
Statistics with S* (4th ed., 2002, section 13.2). Writes survival.png beside this script if
matplotlib is installed.
"""

import time
from pathlib import Path

import numpy as np
import scipy.optimize
from scipy import stats

import tapegrad as tg

DRUG_ENDED = np.array([6.0, 6, 6, 7, 10, 13, 16, 22, 23])
DRUG_GOING_ON = np.array([6.0, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35])
PLACEBO_ENDED = np.array([1.0, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23])
NAMES = ("intercept", "placebo", "log scale")
PUBLISHED = np.array([3.516, -1.267, -0.312])
PUBLISHED_ERRORS = np.array([0.252, 0.311, 0.147])
PUBLISHED_LIKELIHOOD = -106.6


def remission(parameters, placebo):
    """Return the distribution of the weeks, whose logarithm has a location and a scale."""
    intercept, effect, log_scale = parameters
    return stats.weibull_min(np.exp(-log_scale), scale=np.exp(intercept + effect * placebo))


def log_likelihood(parameters):
    """Return the logarithm of the likelihood of both groups."""
    drug, placebo = remission(parameters, 0.0), remission(parameters, 1.0)
    return (
        np.sum(drug.logpdf(DRUG_ENDED))
        + np.sum(drug.logsf(DRUG_GOING_ON))
        + np.sum(placebo.logpdf(PLACEBO_ENDED))
    )


def misfit(parameters):
    """Return the negative logarithm of the likelihood."""
    return -log_likelihood(parameters)


def restricted(others, which, value):
    """Return the misfit where one parameter is given."""
    return misfit(np.concatenate([others[:which], np.stack([value]), others[which:]]))


def profile(fit, best, which, values):
    """Return the greatest log-likelihoods where one parameter has given values."""
    others, found = np.delete(best, which), []
    for value in values:
        result = scipy.optimize.minimize(fit, others, (which, value), jac=True, method="BFGS")
        found.append(-result.fun)
    return np.array(found)


def interval(fit, best, error, which, level=0.95):
    """Return where twice the log-likelihood has fallen by chi-squared's quantile."""
    fall = 0.5 * stats.chi2.ppf(level, 1)
    top = -misfit(best)

    def excess(value):
        return profile(fit, best, which, [value])[0] - top + fall

    bounds = (best[which] - 4.0 * error, best[which] + 4.0 * error)
    return [scipy.optimize.brentq(excess, best[which], bound) for bound in bounds]


def surviving(ended, going_on):
    """Return Kaplan and Meier's estimate: weeks, and the share still in remission after them."""
    weeks = np.unique(ended)
    at_risk = np.array([np.sum(ended >= t) + np.sum(going_on >= t) for t in weeks])
    falls = np.array([np.sum(ended == t) for t in weeks])
    return np.append(0.0, weeks), np.append(1.0, np.cumprod(1.0 - falls / at_risk))


def draw(best, errors, profiles, path):
    """Draw the groups' remissions, and the profiles beside the parabolas of the Hessian."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, *right) = plt.subplots(1, 4, figsize=(13, 3.6), layout="constrained")
    t = np.linspace(0.0, 36.0, 200)
    groups = (
        (DRUG_ENDED, DRUG_GOING_ON, 0.0, "drug"),
        (PLACEBO_ENDED, np.zeros(0), 1.0, "placebo"),
    )
    for colour, (ended, going_on, placebo, label) in zip(("C0", "C3"), groups, strict=True):
        left.step(*surviving(ended, going_on), colour, where="post", alpha=0.5)
        left.plot(t, remission(best, placebo).sf(t), colour, label=label)
    left.set(xlabel="weeks", title="in remission", ylim=(0.0, 1.02))
    left.legend()
    top = -misfit(best)
    for axes, name, value, error, (at, found) in zip(
        right, NAMES, best, errors, profiles, strict=True
    ):
        axes.plot(at, found - top, "k", label="profile")
        axes.plot(at, -0.5 * ((at - value) / error) ** 2, "C1--", label="by the Hessian")
        axes.axhline(-0.5 * stats.chi2.ppf(0.95, 1), color="0.7")
        axes.set(xlabel=name, ylim=(-4.5, 0.2))
    right[0].set(title="log-likelihood")
    right[0].legend()
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def main():
    began = time.perf_counter()
    fit = tg.value_and_grad(misfit)
    result = scipy.optimize.minimize(fit, [2.0, 0.0, 0.0], jac=True, method="BFGS")
    best = result.x
    errors = np.sqrt(np.diag(np.linalg.inv(tg.hessian(misfit)(best))))
    partial = tg.value_and_grad(restricted)
    grids = [v + e * np.linspace(-3.0, 3.0, 25) for v, e in zip(best, errors, strict=True)]
    profiles = [(grid, profile(partial, best, k, grid)) for k, grid in enumerate(grids)]
    bounds = [interval(partial, best, error, k) for k, error in enumerate(errors)]
    seconds = time.perf_counter() - began
    print(f"log-likelihood {-result.fun:.1f}, published {PUBLISHED_LIKELIHOOD}; fit, profiles and "
          f"intervals in {seconds:.1f} s")  # fmt: skip
    for name, value, error, (low, high), published, its_error in zip(
        NAMES, best, errors, bounds, PUBLISHED, PUBLISHED_ERRORS, strict=True
    ):
        print(f"{name:>10}: {value:6.3f} ± {error:.3f}, 95 % {low:6.3f} to {high:6.3f}, "
              f"published {published:.3f} ± {its_error:.3f}")  # fmt: skip
    draw(best, errors, profiles, Path(__file__).with_suffix(".png"))
    np.testing.assert_allclose(best, PUBLISHED, atol=6e-4)
    np.testing.assert_allclose(errors, PUBLISHED_ERRORS, atol=6e-4)
    np.testing.assert_allclose(-result.fun, PUBLISHED_LIKELIHOOD, atol=0.05)
    for (low, high), value, error in zip(bounds, best, errors, strict=True):
        np.testing.assert_allclose((low, high), (value - 1.96 * error, value + 1.96 * error),
                                   atol=0.5 * error)  # fmt: skip


if __name__ == "__main__":
    main()
