"""What look-ups cost: of splines and tables, in loops, beside the same look-ups in Numba.

    python tests/bench/splines.py

A cubic spline of 40 pieces, made outside of the function, is looked up 10,000 times in a loop; at
places that move on, or that jump about. The times of machine code, for the value and the
derivative, are ratios to that of the same loop compiled by Numba, with a binary search. Beside it
`np.interp`, `interp1d` and a B-spline, and a spline of active data.
"""

import os

import timing

os.environ.update(timing.ONE_THREAD)

import functools
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import scipy.interpolate as si

import tapegrad as tg

LOOKUPS, RUNS, MOST = 10_000, 15, 2.0
X = np.linspace(0.0, 1.0, 41) ** 1.2
Y = np.sin(7.0 * X)
SPLINE = si.CubicSpline(X, Y)
B_SPLINE = si.make_interp_spline(X, Y)
TABLE = si.interp1d(X, Y)
ORDERS = {
    "moving on": np.linspace(0.02, 0.95, LOOKUPS),
    "jumping about": np.random.default_rng(0).uniform(0.02, 0.95, LOOKUPS),
}


@numba.njit
def by_pieces(scale: float, places: Any, x: Any, c: Any) -> float:
    """The loop, with the look-up as one would write it for Numba."""
    total = 0.0
    for place in places:
        at = scale * place
        first, last = 0, len(x) - 2
        while first < last:
            middle = (first + last + 1) >> 1
            if at < x[middle]:
                last = middle - 1
            else:
                first = middle
        s = at - x[first]
        total += ((c[0, first] * s + c[1, first]) * s + c[2, first]) * s + c[3, first]
    return total


def looked_up(function: Callable[[Any], Any], places: Any) -> Callable[[Any], Any]:
    def total(scale: Any) -> Any:
        found = 0.0
        for place in places:
            found = found + function(scale * place)
        return found

    return total


def of_data(places: Any) -> Callable[[Any], Any]:
    def total(y: Any) -> Any:
        spline, found = si.CubicSpline(X, y), 0.0
        for place in places:
            found = found + spline(place)
        return found

    return total


def main() -> None:
    """Print the figures."""
    timing.pin()
    for order, places in ORDERS.items():
        unit = functools.partial(by_pieces, 1.01, places, SPLINE.x, SPLINE.c)
        unit()
        cases = {
            "CubicSpline": (looked_up(SPLINE, places), 1.01),
            "np.interp": (looked_up(lambda x: np.interp(x, X, Y), places), 1.01),
            "interp1d": (looked_up(TABLE, places), 1.01),
            "make_interp_spline": (looked_up(B_SPLINE, places), 1.01),
            "CubicSpline of active data": (of_data(places), Y),
        }
        for name, (function, x) in cases.items():
            derivative = tg.value_and_grad(function, compile="now")
            start = time.perf_counter()
            derivative(x)
            recorded = time.perf_counter()
            derivative(x)
            compiled = time.perf_counter()
            ours, own = timing.in_turn(functools.partial(derivative, x), unit, RUNS, 20.0)
            limit = f" (at most {MOST})" if name == "CubicSpline" else ""
            print(
                f"{order}, {name}: {ours / own:.2f}{limit}; {1e9 * own / LOOKUPS:.1f} ns a look-up "
                f"in Numba; recorded in {recorded - start:.2f} s, compiled in "
                f"{compiled - recorded:.2f} s, {derivative.tier}"
            )


if __name__ == "__main__":
    main()
