"""The table's rows as compiled code: one function a row, and the switches the sweeps run.

`FUNCTIONS[name]` is a row as a function of floats, for Numba; these are generated from `ops` as
one readable module. `evaluate`, `pull` and `push` choose the row by its code: they are
written as LLVM IR straight from the rows' expressions, which takes a twentieth of the time that
Numba would take to find the types of a hundred rows.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import float64, int64, types
from numba.extending import intrinsic, overload

from tapegrad import binding, generated, special
from tapegrad.expression import Call, functions_in
from tapegrad.instructions import F64, RowEmitter
from tapegrad.jit import Symbol
from tapegrad.numba_internals import signature, when_loaded
from tapegrad.numba_protocols import (
    Builder,
    Intrinsic,
    Kind,
    LoweringContext,
    Signature,
    TypingContext,
    Value,
    Values,
)
from tapegrad.rows import ROW, ROWS, Row

_PREAMBLE = '''\
"""Elementary operations as compiled code; generated from tapegrad.ops."""
import math

import numpy as np

from tapegrad import special

'''

_COMPUTED = [row for row in ROWS if row.arity]

# --- functions --------------------------------------------------------------------------------


def _value(row: Row) -> str:
    text = row.op.value
    if row.is_apart:
        return f"in_special{row.arity}({row.code}, {', '.join('xy'[: row.arity])})"
    return f"1.0 if {text} else 0.0" if row.op.boolean else text


def _functions() -> Iterator[str]:
    for row in _COMPUTED:
        operands = ", ".join("xy"[: row.arity])
        yield f"def {row.name}({operands}):\n    return {_value(row)}\n\n"
        if row.is_apart:
            yield f"def {row.name}_apart({operands}):\n    return {row.op.value}\n\n"


def source() -> str:
    """Return the generated module's source."""
    return "".join([_PREAMBLE, *_functions()])


_module: Any = generated.load("rules", source())

FUNCTIONS: dict[str, Callable[..., float]] = {
    row.name: getattr(_module, row.name) for row in _COMPUTED
}
IS_BOOLEAN: tuple[bool, ...] = tuple(row.op.boolean for row in ROWS)

for _row in _COMPUTED:
    if _row.is_apart:
        _in_partials = sorted(set[str]().union(*map(functions_in, _row.partials)))
        binding.register(_row.code, _row.name, getattr(_module, f"{_row.name}_apart"), _row.arity,
                         tuple(ROW[f].code for f in _in_partials if ROW[f].is_apart))  # fmt: skip


