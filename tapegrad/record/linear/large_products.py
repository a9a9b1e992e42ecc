"""Products of matrices that are large enough to be one call of BLAS, instead of records.

As in every sweep, an adjoint or a tangent of zero contributes zero, whatever it's multiplied by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import Shape, Shapes
from tapegrad.record.array import ActiveArray, as_active_data
from tapegrad.record.elementwise import is_active_data
from tapegrad.record.linear.product_forms import PRODUCT
from tapegrad.record.linear.shaped import ShapedBlock, applied, stack_size, total_of, transposed
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.stand_ins import shared

Data = npt.NDArray[Any]

LEAST_MULTIPLICATIONS, LEAST_USES = 2048, 4
"""So many multiplications, and so many for each number that is read or made, are worth a block.

With fewer the numbers' way to BLAS and back takes longer than the multiplications in a loop of
machine code: of a product with a vector three times as long, however large the matrix is.
"""


@shared
def is_worth(multiplications: int, numbers: int) -> bool:
    """Whether a product that reads and makes so many numbers is worth a block."""
    return multiplications >= LEAST_MULTIPLICATIONS and multiplications >= LEAST_USES * numbers


class Product(ShapedBlock):
    """Products of two stacks of as many matrices."""

    title = "matmul"
    forms = PRODUCT
    functions = ("dgemm",)

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        a, b = operand_shapes
        return ((*a[:-1], b[-1]),)

    @property
    def is_small(self) -> bool:
        return False

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many products there are, of what sizes, and which operands are active."""
        a, b = self.operand_shapes
        return stack_size(a), a[-2], b[-1], a[-1], *map(int, self.is_active)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        return [np.matmul(*operands)]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        (a, b), by = operands, adjoints[0]
        of_a, of_b = self.is_active
        return [
            _moved(by, transposed(b)) if of_a else None,
            transposed(_moved(transposed(by), a)) if of_b else None,
        ]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        (a, b), (of_a, of_b) = operands, tangents
        by_b = None if of_b is None else transposed(_moved(transposed(of_b), transposed(a)))
        return [total_of(None if of_a is None else _moved(of_a, b), by_b)]


def _moved(by: Any, x: Any) -> Any:
    """Return the product of adjoints or tangents and numbers, zeros of the first being nothing."""
    if any(isinstance(operand, ActiveArray) for operand in (by, x)) or np.all(np.isfinite(x)):
        return by @ x
    terms = by[..., np.newaxis] * x[..., np.newaxis, :, :]
    return np.sum(np.where(by[..., np.newaxis] == 0.0, 0.0, terms), axis=-2)


def is_large(a: Data, b: Data, stack: Shape) -> bool:
    """Whether the products of two stacks of matrices are worth a block."""
    results = math.prod(stack) * a.shape[-2] * b.shape[-1]
    return is_worth(results * a.shape[-1], a.size + b.size + results)


def product(tape: OpenTape, a: Data, b: Data, stack: Shape) -> Data:
    """Record the products of two stacks of matrices as one block."""
    if b.ndim == 2:  # one product, of all rows
        return _product(tape, a.reshape(-1, a.shape[-1]), b).reshape(*stack, a.shape[-2], -1)
    a, b = (np.broadcast_to(x, stack + x.shape[-2:]) for x in (a, b))
    return _product(tape, a, b)


def _product(tape: OpenTape, *operands: Data) -> Data:
    given = [ActiveArray(tape, x) if is_active_data(x) else x for x in operands]
    return as_active_data(tape, applied(Product, given)[0])
