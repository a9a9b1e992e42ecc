"""Where the spans of calls are in memory: which overlap, and which elements are set again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tapegrad.program.ir import Call, Index, Program, Span, regions_read, statements
from tapegrad.program.iterations import Block, Iterations


class Spans:
    """The memory that a program's calls read and set.

    Parameters
    ----------
    program : Program
    iterations : Iterations
    """

    def __init__(self, program: Program, iterations: Iterations) -> None:
        self._program, self._iterations = program, iterations
        every = list(statements(program.body))
        calls = [s for s in every if isinstance(s, Call)]
        spanned = {self._root(span.region) for c in calls for span in (*c.reads, *c.writes)}
        read = {self._root(name) for s in every for name in regions_read(s)} if calls else set()
        # Whether each element was set, of memory that is to stay.
        self._is_set: dict[str, npt.NDArray[np.bool_]] = {
            name: np.zeros(program.region[name].size, bool)
            for name in spanned & read & program.region.keys()
        }

    def overlap(self, one: Span, other: Span, block: Block, position: int) -> bool:
        """Whether two spans of a call have an element in common, in any iteration."""
        if self._root(one.region) != self._root(other.region) or not one.size * other.size:
            return False
        starts = [self._start(span, block, position) for span in (one, other)]
        distance = starts[1] - starts[0]
        return bool(np.any((distance < one.size) & (-distance < other.size)))

    def set_again(self, region: str, start: Index, size: int, block: Block, position: int) -> bool:
        """Whether a statement sets an element that was set before, or sets one twice.

        Memory that is no call's, or that nothing reads, may be set again.
        """
        is_set = self._is_set.get(self._root(region))
        if is_set is None or not size:
            return False
        starts = self._start(Span(region, start, size), block, position)
        if size * len(starts) > len(is_set):
            return True
        places = (starts[:, np.newaxis] + np.arange(size)).ravel()
        before = np.count_nonzero(is_set) + len(places)
        is_set[places] = True
        return bool(np.count_nonzero(is_set) < before)

    def _root(self, name: str) -> str:
        """Return the region that a region is a part of, or itself."""
        region = self._program.region.get(name)
        return region.within if region is not None and region.within else name

    def _start(self, span: Span, block: Block, position: int) -> npt.NDArray[np.int64]:
        """Return where a span begins in memory, in each iteration."""
        offset = self._program.region[span.region].offset
        return self._iterations.values(span.start.plus(offset), block, position)
