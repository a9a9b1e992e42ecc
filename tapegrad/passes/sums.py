"""Sums: chains of records `s = s + t`, found for whoever treats a sum as one thing.

The partial sums of a chain have no other reader, so all of its terms have one adjoint.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import int32, int64, types

from tapegrad.blocks import CALL
from tapegrad.jit import Kernel, jit
from tapegrad.layout import OUTPUTS_WORD
from tapegrad.memory import call_operands, columns, counts, data, guards, pointer
from tapegrad.ops import CODE
from tapegrad.passes.building import INTEGERS, Operands
from tapegrad.tape import Tape

ADD, INPUT = CODE["add"], CODE["input"]


class Sums(NamedTuple):
    """The chains of additions of a tape, in the order of their last records.

    Chain j is `s = start[j]`, then `s = s + term[r]` for r from `first[j]` to `first[j + 1]`,
    each written to the slot `record[r]`. There are two additions or more.

    Attributes
    ----------
    start : ndarray of int32, shape (n,)
        The operand each chain starts from.
    first : ndarray of int32, shape (n + 1,)
        Where each chain's terms begin, and the end of all.
    record, term : ndarray of int32
        The chains' records, one chain after the other, and the operand each adds.
    """

    start: Operands
    first: Operands
    record: Operands
    term: Operands

    @property
    def lengths(self) -> Operands:
        """The number of additions of each."""
        return np.diff(self.first)


def find_sums(tape: Tape) -> Sums:
    """Return the chains of additions of a tape, which stays as it is.

    An addition continues the chain of an operand that is an addition with no other reader,
    neither record nor guard nor output. Where both operands are, it continues the longer chain,
    the later one of two as long, and the other is a chain of its own: a sum of sums.

    One loop counts readers, one links, one writes the chains down; a chain of a single addition
    is left out.
    """
    n = len(tape)
    readers, before, length = (np.zeros(n, np.int32) for _ in range(3))
    chains, additions = _link.run(tape.address, readers, before, length, len(tape.call_operands))
    start, first = np.empty(chains, np.int32), np.zeros(chains + 1, np.int32)
    record, term = np.empty(additions, np.int32), np.empty(additions, np.int32)
    _write.run(tape.address, before, length, start, first, record, term)
    return Sums(start, first, record, term)


def _link_additions(address, readers, before, length, n_operands):
    """Set the addition before each in its chain, and each last one's length, others' to 0."""
    n, _ = counts(address)
    op, a, b, _, _ = columns(address)
    count = data(readers)
    _count_readers(address, count, n_operands)
    chains = additions = 0
    for i in range(1, n):
        if op[i] == ADD:
            x, y = a[i], b[i]
            of_x = length[x] if x > 0 and op[x] == ADD and count[x] == 1 else 0
            of_y = length[y] if y > 0 and op[y] == ADD and count[y] == 1 else 0
            is_x = of_x > of_y or (of_x == of_y and x > y)
            most = max(of_x, of_y)
            if most > 0:
                before[i] = x if is_x else y
                length[before[i]] = 0
            length[i] = most + 1
            # A chain counts from its second addition on.
            chains += most == 1
            additions += 2 if most == 1 else most > 1
    return chains, additions


@jit
def _count_readers(address, count, n_operands):
    """Count the operands, guards and outputs that read each slot."""
    n, _ = counts(address)
    op, a, b, _, _ = columns(address)
    for i in range(1, n):
        if op[i] != INPUT and op[i] != CALL:
            count[max(a[i], 0)] += 1
            count[max(b[i], 0)] += 1
    (operand,) = call_operands(address)
    for k in range(n_operands):
        count[max(operand[k], 0)] += 1
    head = pointer(address, int64)
    n_outputs, output = head[OUTPUTS_WORD], pointer(head[OUTPUTS_WORD + 1], int32)
    for k in range(n_outputs):
        count[max(output[k], 0)] += 1
    n_guards, guard_slot, _ = guards(head)
    for k in range(n_guards):
        count[guard_slot[k]] += 1


def _write_chains(address, before, length, start, first, record, term):
    n, _ = counts(address)
    _, a, b, _, _ = columns(address)
    j = k = 0
    for i in range(1, n):
        if length[i] > 1:
            k += length[i]
            j += 1
            first[j] = k
            slot = int32(i)
            for r in range(k - 1, k - length[i] - 1, -1):
                previous = before[slot]
                record[r] = slot
                # The first addition's left operand is what the chain starts from.
                term[r] = a[slot] if previous != 0 and previous == b[slot] else b[slot]
                if previous == 0:
                    start[j - 1] = a[slot]
                slot = previous


_link = Kernel(
    _link_additions, types.UniTuple(int64, 2)(int64, INTEGERS, INTEGERS, INTEGERS, int64)
)
_write = Kernel(_write_chains, types.void(int64, *[INTEGERS] * 6))
