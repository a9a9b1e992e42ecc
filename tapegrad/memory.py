"""A tape's memory seen from compiled code: its head and its columns."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, TypeVar

from llvmlite import ir
from numba import extending, float64, int32, int64, types, uint8

from tapegrad.layout import (
    CONSTANTS,
    COUNT_WORD,
    GUARDS,
    INPUTS_WORD,
    OPERANDS,
    OUTPUTS_WORD,
    RECORDS,
)
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

Entry = TypeVar("Entry")

_N = COUNT_WORD[RECORDS]
_OP, _A, _B, _VALUE = _N + 2, _N + 3, _N + 4, _N + 5
_N_CONSTANTS = COUNT_WORD[CONSTANTS]
_CONSTANTS = _N_CONSTANTS + 2
_N_GUARDS = COUNT_WORD[GUARDS]
_GUARD_SLOT, _GUARD_VALUE = _N_GUARDS + 2, _N_GUARDS + 3


class Pointer(Protocol[Entry]):
    """Memory in compiled code, whose bounds nothing looks at."""

    def __getitem__(self, index: int) -> Entry: ...
    def __setitem__(self, index: int, value: Entry) -> None: ...


Head: TypeAlias = Pointer[int]
"""A tape's head: its counts, and the addresses of its columns."""

Columns: TypeAlias = tuple[Pointer[int], Pointer[int], Pointer[int], Pointer[float], Pointer[float]]
"""Operation codes, operands, values and constants."""


@extending.intrinsic
def pointer(typing_context: TypingContext, address: Kind, dtype: Kind) -> Intrinsic:
    """Return an address as a pointer to numbers of a type."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        return builder.inttoptr(args[0], context.get_value_type(sig.return_type))

    kind = dtype.instance_type if isinstance(dtype, types.TypeRef) else dtype.dtype
    return types.CPointer(kind)(int64, dtype), codegen


@extending.intrinsic
def data(typing_context: TypingContext, array: Kind) -> Intrinsic:
    """Return a pointer to an array's first element.

    The loops index bare pointers: an array argument would be counted references to, and its
    indices wrapped around, in every iteration.
    """

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        return context.make_array(sig.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@extending.intrinsic
def shift(typing_context: TypingContext, base: Kind, count: Kind) -> Intrinsic:
    """Return the pointer `count` elements after another."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        return builder.gep(args[0], [args[1]])

    return base(base, int64), codegen


@extending.intrinsic
def address(typing_context: TypingContext, place: Kind) -> Intrinsic:
    """Return where a pointer points."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        return builder.ptrtoint(args[0], ir.IntType(64))

    return int64(place), codegen


@extending.intrinsic
def call_at(typing_context: TypingContext, function: Kind, arguments: Kind) -> Intrinsic:
    """Call a function by its address with whole numbers and pointers; return its status."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        given = [builder.extract_value(args[1], k) for k in range(len(sig.args[1]))]
        kind = ir.FunctionType(ir.IntType(64), [argument.type for argument in given])
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), given)

    return int64(int64, arguments), codegen


def _reading(doc: str, *fields: tuple[int, Kind | None]) -> Any:
    """Return a function, for compiled code, that reads words of a head as pointers or numbers.

    It's an intrinsic because compiling a function that does the same takes Numba ten times as
    long, which every kernel would wait for.
    """
    kinds = [types.int64 if kind is None else types.CPointer(kind) for _, kind in fields]

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        word = ir.IntType(64)
        head = args[0]
        if head.type == word:
            head = builder.inttoptr(head, word.as_pointer())
        values = []
        for (index, _), kind in zip(fields, kinds, strict=True):
            value = builder.load(builder.gep(head, [word(index)]))
            if kind != types.int64:
                value = builder.inttoptr(value, context.get_value_type(kind))
            values.append(value)
        return context.make_tuple(builder, sig.return_type, values)

    def read(typing_context: TypingContext, head: Kind) -> Intrinsic:
        return types.Tuple(kinds)(head), codegen

    read.__doc__ = doc
    return extending.intrinsic(read)


_COLUMNS = ((_OP, uint8), (_A, int32), (_B, int32), (_VALUE, float64), (_CONSTANTS, float64))
records = _reading(
    "Return a tape's number of slots, operation codes and operands.", (_N, None), *_COLUMNS[:3]
)
guards = _reading(
    "Return a tape's number of guards, the slots they read and the values they must have.",
    (_N_GUARDS, None), (_GUARD_SLOT, int32), (_GUARD_VALUE, float64),
)  # fmt: skip
guard_sites = _reading(
    "Return a tape's number of guards, and the numbers of the places where they were left.",
    (_N_GUARDS, None), (_N_GUARDS + 4, int32),
)  # fmt: skip
columns = _reading(
    "Return pointers to a tape's operation codes, operands, values and constants; they hold "
    "until it grows.", *_COLUMNS,
)  # fmt: skip
call_operands = _reading(
    "Return a pointer to the operands of a tape's calls.", (COUNT_WORD[OPERANDS] + 2, int32)
)
counts = _reading(
    "Return the next slot and the next constant's index.", (_N, None), (_N_CONSTANTS, None)
)
inputs = _reading(
    "Return the number of inputs of an ended tape, and their slots.",
    (INPUTS_WORD, None), (INPUTS_WORD + 1, int32),
)  # fmt: skip
outputs = _reading(
    "Return the number of outputs of an ended tape, and the operands that they are.",
    (OUTPUTS_WORD, None), (OUTPUTS_WORD + 1, int32),
)  # fmt: skip


@extending.intrinsic
def slots(typing_context: TypingContext, head: Kind, workspace: Kind) -> Intrinsic:
    """Return a pointer to the entry of slot 0 in a workspace, which follows the constants'."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        word = ir.IntType(64)
        base = context.make_array(sig.args[1])(context, builder, args[1]).data
        return builder.gep(base, [builder.load(builder.gep(args[0], [word(_N_CONSTANTS)]))])

    return types.CPointer(workspace.dtype)(head, workspace), codegen
