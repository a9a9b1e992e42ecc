"""Find a ball's restitution, and the height it was dropped from, by when it's heard to bounce.

Each flight is solved by an unchanged `scipy.integrate.solve_ivp` with quadratic drag, up to the
event that ends it, and the next begins there, upward. Times of events carry derivatives, so those
of the sum of squares come through all bounces. The record is made up, with errors of two
milliseconds. Writes bouncing_ball.png beside this script if matplotlib is installed.
"""

import time
from pathlib import Path

import numpy as np
import scipy.optimize
from scipy.integrate import solve_ivp

import tapegrad as tg

GRAVITY, BOUNCES, ERROR = 9.81, 8, 2e-3
NAMES = ("restitution", "height", "drag")
TRUTH = np.array([0.82, 1.6, 0.05])


def flight(t, state, drag):
    """Return the velocity and the acceleration."""
    _, speed = state
    return [speed, -GRAVITY - drag * speed * abs(speed)]


def ground(t, state, drag):
    """Return the height, which vanishes where a flight ends."""
    return state[0]


ground.terminal, ground.direction = True, -1


def flights(parameters, count=BOUNCES):
    """Yield the solutions of flights, one after another."""
    restitution, height, drag = parameters
    t, state = 0.0, np.stack([height, 0.0])
    for _ in range(count):
        solution = solve_ivp(flight, (t, t + 10.0), state, args=(drag,), events=ground,
                             dense_output=True, rtol=1e-9, atol=1e-9)  # fmt: skip
        yield solution
        t, (_, speed) = solution.t_events[0][0], solution.y_events[0][0]
        state = np.stack([0.0, -restitution * speed])


def bounces(parameters):
    """Return when the ball is heard."""
    return np.stack([solution.t_events[0][0] for solution in flights(parameters)])


def draw(best, heard, path):
    """Draw the height, and the times that were heard."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for solution in flights(best):
        t = np.linspace(solution.t[0], solution.t[-1], 60)
        axes.plot(t, solution.sol(t)[0], "C0")
    axes.plot(heard, np.zeros_like(heard), "k|", markersize=14, label="heard")
    axes.set(xlabel="seconds", ylabel="metres", title=f"restitution {best[0]:.3f}")
    axes.legend()
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def main():
    began = time.perf_counter()
    heard = bounces(TRUTH) + ERROR * np.random.default_rng(3).standard_normal(BOUNCES)
    jacobian = tg.jacobian(lambda p: (bounces(p) - heard) / ERROR)
    result = scipy.optimize.least_squares(
        lambda p: (bounces(p) - heard) / ERROR, [0.7, 1.2, 0.02], jacobian, x_scale=[0.1, 1.0, 0.1]
    )
    errors = np.sqrt(np.diag(np.linalg.inv(result.jac.T @ result.jac)))
    print(f"{result.nfev} evaluations in {time.perf_counter() - began:.1f} s")
    for name, value, error, truth in zip(NAMES, result.x, errors, TRUTH, strict=True):
        print(f"{name:>12}: {value:.4f} ± {error:.4f}, was {truth}")
    draw(result.x, heard, Path(__file__).with_suffix(".png"))
    np.testing.assert_allclose(result.x, TRUTH, atol=4 * errors.max())
    assert np.all(np.abs(result.x - TRUTH) < 4 * errors)


if __name__ == "__main__":
    main()
