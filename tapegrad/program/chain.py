"""The chain rule on values: partial derivatives of rows as trees, and products with them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tapegrad.ops import BY_NAME, CONSTANTS
from tapegrad.program.ir import (
    Apply,
    Constant,
    Element,
    Past,
    Rounding,
    Value,
    Variable,
)
from tapegrad.rows import names_in, parsed

_ROWS = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide"}

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
        """Return an adjoint or a tangent times a partial derivative."""
        partial = BY_NAME[applied.op].partials[place]
        if partial == "1":
            return w
        if partial == "-1":
            return Apply("negative", (w,), self.of_products)
        times = "chain" if self.has_zero_rule else "multiply"
        return Apply(times, (w, self.partial(applied, place)), self.of_products)

    def partial(self, applied: Apply, place: int) -> Value:
        """Return a partial derivative of a row; `z` in it is the row's value again."""
        op = BY_NAME[applied.op]
        scope: dict[str, Value] = dict(zip("xy", applied.operands, strict=False))
        scope["z"] = applied
        needed = names_in(op.partials[place])
        for name, expression in op.where.items():
            if name in needed or any(name in names_in(e) for e in op.where.values()):
                scope[name] = self._tree(parsed(expression), scope)
        return self._tree(parsed(op.partials[place]), scope)

    def _tree(self, node: ast.expr, scope: dict[str, Value]) -> Value:
        match node:
            case ast.Constant(value=int() | float() as number):
                return Constant(float(number))
            case ast.Name(id=name):
                return Constant(CONSTANTS[name]) if name in CONSTANTS else scope[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                found = self._tree(operand, scope)
                if isinstance(found, Constant):
                    return Constant(-found.value)
                return Apply("negative", (found,), self.of_products)
            case ast.BinOp(op=sign, left=left, right=right):
                sides = self._tree(left, scope), self._tree(right, scope)
                return Apply(_ROWS[type(sign)], sides, self.of_products)
            case ast.Call(func=function, args=arguments):
                operands = tuple(self._tree(argument, scope) for argument in arguments)
                return Apply(ast.unparse(function), operands, self.of_products)
        raise ValueError(f"a partial derivative is not made of rows: {ast.unparse(node)}")

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
    partials = BY_NAME[applied.op].partials
    for place, operand in enumerate(applied.operands):
        if partials[place] != "0":
            yield place, operand


def sources(value: Value) -> Iterator[Variable | Element | Past | Constant]:
    """Yield the leaves of a value that a derivative goes through."""
    if isinstance(value, Apply):
        for _, operand in differentiated(value):
            yield from sources(operand)
    else:
        yield value
