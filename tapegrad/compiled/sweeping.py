"""The sweeps of tapes that compiled code owns.

A tape's workspace has two vectors, each with an entry a constant and an entry a slot: the
values, and what is swept. They are given and returned as addresses of the entry of slot 0.
"""

from __future__ import annotations

from typing import Any

from numba import float64, int64, types
from numba.extending import register_jitable

from tapegrad.compiled import pool
from tapegrad.jit import Symbol, jit
from tapegrad.memory import pointer, records, shift
from tapegrad.record.native import active, make_active
from tapegrad.replay.sweeps import reverse, tangent
from tapegrad.tape import CONSTANTS, COUNT_WORD, HEAD_WORDS, OWNER_WORD, RECORDS

_N, _N_CONSTANTS = COUNT_WORD[RECORDS], COUNT_WORD[CONSTANTS]
_WORK = OWNER_WORD + 1
_BYTES_OF_COPY = 1 + 4 + 4
_ACTIVE_BYTES = 24


@jit
def _copy_values(head: Any, values: Any) -> None:
    recorded, constants = pointer(head[_N + 5], float64), pointer(head[_N_CONSTANTS + 2], float64)
    for k in range(head[_N_CONSTANTS]):
        values[-1 - k] = constants[k]
    values[0] = 0.0
    for i in range(1, head[_N]):
        values[i] = recorded[i]


def _lay_out(address: int) -> int:
    """Copy a tape's values into its workspace; return where they are, or 0 without memory."""
    head = pointer(address, int64)
    length = head[_N_CONSTANTS] + head[_N]
    if head[_WORK + 1] < length:
        memory = pool.reallocate(head[_WORK], 2 * 8 * 2 * length)
        if memory == 0:
            return 0
        head[_WORK], head[_WORK + 1] = memory, 2 * length
    values = head[_WORK] + 8 * head[_N_CONSTANTS]
    _copy_values(head, pointer(values, float64))
    return values


@jit
def _cleared(head: Any, values: int) -> int:
    """Return the second vector, all zero."""
    length = head[_N_CONSTANTS] + head[_N]
    swept = values + 8 * length
    entries = pointer(swept, float64)
    for i in range(-head[_N_CONSTANTS], head[_N]):
        entries[i] = 0.0
    return swept


def _reverse(address: int, values: int, slot: int) -> int:
    """Return the adjoints of all slots for that of `slot` being one."""
    head = pointer(address, int64)
    swept = _cleared(head, values)
    adjoints = pointer(swept, float64)
    adjoints[slot] = 1.0
    reverse(head, pointer(values, float64), adjoints, slot)
    return swept


def _clear(address: int, values: int) -> int:
    return _cleared(pointer(address, int64), values)


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
    memory = pool.reallocate(
        0, 8 * HEAD_WORDS + 2 * _ACTIVE_BYTES * length + _BYTES_OF_COPY * count
    )
    if memory == 0:
        return 1
    copy = pointer(memory, int64)
    copy[_N] = count
    copy[_N + 3] = memory + 8 * HEAD_WORDS + 2 * _ACTIVE_BYTES * length
    copy[_N + 4] = copy[_N + 3] + 4 * count
    copy[_N + 2] = copy[_N + 4] + 4 * count
    values = shift(pointer(memory + 8 * HEAD_WORDS, active), n_constants)
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
    reverse(copy, values, adjoints, slot)
    slots = pointer(out, int64)
    for i in range(n):
        slots[i] = adjoints[i + 1].slot if i < slot else 0
    pool.free(memory)
    return 0


_SWEEPS = [
    Symbol("tapegrad_lay_out", _lay_out, int64(int64), on_demand=True),
    Symbol("tapegrad_clear", _clear, int64(int64, int64), on_demand=True),
    Symbol("tapegrad_reverse", _reverse, int64(int64, int64, int64), on_demand=True),
    Symbol("tapegrad_tangent", _tangent, types.void(int64, int64, int64), on_demand=True),
]
_RECORDED_SWEEP = Symbol(
    "tapegrad_record_gradient", _record_gradient, int64(int64, int64, int64, int64), on_demand=True
)
lay_out, clear, sweep_back, sweep_forward = (symbol.external for symbol in _SWEEPS)
record_gradient = _RECORDED_SWEEP.external


def provide(second_order: bool) -> None:
    """Compile or load the sweeps, for code that calls them."""
    Symbol.provide()
    for symbol in [*_SWEEPS, _RECORDED_SWEEP] if second_order else _SWEEPS:
        symbol.address()


@register_jitable
def values_of(address: int) -> int:
    """Lay a tape out for sweeps.

    Raises
    ------
    MemoryError
        Without memory for it.
    """
    values = lay_out(address)
    if values == 0:
        raise MemoryError("no memory to sweep a tape of so many slots", pointer(address, int64)[_N])
    return values
