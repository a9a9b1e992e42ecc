"""The sweeps: three loops over a tape, in stretches between the calls of blocks.

`value`, `adjoint` and `tangents` have an entry a slot, with entry 0 zero.
"""

from __future__ import annotations

from typing import Any

from numba import float64, int64, types

from tapegrad.blocks import NUMBERS_WORD
from tapegrad.jit import Symbol, jit_inline
from tapegrad.layout import CALLS_WORD
from tapegrad.memory import call_at, guards, pointer, records
from tapegrad.ops import CODE
from tapegrad.rules import evaluate, pull, push

INPUT = CODE["input"]

_HEAD, _SLOTS = types.CPointer(int64), types.CPointer(float64)


@jit_inline
def _slot_of_call(head: Any, k: int, otherwise: int) -> int:
    """Return the slot of a call, if there are so many."""
    if k < 0 or k >= head[CALLS_WORD]:
        return int64(otherwise)
    return pointer(head[CALLS_WORD + 1], int64)[3 * k]


@jit_inline
def _n_results(head: Any, k: int) -> int:
    """Return how many results a call has."""
    words = pointer(pointer(head[CALLS_WORD + 1], int64)[3 * k + 2], int64)
    return words[NUMBERS_WORD + 1]


def _forward(head: Any, value: Any) -> int:
    """Fill `value`, its inputs set; return the index of the first guard that fails, or -1.

    Of a call that fails it's counted on after the guards.
    """
    n, op, a, b = records(head)
    n_guards, guard_slot, guard_value = guards(head)
    start, k, call = int64(1), int64(0), int64(0)
    slot = _slot_of_call(head, call, n)
    while True:
        stop = guard_slot[k] + 1 if k < n_guards else n
        at = min(stop, slot)
        for i in range(start, at):
            value[i] = evaluate(op[i], value[a[i]], value[b[i]])
        if slot < stop:
            value[slot] = 0.0
            if call_at(head[CALLS_WORD + 2], (head, value, value, call)) != 0:
                return n_guards + call
            start = slot + 1 + _n_results(head, call)
            call += 1
            slot = _slot_of_call(head, call, n)
            continue
        start = max(start, stop)
        if k == n_guards:
            return -1
        if value[guard_slot[k]] != guard_value[k]:
            return k
        k += 1


def _reverse(head: Any, value: Any, adjoint: Any, last: int) -> int:
    """Propagate the adjoints of slots `last`, `last - 1`, ..., 1; return 0 if all went well."""
    _, op, a, b = records(head)
    call = head[CALLS_WORD] - 1
    i = int64(last)
    while True:
        slot = _slot_of_call(head, call, 0)
        first = slot + _n_results(head, call) if slot > 0 else int64(0)
        while i > first:
            w = adjoint[i]
            if w != 0.0:
                pull(op[i], value[a[i]], value[b[i]], value[i], w, a[i], b[i], adjoint)
            i -= 1
        if slot == 0:
            return 0
        if i > slot:
            # Of a call that is reached in its results, those beyond have no adjoint.
            for j in range(i + 1, first + 1):
                adjoint[j] = 0.0
            status = call_at(head[CALLS_WORD + 3], (head, value, adjoint, call))
            if status != 0:
                return status
        i = min(i, slot - 1)
        call -= 1


def _tangent(head: Any, value: Any, tangents: Any) -> int:
    """Propagate the tangents of the inputs, already set; return 0 if all went well."""
    n, op, a, b = records(head)
    start, call = int64(1), int64(0)
    while True:
        slot = _slot_of_call(head, call, n)
        for i in range(start, slot):
            if op[i] == INPUT:
                continue
            t = tangents[a[i]] if a[i] > 0 else 0.0
            u = tangents[b[i]] if b[i] > 0 else 0.0
            if t == 0.0 and u == 0.0:
                tangents[i] = 0.0
            else:
                tangents[i] = push(op[i], value[a[i]], value[b[i]], value[i], t, u)
        if slot == n:
            return 0
        tangents[slot] = 0.0
        status = call_at(head[CALLS_WORD + 4], (head, value, tangents, call))
        if status != 0:
            return status
        start = slot + 1 + _n_results(head, call)
        call += 1


# Compiled once, whatever calls them: most of what a first gradient has to wait for.
forward = Symbol("tapegrad_sweep_forward", _forward, int64(_HEAD, _SLOTS)).call
reverse = Symbol("tapegrad_sweep_reverse", _reverse, int64(_HEAD, _SLOTS, _SLOTS, int64)).call
tangent = Symbol("tapegrad_sweep_tangent", _tangent, int64(_HEAD, _SLOTS, _SLOTS)).call
