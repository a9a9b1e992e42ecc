"""Flat loops made nests: where the strides of what is read break, an outer loop goes on.

Shapes alone don't show that a loop over all pairs is two loops: its body repeats from the first
pair to the last. What it reads does: addresses step evenly but for the places where the inner
loop began again.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, compress

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import CALL
from tapegrad.roll.nest import Indices, Leaf, Loop, operands
from tapegrad.tape import Tape

LEAST_ITERATIONS = 3
"""What an inner loop must run on average."""


class Ranks:
    """Which leaf made each slot, by number, and as which of its numbers.

    Inputs are made by leaf -1, results by their calls; of a call itself the rank is which it is.

    Attributes
    ----------
    n_made : list of int
        How many numbers each leaf made.
    n_read : list of int
        How many arguments each of its calls has.
    """

    def __init__(self, tape: Tape, root: Loop) -> None:
        self.leaves = list(root.leaves())
        self.maker = np.full(len(tape), -2, np.int32)
        self.rank = np.zeros(len(tape), np.int64)
        self.maker[tape.inputs] = -1
        self.rank[tape.inputs] = np.arange(len(tape.inputs))
        self.n_made: list[int] = []
        self.n_read: list[int] = []
        for k, leaf in enumerate(self.leaves):
            made, n_read = leaf.slots, 0
            self.maker[made], self.rank[made] = k, np.arange(len(made))
            if leaf.op == CALL:  # its results, in order
                block = tape.blocks[tape.a[made[0]]]
                n_read = sum(compress(block.operand_sizes, block.has_slots))
                made = (made[:, np.newaxis] + np.arange(1, block.n_results + 1)).reshape(-1)
                self.maker[made], self.rank[made] = k, np.arange(len(made))
            self.n_made.append(len(made))
            self.n_read.append(n_read)

    @property
    def arguments_before(self) -> list[int]:
        """How many arguments there are of calls of the leaves before each, and of all."""
        pairs = zip(self.n_read, self.leaves, strict=True)
        return list(accumulate((n * len(leaf.slots) for n, leaf in pairs), initial=0))


def split(tape: Tape, loop: Loop, ranks: Ranks | None = None) -> None:
    """Split every loop inside whose strides break."""
    ranks = Ranks(tape, loop) if ranks is None else ranks
    for k, node in enumerate(loop.body):
        if isinstance(node, Loop):
            split(tape, node, ranks)
            loop.body[k] = _nested(tape, node, ranks)


def _nested(tape: Tape, loop: Loop, ranks: Ranks) -> Loop:
    """Return the loop inside as many others as its strides show."""
    total = loop.total
    known = np.zeros(total, np.bool_)
    firsts = np.cumsum(loop.counts) - loop.counts
    has_run = loop.counts > 0
    known[firsts[has_run]] = True
    begins = known.copy()
    for sequence in _sequences(tape, loop, ranks):
        step = np.diff(sequence)
        if not len(step) or np.all(step == step[0]):
            continue
        usual = np.partition(step, len(step) // 2)[len(step) // 2]
        breaks = step != usual
        if LEAST_ITERATIONS * np.count_nonzero(breaks) <= total:
            begins[1:] |= breaks
    places = np.flatnonzero(begins)
    if len(places) < 3 + np.count_nonzero(has_run) or LEAST_ITERATIONS * len(places) > total:
        return loop
    starts = _starts_of_iterations(loop)[places]
    lengths = np.diff(np.append(places, total))
    of_run = np.zeros(len(loop.counts), np.int64)
    of_run[has_run] = np.add.reduceat(begins.astype(np.int64), firsts[has_run])
    inner = Loop(loop.body, lengths, starts)
    return _nested(tape, Loop([inner], of_run, loop.starts), ranks)


def _sequences(tape: Tape, loop: Loop, ranks: Ranks) -> Iterator[Indices]:
    """Yield what leaves read, as ranks, at each iteration of the loop."""
    for leaf, places in _first_in_iterations(loop):
        for operand in operands(tape, leaf):
            read = operand[places]
            if np.any(read <= 0):
                continue
            makers = ranks.maker[read]
            if np.all(makers == makers[0]):
                yield ranks.rank[read]


def _first_in_iterations(loop: Loop) -> Iterator[tuple[Leaf, npt.NDArray[np.int64]]]:
    """Yield each leaf, and which of its records is its first in each iteration of the loop."""
    for node in loop.body:
        if isinstance(node, Leaf):
            yield node, np.arange(len(node.slots))
        elif np.all(node.counts):
            firsts = np.cumsum(node.counts) - node.counts
            for leaf, places in _first_in_iterations(node):
                yield leaf, places[firsts]


def _starts_of_iterations(loop: Loop) -> Indices:
    first = loop.body[0]
    return first.slots if isinstance(first, Leaf) else first.starts
