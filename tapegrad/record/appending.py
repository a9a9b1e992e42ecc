"""How a loop of compiled code appends to a tape: it asks for room, then keeps its place.

`room_for` is where a loop gets a tape's columns and its place on them, so that none appends
without having asked; it asks in calls of `append`, each of which writes one record and one
constant at most. The place is in registers until `leave` puts it back.
"""

from __future__ import annotations

from typing import Any

from numba import int64, types

from tapegrad.errors import TapeMemoryError
from tapegrad.jit import jit, jit_inline
from tapegrad.layout import CONSTANTS, COUNT_WORD, RECORDS
from tapegrad.memory import Columns, columns, counts, pointer
from tapegrad.ops import CODE
from tapegrad.record.kinds import ActiveValue
from tapegrad.record.numba_operations import make_active
from tapegrad.rules import evaluate_float

_N, _N_CONSTANTS = COUNT_WORD[RECORDS], COUNT_WORD[CONSTANTS]
_ADD, _SUBTRACT, _MULTIPLY = CODE["add"], CODE["subtract"], CODE["multiply"]

_grow = types.ExternalFunction("tapegrad_grow", int64(int64, int64, int64))


@jit
def _make_room(address: int, appends: int) -> None:
    if _grow(address, RECORDS, appends) == 0 or _grow(address, CONSTANTS, appends) == 0:
        raise TapeMemoryError


@jit_inline
def room_for(address: int, appends: int) -> tuple[Columns, int, int]:
    """Return a tape's columns, its next slot and next constant, with room for what's appended."""
    head = pointer(address, int64)
    is_full = head[_N] + appends > head[_N + 1]
    if is_full or head[_N_CONSTANTS] + appends > head[_N_CONSTANTS + 1]:
        _make_room(address, appends)
    slot, constant = counts(address)
    return columns(address), slot, constant


@jit_inline
def leave(address: int, slot: int, constant: int) -> None:
    """Set a tape's next slot and next constant."""
    head = pointer(address, int64)
    head[_N] = slot
    head[_N_CONSTANTS] = constant


@jit_inline
def value_of(code: int, x: float, y: float) -> Any:
    """Return an operation's value."""
    # The commonest ones before the switch, which costs a jump that is hard to predict.
    if code == _MULTIPLY:
        return x * y
    if code == _ADD:
        return x + y
    if code == _SUBTRACT:
        return x - y
    return evaluate_float(code, x, y)


@jit_inline
def append(address: int, tape: Columns, slot: int, constant: int, code: int, x: ActiveValue,
           y: ActiveValue) -> tuple[ActiveValue, int, int]:  # fmt: skip
    """Return a binary operation's result, and the next slot and constant.

    Of two passive operands it writes nothing, so that of two one at most becomes a constant.
    """
    value = value_of(code, x.value, y.value)
    if x.slot <= 0 and y.slot <= 0:
        return make_active(value, 0, 0), slot, constant
    op, a, b, values, constants = tape
    i, j = x.slot, y.slot
    if i == 0:
        constants[constant] = x.value
        i = ~constant
        constant += 1
    if j == 0:
        constants[constant] = y.value
        j = ~constant
        constant += 1
    op[slot], a[slot], b[slot], values[slot] = code, i, j, value
    return make_active(value, slot, address), slot + 1, constant


@jit_inline
def append_unary(
    address: int, tape: Columns, slot: int, code: int, x: ActiveValue
) -> tuple[ActiveValue, int]:
    """Return a unary operation's result, and the next slot."""
    value = value_of(code, x.value, 0.0)
    if x.slot == 0:
        return make_active(value, 0, 0), slot
    op, a, b, values, _ = tape
    op[slot], a[slot], b[slot], values[slot] = code, x.slot, 0, value
    return make_active(value, slot, address), slot + 1


@jit_inline
def append_constant(tape: Columns, constant: int, value: float) -> tuple[ActiveValue, int]:
    """Return a number that is a constant on the tape, and the next constant."""
    tape[4][constant] = value
    return make_active(value, ~constant, 0), constant + 1
