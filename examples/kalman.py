"""Fit the local level model to the flow of the Nile, by the likelihood that a Kalman filter gives.

The record is the annual flow at Aswan from 1871 to 1970, in 10^8 cubic metres. The model says that
the level drifts as a random walk and that each year's flow is off it by noise: two variances are
unknown. They are those of greatest likelihood, found by scipy with the filter's exact gradient;
the standard errors are from its exact Hessian. The estimates are compared with those of J. Durbin
and S. J. Koopman, *Time Series Analysis by State Space Methods* (2nd ed., 2012, section 2.10):
15099 and 1469. Writes kalman.png beside this script if matplotlib is installed.
"""

import time
from pathlib import Path

import numpy as np
import scipy.optimize

import tapegrad as tg

FIRST_YEAR = 1871
FLOW = np.array(
    [
        1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960,
        1180, 799, 958, 1140, 1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694,
        940, 833, 701, 916, 692, 1020, 1050, 969, 831, 726, 456, 824, 702, 1120, 1100, 832, 764,
        821, 768, 845, 864, 862, 698, 845, 744, 796, 1040, 759, 781, 865, 845, 944, 984, 897, 822,
        1010, 771, 676, 649, 846, 812, 742, 801, 1040, 860, 874, 848, 890, 744, 749, 838, 1050,
        918, 986, 797, 923, 975, 815, 1020, 906, 901, 1170, 912, 746, 919, 718, 714, 740,
    ],
    float,
)  # fmt: skip
PUBLISHED = np.array([15099.0, 1469.0])


def local_level(variances):
    """Return the matrices of the model: observation, transition and the two noises' covariances."""
    noise, drift = variances
    return np.eye(1), np.eye(1), noise * np.eye(1), drift * np.eye(1)


def filtered(variances, flow):
    """Return the log-likelihood, and level and variance of every year as known before it.

    Nothing is known of the level at first, so that after the first year it's that year's flow.
    """
    Z, T, H, Q = local_level(variances)
    state, covariance = T @ flow[:1], T @ H @ T.T + Q
    total = 0.0
    levels, spreads = np.zeros(len(flow)), np.zeros(len(flow))
    for year in range(1, len(flow)):
        levels[year], spreads[year] = state[0], covariance[0, 0]
        surprise = flow[year] - Z @ state
        F = Z @ covariance @ Z.T + H
        gain = covariance @ Z.T @ np.linalg.inv(F)
        total = total - 0.5 * (
            np.log(2 * np.pi) + np.linalg.slogdet(F)[1] + surprise @ np.linalg.solve(F, surprise)
        )
        state = T @ (state + gain @ surprise)
        covariance = T @ (covariance - gain @ Z @ covariance) @ T.T + Q
    return total, levels, spreads


def misfit(log_variances, flow):
    """Return the negative log-likelihood, by the variances' logarithms."""
    return -filtered(np.exp(log_variances), flow)[0]


def draw(found, path):
    """Draw the record, and the level that each year's flow was foreseen by."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    _, levels, spreads = filtered(found, FLOW)
    years = FIRST_YEAR + np.arange(len(FLOW))
    figure, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
    axes.plot(years, FLOW, "k.", label="flow")
    axes.plot(years[1:], levels[1:], "C0", label="level, foreseen a year before")
    width = 1.645 * np.sqrt(spreads[1:])
    axes.fill_between(years[1:], levels[1:] - width, levels[1:] + width, alpha=0.25, label="90 %")
    axes.set(xlabel="year", ylabel="10⁸ m³", title="The Nile at Aswan")
    axes.legend()
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def main():
    start = np.log(np.full(2, np.var(FLOW)))
    began = time.perf_counter()
    fit = tg.value_and_grad(misfit)
    result = scipy.optimize.minimize(fit, start, args=(FLOW,), jac=True, method="BFGS")
    seconds = time.perf_counter() - began
    found = np.exp(result.x)
    covariance = np.linalg.inv(tg.hessian(lambda variances: -filtered(variances, FLOW)[0])(found))
    errors = np.sqrt(np.diag(covariance))
    print(f"{result.nfev} likelihoods with gradients in {seconds:.1f} s; log-likelihood "
          f"{-result.fun:.2f}")  # fmt: skip
    for name, value, error, published in zip(
        ("noise of a year", "drift of the level"), found, errors, PUBLISHED, strict=True
    ):
        print(f"{name:>18}: variance {value:7.0f} ± {error:4.0f}, published {published:.0f}")
    draw(found, Path(__file__).with_suffix(".png"))
    np.testing.assert_allclose(np.round(found), PUBLISHED, rtol=1e-3)
    by_logarithms = np.linalg.inv(tg.hessian(misfit)(np.log(found), FLOW))
    np.testing.assert_allclose(errors, found * np.sqrt(np.diag(by_logarithms)), rtol=1e-4)


if __name__ == "__main__":
    main()
