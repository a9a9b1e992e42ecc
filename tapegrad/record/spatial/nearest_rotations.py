"""The rotation matrices nearest to matrices: one block, to any order.

The nearest rotation R to M = R P, P symmetric, moves by R [w]x where (tr(P) - P) w is the axial
vector of R'dM. That is regular where singular values coincide, as they do wherever M is a rotation
itself, and singular vectors have no derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shapes
from tapegrad.record.linear.shaped import ShapedBlock, transposed


def _axial(a: Any) -> Any:
    """Return the vectors w for which [w]x has the antisymmetric part of matrices, twice it."""
    return np.stack([a[..., 2, 1] - a[..., 1, 2], a[..., 0, 2] - a[..., 2, 0],
                     a[..., 1, 0] - a[..., 0, 1]], axis=-1)  # fmt: skip


def _cross(w: Any) -> Any:
    """Return the matrices [w]x."""
    x, y, z = w[..., 0], w[..., 1], w[..., 2]
    zero = np.zeros(x.shape)
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


class NearestRotation(ShapedBlock):
    """Rotations nearest to matrices, of a stack."""

    title = "nearest_rotation"

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        """Return the matrices' shape."""
        return operand_shapes

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return U V' of the singular value decompositions U S V', made proper."""
        u, _, v = np.linalg.svd(operands[0])
        signs = np.where(np.linalg.det(u @ v) < 0.0, -1.0, 1.0)
        u = np.concatenate([u[..., :2], u[..., 2:] * signs[..., None, None]], axis=-1)
        return [u @ v]

    @staticmethod
    def _turn(operands: Sequence[Any], results: Sequence[Any], change: Any) -> Any:
        """Return R [w]x, where w solves for the axial vectors of R' times a change."""
        turned = transposed(results[0])
        symmetric = turned @ operands[0]
        trace = symmetric[..., 0, 0] + symmetric[..., 1, 1] + symmetric[..., 2, 2]
        form = trace[..., None, None] * np.eye(3) - symmetric
        w = np.linalg.solve(form, _axial(turned @ change)[..., None])[..., 0]
        return results[0] @ _cross(w)

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint: what a change of the matrices is to the rotations, it's to that."""
        return [self._turn(operands, results, adjoints[0])]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        return [self._turn(operands, results, tangents[0])]
