"""The factors Q and R of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shapes
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.functions.registry import rule
from tapegrad.record.linear.shaped import ShapedBlock, applied, lower, matrices, transposed
from tapegrad.record.linear.singular import refused
from tapegrad.record.linear.systems import triangular

_QR = type(np.linalg.qr(np.eye(1)))


class Orthogonal(ShapedBlock):
    """Factors Q and R of matrices that have no more columns than rows.

    The option is whether Q is completed to a basis by columns that are arbitrary: an adjoint that
    reaches them gives NaN.
    """

    title = "qr"

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        (*stack, m, n), is_complete = operand_shapes[0], self.options[0]
        k = m if is_complete else n
        return (*stack, m, k), (*stack, n, n)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        n = operands[0].shape[-1]
        q, r = np.linalg.qr(operands[0], "complete" if self.options[0] else "reduced")
        return [q, r[..., :n, :]]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        (of_q, of_r), r = adjoints, results[1]
        n = r.shape[-1]
        q = results[0][..., :n]
        unknown, of_q = refused(of_q[..., n:], self.operand_shapes[0]), of_q[..., :n]
        inner = r @ transposed(of_r) - transposed(of_q) @ q
        moved = of_q + q @ (lower(inner) + transposed(lower(inner, 0.0)))
        found = transposed(triangular(r, transposed(moved), True))
        return [found if unknown is None else found + unknown]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        r = results[1]
        n = r.shape[-1]
        q = results[0][..., :n]
        moved = transposed(triangular(transposed(r), transposed(tangents[0]), False))
        inner = transposed(q) @ moved
        below = lower(inner, 0.0)
        upper = inner - below + transposed(below)
        of_q = moved - q @ upper
        if (n_missing := results[0].shape[-1] - n) > 0:
            unknown = np.full((*of_q.shape[:-1], n_missing), np.nan)
            of_q = np.concatenate([of_q, unknown], axis=-1)
        return [of_q, upper @ r]


# --- NumPy's name ---------------------------------------------------------------------------------


@rule(np.linalg.qr)
def _qr(a: Any, mode: str = "reduced") -> Any:
    a = matrices(a)
    if mode not in ("reduced", "complete", "r"):
        if mode == "raw":
            raise UnsupportedFunctionError(
                "numpy.linalg.qr with mode='raw' returns LAPACK's reflectors, which have no rule "
                "for active arguments; use mode='reduced', 'complete' or 'r'"
            )
        raise ValueError(f"Unrecognized mode '{mode}'")
    m, n = a.shape[-2:]
    q, r = applied(Orthogonal, [a[..., : min(m, n)]], mode == "complete" and m > n)
    if n > m:
        r = np.concatenate([r, transposed(q) @ a[..., m:]], axis=-1)
    if mode == "complete" and m > n:
        r = np.concatenate([r, np.zeros((*a.shape[:-2], m - n, n))], axis=-2)
    return r if mode == "r" else _QR(q, r)
