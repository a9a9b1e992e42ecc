"""What is done with a tape that has ended, built from the sweeps.

A workspace array of a tape has an entry for each constant, in reverse, then one for each slot,
so that one pointer to slot 0 addresses both with an operand: `workspace_length` entries. The
functions take the tape's head, vectors of the inputs' and outputs' length, and workspaces.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import float64, int64, types

from tapegrad.jit import Kernel, jit
from tapegrad.layout import CONSTANTS, COUNT_WORD
from tapegrad.memory import data, slots
from tapegrad.memory import inputs as inputs_of
from tapegrad.memory import outputs as outputs_of
from tapegrad.replay.sweeps import forward, reverse, tangent
from tapegrad.tape import Tape

_N_CONSTANTS = COUNT_WORD[CONSTANTS]


@jit
def replay(head_array, inputs, value):
    """Fill `value` at the point `inputs`; return the first guard that fails, or -1."""
    head = data(head_array)
    values = slots(head, value)
    n, slot = inputs_of(head)
    for k in range(n):
        values[slot[k]] = inputs[k]
    return forward(head, values)


@jit
def results(head_array, value, out):
    """Copy the outputs to `out`."""
    head = data(head_array)
    values = slots(head, value)
    n, operand = outputs_of(head)
    for k in range(n):
        out[k] = values[operand[k]]


@jit
def pullback(head_array, seeds, value, adjoint, out):
    """Write the adjoints of the inputs to `out`, those of the outputs being `seeds`.

    Return 0 if all went well.
    """
    head = data(head_array)
    values, adjoints = slots(head, value), slots(head, adjoint)
    n, operand = outputs_of(head)
    last = int64(0)
    for k in range(n):
        if operand[k] > last:
            last = operand[k]
    for i in range(-head[_N_CONSTANTS], last + 1):
        adjoints[i] = 0.0
    for k in range(n):
        if operand[k] > 0:
            adjoints[operand[k]] += seeds[k]
    status = reverse(head, values, adjoints, last)
    n, slot = inputs_of(head)
    for k in range(n):
        out[k] = adjoints[slot[k]] if slot[k] <= last else 0.0
    return status


@jit
def pushforward(head_array, directions, value, tangents, out):
    """Write the tangents of the outputs to `out`, those of the inputs being `directions`.

    Return 0 if all went well.
    """
    head = data(head_array)
    values, moved = slots(head, value), slots(head, tangents)
    moved[0] = 0.0
    n, slot = inputs_of(head)
    for k in range(n):
        moved[slot[k]] = directions[k]
    status = tangent(head, values, moved)
    n, operand = outputs_of(head)
    for k in range(n):
        out[k] = moved[operand[k]] if operand[k] > 0 else 0.0
    return status


_HEAD = int64[::1]
_VECTOR = float64[::1]
_SWEPT = int64(_HEAD, *[_VECTOR] * 4)


class Programs:
    """The kernels."""

    def __init__(self) -> None:
        self.replay = Kernel(replay, int64(_HEAD, _VECTOR, _VECTOR))
        self.results = Kernel(results, types.void(_HEAD, _VECTOR, _VECTOR))
        self.pullback = Kernel(pullback, _SWEPT)
        self.pushforward = Kernel(pushforward, _SWEPT)


floats = Programs()


def workspace_length(tape: Tape) -> int:
    """Return the number of entries a workspace array needs."""
    return len(tape.constants) + len(tape)


def float_workspace(tape: Tape) -> npt.NDArray[np.float64]:
    """Return a workspace for values, its constants and slot 0 set."""
    value = np.empty(workspace_length(tape))
    count = len(tape.constants)
    value[:count] = tape.constants[::-1]
    value[count] = 0.0
    return value
