"""scipy.linalg's matrices made of the elements of others: blocks, Toeplitz and their like."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.record.scipy.families import operand, over_stacks
from tapegrad.record.scipy.recognised import is_held, scipy_rule


@scipy_rule("scipy.linalg.block_diag")
def block_diag(*arrs: Any) -> Any:
    """Record the matrix with given ones along its diagonal."""
    parts = [np.atleast_2d(operand(x)) for x in arrs]
    return over_stacks(_beside, parts, [2] * len(parts))


def _beside(*parts: Any) -> Any:
    width = sum(part.shape[1] for part in parts)
    rows, start = [], 0
    for part in parts:
        stop = start + part.shape[1]
        left, right = np.zeros((len(part), start)), np.zeros((len(part), width - stop))
        rows.append(np.concatenate([left, part, right], axis=1))
        start = stop
    return np.concatenate(rows)


@scipy_rule("scipy.linalg.toeplitz")
def toeplitz(c: Any, r: Any = None) -> Any:
    """Record the matrix with constant diagonals, given its first column and row."""
    column = operand(c)
    row = column if r is None else operand(r)

    def made(column: Any, row: Any) -> Any:
        ends = np.concatenate([column[::-1], row[1:]])
        n, m = len(column), len(row)
        return ends[n - 1 - np.arange(n)[:, None] + np.arange(m)]

    return over_stacks(made, (np.atleast_1d(column), np.atleast_1d(row)), (1, 1))


@scipy_rule("scipy.linalg.hankel")
def hankel(c: Any, r: Any = None) -> Any:
    """Record the matrix with constant antidiagonals, given its first column and last row."""
    column = operand(c)
    row = np.zeros(column.shape) if r is None else operand(r)

    def made(column: Any, row: Any) -> Any:
        ends = np.concatenate([column, row[1:]])
        return ends[np.arange(len(column))[:, None] + np.arange(len(row))]

    return over_stacks(made, (np.atleast_1d(column), np.atleast_1d(row)), (1, 1))


@scipy_rule("scipy.linalg.circulant")
def circulant(c: Any) -> Any:
    """Record the matrix whose columns are one, shifted round."""
    column = np.atleast_1d(operand(c))
    n = column.shape[-1]
    return column[..., (np.arange(n)[:, None] - np.arange(n)) % max(n, 1)]


@scipy_rule("scipy.linalg.norm")
def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: Any = False,
         check_finite: Any = True) -> Any:  # fmt: skip
    """Record a norm, which is NumPy's."""
    a = operand(a)
    if check_finite and not np.isfinite(a.primal if is_held(a) else a).all():
        raise ValueError("array must not contain infs or NaNs")
    return np.linalg.norm(a, ord, axis, keepdims)
