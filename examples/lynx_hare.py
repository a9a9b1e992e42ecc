"""Fit a predator-prey model to the Hudson's Bay Company's record of hare and lynx pelts.

The Lotka-Volterra equations

    hare' = alpha hare - beta hare lynx,    lynx' = delta hare lynx - gamma lynx

are integrated with Runge-Kutta steps in plain Python; the pelts (thousands a year, 1900 to 1920)
are taken to be the populations with log-normal errors. The four rates, the two populations of
1900 and the two errors are found by maximum likelihood, with scipy and the recorded gradient.
Writes lynx_hare.png beside this script if matplotlib is installed.
"""

import time
from pathlib import Path

import numpy as np
import scipy.optimize

import tapegrad as tg

# The series of B. Carpenter, 'Predator-prey population dynamics: the Lotka-Volterra model in
# Stan', 2018, after E. P. Odum, 'Fundamentals of Ecology', 1953.
YEARS = np.arange(1900, 1921)
LYNX = np.array([4.0, 6.1, 9.8, 35.2, 59.4, 41.7, 19.0, 13.0, 8.3, 9.1, 7.4, 8.0, 12.3, 19.5,
                 45.7, 51.1, 29.7, 15.8, 9.7, 10.1, 8.6])  # fmt: skip
HARE = np.array([30.0, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22.0, 25.4, 27.1, 40.3, 57.0,
                 76.6, 52.3, 19.5, 11.2, 7.6, 14.6, 16.2, 24.7])  # fmt: skip
NAMES = ("alpha", "beta", "gamma", "delta", "hare 1900", "lynx 1900", "sigma hare", "sigma lynx")
STEPS_A_YEAR = 20


def derivative(hare, lynx, alpha, beta, gamma, delta):
    """Return the growth of both populations, thousands of pelts a year."""
    return alpha * hare - beta * hare * lynx, delta * hare * lynx - gamma * lynx


def populations(alpha, beta, gamma, delta, hare, lynx):
    """Return the populations at every step from the start of 1900 to that of 1920."""
    rates = (alpha, beta, gamma, delta)
    h = 1.0 / STEPS_A_YEAR
    hares, lynxes = [hare], [lynx]
    for _ in range(STEPS_A_YEAR * (len(YEARS) - 1)):
        a1, b1 = derivative(hare, lynx, *rates)
        a2, b2 = derivative(hare + h / 2 * a1, lynx + h / 2 * b1, *rates)
        a3, b3 = derivative(hare + h / 2 * a2, lynx + h / 2 * b2, *rates)
        a4, b4 = derivative(hare + h * a3, lynx + h * b3, *rates)
        hare = hare + h / 6 * (a1 + 2 * a2 + 2 * a3 + a4)
        lynx = lynx + h / 6 * (b1 + 2 * b2 + 2 * b3 + b4)
        hares.append(hare)
        lynxes.append(lynx)
    return hares, lynxes


def loss(log_parameters):
    """Return the negative log-likelihood, without its constant."""
    *dynamics, sigma_hare, sigma_lynx = np.exp(log_parameters)
    total = 0.0
    for data, model, sigma in zip(
        (HARE, LYNX), populations(*dynamics), (sigma_hare, sigma_lynx), strict=True
    ):
        for pelts, population in zip(data, model[::STEPS_A_YEAR], strict=True):
            error = (np.log(pelts) - np.log(population)) / sigma
            total += 0.5 * error**2 + np.log(sigma)
    return total


START = np.log([0.55, 0.028, 0.8, 0.024, HARE[0], LYNX[0], 0.3, 0.3])  # a rough guess


def fit(function, with_gradient):
    """Minimise from the start; return scipy's result and the seconds it took."""
    began = time.perf_counter()
    result = scipy.optimize.minimize(
        function, START, jac=with_gradient, method="L-BFGS-B", options={"gtol": 1e-8, "ftol": 0}
    )
    return result, time.perf_counter() - began


def draw(parameters, path):
    """Draw the fitted populations over the pelts."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for data, model, name, colour in zip(
        (HARE, LYNX), populations(*parameters[:6]), ("hare", "lynx"), ("C0", "C3"), strict=True
    ):
        times = YEARS[0] + np.arange(len(model)) / STEPS_A_YEAR
        axes.plot(times, model, colour, label=f"{name}, fitted")
        axes.plot(YEARS, data, colour + "o", label=f"{name}, pelts")
    axes.set(xlabel="year", ylabel="thousands of pelts", title="Hare and lynx, 1900 to 1920")
    axes.set_xticks(YEARS[::2])
    figure.legend(loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def main():
    value_and_grad = tg.value_and_grad(loss)
    began = time.perf_counter()
    value_and_grad(START)
    first_seconds = time.perf_counter() - began
    result, seconds = fit(value_and_grad, with_gradient=True)
    gradient_norm = np.linalg.norm(value_and_grad(result.x)[1])
    parameters = np.exp(result.x)
    for name, value in zip(NAMES, parameters, strict=True):
        print(f"{name:>10}  {value:.5g}")
    print(f"loss {result.fun:.6f}, gradient norm {gradient_norm:.1e}")
    print(f"first gradient: {first_seconds:.2f} s; on a fresh machine most of it is compiling")
    print(f"with the recorded gradient: {result.nfev} evaluations, {seconds:.2f} s")
    by_differences, slow_seconds = fit(loss, with_gradient=None)
    print(
        f"with scipy's differences:   {by_differences.nfev} evaluations, {slow_seconds:.2f} s, "
        f"loss {by_differences.fun:.6f}"
    )
    draw(parameters, Path(__file__).with_suffix(".png"))

    expected = [0.5400, 0.02716, 0.7966, 0.02370, 34.60, 5.844, 0.2184, 0.2201]
    assert np.allclose(parameters, expected, rtol=1e-3), parameters
    assert abs(result.fun + 42.7406) < 1e-4
    assert gradient_norm < 1e-3


if __name__ == "__main__":
    main()
