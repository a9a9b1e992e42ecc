"""Rows of the table as LLVM instructions, written at a builder's place.

What becomes of a row that no instructions make up is up to the emitter's descendants.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod

from llvmlite import ir

from tapegrad.expression import COMPARISONS, INSTRUCTIONS, INTRINSICS, Expression, Folding
from tapegrad.numba_protocols import Builder, Value
from tapegrad.rows import ROW, Row, contribution

F64 = ir.DoubleType()


class RowEmitter(ABC):
    """Emits values and partial derivatives at a builder's place.

    Parameters
    ----------
    builder : IRBuilder
    flags : tuple of str
        Fast-math flags of every arithmetic instruction.
    kind : Type
        What numbers are.
    """

    def __init__(self, builder: Builder, flags: tuple[str, ...] = (),
                 kind: ir.Type = F64) -> None:  # fmt: skip
        self.builder = builder
        self.flags = flags
        self.kind = kind

    @abstractmethod
    def call(self, row: Row, operands: list[Value]) -> Value:
        """Emit the value of an operation that isn't made of instructions alone."""

    def number(self, value: float) -> Value:
        """Return a number as a constant."""
        return ir.Constant(self.kind, value)

    def value(self, row: Row, operands: list[Value]) -> Value:
        """Emit an operation's value."""
        if not row.is_inline:
            return self.call(row, operands)
        names = dict(zip("xy", operands, strict=False))
        return self._as_float(Folding(names, self.number, self.primitive)(row.value))

    def derivatives(self, row: Row, operands: list[Value], z: Value) -> Folding[Value]:
        """Emit what partial derivatives have in common; return what emits one of them."""
        folding = Folding(
            {**dict(zip("xy", operands, strict=False)), "z": z},
            self.number,
            lambda function, operands: self.value(ROW[function], operands),
        )
        for common in row.shared:
            folding(common)
        return folding

    def product(self, w: Value, partial: Expression, derivatives: Folding[Value]) -> Value:
        """Emit an adjoint or a tangent times a partial derivative other than zero."""
        passed = contribution(partial)
        assert passed is not None
        here = derivatives.apart(w=w)
        return here.apart(p=here(partial))(passed)

    def _as_float(self, value: Value) -> Value:
        return value if value.type == self.kind else self.builder.uitofp(value, self.kind)

    def primitive(self, function: str, operands: list[Value]) -> Value:
        """Emit what processors compute; a truth value is a bit until it's used as a number."""
        b = self.builder
        if function == "if":
            test, yes, no = operands
            return b.select(test, self._as_float(yes), self._as_float(no))
        if function in ("and", "or"):
            return functools.reduce(b.and_ if function == "and" else b.or_, operands)
        if function == "!=" and all(operand.type != self.kind for operand in operands):
            return b.icmp_unsigned("!=", *operands)
        numbers = [self._as_float(operand) for operand in operands]
        if function in COMPARISONS:
            compare = b.fcmp_unordered if function == "!=" else b.fcmp_ordered
            return compare(function, *numbers)
        if function in INTRINSICS:
            kind = ir.FunctionType(self.kind, [self.kind] * len(numbers))
            intrinsic = b.module.declare_intrinsic(INTRINSICS[function], [self.kind], kind)
            return b.call(intrinsic, numbers)
        if len(numbers) == 1:
            (x,) = numbers
            return self.number(-x.constant) if isinstance(x, ir.Constant) else b.fneg(x)
        return getattr(b, INSTRUCTIONS[function])(*numbers, flags=self.flags)
