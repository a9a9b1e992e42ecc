"""How often a program's loops run, and which numbers an index takes: for all iterations at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tapegrad.program.ir import Counter, Index, Loop, Program

Indices = npt.NDArray[np.int64]


class Extent:
    """What counters are in every iteration of the loops that run forward.

    Parameters
    ----------
    program : Program

    Attributes
    ----------
    total : dict of int
        How often a loop's body runs in all, by the loop's number; -1 is the program itself.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._around: dict[int, int] = {}
        self._counters: dict[int, dict[Counter, Indices]] = {-1: {}}
        self.total: dict[int, int] = {-1: 1}
        self._look(program.body, -1)

    def _look(self, body: tuple[object, ...], around: int) -> None:
        for statement in body:
            if isinstance(statement, Loop) and not statement.backward:
                counts = self.values(statement.count, around)
                self._around[statement.number] = around
                self.total[statement.number] = int(counts.sum())
                self._counters[statement.number] = {}
                self._look(statement.body, statement.number)

    def counters(self, loop: int) -> dict[Counter, Indices]:
        """Return what the counters of a loop and those around are, in each of its iterations."""
        known = self._counters[loop]
        if not known and loop >= 0:
            around = self._around[loop]
            counts = self.values(self._program.loops[loop].count, around)
            firsts = np.cumsum(counts) - counts
            known[Counter(loop, "total")] = np.arange(self.total[loop])
            known[Counter(loop, "step")] = np.arange(self.total[loop]) - np.repeat(firsts, counts)
            known |= {c: np.repeat(v, counts) for c, v in self.counters(around).items()}
        return known

    def values(self, index: Index, loop: int) -> Indices:
        """Return an index in each iteration of a loop."""
        found = np.full(self.total[loop], index.base, np.int64)
        if index.terms or index.at is not None:
            counters = self.counters(loop)
            for counter, factor in index.terms:
                found += factor * counters[counter]
            if index.at is not None:
                found += self._program.table[index.table].values[counters[index.at]]
        return found


def totals(program: Program) -> dict[int, int]:
    """Return how often each loop's body runs in all, by the loop's number."""
    return Extent(program).total
