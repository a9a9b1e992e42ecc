"""Find the lines' impedances of a power grid, from what is measured at its nodes.

In alternating current, voltages settle where the power that flows into every node is the power
that is drawn there: eight equations here, which `tapegrad.root` solves for four nodes' voltages
and phase angles. Loads of a day are known and voltages are measured, with noise; sought are the
resistance and reactance of six lines. They are found by least squares, whose Jacobian goes through
the solved equations by the implicit function theorem; Newton's steps aren't differentiated. Writes
implicit_equilibrium.png beside this script if matplotlib is installed.
"""

import time
from pathlib import Path

import numpy as np
import scipy.optimize

import tapegrad as tg

LINES = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 4), (3, 4)]
RESISTANCE = np.array([0.02, 0.04, 0.05, 0.04, 0.06, 0.08])
REACTANCE = np.array([0.06, 0.16, 0.18, 0.12, 0.14, 0.24])
NODES, HOURS = 5, 24
NOISE = 1e-4


def flow_in(magnitude, angle, resistance, reactance):
    """Return active and reactive power that flow from the lines into every node."""
    active, reactive = np.zeros(NODES), np.zeros(NODES)
    for k, (i, j) in enumerate(LINES):
        square = resistance[k] ** 2 + reactance[k] ** 2
        g, b = resistance[k] / square, -reactance[k] / square
        for here, there in ((i, j), (j, i)):
            difference = angle[here] - angle[there]
            product = magnitude[here] * magnitude[there]
            cosine, sine = np.cos(difference), np.sin(difference)
            active[here] += product * (g * cosine + b * sine) - g * magnitude[here] ** 2
            reactive[here] += product * (g * sine - b * cosine) + b * magnitude[here] ** 2
    return active, reactive


def imbalance(state, load, resistance, reactance):
    """Return by how much the power into the nodes with loads isn't what is drawn there.

    `state` has their voltages and angles; node 0 is the supply, at voltage 1 and angle 0.
    """
    magnitude = np.concatenate([[1.0], state[: NODES - 1]])
    angle = np.concatenate([[0.0], state[NODES - 1 :]])
    active, reactive = flow_in(magnitude, angle, resistance, reactance)
    return np.concatenate([active[1:], reactive[1:]]) - load


FLAT = np.concatenate([np.ones(NODES - 1), np.zeros(NODES - 1)])
settled = tg.root(imbalance, FLAT)


def voltages(log_impedances, loads):
    """Return voltages and angles of every hour, one row each."""
    resistance, reactance = np.split(np.exp(log_impedances), 2)
    return np.stack([settled(load, resistance, reactance) for load in loads])


def misfits(log_impedances, loads, measured):
    """Return how far what is measured is off, in units of the noise."""
    return ((voltages(log_impedances, loads) - measured) / NOISE).reshape(-1)


def loads_of_a_day(rng):
    """Return what the nodes draw: active power, then reactive power."""
    hour = np.arange(HOURS)[:, None]
    day = 0.25 + 0.12 * np.sin(2 * np.pi * (hour - np.array([7.0, 9.0, 13.0, 15.0])) / 24)
    day = day * (1.0 + 0.1 * rng.standard_normal(day.shape))
    return np.concatenate([day, day * rng.uniform(0.2, 0.6, day.shape)], axis=1)


def draw(found, errors, measured, fitted, path):
    """Draw the impedances with their errors, and the voltages of the day."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    places = np.arange(len(LINES))
    for values, truth, width, name in zip(
        np.split(found, 2), (RESISTANCE, REACTANCE), np.split(errors, 2),
        ("resistance", "reactance"), strict=True,
    ):  # fmt: skip
        bars = left.errorbar(places, values, 2 * width, fmt="o", markersize=4, label=name)
        left.hlines(truth, places - 0.3, places + 0.3, bars[0].get_color(), alpha=0.5)
    left.set_xticks(places, [f"{i}-{j}" for i, j in LINES])
    left.set(xlabel="line", ylabel="per unit", title="Impedances: found (dots) and true", ylim=0)
    left.legend()
    for node in range(NODES - 1):
        right.plot(measured[:, node], f"C{node}.", markersize=4)
        right.plot(fitted[:, node], f"C{node}", label=f"node {node + 1}")
    right.set(xlabel="hour", ylabel="per unit", title="Voltages: measured (dots) and fitted")
    right.legend()
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def main():
    rng = np.random.default_rng(5)
    truth = np.log(np.concatenate([RESISTANCE, REACTANCE]))
    loads = loads_of_a_day(rng)
    measured = voltages(truth, loads)
    measured = measured + NOISE * rng.standard_normal(measured.shape)
    start = np.log(np.concatenate([np.full(6, 0.05), np.full(6, 0.15)]))
    began = time.perf_counter()
    result = scipy.optimize.least_squares(
        misfits, start, jac=tg.jacobian(misfits), args=(loads, measured)
    )
    seconds = time.perf_counter() - began
    found = np.exp(result.x)
    errors = found * np.sqrt(np.diag(np.linalg.inv(result.jac.T @ result.jac)))
    off = (found - np.exp(truth)) / errors
    print(f"{len(found)} impedances of {measured.size} measurements, {result.nfev} evaluations in "
          f"{seconds:.1f} s")  # fmt: skip
    print(f"chi square {2 * result.cost:.0f}; the worst impedance is {np.max(abs(off)):.1f} of its "
          f"standard errors off, which are {np.max(errors / found):.1%} at most")  # fmt: skip
    draw(found, errors, measured, voltages(result.x, loads), Path(__file__).with_suffix(".png"))
    assert np.max(abs(off)) < 4.0, off
    assert 0.7 * measured.size < 2 * result.cost < 1.3 * measured.size
    exact = tg.jacobian(misfits)(result.x, loads, measured)
    step = 1e-5 * np.eye(len(found))[3]
    above, below = (misfits(result.x + s, loads, measured) for s in (step, -step))
    slope = (above - below) / 2e-5
    np.testing.assert_allclose(exact[:, 3], slope, atol=1e-5 * np.max(abs(slope)))


if __name__ == "__main__":
    main()
