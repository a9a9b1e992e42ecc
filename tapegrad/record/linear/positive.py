"""The Cholesky factor of positive definite matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shapes
from tapegrad.record.functions.registry import rule
from tapegrad.record.linear.compiled_forms import CHOLESKY
from tapegrad.record.linear.shaped import (
    ShapedBlock,
    applied,
    lower,
    mirrored,
    stack_size,
    transposed,
)
from tapegrad.record.linear.systems import triangular


class Cholesky(ShapedBlock):
    """Lower triangular factors of symmetric matrices (Murray, arXiv:1602.07527)."""

    title = "cholesky"
    forms = CHOLESKY
    functions = ("dpotrf", "dtrsm", "dgemm")

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        return operand_shapes

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many matrices there are, of what order."""
        (a,) = self.operand_shapes
        return stack_size(a), a[-1]

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        return [np.linalg.cholesky(operands[0])]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        rows = transposed(results[0])
        inner = lower(rows @ adjoints[0], 0.5)
        half = triangular(rows, inner, True)
        whole = transposed(triangular(rows, transposed(half), True))
        return [0.5 * (whole + transposed(whole))]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        half = triangular(results[0], tangents[0], False)
        inner = triangular(results[0], transposed(half), False)
        return [results[0] @ lower(transposed(inner), 0.5)]


def cholesky(a: Any) -> Any:
    """Return lower triangular factors of symmetric matrices given whole."""
    return applied(Cholesky, [a])[0]


@rule(np.linalg.cholesky)
def _cholesky(a: Any, /, *, upper: bool = False) -> Any:
    factor = cholesky(mirrored(a, upper))
    return transposed(factor) if upper else factor
