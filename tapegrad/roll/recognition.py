"""Loop recognition: a sequence of shapes in, loops nested in loops out; compiled.

A stack of nodes, each a record or a loop, is fed one record at a time. Where its top repeats what
is below it twice, the three become one loop; where the top repeats the body of the loop below it,
the loop takes it in. A loop's shape is that of its body, whatever its count: loops whose inner
counts differ are one (after Ketterlin and Clauss, Prediction and trace compression of data access
through nested loop recognition, CGO 2008). Sequences are compared by rolling hashes, candidates
come from a chain of places with the same context, and of a loop all that is kept of later
iterations is how often their inner loops ran.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, types, uint64

from tapegrad.jit import Kernel, jit, jit_inline

MOST_CANDIDATES = 24
"""Earlier places with the same context at which a body is looked for, for each record."""

_DUE = 4
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_LOOP = np.uint64(0xD1B54A32D192ED03)


@jit_inline
def _mix(x: Any) -> Any:
    x = (x ^ (x >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return x ^ (x >> np.uint64(29))


@jit_inline
def _segment(prefix: Any, power: Any, start: Any, stop: Any) -> Any:
    """Return the hash of the nodes from `start` up to `stop`."""
    return prefix[stop] - prefix[start] * power[stop - start]


@jit
def recognise(shapes, shape, first, loop, prefix, power, context, link, head, due,
              log_start, log_shape, log_count, log_body, log_children, bodies):  # fmt: skip
    """Feed the stack; return its length, the number of loops and the length of `bodies`.

    `shape`, `first` and `loop` are the stack: hash, index of the first record, index of the loop
    or -1. The log has an entry for every loop there was; the nodes of its first iteration are in
    `bodies` from `log_body` on: indices of records (>= 0) and `~index` of loops.
    """
    # Of a literal 0 Numba would compile what is called once more.
    n_stack, n_loops, n_bodies = int64(0), int64(0), int64(0)
    power[0] = np.uint64(1)
    for k in range(1, len(power)):
        power[k] = power[k - 1] * _PRIME
    mask = np.uint64(len(head) - 1)
    for i in range(len(shapes) + 1):
        is_end = i == len(shapes)
        # What a loop ends is looked at when the loop has ended, and may itself have done so.
        while n_stack > 0 and loop[n_stack - 1] >= 0:
            if not is_end and shapes[i] == log_shape[loop[n_stack - 1], 1]:
                break
            before = n_stack
            n_stack, n_loops, n_bodies = _reduce(
                n_stack, n_loops, n_bodies, shape, first, loop, prefix, power, context, link,
                head, mask, due, log_start, log_shape, log_count, log_body, log_children,
                bodies)  # fmt: skip
            if n_stack == before:
                break
        if is_end:
            break
        n_stack = _push(n_stack, shapes[i], i, int64(-1), int64(0), shape, first, loop, prefix,
                        context, link, head, mask, due)  # fmt: skip
        n_stack, n_loops, n_bodies = _reduce(
            n_stack, n_loops, n_bodies, shape, first, loop, prefix, power, context, link, head,
            mask, due, log_start, log_shape, log_count, log_body, log_children, bodies)  # fmt: skip
    return n_stack, n_loops, n_bodies


@jit
def _push(n_stack, new_shape, record, new_loop, body_length, shape, first, loop, prefix, context,
          link, head, mask, due):  # fmt: skip
    """Put a node on the stack; return the stack's length."""
    p = n_stack
    shape[p], first[p], loop[p] = new_shape, record, new_loop
    prefix[p + 1] = prefix[p] * _PRIME + new_shape
    h = new_shape
    for back in range(1, 4):
        if p >= back:
            h = h * np.uint64(31) + shape[p - back]
    h = _mix(h) & mask
    context[p] = h
    link[p] = head[h]
    head[h] = p
    if new_loop >= 0:
        place = p + body_length
        if place < len(due):
            known = 0
            while known < _DUE - 1 and due[place, known] != p:
                known += 1
            for k in range(known, 0, -1):
                due[place, k] = due[place, k - 1]
            due[place, 0] = p
    return p + 1


@jit
def _pop(n_stack, count, context, link, head):
    for p in range(n_stack - 1, n_stack - count - 1, -1):
        head[context[p]] = link[p]
    return n_stack - count


