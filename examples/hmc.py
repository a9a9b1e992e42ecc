"""Hamiltonian Monte Carlo in one compiled function, with the gradient embedded.

The posterior is that of the eight schools (Rubin 1981): the effects of coaching in eight schools,
with a common mean and spread. The sampler is plain Numba; the gradient of the log density, a
Numba function too, is called from it with no Python in between, and four chains run in parallel,
each with its own tape. Means and spreads are compared with exact ones by quadrature. Writes
hmc.png beside this script if matplotlib is installed.
"""

import math
import time
from pathlib import Path

import numpy as np
import scipy.integrate
from numba import njit, prange

import tapegrad as tg

EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
CHAINS, WARM_UP, DRAWS = 4, 2000, 20_000
PATH_LENGTH = 1.5


@njit
def log_density(q):
    """Return the log posterior of (mean, log spread, standardised effect of each school)."""
    mean, spread = q[0], math.exp(q[1])
    total = -0.5 * (mean / 5.0) ** 2 - math.log(1.0 + (spread / 5.0) ** 2) + q[1]
    for i in range(len(EFFECTS)):
        effect = mean + spread * q[2 + i]
        total -= 0.5 * q[2 + i] ** 2 + 0.5 * ((EFFECTS[i] - effect) / ERRORS[i]) ** 2
    return total


density_and_gradient = tg.value_and_grad(log_density)


@njit
def trajectory(q, momentum, gradient, density, step, n_steps):
    """Follow the Hamiltonian flow; change position, momentum and gradient, return the density."""
    for _ in range(n_steps):
        momentum += 0.5 * step * gradient
        q += step * momentum
        density = density_and_gradient.njit(q, gradient)
        momentum += 0.5 * step * gradient
    return density


@njit
def run_chain(seed, draws):
    """Fill `draws`; return the step size, the rate of acceptance and the number of gradients."""
    np.random.seed(seed)
    n = draws.shape[1]
    q, gradient = np.random.normal(0.0, 0.5, n), np.empty(n)
    density = density_and_gradient.njit(q, gradient)
    log_step, averaged, error = math.log(0.1), 0.0, 0.0
    accepted, gradients = 0, 0
    for k in range(-WARM_UP, len(draws)):
        step = math.exp(log_step if k < 0 else averaged)
        n_steps = max(1, min(100, int(PATH_LENGTH / step * np.random.uniform(0.5, 1.5))))
        new, new_gradient = q.copy(), gradient.copy()
        momentum = np.random.normal(0.0, 1.0, n)
        energy = 0.5 * np.sum(momentum**2) - density
        new_density = trajectory(new, momentum, new_gradient, density, step, n_steps)
        gradients += n_steps
        difference = energy - (0.5 * np.sum(momentum**2) - new_density)
        chance = math.exp(min(0.0, difference)) if difference == difference else 0.0
        if np.random.random() < chance:
            q, gradient, density = new, new_gradient, new_density
            accepted += 1 if k >= 0 else 0
        if k >= 0:
            draws[k] = q
        else:  # dual averaging (Hoffman and Gelman 2014)
            m = k + WARM_UP + 1
            error += (0.8 - chance - error) / (m + 10.0)
            log_step = math.log(1.0) - math.sqrt(m) / 0.05 * error
            averaged += m**-0.75 * (log_step - averaged)
    return step, accepted / len(draws), gradients


@njit(parallel=True)
def run_chains(seeds, draws):
    """Run the chains in parallel; return what `run_chain` returns, a row a chain."""
    report = np.empty((len(seeds), 3))
    for chain in prange(len(seeds)):
        step, rate, gradients = run_chain(seeds[chain], draws[chain])
        report[chain, 0], report[chain, 1], report[chain, 2] = step, rate, gradients
    return report


def exact_moments():
    """Return mean and standard deviation of the common mean and of the spread, by quadrature.

    The effects and the mean are normal given the spread, so one integral is left.
    """

    def of_mean(spread):
        precisions = 1.0 / (ERRORS**2 + spread**2)
        variance = 1.0 / (precisions.sum() + 1.0 / 25.0)
        return variance * np.sum(precisions * EFFECTS), variance, precisions

    def weight(spread):
        centre, variance, precisions = of_mean(spread)
        exponent = -0.5 * np.sum(precisions * EFFECTS**2) + 0.5 * centre**2 / variance
        scale = np.sqrt(variance * np.prod(precisions))
        return scale * np.exp(exponent + 2.0) / (1.0 + (spread / 5.0) ** 2)

    def average(of):
        return scipy.integrate.quad(lambda t: of(t) * weight(t), 0.0, np.inf, limit=200)[0]

    total = average(lambda t: 1.0)
    mean = average(lambda t: of_mean(t)[0]) / total
    square = average(lambda t: of_mean(t)[0] ** 2 + of_mean(t)[1]) / total
    spread, spread_square = average(lambda t: t) / total, average(lambda t: t * t) / total
    return (mean, math.sqrt(square - mean**2)), (spread, math.sqrt(spread_square - spread**2))


