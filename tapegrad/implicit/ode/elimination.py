"""Gaussian elimination in compiled code, of real and of complex matrices that lie by rows."""

from __future__ import annotations

from typing import Any

from tapegrad.jit import jit


@jit
def factorise(matrix: Any, pivots: Any, n: int) -> Any:
    """Replace a matrix by its factors, rows interchanged; return whether it has an inverse."""
    for k in range(n):
        best, at = abs(matrix[k * n + k]), k
        for i in range(k + 1, n):
            if abs(matrix[i * n + k]) > best:
                best, at = abs(matrix[i * n + k]), i
        pivots[k] = at
        if not best > 0.0:  # or it's NaN
            return False
        if at != k:
            for j in range(n):
                kept = matrix[k * n + j]
                matrix[k * n + j] = matrix[at * n + j]
                matrix[at * n + j] = kept
        for i in range(k + 1, n):
            factor = matrix[i * n + k] / matrix[k * n + k]
            matrix[i * n + k] = factor
            if factor != 0.0:
                for j in range(k + 1, n):
                    matrix[i * n + j] -= factor * matrix[k * n + j]
    return True


@jit
def solve_factorised(matrix: Any, pivots: Any, n: int, b: Any) -> None:
    """Replace a right-hand side by the solution."""
    for k in range(n):
        at = pivots[k]
        kept = b[k]
        b[k] = b[at]
        b[at] = kept
    for i in range(n):
        total = b[i]
        for j in range(i):
            total -= matrix[i * n + j] * b[j]
        b[i] = total
    for k in range(n):
        i = n - 1 - k
        total = b[i]
        for j in range(i + 1, n):
            total -= matrix[i * n + j] * b[j]
        b[i] = total / matrix[i * n + i]
