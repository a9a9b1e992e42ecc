"""Fit a model that a program of its own solves, which tapegrad never sees.

A drug is injected, spreads between blood and tissue, and is excreted. The program integrates these
two equations, and the sensitivities to their three rates with them; it's run as another process,
and talks in JSON. `tapegrad.custom_rule` tells what its derivative is; what is around it, the
rates' logarithms, the dose, the noise and the prior knowledge, is recorded as ever. The fit is
compared with that of the known solution, two exponentials. Writes external_solver.png beside this
script if matplotlib is installed.
"""

import functools
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import scipy.optimize

import tapegrad as tg

PROGRAM = """
import json, sys

given = json.load(sys.stdin)
(out, there, back), times = given["rates"], given["times"]


def slope(s):
    a, b, da, db = s[0], s[1], s[2:5], s[5:8]
    flow = there * a - back * b
    by_rate = [(a, 0.0), (a, -a), (-b, b)]
    ds = [[-(out + there) * da[k] + back * db[k] - by_rate[k][0],
           there * da[k] - back * db[k] - by_rate[k][1]] for k in range(3)]
    return [-out * a - flow, flow, *(d[0] for d in ds), *(d[1] for d in ds)]


def moved(s, k, h):
    return [x + h * y for x, y in zip(s, k)]


state, now, values, sensitivities = [1.0] + [0.0] * 7, 0.0, [], []
for then in times:
    n = max(1, int((then - now) / 0.02))
    h = (then - now) / n
    for _ in range(n):
        k1 = slope(state)
        k2 = slope(moved(state, k1, h / 2))
        k3 = slope(moved(state, k2, h / 2))
        k4 = slope(moved(state, k3, h))
        state = [x + h / 6 * (a + 2 * b + 2 * c + d)
                 for x, a, b, c, d in zip(state, k1, k2, k3, k4)]
    now = then
    values.append(state[0])
    sensitivities.append(state[2:5])
json.dump({"values": values, "sensitivities": sensitivities}, sys.stdout)
"""

TIMES = np.array([0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0])
DOSE, VOLUME = 100.0, 5.0
RATES = np.array([0.4, 0.9, 0.3])  # of excretion, into the tissue, and back; per hour
NOISE = 0.03


@functools.lru_cache(maxsize=4)
def run(rates):
    """Return what the program computes for three rates, at `TIMES`."""
    given = json.dumps({"rates": rates, "times": TIMES.tolist()})
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM], input=given, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    return np.array(found["values"]), np.array(found["sensitivities"])


@tg.custom_rule(jacobian=lambda rates: run(tuple(rates.tolist()))[1])
def in_blood(rates):
    """Return the part of the dose that is in the blood at `TIMES`."""
    return run(tuple(rates.tolist()))[0]


def known(rates):
    """Return the same by the known solution."""
    out, there, back = rates
    total, root = out + there + back, np.sqrt((out + there + back) ** 2 - 4.0 * out * back)
    fast, slow = (total + root) / 2.0, (total - root) / 2.0
    parts = (fast - back) * np.exp(-fast * TIMES) + (back - slow) * np.exp(-slow * TIMES)
    return parts / (fast - slow)


def residuals(p, measured, solution):
    """Return the misfit of the logarithms, and how far the volume is from what is expected."""
    concentrations = DOSE * solution(np.exp(p[:3])) / np.exp(p[3])
    misfit = np.log(concentrations / measured) / NOISE
    return np.append(misfit, (p[3] - np.log(VOLUME)) / 0.1)


def fit(start, measured, solution):
    """Return scipy's fit from a start."""
    return scipy.optimize.least_squares(
        residuals, start, tg.jacobian(residuals), args=(measured, solution), xtol=1e-10
    )


def draw(start, found, measured, path):
    """Draw the measurements with the fit, and the sensitivities that the fit used."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    left.semilogy(TIMES, measured, "ok", markersize=5, label="measured")
    for p, style, label in ((start, "0.6", "start"), (found, "C3", "fit")):
        values = DOSE * in_blood(np.exp(p[:3])) / np.exp(p[3])
        left.semilogy(TIMES, values, color=style, label=label)
    left.set(xlabel="hours", ylabel="mg per litre", title="Concentration in the blood")
    left.legend()
    sensitivities = tg.jacobian(in_blood)(np.exp(found[:3])) * np.exp(found[:3])
    for k, label in enumerate(("excretion", "into the tissue", "back")):
        right.plot(TIMES, sensitivities[:, k], ".-", color=f"C{k}", label=label)
    right.axhline(0.0, color="0.8", linewidth=0.8)
    right.set(xlabel="hours", ylabel="by the logarithm of a rate", title="What the program tells")
    right.legend()
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def main():
    rng = np.random.default_rng(5)
    measured = DOSE / VOLUME * known(RATES) * np.exp(NOISE * rng.standard_normal(len(TIMES)))
    start = np.log([1.0, 1.0, 1.0, 8.0])
    began = time.perf_counter()
    found = fit(start, measured, in_blood)
    seconds = time.perf_counter() - began
    right = fit(start, measured, known)
    print(f"{found.nfev} evaluations in {seconds:.1f} s, {run.cache_info().misses} runs")
    for name, p, q, true in zip(
        ("excretion", "to the tissue", "back", "volume"), np.exp(found.x), np.exp(right.x),
        (*RATES, VOLUME), strict=True,
    ):  # fmt: skip
        print(f"{name:>14}: {p:.4f}, by the known solution {q:.4f}; truth {true}")
    draw(start, found.x, measured, Path(__file__).with_suffix(".png"))
    assert np.allclose(found.x, right.x, atol=1e-5), found.x - right.x
    assert np.allclose(np.exp(found.x[:3]), RATES, rtol=0.2), np.exp(found.x)


if __name__ == "__main__":
    main()
