"""Rows of the table as machine code has them: constants folded, whole powers multiplied out.

What an expression calls that has no instruction of its own is the sweeps' own function, compiled
once and called by name, so that the bits are the same.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import float64

from tapegrad import binding, rules, special
from tapegrad.codegen.numbers import Doubles
from tapegrad.instructions import F64, RowEmitter
from tapegrad.jit import Symbol
from tapegrad.rows import ROW, Row

_FOLDED: dict[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul
}  # fmt: skip


def is_constant(value: Any) -> bool:
    """Whether an emitted value is a constant."""
    return isinstance(value, ir.Constant)


@functools.cache
def _symbol(name: str) -> Symbol:
    row = ROW[name]
    if row.is_apart:
        return binding.bind(row.code)
    signature = float64(*[float64] * row.arity)
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

    def value(self, row: Row, operands: list[Any]) -> Any:
        """Emit an operation's value."""
        if row.op.unrolls and is_constant(operands[1]):
            x, n = operands
            power = special.products(x, n.constant, self.number(1.0), self._multiply)
            if power is not None:
                return power
        return super().value(row, operands)

    def primitive(self, function: str, operands: list[Any]) -> Any:
        """Emit what processors compute, if it's not of constants."""
        if function in _FOLDED and len(operands) == 2 and all(map(is_constant, operands)):
            return self.number(_FOLDED[function](*(float(o.constant) for o in operands)))
        return super().primitive(function, operands)

    def call(self, row: Row, operands: list[Any]) -> Any:
        """Emit a call of an operation's function."""
        symbol = _symbol(row.name)
        symbol.address()
        module = self.builder.module
        function = module.globals.get(symbol.name)
        if function is None:
            kind = ir.FunctionType(F64, [F64] * len(operands))
            function = ir.Function(module, kind, symbol.name)
            function.attributes.add("nounwind")
            function.attributes.add("readnone")
        return self._numbers.call(self.builder, function, operands)

    def _multiply(self, x: Any, y: Any) -> Any:
        return self.primitive("*", [x, y])
