"""The sweeps of tapes that compiled code owns.

What is swept is in the tape's workspace, given and returned as the address of slot 0's entry. A
linearised tape needs no more; of another one the workspace also has the values, with an entry a
constant and an entry a slot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import float64, int32, int64, types
from numba.extending import register_jitable

from tapegrad import binding
from tapegrad.embed import pool
from tapegrad.errors import TapeMemoryError
from tapegrad.jit import Symbol, jit
from tapegrad.layout import (
    CONSTANTS,
    COUNT_WORD,
    ENTRIES,
    FAILED_WORD,
    HEAD_WORDS,
    RECORDS,
    STATEMENTS,
    WORK_WORD,
)
from tapegrad.memory import Head, Pointer, pointer, records, shift
from tapegrad.numba_protocols import Signature
from tapegrad.record import templates
from tapegrad.record.expansion import MOST_RECORDS, reverse
from tapegrad.record.kinds import active
from tapegrad.record.numba_operations import make_active
from tapegrad.replay.sweeps import tangent

_N, _N_CONSTANTS = COUNT_WORD[RECORDS], COUNT_WORD[CONSTANTS]
_N_STATEMENTS, _N_ENTRIES = COUNT_WORD[STATEMENTS], COUNT_WORD[ENTRIES]
_BYTES_OF_COPY = 1 + 4 + 4
_ACTIVE_BYTES = 24
_PLACES, _ = templates.places()
_BYTES_OF_PLACES = 8 + 8


@jit
def _workspace(head: Head, length: int) -> int:
    """Return the address of a workspace of so many numbers, or 0 without memory for it."""
    if head[WORK_WORD + 1] < length:
        memory = pool.reallocate(head[WORK_WORD], 2 * 8 * length)
        if memory == 0:
            return 0
        head[WORK_WORD], head[WORK_WORD + 1] = memory, 2 * length
    return head[WORK_WORD]


@jit
def _clear(numbers: Pointer[float], first: int, stop: int) -> None:
    for i in range(first, stop):
        numbers[i] = 0.0


# --- of linearised tapes ----------------------------------------------------------------------


@jit
def _statements(head: Head) -> Any:
    """Return the number of statements, their first entries, and the entries' columns."""
    return (
        head[_N_STATEMENTS],
        pointer(head[_N_STATEMENTS + 2], int32),
        pointer(head[_N_ENTRIES + 2], int32),
        pointer(head[_N_ENTRIES + 3], float64),
    )


def _clear_linearised(address: int) -> int:
    """Return a cleared workspace for what is swept, or 0 without memory for it."""
    head = pointer(address, int64)
    swept = _workspace(head, head[_N_STATEMENTS])
    if swept != 0:
        _clear(pointer(swept, float64), 0, head[_N_STATEMENTS])
    return swept


def _reverse_linearised(address: int, swept: int, last: int) -> None:
    head = pointer(address, int64)
    adjoint = pointer(swept, float64)
    n, first, slot, partial = _statements(head)
    adjoint[last] = 1.0
    stop = first[last + 1] if last + 1 < n else head[_N_ENTRIES]
    for i in range(last, 0, -1):
        w, start = adjoint[i], first[i]
        if w != 0.0:
            for k in range(start, stop):
                if partial[k] != 0.0:
                    adjoint[slot[k]] += w * partial[k]
        stop = start


def _tangent_linearised(address: int, swept: int) -> None:
    head = pointer(address, int64)
    tangents = pointer(swept, float64)
    n, first, slot, partial = _statements(head)
    start = first[1] if n > 1 else 0
    for i in range(1, n):
        stop = first[i + 1] if i + 1 < n else head[_N_ENTRIES]
        for k in range(start, stop):
            t = tangents[slot[k]]
            if t != 0.0 and partial[k] != 0.0:
                tangents[i] += t * partial[k]
        start = stop


# --- of records -------------------------------------------------------------------------------


@jit
def _copy_values(head: Head, values: Pointer[float]) -> None:
    recorded, constants = pointer(head[_N + 5], float64), pointer(head[_N_CONSTANTS + 2], float64)
    for k in range(head[_N_CONSTANTS]):
        values[-1 - k] = constants[k]
    values[0] = 0.0
    for i in range(1, head[_N]):
        values[i] = recorded[i]


