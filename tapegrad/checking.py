"""The specification of a tape: every invariant, stated as a check."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.errors import InvalidTapeError
from tapegrad.listing import listing
from tapegrad.ops import CODE, OPS
from tapegrad.tape import INPUT, Tape


def check(tape: Tape) -> None:
    """Raise `InvalidTapeError`, showing the first bad record, unless every invariant holds.

    Operands precede their record; constants and sites exist; slot 0 is passive; inputs stand
    for themselves and are listed in order; the second operand of a unary operation is 0; guards
    read slots of the tape and hold at the recording's point.

    Raises
    ------
    InvalidTapeError
    """
    slots = np.arange(len(tape))
    arity = np.array([op.arity for op in OPS])
    known = tape.op < len(OPS)
    arities = arity[np.where(known, tape.op, 0)]
    is_input = tape.op == INPUT
    lowest = -len(tape.constants)
    rules: list[tuple[str, Any]] = [
        ("the operation is unknown", ~known),
        ("slot 0 alone is passive", (tape.op == CODE["passive"]) != (slots == 0)),
        ("an input does not stand for itself", is_input & (tape.a != slots)),
        ("an operand does not precede its record",
         ~is_input & (arities > 0) & ((tape.a >= slots) | (tape.b >= slots))),
        ("an operand is the passive slot",
         ((arities > 0) & (tape.a == 0)) | ((arities > 1) & (tape.b == 0))),
        ("an operand is a constant beyond the pool", (tape.a < lowest) | (tape.b < lowest)),
        ("a unary operation has a second operand", (arities < 2) & (tape.b != 0)),
        ("an active record has no active operand",
         (arities > 0) & (tape.a <= 0) & (tape.b <= 0)),
    ]  # fmt: skip
    for rule, broken in rules:
        if np.any(broken):
            slot = int(np.argmax(broken))
            around = range(max(slot - 2, 0), min(slot + 3, len(tape)))
            raise InvalidTapeError(f"{rule}: slot {slot}\n" + listing(tape, around))
    if not np.array_equal(tape.inputs, np.flatnonzero(is_input)):
        raise InvalidTapeError(f"`inputs` are not the slots of the input records: {tape.inputs}")
    if np.any(tape.outputs >= len(tape)) or np.any(tape.outputs < lowest):
        raise InvalidTapeError(f"an output is beyond the tape: {tape.outputs}")
    guards = tape.guard_slot
    if np.any(guards <= 0) or np.any(guards >= len(tape)):
        raise InvalidTapeError("a guard reads no slot of the tape")
    if np.any(tape.guard_site >= len(tape.sites)) or np.any(tape.guard_site < 0):
        raise InvalidTapeError("a guard's site is unknown")
    fails = tape.value[guards] != tape.guard_value
    if np.any(fails):
        raise InvalidTapeError(f"guard {int(np.argmax(fails))} fails at its own recording's point")
