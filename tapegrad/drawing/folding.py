"""Repetition in a tape: a loop's records come one iteration after another.

The tape is a sequence of items, at first its records. Where a stretch of items repeats, it
becomes one item, a run, and so on until nothing repeats, so that nested loops are runs of runs.
Iterations are the same if they do the same operations, and take what they compute themselves
from the same places; what comes from outside may be any number (but no constant where others
read a slot, save in the first one), and an inner loop may be run another number of times.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Item = tuple[int, int]
"""The records of an item: its first slot, and the one after its last."""

Integers = npt.NDArray[np.int64]

LEAST_TIMES, LEAST_ITEMS = 4, 8
"""A fold between the first and the last iteration must be worth it."""

# The distance of an operand that comes from no record is farther than any.
_OUTSIDE, _CONSTANT = 2**40, 2**41


class Run(NamedTuple):
    """A repeated stretch of items."""

    times: int
    first: list[Item]
    last: list[Item]


class Folded(NamedTuple):
    """A tape's items, and what those of more than one record are made of."""

    items: list[Item]
    runs: dict[Item, Run]


class _Repeat(NamedTuple):
    """Where a run begins among the items, and how many items and iterations it has."""

    first: int
    period: int
    times: int

    @property
    def stop(self) -> int:
        return self.first + self.period * self.times


def fold(kind: Integers, operands: Integers) -> Folded:
    """Return the repeated structure of a tape.

    Parameters
    ----------
    kind : ndarray, shape (n,)
        A number for each slot: records of different numbers are never the same. Slot 0 is no
        item.
    operands : ndarray, shape (2, n)
        The slots each record reads; 0 for none, and for one that may be any; a constant if
        negative.
    """
    items = _Items(kind, operands)
    while items.collapse():  # what has collapsed may repeat in turn
        pass
    return Folded(items.pairs(0, len(items.start)), items.runs)


class _Items:
    """The items so far, in columns."""

    def __init__(self, kind: Integers, operands: Integers) -> None:
        self.start = np.arange(1, len(kind))
        self.stop = self.start + 1
        self.kind = kind[1:].copy()
        self.runs: dict[Item, Run] = {}
        self._operands = operands

    def pairs(self, begin: int, end: int) -> list[Item]:
        """Return items of a range."""
        return list(zip(self.start[begin:end].tolist(), self.stop[begin:end].tolist(), strict=True))

    def collapse(self) -> bool:
        """Make items of the runs of each period, the shortest first; return if there were any."""
        before = len(self.start)
        reach = 1
        while LEAST_TIMES * reach < 2 * len(self.start):
            self._replace(self._repeats(reach))
            reach *= 2
        return len(self.start) < before

    def _distances(self) -> Integers:
        """Return how many items before each one its operands are."""
        lengths = self.stop - self.start
        owner = np.repeat(np.arange(len(lengths)), lengths)
        distances = np.full((2, len(lengths)), _OUTSIDE)
        single = np.flatnonzero(lengths == 1)
        source = self._operands[:, self.start[single]]
        outside = np.where(source < 0, _CONSTANT, _OUTSIDE)
        distances[:, single] = np.where(source > 0, single - owner[source - 1], outside)
        return distances

    def _repeats(self, reach: int) -> list[_Repeat]:
        """Return the runs of a period of at most `reach`, from left to right.

        Wherever a word of `reach` items comes again, it's linked to the next place: in a run of
        a period up to its length the links are as long as the period.
        """
        distances = self._distances()
        word = self.kind
        for distance in distances:
            is_far = (distance > reach) & (distance != _CONSTANT)
            word = _mix(word, np.where(is_far, 0, distance))
        width = 1
        while width < reach:
            word = _mix(word[:-width], word[width:])
            width *= 2
        order = np.argsort(word, kind="stable")
        again = word[order[1:]] == word[order[:-1]]
        link = np.zeros(len(word), np.int64)
        link[order[:-1][again]] = np.diff(order)[again]
        begins = np.flatnonzero(np.diff(link, prepend=-1))
        ends = np.append(begins[1:], len(link))
        periods = link[begins]
        short = (periods > 0) & (periods <= reach)
        repeats: list[_Repeat] = []
        free = 0
        for begin, end, period in np.stack([begins, ends, periods])[:, short].T.tolist():
            stop = end - 1 + reach + period
            first = self._first_iteration(max(begin, free), period, free, distances)
            repeat = _Repeat(first, period, (stop - first) // period)
            if repeat.times >= LEAST_TIMES and repeat.stop - first >= LEAST_ITEMS:
                repeats.append(_without_reader(repeat, reach, distances))
                free = repeats[-1].stop
        return repeats

    def _first_iteration(self, begin: int, period: int, free: int, distances: Integers) -> int:
        """Return where the run found at `begin` really begins.

        The first iterations look different, for what they read comes from before the loop. That
        is the case for the items whose operands are before the start of their iteration.
        """
        first, bound = begin, -1
        for i in range(begin - 1, max(free, begin - 2 * period) - 1, -1):
            if self.kind[i] != self.kind[i + period]:
                break
            here, later = distances[:, i], distances[:, i + period]
            for mine, theirs in zip(here.tolist(), later.tolist(), strict=True):
                if mine != theirs:
                    bound = max(bound, i - min(mine, theirs))
            if i > bound:
                first = i
        return first

    def _replace(self, repeats: list[_Repeat]) -> None:
        """Make an item of each run."""
        if not repeats:
            return
        keep = np.ones(len(self.start), bool)
        for first, period, times in repeats:
            stop = first + period * times
            run = Run(times, self.pairs(first, first + period), self.pairs(stop - period, stop))
            self.stop[first] = self.stop[stop - 1]
            self.kind[first] = hash(tuple(self.kind[first : first + period].tolist()))
            self.runs[int(self.start[first]), int(self.stop[first])] = run
            keep[first + 1 : stop] = False
        self.start, self.stop, self.kind = self.start[keep], self.stop[keep], self.kind[keep]


def _without_reader(repeat: _Repeat, reach: int, distances: Integers) -> _Repeat:
    """Return a run without its last iteration if that alone reads from far back in the run.

    It's then no more of the same: terms are computed one by one, and a sum of them follows.
    """
    last = np.arange(repeat.stop - 2 * repeat.period, repeat.stop)
    back = distances[:, last]
    reads = np.any((back > reach) & (back <= last - repeat.first), axis=0)
    alone = reads[repeat.period :].any() and not reads[: repeat.period].any()
    return repeat._replace(times=repeat.times - 1) if alone else repeat


def _mix(x: Integers, y: Integers) -> Integers:
    """Return hashes of pairs; 64 bits are enough for two different ones never to meet."""
    mixed = (x.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ y.view(np.uint64)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return mixed.view(np.int64)
