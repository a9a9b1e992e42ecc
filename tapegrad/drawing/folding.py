"""Repetition in a tape, as a picture shows it: the loops that rolling finds, and rows of inputs.

A tape is a sequence of items: records, and runs of a loop, whose iterations are items in turn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import CALL
from tapegrad.roll import loops_of
from tapegrad.roll.nest import Leaf, Loop
from tapegrad.tape import Tape

Item = tuple[int, int]
"""The records of an item: its first slot, and the one after its last."""

Integers = npt.NDArray[np.int64]

LEAST_TIMES, LEAST_RECORDS = 4, 8
"""A fold between the first and the last iteration must be worth it."""


class Run(NamedTuple):
    """A repeated stretch of items."""

    times: int
    first: list[Item]
    last: list[Item]


class Folded(NamedTuple):
    """A tape's items, and what those of more than one record are made of."""

    items: list[Item]
    runs: dict[Item, Run]


def fold(tape: Tape, inputs: Integers, starts: list[int]) -> Folded:
    """Return the repeated structure of a tape.

    Parameters
    ----------
    tape : Tape
    inputs : ndarray
        The inputs' slots.
    starts : list of int
        Where among the inputs those of each argument begin: another's are no more of the same.
    """
    runs: dict[Item, Run] = {}
    items = [item for block in np.split(inputs, starts) for item in _row(block.tolist(), runs)]
    nest = loops_of(tape)
    if nest is None:
        others = np.setdiff1d(np.arange(1, len(tape)), inputs)
        items += [(slot, slot + 1) for slot in others.tolist()]
    else:
        items += _Iterations(tape, runs).items(nest, 0)
    return Folded(sorted(items), runs)


def _row(slots: list[int], runs: dict[Item, Run]) -> list[Item]:
    """Return an argument's inputs or a call's results as items: one, if they are in a row."""
    single = [(slot, slot + 1) for slot in slots]
    if len(slots) < LEAST_RECORDS or slots[-1] - slots[0] != len(slots) - 1:
        return single
    whole = slots[0], slots[-1] + 1
    runs[whole] = Run(len(slots), single[:1], single[-1:])
    return [whole]


class _Iterations:
    """Makes items of a nest's iterations, and runs of the loops that run in them."""

    def __init__(self, tape: Tape, runs: dict[Item, Run]) -> None:
        self._tape, self._runs = tape, runs

    def items(self, loop: Loop, iteration: int) -> list[Item]:
        """Return the items of an iteration of a loop, of all that there are."""
        found: list[Item] = []
        for node in loop.body:
            if isinstance(node, Leaf):
                slot = int(node.slots[iteration])
                found.append((slot, slot + 1))
                if node.op == CALL:
                    n = self._tape.blocks[self._tape.a[slot]].n_results
                    found += _row(list(range(slot + 1, slot + 1 + n)), self._runs)
            else:
                found += self._run(node, iteration)
        return found

    def _run(self, loop: Loop, run: int) -> list[Item]:
        times, before = int(loop.counts[run]), int(loop.counts[:run].sum())
        if not times:
            return []
        first, last = (self.items(loop, before + k) for k in (0, times - 1))
        start, stop = first[0][0], last[-1][1]
        if times < LEAST_TIMES or stop - start < LEAST_RECORDS:
            return [item for k in range(times) for item in self.items(loop, before + k)]
        self._runs[start, stop] = Run(times, first, last)
        return [(start, stop)]
