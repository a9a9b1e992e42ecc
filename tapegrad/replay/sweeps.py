"""The sweeps: three loops over a tape, generic in the number type.

On float64 they compute; on active numbers they record the derivative as a new tape. `value`,
`adjoint` and `tangent` have an entry a slot, with entry 0 zero.
"""

from __future__ import annotations

from typing import Any

from tapegrad.jit import jit
from tapegrad.memory import guards, records
from tapegrad.ops import CODE
from tapegrad.rules import evaluate, is_zero, primal, pull, push

INPUT = CODE["input"]


@jit
def forward(head: Any, value: Any) -> int:
    """Fill `value`, its inputs set; return the index of the first guard that fails, or -1."""
    n, op, a, b = records(head)
    n_guards, guard_slot, guard_value = guards(head)
    start = 1
    for k in range(n_guards + 1):
        stop = guard_slot[k] + 1 if k < n_guards else n
        for i in range(start, stop):
            value[i] = evaluate(op[i], value[a[i]], value[b[i]])
        start = max(start, stop)
        if k < n_guards and primal(value[guard_slot[k]]) != guard_value[k]:
            return k
    return -1


@jit
def reverse(head: Any, value: Any, adjoint: Any, last: int) -> None:
    """Propagate the adjoints of slots `last`, `last - 1`, ..., 1 to their operands."""
    _, op, a, b = records(head)
    for i in range(last, 0, -1):
        w = adjoint[i]
        if not is_zero(w):
            pull(op[i], value[a[i]], value[b[i]], value[i], w, a[i], b[i], adjoint)


@jit
def tangent(head: Any, value: Any, tangents: Any) -> None:
    """Propagate the tangents of the inputs, already set, to every slot."""
    n, op, a, b = records(head)
    zero = tangents[0]
    for i in range(1, n):
        if op[i] == INPUT:
            continue
        t = tangents[a[i]] if a[i] > 0 else zero
        u = tangents[b[i]] if b[i] > 0 else zero
        if is_zero(t) and is_zero(u):
            tangents[i] = zero
        else:
            tangents[i] = push(op[i], value[a[i]], value[b[i]], value[i], t, u, zero)
