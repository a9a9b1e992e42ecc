"""Operations of numbers in compiled code where one is active: Python's, `math`'s and NumPy's.

What reads a number, to compare it or to make an integer of it, leaves a guard, as in Python.
"""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import lower_builtin

from tapegrad import rules
from tapegrad.expression import INSTRUCTIONS
from tapegrad.jit import jit
from tapegrad.numba_internals import signature, type_calls, unpack_tuple
from tapegrad.numba_protocols import (
    Builder,
    Function,
    Kind,
    Lower,
    LoweringContext,
    Signature,
    Typing,
    Value,
    Values,
)
from tapegrad.ops import BY_NAME, CODE, OPERATORS, OPS
from tapegrad.record import emission
from tapegrad.record.expressions import expression_signature
from tapegrad.record.kinds import (
    ActiveType,
    ExpressionType,
    active,
    is_active,
    is_number,
    kind_in,
    linearised,
)
from tapegrad.record.numba.sites import place
from tapegrad.record.numba_operations import make, number, register, result_of, value_of
from tapegrad.rows import VALUE_SIGN

_I64 = ir.IntType(64)

_BINARY = {short: op for short, op in OPERATORS.items() if op.arity == 2 and op.name != "power"}
_OPERATORS: dict[Any, str] = {abs: "absolute"}
for _short, _op in _BINARY.items():
    if not _op.boolean:
        _OPERATORS[getattr(operator, f"i{_short}")] = _op.name
        if VALUE_SIGN.get(_op.name) not in INSTRUCTIONS:  # the others record already
            _OPERATORS[getattr(operator, _short)] = _op.name
_POWERS = (operator.pow, operator.ipow, pow, math.pow, np.power, np.float_power)
_TO_INTEGER = {int: "trunc", math.floor: "floor", math.ceil: "ceil", math.trunc: "trunc"}


def define(keys: Iterable[Function], typing: Typing, name: str, lowering: Lower) -> None:
    """Make functions of compiled code what `typing` says of argument types, or None."""
    impl_key = ("tapegrad.scalar", name)
    for key in keys:
        type_calls(key, typing, impl_key, literally=name == "power")
    lower_builtin(impl_key, types.VarArg(types.Any))(lowering)


def _numbers(builder: Builder, sig: Signature, args: Values) -> list[emission.Number]:
    return [number(builder, kind, x) for kind, x in zip(sig.args, args, strict=True)]


def _are_fitting(args: Sequence[Kind], arity: int) -> bool:
    return len(args) == arity and all(map(is_number, args)) and is_active(*args)


def _fitting(result: Kind, arity: int) -> Typing:
    """Return the typing of functions of `arity` numbers, one of them active."""

    def typing(*args: Kind) -> Signature | None:
        if not _are_fitting(args, arity):
            return None
        return signature(result, *[x if is_active(x) else types.float64 for x in args])

    return typing


# --- what the table has -----------------------------------------------------------------------


def _keys(name: str) -> list[Function]:
    """Return what NumPy and `math` call an operation."""
    op = BY_NAME[name]
    named = [getattr(np, ufunc, None) for ufunc in op.ufuncs]
    named.append(getattr(math, op.math, None) if op.math else None)
    return list(dict.fromkeys(key for key in named if key is not None))


for _key, _name in _OPERATORS.items():
    register(_key, _name)
for _op in OPS:
    if _op.arity and not _op.boolean and _op.name != "power":
        for _key in _keys(_op.name):
            if _key not in _OPERATORS and _key not in _TO_INTEGER:
                register(_key, _op.name)


# --- what reads -------------------------------------------------------------------------------


def _recorded(
    context: LoweringContext, builder: Builder, name: str, *numbers: emission.Number
) -> emission.Number:
    """Emit an operation, recorded if an operand is active."""
    value = value_of(context, builder, name, [x.value for x in numbers])
    return emission.record(builder, _I64(CODE[name]), value, *numbers)


def read(
    context: LoweringContext, builder: Builder, name: str, numbers: list[emission.Number]
) -> Value:
    """Emit an operation, and a guard that it has the value it has; return that as a float."""
    result = _recorded(context, builder, name, *numbers)
    emission.guard(builder, result, place())
    return result.value


