"""Figures of likelihoods through SciPy's distributions: value and gradient against SciPy's value.

    python tests/bench/likelihoods.py [DATA]

Sums of `logpdf` of 100,000 data; the compiled value and gradient by the parameters take a fraction
of what SciPy takes for the value alone.
"""

import os
import sys

import timing

os.environ.update(timing.ONE_THREAD)

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import stats

import tapegrad as tg

N = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
RUNS = 15
RNG = np.random.default_rng(0)
NORMAL, POSITIVE = RNG.normal(1.0, 2.0, N), RNG.gamma(2.5, 1.5, N)
COUNTS = RNG.negative_binomial(5, 0.4, N).astype(float)

LIKELIHOODS: dict[str, tuple[Callable[[Any], Any], Any, float]] = {
    "norm": (lambda p: np.sum(stats.norm.logpdf(NORMAL, p[0], p[1])), [0.8, 2.2], 0.3),
    "t": (lambda p: np.sum(stats.t.logpdf(NORMAL, p[0], p[1], p[2])), [4.0, 0.8, 2.2], 0.6),
    "gamma": (lambda p: np.sum(stats.gamma.logpdf(POSITIVE, p[0], scale=p[1])), [2.2, 1.7], 0.6),
    "nbinom": (lambda p: np.sum(stats.nbinom.logpmf(COUNTS, p[0], p[1])), [4.5, 0.45], 0.8),
}


def main() -> None:
    """Print the figures."""
    timing.pin()
    for name, (function, place, most) in LIKELIHOODS.items():
        x = np.array(place)
        start = time.perf_counter()
        derivative = tg.value_and_grad(function)
        derivative(x)
        recorded = time.perf_counter()
        compiled = derivative.compiled(x)
        ready = time.perf_counter()
        value, _ = compiled(x)
        assert abs(value - function(x)) < 1e-10 * abs(value)
        ours, own = timing.in_turn(partial(compiled, x), partial(function, x), RUNS, limit=30.0)
        print(f"{name}: value and gradient {ours / own:.2f} times SciPy's, {1e3 * own:.2f} ms "
              f"(asked: at most {most}); recorded in {recorded - start:.2f} s, compiled in "
              f"{ready - recorded:.2f} s")  # fmt: skip


if __name__ == "__main__":
    main()
