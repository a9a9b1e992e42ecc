"""What of a long tape is drawn: the iterations and stretches that stand for the others."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import TypeVar

from tapegrad.drawing.folding import Folded, Item, Run

T = TypeVar("T")

_LEAST_BLOCK = 8  # shorter than this, a cut iteration shows nothing


@dataclass
class Part:
    """One node of the picture, or a run, of which some iterations are drawn beside a fold.

    Attributes
    ----------
    start, stop : int
        Its slots.
    run : Run or None
        None for a record, and for records left out that are no repetition.
    first, last : list of Part
        What is drawn of the first and of the last iteration; nothing if empty.
    """

    start: int
    stop: int
    run: Run | None = None
    first: list[Part] = field(default_factory=list)
    last: list[Part] = field(default_factory=list)

    @property
    def n_folded(self) -> int:
        """Number of iterations behind the fold."""
        times = 1 if self.run is None else self.run.times
        return times - bool(self.first) - bool(self.last)

    @property
    def folded_slots(self) -> tuple[int, int]:
        """The slots behind the fold."""
        return (
            self.first[-1].stop if self.first else self.start,
            self.last[0].start if self.last else self.stop,
        )


def shorten(parts: list[T], most: int) -> tuple[list[T], list[T], list[T]]:
    """Split a list in its beginning, what is left out, and its end, to show `most` entries."""
    if len(parts) <= most:
        return parts, [], []
    head = most // 2
    tail = len(parts) - (most - 1 - head)  # one of them stands for what is left out
    return parts[:head], parts[head:tail], parts[tail:]


def choose(folded: Folded, limit: int) -> list[Part]:
    """Return what to draw, of at most `limit` records and folds.

    First every run is a fold. Then the shortest iterations are drawn, those of inner loops too,
    as long as there is room: of each run the first and, if they fit, the last.
    """
    top = _parts(folded, folded.items, limit)
    room = limit - len(top)
    order = itertools.count()  # equal ones in turn
    waiting: list[tuple[int, int, Part]] = []

    def consider(parts: list[Part]) -> None:
        for part in parts:
            if part.run is not None:
                heapq.heappush(waiting, (len(part.run.first), next(order), part))

    consider(top)
    while waiting:
        size, _, part = heapq.heappop(waiting)
        assert part.run is not None
        if not part.first and (size <= room or room >= _LEAST_BLOCK):
            part.first = _parts(folded, part.run.first, room)
            drawn = part.first
            heapq.heappush(waiting, (size, next(order), part))
        elif part.first and size <= room:
            drawn = part.last = _parts(folded, part.run.last, room)
        else:
            continue
        room -= len(drawn)
        consider(drawn)
    return top


def _parts(folded: Folded, items: list[Item], most: int) -> list[Part]:
    head, hidden, tail = shorten(items, most)
    shown = [[Part(*item, folded.runs.get(item)) for item in side] for side in (head, tail)]
    elided = [Part(hidden[0][0], hidden[-1][1])] if hidden else []
    return [*shown[0], *elided, *shown[1]]
