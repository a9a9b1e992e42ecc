"""The tangent of a reverse: gradients and products of the Hessian with a direction.

The reverse is written once more with numbers that are pairs, a value and its tangent. What is
done to a pair is said by the same table: an operation's tangent is the sum of its operands' times
its partials, and a partial's is found by going through its expression, whose operations are rows.
Tangents are in a second half of the memory and of the products.
"""

from __future__ import annotations

import ast
from typing import Any, NamedTuple

from llvmlite import ir

from tapegrad.native.frame import whole
from tapegrad.native.lowering import ZERO, Lowering, is_constant
from tapegrad.native.reverse import Reverse
from tapegrad.ops import BY_NAME, Op

_ROWS = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide"}


class Pair(NamedTuple):
    """A value, or a pointer to it, and its tangent."""

    value: Any
    tangent: Any


def _is_zero(number: Any) -> bool:
    return isinstance(number, ir.Constant) and number.constant == 0.0


class PairLowering(Lowering):
    """Emits values and partial derivatives of pairs."""

    def __init__(self, values: Lowering, slopes: Lowering) -> None:
        super().__init__(slopes.builder, slopes.flags)
        self._product = slopes._product
        self._values, self._slopes = values, slopes

    def number(self, value: float) -> Any:
        """Return a number as a constant."""
        return Pair(super().number(value), ZERO)

    def value(self, op: Op, operands: list[Any]) -> Any:
        """Emit an operation's value and tangent."""
        values = [operand.value for operand in operands]
        value = self._values.value(op, values)
        scope = {**dict(zip("xy", values, strict=False)), "z": value}
        total = ZERO
        for place, operand in enumerate(operands):
            if op.partials[place] != "0" and not _is_zero(operand.tangent):
                term = self._slopes.product(operand.tangent, op, place, scope)
                flags = self.flags
                total = term if _is_zero(total) else self.builder.fadd(total, term, flags=flags)
        return Pair(value, total)

    def product(self, w: Any, op: Op, operand: int, values: dict[str, Any]) -> Any:
        """Emit an adjoint times a partial derivative."""
        partial = op.partials[operand]
        if partial == "1":
            return w
        if partial == "-1":
            return self.value(BY_NAME["negative"], [w])
        return self.value(self._product, [w, self.partial(op, operand, values)])

    def _emit_UnaryOp(self, node: ast.UnaryOp, scope: dict[str, Any]) -> Any:  # noqa: N802
        operand = self._emit(node.operand, scope)
        if is_constant(operand.value) and isinstance(node.op, ast.USub):
            return self.number(-operand.value.constant)
        return self.value(BY_NAME["negative"], [operand])

    def _emit_BinOp(self, node: ast.BinOp, scope: dict[str, Any]) -> Any:  # noqa: N802
        operands = [self._emit(side, scope) for side in (node.left, node.right)]
        return self.value(BY_NAME[_ROWS[type(node.op)]], operands)

    def _emit_Call(self, node: ast.Call, scope: dict[str, Any]) -> Any:  # noqa: N802
        operands = [self._emit(argument, scope) for argument in node.args]
        return self.value(BY_NAME[ast.unparse(node.func)], operands)

    def _as_float(self, value: Any) -> Any:
        return value


class ReverseOfPairs(Reverse):
    """Writes the function that runs a program of one output, its reverse, and their tangent."""

    def write(self) -> None:
        """Write the function's body."""
        self.lower, self.slopes = (
            PairLowering(plain, self.slopes) for plain in (self.lower, self.slopes)
        )
        super().write()

    def halves(self) -> list[tuple[Any, int, int]]:
        """Return the same for values and for tangents; constants have a tangent of zero."""
        self.clear(self.at(self.layout.length), len(self.layout.constants))
        return [(self.inputs, 0, 0), (self.seeds, self.layout.length, self.n_inputs)]

    def cell_of_its_own(self, name: str, is_count: bool) -> Any:
        """Return a place on the stack, zero at first, for a pair or a count."""
        place = super().cell_of_its_own(name, is_count)
        return place if is_count else Pair(place, super().cell_of_its_own(f"{name}_t", False))

    def number(self, value: float) -> Any:
        """Return a constant."""
        return Pair(super().number(value), ZERO)

    def constant_at(self, pointer: Any) -> Any:
        """Emit a constant that is in a table."""
        return Pair(self.b.load(pointer), ZERO)

    def load(self, cell: Any) -> Any:
        """Emit what is at a place."""
        return Pair(*map(self.b.load, cell)) if isinstance(cell, Pair) else self.b.load(cell)

    def store(self, value: Any, cell: Any) -> None:
        """Emit that a value is put at a place."""
        if isinstance(cell, Pair):
            self.b.store(value.value, cell.value)
            self.b.store(value.tangent, cell.tangent)
        else:
            self.b.store(value, cell)

    def add(self, x: Any, y: Any) -> Any:
        """Emit a term of the sum of an adjoint."""
        return Pair(*(super(ReverseOfPairs, self).add(p, q) for p, q in zip(x, y, strict=True)))

    def sum(self, x: Any, y: Any) -> Any:
        """Emit a term of a sum of values and tangents."""
        return Pair(super().sum(x.value, y.value), super().add(x.tangent, y.tangent))

    def primal(self, value: Any) -> Any:
        """Return the float that a value is."""
        return value.value

    def seed(self, k: Any) -> Any:
        """Emit the output's adjoint."""
        return self.number(1.0)

    def input_cell(self, place: Any, shifted: bool) -> Any:
        """Emit pointers to an input and its direction, or to its adjoint and the tangent."""
        if not shifted:
            return Pair(self.b.gep(self.inputs, [place]), self.b.gep(self.seeds, [place]))
        further = self.b.add(place, whole(self.n_inputs))
        return Pair(self.b.gep(self.products, [place]), self.b.gep(self.products, [further]))

    def memory_cell(self, place: Any) -> Any:
        """Emit pointers to a place in memory, and to its tangent's."""
        further = self.b.add(place, whole(self.layout.length))
        return Pair(self.b.gep(self.memory, [place]), self.b.gep(self.memory, [further]))
