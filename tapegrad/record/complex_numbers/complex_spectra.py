"""Eigenvalues that are complex, of real and of complex matrices.

Eigenvectors have the length and the phase that LAPACK gives them, and so have their derivatives:
one component of each, the largest or the one in a certain row, is real. Vectors of eigenvalues that
coincide have none, as those of real matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shape, Shapes
from tapegrad.errors import BlockFailedError
from tapegrad.record.complex_numbers.complex_blocks import (
    ComplexBlock,
    adjoint_of,
    of_block,
)
from tapegrad.record.complex_numbers.complex_systems import square_complex
from tapegrad.record.complex_numbers.complex_types import paired
from tapegrad.record.functions.registry import complex_rule, rule
from tapegrad.record.linear.gaps import ROUNDING
from tapegrad.record.linear.shaped import mirrored, square
from tapegrad.record.linear.spectra import real_eigen
from tapegrad.record.pairs import is_complex

_EIGH = type(np.linalg.eigh(np.eye(1)))
_EIG = type(np.linalg.eig(np.eye(1)))


# --- what formulas are made of --------------------------------------------------------------------


def _values(z: Any) -> Any:
    """Return plain numbers, at the point."""
    return z.primal if hasattr(z, "primal") else np.asarray(z)


def _quotients(w: Any, m: Any) -> Any:
    """Return matrices divided by the gaps `w[j] - w[i]`, zero on the diagonal.

    Where a gap vanishes they are NaN in the columns in which there is something.
    """
    n = w.shape[-1]
    values = _values(w)
    size = np.max(np.abs(values), axis=-1, initial=0.0)[..., np.newaxis, np.newaxis]
    gaps = np.abs(values[..., np.newaxis, :] - values[..., np.newaxis])
    vanishes = gaps <= ROUNDING * n * size
    is_own = np.eye(n, dtype=bool)
    asks = np.any(np.where(is_own, 0.0, _values(m)) != 0.0, axis=-2, keepdims=True)
    divisors = np.where(vanishes, 1.0, w[..., np.newaxis, :] - w[..., np.newaxis])
    quotients = np.where(vanishes, np.where(asks & ~is_own, np.nan, 0.0), m / divisors)
    return np.where(is_own, 0.0, quotients)


def on_diagonal(x: Any) -> Any:
    """Return diagonal matrices."""
    return x[..., np.newaxis, :] * np.eye(x.shape[-1])


def _diagonal(x: Any) -> Any:
    return np.diagonal(x, 0, -2, -1)


def _fixed(vectors: Any, has_largest: bool) -> Any:
    """Return which component of each vector is real by LAPACK's choice, as a mask."""
    values = _values(vectors)
    size = np.abs(values)
    is_real = values.imag == 0.0
    if has_largest:  # where rounding left an imaginary part, it's the largest component
        is_real = np.where(np.any(is_real, axis=-2, keepdims=True), is_real, True)
    place = np.argmax(np.where(is_real, size, -1.0), axis=-2)[..., np.newaxis, :]
    mask = np.arange(values.shape[-1])[:, np.newaxis] == place
    return mask & is_real


def _turned(vectors: Any, moved: Any, mask: Any) -> Any:
    """Return tangents of vectors whose components in a mask stay real."""
    safe = np.where(mask, vectors, 1.0)
    angles = np.sum(np.where(mask, moved / safe, 0.0), axis=-2).imag[..., np.newaxis, :]
    return moved - 1j * vectors * angles


def _turned_back(vectors: Any, adjoints: Any, mask: Any) -> Any:
    """Return what the adjoints of such vectors are for tangents that aren't turned."""
    angles = np.sum(np.conjugate(adjoints) * vectors, axis=-2).imag[..., np.newaxis, :]
    safe = np.conjugate(np.where(mask, vectors, 1.0))
    return adjoints + np.where(mask, 1j * angles / safe, 0.0)


def _lengths(vectors: Any, moved: Any) -> Any:
    return np.sum(np.conjugate(vectors) * moved, axis=-2).real[..., np.newaxis, :]


def _inverse(vectors: Any) -> Any:
    """Return inverses, NaN where the vectors don't span the space, to rounding."""
    if type(vectors) is not np.ndarray:
        return np.linalg.inv(vectors)
    s = np.linalg.svd(vectors, compute_uv=False)
    n = s.shape[-1]
    is_whole = (s[..., -1] > ROUNDING * n * s[..., 0])[..., np.newaxis, np.newaxis]
    return np.where(is_whole, np.linalg.inv(np.where(is_whole, vectors, np.eye(n))), np.nan)


# --- eigenvalues ----------------------------------------------------------------------------------


