"""Fit a drug's absorption, with the time at which it begins as a parameter.

The record is subject 12 of the theophylline study of R. A. Upton, as published by A. J. Boeckmann,
L. B. Sheiner and S. L. Beal (NONMEM Users Guide, 1994): milligrams per litre in the blood after
5.30 mg per kilogram by mouth. In the model, the gut gives off nothing before a lag; the right-hand
side that `scipy.integrate.solve_ivp` gets says so with a plain `if`. Where that switches depends
on the parameter, and the derivative knows it: it is compared with that of the closed form. Writes
dosing.png beside this script if matplotlib is installed.
"""

import time
from pathlib import Path

import numpy as np
import scipy.optimize
from scipy.integrate import solve_ivp

import tapegrad as tg

DOSE = 5.30  # mg / kg
HOURS = np.array([0.25, 0.5, 1.0, 2.0, 3.52, 5.07, 7.07, 9.03, 12.05, 24.15])
MEASURED = np.array([1.25, 3.96, 7.82, 9.72, 9.75, 8.57, 6.59, 6.11, 4.57, 1.17])  # mg / l
NAMES = ("absorption [1/h]", "elimination [1/h]", "volume [l/kg]", "lag [h]")


def in_the_body(t, amounts, absorption, elimination, lag):
    """Return how the amounts in gut and blood change."""
    gut, blood = amounts
    absorbed = absorption * gut if t > lag else 0.0
    return [-absorbed, absorbed - elimination * blood]


def concentrations(parameters, hours):
    """Return the concentrations at some hours, in mg / l."""
    absorption, elimination, volume, lag = parameters
    solution = solve_ivp(
        in_the_body, (0.0, hours[-1]), [DOSE, 0.0], t_eval=hours,
        args=(absorption, elimination, lag), rtol=1e-8, atol=1e-10,
    )  # fmt: skip
    return solution.y[1] / volume


def closed_form(parameters, hours):
    """Return the same by H. Bateman's solution."""
    absorption, elimination, volume, lag = parameters
    t = np.maximum(hours - lag, 0.0)
    rate = DOSE * absorption / (volume * (absorption - elimination))
    return rate * (np.exp(-elimination * t) - np.exp(-absorption * t))


def residuals(parameters):
    """Return what isn't explained."""
    return concentrations(parameters, HOURS) - MEASURED


def draw(best, errors, path):
    """Draw the fit and what is left over."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    t = np.linspace(0.0, 24.0, 400)
    axes.plot(HOURS, MEASURED, "ko", label="measured")
    axes.plot(t, concentrations(best, t), "C0", label="fit")
    axes.axvspan(best[3] - errors[3], best[3] + errors[3], color="C1", alpha=0.3,
                 label=f"lag {best[3]:.2f} ± {errors[3]:.2f} h")  # fmt: skip
    axes.set(xlabel="hours", ylabel="theophylline [mg/l]", ylim=(0.0, None))
    axes.legend()
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def main():
    began = time.perf_counter()
    start = np.array([0.7, 0.08, 0.45, 0.1])
    jacobian = tg.jacobian(concentrations)
    exact = tg.jacobian(closed_form)(start, HOURS)
    np.testing.assert_allclose(jacobian(start, HOURS), exact, rtol=1e-5, atol=1e-5)
    fit = scipy.optimize.least_squares(residuals, start, tg.jacobian(residuals), x_scale="jac")
    spread = np.sum(fit.fun**2) / (len(HOURS) - len(start))
    errors = np.sqrt(spread * np.diag(np.linalg.inv(fit.jac.T @ fit.jac)))
    seconds = time.perf_counter() - began
    print(f"residuals of {np.sqrt(spread):.2f} mg/l, {fit.njev} Jacobians, {seconds:.1f} s")
    for name, value, error in zip(NAMES, fit.x, errors, strict=True):
        print(f"{name:>17}: {value:6.3f} ± {error:.3f}")
    draw(fit.x, errors, Path(__file__).with_suffix(".png"))
    same = scipy.optimize.least_squares(lambda p: closed_form(p, HOURS) - MEASURED, start)
    np.testing.assert_allclose(fit.x, same.x, rtol=1e-3)


if __name__ == "__main__":
    main()
