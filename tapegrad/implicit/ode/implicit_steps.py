"""An implicit Runge-Kutta method of order 5 in compiled code, for stiff equations: Radau's IIA.

E. Hairer, G. Wanner, *Solving Ordinary Differential Equations II*, 1996, section IV.8, with exact
Jacobians. A vector is blocks of as many numbers as the state has, which have one Jacobian, and a
rest that is integrals; what a block does to another is left to Newton's iteration.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import complex128, float64, int64, types

from tapegrad.implicit.ode.elimination import factorise, solve_factorised
from tapegrad.implicit.ode.explicit_steps import (
    FULL,
    KEPT,
    LEAST_FACTOR,
    LONGEST,
    MOST,
    MOST_FACTOR,
    ROOM,
    SMALLEST,
    STEP,
    TIME,
    TOO_MANY,
    TOO_SMALL,
    first_step,
    next_end,
)
from tapegrad.implicit.ode.rates import (
    ADJOINT,
    KIND,
    NUMBERS,
    SIZE,
    WORDS,
    N,
    jacobian,
    rate,
    resolved,
    scales,
)
from tapegrad.jit import Symbol, jit
from tapegrad.memory import shift

_S6 = 6**0.5
_PLACES = np.array([(4 - _S6) / 10, (4 + _S6) / 10, 1.0])
_ERROR = np.array([-13 - 7 * _S6, -13 + 7 * _S6, -1.0]) / 3
_REAL = 3 + 3 ** (2 / 3) - 3 ** (1 / 3)
_COMPLEX = 3 + 0.5 * (3 ** (1 / 3) - 3 ** (2 / 3)) - 0.5j * (3 ** (5 / 6) + 3 ** (7 / 6))
# The coefficients' matrix is T diag(1 / eigenvalues) TI.
_T = np.array([
    [0.09443876248897524, -0.14125529502095421, 0.03002919410514742],
    [0.25021312296533332, 0.20412935229379994, -0.38294211275726192],
    [1.0, 1.0, 0.0],
])  # fmt: skip
_TI = np.array([
    [4.17871859155190428, 0.32768282076106237, 0.52337644549944951],
    [-4.17871859155190428, -0.32768282076106237, 0.47662355450055044],
    [0.50287263494578682, -2.57192694985560522, 0.59603920482822492],
])  # fmt: skip
_BETWEEN = np.array([
    [13 / 3 + 7 * _S6 / 3, -23 / 3 - 22 * _S6 / 3, 10 / 3 + 5 * _S6],
    [13 / 3 - 7 * _S6 / 3, -23 / 3 + 22 * _S6 / 3, 10 / 3 - 5 * _S6],
    [1 / 3, -8 / 3, 10 / 3],
])  # fmt: skip
_MOST_ITERATIONS = 6
_EPS = float(np.finfo(float).eps)
N_SCRATCH = 21

_COMPLEX_NUMBERS = types.CPointer(complex128)


@jit
def _solve_blocks(matrix: Any, pivots: Any, shifted_by: Any, b: Any, n: int, n_blocks: int,
                  size: int) -> None:  # fmt: skip
    """Solve for each block, and for the rest, whose Jacobian is zero."""
    for block in range(n_blocks):
        solve_factorised(matrix, pivots, n, shift(b, block * n))
    for i in range(n_blocks * n, size):
        b[i] /= shifted_by


@jit
def _shifted(matrix: Any, by: Any, n: int, out: Any) -> None:
    """Write a multiple of the identity minus a matrix."""
    for i in range(n):
        for j in range(n):
            out[i * n + j] = -matrix[i * n + j]
        out[i * n + i] += by


@jit
def _norm(x: Any, scale: Any, first: int, count: int) -> Any:
    found = 0.0
    for i in range(first, first + count):
        own = abs(x[i]) / scale[i]
        if not own <= found:
            found = own
    return found


@jit
def _factor(step: float, before: float, error: float, error_before: float) -> Any:
    """Return how much longer the next step may be."""
    if error == 0.0:
        return MOST_FACTOR
    multiplier = 1.0
    if before > 0.0 and error_before > 0.0:
        multiplier = step / before * (error_before / error) ** 0.25
    return min(1.0, multiplier) * error**-0.25


@jit
def _turn(matrix: Any, first: Any, size: int, out: Any) -> None:
    """Write the product of three by three numbers and three vectors."""
    for s in range(3):
        for i in range(size):
            out[s * size + i] = (matrix[s, 0] * first[i] + matrix[s, 1] * first[size + i]
                                 + matrix[s, 2] * first[2 * size + i])  # fmt: skip


def _newton(words: Any, t: float, h: float, z: Any, f: Any, changes: Any, scratch: Any, b: Any,
            c: Any, scale: Any, real: Any, combined: Any, pivots: Any, tolerances: Any,
            report: Any) -> Any:  # fmt: skip
    """Solve for the changes at the three places of a step.

    The report is whether they're found, after how many iterations, and how those contract.
    """
    n, size = words[N], words[SIZE]
    n_blocks = 1 if words[KIND] == ADJOINT else size // n
    W, F, start = scratch, shift(scratch, 3 * size), shift(scratch, 6 * size)
    G = shift(scratch, 7 * size)
    by, by_complex = _REAL / h, _COMPLEX / h
    tolerance = max(10 * _EPS / tolerances[0], min(0.03, math.sqrt(tolerances[0])))
    _turn(_TI, changes, size, W)
    report[0], report[1], report[2] = 0.0, 0.0, 0.0
    for block in range(n_blocks):  # a tangent's iterations converge after its state's
        before, is_solved = -1.0, False
        for k in range(_MOST_ITERATIONS):
            report[1] = max(report[1], k + 1.0)
            for s in range(3):
                for i in range(size):
                    start[i] = z[i] + changes[s * size + i]
                status = rate(words, t + _PLACES[s] * h, start, shift(F, s * size))
                if status != 0:
                    return status
            _turn(_TI, F, size, G)
            for i in range(size):
                b[i] = G[i] - by * W[i]
                c[i] = (complex(G[size + i], G[2 * size + i])
                        - by_complex * complex(W[size + i], W[2 * size + i]))  # fmt: skip
            _solve_blocks(real, pivots, by, b, n, n_blocks, size)
            _solve_blocks(combined, shift(pivots, n), by_complex, c, n, n_blocks, size)
            for i in range(size):  # what's integrated from zero is as large as it gets
                start[i] = z[i] + W[i] + b[i] + W[size + i] + c[i].real
            scales(words, z, start, f, abs(h), tolerances, scale)
            moved = max(_norm(b, scale, block * n, n), _norm(c, scale, block * n, n))
            if not moved < math.inf:
                break
            contraction = 0.0
            if before > 0.0:
                contraction = moved / before
                report[2] = max(report[2], contraction)
                left = _MOST_ITERATIONS - k
                if contraction >= 1.0 or (
                    contraction**left / (1.0 - contraction) * moved > tolerance
                ):
                    break
            for i in range(size):
                W[i] += b[i]
                W[size + i] += c[i].real
                W[2 * size + i] += c[i].imag
            _turn(_T, W, size, changes)
            if moved == 0.0 or (
                before > 0.0 and contraction / (1.0 - contraction) * moved < tolerance
            ):
                is_solved = True
                break
            before = moved
        if not is_solved:
            return int64(0)
    report[0] = 1.0
    return int64(0)


_newton_call = Symbol(
    "tapegrad_implicit_newton", _newton,
    int64(WORDS, float64, float64, *[NUMBERS] * 5, _COMPLEX_NUMBERS, NUMBERS, NUMBERS,
          _COMPLEX_NUMBERS, WORDS, NUMBERS, NUMBERS),
).call  # fmt: skip


def _factorised(matrix: Any, h: float, n: int, real: Any, combined: Any, pivots: Any) -> Any:
    """Factorise what Newton's iterations solve with; 0 if that's possible."""
    _shifted(matrix, _REAL / h, n, real)
    _shifted(matrix, _COMPLEX / h, n, combined)
    is_well = factorise(real, pivots, n) and factorise(combined, shift(pivots, n), n)
    return int64(0) if is_well else int64(1)


_factorised_call = Symbol(
    "tapegrad_implicit_factorised", _factorised,
    int64(NUMBERS, float64, int64, NUMBERS, _COMPLEX_NUMBERS, WORDS),
).call  # fmt: skip


def _implicit(words: Any, course: Any, t1: float, z: Any, tolerances: Any, scratch: Any,
              matrices: Any, of_complex: Any, pivots: Any, out_ts: Any,
              out_zs: Any) -> Any:  # fmt: skip
    """Integrate a vector as the explicit method does; kept steps have no coefficients.

    Scratch is for as many vectors as `N_SCRATCH`, and a report; `matrices` and `of_complex` for a
    matrix, its factors and a vector.
    """
    size, n = words[SIZE], words[N]
    n_blocks = 1 if words[KIND] == ADJOINT else size // n
    report, changes = scratch, shift(scratch, 3)
    between, old = shift(changes, 3 * size), shift(changes, 6 * size)
    f, new, scale = shift(changes, 7 * size), shift(changes, 8 * size), shift(changes, 9 * size)
    b, rest = shift(changes, 10 * size), shift(changes, 11 * size)
    matrix, real = matrices, shift(matrices, n * n)
    combined, c = of_complex, shift(of_complex, n * n)
    t, h, kept, room = course[TIME], course[STEP], int64(course[KEPT]), int64(course[ROOM])
    status = rate(words, t, z, f)
    if status == 0:
        status = jacobian(words, t, z, matrix)
    if h == 0.0:
        h = first_step(words, z, f, tolerances, abs(t1 - t))
    is_current, was_rejected, has_before = True, False, False
    factorised_for, step_before, error_before, t_before, signed_before = 0.0, 0.0, 0.0, t, 1.0
    made = int64(0)
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
        for i in range(size):
            for s in range(3):
                x = (t + _PLACES[s] * signed - t_before) / signed_before
                found = between[i] + x * (between[size + i] + x * between[2 * size + i])
                changes[s * size + i] = old[i] - z[i] + x * found if has_before else 0.0
        report[0] = 0.0
        while report[0] == 0.0 and status == 0:
            if signed != factorised_for:
                if _factorised_call(matrix, signed, n, real, combined, pivots) != 0:
                    break
                factorised_for = signed
            status = _newton_call(words, t, signed, z, f, changes, rest, b, c, scale, real,
                                  combined, pivots, tolerances, report)  # fmt: skip
            if report[0] == 0.0 and status == 0:
                if is_current:
                    break
                status = jacobian(words, t, z, matrix)
                is_current, factorised_for = True, 0.0
                for i in range(3 * size):
                    changes[i] = 0.0
        if report[0] == 0.0:
            h, factorised_for, has_before, was_rejected = 0.5 * step, 0.0, False, True
            continue
        for i in range(size):
            new[i] = z[i] + changes[2 * size + i]
        error, tries = math.inf, 0
        while tries < 2 and status == 0:
            for i in range(size):
                start = f[i] if tries == 0 else rest[i]
                b[i] = start + (_ERROR[0] * changes[i] + _ERROR[1] * changes[size + i]
                                + _ERROR[2] * changes[2 * size + i]) / signed  # fmt: skip
            _solve_blocks(real, pivots, _REAL / signed, b, n, n_blocks, size)
            scales(words, z, new, f, step, tolerances, scale)
            error = _norm(b, scale, 0, size)
            tries += 1 if was_rejected and error > 1.0 else 2
            if tries == 1:
                for i in range(size):
                    b[i] += z[i]
                status = rate(words, t, b, rest)
        iterations, contraction = report[1], report[2]
        safety = 0.9 * (2 * _MOST_ITERATIONS + 1) / (2 * _MOST_ITERATIONS + iterations)
        factor = safety * _factor(step, step_before, error, error_before)
        if not error < 1.0 and not (error < math.inf and step <= resolved(words, t)):
            h = step * max(LEAST_FACTOR, factor) if error < math.inf else 0.1 * step
            factorised_for, was_rejected = 0.0, True
            continue
        is_stale = iterations > 2 and contraction > 1e-3
        grown = min(1.0 if was_rejected else MOST_FACTOR, factor)
        if not is_stale and 1.0 <= grown < 1.2:
            grown = 1.0
        h = max(h, step * grown) if step < h else step * grown
        t_before, step_before, error_before = t, step, max(error, 1e-4)
        signed_before, has_before = signed, True
        for i in range(size):
            old[i] = z[i]
            z[i] = new[i]
            for power in range(3):
                between[power * size + i] = (
                    changes[i] * _BETWEEN[0, power] + changes[size + i] * _BETWEEN[1, power]
                    + changes[2 * size + i] * _BETWEEN[2, power]
                )  # fmt: skip
        t, made, was_rejected = there, made + 1, False
        if room > 0:
            kept += 1
            out_ts[kept] = t
            for i in range(size):
                out_zs[kept * size + i] = z[i]
        status = rate(words, t, z, f)
        if status == 0 and is_stale:
            status = jacobian(words, t, z, matrix)
            factorised_for = 0.0
        is_current = is_stale
    course[TIME], course[STEP], course[KEPT] = t, h, float(kept)
    return status


implicit = Symbol(
    "tapegrad_implicit_steps", _implicit,
    int64(WORDS, NUMBERS, float64, *[NUMBERS] * 4, _COMPLEX_NUMBERS, WORDS, NUMBERS, NUMBERS),
).call  # fmt: skip