def _compute_apart(code: Kind, n_operands: int) -> Intrinsic:
    """Compute a row that is compiled apart; what calls it may run where Python can't."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        bind = functools.partial(binding.bind, code.literal_value)
        bind()
        when_loaded(context.active_code_library, bind)
        return binding.call(builder, code.literal_value, list(args[1:]))

    return signature(float64, code, *[float64] * n_operands), codegen


_with_code = intrinsic(prefer_literal=True)
_module.in_special1 = _with_code(lambda typing_context, code, x: _compute_apart(code, 1))
_module.in_special2 = _with_code(lambda typing_context, code, x, y: _compute_apart(code, 2))

_FLOAT_OPTIONS = {"error_model": "numpy", "nogil": True, "forceinline": True}


def _is_float(*numbers: Kind) -> bool:
    return all(isinstance(number, types.Float | types.Integer) for number in numbers)


def calling(function: Callable[..., Any], arity: int) -> Callable[..., Any]:
    """Return a function for Numba to compile that calls one of the rules' functions.

    What compiles it may have another error model; a call keeps that of the rules.
    """
    return (lambda x: function(x)) if arity == 1 else lambda x, y: function(x, y)


def _overload_for_floats(function: Callable[..., Any], arity: int) -> None:
    if arity == 1:
        overload(function, jit_options=_FLOAT_OPTIONS)(lambda x: function if _is_float(x) else None)
    else:
        overload(function, jit_options=_FLOAT_OPTIONS, strict=False)(
            lambda x, y: function if _is_float(x, y) else None
        )


for _row in _COMPUTED:
    _overload_for_floats(FUNCTIONS[_row.name], _row.arity)


class FunctionEmitter(RowEmitter):
    """Emits rows in a function that Numba compiles: what is no instruction is another function."""

    def __init__(self, context: LoweringContext, builder: Builder) -> None:
        super().__init__(builder)
        self._context = context

    def call(self, row: Row, operands: list[Value]) -> Value:
        """Emit a call of the row as a function."""
        kind = signature(float64, *[float64] * row.arity)
        function = calling(FUNCTIONS[row.name], row.arity)
        return self._context.compile_internal(self.builder, function, kind, operands)


# --- switches ---------------------------------------------------------------------------------

# The first rows of the table share an arm of their own: the switch is an indirect jump, which is
# mispredicted more often than the few conditional ones that tell these apart.
_FIRST = ROWS[: ROW["multiply"].code + 1]
_OPERATORS = {"**": operator.pow, "%": operator.mod, "//": operator.floordiv}
_MODULES = {"math": math, "np": np}


def _whole(number: int) -> Value:
    return ir.Constant(ir.IntType(64), number)


class _SweepEmitter(RowEmitter):
    """Emits rows as the sweeps compute them: what is no instruction, as Numba lowers it."""

    def __init__(self, context: LoweringContext, builder: Builder) -> None:
        super().__init__(builder)
        self._context = context

    def call(self, row: Row, operands: list[Value]) -> Value:
        """Emit the value of an operation that isn't made of instructions alone."""
        if row.is_apart:
            return binding.call(self.builder, row.code, operands)
        if row.op.unrolls:
            return special.emit_powi(self._context, self.builder, *operands)
        assert isinstance(row.value, Call)
        module, _, name = row.value.function.rpartition(".")
        function: Any = getattr(_MODULES[module], name) if module else _OPERATORS[name]
        sig = signature(float64, *[float64] * len(operands))
        return self._context.get_function(function, sig)(self.builder, operands)

    def partial_at(self, place: int, x: Value, y: Value, z: Value) -> Callable[[Row], Value]:
        """Return what emits a row's partial derivative by an operand."""
        return lambda row: self.derivatives(row, [x, y], z)(row.partials[place])

    def times(self, w: Value, partial: Value) -> Value:
        """Emit a product that is zero as soon as either factor is."""
        return self.value(ROW["chain"], [w, partial])

    def times_of_common(self, w: Value, partial: Value) -> Value:
        """Emit the same with a jump, which is faster where nothing else jumps: it's rarely NaN."""
        builder = self.builder
        product = builder.fmul(w, partial)
        before = builder.block
        with builder.if_then(builder.fcmp_unordered("uno", product, product), likely=False):
            chained = self.times(w, partial)
            after = builder.block
        result = builder.phi(F64)
        result.add_incoming(product, before)
        result.add_incoming(chained, after)
        return result

    def of_first(self, code: Value, write: Callable[[Row], Value]) -> Value:
        """Emit a choice among what the first rows have."""
        found = [write(row) for row in _FIRST]
        chosen = found.pop()
        for row, other in zip(_FIRST[-2::-1], reversed(found), strict=True):
            is_it = self.builder.icmp_signed("==", code, _whole(row.code))
            chosen = self.builder.select(is_it, other, chosen)
        return chosen


def _chosen(builder: Builder, code: Value, rows: Iterable[Row], write: Callable[[Row], Any],
            common: Callable[[], Any], otherwise: Value | None = None) -> Value | None:  # fmt: skip
    """Emit a choice of arms by an operation's code; return what they yield, if they do."""
    end = builder.function.append_basic_block("chosen")
    others = builder.function.append_basic_block("others")
    first = builder.function.append_basic_block("common")
    builder.cbranch(builder.icmp_signed("<=", code, _whole(_FIRST[-1].code)), first, others)
    results = []

    def arm(block: ir.Block, result: Callable[[], Any]) -> None:
        builder.position_at_end(block)
        found = result()
        results.append((found, builder.block))
        builder.branch(end)

    arm(first, common)
    default = builder.function.append_basic_block("none")
    builder.position_at_end(others)
    switch = builder.switch(code, default)
    arm(default, lambda: otherwise)
    for row in rows:
        block = builder.function.append_basic_block(row.name)
        switch.add_case(_whole(row.code), block)
        arm(block, functools.partial(write, row))
    builder.position_at_end(end)
    if otherwise is None:
        return None
    chosen = builder.phi(otherwise.type)
    for found, block in results:
        chosen.add_incoming(found, block)
    return chosen


