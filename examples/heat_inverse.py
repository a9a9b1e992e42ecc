"""Recover how well a rod conducts heat, along its length, from noisy thermometers.

A rod with an unknown conductivity is heated at both ends. The heat equation is stepped
forward in plain NumPy, with in-place updates of slices; a few thermometers are read now and
then. The conductivity (its logarithm, at every cell) is the one whose simulation fits the
readings best and that is smooth, found by scipy with the recorded gradient. Writes
heat_inverse.png beside this script if matplotlib is installed.
"""

import time
from pathlib import Path

import numpy as np
import scipy.optimize

import tapegrad as tg

CELLS, STEPS, DT = 30, 400, 0.4
THERMOMETERS = np.arange(2, CELLS, 3)
READ_EVERY = 10
NOISE = 0.005
SMOOTHNESS = 0.5


def true_conductivity():
    """Return the conductivity to recover: good, with a badly conducting stretch."""
    x = np.linspace(0, 1, CELLS - 1)
    return 1.0 - 0.75 * np.exp(-(((x - 0.55) / 0.12) ** 2))


def simulate(conductivity):
    """Return the thermometers' readings, shape (readings, thermometers).

    The conductivity is that between neighbouring cells, in cells squared a unit of time; the
    ends are held at temperature 1.
    """
    temperature = np.zeros(CELLS)
    temperature[0] = temperature[-1] = 1.0
    readings = np.zeros((STEPS // READ_EVERY, len(THERMOMETERS)))
    for step in range(STEPS):
        flow = conductivity * (temperature[1:] - temperature[:-1]) * DT
        temperature[1:-1] += flow[1:] - flow[:-1]
        if step % READ_EVERY == READ_EVERY - 1:
            readings[step // READ_EVERY] = temperature[THERMOMETERS]
    return readings


def loss(log_conductivity, readings):
    """Return the misfit in units of the noise, and a penalty on roughness."""
    misfit = (simulate(np.exp(log_conductivity)) - readings) / NOISE
    roughness = np.diff(log_conductivity) / 0.1
    return 0.5 * np.sum(misfit**2) + 0.5 * SMOOTHNESS * np.sum(roughness**2)


def draw(truth, start, found, readings, path):
    """Draw the conductivities, and the temperatures with the readings."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    between = np.arange(CELLS - 1) + 0.5
    left.plot(between, truth, "k", label="truth")
    left.plot(between, start, "0.6", linestyle="--", label="start")
    left.plot(between, found, "C3", label="recovered")
    left.set(xlabel="cell", ylabel="conductivity", ylim=(0, 1.4), title="Conductivity")
    left.legend()
    fitted = simulate(found)
    times = (np.arange(len(fitted)) + 1) * READ_EVERY * DT
    for k in range(len(THERMOMETERS) // 2 + 1):
        right.plot(times, readings[:, k], ".", color=f"C{k}", markersize=4)
        right.plot(times, fitted[:, k], color=f"C{k}", label=f"cell {THERMOMETERS[k]}")
    right.set(xlabel="time", ylabel="temperature", title="Thermometers: readings and fit")
    right.legend(loc="lower right")
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def main():
    rng = np.random.default_rng(8)
    truth = true_conductivity()
    readings = simulate(truth)
    readings = readings + NOISE * rng.standard_normal(readings.shape)
    start = np.full(CELLS - 1, 0.6)
    began = time.perf_counter()
    result = scipy.optimize.minimize(
        tg.value_and_grad(loss), np.log(start), args=(readings,), jac=True, method="L-BFGS-B",
        options={"maxiter": 500, "maxfun": 1000},
    )  # fmt: skip
    seconds = time.perf_counter() - began
    found = np.exp(result.x)
    error = np.max(abs(found - truth))
    print(f"{len(found)} unknowns, {result.nfev} evaluations in {seconds:.1f} s")
    print(f"loss {result.fun:.1f} for {readings.size} readings; worst error of the conductivity "
          f"{error:.3f}")  # fmt: skip
    draw(truth, start, found, readings, Path(__file__).with_suffix(".png"))
    assert error < 0.12, error
    assert result.fun < 0.8 * readings.size


if __name__ == "__main__":
    main()
