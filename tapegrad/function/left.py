"""Plain things that a recorded function leaves outside itself, as a recording knows them.

What was set is set at each call, what was counted counts on, a list that grew grows again. Where
one recording can't tell (nothing changed, but it may have been set to what it was; or it depends
on what was there), it holds for places as they were when it began; the next one of the same way,
which began with others, tells more. What is changed by what was there is so recorded each time.
"""

from __future__ import annotations

import copy
import threading
from typing import Any, NamedTuple

import numpy as np

from tapegrad.function.content import can_change, children, freeze, is_active
from tapegrad.function.holders import Holder, Items
from tapegrad.function.watch.conditions import MISSING
from tapegrad.record.interception import original_of

ELSEWHERE = object()
"""Stands for what other effects put in a place."""
WHOLE = object()
"""The key of all that is in a list, a dictionary or a set."""

Change = tuple[Holder, Any, Any]
"""A place, and what is put there, or added to what is there."""


def _is_same(now: Any, before: Any) -> bool:
    """Whether there is the same thing in a place, or an equal one that can't change."""
    now, before = original_of(now), original_of(before)
    if now is before or before is ELSEWHERE or now is ELSEWHERE:
        return True
    if isinstance(now, dict) and isinstance(before, dict):
        return False
    if type(now) is not type(before) or can_change(now) or is_active(now):
        return False
    return bool(freeze(now, keep=False) == freeze(before, keep=False))


def _are_same(now: dict[Any, Any], before: dict[Any, Any]) -> bool:
    return now.keys() == before.keys() and all(
        _is_same(value, before[key]) for key, value in now.items()
    )


class Unknown(NamedTuple):
    """A place that may have been set, or was changed by what was there: how it began and ended.

    The key is an array of indices for an array, and `WHOLE` for all that a container holds. A
    count is only set, or added to.
    """

    holder: Holder
    key: Any
    start: Any
    end: Any
    is_count: bool = False

    def are_same(self, one: Any, other: Any) -> bool:
        """Whether there is the same in two states of the place."""
        if isinstance(self.holder, Items):
            return one.shape == other.shape and one.tobytes() == other.tobytes()  # type: ignore[no-any-return]
        return _are_same(one, other) if self.key is WHOLE else _is_same(one, other)

    def is_at(self, state: Any) -> bool:
        """Whether the place is in a state now."""
        if isinstance(self.holder, Items):
            return self.are_same(self.holder.get(self.key), state)
        now = self.holder.contents()
        return self.are_same(now if self.key is WHOLE else now.get(self.key, MISSING), state)

    @property
    def is_changed(self) -> bool:
        """Whether the function changed it."""
        return not self.are_same(self.start, self.end)

    @property
    def place(self) -> tuple[int, Any]:
        """What tells the place from others."""
        return place_of(self.holder, self.key)

    @property
    def name(self) -> str:
        """What the place is called."""
        return str(self.key) if self.holder.is_named else f"a {type(self.holder.thing).__name__}"


def step_between(start: Any, end: Any) -> Any:
    """Return what was added to a count, or None if that can't be told exactly."""
    if not all(isinstance(x, int | float | np.number) for x in (start, end)):
        return None
    is_exact = all(float(x).is_integer() and abs(x) < 2**53 for x in (start, end))
    return end - start if is_exact and not isinstance(end, bool) else None


def place_of(holder: Holder, key: Any) -> tuple[int, Any]:
    """Return what tells a place from others while its holder lives."""
    return id(holder.thing), key.tobytes() if isinstance(key, np.ndarray) else key


class _Activity:
    """Counts of what is left outside functions, by all threads and by each."""

    def __init__(self) -> None:
        self._lock, self._total = threading.Lock(), 0
        self._own = threading.local()

    def note(self) -> None:
        """Note that this thread leaves something."""
        with self._lock:
            self._total += 1
        self._own.count = getattr(self._own, "count", 0) + 1

    def of_others(self) -> int:
        """Return how often other threads did."""
        count: int = getattr(self._own, "count", 0)
        return self._total - count


activity = _Activity()