@jit
def _reduce(n_stack, n_loops, n_bodies, shape, first, loop, prefix, power, context, link, head,
            mask, due, log_start, log_shape, log_count, log_body, log_children,
            bodies):  # fmt: skip
    """Make a loop of what repeats at the top of the stack, or have one there take it in.

    A loop at the top may go on, so it's not looked at what ends in it.
    """
    top = n_stack - 1
    for k in range(_DUE):
        q = due[top, k]
        if q < 0 or q >= top or loop[q] < 0:
            continue
        length = log_children[loop[q]]
        if q + length == top and (_segment(prefix, power, q + 1, top + 1) == log_shape[loop[q], 0]):
            log_count[loop[q]] += 1
            return _pop(n_stack, length, context, link, head), n_loops, n_bodies
    p = link[top]
    for _ in range(MOST_CANDIDATES):
        length = top - p
        if p < 0 or 3 * length > n_stack or length >= len(power):
            break
        start = n_stack - 3 * length
        if shape[p] != shape[top] or shape[p - length] != shape[top]:
            p = link[p]
            continue
        h = _segment(prefix, power, n_stack - length, n_stack)
        if (
            h == _segment(prefix, power, start + length, start + 2 * length)
            and h == _segment(prefix, power, start, start + length)
            and not (length == 1 and loop[top] >= 0)
        ):
            log_start[n_loops] = first[start]
            log_shape[n_loops, 0], log_shape[n_loops, 1] = h, shape[start]
            if loop[start] >= 0:
                log_shape[n_loops, 1] = log_shape[loop[start], 1]
            log_count[n_loops], log_children[n_loops] = 3, length
            log_body[n_loops] = n_bodies
            for j in range(start, start + length):
                bodies[n_bodies] = first[j] if loop[j] < 0 else ~loop[j]
                n_bodies += 1
            record = first[start]
            n_stack = _pop(n_stack, 3 * length, context, link, head)
            n_stack = _push(n_stack, _mix(h ^ _LOOP), record, n_loops, length, shape, first,
                            loop, prefix, context, link, head, mask, due)  # fmt: skip
            return n_stack, n_loops + 1, n_bodies
        p = link[p]
    return n_stack, n_loops, n_bodies


@jit_inline
def _enter(frames: Any, depth: int, start: int, length: int, times: int) -> None:
    """Begin a loop. Numba would take seconds over assigning a row at once."""
    frames[depth, 0], frames[depth, 1], frames[depth, 2] = start, length, 0
    frames[depth, 3] = times


@jit
def expand(n_records, order, log_start, log_shape, log_count, log_body, log_children, bodies,
           root, static, counts, frames):  # fmt: skip
    """Run the loops: fill `static`, the place in `bodies` of each record, and `counts`.

    `counts` has a row for each loop that was run: its place in `bodies`, how often it ran and its
    first record. Returns their number, or -1 if loops are nested too deeply for `frames`. `root`
    is where the outermost nodes are, and how many.
    """
    depth, n_counts, i, q = int64(0), 0, 0, 0
    _enter(frames, depth, root[0], root[1], int64(1))
    while depth >= 0:
        start, length = frames[depth, 0], frames[depth, 1]
        k, left = frames[depth, 2], frames[depth, 3]
        if k == length:
            if left > 1:
                frames[depth, 2], frames[depth, 3] = 0, left - 1
            else:
                depth -= 1
            continue
        frames[depth, 2] = k + 1
        node = bodies[start + k]
        if node >= 0:
            static[i] = start + k
            i += 1
            continue
        while q < len(order) and log_start[order[q]] < i:
            q += 1
        p = q
        while log_shape[order[p], 0] != log_shape[~node, 0]:
            p += 1
        counts[n_counts, 0] = start + k
        counts[n_counts, 1], counts[n_counts, 2] = log_count[order[p]], i
        n_counts += 1
        depth += 1
        if depth == len(frames):
            return -1
        _enter(frames, depth, log_body[~node], log_children[~node], log_count[order[p]])
    return n_counts


_U, _I, _I2 = uint64[::1], int64[::1], int64[:, ::1]
recognition = Kernel(
    recognise,
    types.UniTuple(int64, 3)(_U, _U, _I, _I, _U, _U, _U, _I, _I, _I2, _I,
                             uint64[:, ::1], _I, _I, _I, _I),
)  # fmt: skip
expansion = Kernel(expand, int64(int64, _I, _I, uint64[:, ::1], _I, _I, _I, _I, _I, _I, _I2, _I2))
