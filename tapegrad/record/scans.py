"""Array operations whose elements depend on earlier ones: running results, repeated updates.

As in `elementwise`, arrays of active numbers have dtype `ACTIVE`, and an operation is one
compiled loop.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import int64, types

from tapegrad.jit import Kernel
from tapegrad.record.kinds import ACTIVE, active
from tapegrad.record.numba_operations import evaluate
from tapegrad.record.open_tape import OpenTape

Data = npt.NDArray[Any]


def _accumulate(code, x, out):
    outer, count, inner = x.shape
    for i in range(outer):
        for j in range(inner):
            result = x[i, 0, j]
            out[i, 0, j] = result
            for k in range(1, count):
                result = evaluate(code, result, x[i, k, j])
                out[i, k, j] = result


def _update(code, x, positions, y):
    for i in range(len(positions)):
        x[positions[i]] = evaluate(code, x[positions[i]], y[i])


_actives = [types.Array(active, ndim, "A") for ndim in range(4)]
_positions = types.Array(int64, 1, "A")
_accumulate_kernel = Kernel(_accumulate, types.void(int64, _actives[3], _actives[3]), records=True)
_update_kernel = Kernel(
    _update, types.void(int64, _actives[1], _positions, _actives[1]), records=True
)


def accumulate(tape: OpenTape, code: int, x: Data, axis: int) -> Data:
    """Record the running results of a binary operation along an axis."""
    out = np.empty(x.shape, ACTIVE)
    if x.size:
        shape = (math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))
        tape.run(_accumulate_kernel, code, x.reshape(shape), out.reshape(shape))
    return out


def update(tape: OpenTape, code: int, x: Data, positions: npt.NDArray[np.int64], y: Data) -> None:
    """Record `x[p] = operation(x[p], y)` for one position and operand after the other.

    All arrays are 1-d; `x` is changed in place, and a position may occur several times.
    """
    tape.run(_update_kernel, code, x, positions, y)
