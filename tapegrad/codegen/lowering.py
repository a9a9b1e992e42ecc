"""Rows of the table as machine code has them: constants folded, whole powers multiplied out.

What an expression calls that has no instruction of its own is the sweeps' own function, compiled
once and called by name, so that the bits are the same.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import float64

from tapegrad import binding, rules
from tapegrad.codegen.numbers import Doubles
from tapegrad.jit import Symbol
from tapegrad.ops import BY_NAME, Op
from tapegrad.rows import F64, RowEmitter

_FOLDED: dict[str, Callable[..., float]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul,
    "negative": operator.neg,
}  # fmt: skip
_SIGNS = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply"}


def is_constant(value: Any) -> bool:
    """Whether an emitted value is a constant."""
    return isinstance(value, ir.Constant)


@functools.cache
def _symbol(name: str) -> Symbol:
    op = BY_NAME[name]
    if binding.is_registered(op.code):
        return binding.bind(op.code)
    signature = float64(*[float64] * op.arity)
    return Symbol(f"tapegrad_row_{name}", rules.FUNCTIONS[name], signature)


class Lowering(RowEmitter):
    """Emits operations at a builder's place.

    Parameters
    ----------
    builder : IRBuilder
    flags : tuple of str
        Fast-math flags of every arithmetic instruction.
    numbers : Doubles
        How numbers are held.
    """

    def __init__(self, builder: ir.IRBuilder, flags: tuple[str, ...], numbers: Doubles) -> None:
        super().__init__(builder, flags, numbers.kind)
        self._numbers = numbers

    def value(self, op: Op, operands: list[Any]) -> Any:
        """Emit an operation's value."""
        if op.name == "powi" and (power := self._whole_power(*operands)) is not None:
            return power
        if op.name in _FOLDED and all(map(is_constant, operands)):
            return self.number(_FOLDED[op.name](*(float(o.constant) for o in operands)))
        return super().value(op, operands)

    def _emit_BinOp(self, node: ast.BinOp, scope: dict[str, Any]) -> Any:  # noqa: N802
        sides = [self._as_float(self._emit(side, scope)) for side in (node.left, node.right)]
        if all(map(is_constant, sides)) and type(node.op) in _SIGNS:
            folded = _FOLDED[_SIGNS[type(node.op)]]
            return self.number(folded(*(float(side.constant) for side in sides)))
        return self._binary(node.op, *sides)

    def call(self, op: Op, operands: list[Any]) -> Any:
        """Emit a call of an operation's function."""
        symbol = _symbol(op.name)
        symbol.address()
        module = self.builder.module
        function = module.globals.get(symbol.name)
        if function is None:
            kind = ir.FunctionType(F64, [F64] * len(operands))
            function = ir.Function(module, kind, symbol.name)
            function.attributes.add("nounwind")
            function.attributes.add("readnone")
        return self._numbers.call(self.builder, function, operands)

    def _whole_power(self, x: Any, n: Any) -> Any:
        """Emit the products of a small constant power, as `special.powi` multiplies them."""
        if not isinstance(n, ir.Constant) or n.constant not in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0):
            return None
        result, square, k = None, x, int(n.constant)
        while k > 0:
            if k & 1:
                result = square if result is None else self._multiply(result, square)
            k >>= 1
            if k:
                square = self._multiply(square, square)
        return result

    def _multiply(self, x: Any, y: Any) -> Any:
        return self.builder.fmul(x, y, flags=self.flags)
