"""The printed form of a tape: one aligned line a record, shortened in the middle."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from tapegrad.blocks import CALL, RESULT, operands_of
from tapegrad.ops import CODE, OPS

if TYPE_CHECKING:
    from tapegrad.tape import Tape

MOST_LINES = 60
MOST_OPERANDS = 8
INPUT = CODE["input"]


def operand_name(tape: Tape, operand: int) -> str:
    """Return how an operand is written: `v12`, an input's `x3`, or a constant's number.

    An operand that is nowhere on the tape, as on one that `check` rejects, is `?` and its number.
    """
    if not -len(tape.constants) <= operand < len(tape):
        return f"?{operand}"
    if operand < 0:
        return format(tape.constants[~operand], ".6g")
    if tape.op[operand] == INPUT:
        return f"x{int(np.searchsorted(tape.inputs, operand))}"
    return f"v{operand}"


def _call(tape: Tape, slot: int) -> str:
    """Return how a call is written: its block and operands, of many the first ones and the last."""
    block = int(tape.a[slot])
    if not 0 <= block < len(tape.blocks):
        return f"?{block}"
    operands = operands_of(tape, slot).tolist()
    names = [operand_name(tape, operand) for operand in operands[: MOST_OPERANDS - 1]]
    if len(operands) > MOST_OPERANDS:
        names.append("...")
    names += [operand_name(tape, operand) for operand in operands[MOST_OPERANDS - 1 :][-1:]]
    return f"{tape.blocks[block].name}({', '.join(names)})"


def _row(tape: Tape, slot: int) -> tuple[str, str, str, str]:
    code = tape.op[slot]
    if code == CALL:
        return operand_name(tape, slot), "call", _call(tape, slot), ""
    if code == RESULT:
        call = int(tape.a[slot])
        which = f"{operand_name(tape, call)}[{slot - call - 1}]"
        return operand_name(tape, slot), "result", which, format(tape.value[slot], ".9g")
    name, arity = (OPS[code].name, OPS[code].arity) if code < len(OPS) else (f"?{code}", 2)
    operands = [operand_name(tape, int(column[slot])) for column in (tape.a, tape.b)[:arity]]
    return operand_name(tape, slot), name, ", ".join(operands), format(tape.value[slot], ".9g")


def listing(tape: Tape, slots: Iterable[int] | None = None) -> str:
    """Return the tape as text: slot, operation, operands by name, value; then the outputs.

    Parameters
    ----------
    tape : Tape
    slots : iterable of int, optional
        The records to show; by default all of them, or the first and last of a long tape.
    """
    n = len(tape)
    if slots is None:
        half = MOST_LINES // 2
        split = n if n <= MOST_LINES else half
        head, tail = list(range(1, split)), list(range(max(n - half, split), n))
    else:
        head, tail = list(slots), []
    header = ("slot", "operation", "operands", "value")
    upper, lower = [[_row(tape, slot) for slot in part] for part in (head, tail)]
    rows = [header, *upper, *lower]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    ]
    if lower:
        lines.insert(1 + len(upper), f"... {n - 1 - len(upper) - len(lower):,} more records")
    if slots is None:
        for slot, value, site in zip(tape.guard_slot[:MOST_LINES], tape.guard_value,
                                     tape.guard_site, strict=False):  # fmt: skip
            file, line = tape.sites[site]
            lines.append(f"guard {operand_name(tape, slot)} == {value:g}  ({file}:{line})")
        if len(tape.guard_slot) > MOST_LINES:
            lines.append(f"... {len(tape.guard_slot) - MOST_LINES:,} more guards")
        if len(tape.outputs):
            names = [operand_name(tape, int(output)) for output in tape.outputs[:MOST_LINES]]
            more = ", ..." if len(tape.outputs) > MOST_LINES else ""
            lines.append("outputs " + ", ".join(names) + more)
    return "\n".join(lines)
