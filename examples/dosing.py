"""Find when a drug begins to be absorbed, and how fast, from its concentrations in the blood.

Absorption from the gut begins after a lag; a second dose is given as an infusion that stops. The
right-hand side says so by `if t < lag`, unchanged in `scipy.integrate.solve_ivp`: the lag has a
derivative all the same, since the time of the switch is found and moved. A fixed-step loop or a
plain tracer would say that it has none. The record is made up, with errors of five percent. Writes
dosing.png beside this script if matplotlib is installed.
"""

import time
from pathlib import Path

import numpy as np
import scipy.optimize
from scipy.integrate import solve_ivp

import tapegrad as tg

DOSE, INFUSED, BEGIN = 100.0, 30.0, 8.0  # mg, mg an hour, hours
HOURS = np.array([0.5, 1.0, 1.5, 2.0, 3.0, 4.5, 6.0, 8.0, 8.5, 9.0, 10.0, 11.0, 13.0, 16.0, 20.0])
NAMES = ("lag", "absorption", "clearance", "volume", "infusion stops")
TRUTH = np.array([0.8, 1.1, 4.0, 25.0, 9.7])
ERROR = 0.05


def rates(t, amounts, lag, absorption, clearance, volume, stop):
    """Return how the amounts in the gut and in the blood change."""
    gut, blood = amounts
    absorbed = absorption * gut if t > lag else 0.0
    infused = INFUSED if BEGIN < t < stop else 0.0
    return [-absorbed, absorbed + infused - clearance / volume * blood]


def concentrations(parameters, hours=HOURS):
    """Return the concentrations in the blood."""
    solution = solve_ivp(rates, (0.0, hours[-1]), [DOSE, 0.0], args=tuple(parameters), t_eval=hours,
                         rtol=1e-8, atol=1e-8, max_step=0.5)  # fmt: skip
    return solution.y[1] / parameters[3]


def draw(best, measured, path):
    """Draw the concentrations."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    hours = np.linspace(0.01, 20.0, 300)
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    axes.plot(hours, concentrations(best, hours), "C0", label="model")
    axes.plot(HOURS, measured, "k.", label="measured")
    axes.axvline(best[0], color="0.8")
    axes.axvspan(BEGIN, best[4], color="0.93", label="infusion")
    axes.set(xlabel="hours", ylabel="mg / l", title="concentration in the blood")
    axes.legend()
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def main():
    began = time.perf_counter()
    noise = 1.0 + ERROR * np.random.default_rng(1).standard_normal(len(HOURS))
    measured = concentrations(TRUTH) * noise
    scale = ERROR * np.maximum(measured, 0.2)

    def residuals(parameters):
        return (concentrations(parameters) - measured) / scale

    result = scipy.optimize.least_squares(
        residuals, [0.6, 0.8, 3.0, 30.0, 9.3], tg.jacobian(residuals), x_scale="jac"
    )
    errors = np.sqrt(np.diag(np.linalg.inv(result.jac.T @ result.jac)))
    print(f"{result.nfev} evaluations in {time.perf_counter() - began:.1f} s")
    for name, value, error, truth in zip(NAMES, result.x, errors, TRUTH, strict=True):
        print(f"{name:>15}: {value:7.3f} ± {error:.3f}, was {truth}")
    draw(result.x, measured, Path(__file__).with_suffix(".png"))
    assert np.all(np.abs(result.x - TRUTH) < 4 * errors)
    assert np.all(errors > 0.0)


if __name__ == "__main__":
    main()
