"""How machine code holds a number: what differs between one double and several at once."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from tapegrad.instructions import F64


class Doubles:
    """One double.

    Attributes
    ----------
    kind : Type
        Its type in LLVM.
    """

    kind: Any = F64

    def number(self, value: float) -> Any:
        """Return a number as a constant."""
        return ir.Constant(F64, value)

    def load(self, builder: ir.IRBuilder, pointer: Any) -> Any:
        """Emit the number at a place."""
        return builder.load(pointer)

    def constant_at(self, builder: ir.IRBuilder, pointer: Any) -> Any:
        """Emit the number at a place in a table, which has one double for all."""
        return builder.load(pointer)

    def store(self, builder: ir.IRBuilder, value: Any, pointer: Any) -> None:
        """Emit that a number is put at a place."""
        builder.store(value, pointer)

    def differ(self, builder: ir.IRBuilder, value: Any, wanted: Any) -> Any:
        """Emit whether two numbers differ; a NaN does from everything."""
        return builder.fcmp_unordered("!=", value, wanted)

    def call(self, builder: ir.IRBuilder, function: Any, operands: list[Any]) -> Any:
        """Emit a call of a function of doubles."""
        return builder.call(function, operands)
