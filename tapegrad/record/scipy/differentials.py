"""Differentials of P L U and of pencils: formulas on arrays, plain or active.

`la` has the names of scipy.linalg, those of `g...` are adjoints, those of `d...` tangents.
Matrices are real.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.record.linear.gaps import DIFFERENCES, quotients

# --- factors ----------------------------------------------------------------------------------


def lu_pullback(la: Any, packed: Any, g: Any) -> Any:
    """Return the adjoint of the matrix L U, of any shape, from that of its packed factors.

    With dA = dL U + L dU, L^-1 dA U^-1 has L^-1 dL below its diagonal and dU U^-1 above; what is
    below the square part is A2 U^-1, what is beside it is L^-1 A2.
    """
    m, n = packed.shape
    k = min(m, n)
    square = packed[:k, :k]
    gl, gu = np.tril(g[:k, :k], -1), np.triu(g[:k, :k])
    rest = None
    if m > n:
        rest = _right_solve(la, square, g[k:], transposed=True)
        gu = gu - np.triu(packed[k:].T @ rest)
    elif m < n:
        rest = _left_solve(la, square, g[:, k:], transposed=True)
        gl = gl - np.tril(rest @ packed[:, k:].T, -1)
    middle = np.tril(_unit_lower(square).T @ gl, -1) + np.triu(gu @ np.triu(square).T)
    left = _left_solve(la, square, middle, transposed=True)
    ga = _right_solve(la, square, left, transposed=True)
    if rest is None:
        return ga
    return np.concatenate([ga, rest], axis=0 if m > n else 1)


def lu_pushforward(la: Any, packed: Any, da: Any) -> Any:
    """Return the tangent of the packed factors of a matrix of any shape."""
    m, n = packed.shape
    k = min(m, n)
    square = packed[:k, :k]
    middle = _right_solve(la, square, _left_solve(la, square, da[:k, :k]))
    dl, du = _unit_lower(square) @ np.tril(middle, -1), np.triu(middle) @ np.triu(square)
    if m > n:
        rest = _right_solve(la, square, da[k:] - packed[k:] @ du)
    elif m < n:
        rest = _left_solve(la, square, da[:, k:] - dl @ packed[:, k:])
    else:
        return dl + du
    return np.concatenate([dl + du, rest], axis=0 if m > n else 1)


def _unit_lower(packed: Any) -> Any:
    return np.tril(packed, -1) + np.eye(packed.shape[0])


def _left_solve(la: Any, packed: Any, b: Any, transposed: bool = False) -> Any:
    """Return L^-1 b, or L'^-1 b."""
    return la.solve_triangular(packed, b, lower=True, unit_diagonal=True, trans=int(transposed),
                               check_finite=False)  # fmt: skip


def _right_solve(la: Any, packed: Any, b: Any, transposed: bool = False) -> Any:
    """Return b U^-1, or b U'^-1."""
    return la.solve_triangular(packed, b.T, trans=int(not transposed), check_finite=False).T


# --- spectra ----------------------------------------------------------------------------------


def pencil_pullback(w: Any, v: Any, gw: Any, gv: Any) -> tuple[Any, Any]:
    """Return the adjoints of A and B, A v = w B v, V' B V = I, as ones that aren't symmetric."""
    turned = v.T @ gv
    middle = np.diag(gw) + quotients(w, turned, DIFFERENCES)
    own = 0.5 * np.diag(np.diagonal(turned))
    return v @ middle @ v.T, -(v @ (middle * w + own) @ v.T)


def pencil_pushforward(w: Any, v: Any, da: Any, db: Any) -> tuple[Any, Any]:
    """Return the tangents of the eigenvalues and vectors of a pencil."""
    first = 0.0 if da is None else v.T @ da @ v
    second = np.zeros((len(w), len(w))) if db is None else v.T @ db @ v
    middle = first - second * w
    turned = quotients(w, middle, DIFFERENCES) - 0.5 * np.diag(np.diagonal(second))
    return np.diagonal(middle), v @ turned
