"""Fit a ball's restitution and the drag of the air to the sound of its bounces.

A ball is dropped, and a microphone hears when it lands. Every flight is one unchanged call of
`scipy.integrate.solve_ivp` with a terminal event; the program restarts it with a smaller speed.
When it lands, and how fast, carry the derivative of the event's time, so `scipy.optimize`'s least
squares gets the exact Jacobian of the times by the height, the restitution and the drag. Without
drag it is compared with the closed form. The times are made up: those of known parameters, with
an error of a millisecond each. Writes bouncing_ball.png beside this script if matplotlib is
installed.
"""

import time
from pathlib import Path

import numpy as np
import scipy.optimize
from scipy.integrate import solve_ivp

import tapegrad as tg

GRAVITY = 9.81  # m / s^2
N_BOUNCES = 8
NAMES = ("height [m]", "restitution", "drag [1/m]")
TRUE = np.array([1.2, 0.85, 0.03])
ERROR = 1e-3  # s
HEARD_ERRORS = ERROR * np.random.default_rng(5).normal(size=N_BOUNCES)


def falling(t, y, drag):
    """Return speed and acceleration, with a drag that grows with the speed's square."""
    return [y[1], -GRAVITY - drag * y[1] * abs(y[1])]


def landing(t, y, drag):
    """Return the height, at whose zero a flight ends."""
    return y[0]


landing.terminal, landing.direction = True, -1.0


def flights(parameters, n):
    """Yield the solutions from one landing to the next."""
    height, restitution, drag = parameters
    t, y = 0.0, [height, 0.0]
    for _ in range(n):
        flight = solve_ivp(
            falling, (t, t + 3.0), y, events=landing, args=(drag,), rtol=1e-9, atol=1e-12
        )
        yield flight
        t = flight.t_events[0][0]
        y = [0.0, -restitution * flight.y_events[0][0][1]]


def landings(parameters):
    """Return when the ball lands, in seconds."""
    return np.stack([flight.t_events[0][0] for flight in flights(parameters, N_BOUNCES)])


def closed_form(parameters):
    """Return the same without drag."""
    height, restitution, _ = parameters
    first = np.sqrt(2.0 * height / GRAVITY)
    return first * (1.0 + 2.0 * np.cumsum(np.append(0.0, restitution ** np.arange(1, N_BOUNCES))))


def draw(best, heard, path):
    """Draw the height over time, and what was heard."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.6), layout="constrained", width_ratios=(3, 2)
    )
    start, y = 0.0, [best[0], 0.0]
    for flight in flights(best, N_BOUNCES):
        t = np.linspace(start, flight.t[-1], 100)
        path_of_ball = solve_ivp(falling, (start, t[-1]), y, t_eval=t, args=(best[2],)).y[0]
        left.plot(t, path_of_ball, "C0")
        start, y = t[-1], [0.0, -best[1] * flight.y[1, -1]]
    left.plot(heard, np.zeros(N_BOUNCES), "k|", markersize=16, label="heard")
    left.set(xlabel="t [s]", ylabel="height [m]", title="the fitted flights")
    left.legend()
    right.errorbar(
        np.arange(1, N_BOUNCES + 1), 1e3 * (heard - landings(best)), 1e3 * ERROR, fmt="ko"
    )
    right.axhline(0.0, color="0.7")
    right.set(xlabel="bounce", ylabel="heard - fitted [ms]", title="residuals")
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def main():
    began = time.perf_counter()
    heard = landings(TRUE) + HEARD_ERRORS
    jacobian = tg.jacobian(landings)
    without_drag = np.array([1.2, 0.85, 0.0])
    exact = tg.jacobian(closed_form)(without_drag)
    np.testing.assert_allclose(jacobian(without_drag)[:, :2], exact[:, :2], rtol=1e-7, atol=1e-9)
    fit = scipy.optimize.least_squares(
        lambda p: (landings(p) - heard) / ERROR, [1.0, 0.7, 0.0], lambda p: jacobian(p) / ERROR
    )
    errors = np.sqrt(np.diag(np.linalg.inv(fit.jac.T @ fit.jac)))
    seconds = time.perf_counter() - began
    print(f"chi-squared {2.0 * fit.cost:.1f} for {N_BOUNCES - 3} degrees of freedom, "
          f"{fit.njev} Jacobians, {seconds:.1f} s")  # fmt: skip
    for name, value, error, true in zip(NAMES, fit.x, errors, TRUE, strict=True):
        print(f"{name:>12}: {value:7.4f} ± {error:.4f}, made with {true}")
    draw(fit.x, heard, Path(__file__).with_suffix(".png"))
    assert np.all(np.abs(fit.x - TRUE) < 3.0 * errors)
    assert 2.0 * fit.cost < 15.1  # beyond which is one in a hundred


if __name__ == "__main__":
    main()