def _lay_out(address: int) -> int:
    """Copy a tape's values into its workspace; return where they are, or 0 without memory."""
    head = pointer(address, int64)
    memory = _workspace(head, 2 * (head[_N_CONSTANTS] + head[_N]))
    if memory == 0:
        return 0
    values = memory + 8 * head[_N_CONSTANTS]
    _copy_values(head, pointer(values, float64))
    return values


def _clear_recorded(address: int, values: int) -> int:
    """Return the second half of the workspace, all zero."""
    head = pointer(address, int64)
    swept = values + 8 * (head[_N_CONSTANTS] + head[_N])
    _clear(pointer(swept, float64), -head[_N_CONSTANTS], head[_N])
    return swept


def _tangent(address: int, values: int, tangents: int) -> None:
    tangent(pointer(address, int64), pointer(values, float64), pointer(tangents, float64))


def _record_gradient(address: int, slot: int, n: int, out: int) -> int:
    """Record the reverse sweep of a tape on that tape; write the slots of `n` inputs' adjoints.

    The sweep reads a copy of the records: the tape's own move as it grows. Returns whether there
    was no memory.
    """
    head = pointer(address, int64)
    count, n_constants = slot + 1, head[_N_CONSTANTS]
    length = n_constants + count
    n_places = len(_PLACES)
    before = 8 * HEAD_WORDS + _BYTES_OF_PLACES * n_places
    memory = pool.reallocate(0, before + 2 * _ACTIVE_BYTES * length + _BYTES_OF_COPY * count)
    if memory == 0:
        return 1
    copy = pointer(memory, int64)
    copy[_N] = count
    copy[_N + 3] = memory + before + 2 * _ACTIVE_BYTES * length
    copy[_N + 4] = copy[_N + 3] + 4 * count
    copy[_N + 2] = copy[_N + 4] + 4 * count
    place_values = pointer(memory + 8 * HEAD_WORDS, float64)
    place_slots = pointer(memory + 8 * (HEAD_WORDS + n_places), int64)
    for k in range(n_places):
        place_values[k], place_slots[k] = _PLACES[k], 0
    values = shift(pointer(memory + before, active), n_constants)
    adjoints = shift(values, length)
    _, op, a, b = records(head)
    _, op_copy, a_copy, b_copy = records(copy)
    recorded, constants = pointer(head[_N + 5], float64), pointer(head[_N_CONSTANTS + 2], float64)
    for k in range(n_constants):
        values[-1 - k] = make_active(constants[k], 0, 0)
        adjoints[-1 - k] = make_active(0.0, 0, 0)
    for i in range(count):
        op_copy[i], a_copy[i], b_copy[i] = op[i], a[i], b[i]
        values[i] = make_active(recorded[i], i, address) if i > 0 else make_active(0.0, 0, 0)
        adjoints[i] = make_active(0.0, 0, 0)
    adjoints[slot] = make_active(1.0, 0, 0)
    position = slot
    while position > 0 and head[FAILED_WORD] == 0:
        pool.reserve(address, RECORDS, MOST_RECORDS)
        pool.reserve(address, CONSTANTS, MOST_RECORDS)
        if head[FAILED_WORD] == 0:
            position = reverse(
                copy, address, values, adjoints, place_values, place_slots, position, 0
            )
    slots = pointer(out, int64)
    for i in range(n):
        slots[i] = adjoints[i + 1].slot if i < slot else 0
    pool.free(memory)
    return 0


def _symbol(function: Callable[..., Any], signature: Signature) -> Symbol:
    return Symbol(f"tapegrad{function.__name__}", function, signature)


clear_linearised = _symbol(_clear_linearised, int64(int64)).call
reverse_linearised = _symbol(_reverse_linearised, types.void(int64, int64, int64)).call
tangent_linearised = _symbol(_tangent_linearised, types.void(int64, int64)).call
lay_out = _symbol(_lay_out, int64(int64)).call
clear_recorded = _symbol(_clear_recorded, int64(int64, int64)).call
tangent_recorded = _symbol(_tangent, types.void(int64, int64, int64)).call
record_gradient = _symbol(_record_gradient, int64(int64, int64, int64, int64)).call


def provide(second_order: bool) -> None:
    """Make ready what code that records, and sweeps, names where Python may not be run."""
    Symbol.provide()
    if second_order:
        binding.bind_derivatives()


@register_jitable
def without_memory(n: int) -> None:
    """Raise the error of a sweep that has no memory."""
    raise TapeMemoryError("no memory to sweep a tape of this many slots", n)
