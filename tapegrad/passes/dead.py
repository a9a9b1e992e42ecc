"""Dead records: what no output and no guard depends on is dropped."""

from __future__ import annotations

import numpy as np
from numba import int32, int64, types

from tapegrad.blocks import CALL, RESULT
from tapegrad.jit import Kernel, jit
from tapegrad.layout import OUTPUTS_WORD
from tapegrad.memory import call_operands, columns, counts, data, guards, pointer, shift
from tapegrad.ops import CODE
from tapegrad.passes.building import BYTES, FLOATS, INTEGERS, rebuilt, room
from tapegrad.tape import Tape

INPUT = CODE["input"]


def drop_dead(tape: Tape) -> Tape:
    """Drop the records that no output and no guard depends on, and the constants nobody uses.

    The outputs and the guards' slots are marked, then, from the last record to the first, the
    operands of whatever is marked. One loop forward moves the marked records together. Inputs
    stay, used or not.

    Preserves values and derivatives to the bit; the order of the records, inputs, constants,
    outputs and guards.
    """
    records, constants = room(tape), np.empty(len(tape.constants))
    target = np.zeros(len(tape.constants) + len(tape), np.int32)
    sizes = np.array([block.n_operands for block in tape.blocks], np.int64)
    n, n_constants = _move.run(tape.address, *records, constants, target, sizes)
    return rebuilt(tape, records, n, constants[:n_constants], target)


def _move_needed(address, op, a, b, value, constants, target, sizes):
    n, n_constants = counts(address)
    old_op, old_a, old_b, old_value, old_constants = columns(address)
    new = shift(data(target), n_constants)
    _mark_needed(address, new, data(sizes))
    k = 0
    for j in range(n_constants):
        if new[~j]:
            constants[k] = old_constants[j]
            new[~j] = ~k
            k += 1
    m = 1
    new[0] = 0
    for i in range(1, n):
        code = old_op[i]
        # The results of a call stay together.
        if new[old_a[i]] if code == RESULT else new[i]:
            new[i] = m
            op[m], value[m] = code, old_value[i]
            if code == CALL:  # its operands are written by `rebuilt`
                a[m], b[m] = old_a[i], 0
            else:
                a[m], b[m] = new[old_a[i]], new[old_b[i]]
            m += 1
    return m, k


@jit
def _mark_needed(address, is_needed, sizes):
    head = pointer(address, int64)
    n_outputs, output = head[OUTPUTS_WORD], pointer(head[OUTPUTS_WORD + 1], int32)
    for k in range(n_outputs):
        is_needed[output[k]] = 1
    n_guards, guard_slot, _ = guards(head)
    for k in range(n_guards):
        is_needed[guard_slot[k]] = 1
    n, _ = counts(address)
    op, a, b, _, _ = columns(address)
    (operand,) = call_operands(address)
    for i in range(n - 1, 0, -1):
        if op[i] == INPUT:
            is_needed[i] = 1
        elif op[i] == CALL:
            for k in range(b[i], b[i] + (sizes[a[i]] if is_needed[i] else 0)):
                is_needed[operand[k]] = 1
        elif is_needed[i]:
            is_needed[a[i]] = 1
            is_needed[b[i]] = 1


_move = Kernel(
    _move_needed,
    types.UniTuple(int64, 2)(
        int64, BYTES, INTEGERS, INTEGERS, FLOATS, FLOATS, INTEGERS, int64[::1]
    ),
)
