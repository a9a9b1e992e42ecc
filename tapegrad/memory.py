"""A tape's memory seen from compiled code: its head and its columns."""

from __future__ import annotations

from typing import Any

from numba import extending, float64, int32, int64, types, uint8

from tapegrad.jit import jit_inline
from tapegrad.layout import CONSTANTS, COUNT_WORD, GUARDS, RECORDS

_N = COUNT_WORD[RECORDS]
_OP, _A, _B, _VALUE = _N + 2, _N + 3, _N + 4, _N + 5
_N_CONSTANTS = COUNT_WORD[CONSTANTS]
_CONSTANTS = _N_CONSTANTS + 2
_N_GUARDS = COUNT_WORD[GUARDS]
_GUARD_SLOT, _GUARD_VALUE = _N_GUARDS + 2, _N_GUARDS + 3


@extending.intrinsic
def pointer(typing_context: Any, address: Any, dtype: Any) -> Any:
    """Return an address as a pointer to numbers of a type."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    kind = dtype.instance_type if isinstance(dtype, types.TypeRef) else dtype.dtype
    return types.CPointer(kind)(int64, dtype), codegen


@extending.intrinsic
def data(typing_context: Any, array: Any) -> Any:
    """Return a pointer to an array's first element.

    The loops index bare pointers: an array argument would be counted references to, and its
    indices wrapped around, in every iteration.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@extending.intrinsic
def shift(typing_context: Any, base: Any, count: Any) -> Any:
    """Return the pointer `count` elements after another."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return base(base, int64), codegen


@jit_inline
def records(head: Any) -> Any:
    """Return a tape's number of slots, operation codes and operands."""
    return (
        head[_N],
        pointer(head[_OP], uint8),
        pointer(head[_A], int32),
        pointer(head[_B], int32),
    )


@jit_inline
def guards(head: Any) -> Any:
    """Return a tape's number of guards, the slots they read and the values they must have."""
    return head[_N_GUARDS], pointer(head[_GUARD_SLOT], int32), pointer(head[_GUARD_VALUE], float64)


@jit_inline
def columns(address: int) -> Any:
    """Return pointers to a tape's operation codes, operands, values and constants.

    They hold until the tape grows.
    """
    head = pointer(address, int64)
    return (
        pointer(head[_OP], uint8),
        pointer(head[_A], int32),
        pointer(head[_B], int32),
        pointer(head[_VALUE], float64),
        pointer(head[_CONSTANTS], float64),
    )


@jit_inline
def counts(address: int) -> Any:
    """Return the next slot and the next constant's index."""
    head = pointer(address, int64)
    return head[_N], head[_N_CONSTANTS]
