"""Fit a compiled simulation with branches: a ball thrown, dragged by the air, bouncing.

The simulation is a Numba function with a `while` loop, `if`s and helpers, written with no thought
of derivatives. From noisy sightings of the ball, its drag, its restitution and how it was thrown
are recovered by scipy with the recorded gradient, which is that of the branches taken: where the
ball bounces is found inside a step, so that the path depends continuously on the parameters.
Writes numba_simulation.png beside this script if matplotlib is installed.
"""

import math
import time
from pathlib import Path

import numpy as np
import scipy.optimize
from numba import njit

import tapegrad as tg

GRAVITY = 9.81  # m/s²
STEP = 0.005  # s
SIGHTINGS = np.arange(0.1, 4.05, 0.1)  # s
NOISE = 0.05  # m
NAMES = ["drag (1/m)", "restitution", "speed (m/s)", "angle (rad)"]
TRUTH = np.array([0.03, 0.78, 12.0, 1.0])
GUESS = np.array([0.01, 0.70, 11.0, 0.9])


@njit
def accelerate(vx, vy, drag, step):
    """Return the velocity a step later."""
    speed = math.sqrt(vx * vx + vy * vy)
    return vx - step * drag * speed * vx, vy - step * (GRAVITY + drag * speed * vy)


@njit
def fly(p, times):
    """Return the ball's positions at the given times, shape (times, 2)."""
    drag, restitution = p[0], p[1]
    x, y = 0.0, 1.5
    vx, vy = p[2] * math.cos(p[3]), p[2] * math.sin(p[3])
    t, seen = 0.0, 0
    positions = np.zeros((len(times), 2))
    while seen < len(times):
        if times[seen] <= t + 1e-9:
            positions[seen, 0], positions[seen, 1] = x, y
            seen += 1
            continue
        vx, vy = accelerate(vx, vy, drag, STEP)
        left = STEP
        if y + left * vy < 0.0:
            until = -y / vy
            x, y, left = x + until * vx, 0.0, left - until
            vy = -restitution * vy
        x, y = x + left * vx, y + left * vy
        t += STEP
    return positions


@njit
def misfit(p, times, sightings):
    """Return half the squared distances to the sightings, in units of the noise."""
    return 0.5 * np.sum(((fly(p, times) - sightings) / NOISE) ** 2)


def bounces(path):
    """Return where a path of fine steps touches the ground."""
    height = path[:, 1]
    low = (height[1:-1] < height[:-2]) & (height[1:-1] <= height[2:])
    return path[1:-1][low]


def draw(found, sightings, path):
    """Draw the path of the guess, that of the fit, and the sightings."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    times = np.arange(0.0, SIGHTINGS[-1], STEP)
    figure, axes = plt.subplots(figsize=(9, 3.2), layout="constrained")
    axes.axhline(0.0, color="black", lw=1)
    axes.plot(*fly(GUESS, times).T, "--", color="tab:grey", label="first guess")
    fitted = fly(found, times)
    axes.plot(*fitted.T, color="tab:blue", label="fit")
    axes.plot(*bounces(fitted).T, "^", color="tab:blue", ms=7, label="bounces")
    axes.plot(*sightings.T, ".", color="tab:orange", label="sightings")
    axes.set(xlabel="distance (m)", ylabel="height (m)", title="a bouncing ball, fitted")
    axes.set_aspect("equal")
    axes.legend(loc="upper right")
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def microseconds(call):
    """Return what a call takes, once everything is compiled."""
    call()
    start = time.perf_counter()
    for _ in range(100):
        call()
    return (time.perf_counter() - start) * 1e4


def main():
    """Make sightings, fit, report and draw."""
    rng = np.random.default_rng(3)
    sightings = fly(TRUTH, SIGHTINGS) + NOISE * rng.normal(size=(len(SIGHTINGS), 2))
    gradient = tg.value_and_grad(misfit)
    data = (SIGHTINGS, sightings)
    result = scipy.optimize.minimize(
        gradient, GUESS, args=data, jac=True, method="L-BFGS-B",
        bounds=[(0.0, 0.2), (0.3, 1.0), (5.0, 20.0), (0.3, 1.5)],
    )  # fmt: skip
    covariance = np.linalg.inv(tg.hessian(misfit)(result.x, *data))
    errors = np.sqrt(np.diag(covariance))
    print(f"{'':12} {'truth':>8} {'fit':>8} {'± error':>8}")
    for name, truth, value, error in zip(NAMES, TRUTH, result.x, errors, strict=True):
        print(f"{name:12} {truth:8.4f} {value:8.4f} {error:8.4f}")
    norm = np.linalg.norm(gradient(result.x, *data)[1] * errors)
    print(f"misfit {result.fun:.1f} for {sightings.size} numbers, {result.nfev} evaluations, "
          f"gradient in units of the errors {norm:.1e}")  # fmt: skip

    out = np.empty(4)
    alone = microseconds(lambda: misfit(result.x, *data))
    replayed = microseconds(lambda: gradient(result.x, *data))
    embedded = microseconds(lambda: gradient.njit(result.x, *data, out))
    print(f"the simulation takes {alone:.0f} us; with its gradient {replayed:.0f} us replayed, "
          f"{embedded:.0f} us recorded afresh in compiled code")  # fmt: skip

    assert np.all(np.abs(result.x - TRUTH) < 4.0 * errors)
    assert norm < 1e-2
    draw(result.x, sightings, Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
