"""Foresee carbon dioxide in the air by a Gaussian process, fitted through a Cholesky factor.

The record is the annual mean at Mauna Loa from 1959 to 2023, in parts per million (P. Tans, NOAA
Global Monitoring Laboratory, and R. Keeling, Scripps Institution of Oceanography). The model is a
parabola whose coefficients are known only roughly, wiggles about it of some years' length, and
noise. What isn't known, four sizes and a length, is what the marginal likelihood of the years until
2003 is greatest for (C. E. Rasmussen and C. K. I. Williams, *Gaussian Processes for Machine
Learning*, 2006, chapter 5), found by scipy with the exact gradient; the record of the other twenty
years is then compared with what the process says of them. Writes gaussian_process.png beside this
script if matplotlib is installed.
"""

import time
from pathlib import Path

import numpy as np
import scipy.linalg
import scipy.optimize

import tapegrad as tg

FIRST_YEAR, LAST_FITTED, LAST_YEAR = 1959, 2003, 2045
PARTS = np.array(
    [
        315.98, 316.91, 317.64, 318.45, 318.99, 319.62, 320.04, 321.37, 322.18, 323.05, 324.62,
        325.68, 326.32, 327.46, 329.68, 330.19, 331.12, 332.03, 333.84, 335.41, 336.84, 338.76,
        340.12, 341.48, 343.15, 344.85, 346.35, 347.61, 349.31, 351.69, 353.20, 354.45, 355.70,
        356.54, 357.21, 358.96, 360.97, 362.74, 363.88, 366.84, 368.54, 369.71, 371.32, 373.45,
        375.98, 377.70, 379.98, 382.09, 384.02, 385.83, 387.64, 390.10, 391.85, 394.06, 396.74,
        398.81, 401.01, 404.41, 406.76, 408.72, 411.66, 414.24, 416.45, 418.56, 421.08,
    ]
)  # fmt: skip
YEARS = FIRST_YEAR + np.arange(len(PARTS))
IS_FITTED = YEARS <= LAST_FITTED
CENTRE = np.mean(PARTS[IS_FITTED])
NAMES = ("slope", "curvature", "wiggles", "their length", "noise")


def scaled(years):
    """Return decades since the middle of the years that are fitted."""
    return (years - 0.5 * (FIRST_YEAR + LAST_FITTED)) / 10.0


def covariance(theta, first, second):
    """Return the covariances of what isn't noise, by the logarithms of sizes and of a length."""
    slope, curvature, wiggles, length, _ = np.exp(theta)
    s, t = scaled(first)[:, np.newaxis], scaled(second)[np.newaxis, :]
    parabola = 100.0 + slope**2 * s * t + curvature**2 * (s * t) ** 2
    return parabola + wiggles**2 * np.exp(-0.5 * ((s - t) / length) ** 2)


def factor(theta, years):
    """Return the Cholesky factor of the covariances of observations."""
    noise = np.exp(theta[4]) ** 2
    return np.linalg.cholesky(covariance(theta, years, years) + noise * np.eye(len(years)))


def misfit(theta, years, parts):
    """Return the negative logarithm of the marginal likelihood."""
    L = factor(theta, years)
    white = scipy.linalg.solve_triangular(L, parts - CENTRE, lower=True)
    constant = 0.5 * len(years) * np.log(2 * np.pi)
    return 0.5 * white @ white + np.sum(np.log(np.diag(L))) + constant


def foreseen(theta, years, parts, wanted):
    """Return means and standard deviations of observations in other years."""
    L, between = factor(theta, years), covariance(theta, years, wanted)
    white = scipy.linalg.solve_triangular(L, parts - CENTRE, lower=True)
    half = scipy.linalg.solve_triangular(L, between, lower=True)
    variance = np.diag(covariance(theta, wanted, wanted)) - np.sum(half**2, axis=0)
    return CENTRE + half.T @ white, np.sqrt(variance + np.exp(2 * theta[4]))


def draw(theta, path):
    """Draw the record, and what the process says of the years after those that it's fitted to."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    wanted = np.arange(FIRST_YEAR, LAST_YEAR + 1, dtype=float)
    mean, spread = foreseen(theta, YEARS[IS_FITTED], PARTS[IS_FITTED], wanted)
    figure, axes = plt.subplots(figsize=(9, 4.2), layout="constrained")
    axes.plot(YEARS[IS_FITTED], PARTS[IS_FITTED], "k.", label="fitted")
    axes.plot(YEARS[~IS_FITTED], PARTS[~IS_FITTED], "C3.", label="not fitted")
    axes.plot(wanted, mean, "C0", label="the process")
    axes.fill_between(wanted, mean - 2 * spread, mean + 2 * spread, alpha=0.25, label="95 %")
    axes.set(xlabel="year", ylabel="ppm", title="Carbon dioxide at Mauna Loa, annual means")
    axes.legend(loc="upper left")
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def main():
    years, parts = YEARS[IS_FITTED].astype(float), PARTS[IS_FITTED]
    start = np.log(np.array([10.0, 3.0, 1.0, 0.5, 0.5]))
    began = time.perf_counter()
    fit = tg.value_and_grad(misfit)
    result = scipy.optimize.minimize(fit, start, args=(years, parts), jac=True, method="L-BFGS-B")
    seconds = time.perf_counter() - began
    print(f"{result.nfev} likelihoods with gradients in {seconds:.1f} s; log-likelihood "
          f"{-result.fun:.2f}")  # fmt: skip
    curvature = tg.hessian(misfit)(result.x, years, parts)
    errors = np.sqrt(np.diag(np.linalg.inv(curvature)))
    for name, value, error in zip(NAMES, result.x, errors, strict=True):
        print(f"{name:>12}: {np.exp(value):6.3f} (times or over {np.exp(error):.2f})")
    draw(result.x, Path(__file__).with_suffix(".png"))

    _, gradient = fit(result.x, years, parts)
    assert np.max(np.abs(gradient)) < 1e-2
    step = 1e-4 * np.eye(len(NAMES))
    change = [(misfit(result.x + e, years, parts) - misfit(result.x - e, years, parts)) / 2e-4
              for e in step]  # fmt: skip
    np.testing.assert_allclose(gradient, change, atol=1e-5)
    mean, spread = foreseen(result.x, years, parts, YEARS[~IS_FITTED].astype(float))
    off = (PARTS[~IS_FITTED] - mean) / spread
    print(f"the years after {LAST_FITTED} are off by {np.max(np.abs(off)):.1f} standard deviations "
          "at most")  # fmt: skip
    assert np.max(np.abs(off)) < 3.0


if __name__ == "__main__":
    main()
