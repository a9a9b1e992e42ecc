"""Compiled forms of blocks of linear algebra, for sweeps and machine code.

Each is given pointers and the block's context: how many matrices there are in a stack, their sizes,
and where LAPACK's functions are. It returns 0 unless a matrix has no factors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numba import float64, int64, types

from tapegrad.blocks import Kind
from tapegrad.jit import Symbol, jit_inline
from tapegrad.memory import pointer, shift
from tapegrad.record.linear import kernels
from tapegrad.record.linear.kernels import Numbers, copy, fill, is_singular, room

Forms: TypeAlias = dict[Kind, Symbol]
Pointers: TypeAlias = Any
"""In compiled code, what is read or written, an array each."""

_SIGNATURE = int64(*[types.CPointer(types.CPointer(float64))] * 2, types.CPointer(int64))


def forms(name: str, **functions: Callable[..., Any]) -> dict[Any, Symbol]:
    """Return compiled forms of a block by their kinds."""
    return {
        kind: Symbol(f"tapegrad_{name}_{kind}", function, _SIGNATURE)
        for kind, function in functions.items()
    }


# --- systems of equations -------------------------------------------------------------------------


@jit_inline
def _solve_factored(factors: Numbers, pivots: Numbers, sides: Numbers, to: Numbers,
                    between: Numbers, is_transposed: int, context: Any) -> None:  # fmt: skip
    """Store the solutions for a factored matrix, or its transpose; they and the sides are rows."""
    n, count, solver = context[2], context[3], context[7]
    if context[5] != 0:
        copy(to, sides, n * count)
        kernels.solve_triangle(factors, 0, 0, 0, to, n, count, solver)
        kernels.solve_triangle(factors, 0, 1, 0, to, n, count, solver)
    else:
        kernels.lay(between, sides, n, count)
        kernels.solve(factors, pivots, between, n, count, is_transposed, solver)
        kernels.lay(to, between, count, n)


def _solve_value(reads: Pointers, writes: Pointers, context: Any) -> int:
    n, count = context[2], context[3]
    array, between = room(n * count)
    for s in range(context[1]):
        factors, pivots = shift(writes[1], s * n * n), shift(writes[2], s * n)
        if context[5] != 0:
            copy(factors, shift(reads[0], s * n * n), n * n)
            fill(pivots, 0.0, n)
            status = kernels.factor_symmetric(factors, n, context[6])
        else:
            kernels.lay(factors, shift(reads[0], s * n * n), n, n)
            status = kernels.factor(factors, pivots, n, context[6])
        if status != 0:
            return 1
        sides, x = shift(reads[1], s * n * count), shift(writes[0], s * n * count)
        _solve_factored(factors, pivots, sides, x, between, 0, context)
    return 0 * len(array)


def _solve_pullback(reads: Pointers, writes: Pointers, context: Any) -> int:
    n, count = context[2], context[3]
    size = n * count
    array, between = room(2 * size)
    moved = shift(between, size)
    for s in range(context[1]):
        factors, pivots = shift(reads[3], s * n * n), shift(reads[4], s * n)
        _solve_factored(factors, pivots, shift(reads[5], s * size), moved, between, 1, context)
        for k in range(size):
            writes[1][s * size + k] += moved[k]
        if context[4] != 0:
            x, of_a = shift(reads[2], s * size), shift(writes[0], s * n * n)
            kernels.add_product(-1.0, moved, 0, x, 1, of_a, n, n, count, context[8])
    return 0 * len(array)


def _solve_pushforward(reads: Pointers, writes: Pointers, context: Any) -> int:
    n, count = context[2], context[3]
    size = n * count
    array, between = room(2 * size)
    moved = shift(between, size)
    for s in range(context[1]):
        copy(moved, shift(reads[6], s * size), size)
        if context[4] != 0:
            of_a, x = shift(reads[5], s * n * n), shift(reads[2], s * size)
            kernels.add_product(-1.0, of_a, 0, x, 0, moved, n, count, n, context[8])
        factors, pivots = shift(reads[3], s * n * n), shift(reads[4], s * n)
        _solve_factored(factors, pivots, moved, shift(writes[0], s * size), between, 0, context)
    fill(writes[1], 0.0, context[1] * n * n)
    fill(writes[2], 0.0, context[1] * n)
    return 0 * len(array)


SOLVE = forms("solve", value=_solve_value, pullback=_solve_pullback, pushforward=_solve_pushforward)


@jit_inline
def _solve_known(sides: Numbers, to: Numbers, context: Any, is_transposed: int, adds: int) -> int:
    """Set or increase numbers by the solutions for factors that the context knows."""
    n, count = context[2], context[3]
    array, rows = room(n * count)
    columns, pivots = pointer(context[4], float64), pointer(context[5], float64)
    for s in range(context[1]):
        kernels.lay(rows, shift(sides, s * n * count), n, count)
        kernels.solve(
            shift(columns, s * n * n), shift(pivots, s * n), rows, n, count, is_transposed,
            context[6],
        )  # fmt: skip
        for i in range(n):
            for j in range(count):
                place = (s * n + i) * count + j
                to[place] = rows[j * n + i] + (to[place] if adds != 0 else 0.0)
    return 0 * len(array)


def _known_value(reads: Pointers, writes: Pointers, context: Any) -> int:
    return _solve_known(reads[0], writes[0], context, 0, 0)


def _known_pullback(reads: Pointers, writes: Pointers, context: Any) -> int:
    return _solve_known(reads[2], writes[0], context, 1, 1)


def _known_pushforward(reads: Pointers, writes: Pointers, context: Any) -> int:
    return _solve_known(reads[2], writes[0], context, 0, 0)


SOLVE_KNOWN = forms(
    "solve_known", value=_known_value, pullback=_known_pullback, pushforward=_known_pushforward
)

# --- triangular systems ---------------------------------------------------------------------------


@jit_inline
def _add_triangle(weight: float, whole: Numbers, is_upper: int, has_ones: int, out: Numbers,
                  n: int) -> None:  # fmt: skip
    """Add a number times what is read of a triangle."""
    for i in range(n):
        for j in range(i, n) if is_upper != 0 else range(i + 1):
            if i != j or has_ones == 0:
                out[i * n + j] += weight * whole[i * n + j]


def _triangular_value(reads: Pointers, writes: Pointers, context: Any) -> int:
    n, count, is_upper, has_ones = context[2], context[3], context[5], context[6]
    for s in range(context[1]):
        a, x = shift(reads[0], s * n * n), shift(writes[0], s * n * count)
        if has_ones == 0 and is_singular(a, n):
            return 1
        copy(x, shift(reads[1], s * n * count), n * count)
        kernels.solve_triangle(a, is_upper, 0, has_ones, x, n, count, context[7])
    return 0


def _triangular_pullback(reads: Pointers, writes: Pointers, context: Any) -> int:
    n, count, is_upper, has_ones = context[2], context[3], context[5], context[6]
    array, moved = room(n * count + n * n)
    whole = shift(moved, n * count)
    for s in range(context[1]):
        a, x = shift(reads[0], s * n * n), shift(reads[2], s * n * count)
        copy(moved, shift(reads[3], s * n * count), n * count)
        kernels.solve_triangle(a, is_upper, 1, has_ones, moved, n, count, context[7])
        for k in range(n * count):
            writes[1][s * n * count + k] += moved[k]
        if context[4] != 0:
            fill(whole, 0.0, n * n)
            kernels.add_product(1.0, moved, 0, x, 1, whole, n, n, count, context[8])
            _add_triangle(-1.0, whole, is_upper, has_ones, shift(writes[0], s * n * n), n)
    return 0 * len(array)


def _triangular_pushforward(reads: Pointers, writes: Pointers, context: Any) -> int:
    n, count, is_upper, has_ones = context[2], context[3], context[5], context[6]
    array, read = room(n * n)
    for s in range(context[1]):
        a, x = shift(reads[0], s * n * n), shift(reads[2], s * n * count)
        of_x = shift(writes[0], s * n * count)
        copy(of_x, shift(reads[4], s * n * count), n * count)
        if context[4] != 0:
            fill(read, 0.0, n * n)
            _add_triangle(1.0, shift(reads[3], s * n * n), is_upper, has_ones, read, n)
            kernels.add_product(-1.0, read, 0, x, 0, of_x, n, count, n, context[8])
        kernels.solve_triangle(a, is_upper, 0, has_ones, of_x, n, count, context[7])
    return 0 * len(array)


TRIANGULAR = forms(
    "solve_triangular",
    value=_triangular_value,
    pullback=_triangular_pullback,
    pushforward=_triangular_pushforward,
)

# --- determinants ---------------------------------------------------------------------------------


@jit_inline
def _sign_of(columns: Numbers, pivots: Numbers, n: int) -> float:
    sign = 1.0
    for k in range(n):
        if pivots[k] != k + 1:
            sign = -sign
        if columns[k * n + k] < 0.0:
            sign = -sign
    return sign


def _det_value(reads: Pointers, writes: Pointers, context: Any) -> int:
    n = context[2]
    for s in range(context[1]):
        columns, pivots = shift(writes[1], s * n * n), shift(writes[2], s * n)
        kernels.lay(columns, shift(reads[0], s * n * n), n, n)
        kernels.factor(columns, pivots, n, context[3])
        product, exponent = _sign_of(columns, pivots, n), 0
        for k in range(n):  # no factor may leave the range that the product stays in
            product, more = math.frexp(product * abs(columns[k * n + k]))
            exponent += more
        writes[0][s] = math.ldexp(product, exponent)
    return 0


def _slogdet_value(reads: Pointers, writes: Pointers, context: Any) -> int:
    n = context[2]
    for s in range(context[1]):
        columns, pivots = shift(writes[2], s * n * n), shift(writes[3], s * n)
        kernels.lay(columns, shift(reads[0], s * n * n), n, n)
        kernels.factor(columns, pivots, n, context[3])
        total, sign = 0.0, _sign_of(columns, pivots, n)
        for k in range(n):
            size = abs(columns[k * n + k])
            total += math.log(size) if size != 0.0 else -np.inf
        if is_singular(columns, n):
            sign = 0.0
        writes[0][s], writes[1][s] = total if math.isnan(total) else sign, total
    return 0


@jit_inline
def _inverse(columns: Numbers, pivots: Numbers, found: Numbers, n: int, getrs: int) -> None:
    """Store the transposed inverse of a factored matrix; NaN if that's singular."""
    if is_singular(columns, n):
        fill(found, np.nan, n * n)
    else:
        fill(found, 0.0, n * n)
        for k in range(n):
            found[k * n + k] = 1.0
        kernels.solve(columns, pivots, found, n, n, 0, getrs)


