"""Blocks: operations on many numbers that are one call on a tape, and what a tape knows of them.

A `call` record names its block by `a`, an index in the tape's `blocks`, and its operands by `b`,
where their run begins in the tape's `call_operands`: slots or constants, as many as the block
has. The runs follow one another in the calls' order. After a call come its `result` records, as
many as the block has, each with the call's slot as `a`: they hold its values. The call itself
holds 0, and nothing else reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from tapegrad.errors import UnsupportedBlockError
from tapegrad.ops import CODE

if TYPE_CHECKING:
    from tapegrad.tape import Tape

CALL, RESULT = CODE["call"], CODE["result"]


class Block(Protocol):
    """What is called, as far as a tape is concerned; the same object in every call of it."""

    @property
    def name(self) -> str:
        """What a listing calls it."""

    @property
    def n_operands(self) -> int:
        """How many numbers it reads."""

    @property
    def n_results(self) -> int:
        """How many numbers it returns."""


def calls_of(tape: Tape) -> npt.NDArray[np.int64]:
    """Return the slots of a tape's calls."""
    return np.flatnonzero(tape.op == CALL) if tape.blocks else np.empty(0, np.int64)


def operands_of(tape: Tape, slot: int) -> npt.NDArray[np.int32]:
    """Return the operands of a call."""
    start = tape.b[slot]
    return tape.call_operands[start : start + tape.blocks[tape.a[slot]].n_operands]


def refuse_blocks(tape: Tape, what: str) -> None:
    """Raise if a tape calls blocks, whose values and derivatives its records don't tell."""
    if tape.blocks and len(calls := calls_of(tape)):
        slot = int(calls[0])
        raise UnsupportedBlockError(
            f"a tape that calls a block can't be {what}: `{tape.blocks[tape.a[slot]].name}` in "
            f"slot {slot} is no elementary operation; record what it computes, operation by "
            "operation"
        )
