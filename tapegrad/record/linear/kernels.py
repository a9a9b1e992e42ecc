"""What compiled forms of linear algebra are made of: factors, solutions and products of matrices.

Matrices lie by rows, where pointers say. Small ones are worked on by loops, which take less time
than a call of LAPACK; so a function's address may be 0 where all are small. Each kernel is compiled
once, and called by its name.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numba import float64, int64, types

from tapegrad.jit import Symbol, jit_inline
from tapegrad.memory import pointer, shift
from tapegrad.record.linear.lapack import run, run_with_status

LARGEST_LOOPED = 8
"""The order of the largest matrices that are worked on by loops."""

Numbers: TypeAlias = Any
"""In compiled code, a pointer to numbers."""

_NUMBERS = types.CPointer(float64)
_N, _T, _L, _R, _U = (ord(letter) for letter in "NTLRU")


def _kernel(function: Any, *arguments: Any) -> Any:
    name = f"tapegrad_linear{function.__name__}"
    return Symbol(name, function, int64(*arguments)).call


@jit_inline
def room(size: int) -> Any:
    """Return an array, and a pointer to its numbers; it has to be named after the last use."""
    array = np.empty(size)
    return array, pointer(array.ctypes.data, float64)


@jit_inline
def copy(to: Numbers, numbers: Numbers, size: int) -> None:
    """Copy numbers."""
    for k in range(size):
        to[k] = numbers[k]


@jit_inline
def fill(to: Numbers, number: float, size: int) -> None:
    """Store one number in many places."""
    for k in range(size):
        to[k] = number


def _lay(to: Numbers, rows: Numbers, m: int, n: int) -> int:
    """Store the transpose of a matrix of m rows, by blocks that the cache holds."""
    for first in range(0, m, 16):
        last = min(first + 16, m)
        for j in range(n):
            for i in range(first, last):
                to[j * m + i] = rows[i * n + j]
    return 0


lay = _kernel(_lay, _NUMBERS, _NUMBERS, int64, int64)


def _factor(columns: Numbers, pivots: Numbers, n: int, getrf: int) -> int:
    """Make a matrix, given by columns, its triangular factors; return 0 unless it's singular."""
    if n > LARGEST_LOOPED:
        swaps = np.empty(n, np.int32)
        status = run_with_status(getrf, (n, n, columns, n, pointer(swaps.ctypes.data, types.int32)))
        for k in range(n):
            pivots[k] = swaps[k]
        return status
    status = 0
    for k in range(n):
        pivot = k
        for i in range(k + 1, n):
            if abs(columns[k * n + i]) > abs(columns[k * n + pivot]):
                pivot = i
        pivots[k] = pivot + 1.0
        if columns[k * n + pivot] == 0.0:
            status = k + 1
            continue
        if pivot != k:
            for j in range(n):
                one, other = j * n + k, j * n + pivot
                columns[one], columns[other] = columns[other], columns[one]
        for i in range(k + 1, n):
            columns[k * n + i] /= columns[k * n + k]
        for j in range(k + 1, n):
            for i in range(k + 1, n):
                columns[j * n + i] -= columns[k * n + i] * columns[j * n + k]
    return status


factor = _kernel(_factor, _NUMBERS, _NUMBERS, int64, int64)


def _solve(columns: Numbers, pivots: Numbers, sides: Numbers, n: int, count: int,
           is_transposed: int, getrs: int) -> int:  # fmt: skip
    """Make right-hand sides, one a row, the solutions for a factored matrix, or its transpose."""
    if n > LARGEST_LOOPED:
        swaps = np.empty(n, np.int32)
        for k in range(n):
            swaps[k] = int(pivots[k])
        letter = _T if is_transposed else _N
        status = run_with_status(
            getrs,
            (letter, n, count, columns, n, pointer(swaps.ctypes.data, types.int32), sides, n),
        )
        return status + 0 * swaps[0]
    for s in range(count):
        x = shift(sides, s * n)
        if is_transposed:
            for k in range(n):
                for i in range(k):
                    x[k] -= columns[k * n + i] * x[i]
                x[k] /= columns[k * n + k]
            for k in range(n - 1, -1, -1):
                for i in range(k + 1, n):
                    x[k] -= columns[k * n + i] * x[i]
            for k in range(n - 1, -1, -1):
                other = int(pivots[k]) - 1
                x[k], x[other] = x[other], x[k]
        else:
            for k in range(n):
                other = int(pivots[k]) - 1
                x[k], x[other] = x[other], x[k]
            for k in range(n):
                for i in range(k + 1, n):
                    x[i] -= columns[k * n + i] * x[k]
            for k in range(n - 1, -1, -1):
                x[k] /= columns[k * n + k]
                for i in range(k):
                    x[i] -= columns[k * n + i] * x[k]
    return 0