def _slogdet_pullback(reads: Pointers, writes: Pointers, context: Any) -> int:
    n = context[2]
    array, inverse = room(n * n)
    for s in range(context[1]):
        by = reads[6][s]
        if by != 0.0:
            _inverse(shift(reads[3], s * n * n), shift(reads[4], s * n), inverse, n, context[4])
            for k in range(n * n):
                writes[0][s * n * n + k] += by * inverse[k]
    return 0 * len(array)


def _slogdet_pushforward(reads: Pointers, writes: Pointers, context: Any) -> int:
    n = context[2]
    array, inverse = room(n * n)
    for s in range(context[1]):
        _inverse(shift(reads[3], s * n * n), shift(reads[4], s * n), inverse, n, context[4])
        total = 0.0
        for k in range(n * n):
            total += reads[5][s * n * n + k] * inverse[k]
        writes[1][s] = total
    fill(writes[0], 0.0, context[1])
    fill(writes[2], 0.0, context[1] * n * n)
    fill(writes[3], 0.0, context[1] * n)
    return 0 * len(array)


DET = forms("det", value=_det_value)
SLOGDET = forms(
    "slogdet", value=_slogdet_value, pullback=_slogdet_pullback, pushforward=_slogdet_pushforward
)

# --- the Cholesky factor --------------------------------------------------------------------------


