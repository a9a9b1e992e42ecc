"""scipy.linalg's eigenvalues, singular values and what is made of them.

Functions of eigenvalues or singular values alone have their derivatives at ties too. Where a
derivative is asked of vectors that belong to a tie, which may be any that span it, it's NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.linear.least_squares import pseudo_inverse
from tapegrad.record.linear.shaped import applied, matrices
from tapegrad.record.linear.singular import Singular
from tapegrad.record.linear.spectra import SymmetricEigen
from tapegrad.record.scipy import differentials
from tapegrad.record.scipy.families import (
    Family,
    asks,
    check_finite_of,
    operand,
    over_stacks,
    plain,
    square,
    symmetric,
)
from tapegrad.record.scipy.recognised import is_held, no_rule, scipy_rule

# --- symmetric matrices ---------------------------------------------------------------------------


def _spectrum(operands: Sequence[Any], lower: bool, driver: str | None,
              wanted: tuple[int, int] | None) -> Sequence[Any]:  # fmt: skip
    """Return all eigenvalues and vectors; those wanted are as SciPy finds them alone."""
    keywords = {"lower": lower, "check_finite": False}
    if wanted is None:
        found: Sequence[Any] = plain().eigh(*operands, driver=driver, **keywords)
        return found
    w, v = plain().eigh(*operands, **keywords)
    part = slice(wanted[0], wanted[1] + 1)
    w[part], v[:, part] = plain().eigh(*operands, driver=driver, subset_by_index=wanted, **keywords)
    return w, v


class Eigh(SymmetricEigen):
    """Eigenvalues and eigenvectors of a symmetric matrix, as SciPy finds them.

    Options: which triangle is read, LAPACK's driver, and which vectors are wanted. All are
    computed, for the derivatives; those wanted have the signs that SciPy finds for them alone.
    """

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the eigenvalues and the vectors."""
        return _spectrum(operands, *self.options)


class Pencil(Family):
    """Eigenvalues and eigenvectors of a pencil, with the same options."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], *options: Any) -> None:
        n = shapes[0][0]
        super().__init__("eigh", shapes, ((n,), (n, n)), is_active, *options)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the eigenvalues and the vectors."""
        return _spectrum(operands, *self.options)

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints."""
        return differentials.pencil_pullback(*results, *adjoints)

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangents."""
        return differentials.pencil_pushforward(*results, *tangents)


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
        options = bool(lower), driver, wanted
        if n == 0:
            w, v = np.empty(0), np.empty((0, 0))
        elif b is None:
            w, v = applied(Eigh, parts, *options)
        else:
            w, v = applied(Pencil, parts, *options)
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


class Svd(Singular):
    """Singular values and vectors, as SciPy finds them; the other option is LAPACK's driver."""

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the singular values and vectors."""
        is_full, driver = self.options
        return list(
            plain().svd(
                operands[0], full_matrices=is_full, check_finite=False, lapack_driver=driver
            )
        )

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        k = len(results[1])
        if asks(adjoints[0][:, k:]) or asks(adjoints[2][k:]):
            raise UnsupportedFunctionError(
                "the singular vectors beyond the singular values have no derivative, they may be "
                "any that complete the others: write scipy.linalg.svd(a, full_matrices=False)"
            )
        return super().pullback(operands, results, adjoints)


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
        u, s, vt = applied(Svd, [a], is_full, lapack_driver)
        return (u, s, vt) if compute_uv else s

    return over_stacks(found, (a,), (2,))


@scipy_rule("scipy.linalg.svdvals")
def svdvals(a: Any, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    """Record singular values."""
    return svd(a, compute_uv=False, check_finite=check_finite)


# --- pseudoinverses -------------------------------------------------------------------------------


@scipy_rule("scipy.linalg.pinv")
def pinv(a: Any, *, atol: Any = None, rtol: Any = None, return_rank: Any = False,
         check_finite: Any = True) -> Any:  # fmt: skip
    """Record the pseudoinverse; the rank is guarded."""
    if is_held(atol) or is_held(rtol):
        raise no_rule("an active tolerance of scipy.linalg.pinv", "write x.value for it, or ")
    a = matrices(operand(a))
    check_finite_of(check_finite, a)
    *stack, m, n = a.shape
    least = 0.0 if atol is None else float(atol)
    cutoff = max(m, n) * np.finfo(np.float64).eps if rtol is None else float(rtol)
    if least < 0.0 or cutoff < 0.0:
        raise ValueError("atol and rtol values must be positive.")
    if a.size == 0:
        inverse, rank = np.empty((*stack, n, m)), np.zeros(stack, np.int64)
    else:
        inverse, rank = pseudo_inverse(a, cutoff, least=least)
    return (inverse, np.asarray(rank).astype(np.int64)[()]) if return_rank else inverse
