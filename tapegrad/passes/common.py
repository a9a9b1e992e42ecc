"""Common subexpressions: what was computed before is not computed again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import int32, int64, types, uint64

from tapegrad.blocks import CALL, RESULT
from tapegrad.jit import Kernel
from tapegrad.memory import columns, counts, data, shift
from tapegrad.ops import CODE
from tapegrad.passes.building import BYTES, FLOATS, INTEGERS, rebuilt, room
from tapegrad.passes.constants import first_equal, scattered, table
from tapegrad.rows import ROWS
from tapegrad.tape import Tape

INPUT = CODE["input"]

NEARBY = 4
"""How many places of the hash table are tried near the one of a record's later operand.

They are in the cache, being written shortly before; a place anywhere in the table is not, and
looking there first takes thrice the time. It's where the readers of a much-read slot go.
"""


def merge_common(tape: Tape) -> Tape:
    """Drop the records that compute what an earlier one computed; their readers read that one.

    Value numbering: in one loop from the first record to the last, the operation and its
    operands, themselves replaced already, are looked up in a hash table of the records kept.
    Constants are compared by their bits. Operations that don't mind the order of their
    operands, down to the sign of a zero, are looked up in one order.

    Calls of blocks stay, each of them.

    Preserves values to the bit, but for a NaN's sign and payload; derivatives up to rounding where
    they are finite, since an adjoint that was two is summed in another order; the order of
    inputs, outputs and guards. Records stay as they were written, and so does the pool. Two
    `stop`s of one operand are one `stop`.
    """
    records = room(tape)
    n_constants, n = len(tape.constants), len(tape)
    canonical = np.append(~first_equal(tape.constants)[::-1], np.int32(0))
    target = np.arange(-n_constants, n, dtype=np.int32)
    keys = np.empty(n, np.uint64)
    count = _merge.run(tape.address, *records, target, canonical, IS_COMMUTATIVE, keys, table(n))
    return rebuilt(tape, records, count, tape.constants, target)


IS_COMMUTATIVE: npt.NDArray[np.uint8] = np.array([row.commutes for row in ROWS], np.uint8)
"""By operation code."""


def _merge_common(address, op, a, b, value, target, canonical, commutes, keys, places):
    n, n_constants = counts(address)
    old_op, old_a, old_b, old_value, _ = columns(address)
    new, same = shift(data(target), n_constants), shift(data(canonical), n_constants)
    new_op, key_of, places_ = data(op), data(keys), data(places)
    mask = uint64(len(places) - 1)
    m = 1
    for i in range(1, n):
        code = old_op[i]
        if code == CALL:  # its operands are written by `rebuilt`
            a[m], b[m] = old_a[i], 0
        elif code == RESULT:
            a[m], b[m] = new[old_a[i]], 0
        elif code != INPUT:
            x, y = new[old_a[i]], new[old_b[i]]
            p = x if x >= 0 else same[min(x, int32(0))]
            q = y if y >= 0 else same[min(y, int32(0))]
            if commutes[code] and p > q:
                p, q = q, p
            key = uint64(types.uint32(p)) << uint64(32) | uint64(types.uint32(q))
            scatter = scattered(key + uint64(code) * uint64(0x9E3779B97F4A7C15))
            place = (uint64(2 * max(p, q, 0)) + (scatter & uint64(15))) & mask
            found = places_[place]
            tries = 1
            while found != 0 and (key_of[found] != key or new_op[found] != code):
                place = ((place if tries != NEARBY else scatter) + uint64(1)) & mask
                found = places_[place]
                tries += 1
            if found != 0:
                new[i] = found
                continue
            places_[place] = m
            key_of[m] = key
            a[m], b[m] = x, y
        else:
            a[m], b[m] = m, 0
        new_op[m], value[m] = code, old_value[i]
        new[i] = m
        m += 1
    return m


_KEYS = types.Array(types.uint64, 1, "C")
_merge = Kernel(
    _merge_common,
    int64(int64, BYTES, INTEGERS, INTEGERS, FLOATS, INTEGERS, INTEGERS, BYTES, _KEYS, INTEGERS),
)