class ComplexEigen(ComplexBlock):
    """Eigenvalues and eigenvectors; the option is whether the matrices are real ones."""

    title = "eig, complex"

    @staticmethod
    def complex_shapes(operand_shapes: Shapes) -> Sequence[tuple[Shape, bool]]:
        """Return the values' and the vectors' shapes."""
        (a,) = operand_shapes
        return [(a[:-1], True), (a, True)]

    def computed(self, *operands: Any) -> Sequence[Any]:
        """Return NumPy's eigenvalues and eigenvectors."""
        (a,) = operands
        if not self.options[0]:
            return list(np.linalg.eig(a))
        found = np.linalg.eig(a.real)
        if not np.iscomplexobj(found[0]):
            raise BlockFailedError("the eigenvalues are real here, and were complex")
        return list(found)

    def pulled(self, operands: Sequence[Any], results: Sequence[Any],
               adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        (w, vectors), (of_w, of_vectors) = results, adjoints
        inner = None if of_w is None else on_diagonal(of_w)
        if of_vectors is not None:
            turned = _turned_back(vectors, of_vectors, _fixed(vectors, True))
            turned = turned - vectors * _lengths(vectors, of_vectors)
            by_gaps = np.conjugate(_quotients(w, np.conjugate(adjoint_of(vectors) @ turned)))
            inner = by_gaps if inner is None else inner + by_gaps
        return [adjoint_of(_inverse(vectors)) @ inner @ adjoint_of(vectors)]

    def pushed(self, operands: Sequence[Any], results: Sequence[Any],
               tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangents."""
        w, vectors = results
        inner = _inverse(vectors) @ tangents[0] @ vectors
        moved = vectors @ _quotients(w, inner)
        turned = _turned(vectors, moved, _fixed(vectors, True))
        return [_diagonal(inner), turned - vectors * _lengths(vectors, moved)]


def _eigen(a: Any) -> list[Any]:
    if is_complex(a):
        return of_block(ComplexEigen, [square_complex(a)], False)
    a = square(a)
    if np.iscomplexobj(np.linalg.eigvals(a.primal)):
        return of_block(ComplexEigen, [a], True)
    return real_eigen(a)


@rule(np.linalg.eig)
@complex_rule(np.linalg.eig)
def _eig(a: Any) -> Any:
    return _EIG(*_eigen(a))


@rule(np.linalg.eigvals)
@complex_rule(np.linalg.eigvals)
def _eigvals(a: Any) -> Any:
    return _eigen(a)[0]


class HermitianEigen(ComplexBlock):
    """Eigenvalues and eigenvectors of Hermitian matrices given whole; the option is a triangle."""

    title = "eigh, complex"

    @staticmethod
    def complex_shapes(operand_shapes: Shapes) -> Sequence[tuple[Shape, bool]]:
        """Return the values' and the vectors' shapes."""
        (a,) = operand_shapes
        return [(a[:-1], False), (a, True)]

    def computed(self, *operands: Any) -> Sequence[Any]:
        """Return NumPy's eigenvalues and eigenvectors."""
        return list(np.linalg.eigh(operands[0], self.options[0]))

    def pulled(self, operands: Sequence[Any], results: Sequence[Any],
               adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        (w, vectors), (of_w, of_vectors) = results, adjoints
        inner = None if of_w is None else on_diagonal(of_w)
        if of_vectors is not None:
            turned = _turned_back(vectors, of_vectors, _fixed(vectors, False))
            by_gaps = _quotients(w, adjoint_of(vectors) @ turned)
            inner = by_gaps if inner is None else inner + by_gaps
        return [vectors @ inner @ adjoint_of(vectors)]

    def pushed(self, operands: Sequence[Any], results: Sequence[Any],
               tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangents."""
        w, vectors = results
        inner = adjoint_of(vectors) @ tangents[0] @ vectors
        moved = vectors @ _quotients(w, inner)
        return [_diagonal(inner).real, _turned(vectors, moved, _fixed(vectors, False))]


def hermitian_eigen(a: Any, triangle: str) -> list[Any]:
    """Record the eigenvalues and eigenvectors of matrices of which one triangle is read."""
    a = whole_hermitian(a, triangle)
    return of_block(HermitianEigen, [a], triangle.upper())


def whole_hermitian(a: Any, triangle: str) -> Any:
    """Return Hermitian matrices made of one triangle of each."""
    triangle = triangle.upper()
    if triangle not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    a = square_complex(a)
    is_kept = np.tri(a.shape[-1], k=-1, dtype=bool)
    is_kept = is_kept.T if triangle == "U" else is_kept
    turned = np.where(is_kept.T, -np.swapaxes(a.im, -1, -2), 0.0)
    return paired(mirrored(a.re, triangle == "U"), np.where(is_kept, a.im, turned))


@complex_rule(np.linalg.eigh)
def _eigh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803  # NumPy's name
    return _EIGH(*hermitian_eigen(a, UPLO))


@complex_rule(np.linalg.eigvalsh)
def _eigvalsh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803  # NumPy's name
    return hermitian_eigen(a, UPLO)[0]
