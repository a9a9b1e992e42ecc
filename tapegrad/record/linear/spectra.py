"""Eigenvalues and eigenvectors, of symmetric matrices and of others with a real spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shapes
from tapegrad.errors import BlockFailedError
from tapegrad.record.functions.registry import rule
from tapegrad.record.linear.gaps import DIFFERENCES, ROUNDING, quotients
from tapegrad.record.linear.shaped import (
    ShapedBlock,
    applied,
    diagonal,
    is_absent,
    mirrored,
    on_diagonal,
    total_of,
    transposed,
)

_EIGH = type(np.linalg.eigh(np.eye(1)))


def _inner(w: Any, vectors: Any, of_w: Any, of_vectors: Any) -> Any:
    """Return an adjoint in the basis of eigenvectors."""
    turned = None
    if not is_absent(of_vectors):
        turned = quotients(w, transposed(vectors) @ of_vectors, DIFFERENCES)
    return total_of(None if is_absent(of_w) else on_diagonal(of_w), turned)


class SymmetricEigen(ShapedBlock):
    """Eigenvalues of symmetric matrices given whole, in ascending order, and eigenvectors.

    The option is which triangle LAPACK reads: the vectors' signs may differ.
    """

    title = "eigh"

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        (a,) = operand_shapes
        return a[:-1], a

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        return list(np.linalg.eigh(operands[0], self.options[0]))

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        w, vectors = results
        inner = _inner(w, vectors, *adjoints)
        return [None if inner is None else vectors @ inner @ transposed(vectors)]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        w, vectors = results
        inner = transposed(vectors) @ tangents[0] @ vectors
        return [diagonal(inner), vectors @ quotients(w, inner, DIFFERENCES)]


class InverseOfVectors(ShapedBlock):
    """Inverses of eigenvectors: NaN where they don't span the space, to rounding."""

    title = "inverse_of_vectors"

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        return operand_shapes

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        s = np.linalg.svd(operands[0], compute_uv=False)
        n = s.shape[-1]
        is_whole = s[..., -1] > ROUNDING * n * s[..., 0]
        safe = np.where(is_whole[..., np.newaxis, np.newaxis], operands[0], np.eye(n))
        return [np.where(is_whole[..., np.newaxis, np.newaxis], np.linalg.inv(safe), np.nan)]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        rows = transposed(results[0])
        return [-(rows @ adjoints[0] @ rows)]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        return [-(results[0] @ tangents[0] @ results[0])]


class RealEigen(ShapedBlock):
    """Eigenvalues of matrices whose spectrum is real, and eigenvectors of length one."""

    title = "eig"

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        (a,) = operand_shapes
        return a[:-1], a

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        w, vectors = np.linalg.eig(operands[0])
        if np.any(np.imag(w) != 0.0):
            raise BlockFailedError("the eigenvalues are complex here, and were real")
        return [np.real(w), np.real(vectors)]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        w, vectors = results
        of_w, of_vectors = adjoints
        if not is_absent(of_vectors):
            lengths = np.sum(vectors * of_vectors, axis=-2)[..., np.newaxis, :]
            of_vectors = of_vectors - vectors * lengths
        inner = _inner(w, vectors, of_w, of_vectors)
        if inner is None:
            return [None]
        inverse = applied(InverseOfVectors, [vectors])[0]
        return [transposed(inverse) @ inner @ transposed(vectors)]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        w, vectors = results
        inverse = applied(InverseOfVectors, [vectors])[0]
        inner = inverse @ tangents[0] @ vectors
        moved = vectors @ quotients(w, inner, DIFFERENCES)
        lengths = np.sum(vectors * moved, axis=-2)[..., np.newaxis, :]
        return [diagonal(inner), moved - vectors * lengths]


# --- NumPy's names --------------------------------------------------------------------------------


def _symmetric(a: Any, triangle: str) -> list[Any]:
    triangle = triangle.upper()
    if triangle not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    return applied(SymmetricEigen, [mirrored(a, triangle == "U")], triangle)


@rule(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803  # NumPy's name
    """Record the eigenvalues and eigenvectors of symmetric matrices."""
    return _EIGH(*_symmetric(a, UPLO))


@rule(np.linalg.eigvalsh)
def _eigvalsh(a: Any, UPLO: str = "L") -> Any:  # noqa: N803  # NumPy's name
    return _symmetric(a, UPLO)[0]


def real_eigen(a: Any) -> list[Any]:
    """Record the eigenvalues and eigenvectors of matrices whose spectrum is real."""
    return applied(RealEigen, [a])
