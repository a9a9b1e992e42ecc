"""`numpy.linalg` in compiled functions of active numbers.

Large matrices are recorded by Python, as blocks, where the tape is Python's; small ones, and those
on tapes that are compiled code's own, by elimination, operation by operation.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tapegrad.jit import jit
from tapegrad.numba_protocols import Implementation, Kind
from tapegrad.record.functions.reductions import chain
from tapegrad.record.kinds import Array
from tapegrad.record.linear.compiled_calls import (
    CHOLESKY,
    DET,
    EIGH,
    INV,
    LSTSQ,
    QR,
    SOLVE,
    SVD,
    THIN_SVD,
    attempt,
    can_attempt,
    is_done,
)
from tapegrad.record.linear.kernels import LARGEST_LOOPED
from tapegrad.record.stand_ins import cleared, stand_in, store_elements


@jit
def _eliminate_in_numba(a: Array, b: Array) -> float:
    """Make a matrix upper triangular, right-hand sides with it; return the sign of the swaps."""
    n = len(a)
    sign = 1.0
    for k in range(n):
        pivot = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[pivot, k]):
                pivot = i
        if pivot != k:
            sign = -sign
            for j in range(n):
                a[k, j], a[pivot, j] = a[pivot, j], a[k, j]
            for j in range(b.shape[1]):
                b[k, j], b[pivot, j] = b[pivot, j], b[k, j]
        if a[k, k] == 0.0:
            continue
        for i in range(k + 1, n):
            factor = a[i, k] / a[k, k]
            for j in range(k + 1, n):
                a[i, j] -= factor * a[k, j]
            for j in range(b.shape[1]):
                b[i, j] -= factor * b[k, j]
    return sign


@jit
def _solve_in_numba(a: Array, b: Array) -> Any:
    n = len(a)
    upper, x = cleared(a.shape, (a, b)), cleared(b.shape, (a, b))
    store_elements(upper, a)
    store_elements(x, b)
    _eliminate_in_numba(upper, x)
    for k in range(n - 1, -1, -1):
        if upper[k, k] == 0.0:
            raise np.linalg.LinAlgError("Singular matrix")
        for j in range(x.shape[1]):
            for i in range(k + 1, n):
                x[k, j] -= upper[k, i] * x[i, j]
            x[k, j] /= upper[k, k]
    return x


@stand_in(np.linalg.solve)
def _solve_choice(a: Kind, b: Kind) -> Implementation | None:
    if can_attempt(a, b):
        return _solve_in_python_vector if b.ndim == 1 else _solve_in_python
    if b.ndim == 1:
        return lambda a, b: _solve_vector_in_numba(a, b)
    return lambda a, b: _solve_in_numba(a, b)


def _solve_in_python(a: Array, b: Array) -> Any:
    if len(a) > LARGEST_LOOPED:
        x = cleared(b.shape, (a, b))
        if is_done(attempt(SOLVE, (a, b), (x,))):
            return x
    return _solve_in_numba(a, b)


def _solve_in_python_vector(a: Array, b: Array) -> Any:
    if len(a) > LARGEST_LOOPED:
        x = cleared(b.shape, (a, b))
        if is_done(attempt(SOLVE, (a, b), (x,))):
            return x
    return _solve_vector_in_numba(a, b)


@jit
def _solve_vector_in_numba(a: Array, b: Array) -> Any:
    return _solve_in_numba(a, b.copy().reshape((-1, 1)))[:, 0].copy()


@stand_in(np.linalg.inv)
def _inv_in_numba(a: Kind) -> Implementation | None:
    if not can_attempt(a):
        return lambda a: _solve_in_numba(a, np.eye(len(a)))

    def implementation(a: Array) -> Any:
        if len(a) > LARGEST_LOOPED:
            found = cleared(a.shape, a)
            if is_done(attempt(INV, (a,), (found,))):
                return found
        return _solve_in_numba(a, np.eye(len(a)))

    return implementation


@jit
def _determinant(a: Array) -> Any:
    upper = a.copy()
    result = _eliminate_in_numba(upper, cleared((len(a), 0), a))
    for k in range(len(a)):
        result = result * upper[k, k]
    return result


@stand_in(np.linalg.det)
def _det_in_numba(a: Kind) -> Implementation | None:
    if not can_attempt(a):
        return lambda a: _determinant(a)

    def implementation(a: Array) -> Any:
        if len(a) > LARGEST_LOOPED:
            found = cleared(1, a)
            if is_done(attempt(DET, (a,), (found,))):
                return found[0]
        return _determinant(a)

    return implementation


@jit
def _cholesky_by_loops(a: Array) -> Any:
    n, found = len(a), cleared(a.shape, a)
    for j in range(n):
        rest = a[j, j]
        for k in range(j):
            rest = rest - found[j, k] * found[j, k]
        if not rest > 0.0:
            raise np.linalg.LinAlgError("Matrix is not positive definite")
        found[j, j] = np.sqrt(rest)
        for i in range(j + 1, n):
            value = a[i, j]
            for k in range(j):
                value = value - found[i, k] * found[j, k]
            found[i, j] = value / found[j, j]
    return found


@stand_in(np.linalg.cholesky)
def _cholesky_in_numba(a: Kind) -> Implementation | None:
    if not can_attempt(a):
        return lambda a: _cholesky_by_loops(a)

    def implementation(a: Array) -> Any:
        if len(a) > LARGEST_LOOPED:
            found = cleared(a.shape, a)
            if is_done(attempt(CHOLESKY, (a,), (found,))):
                return found
        return _cholesky_by_loops(a)

    return implementation


@jit
def _refuse() -> None:
    raise NotImplementedError(
        "a decomposition of active numbers is recorded by Python: call the function that has it "
        "through a derivative from Python, not through one in compiled code"
    )


@stand_in(np.linalg.eigh)
def _eigh_in_numba(a: Kind) -> Implementation | None:
    if not can_attempt(a):
        return None

    def implementation(a: Array) -> Any:
        w, vectors = cleared(len(a), a), cleared(a.shape, a)
        if not is_done(attempt(EIGH, (a,), (w, vectors))):
            _refuse()
        return w, vectors

    return implementation


@stand_in(np.linalg.qr)
def _qr_in_numba(a: Kind) -> Implementation | None:
    if not can_attempt(a):
        return None

    def implementation(a: Array) -> Any:
        m, n = a.shape
        q, r = cleared((m, min(m, n)), a), cleared((min(m, n), n), a)
        if not is_done(attempt(QR, (a,), (q, r))):
            _refuse()
        return q, r

    return implementation


@stand_in(np.linalg.svd)
def _svd_in_numba(a: Kind, full_matrices: Kind = True) -> Implementation | None:
    if not can_attempt(a):
        return None

    def implementation(a: Array, full_matrices: Any = True) -> Any:
        m, n = a.shape
        k = min(m, n)
        left, s = cleared((m, m if full_matrices else k), a), cleared(k, a)
        right = cleared((n if full_matrices else k, n), a)
        code = SVD if full_matrices else THIN_SVD
        if not is_done(attempt(code, (a,), (left, s, right))):
            _refuse()
        return left, s, right

    return implementation


@stand_in(np.linalg.lstsq)
def _lstsq_in_numba(a: Kind, b: Kind, rcond: Kind = -1.0) -> Implementation | None:
    if not can_attempt(a, b):
        return None

    def implementation(a: Array, b: Array, rcond: Any = -1.0) -> Any:
        m, n = a.shape
        x, squares = cleared((n, *b.shape[1:]), (a, b)), cleared(b.size // max(m, 1), (a, b))
        rank, s = cleared(1, (a, b)), cleared(min(m, n), (a, b))
        cutoff = np.full(1, float(rcond))
        if not is_done(attempt(LSTSQ, (a, b, cutoff), (x, squares, rank, s))):
            _refuse()
        found = int(rank[0].value)
        return x, squares if m > n and found == n else squares[:0], found, s

    return implementation


@stand_in(np.linalg.norm)
def _norm_in_numba(x: Kind) -> Implementation | None:
    return lambda x: np.sqrt(chain(operator.add, x * x, 0.0))
