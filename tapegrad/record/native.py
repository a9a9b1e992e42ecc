"""Operations of active numbers: whatever Numba compiles for them records itself.

An operation appends one record if an operand is active and nothing otherwise.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import (
    intrinsic,
    lower_builtin,
    lower_cast,
    overload,
)

from tapegrad import rules
from tapegrad.expression import INSTRUCTIONS
from tapegrad.jit import jit
from tapegrad.ops import BY_NAME, CODE, OPERATORS, OPS
from tapegrad.record import emission
from tapegrad.record.expressions import combine, expression_signature
from tapegrad.record.kinds import (
    ActiveType,
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


def make(context: Any, builder: Any, value: Any, slot: Any, tape: Any) -> Any:
    """Emit an active number."""
    struct = cgutils.create_struct_proxy(active)(context, builder)
    struct.value, struct.slot, struct.tape = value, slot, tape
    return struct._getvalue()


def _make_from_parts(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return make(context, builder, *args)


@intrinsic
def make_active(typing_context: Any, value: Any, slot: Any, tape: Any) -> Any:
    """Return an active number from its three parts."""
    return active(types.float64, types.int64, types.int64), _make_from_parts


@intrinsic
def make_linearised(typing_context: Any, value: Any, slot: Any, tape: Any) -> Any:
    """Return a linearised number from its three parts."""
    return linearised(types.float64, types.int64, types.int64), _make_from_parts


@lower_cast(types.Float, ActiveType)
@lower_cast(types.Integer, ActiveType)
@lower_cast(types.Boolean, ActiveType)
def _passive(context: Any, builder: Any, from_type: Any, to_type: Any, x: Any) -> Any:
    value = context.cast(builder, x, from_type, types.float64)
    zero = context.get_constant(types.int64, 0)
    return make(context, builder, value, zero, zero)


# --- records ----------------------------------------------------------------------------------


def number(builder: Any, kind: Any, x: Any) -> emission.Number:
    """Return a number in registers; of one that leaves no records, its value alone."""
    if not is_active(kind):
        return emission.Number(x)
    if kind != active:
        return emission.Number(builder.extract_value(x, 0))
    return emission.Number(*(builder.extract_value(x, k) for k in range(3)))


@intrinsic
def record1(typing_context: Any, code: Any, x: Any, value: Any) -> Any:
    """Return the result of a unary operation, recorded if `x` is active."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        code, x, value = args
        result = emission.record(builder, code, value, number(builder, active, x))
        return make(context, builder, *result)

    return active(types.int64, active, types.float64), codegen


@intrinsic
def record2(typing_context: Any, code: Any, x: Any, y: Any, value: Any) -> Any:
    """Return the result of a binary operation, recorded if an operand is active."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        code, x, y, value = args
        operands = [number(builder, active, operand) for operand in (x, y)]
        return make(context, builder, *emission.record(builder, code, value, *operands))

    return active(types.int64, active, active, types.float64), codegen


def value_of(context: Any, builder: Any, name: str, values: list[Any]) -> Any:
    """Emit an operation of floats."""
    return rules.FunctionEmitter(context, builder).value(ROW[name], values)


def register(key: Any, name: str) -> None:
    """Make `key`, in compiled code, record the operation `name` when an argument is active."""
    op = BY_NAME[name]
    code = ir.Constant(ir.IntType(64), op.code)

    class Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            fits = len(args) == op.arity and not kws and all(map(is_number, args))
            if not fits or not is_active(*args):
                return None
            if kind_in(*args) is linearised:
                return expression_signature(name, args)
            return signature(active, *[x if is_active(x) else types.float64 for x in args])

        def get_impl_key(self, sig: Any) -> Any:
            return _KEY, name

    Template.key = key
    infer_global(key)(Template)
    if name in _lowered:
        return
    _lowered.add(name)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        numbers = [number(builder, kind, x) for kind, x in zip(sig.args, args, strict=True)]
        values = [x.value for x in numbers]
        value = value_of(context, builder, name, values)
        if kind_in(*sig.args) is linearised:
            return combine(context, builder, name, sig.args, args, values, value)
        return make(context, builder, *emission.record(builder, code, value, *numbers))

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


def as_active(x):
    """Return a number as an active one; for compiled code."""


@overload(as_active, jit_options={"forceinline": True})
def _(x):
    if isinstance(x, ExpressionType):
        return lambda x: _recorded(x)
    if is_active(x):
        return lambda x: x
    return lambda x: make_active(x, 0, 0)


@intrinsic
def _recorded(typing_context: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.cast(builder, args[0], sig.args[0], linearised)

    return linearised(x), codegen


@jit
def evaluate(code, x, y):
    """Return an operation of two active numbers, recorded if one is."""
    if code == _INPUT:
        return x
    value = evaluate_float(code, x.value, y.value)
    return record1(code, x, value) if _UNARY[code] else record2(code, x, y, value)
