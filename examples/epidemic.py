"""Fit an epidemic model to the influenza of an English boarding school, January 1978.

The record is the number of boys in bed each day, of 763 (anonymous, British Medical Journal 1,
1978, p. 587). The model has susceptible, exposed, infectious and recovered boys, solved by an
unchanged `scipy.integrate.solve_ivp`; counts are negative binomial. Rates of greatest
likelihood are found with the exact gradient through the solver, standard errors from the
exact Hessian. Writes epidemic.png beside this script if matplotlib is installed.
"""

import time
from pathlib import Path

import numpy as np
import scipy.optimize
from scipy import stats
from scipy.integrate import solve_ivp

import tapegrad as tg

IN_BED = np.array([3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4])
DAYS = np.arange(1.0, 15.0)
BOYS = 763
NAMES = ("transmission a day", "days until infectious", "days in bed", "first infectious",
         "dispersion")  # fmt: skip


def rates(t, state, transmission, latency, recovery):
    """Return how fast boys fall ill and get well."""
    susceptible, exposed, infectious, _ = state
    infected = transmission * susceptible * infectious / BOYS
    return [
        -infected,
        infected - exposed / latency,
        exposed / latency - infectious / recovery,
        infectious / recovery,
    ]


def in_bed(parameters, days=DAYS):
    """Return how many are in bed each day, of logarithms of the parameters."""
    transmission, latency, recovery, first, _ = np.exp(parameters)
    start = np.stack([BOYS - first, 0.0, first, 0.0])
    solution = solve_ivp(rates, (0.0, days[-1]), start, args=(transmission, latency, recovery),
                         t_eval=days, method="LSODA", rtol=1e-8, atol=1e-6)  # fmt: skip
    return solution.y[2]


def misfit(parameters):
    """Return the negative logarithm of the likelihood of the counts."""
    mean, size = in_bed(parameters), np.exp(parameters[4])
    return -np.sum(stats.nbinom.logpmf(IN_BED, size, size / (size + mean)))


def draw(best, covariance, path):
    """Draw the counts, the model, and what the estimates' uncertainty and chance leave open."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    days = np.linspace(0.05, 14.0, 140)
    mean = in_bed(best, days)
    slopes = tg.jacobian(lambda p: in_bed(p, days))(best)
    error = np.sqrt(np.einsum("ij,jk,ik->i", slopes, covariance, slopes))
    size = np.exp(best[4])
    chance = stats.nbinom.interval(0.95, size, size / (size + mean))
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.fill_between(days, *chance, color="0.9", label="95 % of counts")
    axes.fill_between(days, mean - 2 * error, mean + 2 * error, color="C0", alpha=0.3)
    axes.plot(days, mean, "C0", label="model, ± 2 standard errors")
    axes.plot(DAYS, IN_BED, "k.", label="boys in bed")
    axes.set(xlabel="day", ylim=(0.0, None), title="influenza at a boarding school, 1978")
    axes.legend()
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def main():
    began = time.perf_counter()
    start = np.log([2.0, 1.0, 2.0, 3.0, 20.0])
    result = scipy.optimize.minimize(tg.value_and_grad(misfit), start, jac=True, method="BFGS")
    best = result.x
    covariance = np.linalg.inv(tg.hessian(misfit)(best))
    errors = np.sqrt(np.diag(covariance))
    seconds = time.perf_counter() - began
    print(f"log-likelihood {-result.fun:.2f} after {result.nit} iterations; fit and Hessian in "
          f"{seconds:.1f} s")  # fmt: skip
    for name, value, error in zip(NAMES, best, errors, strict=True):
        low, high = np.exp([value - 1.96 * error, value + 1.96 * error])
        print(f"{name:>22}: {np.exp(value):7.3f}, 95 % {low:7.3f} to {high:7.3f}")
    reproduction = np.exp(best[0] + best[2])
    direction = np.array([1.0, 0.0, 1.0, 0.0, 0.0])
    spread = np.sqrt(direction @ covariance @ direction)
    print(f"each infects {reproduction:.2f} others at first, 95 % "
          f"{reproduction * np.exp(-1.96 * spread):.2f} to "
          f"{reproduction * np.exp(1.96 * spread):.2f}")  # fmt: skip
    draw(best, covariance, Path(__file__).with_suffix(".png"))
    np.testing.assert_allclose(tg.grad(misfit)(best), 0.0, atol=1e-3)
    assert np.linalg.eigvalsh(covariance)[0] > 0.0


if __name__ == "__main__":
    main()
