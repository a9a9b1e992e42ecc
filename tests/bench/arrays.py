"""Array programs: what recording an operation costs, and replayed gradients beside HIPS autograd's.

python tests/bench/arrays.py
"""

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
import timing

import tapegrad as tg
from tapegrad.function.recording import _activate
from tapegrad.record.nesting import recording

RUNS = 7
RNG = np.random.default_rng(0)

# --- recording --------------------------------------------------------------------------------

OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "x * y": lambda x, y: x * y,
    "x + 2.0": lambda x, y: x + 2.0,
    "np.exp(x)": lambda x, y: np.exp(x),
    "np.sum(x)": lambda x, y: np.sum(x),
}


def microseconds(operation: Callable[[Any, Any], Any], n: int) -> float:
    """What one operation on arrays of n elements takes in the middle of a recording."""
    repeats = max(20, 100_000 // n)

    def repeatedly(x: Any, y: Any) -> None:
        for _ in range(repeats):
            operation(x, y)

    times = []
    for _ in range(RUNS):
        with recording() as tape:
            x, y = (_activate(tape, RNG.uniform(0.5, 1.5, n)) for _ in "xy")
            operation(x, y)
            times.append(timing.timed(partial(repeatedly, x, y))[1] / repeats)
    return median(times) * 1e6


def recording_arrays() -> list[str]:
    """Fixed cost of an operation, and nanoseconds a record beyond 1000 elements."""
    lines = []
    for name, operation in OPERATIONS.items():
        fixed, thousand, many = (microseconds(operation, n) for n in (2, 1000, 21_000))
        lines.append(
            f"recording {name}: {fixed:.1f} us an operation (at most 3), "
            f"{(many - thousand) / 20_000 * 1e3:.1f} ns a record beyond 1000 (at most 4)"
        )
    return lines


# --- beside autograd --------------------------------------------------------------------------


def rosenbrock(np: Any) -> Callable[[Any], Any]:
    """The vectorised Rosenbrock function."""
    return lambda x: np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def network(np: Any) -> Callable[[Any], Any]:
    """The loss of a two-layer network over 100 samples: 4 features, 16 hidden units, 3 classes."""
    samples, labels = RNG_DATA["samples"], RNG_DATA["labels"]

    def loss(p: Any) -> Any:
        hidden = np.tanh(np.dot(samples, np.reshape(p[:64], (4, 16))) + p[64:80])
        scores = np.dot(hidden, np.reshape(p[80:128], (16, 3))) + p[128:131]
        peak = np.max(scores, axis=1, keepdims=True)
        normal = peak[:, 0] + np.log(np.sum(np.exp(scores - peak), axis=1))
        return np.mean(normal - scores[np.arange(100), labels]) + 1e-3 * np.sum(p**2)

    return loss


def mixture(np: Any) -> Callable[[Any], Any]:
    """The negative log-likelihood of a Gaussian mixture: 5 components, 3 dimensions, 200 points."""
    points = RNG_DATA["points"]

    def loss(p: Any) -> Any:
        weights, means = p[:5], np.reshape(p[5:20], (5, 3))
        log_widths = np.reshape(p[20:35], (5, 3))
        z = (points[:, None, :] - means) * np.exp(-log_widths)
        terms = weights - np.sum(log_widths, axis=1) - 0.5 * np.sum(z * z, axis=2)
        peak = np.max(terms, axis=1, keepdims=True)
        total = peak[:, 0] + np.log(np.sum(np.exp(terms - peak), axis=1))
        return 200 * np.log(np.sum(np.exp(weights))) - np.sum(total)

    return loss


RNG_DATA: dict[str, Any] = {
    "samples": RNG.normal(size=(100, 4)),
    "labels": RNG.integers(0, 3, 100),
    "points": RNG.normal(size=(200, 3)),
}
GRADIENTS: dict[str, tuple[Callable[[Any], Callable[[Any], Any]], Any]] = {
    "Rosenbrock of 10": (rosenbrock, np.full(10, 0.5)),
    "Rosenbrock of 1,000": (rosenbrock, np.full(1000, 0.5)),
    "Rosenbrock of 100,000": (rosenbrock, np.full(100_000, 0.5)),
    "two-layer network": (network, 0.3 * RNG.normal(size=131)),
    "Gaussian mixture": (mixture, 0.3 * RNG.normal(size=35)),
}


def beside_autograd() -> list[str]:
    """How many times faster a replayed gradient is than autograd's."""
    lines = []
    for name, (make, x) in GRADIENTS.items():
        ours = partial(tg.value_and_grad(make(np)), x)
        theirs = partial(autograd.value_and_grad(make(anp)), x)
        np.testing.assert_allclose(ours()[1], theirs()[1], rtol=1e-9, atol=1e-11)
        own, other = timing.in_turn(ours, theirs, RUNS, 20.0)
        lines.append(
            f"gradient, {name}: {own * 1e6:,.0f} us, {other / own:.2f} times faster than HIPS "
            "autograd's (at least 1)"
        )
    return lines


if __name__ == "__main__":
    timing.pin()
    print("\n".join(recording_arrays()), flush=True)
    print("\n".join(beside_autograd()))
