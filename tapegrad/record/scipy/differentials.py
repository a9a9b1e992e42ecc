"""Differentials of matrix functions: formulas on arrays, plain or active.

`la` has the names of scipy.linalg, those of `g...` are adjoints, those of `d...` tangents. The
formulas are M. B. Giles's ("An extended collection of matrix derivative results", 2008), but for
those whose docstrings say otherwise. Matrices are real.
"""

from __future__ import annotations

from typing import Any

import numpy as np

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


def inverse_gaps(w: Any) -> Any:
    """Return 1 / (w[j] - w[i]), zero on the diagonal, NaN where two are equal but for rounding."""
    gaps = w[None, :] - w[:, None]
    n = w.shape[0]
    least = n * np.finfo(float).eps * np.max(abs(w)) if n else 0.0
    is_tied = abs(gaps) <= least
    own = np.eye(n, dtype=bool)
    shifted = np.where(own, 1.0, np.where(is_tied, np.nan, gaps))
    return np.where(own, 0.0, 1.0 / shifted)


def touched(g: Any) -> Any:
    """Return of each column of an adjoint whether anything is asked of it."""
    data = getattr(g, "data", None)
    if type(g) is np.ndarray or data is None:
        return np.any(g != 0.0, axis=0)
    return np.any((data["value"] != 0.0) | (data["slot"] > 0), axis=0)


def _turned(gaps: Any, vectors: Any, g: Any) -> Any:
    """Return gaps * (V' g), zero in columns of which nothing is asked, whatever the gaps are."""
    return np.where(touched(g), gaps, 0.0) * (vectors.T @ g)


def eigh_pullback(w: Any, v: Any, gw: Any, gv: Any) -> Any:
    """Return the adjoint of a symmetric matrix, as one that isn't."""
    middle = 0.0 if gw is None else np.diag(gw)
    if gv is not None:
        middle = middle + _turned(inverse_gaps(w), v, gv)
    return v @ middle @ v.T


def eigh_pushforward(w: Any, v: Any, da: Any) -> tuple[Any, Any]:
    """Return the tangents of eigenvalues and eigenvectors."""
    middle = v.T @ da @ v
    return np.diagonal(middle), v @ (inverse_gaps(w) * middle)


def pencil_pullback(w: Any, v: Any, gw: Any, gv: Any) -> tuple[Any, Any]:
    """Return the adjoints of A and B, A v = w B v, V' B V = I, as ones that aren't symmetric."""
    middle: Any = 0.0 if gw is None else np.diag(gw)
    own: Any = 0.0
    if gv is not None:
        middle = middle + _turned(inverse_gaps(w), v, gv)
        own = 0.5 * np.diag(np.diagonal(v.T @ gv))
    return v @ middle @ v.T, -(v @ (middle * w + own) @ v.T)


def pencil_pushforward(w: Any, v: Any, da: Any, db: Any) -> tuple[Any, Any]:
    """Return the tangents of the eigenvalues and vectors of a pencil."""
    first = 0.0 if da is None else v.T @ da @ v
    second = np.zeros((len(w), len(w))) if db is None else v.T @ db @ v
    middle = first - second * w
    turned = inverse_gaps(w) * middle - 0.5 * np.diag(np.diagonal(second))
    return np.diagonal(middle), v @ turned


def svd_pullback(u: Any, s: Any, vt: Any, gu: Any, gs: Any, gvt: Any) -> Any:
    """Return the adjoint of U S V', which have as many columns as there are singular values.

    J. Townsend, "Differentiating the singular value decomposition", 2016.
    """
    v = vt.T
    middle: Any = 0.0 if gs is None else np.diag(gs)
    ga: Any = 0.0
    if gu is not None or gvt is not None:
        gaps = inverse_gaps(s) / _sums(s)
    if gu is not None:
        turned = _turned(gaps, u, gu)
        middle = middle + (turned + turned.T) * s
        if u.shape[0] > len(s):
            ga = ga + _over(gu - u @ (u.T @ gu), s, gu) @ vt
    if gvt is not None:
        gv = gvt.T
        turned = _turned(gaps, v, gv)
        middle = middle + s[:, None] * (turned + turned.T)
        if v.shape[0] > len(s):
            ga = ga + u @ _over(gv - v @ (v.T @ gv), s, gv).T
    return u @ middle @ vt + ga


def svd_pushforward(u: Any, s: Any, vt: Any, da: Any) -> tuple[Any, Any, Any]:
    """Return the tangents of U, S and V'."""
    v = vt.T
    dp = u.T @ da @ v
    gaps = inverse_gaps(s) / _sums(s)
    du = u @ (gaps * (dp * s + s[:, None] * dp.T))
    dv = v @ (gaps * (s[:, None] * dp + dp.T * s))
    if u.shape[0] > len(s):
        du = du + _inside(da @ v, u, s)
    if v.shape[0] > len(s):
        dv = dv + _inside(da.T @ u, v, s)
    return du, np.diagonal(dp), dv.T


def _sums(s: Any) -> Any:
    sums = s[None, :] + s[:, None]
    return np.where(np.eye(len(s), dtype=bool), 1.0, sums)


def _inside(x: Any, u: Any, s: Any) -> Any:
    return (x - u @ (u.T @ x)) / _not_zero(s)


def _over(x: Any, s: Any, g: Any) -> Any:
    """Return x with its columns over singular values, zero where nothing is asked of them."""
    return np.where(touched(g), x / _not_zero(s), 0.0)


def _not_zero(s: Any) -> Any:
    """Return singular values, NaN for those that are zero but for rounding."""
    least = len(s) * np.finfo(float).eps * np.max(s)
    return np.where(s <= least, np.nan, s)


def pinv_pullback(a: Any, y: Any, gy: Any) -> Any:
    """Return the adjoint of a matrix of constant rank whose pseudoinverse is y.

    G. H. Golub and V. Pereyra, "The differentiation of pseudo-inverses and nonlinear least
    squares problems whose variables separate", 1973.
    """
    gt = gy.T
    first = -(y.T @ gy @ y.T)
    second = (gt - a @ (y @ gt)) @ (y @ y.T)
    third = (y.T @ y) @ (gt - (gt @ y) @ a)
    return first + second + third


def pinv_pushforward(a: Any, y: Any, da: Any) -> Any:
    """Return the tangent of the pseudoinverse y of a matrix of constant rank."""
    dt = da.T
    first = -(y @ da @ y)
    second = (y @ y.T) @ (dt - dt @ a @ y)
    third = (dt - y @ (a @ dt)) @ (y.T @ y)
    return first + second + third
