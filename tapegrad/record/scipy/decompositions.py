"""scipy.linalg's eigenvalues, singular values and what is made of them.

Functions of eigenvalues or singular values alone have their derivatives at ties too. Where a
derivative is asked of vectors that belong to a tie, which may be any that span it, it's NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.active import guard_all
from tapegrad.record.scipy import differentials
from tapegrad.record.scipy.families import (
    Family,
    called,
    check_finite_of,
    is_zero,
    operand,
    over_stacks,
    plain,
    square,
    symmetric,
)
from tapegrad.record.scipy.recognition import is_held, no_rule, scipy_rule


def _asked(adjoint: Any) -> Any:
    return None if is_zero(adjoint) else adjoint


# --- symmetric matrices ---------------------------------------------------------------------------


class Eigh(Family):
    """Eigenvalues and eigenvectors of a symmetric matrix, or of a pencil.

    Options: which triangle is read, LAPACK's driver, and which vectors are wanted. All are
    computed, for the derivatives; those wanted have the signs that SciPy finds for them alone.
    """

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], lower: bool, driver: str | None,
                 wanted: tuple[int, int] | None) -> None:  # fmt: skip
        n = shapes[0][0]
        super().__init__("eigh", shapes, ((n,), (n, n)), is_active, lower, driver, wanted)
        self.driver, self.wanted = driver, wanted
        self._keywords = {"lower": lower, "check_finite": False}

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the eigenvalues and the vectors."""
        if self.wanted is None:
            w, v = plain().eigh(*operands, driver=self.driver, **self._keywords)
            return w, v
        w, v = plain().eigh(*operands, **self._keywords)
        part = slice(self.wanted[0], self.wanted[1] + 1)
        w[part], v[:, part] = plain().eigh(
            *operands, driver=self.driver, subset_by_index=self.wanted, **self._keywords
        )
        return w, v

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints."""
        asked = map(_asked, adjoints)
        if len(operands) == 2:
            return differentials.pencil_pullback(*results, *asked)
        return [differentials.eigh_pullback(*results, *asked)]

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangents."""
        if len(operands) == 2:
            return differentials.pencil_pushforward(*results, *tangents)
        return differentials.eigh_pushforward(*results, *tangents)


@scipy_rule("scipy.linalg.eigh")
def eigh(a: Any, b: Any = None, *, lower: Any = True, eigvals_only: Any = False,
         overwrite_a: Any = False, overwrite_b: Any = False, type: Any = 1,
         check_finite: Any = True, subset_by_index: Any = None,
         driver: Any = None) -> Any:  # fmt: skip
    """Record eigenvalues and eigenvectors; of the matrices the triangle that is read counts."""
    if type != 1:
        raise no_rule(f"scipy.linalg.eigh with type={type}", "write a and b so that type=1, or ")
    matrices = [operand(x) for x in (a, b) if x is not None]
    check_finite_of(check_finite, *matrices)

    def found(*matrices: Any) -> Any:
        parts = [symmetric(square(x), lower) for x in matrices]
        n = len(parts[0])
        wanted = None if subset_by_index is None else (*map(int, subset_by_index),)
        if wanted is not None and not 0 <= wanted[0] <= wanted[1] < n:
            raise ValueError(
                f"Requested eigenvalue indices are not valid. Valid range is [0, {n - 1}] and "
                f"start <= end, but start={wanted[0]}, end={wanted[1]} is given"
            )
        w, v = (
            called(Eigh, parts, bool(lower), driver, wanted)
            if n
            else (np.empty(0), np.empty((0, 0)))
        )
        if wanted is not None:
            w, v = w[wanted[0] : wanted[1] + 1], v[:, wanted[0] : wanted[1] + 1]
        return w if eigvals_only else (w, v)

    return over_stacks(found, matrices, [2] * len(matrices))


@scipy_rule("scipy.linalg.eigvalsh")
def eigvalsh(a: Any, b: Any = None, *, lower: Any = True, overwrite_a: Any = False,
             overwrite_b: Any = False, type: Any = 1, check_finite: Any = True,
             subset_by_index: Any = None, driver: Any = None) -> Any:  # fmt: skip
    """Record eigenvalues."""
    return eigh(a, b, lower=lower, eigvals_only=True, type=type, check_finite=check_finite,
                subset_by_index=subset_by_index, driver=driver)  # fmt: skip


