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
from tapegrad.expression import Call
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
    if row.is_in_special:
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
        if row.op.unrolls and (unrolled := self._unrolled(row, operands)) is not None:
            return unrolled
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

    def _unrolled(self, row: Row, operands: list[Any]) -> Any:
        """Emit what a row's function does with a small whole constant, if it only multiplies."""
        assert row.whole is not None
        whole = operands[row.whole]
        if not is_constant(whole):
            return None
        assert isinstance(row.value, Call)
        function = getattr(special, row.value.function.removeprefix("special."))
        traced: list[Any] = [_Factor(self, operand) for operand in operands]
        traced[row.whole] = float(whole.constant)
        try:
            result = function.py_func(*traced)
        except TypeError:  # it does more
            return None
        return result.number if isinstance(result, _Factor) else self.number(result)


class _Factor:
    """A number that machine code computes, of which Python can do nothing but multiply it."""

    def __init__(self, lowering: Lowering, number: Any) -> None:
        self._lowering, self.number = lowering, number

    def __mul__(self, other: _Factor | float) -> _Factor:
        if not isinstance(other, _Factor):
            return self if other == 1.0 else NotImplemented
        product = self._lowering.primitive("*", [self.number, other.number])
        return _Factor(self._lowering, product)

    __rmul__ = __mul__
