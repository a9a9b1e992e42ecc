"""Singular values, norms and Cholesky factors of complex matrices that depend on the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shape, Shapes
from tapegrad.record.complex_numbers.complex_blocks import (
    ComplexBlock,
    adjoint_of,
    as_complex,
    of_block,
)
from tapegrad.record.complex_numbers.complex_spectra import (
    hermitian_eigen,
    on_diagonal,
    whole_hermitian,
)
from tapegrad.record.functions.registry import complex_rule, no_rule

# --- singular values ------------------------------------------------------------------------------


class SingularValues(ComplexBlock):
    """Singular values, in descending order."""

    title = "svd, complex"

    @staticmethod
    def complex_shapes(operand_shapes: Shapes) -> Sequence[tuple[Shape, bool]]:
        """Return as many numbers as there are rows or columns, whichever are fewer."""
        *stack, m, n = operand_shapes[0]
        return [((*stack, min(m, n)), False)]

    def computed(self, *operands: Any) -> Sequence[Any]:
        """Return NumPy's singular values."""
        return [np.linalg.svd(operands[0], compute_uv=False)]

    def pulled(self, operands: Sequence[Any], results: Sequence[Any],
               adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        left, right = _singular_vectors(operands[0])
        return [(left * adjoints[0][..., np.newaxis, :]) @ right]

    def pushed(self, operands: Sequence[Any], results: Sequence[Any],
               tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangents."""
        left, right = _singular_vectors(operands[0])
        moved = adjoint_of(left) @ tangents[0] @ adjoint_of(right)
        return [np.diagonal(moved, 0, -2, -1).real]


def _singular_vectors(a: Any) -> tuple[Any, Any]:
    """Return the left vectors as columns and the right ones as rows.

    Recorded, they're parts of the eigenvectors of the Hermitian matrix made of `a` and its adjoint.
    """
    if type(a) is np.ndarray:
        left, _, right = np.linalg.svd(a, full_matrices=False)
        return left, right
    *stack, m, n = a.shape
    upper = np.concatenate([np.zeros((*stack, m, m)), a], axis=-1)
    lower = np.concatenate([adjoint_of(a), np.zeros((*stack, n, n))], axis=-1)
    _, vectors = hermitian_eigen(np.concatenate([upper, lower], axis=-2), "L")
    chosen = np.sqrt(2.0) * vectors[..., : -min(m, n) - 1 : -1]
    return chosen[..., :m, :], adjoint_of(chosen[..., m:, :])


def _singular_values(x: Any) -> Any:
    return of_block(SingularValues, [as_complex(x)])[0]


@complex_rule(np.linalg.svd)
def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True,
         hermitian: bool = False) -> Any:  # fmt: skip
    if compute_uv:
        raise no_rule("numpy.linalg.svd with compute_uv=True", of_complex=True)
    return _singular_values(a)


if hasattr(np.linalg, "svdvals"):
    complex_rule(np.linalg.svdvals)(_singular_values)


@complex_rule(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    z = as_complex(x)
    n_axes = z.ndim if axis is None else np.size(axis)
    if ord in (2, -2, "nuc") and n_axes == 2:
        axes = (-2, -1) if axis is None else tuple(axis)
        moved = np.moveaxis(z, axes, (-2, -1))
        if keepdims or not moved.size:
            raise no_rule(f"numpy.linalg.norm with ord={ord!r} and keepdims=True", of_complex=True)
        s = _singular_values(moved)
        return np.sum(s, axis=-1) if ord == "nuc" else s[..., 0 if ord > 0 else -1]
    if ord is None or ord in (2, "fro", "f"):
        if axis is None:
            norm = np.linalg.norm(np.concatenate([z.re.ravel(), z.im.ravel()]))
            return np.reshape(norm, (1,) * z.ndim) if keepdims else norm
        first = axis if n_axes == 1 else axis[0]
        first = first if isinstance(first, int) else first[0]
        return np.linalg.norm(np.concatenate([z.re, z.im], axis=first), ord, axis, keepdims)
    return np.linalg.norm(np.absolute(z), ord, axis, keepdims)


@complex_rule(np.linalg.cond)
def _cond(x: Any, p: Any = None) -> Any:
    if p in (None, 2, -2):
        s = _singular_values(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return np.linalg.norm(x, p, (-2, -1)) * np.linalg.norm(np.linalg.inv(x), p, (-2, -1))


# --- Cholesky factors -----------------------------------------------------------------------------


class ComplexCholesky(ComplexBlock):
    """Lower triangular factors of Hermitian positive definite matrices given whole."""

    title = "cholesky, complex"

    @staticmethod
    def complex_shapes(operand_shapes: Shapes) -> Sequence[tuple[Shape, bool]]:
        """Return the matrices' shape."""
        return [(operand_shapes[0], True)]

    def computed(self, *operands: Any) -> Sequence[Any]:
        """Return NumPy's factors."""
        return [np.linalg.cholesky(operands[0])]

    def pulled(self, operands: Sequence[Any], results: Sequence[Any],
               adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        inverse = np.linalg.inv(results[0])
        return [adjoint_of(inverse) @ _half(adjoint_of(results[0]) @ adjoints[0]) @ inverse]

    def pushed(self, operands: Sequence[Any], results: Sequence[Any],
               tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        inverse = np.linalg.inv(results[0])
        return [results[0] @ _half(inverse @ tangents[0] @ adjoint_of(inverse))]


def _half(x: Any) -> Any:
    """Return lower triangles, with half of the diagonals' real parts."""
    strict = np.where(np.tri(x.shape[-1], k=-1, dtype=bool), x, 0.0)
    return strict + on_diagonal(0.5 * np.diagonal(x, 0, -2, -1).real)


@complex_rule(np.linalg.cholesky)
def _cholesky(a: Any, /, *, upper: bool = False) -> Any:
    factor = of_block(ComplexCholesky, [whole_hermitian(a, "U" if upper else "L")])[0]
    return adjoint_of(factor) if upper else factor