# --- singular values ------------------------------------------------------------------------------


class Svd(Family):
    """Singular values and vectors, and those vectors that complete U or V."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], is_full: bool,
                 driver: str) -> None:  # fmt: skip
        ((m, n),) = shapes
        k = min(m, n)
        more = (max(m, n), abs(m - n) if is_full else 0)
        super().__init__("svd", shapes, ((m, k), (k,), (k, n), more), is_active, is_full, driver)
        self.is_full, self.driver = is_full, driver

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the singular values and vectors."""
        u, s, vt = plain().svd(operands[0], full_matrices=self.is_full, check_finite=False,
                               lapack_driver=self.driver)  # fmt: skip
        k = len(s)
        return u[:, :k], s, vt[:k], u[:, k:] if len(u) >= vt.shape[1] else vt[k:].T

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        if not is_zero(adjoints[3]):
            raise UnsupportedFunctionError(
                "the singular vectors beyond the singular values have no derivative, they may be "
                "any that complete the others: write scipy.linalg.svd(a, full_matrices=False)"
            )
        return [differentials.svd_pullback(*results[:3], *map(_asked, adjoints[:3]))]

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangents; of what has none, NaN."""
        found = differentials.svd_pushforward(*results[:3], *tangents)
        return (*found, np.full(results[3].shape, np.nan))


@scipy_rule("scipy.linalg.svd")
def svd(a: Any, full_matrices: Any = True, compute_uv: Any = True, overwrite_a: Any = False,
        check_finite: Any = True, lapack_driver: Any = "gesdd") -> Any:  # fmt: skip
    """Record singular values and vectors."""
    a = operand(a)
    check_finite_of(check_finite, a)

    def found(a: Any) -> Any:
        if a.ndim != 2:
            raise ValueError("expected matrix")
        if a.size == 0:
            return plain().svd(np.empty(a.shape), full_matrices, compute_uv)
        is_full = bool(full_matrices) and bool(compute_uv)
        u, s, vt, more = called(Svd, (a,), is_full, lapack_driver)
        if not compute_uv:
            return s
        if is_full and a.shape[0] > a.shape[1]:
            u = np.concatenate([u, more], axis=1)
        elif is_full and a.shape[0] < a.shape[1]:
            vt = np.concatenate([vt, more.T])
        return u, s, vt

    return over_stacks(found, (a,), (2,))


@scipy_rule("scipy.linalg.svdvals")
def svdvals(a: Any, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    """Record singular values."""
    return svd(a, compute_uv=False, check_finite=check_finite)


# --- pseudoinverses -------------------------------------------------------------------------------


class Pinv(Family):
    """The pseudoinverse of a matrix, and its rank; options: the tolerances."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], atol: float | None,
                 rtol: float | None) -> None:  # fmt: skip
        ((m, n),) = shapes
        super().__init__("pinv", shapes, ((n, m), ()), is_active, atol, rtol)
        self.atol, self.rtol = atol, rtol

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the pseudoinverse and the rank."""
        found: Sequence[Any] = plain().pinv(
            operands[0], atol=self.atol, rtol=self.rtol, return_rank=True, check_finite=False
        )
        return found

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        return [differentials.pinv_pullback(operands[0], results[0], adjoints[0])]

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        return [differentials.pinv_pushforward(operands[0], results[0], tangents[0]), None]


@scipy_rule("scipy.linalg.pinv")
def pinv(a: Any, *, atol: Any = None, rtol: Any = None, return_rank: Any = False,
         check_finite: Any = True) -> Any:  # fmt: skip
    """Record the pseudoinverse; the rank is guarded."""
    if is_held(atol) or is_held(rtol):
        raise no_rule("an active tolerance of scipy.linalg.pinv", "write x.value for it, or ")
    a = operand(a)
    check_finite_of(check_finite, a)
    tolerances = [None if x is None else float(x) for x in (atol, rtol)]

    def found(a: Any) -> Any:
        if a.size == 0:
            return (np.empty(a.shape[::-1]), 0) if return_rank else np.empty(a.shape[::-1])
        inverse, rank = called(Pinv, (a,), *tolerances)
        if is_held(rank):
            guard_all(rank.tape, rank.data["slot"].reshape(1), rank.data["value"].reshape(1))
            rank = rank.primal
        return (inverse, np.int64(rank)) if return_rank else inverse

    return over_stacks(found, (a,), (2,))
