"""Before Numba infers types: where an expression of linearised numbers ends.

An intermediate result that one operation reads stays an expression; what has a name, or is read
twice, is recorded once.
"""

from __future__ import annotations

import math
import operator
from collections import defaultdict
from typing import Any

import numpy as np
from numba.extending import overload

from tapegrad.numba_internals import Rewrite, definition, ir, register_rewrite, set_definition
from tapegrad.numba_protocols import (
    Block,
    CompilerState,
    Function,
    FunctionIR,
    Implementation,
    Instruction,
    Kind,
)
from tapegrad.record.kinds import ActiveValue, ExpressionType, kind_in, linearised
from tapegrad.record.numba.rewriting import constant_of, kind_to_record
from tapegrad.record.numba_operations import as_active

_ARITHMETIC = {
    getattr(operator, prefix + name)
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")
    for prefix in ("", "i")
} | {operator.neg, operator.pos}
_FUNCTIONS = (abs, pow, float)


def _recorded(x: ActiveValue) -> Any:
    """Return a number that is on the tape, or anything else as it is."""


@overload(_recorded, strict=False, jit_options={"forceinline": True})
def _(x: Kind) -> Implementation | None:
    return (lambda x: as_active(x)) if isinstance(x, ExpressionType) else lambda x: x


def _square(x: ActiveValue) -> Any:
    """Return `x * x`, which as an expression has half as many terms."""


@overload(_square, strict=False, jit_options={"forceinline": True})
def _(x: Kind) -> Implementation | None:
    is_linearised_number = kind_in(x) is linearised and not hasattr(x, "dtype")
    return (lambda x: np.square(x)) if is_linearised_number else lambda x: x * x


@register_rewrite("before-inference")
class StatementEnds(Rewrite):  # type: ignore[misc]
    """Has results recorded that more than one operation reads."""

    def __init__(self, state: CompilerState) -> None:
        self._applies = kind_to_record(state) is linearised
        self._done: dict[int, Any] = {}
        self._uses: dict[str, list[Instruction]] | None = None

    def match(self, func_ir: FunctionIR, block: Block, typemap: Any, calltypes: Any) -> bool:
        """Find the operations whose results are to be recorded."""
        if not self._applies:
            return False
        self._ir, self._block = func_ir, block
        if self._uses is None:
            self._uses = self._find_uses()
        self._found = {
            id(instruction)
            for instruction in block.find_insts(ir.Assign)
            if id(instruction) not in self._done and self._is_operation(instruction.value)
        }
        return bool(self._found)

    def apply(self) -> Block:
        """Return the block with calls that record them."""
        block = self._block.copy()
        block.clear()
        for instruction in self._block.body:
            is_found = id(instruction) in self._found
            for new in self._ended(instruction) if is_found else [instruction]:
                block.append(new)
        return block

    def _find_uses(self) -> dict[str, list[Instruction]]:
        """Return what reads each variable: an expression, or another instruction."""
        uses: dict[str, list[Instruction]] = defaultdict(list)
        for block in self._ir.blocks.values():
            for instruction in block.body:
                is_assignment = isinstance(instruction, ir.Assign)
                reader = instruction.value if is_assignment else instruction
                if isinstance(reader, ir.Var):
                    uses[reader.name].append(instruction)
                elif isinstance(reader, ir.Expr | ir.Stmt):
                    for variable in reader.list_vars():
                        uses[variable.name].append(reader)
        return uses

    def _is_operation(self, value: Instruction) -> bool:
        if not isinstance(value, ir.Expr):
            return False
        if value.op in ("binop", "unary", "inplace_binop"):
            return value.fn in _ARITHMETIC
        if value.op != "call" or value.kws:
            return False
        function = constant_of(self._ir, value.func)
        module = getattr(function, "__module__", None)
        return isinstance(function, np.ufunc) or function in _FUNCTIONS or module == math.__name__

    def _ended(self, operation: Instruction) -> list[Instruction]:
        """Return what replaces an operation: it, or a square; and a call that records it."""
        assert self._uses is not None
        target, loc = operation.target, operation.loc
        readers = self._uses[target.name]
        new = []

        def call(function: Function, argument: Instruction, result: Instruction) -> None:
            callee = target.scope.make_temp(loc)
            new.append(ir.Assign(ir.Global(function.__name__, function, loc), callee, loc))
            new.append(ir.Assign(ir.Expr.call(callee, [argument], (), loc), result, loc))

        is_read_once = len(readers) == 1 and self._is_operation(readers[0])
        result = target if is_read_once else target.scope.make_temp(loc)
        if self._is_square(operation.value):
            call(_square, operation.value.lhs, result)
        else:
            new.append(ir.Assign(operation.value, result, loc))
        if not is_read_once:
            call(_recorded, result, target)
        for assigned in new:
            self._done[id(assigned)] = assigned
            if assigned.target is not target:
                set_definition(self._ir, assigned.target.name, assigned.value)
        return new

    def _is_square(self, value: Instruction) -> bool:
        if value.op != "binop" or value.fn is not operator.mul:
            return False
        if value.lhs.name == value.rhs.name:
            return True
        factors = [definition(self._ir, factor) for factor in (value.lhs, value.rhs)]
        return factors[0] is not None and factors[0] is factors[1]