def agreement(chains):
    """Return the split potential scale reduction of (chain, draw): 1 where the chains agree."""
    halves = chains.reshape(2 * len(chains), -1)
    within = halves.var(axis=1, ddof=1).mean()
    between = halves.mean(axis=1).var(ddof=1)
    return math.sqrt((within + between) / within)


def effective_size(chains):
    """Return how many independent draws the chains are worth, by batch means."""
    batches = chains.reshape(len(chains), 50, -1).mean(axis=2)
    return 50 * len(chains) * chains.var() / batches.var(ddof=1)


def draw(draws, moments, path):
    """Draw the joint posterior of mean and spread, and the schools' effects beside the data."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    mean, spread = draws[:, :, 0].ravel(), np.exp(draws[:, :, 1]).ravel()
    left.plot(mean[::20], spread[::20], ".", ms=2, alpha=0.4, color="tab:blue")
    (m, m_sd), (s, s_sd) = moments
    left.errorbar(m, s, xerr=m_sd, yerr=s_sd, color="black", capsize=3, label="exact mean ± sd")
    left.set(xlabel="common mean (points)", ylabel="spread between schools (points)",
             ylim=(0, 20), xlim=(-8, 18), title="draws from the posterior")  # fmt: skip
    left.legend()
    effects = mean[:, None] + spread[:, None] * draws[:, :, 2:].reshape(-1, len(EFFECTS))
    low, middle, high = np.quantile(effects, [0.05, 0.5, 0.95], axis=0)
    schools = np.arange(len(EFFECTS))
    right.errorbar(schools - 0.12, EFFECTS, yerr=1.645 * ERRORS, fmt="o", color="lightgrey",
                   ecolor="lightgrey", label="measured, 90%")  # fmt: skip
    right.errorbar(schools + 0.12, middle, yerr=[middle - low, high - middle], fmt="o",
                   color="tab:blue", label="posterior, 90%")  # fmt: skip
    right.set_xticks(schools, list("ABCDEFGH"))
    right.set(xlabel="school", ylabel="effect of coaching (points)", title="shrunk to the mean")
    right.legend()
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def main():
    """Sample, compare with the exact moments, and draw."""
    draws = np.empty((CHAINS, DRAWS, 2 + len(EFFECTS)))
    start = time.perf_counter()
    run_chains(np.arange(CHAINS), np.empty((CHAINS, 10, draws.shape[2])))
    compiling = time.perf_counter() - start
    start = time.perf_counter()
    report = run_chains(100 + np.arange(CHAINS), draws)
    seconds = time.perf_counter() - start
    gradients = report[:, 2].sum()
    print(f"compiled in {compiling:.1f} s; {gradients:,.0f} gradients in {seconds:.2f} s, "
          f"{gradients / seconds / 1e6:.2f} million a second")  # fmt: skip
    print(f"step {report[:, 0].mean():.2f}, {report[:, 1].mean():.0%} accepted")

    moments = exact_moments()
    chains = {"common mean": draws[:, :, 0], "spread": np.exp(draws[:, :, 1])}
    print(f"{'':12} {'mean':>7} {'exact':>7} {'sd':>7} {'exact':>7} {'R-hat':>7} {'effective':>10}")
    for (name, values), (mean, deviation) in zip(chains.items(), moments, strict=True):
        size = effective_size(values)
        print(f"{name:12} {values.mean():7.3f} {mean:7.3f} {values.std():7.3f} {deviation:7.3f} "
              f"{agreement(values):7.4f} {size:10,.0f}")  # fmt: skip
        assert agreement(values) < 1.01
        assert abs(values.mean() - mean) < 4.0 * deviation / math.sqrt(size)
        assert abs(values.std() - deviation) < 0.05 * deviation
    draw(draws, moments, Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
