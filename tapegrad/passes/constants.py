"""Equal constants: one entry of the pool for each number that the records use."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types, uint64

from tapegrad.blocks import CALL
from tapegrad.jit import Kernel, jit_inline
from tapegrad.passes.building import INTEGERS, Operands, Records, rebuilt
from tapegrad.tape import Tape


def share_constants(tape: Tape) -> Tape:
    """Let constants of equal bits be one entry of the pool: the first.

    The bits are looked up in a hash table in the order of the pool; -0.0 is not 0.0, and NaNs
    of one payload are equal.

    Preserves values and derivatives to the bit; every record, in order; the order in which
    constants first occur.
    """
    first = first_equal(tape.constants)
    is_first = first == np.arange(len(first))
    # The operand of each constant: where its first equal is among the first ones.
    operands = ~(np.cumsum(is_first, dtype=np.int32)[first] - np.int32(1))
    slots = np.arange(len(tape), dtype=np.int32)
    target = np.concatenate([operands[::-1].astype(np.int32), slots])
    start = len(first)
    is_call = tape.op == CALL
    a, b = (np.where(is_call, x, target[start + np.where(is_call, 0, x)]).astype(np.int32)
            for x in (tape.a, tape.b))  # fmt: skip
    records = Records(tape.op, a, b, tape.value)
    return rebuilt(tape, records, len(tape), tape.constants[is_first], target)


def first_equal(constants: npt.NDArray[np.float64]) -> Operands:
    """Return, for each constant, the index of the first that has the same bits."""
    first = np.empty(len(constants), np.int32)
    _first_equal.run(constants.view(np.uint64), first, table(len(constants)))
    return first


def table(entries: int) -> Operands:
    """Return an empty hash table: a power of two of places, a third of them free at least."""
    return np.zeros(1 << (3 * entries // 2 + 1).bit_length(), np.int32)


@jit_inline
def scattered(key):
    """Return a hash of 64 bits, whose lowest bits depend on all of the key's."""
    key = (key ^ (key >> uint64(32))) * uint64(0x9E3779B97F4A7C15)
    return (key ^ (key >> uint64(29))) * uint64(0xBF58476D1CE4E5B9) >> uint64(20)


def _find_first_equal(bits, first, places):
    mask = uint64(len(places) - 1)
    for k in range(len(bits)):
        place = scattered(bits[k]) & mask
        while places[place] != 0 and bits[places[place] - 1] != bits[k]:
            place = (place + uint64(1)) & mask
        if places[place] == 0:
            places[place] = k + 1
        first[k] = places[place] - 1


_BITS = types.Array(types.uint64, 1, "C")
_first_equal = Kernel(_find_first_equal, types.void(_BITS, INTEGERS, INTEGERS))
