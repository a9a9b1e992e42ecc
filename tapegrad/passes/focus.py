"""Focus: a tape whose blocks are differentiated by what depends on the inputs that are, only.

Data that a function is called with are inputs of its tape too, so that it needn't be recorded
again where they change. What is computed of them alone has adjoints that nobody reads: a tape that
says which inputs are data has blocks with fewer active operands, and machine code without them.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from numba import int64, types

from tapegrad.blocks import CALL, RESULT, Block, calls_of
from tapegrad.jit import Kernel
from tapegrad.memory import call_operands, counts, data, pointer, records, shift
from tapegrad.ops import CODE
from tapegrad.passes.building import BYTES
from tapegrad.rows import ROWS
from tapegrad.tape import Tape

INPUT = CODE["input"]

_IS_PASSED = np.array([[place in row.differentiable for place in (0, 1)] for row in ROWS], np.uint8)
"""By operation code, whether a derivative goes through either operand."""


def focused(tape: Tape, data_inputs: npt.NDArray[np.int64]) -> Tape:
    """Return a tape that is differentiated by some of its inputs only.

    One loop forward marks what depends on the inputs that aren't data. A block of which calls
    differ in the operands that do becomes as many blocks.

    Preserves values, guards and derivatives by the inputs that aren't data, to the bit.
    """
    if not len(data_inputs):
        return tape
    calls = calls_of(tape)
    if not len(calls):
        return dataclasses.replace(tape, data_inputs=data_inputs)
    wanted = _wanted_operands(tape, data_inputs, calls)
    old, found = tape.a[calls], np.zeros(len(calls), np.int32)
    blocks: list[Block] = []
    start = np.cumsum(_n_arrays(tape)[old]) - _n_arrays(tape)[old]
    for k, block in enumerate(tape.blocks):
        own = np.flatnonzero(old == k)
        flags = wanted[start[own][:, np.newaxis] + np.arange(len(block.is_active))]
        kinds, kind = np.unique(flags & np.array(block.is_active), axis=0, return_inverse=True)
        found[own] = len(blocks) + kind.reshape(-1)
        blocks += [block.narrowed(tuple(row), block.has_slots) for row in kinds.tolist()]
    a = tape.a.copy()
    a[calls] = found
    return dataclasses.replace(tape, a=a, blocks=tuple(blocks), data_inputs=data_inputs)


def _n_arrays(tape: Tape) -> npt.NDArray[np.int64]:
    return np.array([len(block.operand_sizes) for block in tape.blocks], np.int64)


def _wanted_operands(tape: Tape, data_inputs: npt.NDArray[np.int64],
                     calls: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Return, of each array that calls read, whether it depends on an input that isn't data."""
    first = len(tape.constants)
    is_varied = np.zeros(first + len(tape), np.uint8)
    is_varied[first + np.delete(tape.inputs, data_inputs)] = 1
    n_arrays = _n_arrays(tape)
    sizes = np.array([n for block in tape.blocks for n in block.operand_sizes], np.int64)
    starts = np.cumsum(n_arrays) - n_arrays
    found = np.zeros(n_arrays[tape.a[calls]].sum(), np.uint8)
    _mark.run(tape.address, is_varied, _IS_PASSED, sizes, starts, n_arrays, found)
    return found.astype(np.bool_)


def _mark_varied(address, is_varied, is_passed, sizes, starts, n_arrays, found):
    n, n_constants = counts(address)
    varied = shift(data(is_varied), n_constants)
    _, op, a, b = records(pointer(address, int64))
    (operand,) = call_operands(address)
    place = 0
    for i in range(1, n):
        code = op[i]
        if code == CALL:
            k = int64(b[i])
            for array in range(starts[a[i]], starts[a[i]] + n_arrays[a[i]]):
                for j in range(k, k + sizes[array]):
                    found[place] |= varied[operand[j]]
                k += sizes[array]
                varied[i] |= found[place]
                place += 1
        elif code == RESULT:
            varied[i] = varied[a[i]]
        elif code != INPUT:
            varied[i] = (varied[a[i]] & is_passed[code, 0]) | (varied[b[i]] & is_passed[code, 1])


_mark = Kernel(
    _mark_varied,
    types.void(
        int64, BYTES, types.Array(types.uint8, 2, "C"), int64[::1], int64[::1], int64[::1], BYTES
    ),
)