_OTHERS = _COMPUTED[len(_FIRST) :]
_DIFFERENTIATED = [row for row in _OTHERS if not row.is_piecewise_constant]


@intrinsic
def evaluate(typing_context: TypingContext, code: Kind, x: Kind, y: Kind) -> Intrinsic:
    """Return an operation's value; of what isn't computed, `x`."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        code, x, y = args
        emit = _SweepEmitter(context, builder)
        return _chosen(
            builder, code, _OTHERS,
            lambda row: emit.value(row, [x, y][: row.arity]),
            lambda: emit.of_first(code, lambda row: emit.value(row, [x, y])),
            otherwise=x,
        )  # fmt: skip

    return float64(int64, float64, float64), codegen


def _evaluate(code, x, y):
    return evaluate(code, x, y)


evaluate_float = Symbol("tapegrad_evaluate", _evaluate, float64(int64, float64, float64)).call
"""The same as a call: for loops in which it isn't most of the work."""

_SLOTS = types.CPointer(float64)


@intrinsic
def pull(typing_context: TypingContext, code: Kind, x: Kind, y: Kind, z: Kind, w: Kind, a: Kind,
         b: Kind, adjoint: Kind) -> Intrinsic:  # fmt: skip
    """Add to the adjoints of an operation's operands, its own being `w`."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        code, x, y, z, w, a, b, adjoint = args
        emit = _SweepEmitter(context, builder)

        def add(operand: Value, contribution: Value) -> None:
            place = builder.gep(adjoint, [operand])
            builder.store(builder.fadd(builder.load(place), contribution), place)

        def write_first() -> None:
            for k, operand in enumerate((a, b)):
                partial = emit.of_first(code, emit.partial_at(k, x, y, z))
                add(operand, emit.times_of_common(w, partial))

        def write(row: Row) -> None:
            derivatives = emit.derivatives(row, [x, y], z)
            for k in row.differentiable:
                operand = (a, b)[k]
                with builder.if_then(builder.icmp_signed(">", operand, _whole(0))):
                    add(operand, emit.product(w, row.partials[k], derivatives))

        _chosen(builder, code, _DIFFERENTIATED, write, write_first)
        return context.get_dummy_value()

    return types.void(int64, *[float64] * 4, int64, int64, _SLOTS), codegen


@intrinsic
def push(
    typing_context: TypingContext, code: Kind, x: Kind, y: Kind, z: Kind, t: Kind, u: Kind
) -> Intrinsic:
    """Return the tangent of an operation, those of its operands being `t` and `u`."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        code, x, y, z, t, u = args
        emit = _SweepEmitter(context, builder)
        zero = emit.number(0.0)

        def add(total: Value, tangent: Value, product: Callable[[], Value]) -> Value:
            before = builder.block
            with builder.if_then(builder.fcmp_unordered("!=", tangent, zero)):
                sum_ = builder.fadd(total, product())
                after = builder.block
            result = builder.phi(total.type)
            result.add_incoming(total, before)
            result.add_incoming(sum_, after)
            return result

        def write_first() -> Value:
            total = zero  # of which a product with a zero tangent makes no other
            for k, tangent in enumerate((t, u)):
                partial = emit.of_first(code, emit.partial_at(k, x, y, z))
                total = builder.fadd(total, emit.times_of_common(tangent, partial))
            return total

        def write(row: Row) -> Value:
            derivatives = emit.derivatives(row, [x, y], z)
            total = zero
            for k in row.differentiable:
                product = functools.partial(emit.product, (t, u)[k], row.partials[k], derivatives)
                total = add(total, (t, u)[k], product)
            return total

        return _chosen(builder, code, _DIFFERENTIATED, write, write_first, otherwise=zero)

    return float64(int64, *[float64] * 5), codegen
