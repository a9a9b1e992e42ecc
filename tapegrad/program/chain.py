"""The chain rule on values: partial derivatives of rows as trees, and products with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tapegrad.expression import Folding
from tapegrad.program.ir import (
    Apply,
    Constant,
    Element,
    Past,
    Rounding,
    Value,
    Variable,
)
from tapegrad.rows import ROW, contribution

ZERO, ONE = Constant(0.0), Constant(1.0)


@dataclass(frozen=True, slots=True)
class Rules:
    """How derivatives are written.

    Attributes
    ----------
    is_strict : bool
        Whether every operation is rounded as written.
    has_zero_rule : bool
        Whether a product is zero where a factor is, as in the sweeps. Plain products are faster,
        and a NaN says where it matters.
    """

    is_strict: bool
    has_zero_rule: bool = False

    @property
    def of_products(self) -> Rounding:
        """How products and what partial derivatives are made of are rounded."""
        return "exact" if self.is_strict else "fused"

    @property
    def of_sums(self) -> Rounding:
        """How sums of adjoints and tangents are rounded."""
        return "exact" if self.is_strict else "free"

    def product(self, w: Value, applied: Apply, place: int) -> Value:
        """Return an adjoint or a tangent times a partial derivative; in it `z` is the row again."""
        row = ROW[applied.op]
        operands = dict(zip("xy", applied.operands, strict=False))
        folding: Folding[Value] = Folding({**operands, "z": applied, "w": w}, Constant, self._row)
        partial = row.partials[place]
        passed = contribution(partial, "chain" if self.has_zero_rule else "multiply")
        assert passed is not None, f"no derivative of {applied.op!r} goes through {place}"
        return folding.apart(p=folding(partial))(passed)

    def _row(self, name: str, operands: list[Value]) -> Value:
        return Apply(name, tuple(operands), self.of_products)

    def tangent(self, value: Value, of_leaf: Callable[[Value], Value | None]) -> Value | None:
        """Return the tangent of a value, given that of a leaf; None is zero."""
        if not isinstance(value, Apply):
            return of_leaf(value)
        terms = [
            self.product(moved, value, place)
            for place, operand in differentiated(value)
            if (moved := self.tangent(operand, of_leaf)) is not None
        ]
        if not terms:
            return None
        total = terms[0]
        for term in terms[1:]:
            total = Apply("add", (total, term), self.of_sums)
        return total


def differentiated(applied: Apply) -> Iterator[tuple[int, Value]]:
    """Yield the operands of a row that a derivative goes through, and their places."""
    for place in ROW[applied.op].differentiable:
        yield place, applied.operands[place]


def sources(value: Value) -> Iterator[Variable | Element | Past | Constant]:
    """Yield the leaves of a value that a derivative goes through."""
    if isinstance(value, Apply):
        for _, operand in differentiated(value):
            yield from sources(operand)
    else:
        yield value
