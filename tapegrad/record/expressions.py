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
from tapegrad.expression import ZERO, Expression, Folding
from tapegrad.instructions import RowEmitter
from tapegrad.numba_internals import make_struct, signature
from tapegrad.numba_protocols import Builder, Kind, LoweringContext, Signature, Value, Values
from tapegrad.record import emission
from tapegrad.record.kinds import (
    MOST_TERMS,
    ActiveType,
    ExpressionType,
    expressions,
    is_active,
    linearised,
)
from tapegrad.rows import ROW

_ONE, _ZERO = (ir.Constant(ir.DoubleType(), x) for x in (1.0, 0.0))


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
    if ROW[name].is_piecewise_constant:
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


def combine(context: LoweringContext, builder: Builder, name: str, kinds: Sequence[Kind],
            args: Values, values: list[Value], result: Value) -> Value:  # fmt: skip
    """Emit an operation's result, an expression in all its operands' terms."""
    row = ROW[name]
    if row.is_piecewise_constant:
        return result
    terms: list[_Term] = []
    tape: Value = ir.IntType(64)(0)
    emitter = rules.FunctionEmitter(context, builder)
    derivatives = emitter.derivatives(row, values, result)
    for kind, x, partial in zip(kinds, args, row.partials, strict=True):
        if is_active(kind):
            tape = builder.or_(tape, _tape(builder, kind, x))
            by_operand = derivatives(partial)
            terms += [
                _Term(slot, by_operand if w is _ONE else _times(emitter, w, partial, derivatives))
                for slot, w in _terms(builder, kind, x)
            ]
    return _make(context, builder, result, tape, terms)


def _times(
    emitter: RowEmitter, w: Value, partial: Expression, derivatives: Folding[Value]
) -> Value:
    return _ZERO if partial == ZERO else emitter.product(w, partial, derivatives)


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
