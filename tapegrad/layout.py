"""Where things are in a tape's memory.

A tape is a head of 64-bit words and some growable groups of columns. Of a group, the words that
hold its count, its capacity and its columns' addresses follow one another in this order.
"""

from __future__ import annotations

MAX_ENTRIES = 2**31 - 1

RECORDS, CONSTANTS, GUARDS, OPERANDS = 0, 1, 2, 3
# Of a linearised tape: which entry a statement's first is; slot and partial derivative.
STATEMENTS, ENTRIES = 4, 5
GROUPS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("op", "u1"), ("a", "i4"), ("b", "i4"), ("value", "f8")),
    (("constants", "f8"),),
    (("guard_slot", "i4"), ("guard_value", "f8"), ("guard_site", "i4")),
    (("call_operands", "i4"),),
    (("first", "i4"),),
    (("entry_slot", "i4"), ("partial", "f8")),
)
PYTHON_COLUMNS = GROUPS[:STATEMENTS]
"""What a tape that Python owns has."""

COUNT_WORD: tuple[int, ...] = (0, 6, 9, 22, 30, 33)
UNPLACED = -(2**31)
"""The site of a guard of which what called the code that left it has yet to say the place."""

FAILED_WORD = 14
# Set when the recording has ended: count and address of the inputs' slots, of the outputs.
INPUTS_WORD, OUTPUTS_WORD = 15, 17
# Whether compiled code owns the memory; then address and length of its workspace.
OWNER_WORD = 19
WORK_WORD = 20
# Of a tape that has ended and calls blocks: the number of calls, the address of their table, and
# of the functions that the sweeps run at a call.
CALLS_WORD = 25
HEAD_WORDS = 30
NATIVE_HEAD_WORDS = 37
