"""Operations of active numbers: whatever Numba compiles for them records itself.

An operation appends one record if an operand is active and nothing otherwise.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import (
    intrinsic,
    lower_builtin,
    lower_cast,
    overload,
)

from tapegrad import rules
from tapegrad.expression import INSTRUCTIONS
from tapegrad.jit import jit
from tapegrad.numba_internals import make_struct, signature, type_calls
from tapegrad.numba_protocols import (
    Builder,
    Function,
    Intrinsic,
    Kind,
    LoweringContext,
    Signature,
    TypingContext,
    Value,
    Values,
)
from tapegrad.ops import BY_NAME, CODE, OPERATORS, OPS
from tapegrad.record import emission
from tapegrad.record.expressions import combine, expression_signature
from tapegrad.record.kinds import (
    ActiveType,
    ActiveValue,
    ExpressionType,
    active,
    is_active,
    is_number,
    kind_in,
    linearised,
)
from tapegrad.rows import ROW, VALUE_SIGN
from tapegrad.rules import evaluate_float

_INPUT = CODE["input"]


def make(
    context: LoweringContext, builder: Builder, value: Value, slot: Value, tape: Value
) -> Value:
    """Emit an active number."""
    return make_struct(context, builder, active, value=value, slot=slot, tape=tape)


def _make_from_parts(
    context: LoweringContext, builder: Builder, sig: Signature, args: Values
) -> Value:
    return make(context, builder, *args)


@intrinsic
def make_active(typing_context: TypingContext, value: Kind, slot: Kind, tape: Kind) -> Intrinsic:
    """Return an active number from its three parts."""
    return active(types.float64, types.int64, types.int64), _make_from_parts


@intrinsic
def make_linearised(
    typing_context: TypingContext, value: Kind, slot: Kind, tape: Kind
) -> Intrinsic:
    """Return a linearised number from its three parts."""
    return linearised(types.float64, types.int64, types.int64), _make_from_parts


@lower_cast(types.Float, ActiveType)
@lower_cast(types.Integer, ActiveType)
@lower_cast(types.Boolean, ActiveType)
def _passive(
    context: LoweringContext, builder: Builder, from_type: Kind, to_type: Kind, x: Value
) -> Value:
    value = context.cast(builder, x, from_type, types.float64)
    zero = context.get_constant(types.int64, 0)
    return make(context, builder, value, zero, zero)


# --- records ----------------------------------------------------------------------------------


def number(builder: Builder, kind: Kind, x: Value) -> emission.Number:
    """Return a number in registers; of one that leaves no records, its value alone."""
    if not is_active(kind):
        return emission.Number(x)
    if kind != active:
        return emission.Number(builder.extract_value(x, 0))
    return emission.Number(*(builder.extract_value(x, k) for k in range(3)))


@intrinsic
def record1(typing_context: TypingContext, code: Kind, x: Kind, value: Kind) -> Intrinsic:
    """Return the result of a unary operation, recorded if `x` is active."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        code, x, value = args
        result = emission.record(builder, code, value, number(builder, active, x))
        return make(context, builder, *result)

    return active(types.int64, active, types.float64), codegen


@intrinsic
def record2(typing_context: TypingContext, code: Kind, x: Kind, y: Kind, value: Kind) -> Intrinsic:
    """Return the result of a binary operation, recorded if an operand is active."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        code, x, y, value = args
        operands = [number(builder, active, operand) for operand in (x, y)]
        return make(context, builder, *emission.record(builder, code, value, *operands))

    return active(types.int64, active, active, types.float64), codegen


@intrinsic
def _read(typing_context: TypingContext, code: Kind, x: Kind, y: Kind, value: Kind) -> Intrinsic:
    """Record an operation of numbers, and guard its value."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        code, x, y, value = args
        operands = [number(builder, active, x)]
        if sig.args[2] != types.none:
            operands.append(number(builder, active, y))
        emission.guard(builder, emission.record(builder, code, value, *operands))
        return context.get_dummy_value()

    return types.void(types.int64, active, y if y == types.none else active, types.float64), codegen


def value_of(context: LoweringContext, builder: Builder, name: str, values: list[Value]) -> Value:
    """Emit an operation of floats."""
    return rules.FunctionEmitter(context, builder).value(ROW[name], values)


def result_of(
    context: LoweringContext, builder: Builder, sig: Signature, args: Values, name: str
) -> Value:
    """Emit an operation whose result is a number, recorded if an operand is active."""
    numbers = [number(builder, kind, x) for kind, x in zip(sig.args, args, strict=True)]
    values = [x.value for x in numbers]
    value = value_of(context, builder, name, values)
    if kind_in(*sig.args) is linearised:
        return combine(context, builder, name, sig.args, args, values, value)
    code = ir.Constant(ir.IntType(64), CODE[name])
    return make(context, builder, *emission.record(builder, code, value, *numbers))


def register(key: Function, name: str) -> None:
    """Make `key`, in compiled code, record the operation `name` when an argument is active."""
    op = BY_NAME[name]

    def typing(*args: Kind) -> Signature | None:
        if len(args) != op.arity or not all(map(is_number, args)) or not is_active(*args):
            return None
        if kind_in(*args) is linearised:
            return expression_signature(name, args)
        return signature(active, *[x if is_active(x) else types.float64 for x in args])

    type_calls(key, typing, (_KEY, name))
    if name in _lowered:
        return
    _lowered.add(name)

    def lower(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        return result_of(context, builder, sig, args, name)

    lower_builtin((_KEY, name), types.VarArg(types.Any))(lower)


_KEY = "tapegrad.operation"
_lowered: set[str] = set()

for _op in OPS:
    if _op.arity:
        register(rules.FUNCTIONS[_op.name], _op.name)
for _short, _op in OPERATORS.items():
    if VALUE_SIGN.get(_op.name) in INSTRUCTIONS:
        register(getattr(operator, _short), _op.name)


_UNARY = np.array([op.arity == 1 for op in OPS])


def as_active(x: float) -> Any:
    """Return a number as an active one; for compiled code."""


@overload(as_active, jit_options={"forceinline": True})
def _(x):
    if isinstance(x, ExpressionType):
        return lambda x: _recorded(x)
    if is_active(x):
        return lambda x: x
    return lambda x: make_active(x, 0, 0)


@intrinsic
def _recorded(typing_context: TypingContext, x: Kind) -> Intrinsic:
    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        return context.cast(builder, args[0], sig.args[0], linearised)

    return linearised(x), codegen


@jit
def evaluate(code, x, y):
    """Return an operation of two active numbers, recorded if one is."""
    if code == _INPUT:
        return x
    value = evaluate_float(code, x.value, y.value)
    return record1(code, x, value) if _UNARY[code] else record2(code, x, y, value)


def read(code: int, x: ActiveValue, y: ActiveValue | None, value: float) -> None:
    """Record that an operation has a value, under a guard; for compiled code.

    `y` is None if the operation has one operand. Numbers that leave no records need none.
    """


@overload(read, jit_options={"forceinline": True})
def _(code, x, y, value):
    if kind_in(x, y) is not active:
        return lambda code, x, y, value: None
    if isinstance(y, types.NoneType):
        return lambda code, x, y, value: _read(code, x, y, value)
    return lambda code, x, y, value: _read(code, as_active(x), as_active(y), value)