def _define_truth(name: str, keys: list[Function]) -> None:
    def lower(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        value = read(context, builder, name, _numbers(builder, sig, args))
        return builder.fcmp_unordered("!=", value, ir.Constant(ir.DoubleType(), 0.0))

    define(keys, _fitting(types.boolean, BY_NAME[name].arity), name, lower)


for _op in OPS:
    if _op.boolean and _op.name.startswith("logical"):  # those by bits are of integers
        _define_truth(_op.name, [getattr(np, _op.name)])
    elif _op.boolean:
        _others = [getattr(operator, _op.operator, None), getattr(math, _op.name, None)]
        _define_truth(_op.name, [key for key in _others if key is not None] + _keys(_op.name))


def _is_true(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
    (x,) = _numbers(builder, sig, args)
    zero = emission.Number(ir.Constant(ir.DoubleType(), 0.0))
    value = read(context, builder, "not_equal", [x, zero])
    return builder.fcmp_unordered("!=", value, zero.value)


def _is_false(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
    return builder.not_(_is_true(context, builder, sig, args))


define([bool], _fitting(types.boolean, 1), "bool", _is_true)
define([operator.not_], _fitting(types.boolean, 1), "not", _is_false)
for _kind in (ActiveType, ExpressionType):
    lower_builtin(bool, _kind)(_is_true)


def _check_finite(x: float) -> None:
    if x != x:
        raise ValueError("cannot convert float NaN to integer")
    if x - x != 0.0:
        raise OverflowError("cannot convert float infinity to integer")


def _define_integer(keys: list[Function], name: str) -> None:
    def lower(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        (x,) = _numbers(builder, sig, args)
        finite = signature(types.none, types.float64)
        context.compile_internal(builder, _check_finite, finite, [x.value])
        return builder.fptosi(read(context, builder, name, [x]), _I64)

    define(keys, _fitting(types.int64, 1), f"integer {name}", lower)


for _name in dict.fromkeys(_TO_INTEGER.values()):
    _define_integer([key for key, name in _TO_INTEGER.items() if name == _name], _name)
_define_integer([builtins.round], "rint")


def _rounded(x: float, digits: int) -> float:
    return round(x, digits)


def _last_that_rounds_so(x: float, digits: int, sign: float) -> float:
    """Return the float furthest from `x`, in a direction, that rounds to the same number."""
    rounded, step = round(x, digits), np.spacing(abs(x))
    while round(x + sign * step, digits) == rounded:
        x += sign * step
        step *= 2.0
    while step >= np.spacing(abs(x)):
        if round(x + sign * step, digits) == rounded:
            x += sign * step
        step /= 2.0
    return x


_last = jit(_last_that_rounds_so)


def _rounding_interval(x: float, digits: int) -> tuple[float, float]:
    """Return the least and greatest float that round as `x` does; all where that is none."""
    if x != x:
        return -np.inf, np.inf
    return (x, x) if x - x != 0.0 else (_last(x, digits, -1.0), _last(x, digits, 1.0))


def _round_to(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
    (x,) = _numbers(builder, signature(sig.return_type, sig.args[0]), args[:1])
    operands = (types.float64, types.int64)
    if kind_in(sig.args[0]) is active:
        kind = signature(types.UniTuple(types.float64, 2), *operands)
        interval = context.compile_internal(builder, _rounding_interval, kind, [x.value, args[1]])
        lowest, highest = unpack_tuple(builder, interval, 2)
        read(context, builder, "greater_equal", [x, emission.Number(lowest)])
        read(context, builder, "less_equal", [x, emission.Number(highest)])
        one = emission.Number(context.get_constant(types.float64, 1.0))
        read(context, builder, "copysign", [one, x])
    kind = signature(types.float64, *operands)
    return context.compile_internal(builder, _rounded, kind, [x.value, args[1]])


define(
    [builtins.round],
    lambda *args: (
        signature(types.float64, args[0], types.int64)
        if len(args) == 2 and is_active(args[0]) and isinstance(args[1], types.Integer)
        else None
    ),
    "round to digits",
    _round_to,
)

# --- what has no record of its own ------------------------------------------------------------

define(
    [float, operator.pos],
    lambda *args: signature(args[0], args[0]) if _are_fitting(args, 1) else None,
    "float",
    lambda context, builder, sig, args: args[0],
)


def _divmod_type(*args: Kind) -> Signature | None:
    if not _are_fitting(args, 2):
        return None
    if kind_in(*args) is linearised:
        remainder = expression_signature("remainder", args)
        return signature(types.Tuple([types.float64, remainder.return_type]), *remainder.args)
    kept = [x if is_active(x) else types.float64 for x in args]
    return signature(types.UniTuple(active, 2), *kept)


def _lower_divmod(
    context: LoweringContext, builder: Builder, sig: Signature, args: Values
) -> Value:
    parts = [result_of(context, builder, sig, args, name) for name in ("floor_divide", "remainder")]
    return context.make_tuple(builder, sig.return_type, parts)


define([divmod, np.divmod], _divmod_type, "divmod", _lower_divmod)


# --- powers -----------------------------------------------------------------------------------


def _power_type(*args: Kind) -> Signature | None:
    if not _are_fitting(args, 2):
        return None
    base, exponent = args
    if kind_in(*args) is linearised:
        if isinstance(exponent, types.IntegerLiteral):
            return signature(expression_signature("square", [base]).return_type, base, exponent)
        if isinstance(exponent, types.Integer):
            return signature(expression_signature("square", [base]).return_type, base, types.int64)
        return expression_signature("power", args)
    if isinstance(exponent, types.IntegerLiteral | ActiveType):
        return signature(active, active, exponent)
    kept = types.int64 if isinstance(exponent, types.Integer) else types.float64
    return signature(active, base if is_active(base) else types.float64, kept)


def _is_whole(n: float) -> bool:
    return n - n == 0.0 and math.floor(n) == n


_whole, _any, _has_no_fraction = rules.FUNCTIONS["powi"], rules.FUNCTIONS["power"], jit(_is_whole)


def _power_of_constant(x: float, n: float) -> float:
    return _whole(x, n) if _has_no_fraction(n) else _any(x, n)


def _lower_power(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
    base, exponent = sig.args
    if isinstance(exponent, types.IntegerLiteral) and exponent.literal_value == 2:
        return _square(context, builder, signature(sig.return_type, base), args[:1])
    if isinstance(exponent, types.Integer):
        if isinstance(exponent, types.IntegerLiteral):
            y = ir.Constant(ir.DoubleType(), float(exponent.literal_value))
        else:
            y = context.cast(builder, args[1], exponent, types.float64)
        as_float = signature(sig.return_type, base, types.float64)
        return result_of(context, builder, as_float, [args[0], y], "powi")
    if is_active(exponent) or kind_in(base) is linearised:
        return result_of(context, builder, sig, args, "power")
    x, y = _numbers(builder, sig, args)
    kind = signature(types.float64, types.float64, types.float64)
    value = context.compile_internal(builder, _power_of_constant, kind, [x.value, y.value])
    kind = signature(types.boolean, types.float64)
    is_whole = context.compile_internal(builder, _is_whole, kind, [y.value])
    code = builder.select(is_whole, _I64(CODE["powi"]), _I64(CODE["power"]))
    return make(context, builder, *emission.record(builder, code, value, x, y))


def _square(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
    if kind_in(*sig.args) is linearised:
        return result_of(context, builder, sig, args, "square")
    return result_of(
        context, builder, signature(active, active, active), [*args, *args], "multiply"
    )


define(_POWERS, _power_type, "power", _lower_power)


# --- the least and the greatest ---------------------------------------------------------------


def _extremum_type(*args: Kind) -> Signature | None:
    if len(args) < 2 or not _are_fitting(args, len(args)):
        return None
    kind = kind_in(*args)
    return signature(kind, *[kind] * len(args))


def _define_extremum(function: Function, name: str) -> None:
    def lower(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        kind, (best, *others) = sig.return_type, args
        for x in others:
            pair = [number(builder, kind, x), number(builder, kind, best)]
            value = read(context, builder, name, pair)
            is_better = builder.fcmp_ordered("!=", value, ir.Constant(ir.DoubleType(), 0.0))
            best = builder.select(is_better, x, best)
        return best

    define([function], _extremum_type, function.__name__, lower)


_define_extremum(min, "less")
_define_extremum(max, "greater")