class Left:
    """What a function leaves, and for which places as they begin.

    Parameters
    ----------
    known : dict
        The things that were there before, by identity: they're put as they are.
    compared : set of int
        The identities of what held places.

    Attributes
    ----------
    puts, adds : list of Change
        What is put in places, and what is added to counts.
    tails : list of (list, list)
        By what lists grow.
    unknown : list of Unknown
        Places that have to be as they were for this to hold.
    is_disturbed : bool
        Whether another thread left things meanwhile, so that it's not known who left what.
    """

    def __init__(self, known: dict[int, Any], compared: set[int]) -> None:
        self._known, self._compared = known, compared
        self.puts: list[Change] = []
        self.adds: list[Change] = []
        self.tails: list[tuple[Any, list[Any]]] = []
        self.unknown: list[Unknown] = []
        self.is_disturbed = False
        self._is_pending = True  # until the call ends that recorded it
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self.puts or self.adds or self.tails or self.unknown)

    @property
    def things(self) -> list[Any]:
        """What holds the places."""
        holders = [holder for holder, _, _ in (*self.puts, *self.adds)]
        holders += [place.holder for place in self.unknown]
        return [*(holder.thing for holder in holders), *(sequence for sequence, _ in self.tails)]

    @property
    def depends(self) -> bool:
        """Whether something was changed by what was there, as far as is known."""
        return any(place.is_changed for place in self.unknown)

    def kept(self, value: Any, memo: dict[int, Any] | None = None) -> Any:
        """Return a thing that was there before, or a copy of what the function made."""
        value = original_of(value)
        if not can_change(value) or id(value) in self._known:
            return value
        memo = {} if memo is None else memo
        waiting, seen = [value], {id(value)}
        while waiting:
            for item in children(waiting.pop()):
                if not can_change(item) or id(item) in self._known:
                    memo[id(item)] = item
                elif id(item) not in seen:
                    seen.add(id(item))
                    waiting.append(item)
        return copy.deepcopy(value, memo)

    def moved(self) -> str | None:
        """Return the name of a place that isn't as it has to be, if there's one."""
        for place in self.unknown:
            if not place.is_at(place.start) and not (self._is_pending and place.is_at(place.end)):
                return place.name
        return None

    def run(self, _: Any) -> None:
        """Leave the same again; what was counted when it was recorded isn't in the same call."""
        activity.note()
        with self._lock:
            is_first, self._is_pending = self._is_pending, False
        memo: dict[int, Any] = {}
        for place in self.unknown:
            if place.is_changed:
                self._put(place.holder, place.key, place.end, memo)
        for holder, key, value in self.puts:
            self._put(holder, key, value, memo)
        if is_first:
            return
        for holder, key, step in self.adds:
            holder.put(key, holder.get(key) + step)
        for sequence, items in self.tails:
            sequence.extend([None if x is ELSEWHERE else self.kept(x, memo) for x in items])

    def _put(self, holder: Holder, key: Any, value: Any, memo: dict[int, Any]) -> None:
        if value is MISSING:
            holder.remove(key)
        elif key is not WHOLE:
            holder.put(key, self.kept(value, memo))
        else:
            for own in reversed(holder.contents()):
                holder.remove(own)
            for own, item in value.items():
                holder.put(own, None if item is ELSEWHERE else self.kept(item, memo))

    def learn(self, earlier: Left) -> None:
        """Settle what can be, by a recording of the same way that began with other things."""
        constants = {place_of(holder, key): value for holder, key, value in earlier.puts}
        before = {place.place: place for place in earlier.unknown}
        known = earlier._compared | earlier._known.keys()
        self.unknown = [
            place for place in self.unknown
            if id(place.holder.thing) not in known
            or not self._settles(place, before.get(place.place), constants)
        ]  # fmt: skip

    def _settles(self, place: Unknown, other: Unknown | None, constants: dict[Any, Any]) -> bool:
        """Whether it can be told what is done to a place from how it began and ended twice."""
        if place.place in constants:
            self.puts.append((place.holder, place.key, constants[place.place]))
            return True
        if other is None:  # it was known to be left alone
            return not place.is_changed
        if place.are_same(place.start, other.start):
            return False
        if not place.is_changed and not other.is_changed:
            return True
        if place.is_count and other.is_count:
            step = step_between(place.start, place.end)
            if step is not None and step == step_between(other.start, other.end):
                self.adds.append((place.holder, place.key, step))
                return True
        if place.key is WHOLE or not place.are_same(place.end, other.end):
            return False
        self.puts.append((place.holder, place.key, place.end))
        return True
