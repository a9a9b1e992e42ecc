"""Figures of distances and rotations: value and gradient against SciPy's own value.

    python tests/bench/spatial.py

Distances of 300 points of 5 coordinates, and a body that turns for 300 steps.
"""

import os

import timing

os.environ.update(timing.ONE_THREAD)

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist, pdist
from scipy.spatial.transform import Rotation

import tapegrad as tg

RUNS = 15
RNG = np.random.default_rng(0)
POINTS, OTHERS, MARKS = RNG.normal(size=(300, 5)), RNG.normal(size=(300, 5)), np.eye(3)


def _turning(rate: Any) -> Any:
    """Return what is seen of marks on a body that turns."""
    turn, seen = Rotation.identity(), 0.0
    for k in range(300):
        turn = Rotation.from_rotvec(0.01 * (k % 7 - 3) * rate) * turn
        seen = seen + np.sum(turn.apply(MARKS) ** 3)
    return seen


CASES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "cdist": (lambda x: np.sum(cdist(x, OTHERS)), POINTS),
    "cdist, squared": (lambda x: np.sum(cdist(x, x, "sqeuclidean")), POINTS),
    "pdist, cosine": (lambda x: np.sum(pdist(x, "cosine")), POINTS),
    "rotations": (_turning, np.array([0.3, -0.2, 0.5])),
    "a stack of 10,000": (lambda x: np.sum(Rotation.from_rotvec(x).apply(MARKS[0]) ** 2),
                          RNG.normal(size=(10_000, 3))),
}  # fmt: skip


def main() -> None:
    """Print the figures."""
    timing.pin()
    for name, (function, x) in CASES.items():
        derivative = tg.value_and_grad(function, compile="never")
        start = time.perf_counter()
        value, _ = derivative(x)
        recorded = time.perf_counter() - start
        assert abs(value - function(x)) < 1e-9 * abs(value)
        ours, own = timing.in_turn(partial(derivative, x), partial(function, x), RUNS, limit=10.0)
        print(f"{name}: value and gradient {ours / own:.3g} times SciPy's value, {1e3 * own:.2f} "
              f"ms; recorded in {recorded:.2f} s")  # fmt: skip


if __name__ == "__main__":
    main()
