"""Special functions of whole arrays: values and derivatives beside SciPy's own values.

python tests/bench/special.py [repeats]

Ratios of medians of calls in turn, on one core, of 10,000 elements: what the sweeps and machine
code run at a call, its value (at most 3) and its pullback by one operand (by a parameter at most
10); and a whole value and gradient of the sum, swept and in machine code.
"""

import os
import sys

import timing

os.environ.update(timing.ONE_THREAD)

import numpy as np  # after the number of threads is set
import scipy.special

import tapegrad as tg
from tapegrad.record.functions.elementwise_blocks import Elementwise

N = 10_000
LIMIT = 5.0
RNG = np.random.default_rng(0)
A, B, Q = RNG.uniform(0.5, 20.0, N), RNG.uniform(0.5, 20.0, N), RNG.uniform(0.02, 0.98, N)
X = A * RNG.uniform(0.3, 2.5, N)

CASES = [  # the function, its operands, and by which one
    ("gammainc", (A, X), 0),
    ("gammainc", (50.0 * A, 50.0 * X), 0),
    ("gammaincinv", (A, Q), 0),
    ("betainc", (A, B, Q), 0),
    ("betainc", (50.0 * A, 50.0 * B, A / (A + B)), 1),
    ("betaincinv", (A, B, Q), 1),
    ("stdtr", (A, B - 10.0), 0),
    ("fdtr", (A, B, X), 0),
    ("kv", (0.2 * A, B), 0),
    ("jv", (A, B), 1),
    ("voigt_profile", (A, B, X), 1),
    ("ellipk", (Q,), 0),
    ("hyp1f1", (A, B, Q), 2),
    ("binom", (A + B, B), 0),
    ("exp1", (A,), 0),
]


def measured(name: str, operands: tuple[np.ndarray, ...], k: int, repeats: int) -> str:
    """One line: what a case takes, relative to SciPy's value."""
    function = getattr(scipy.special, name)
    block = Elementwise(
        name, tuple(x.shape for x in operands), tuple(j == k for j in range(len(operands)))
    )
    results, ones = block.value(operands), [np.ones(N)]
    of_one = lambda x: np.sum(function(*operands[:k], x, *operands[k + 1 :]))  # noqa: E731
    calls = {
        "value": lambda: block.value(operands),
        f"pullback by operand {k}": lambda: block.pullback(operands, results, ones),
    }
    for tier in ("never", "now"):
        gradient = tg.value_and_grad(of_one, compile=tier)
        calls["swept" if tier == "never" else "compiled"] = lambda f=gradient: f(operands[k])
    found = []
    for what, call in calls.items():
        call()
        took, unit = timing.in_turn(call, lambda: function(*operands), repeats, LIMIT)
        found.append(f"{what} {took / unit:.2f}")
    return f"{name} ({unit / N * 1e9:.0f} ns each): " + ", ".join(found)


if __name__ == "__main__":
    timing.pin()
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    for case in CASES:
        print(measured(*case, repeats))
