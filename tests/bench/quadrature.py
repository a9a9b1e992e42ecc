"""scipy.integrate.quad inside: value and derivative by three parameters beside the plain call.

python tests/bench/quadrature.py [repeats]

Ratios of medians of calls in turn, on one core: the value and gradient at most as long as SciPy
takes for the value of the same Python integrand, where that is evaluated more than 50 times.
"""

import math
import os
import sys

import timing

os.environ.update(timing.ONE_THREAD)

import numpy as np  # after the number of threads is set
from scipy.integrate import quad

import tapegrad as tg

LIMIT = 5.0


def damped(p, full=0):
    return quad(lambda t: p[0] * np.exp(-p[1] * t) * np.cos(p[2] * t), 0.0, 3.0, full_output=full)


def by_math(p, full=0):
    def integrand(t, a, b, c):
        return a * math.exp(-b * t) * math.cos(c * t)

    return quad(integrand, 0.0, 3.0, args=(p[0], p[1], p[2]), full_output=full)


def infinite(p, full=0):
    def integrand(t):
        return p[0] * math.exp(-p[1] * t * t) * math.cos(p[2] * t)

    return quad(integrand, 0.0, np.inf, full_output=full)


def singular(p, full=0):
    return quad(lambda t: p[0] * t ** (p[1] - 1.0) * math.exp(-p[2] * t), 0, 1, full_output=full)


def switching(p, full=0):
    return quad(lambda t: p[0] if t < p[1] else p[2] * math.exp(-t), 0.0, 2.0, full_output=full)


CASES = [damped, by_math, infinite, singular, switching]
P = np.array([1.3, 0.7, 9.0])


def measured(case, repeats: int) -> str:
    """One line: what a case takes, relative to SciPy's value."""
    gradient = tg.value_and_grad(lambda p: case(p)[0])
    calls = {"value and gradient": lambda: gradient(P)}
    found = []
    for what, call in calls.items():
        call()
        took, unit = timing.in_turn(call, lambda: case(P), repeats, LIMIT)
        found.append(f"{what} {took / unit:.2f}")
    count = case(P, 1)[2]["neval"]
    return f"{case.__name__} ({count} evaluations, {unit * 1e6:.0f} us): " + ", ".join(found)


if __name__ == "__main__":
    timing.pin()
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    for case in CASES:
        print(measured(case, repeats))
