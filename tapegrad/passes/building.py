"""How a pass makes its new tape: room to write records into, and where every operand went.

A pass is one compiled loop over the old records. It writes the new ones, and into `target` the
operand that each old operand became. `target` is laid out like a workspace: an entry for each
constant, in reverse, then one for each slot, so that one pointer to slot 0 takes any operand.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import float64, int32, types, uint8

from tapegrad.blocks import CALL, calls_of, operands_of
from tapegrad.ops import CODE
from tapegrad.tape import Tape

Operands = npt.NDArray[np.int32]

BYTES, INTEGERS, FLOATS = (types.Array(number, 1, "C") for number in (uint8, int32, float64))
"""Types of the arrays that the kernels take."""


class Records(NamedTuple):
    """Columns of records, slot 0 included."""

    op: npt.NDArray[np.uint8]
    a: Operands
    b: Operands
    value: npt.NDArray[np.float64]


def room(tape: Tape) -> Records:
    """Return room for as many records as a tape has; slot 0 is written, the rest isn't."""
    n = len(tape)
    columns = Records(
        np.empty(n, np.uint8), np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n)
    )
    columns.op[0], columns.a[0], columns.b[0], columns.value[0] = CODE["passive"], 0, 0, 0.0
    return columns


def rebuilt(tape: Tape, records: Records, count: int, constants: npt.NDArray[np.float64],
            target: Operands) -> Tape:  # fmt: skip
    """Return the tape of the first `count` new records, with the old one's outputs and guards.

    A guard on what became a constant of the value it wants always holds, and is left out. One
    of another value would fail everywhere; a tape has no way to say so, and the old one is
    returned.
    """
    start = len(tape.constants)
    slots = target[start + tape.guard_slot]
    is_constant = slots < 0
    if np.any(constants[~slots[is_constant]] != tape.guard_value[is_constant]):
        return tape
    columns = {
        **{name: column[:count] for name, column in records._asdict().items()},
        "call_operands": _of_calls(tape, records, count, target),
        "constants": constants,
        "guard_slot": slots[~is_constant],
        "guard_value": tape.guard_value[~is_constant],
        "guard_site": tape.guard_site[~is_constant],
    }
    outputs = target[start + tape.outputs]
    return Tape.from_columns(columns, outputs, tape.sites, tape.blocks, tape.data_inputs)


def _of_calls(tape: Tape, records: Records, count: int, target: Operands) -> Operands:
    """Return the operands of the calls that there are still, and note in them where each begins."""
    calls = np.flatnonzero(records.op[:count] == CALL)
    if not len(calls):
        return np.empty(0, np.int32)
    old = calls_of(tape)
    old = old[target[len(tape.constants) + old] > 0]
    runs = [operands_of(tape, slot) for slot in old.tolist()]
    lengths = [len(run) for run in runs]
    records.b[calls] = np.cumsum(lengths) - lengths
    return target[len(tape.constants) + np.concatenate(runs)]
