"""The sweeps: three loops over a tape.

`value`, `adjoint` and `tangents` have an entry a slot, with entry 0 zero.
"""

from __future__ import annotations

from typing import Any

from numba import float64, int64, types

from tapegrad.jit import Symbol
from tapegrad.memory import guards, records
from tapegrad.ops import CODE
from tapegrad.rules import evaluate, pull, push

INPUT = CODE["input"]

_HEAD, _SLOTS = types.CPointer(int64), types.CPointer(float64)


def _forward(head: Any, value: Any) -> int:
    """Fill `value`, its inputs set; return the index of the first guard that fails, or -1."""
    n, op, a, b = records(head)
    n_guards, guard_slot, guard_value = guards(head)
    start = 1
    for k in range(n_guards + 1):
        stop = guard_slot[k] + 1 if k < n_guards else n
        for i in range(start, stop):
            value[i] = evaluate(op[i], value[a[i]], value[b[i]])
        start = max(start, stop)
        if k < n_guards and value[guard_slot[k]] != guard_value[k]:
            return k
    return -1


def _reverse(head: Any, value: Any, adjoint: Any, last: int) -> None:
    """Propagate the adjoints of slots `last`, `last - 1`, ..., 1 to their operands."""
    _, op, a, b = records(head)
    for i in range(last, 0, -1):
        w = adjoint[i]
        if w != 0.0:
            pull(op[i], value[a[i]], value[b[i]], value[i], w, a[i], b[i], adjoint)


def _tangent(head: Any, value: Any, tangents: Any) -> None:
    """Propagate the tangents of the inputs, already set, to every slot."""
    n, op, a, b = records(head)
    for i in range(1, n):
        if op[i] == INPUT:
            continue
        t = tangents[a[i]] if a[i] > 0 else 0.0
        u = tangents[b[i]] if b[i] > 0 else 0.0
        if t == 0.0 and u == 0.0:
            tangents[i] = 0.0
        else:
            tangents[i] = push(op[i], value[a[i]], value[b[i]], value[i], t, u)


# Compiled once, whatever calls them: most of what a first gradient has to wait for.
forward = Symbol("tapegrad_sweep_forward", _forward, int64(_HEAD, _SLOTS)).call
reverse = Symbol("tapegrad_sweep_reverse", _reverse, types.void(_HEAD, _SLOTS, _SLOTS, int64)).call
tangent = Symbol("tapegrad_sweep_tangent", _tangent, types.void(_HEAD, _SLOTS, _SLOTS)).call
