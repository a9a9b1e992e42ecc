"""An explicit Runge-Kutta method of order 8 in compiled code: Dormand's and Prince's.

E. Hairer, S. P. Norsett, G. Wanner, *Solving Ordinary Differential Equations I*, 1993, section
II.10, with their error estimate and their interpolant of order 7. The coefficients are those of
`scipy.integrate.DOP853`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float64, int64

from tapegrad.implicit.ode.rates import (
    ADJOINT,
    KIND,
    NUMBERS,
    SIZE,
    WORDS,
    N,
    rate,
    resolved,
    scales,
)
from tapegrad.jit import Symbol, jit
from tapegrad.memory import shift

DONE, FULL, TOO_SMALL, TOO_MANY = 0, 2, 3, 4
"""What a method ends with, beside a failure of the right-hand side."""

TIME, STEP, KEPT, LONGEST, MOST, ROOM = range(6)
"""Of a course: where it is, the step to try, steps kept, limits of both, room for steps."""

N_STAGES, N_EXTENDED, N_POWERS = 12, 16, 7
N_SCRATCH = N_EXTENDED + 2
LEAST_FACTOR, MOST_FACTOR, SMALLEST = 0.2, 10.0, 10 * float(np.finfo(float).eps)
_SAFETY = 0.9
# Rows of the coefficients that are no stage's: sums, two errors, places, and the interpolant's.
_SUM, _THIRD, _FIFTH, _PLACES, _DENSE = (N_EXTENDED * (N_EXTENDED + k) for k in range(5))
N_COEFFICIENTS = N_EXTENDED * (N_EXTENDED + 8)


@jit
def first_step(words: Any, z: Any, dz: Any, tolerances: Any, length: float) -> Any:
    """Return a step to begin with, which moves the state by a hundredth, an adjoint by a tenth."""
    size, speed, n = 0.0, 0.0, words[N]
    if words[KIND] == ADJOINT:
        for i in range(n):
            size += abs(z[i]) * tolerances[2 + n + i]
            speed += abs(dz[i]) * tolerances[2 + n + i]
        return min(0.1 * size / speed if speed > 0.0 else length, length)
    for i in range(n):
        scale = tolerances[0] * abs(z[i]) + tolerances[2 + i] + 1e-290
        size, speed = max(size, abs(z[i]) / scale), max(speed, abs(dz[i]) / scale)
    h = 1e-6 * length if size < 1e-5 or speed < 1e-5 else 0.01 * size / speed
    return min(h, length)


@jit
def next_end(t: float, t1: float, h: float) -> Any:
    """Return where a step ends: where all ends, if that isn't far."""
    left = abs(t1 - t)
    if h >= 0.999 * left:
        return t1
    step = 0.5 * left if h > 0.5 * left else h
    return t + step if t1 >= t else t - step


@jit
def _combine(row: Any, count: int, stages: Any, size: int, h: float, z: Any, out: Any) -> None:
    """Write z plus h times a combination of stages."""
    for i in range(size):
        total = 0.0
        for j in range(count):
            total += row[j] * stages[j * size + i]
        out[i] = z[i] + h * total


def _explicit(words: Any, course: Any, t1: float, z: Any, tolerances: Any, coefficients: Any,
              scratch: Any, out_ts: Any, out_zs: Any, out_dense: Any) -> Any:  # fmt: skip
    """Integrate a vector; where there's room for steps they're kept, and where it's full it stops.

    It goes on from there when it's called again.
    """
    size = words[SIZE]
    stages, new = scratch, shift(scratch, N_EXTENDED * size)
    scale, last = shift(new, size), shift(scratch, N_STAGES * size)
    t, h, kept, room = course[TIME], course[STEP], int64(course[KEPT]), int64(course[ROOM])
    status = rate(words, t, z, stages)
    if h == 0.0:
        h = first_step(words, z, stages, tolerances, abs(t1 - t))
    made, was_rejected = int64(0), False
    while t != t1 and status == 0:
        course[TIME], course[STEP], course[KEPT] = t, h, float(kept)
        if room > 0 and kept + 1 >= room:
            return int64(FULL)
        if made >= course[MOST]:
            return int64(TOO_MANY)
        if h < SMALLEST * abs(t) or h < 1e-300:
            return int64(TOO_SMALL)
        h = min(h, course[LONGEST])
        there = next_end(t, t1, h)
        signed = there - t
        step = abs(signed)
        for s in range(1, N_STAGES + 1):
            row = shift(coefficients, s * N_EXTENDED if s < N_STAGES else _SUM)
            _combine(row, min(s, N_STAGES), stages, size, signed, z, new)
            if status == 0:
                place = t + coefficients[_PLACES + s] * signed
                status = rate(words, place, new, shift(stages, s * size))
        scales(words, z, new, stages, step, tolerances, scale)
        error = 0.0
        for i in range(size):
            third, fifth = 0.0, 0.0
            for j in range(N_STAGES + 1):
                third += coefficients[_THIRD + j] * stages[j * size + i]
                fifth += coefficients[_FIFTH + j] * stages[j * size + i]
            if third != 0.0 or fifth != 0.0:
                own = step * fifth * fifth / math.sqrt(fifth * fifth + 0.01 * third * third)
                error = max(error, own / scale[i]) if own == own else math.inf
        factor = MOST_FACTOR if error == 0.0 else _SAFETY * error ** (-1.0 / 8.0)
        if not error < 1.0 and not (error < math.inf and step <= resolved(words, t)):
            h, was_rejected = step * max(LEAST_FACTOR, factor), True
            continue
        if room > 0:
            for s in range(N_STAGES + 1, N_EXTENDED):
                row = shift(coefficients, s * N_EXTENDED)
                _combine(row, s, stages, size, signed, z, scale)
                if status == 0:
                    place = t + coefficients[_PLACES + s] * signed
                    status = rate(words, place, scale, shift(stages, s * size))
            dense = shift(out_dense, kept * N_POWERS * size)
            for i in range(size):
                change = new[i] - z[i]
                dense[i] = change
                dense[size + i] = signed * stages[i] - change
                dense[2 * size + i] = 2.0 * change - signed * (last[i] + stages[i])
                for power in range(3, N_POWERS):
                    total = 0.0
                    for j in range(N_EXTENDED):
                        k = _DENSE + (power - 3) * N_EXTENDED + j
                        total += coefficients[k] * stages[j * size + i]
                    dense[power * size + i] = signed * total
            kept += 1
            out_ts[kept] = there
            for i in range(size):
                out_zs[kept * size + i] = new[i]
        grown = step * min(1.0 if was_rejected else MOST_FACTOR, max(LEAST_FACTOR, factor))
        h = max(h, grown) if step < h else grown  # a step that was cut short says little
        was_rejected = False
        t, made = there, made + 1
        for i in range(size):
            z[i], stages[i] = new[i], last[i]
    course[TIME], course[STEP], course[KEPT] = t, h, float(kept)
    return status


explicit = Symbol(
    "tapegrad_explicit_steps", _explicit,
    int64(WORDS, NUMBERS, float64, *[NUMBERS] * 7),
).call  # fmt: skip
