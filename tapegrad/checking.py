"""The specification of a tape: every invariant, stated as a check."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import CALL, RESULT
from tapegrad.errors import InvalidTapeError
from tapegrad.listing import listing
from tapegrad.ops import CODE, OPS
from tapegrad.tape import INPUT, Tape


def check(tape: Tape) -> None:
    """Raise `InvalidTapeError`, showing the first bad record, unless every invariant holds.

    Operands precede their record; constants and sites exist; slot 0 is passive; inputs stand
    for themselves and are listed in order; the second operand of a unary operation is 0; guards
    read slots of the tape and hold at the recording's point; a call's block exists, its operands
    follow those of the call before and its results the call, which nothing else reads.

    Raises
    ------
    InvalidTapeError
    """
    slots = np.arange(len(tape))
    arity = np.array([op.arity for op in OPS])
    known = tape.op < len(OPS)
    arities = arity[np.where(known, tape.op, 0)]
    is_input, is_call = tape.op == INPUT, tape.op == CALL
    lowest = -len(tape.constants)
    rules: list[tuple[str, Any]] = [
        ("the operation is unknown", ~known),
        ("slot 0 alone is passive", (tape.op == CODE["passive"]) != (slots == 0)),
        ("an input does not stand for itself", is_input & (tape.a != slots)),
        ("an operand does not precede its record",
         ~is_input & (arities > 0) & ((tape.a >= slots) | (tape.b >= slots))),
        ("an operand is the passive slot",
         ((arities > 0) & (tape.a == 0)) | ((arities > 1) & (tape.b == 0))),
        ("an operand is a constant beyond the pool",
         ~is_call & ((tape.a < lowest) | (tape.b < lowest))),
        ("a unary operation has a second operand", ~is_call & (arities < 2) & (tape.b != 0)),
        ("an active record has no active operand",
         (arities > 0) & (tape.a <= 0) & (tape.b <= 0)),
    ]  # fmt: skip
    for rule, broken in itertools.chain(rules, _rules_of_calls(tape, np.flatnonzero(is_call))):
        if np.any(broken):
            slot = int(np.argmax(broken))
            around = range(max(slot - 2, 0), min(slot + 3, len(tape)))
            raise InvalidTapeError(f"{rule}: slot {slot}\n" + listing(tape, around))
    if not np.array_equal(tape.inputs, np.flatnonzero(is_input)):
        raise InvalidTapeError(f"`inputs` are not the slots of the input records: {tape.inputs}")
    if np.any(tape.data_inputs >= len(tape.inputs)) or np.any(tape.data_inputs < 0):
        raise InvalidTapeError(f"a number of `data_inputs` is no input's: {tape.data_inputs}")
    if np.any(tape.outputs >= len(tape)) or np.any(tape.outputs < lowest):
        raise InvalidTapeError(f"an output is beyond the tape: {tape.outputs}")
    guards = tape.guard_slot
    if np.any(guards <= 0) or np.any(guards >= len(tape)):
        raise InvalidTapeError("a guard reads no slot of the tape")
    if np.any(is_call[guards]) or np.any(is_call[tape.outputs[tape.outputs > 0]]):
        raise InvalidTapeError("a guard or an output reads a call, not one of its results")
    if np.any(tape.guard_site >= len(tape.sites)) or np.any(tape.guard_site < 0):
        raise InvalidTapeError("a guard's site is unknown")
    fails = tape.value[guards] != tape.guard_value
    if np.any(fails):
        raise InvalidTapeError(f"guard {int(np.argmax(fails))} fails at its own recording's point")


def _rules_of_calls(tape: Tape, calls: npt.NDArray[np.int64]) -> Iterator[tuple[str, Any]]:
    """Yield what must not be of calls and results, each where those before are not."""
    n, operands = len(tape), tape.call_operands

    def at(slots: Any) -> npt.NDArray[np.bool_]:
        found = np.zeros(n, bool)
        found[slots] = True
        return found

    index = tape.a[calls]
    yield "a call's block is unknown", at(calls[(index < 0) | (index >= len(tape.blocks))])
    sizes = np.array([(b.n_operands, b.n_results) for b in tape.blocks], np.int64).reshape(-1, 2)
    n_operands, n_results = sizes[index].T
    yield "a block has no operand or no result", at(calls[(n_operands < 1) | (n_results < 1)])
    stops = np.cumsum(n_operands)
    starts = stops - n_operands
    yield "a call's operands do not follow those before", at(calls[tape.b[calls] != starts])
    last = [int(np.max(calls, initial=0))]
    is_short_or_long = np.sum(n_operands) != len(operands)
    yield "calls take another number of operands", at(last if is_short_or_long else [])
    owner = np.repeat(calls, n_operands)
    yield "a call's operand does not precede it", at(owner[operands >= owner])
    yield "a call's operand is the passive slot", at(owner[operands == 0])
    yield "a call's operand is beyond the pool", at(owner[operands < -len(tape.constants)])
    yield "a call holds a value", at(calls[tape.value[calls] != 0.0])
    of_call = np.repeat(calls, n_results)
    offsets = np.arange(len(of_call)) - np.repeat(np.cumsum(n_results) - n_results, n_results)
    results = of_call + 1 + offsets
    within = np.minimum(results, n - 1)
    follows = (results < n) & (tape.op[within] == RESULT) & (tape.a[within] == of_call)
    yield "a call is not followed by its results", at(of_call[~follows])
    yield "a result is of no call", (tape.op == RESULT) & ~at(results)
    is_call = at(calls)
    computed = (tape.op != CALL) & (tape.op != RESULT) & (tape.op != INPUT)
    a, b, passed = (np.where(is_read, x, 0).clip(0) for is_read, x in
                    ((computed, tape.a), (computed, tape.b), (True, operands)))  # fmt: skip
    reads = is_call[a] | is_call[b] | at(owner[is_call[passed]])
    yield "a call is read, not one of its results", reads
