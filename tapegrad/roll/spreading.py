"""Tapes whose calls read records of their own, so that loops of what blocks read are found.

Before a call stands an `argument` for each number of its operands that have slots, after its
results a record for each that is guarded. Results are then what calls leave in memory, and no
records of a loop.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import RESULT, Block, calls_of
from tapegrad.ops import CODE
from tapegrad.tape import Tape

ARGUMENT, _POSITIVE = CODE["argument"], CODE["positive"]

Integers = npt.NDArray[np.int64]


def spread(tape: Tape) -> Tape:
    """Return a tape with arguments; itself if it calls nothing."""
    calls = calls_of(tape)
    if not len(calls):
        return tape
    n = len(tape)
    block = tape.a[calls]
    n_results = np.array([b.n_results for b in tape.blocks], np.int64)[block]
    moves = [_is_moved(b) for b in tape.blocks]
    is_moved = np.concatenate([moves[k] for k in block])
    of_call = operands_by_call(tape, calls).call
    n_moved = np.bincount(of_call[is_moved], minlength=len(calls))
    guarded = np.unique(tape.guard_slot[tape.op[tape.guard_slot] == RESULT]).astype(np.int64)
    call_of_guarded = np.searchsorted(calls, tape.a[guarded])
    n_guarded = np.bincount(call_of_guarded, minlength=len(calls))
    ends = calls + 1 + n_results
    before = np.zeros(n + 1, np.int64)
    before[calls] += n_moved
    np.add.at(before, ends, n_guarded)
    new = np.arange(n + 1) + np.cumsum(before)
    moved = _Moved(tape, new, new[-1])
    arguments = np.arange(is_moved.sum()) + np.repeat(new[calls] - np.cumsum(n_moved), n_moved)
    moved.put(arguments, ARGUMENT, tape.call_operands[is_moved])
    # The new place of an end is after what was put before whatever stands there now.
    last = new[ends - 1]
    copies = np.arange(len(guarded)) + np.repeat(
        last + 1 - np.cumsum(n_guarded) + n_guarded, n_guarded
    )
    moved.put(copies, _POSITIVE, guarded)
    call_operands = tape.call_operands.copy()
    call_operands[is_moved] = arguments
    guard_slot = new[tape.guard_slot]
    is_copied = np.isin(tape.guard_slot, guarded)
    guard_slot[is_copied] = copies[np.searchsorted(guarded, tape.guard_slot[is_copied])]
    return Tape(
        op=moved.op, a=moved.a, b=moved.b, value=moved.value,
        constants=tape.constants.copy(), guard_slot=guard_slot.astype(np.int32),
        guard_value=tape.guard_value.copy(), guard_site=tape.guard_site.copy(),
        call_operands=call_operands, inputs=new[tape.inputs].astype(np.int32),
        outputs=moved.operands(tape.outputs), sites=tape.sites, blocks=tape.blocks,
        data_inputs=tape.data_inputs,
    )  # fmt: skip


def _is_moved(block: Block) -> npt.NDArray[np.bool_]:
    """Return, of each number that a block reads, whether it may be in a slot."""
    sizes = np.array(block.operand_sizes, np.int64)
    return np.repeat(np.array(block.has_slots, np.bool_), sizes)


class _Moved:
    """Records of a tape in their new places, and room for others."""

    def __init__(self, tape: Tape, new: Integers, n: int) -> None:
        self._tape, self._new = tape, new
        self.op, self.value = np.empty(n, np.uint8), np.empty(n)
        self.a, self.b = np.empty(n, np.int32), np.zeros(n, np.int32)
        places, is_call = new[:-1], np.zeros(len(tape), np.bool_)
        is_call[calls_of(tape)] = True
        self.op[places], self.value[places] = tape.op, tape.value
        self.a[places] = np.where(is_call, tape.a, self.operands(np.where(is_call, 0, tape.a)))
        self.b[places] = np.where(is_call, tape.b, self.operands(np.where(is_call, 0, tape.b)))

    def operands(self, old: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int32]:
        """Return operands of the tape as they are called here."""
        return np.where(old > 0, self._new[np.maximum(old, 0)], old).astype(np.int32)

    def put(self, places: Integers, code: int, old: Integers) -> None:
        """Put records that are copies of operands of the tape."""
        constants = np.append(self._tape.constants, 0.0)[np.maximum(~old, -1)]
        self.op[places], self.a[places] = code, self.operands(old)
        self.value[places] = np.where(old < 0, constants, self._tape.value[np.maximum(old, 0)])


class Arguments(NamedTuple):
    """Of each slot of a tape that is an argument: of which call, and the how manieth.

    Attributes
    ----------
    call : ndarray
        The call's slot, 0 for what is no argument.
    place : ndarray
        Counted from the call's first.
    part : ndarray
        Which array of which block it belongs to, by one number; for calls which block it is.
    """

    call: Integers
    place: Integers
    part: Integers


def arguments_of(tape: Tape) -> Arguments:
    """Return what the arguments of a tape that `spread` made are for."""
    found = Arguments(*(np.zeros(len(tape), np.int64) for _ in range(3)))
    calls = calls_of(tape)
    if not len(calls):
        return found
    # A number for each block, and after it one for each array that it reads.
    n_arrays = np.array([len(block.operand_sizes) for block in tape.blocks])
    first = 1 + np.cumsum(n_arrays + 1) - (n_arrays + 1)
    parts = [
        np.repeat(first[k] + 1 + np.arange(n_arrays[k]), block.operand_sizes)
        for k, block in enumerate(tape.blocks)
    ]
    found.part[calls] = first[tape.a[calls]]
    runs = operands_by_call(tape, calls)
    is_argument = tape.op[np.maximum(runs.operands, 0)] == ARGUMENT
    own = runs.operands[is_argument]
    n_before = np.cumsum(is_argument) - is_argument
    found.call[own] = calls[runs.call[is_argument]]
    found.place[own] = (n_before - n_before[runs.starts[runs.call]])[is_argument]
    found.part[own] = np.concatenate([parts[k] for k in tape.a[calls]])[is_argument]
    return found


class Runs(NamedTuple):
    """The operands of calls, one call's after another's.

    Attributes
    ----------
    operands : ndarray
    call : ndarray
        Which of the calls each belongs to.
    starts : ndarray
        Where those of each call begin.
    """

    operands: Integers
    call: Integers
    starts: Integers


def operands_by_call(tape: Tape, calls: Integers) -> Runs:
    """Return the operands of a tape's calls, all of them."""
    sizes = np.array([block.n_operands for block in tape.blocks], np.int64)[tape.a[calls]]
    of_call = np.repeat(np.arange(len(calls)), sizes)
    return Runs(tape.call_operands.astype(np.int64), of_call, np.cumsum(sizes) - sizes)