def _cholesky_value(reads: Pointers, writes: Pointers, context: Any) -> int:
    n = context[2]
    copy(writes[0], reads[0], context[1] * n * n)
    for s in range(context[1]):
        if kernels.factor_symmetric(shift(writes[0], s * n * n), n, context[3]) != 0:
            return 1
    return 0


@jit_inline
def _halve(inner: Numbers, n: int) -> None:
    """Leave of a matrix its lower triangle, and of the diagonal half."""
    for i in range(n):
        inner[i * n + i] *= 0.5
        for j in range(i + 1, n):
            inner[i * n + j] = 0.0


def _cholesky_pullback(reads: Pointers, writes: Pointers, context: Any) -> int:
    n = context[2]
    array, inner = room(2 * n * n)
    turned = shift(inner, n * n)
    for s in range(context[1]):
        rows, of_a = shift(reads[1], s * n * n), shift(writes[0], s * n * n)
        fill(inner, 0.0, n * n)
        by = shift(reads[2], s * n * n)
        kernels.add_product(1.0, rows, 1, by, 0, inner, n, n, n, context[5])
        _halve(inner, n)
        kernels.solve_triangle(rows, 0, 1, 0, inner, n, n, context[4])
        kernels.lay(turned, inner, n, n)
        kernels.solve_triangle(rows, 0, 1, 0, turned, n, n, context[4])
        kernels.lay(inner, turned, n, n)
        for k in range(n * n):
            of_a[k] += 0.5 * (inner[k] + turned[k])
    return 0 * len(array)


def _cholesky_pushforward(reads: Pointers, writes: Pointers, context: Any) -> int:
    n = context[2]
    array, inner = room(2 * n * n)
    turned = shift(inner, n * n)
    for s in range(context[1]):
        rows, found = shift(reads[1], s * n * n), shift(writes[0], s * n * n)
        copy(inner, shift(reads[2], s * n * n), n * n)
        kernels.solve_triangle(rows, 0, 0, 0, inner, n, n, context[4])
        kernels.lay(turned, inner, n, n)
        kernels.solve_triangle(rows, 0, 0, 0, turned, n, n, context[4])
        kernels.lay(inner, turned, n, n)
        _halve(inner, n)
        fill(found, 0.0, n * n)
        kernels.add_product(1.0, rows, 0, inner, 0, found, n, n, n, context[5])
    return 0 * len(array)


CHOLESKY = forms(
    "cholesky",
    value=_cholesky_value,
    pullback=_cholesky_pullback,
    pushforward=_cholesky_pushforward,
)