solve = _kernel(_solve, *[_NUMBERS] * 3, int64, int64, int64, int64)


def _add_product(weight: float, a: Numbers, turn_a: int, b: Numbers, turn_b: int, out: Numbers,
                 m: int, n: int, length: int, gemm: int) -> int:  # fmt: skip
    """Add a number times the product, m times n, of two matrices, transposed before or not."""
    if gemm != 0 and min(m, n, length) > 1 and m * n * length > LARGEST_LOOPED**3:
        # By columns it's the transposed product of the transposed matrices, in the other order.
        run(
            gemm,
            (
                _T if turn_b else _N,
                _T if turn_a else _N,
                n,
                m,
                length,
                weight,
                b,
                length if turn_b else n,
                a,
                m if turn_a else length,
                1.0,
                out,
                n,
            ),
        )
        return 0
    for i in range(m):
        for k in range(length):
            number = weight * (a[k * m + i] if turn_a else a[i * length + k])
            for j in range(n):
                out[i * n + j] += number * (b[j * length + k] if turn_b else b[k * n + j])
    return 0


add_product = _kernel(
    _add_product,
    float64,
    *(_NUMBERS, int64) * 2,
    _NUMBERS,
    *[int64] * 4,
)


def _solve_triangle(triangle: Numbers, is_upper: int, is_transposed: int, has_ones: int,
                    sides: Numbers, n: int, count: int, trsm: int) -> int:  # fmt: skip
    """Make right-hand sides, columns of a matrix by rows, the solutions for a triangular one."""
    if n > LARGEST_LOOPED:
        # By columns the sides are a transpose, and so is the triangle: x' T' = b' solves T x = b.
        run(
            trsm,
            (
                _R,
                _L if is_upper else _U,
                _T if is_transposed else _N,
                _U if has_ones else _N,
                count,
                n,
                1.0,
                triangle,
                n,
                sides,
                count,
            ),
        )
        return 0
    goes_up = is_upper != is_transposed
    for step in range(n):
        i = n - 1 - step if goes_up else step
        for k in range(i + 1, n) if goes_up else range(i):
            number = triangle[k * n + i] if is_transposed else triangle[i * n + k]
            for j in range(count):
                sides[i * count + j] -= number * sides[k * count + j]
        if not has_ones:
            for j in range(count):
                sides[i * count + j] /= triangle[i * n + i]
    return 0


solve_triangle = _kernel(_solve_triangle, _NUMBERS, *[int64] * 3, _NUMBERS, int64, int64, int64)


@jit_inline
def is_singular(triangle: Numbers, n: int) -> bool:
    """Whether a triangular matrix has a zero on its diagonal."""
    count = 0
    for k in range(n):
        count += triangle[k * n + k] == 0.0
    return count > 0


def _factor_symmetric(rows: Numbers, n: int, potrf: int) -> int:
    """Make a symmetric matrix its lower factor; return 0 unless it's indefinite."""
    status = 0
    if n > LARGEST_LOOPED:  # by columns the lower factor by rows is the upper one
        status = run_with_status(potrf, (_U, n, rows, n))
    else:
        for j in range(n):
            rest = rows[j * n + j]
            for k in range(j):
                rest -= rows[j * n + k] * rows[j * n + k]
            if not rest > 0.0:
                return j + 1
            rows[j * n + j] = math.sqrt(rest)
            for i in range(j + 1, n):
                value = rows[i * n + j]
                for k in range(j):
                    value -= rows[i * n + k] * rows[j * n + k]
                rows[i * n + j] = value / rows[j * n + j]
    for i in range(n):
        for j in range(i + 1, n):
            rows[i * n + j] = 0.0
    return status


factor_symmetric = _kernel(_factor_symmetric, _NUMBERS, int64, int64)
