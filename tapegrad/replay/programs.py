"""What is done with a tape that has ended, built from the sweeps and generic in the number type.

A workspace array of a tape has an entry for each constant, in reverse, then one for each slot,
so that one pointer to slot 0 addresses both with an operand: `workspace_length` entries. The
functions take the tape's head, vectors of the inputs' and outputs' length, and workspaces.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import float64, int32, int64, types

from tapegrad.jit import Kernel, jit, jit_inline
from tapegrad.layout import CONSTANTS, COUNT_WORD, INPUTS_WORD, OUTPUTS_WORD, RECORDS
from tapegrad.memory import data, pointer, shift
from tapegrad.replay.sweeps import forward, reverse, tangent
from tapegrad.rules import accumulate
from tapegrad.tape import Tape

_N, _N_CONSTANTS = COUNT_WORD[RECORDS], COUNT_WORD[CONSTANTS]


@jit_inline
def _slots(head: Any, workspace: Any) -> Any:
    """Return the pointer to slot 0 of a workspace."""
    return shift(data(workspace), head[_N_CONSTANTS])


@jit_inline
def _inputs(head: Any) -> Any:
    return head[INPUTS_WORD], pointer(head[INPUTS_WORD + 1], int32)


@jit_inline
def _outputs(head: Any) -> Any:
    return head[OUTPUTS_WORD], pointer(head[OUTPUTS_WORD + 1], int32)


@jit
def replay(head_array, inputs, value):
    """Fill `value` at the point `inputs`; return the first guard that fails, or -1."""
    head = data(head_array)
    slots = _slots(head, value)
    n, slot = _inputs(head)
    for k in range(n):
        slots[slot[k]] = inputs[k]
    return forward(head, slots)


@jit
def results(head_array, value, out):
    """Copy the outputs to `out`."""
    head = data(head_array)
    slots = _slots(head, value)
    n, operand = _outputs(head)
    for k in range(n):
        out[k] = slots[operand[k]]


@jit
def pullback(head_array, seeds, value, adjoint, out):
    """Write the adjoints of the inputs to `out`, those of the outputs being `seeds`."""
    head = data(head_array)
    values, adjoints = _slots(head, value), _slots(head, adjoint)
    n, operand = _outputs(head)
    zero = values[0]
    last = 0
    for k in range(n):
        last = max(last, operand[k])
    for i in range(-head[_N_CONSTANTS], last + 1):
        adjoints[i] = zero
    for k in range(n):
        if operand[k] > 0:
            adjoints[operand[k]] = accumulate(adjoints[operand[k]], seeds[k])
    reverse(head, values, adjoints, last)
    n, slot = _inputs(head)
    for k in range(n):
        out[k] = adjoints[slot[k]] if slot[k] <= last else zero


@jit
def pushforward(head_array, directions, value, tangents, out):
    """Write the tangents of the outputs to `out`, those of the inputs being `directions`."""
    head = data(head_array)
    values, slots = _slots(head, value), _slots(head, tangents)
    zero = values[0]
    slots[0] = zero
    n, slot = _inputs(head)
    for k in range(n):
        slots[slot[k]] = directions[k]
    tangent(head, values, slots)
    n, operand = _outputs(head)
    for k in range(n):
        out[k] = slots[operand[k]] if operand[k] > 0 else zero


@jit
def gradient(head_array, inputs, value, adjoint, out):
    """Replay, and write the gradient of the one output; return the failed guard and the value."""
    failed = replay(head_array, inputs, value)
    if failed >= 0:
        return failed, 0.0
    head = data(head_array)
    pullback(head_array, _ONE, value, adjoint, out)
    operand = _outputs(head)[1][0]
    return failed, _slots(head, value)[operand]


_ONE = np.ones(1)
_HEAD = int64[::1]


class Programs:
    """The kernels for one number type.

    Parameters
    ----------
    number : numba type
        Of the workspaces' elements.
    """

    def __init__(self, number: Any) -> None:
        vector = types.Array(number, 1, "C")
        self.replay = Kernel(replay, int64(_HEAD, vector, vector))
        self.results = Kernel(results, types.void(_HEAD, vector, vector))
        swept = types.void(_HEAD, vector, vector, vector, vector)
        self.pullback = Kernel(pullback, swept)
        self.pushforward = Kernel(pushforward, swept)


floats = Programs(float64)
float_gradient = Kernel(
    gradient, types.Tuple((int64, float64))(_HEAD, *[types.Array(float64, 1, "C")] * 4)
)


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
