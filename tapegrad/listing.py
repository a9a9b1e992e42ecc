"""The printed form of a tape: one aligned line a record, shortened in the middle."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from tapegrad.ops import CODE, OPS

if TYPE_CHECKING:
    from tapegrad.tape import Tape

MOST_LINES = 60
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


def _row(tape: Tape, slot: int) -> tuple[str, str, str, str]:
    code = tape.op[slot]
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
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]])
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
