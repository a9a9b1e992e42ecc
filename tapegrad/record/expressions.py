"""Operations of linearised numbers: partial derivatives are computed beside the value.

An operation's result is an expression: nothing is recorded. Where it's stored, returned or used
as a number, one statement goes to the tape, with the slots it depends on and the derivatives by
them; the sweep then need not know what was computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import lower_cast

from tapegrad import rules
from tapegrad.numba_internals import make_struct, signature, unpack_tuple
from tapegrad.numba_protocols import Builder, Kind, LoweringContext, Signature, Value, Values
from tapegrad.ops import BY_NAME
from tapegrad.record import emission
from tapegrad.record.kinds import (
    MOST_TERMS,
    ActiveType,
    ExpressionType,
    expressions,
    is_active,
    linearised,
)

_ONE, _MINUS_ONE, _ZERO = (ir.Constant(ir.DoubleType(), x) for x in (1.0, -1.0, 0.0))


class _Term(NamedTuple):
    slot: Value
    partial: Value


def count_terms(kind: Kind) -> int:
    """Return how many slots a number of a type depends on."""
    if isinstance(kind, ExpressionType):
        return int(kind.n_terms)
    return int(isinstance(kind, ActiveType))


def expression_signature(name: str, args: Sequence[Kind]) -> Signature:
    """Return the signature of an operation of numbers of which one is linearised.

    What would have too many terms is made of recorded operands.
    """
    if BY_NAME[name].is_piecewise_constant:
        return signature(types.float64, *[x if is_active(x) else types.float64 for x in args])
    if sum(map(count_terms, args)) > MOST_TERMS:
        args = [linearised if is_active(x) else x for x in args]
    kept = [x if is_active(x) else types.float64 for x in args]
    return signature(expressions[sum(map(count_terms, kept))], *kept)


def _terms(builder: Builder, kind: Kind, x: Value) -> list[_Term]:
    if isinstance(kind, ActiveType):
        return [_Term(builder.extract_value(x, 1), _ONE)]
    count = 2 + 2 * count_terms(kind)
    return [
        _Term(builder.extract_value(x, k), builder.extract_value(x, k + 1))
        for k in range(2, count, 2)
    ]


def _tape(builder: Builder, kind: Kind, x: Value) -> Value:
    return builder.extract_value(x, 2 if isinstance(kind, ActiveType) else 1)


def _chain(builder: Builder, factor: Value, partial: Value) -> Value:
    """Emit a product that is zero as soon as either factor is."""
    if factor is _ONE:
        return partial
    if partial in (_ONE, _MINUS_ONE):
        return factor if partial is _ONE else builder.fneg(factor)
    is_zero = builder.or_(
        builder.fcmp_ordered("==", factor, _ZERO), builder.fcmp_ordered("==", partial, _ZERO)
    )
    return builder.select(is_zero, _ZERO, builder.fmul(factor, partial))


def _partials(
    context: LoweringContext, builder: Builder, name: str, values: list[Value], result: Value
) -> list[Value]:
    """Emit an operation's derivatives by its operands."""
    if name in ("add", "subtract"):
        return [_ONE, _ONE if name == "add" else _MINUS_ONE]
    if name == "multiply":
        return values[::-1]
    if name == "square":
        return [builder.fadd(values[0], values[0])]
    if name in ("negative", "positive"):
        return [_MINUS_ONE if name == "negative" else _ONE]
    if name == "divide":
        # Not the result times the inverse, which overflows where the quotient doesn't.
        return [builder.fdiv(_ONE, values[1]), builder.fdiv(builder.fneg(result), values[1])]
    kind = signature(
        types.UniTuple(types.float64, len(values)), *[types.float64] * (len(values) + 1)
    )
    call = rules.calling(rules.partials(name), len(values) + 1)
    both = context.compile_internal(builder, call, kind, [*values, result])
    return unpack_tuple(builder, both)


def combine(context: LoweringContext, builder: Builder, name: str, kinds: Sequence[Kind],
            args: Values, values: list[Value], result: Value) -> Value:  # fmt: skip
    """Emit an operation's result, an expression in all its operands' terms."""
    if BY_NAME[name].is_piecewise_constant:
        return result
    terms: list[_Term] = []
    tape: Value = ir.IntType(64)(0)
    partials = _partials(context, builder, name, values, result)
    for kind, x, factor in zip(kinds, args, partials, strict=True):
        if is_active(kind):
            tape = builder.or_(tape, _tape(builder, kind, x))
            terms += [
                _Term(slot, _chain(builder, factor, partial))
                for slot, partial in _terms(builder, kind, x)
            ]
    return _make(context, builder, result, tape, terms)


def _make(
    context: LoweringContext, builder: Builder, value: Value, tape: Value, terms: list[_Term]
) -> Value:
    members = {"value": value, "tape": tape}
    for k, term in enumerate(terms):
        members |= {f"slot{k}": term.slot, f"partial{k}": term.partial}
    return make_struct(context, builder, expressions[len(terms)], **members)


@lower_cast(ExpressionType, ActiveType)
def _record(
    context: LoweringContext, builder: Builder, from_type: Kind, to_type: Kind, x: Value
) -> Value:
    value, tape = (builder.extract_value(x, k) for k in (0, 1))
    terms = _terms(builder, from_type, x)
    slots, partials = ([*column] for column in zip(*terms, strict=True))
    slot = emission.statement(builder, tape, slots, partials)
    return make_struct(context, builder, linearised, value=value, slot=slot, tape=tape)
