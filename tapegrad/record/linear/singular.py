"""Singular values and their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shape, Shapes
from tapegrad.record.functions.registry import rule
from tapegrad.record.linear.gaps import DIFFERENCES, ITSELF, SUMS, quotients
from tapegrad.record.linear.shaped import (
    ShapedBlock,
    applied,
    diagonal,
    is_absent,
    matrices,
    on_diagonal,
    total_of,
    transposed,
)
from tapegrad.record.linear.spectra import eigh

_SVD = type(np.linalg.svd(np.eye(1)))


class Singular(ShapedBlock):
    """Singular values in descending order, the vectors to their left, and those to their right.

    The option is whether the vectors are completed to a basis. Those that complete it are
    arbitrary: an adjoint that reaches them gives NaN.
    """

    title = "svd"

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        (*stack, m, n), is_full = operand_shapes[0], self.options[0]
        k = min(m, n)
        left, right = ((m, m), (n, n)) if is_full else ((m, k), (k, n))
        return (*stack, *left), (*stack, k), (*stack, *right)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        return list(np.linalg.svd(operands[0], full_matrices=self.options[0]))

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        left, s, right = results[0], results[1], transposed(results[2])
        of_left, of_s, of_right = adjoints[0], adjoints[1], transposed(adjoints[2])
        k = s.shape[-1]
        shape = self.operand_shapes[0]
        unknown = [refused(x[..., k:], shape) for x in (of_left, of_right)]
        left, right, of_left, of_right = (x[..., :k] for x in (left, right, of_left, of_right))
        by_left, by_right = _turned(left, of_left), _turned(right, of_right)
        both = total_of(by_left, by_right)
        inner = None if is_absent(of_s) else on_diagonal(of_s)
        if both is not None:
            other = total_of(by_left, None if by_right is None else -by_right)
            same = quotients(s, both, DIFFERENCES)
            twist = quotients(s, 0.5 * (other - transposed(other)), SUMS)
            inner = total_of(inner, 0.5 * (same + transposed(same)), twist)
        terms = [None if inner is None else left @ inner @ transposed(right)]
        terms += unknown
        beyond = _beyond(left, s, of_left, by_left)
        terms.append(None if beyond is None else beyond @ transposed(right))
        beyond = _beyond(right, s, of_right, by_right)
        terms.append(None if beyond is None else left @ transposed(beyond))
        return [total_of(*terms)]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        k = results[1].shape[-1]
        left, s, right = results[0][..., :k], results[1], transposed(results[2])[..., :k]
        moved = tangents[0] @ right
        inner = transposed(left) @ moved
        same = quotients(s, 0.5 * (inner + transposed(inner)), DIFFERENCES)
        twist = quotients(s, 0.5 * (inner - transposed(inner)), SUMS)
        of_left = total_of(left @ (same + twist), _beyond(left, s, moved, inner))
        back = transposed(tangents[0]) @ left
        beyond = _beyond(right, s, back, transposed(right) @ back)
        of_right = total_of(right @ (same - twist), beyond)
        return [self._completed(of_left, 0), diagonal(inner),
                transposed(self._completed(of_right, 2))]  # fmt: skip

    def _completed(self, vectors: Any, result: int) -> Any:
        """Return vectors' tangents with NaN for the arbitrary ones."""
        n_missing = self.result_shapes[result][-1] - vectors.shape[-1]
        if not self.options[0] or n_missing <= 0:
            return vectors
        unknown = np.full((*vectors.shape[:-1], n_missing), np.nan)
        return np.concatenate([vectors, unknown], axis=-1)


def refused(adjoint: Any, shape: Shape) -> Any:
    """Return matrices of NaN where there is an adjoint of vectors, of zero elsewhere, or None."""
    if not adjoint.size or is_absent(adjoint):
        return None
    found = quotients(np.zeros((*shape[:-2], adjoint.shape[-1])), adjoint, ITSELF)
    return np.broadcast_to(np.sum(found, axis=(-2, -1), keepdims=True), shape)


def _turned(vectors: Any, adjoint: Any) -> Any:
    return None if is_absent(adjoint) else transposed(vectors) @ adjoint


def _beyond(vectors: Any, s: Any, moved: Any, inside: Any) -> Any:
    """Return what is orthogonal to vectors that don't span their space, over singular values."""
    if inside is None or vectors.shape[-1] == vectors.shape[-2]:
        return None
    return quotients(s, moved - vectors @ inside, ITSELF)


def singular(a: Any) -> list[Any]:
    """Return the singular value decomposition, with as many vectors as singular values."""
    return applied(Singular, [a], False)


# --- NumPy's names --------------------------------------------------------------------------------


def _of_symmetric(a: Any) -> Any:
    """Return the singular value decomposition of symmetric matrices, as NumPy's `hermitian`."""
    w, vectors = eigh(a)
    sign, size = np.sign(w), np.abs(w)
    order = np.argsort(size, axis=-1)[..., ::-1]
    sign, size = (np.take_along_axis(x, order, axis=-1) for x in (sign, size))
    vectors = np.take_along_axis(vectors, order[..., np.newaxis, :], axis=-1)
    return _SVD(vectors, size, transposed(vectors * sign[..., np.newaxis, :]))


@rule(np.linalg.svd)
def svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """Record the singular value decomposition."""
    if hermitian:
        found = _of_symmetric(a)
        return found if compute_uv else found.S
    a = matrices(a)
    if not compute_uv:
        return singular(a)[1]
    is_full = bool(full_matrices) and a.shape[-1] != a.shape[-2]
    return _SVD(*applied(Singular, [a], is_full))


if hasattr(np.linalg, "svdvals"):  # since NumPy 2.0

    @rule(np.linalg.svdvals)
    def _svdvals(x: Any, /) -> Any:
        return singular(matrices(x))[1]
