"""`numpy.linalg` in compiled functions of active numbers: what Gaussian elimination gives."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tapegrad.jit import jit
from tapegrad.numba_protocols import Implementation, Kind
from tapegrad.record.functions.reductions import chain
from tapegrad.record.kinds import Array
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
        for j in range(x.shape[1]):
            for i in range(k + 1, n):
                x[k, j] -= upper[k, i] * x[i, j]
            x[k, j] /= upper[k, k]
    return x


@stand_in(np.linalg.solve)
def _solve_choice(a: Kind, b: Kind) -> Implementation | None:
    if b.ndim == 1:
        return lambda a, b: _solve_in_numba(a, b.reshape((-1, 1)))[:, 0].copy()
    return lambda a, b: _solve_in_numba(a, b)


@stand_in(np.linalg.inv)
def _inv_in_numba(a: Kind) -> Implementation | None:
    return lambda a: _solve_in_numba(a, np.eye(len(a)))


@stand_in(np.linalg.det)
def _det_in_numba(a: Kind) -> Implementation | None:
    def implementation(a: Array) -> Any:
        upper = a.copy()
        result = _eliminate_in_numba(upper, cleared((len(a), 0), a))
        for k in range(len(a)):
            result = result * upper[k, k]
        return result

    return implementation


@stand_in(np.linalg.norm)
def _norm_in_numba(x: Kind) -> Implementation | None:
    return lambda x: np.sqrt(chain(operator.add, x * x, 0.0))
