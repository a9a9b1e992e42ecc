"""scipy.linalg's solvers of linear systems, inverses and determinants."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tapegrad.libraries import frames_to_users_code
from tapegrad.record.linear.determinants import determinant
from tapegrad.record.linear.shaped import transposed as turned
from tapegrad.record.linear.systems import (
    SolvePositive,
    inverse,
    over_sides,
    solved,
    triangular,
)
from tapegrad.record.scipy.banded_systems import band_of, solve_banded
from tapegrad.record.scipy.families import (
    check_finite_of,
    operand,
    over_stacks,
    plain,
    square,
    symmetric,
    triangle,
    values_of,
)
from tapegrad.record.scipy.recognised import is_passive, scipy_rule

# --- dense systems ------------------------------------------------------------------------------


_STRUCTURES = {
    None: "general", "general": "general", "gen": "general", "banded": "general",
    "pos": "positive", "positive definite": "positive",
    "sym": "symmetric", "symmetric": "symmetric", "her": "symmetric", "hermitian": "symmetric",
    "diagonal": "diagonal", "tridiagonal": "tridiagonal",
    "upper triangular": "upper", "lower triangular": "lower",
}  # fmt: skip


@scipy_rule("scipy.linalg.solve")
def solve(a: Any, b: Any, lower: Any = False, overwrite_a: Any = False, overwrite_b: Any = False,
          check_finite: Any = True, assume_a: Any = None,
          transposed: Any = False) -> Any:  # fmt: skip
    """Record the solution; of a symmetric matrix the triangle that SciPy reads counts."""
    if assume_a not in _STRUCTURES:
        raise ValueError(f"{assume_a} is not a recognized matrix structure")
    a, b = np.atleast_2d(operand(a)), np.atleast_1d(operand(b))
    check_finite_of(check_finite, a, b)
    structure, is_lower, is_transposed = _STRUCTURES[assume_a], bool(lower), bool(transposed)
    if a.shape[-1] == 1 or structure in _BY_ELEMENTS:
        return over_stacks(
            lambda a, b: _solved_by_elements(a, b, structure, is_transposed), (a, b), (2, "1|2")
        )
    _check_sides(square(a), b)
    if a.size == 0 or b.size == 0:
        return over_sides(lambda a, b: np.empty(b.shape), a, b)
    if structure == "general":
        _warn_if_ill(values_of(a))
        return over_sides(solved, turned(a) if is_transposed else a, b)
    a = symmetric(a, is_lower)
    if structure == "symmetric":
        return over_sides(solved, a, b)
    if is_passive(a):
        np.linalg.cholesky(values_of(a))  # has to be positive definite
        return over_sides(solved, a, b)
    return over_sides(lambda a, b: solved(a, b, SolvePositive), a, b)


_BY_ELEMENTS = ("upper", "lower", "diagonal", "tridiagonal")


def _check_sides(a: Any, b: Any) -> None:
    if b.shape[-2 if b.ndim > 1 else 0] != a.shape[-1]:
        raise ValueError(f"incompatible shapes: a.shape={a.shape} and b.shape={b.shape}")


def _solved_by_elements(a: Any, b: Any, structure: str, is_transposed: bool) -> Any:
    square(a)
    if a.size != 1:
        _check_sides(a, b)
    if a.size == 0 or b.size == 0:
        return np.empty(b.shape)
    if a.size == 1:
        _refuse_zeros(a, "A singular matrix detected.")
        return b / a[0, 0]
    if structure == "diagonal":
        diagonal = np.diagonal(a)
        _refuse_zeros(diagonal, "A singular matrix detected.")
        return b / (diagonal[:, None] if b.ndim == 2 else diagonal)
    if structure == "tridiagonal":
        band = band_of(a.T if is_transposed else a, 1, 1)
        return solve_banded((1, 1), band, b, check_finite=False)
    is_lower = structure == "lower"
    return solve_triangular(a, b, is_transposed, lower=is_lower, check_finite=False)


def _refuse_zeros(pivots: Any, message: str) -> None:
    """Raise if one of the numbers is zero, which is guarded."""
    if np.any(pivots == 0.0):
        raise np.linalg.LinAlgError(message)


def _warn_if_ill(a: Any) -> None:
    """Warn as SciPy does of a matrix whose solutions have no right digit."""
    lapack = plain().lapack
    for matrix in a.reshape(-1, *a.shape[-2:]):
        packed, _, status = lapack.dgetrf(matrix)
        reciprocal, _ = lapack.dgecon(packed, np.abs(matrix).sum(axis=0).max())
        if status == 0 and reciprocal < np.finfo(float).eps:
            warnings.warn(
                f"Ill-conditioned matrix (rcond={reciprocal:.6g}): result may not be accurate.",
                plain().LinAlgWarning,
                stacklevel=frames_to_users_code(),
            )


@scipy_rule("scipy.linalg.solve_triangular")
def solve_triangular(a: Any, b: Any, trans: Any = 0, lower: Any = False,
                     unit_diagonal: Any = False, overwrite_b: Any = False,
                     check_finite: Any = True) -> Any:  # fmt: skip
    """Record the solution of a triangular system."""
    a, b = operand(a), operand(b)
    check_finite_of(check_finite, a, b)
    is_transposed = {"N": 0, "T": 1, "C": 2}.get(trans, trans) != 0
    n_sides = b.shape[-2 if b.ndim > 1 else 0]
    if square(a).shape[-1] != n_sides:
        raise ValueError(f"shapes of a {a.shape} and b {b.shape} are incompatible")
    is_upper = bool(lower) == is_transposed

    def found(a: Any, b: Any) -> Any:
        read = turned(a) if is_transposed else a
        return triangular(read, b, is_upper, bool(unit_diagonal)) if b.size else np.empty(b.shape)

    return over_sides(found, a, b)


# --- inverses and determinants --------------------------------------------------------------------


_INVERTED = {"gen", "general", "pos", "sym", "her", "diagonal", "upper triangular",
             "lower triangular", None}  # fmt: skip


@scipy_rule("scipy.linalg.inv")
def inv(a: Any, overwrite_a: Any = False, check_finite: Any = True, *, assume_a: Any = None,
        lower: Any = False) -> Any:  # fmt: skip
    """Record the inverse; what SciPy doesn't read of the matrix has no derivative."""
    if assume_a not in _INVERTED:
        raise KeyError(assume_a)
    a = operand(a)
    check_finite_of(check_finite, a)
    structure = _STRUCTURES[assume_a]

    square(a)
    if a.size == 0:
        return np.empty(a.shape)
    if structure in ("upper", "lower"):
        a = triangle(a, structure == "lower")
    elif structure == "diagonal":
        a = np.where(np.eye(a.shape[-1], dtype=bool), a, 0.0)
    elif structure != "general":
        a = symmetric(a, lower)
    return inverse(a)


@scipy_rule("scipy.linalg.det")
def det(a: Any, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    """Record the determinant."""
    a = operand(a)
    if a.ndim < 2:
        raise ValueError("The input array must be at least two-dimensional.")
    check_finite_of(check_finite, a)

    return determinant(square(a))
