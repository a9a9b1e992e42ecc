"""A tape's memory seen from compiled code: its head, its columns, and how to append to them."""

from __future__ import annotations

from typing import Any

from numba import extending, float64, int32, int64, types, uint8

from tapegrad.jit import jit_inline
from tapegrad.tape import CONSTANTS, COUNT_WORD, GUARDS, RECORDS

_N = COUNT_WORD[RECORDS]
_CAPACITY = _N + 1
_OP, _A, _B, _VALUE = _N + 2, _N + 3, _N + 4, _N + 5
_N_CONSTANTS = COUNT_WORD[CONSTANTS]
_CONSTANTS_CAPACITY = _N_CONSTANTS + 1
_CONSTANTS = _N_CONSTANTS + 2
_N_GUARDS = COUNT_WORD[GUARDS]
_GUARD_SLOT, _GUARD_VALUE = _N_GUARDS + 2, _N_GUARDS + 3

grow = types.ExternalFunction("tapegrad_grow", types.void(int64, int64))
"""Make room in a group of a tape's columns: `grow(address, group)`."""


@extending.intrinsic
def pointer(typing_context: Any, address: Any, dtype: Any) -> Any:
    """Return an address as a pointer to numbers of a type."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(dtype.dtype)(int64, dtype), codegen


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
def append(address: int, code: int, a: int, b: int, value: float) -> Any:
    """Append one record to the tape at an address and return its slot."""
    head = pointer(address, int64)
    if head[_N] == head[_CAPACITY]:
        grow(address, RECORDS)
    slot = head[_N]
    pointer(head[_OP], uint8)[slot] = code
    pointer(head[_A], int32)[slot] = a
    pointer(head[_B], int32)[slot] = b
    pointer(head[_VALUE], float64)[slot] = value
    head[_N] = slot + 1
    return slot


@jit_inline
def append_constant(address: int, value: float) -> Any:
    """Append to the constant pool and return the operand that means it."""
    head = pointer(address, int64)
    if head[_N_CONSTANTS] == head[_CONSTANTS_CAPACITY]:
        grow(address, CONSTANTS)
    index = head[_N_CONSTANTS]
    pointer(head[_CONSTANTS], float64)[index] = value
    head[_N_CONSTANTS] = index + 1
    return ~index


@jit_inline
def columns(address: int) -> Any:
    """Return pointers to a tape's operation codes, operands, values and constants.

    They hold until the tape grows: for loops that append to memory reserved before.
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


@jit_inline
def advance(address: int, slot: int, constant: int) -> None:
    """Set the next slot and the next constant's index."""
    head = pointer(address, int64)
    head[_N] = slot
    head[_N_CONSTANTS] = constant
