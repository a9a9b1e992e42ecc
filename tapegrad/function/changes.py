"""What a recorded function changed outside itself, found by comparing places before and after.

Beside active numbers, for which other effects give plain ones: flags, counts, texts, arrays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Any

from tapegrad.function.content import is_active
from tapegrad.function.effects import Effect, without_numbers
from tapegrad.function.environment import Environment
from tapegrad.function.holders import (
    Cell,
    Class,
    Elements,
    Entries,
    Holder,
    Items,
    Sequence,
    Slots,
    put_at,
)
from tapegrad.function.left import ELSEWHERE, WHOLE, Left, Unknown, activity, step_between
from tapegrad.function.places import Appended, Route, put_again, where
from tapegrad.function.reach import (
    MOST_SEARCHED,
    PLAIN,
    SEQUENCES,
    holders_in,
    is_searched,
    is_variable,
    parts_of,
)
from tapegrad.function.recording import Recording
from tapegrad.function.watch.conditions import CELL, ITEM, MISSING, THING, Path
from tapegrad.function.watch.reads import ANY_ITEM, Assigned, variable
from tapegrad.function.watch.walk import items as items_in
from tapegrad.record.interception import original_of

_GROWING = frozenset(["append", "appendleft", "extend", "extendleft"])
_REORDERING = frozenset(["clear", "appendleft", "extendleft", "insert"])


def _is(a: Any, b: Any) -> bool:
    return original_of(a) is original_of(b)


def _path_to(holder: Holder, key: Any) -> Path:
    """Return where what is in a place is read."""
    if isinstance(holder, Cell):
        return Path(CELL, holder.thing)
    if isinstance(holder, Slots):
        return Path(THING, holder.thing, None, (key,))
    return Path(ITEM, vars(holder.thing) if isinstance(holder, Class) else holder.thing, key)


def _put_from_end(sequence: Any, index: int, thing: Any) -> None:
    sequence[index] = thing


class Before:
    """What is in the places that a function can reach, before it's recorded.

    Parameters
    ----------
    roots : iterable
        Functions and objects that it uses.
    """

    def __init__(self, roots: Iterable[Any]) -> None:
        activity.note()
        self._others = activity.of_others()
        self._known: dict[int, Any] = {}
        self._holders: list[tuple[Holder, dict[Any, Any]]] = []
        self._sequences: list[tuple[Any, list[Any]]] = []
        self._owners: dict[int, Any] = {}
        self._ways: dict[int, tuple[Path, Any, Any]] = {}
        waiting = list(roots)
        self._roots = set(map(id, waiting))
        while waiting and len(self._known) < MOST_SEARCHED:
            thing = waiting.pop()
            if type(thing) in PLAIN or id(thing) in self._known:
                continue
            self._known[id(thing)] = thing
            if not is_searched(thing):
                continue
            leads = list(parts_of(thing))
            for holder in holders_in(thing):
                contents = holder.contents()
                self._holders.append((holder, contents))
                self._owners[id(holder.thing)] = thing
                if not isinstance(holder, Elements):
                    leads += self._routed(holder, contents, thing)
            if isinstance(thing, SEQUENCES):
                self._sequences.append((thing, list(thing)))
                leads += self._routed(Sequence(thing), dict(enumerate(thing)), thing)
            waiting.extend(leads)

    def _routed(self, holder: Holder, contents: dict[Any, Any], owner: Any) -> list[Any]:
        """Return what is in places that may hold more, having noted how it's reached."""
        found = []
        for key, value in contents.items():
            if type(value) not in PLAIN:
                value = original_of(value)
                found.append(value)
                if id(value) not in self._known and id(value) not in self._roots:
                    self._ways.setdefault(id(value), (_path_to(holder, key), value, owner))
        return found

    def _routes(self, things: Iterable[Any]) -> list[Route]:
        """Return the places through which holders were reached: they have to stay there."""
        found: dict[int, Route] = {}
        for thing in things:
            owner = self._owners.get(id(thing), thing)
            while id(owner) in self._ways and id(owner) not in found:
                path, value, above = self._ways[id(owner)]
                found[id(owner)] = Route(path, value)
                owner = above
        return list(found.values())

    def left(self, recording: Recording, environments: Iterable[Environment],
             earlier: Recording | None) -> None:  # fmt: skip
        """Add to a recording's effects what the function left, its code being watched so.

        `earlier` is a recording of the same way that began with other things.
        """
        left = Left(self._known, {id(holder.thing) for holder, _ in self._holders})
        assigned, names = Assigned(), set[str]()
        for environment in environments:
            assigned |= environment.assigned
            names |= environment.names
        search = _Search(left, recording.effects, assigned, frozenset(names))
        for holder, contents in self._holders:
            search.compare(holder, contents)
        for sequence, items in self._sequences:
            search.compare_sequence(sequence, items)
        if earlier is not None and earlier.left is not None:
            left.learn(earlier.left)
        if not left:
            return
        left.is_disturbed = activity.of_others() != self._others
        done = without_numbers(left.run)
        recording.leave(left, [done, *search.effects])
        recording.routes = [*recording.routes, *self._routes(left.things)]


class _Search:
    """What changed, as far as other effects don't see to it."""

    def __init__(self, left: Left, effects: Iterable[Effect], assigned: Assigned,
                 names: frozenset[str]) -> None:  # fmt: skip
        self._left, self._assigned, self._names = left, assigned, names
        self.effects = list(effects)
        self._handled: dict[int, dict[Any, int]] = {}
        self._compared: set[tuple[int, Any]] = set()
        for number, one in enumerate(self.effects):
            found = None if one.is_tap else where(one.run)
            if found is not None:
                self._handled.setdefault(id(found[0]), {})[found[1]] = number

    def compare(self, holder: Holder, before: dict[Any, Any]) -> None:
        """Compare what is in a holder's places with what was there."""
        handled = self._handled.get(id(holder.thing), {})
        if isinstance(holder, Items):
            self._compare_array(holder)
            return
        if isinstance(holder, Cell) and handled:
            return
        now = holder.contents()
        if not holder.is_named and "clear" in self._names:
            self._compare_cleared(holder, before, now, handled)
            return
        for key in [*before, *(key for key in now if key not in before)]:
            start, end = before.get(key, MISSING), now.get(key, MISSING)
            place = id(holder.thing), key
            if key in handled or place in self._compared or any(map(is_active, items_in(end))):
                continue
            if self._compare_place(holder, key, start, end):
                self._compared.add(place)

    def _compare_place(self, holder: Holder, key: Any, start: Any, end: Any) -> bool:
        """Compare what is in a place with what was there; return whether anything is to be done."""
        left = self._left
        is_added, is_updated, may_be_set = self._ways(holder, key, end)
        if _is(start, end):
            if not (may_be_set or is_updated or (is_added and type(end) is not int)):
                return False
            left.unknown.append(Unknown(holder, key, start, end))
        elif not (is_added or is_updated) or end is MISSING:
            left.puts.append((holder, key, left.kept(end)))
        else:
            found = holder.default(key) if start is MISSING else start
            step = None if is_updated or may_be_set else step_between(found, end)
            if step is None:
                left.unknown.append(Unknown(holder, key, start, left.kept(end), not is_updated))
            else:
                left.adds.append((holder, key, step))
        return True

    def _compare_array(self, holder: Items) -> None:
        """Compare an array with what it was."""
        at = holder.changed()
        if not len(at):
            return
        start, end = holder.before(at), holder.get(at)
        is_added, is_updated = ANY_ITEM in self._assigned.added, ANY_ITEM in self._assigned.updated
        if not (is_added or is_updated):
            self._left.puts.append((holder, at, end))
        elif not is_updated and all(
            step_between(a, b) is not None for a, b in zip(start, end, strict=True)
        ):
            self._left.adds.append((holder, at, end - start))
        else:
            self._left.unknown.append(Unknown(holder, at, start, end))

    def _ways(self, holder: Holder, key: Any, end: Any) -> tuple[bool, bool, bool]:
        """Return whether code adds to a place, updates it otherwise, or may set it unseen."""
        ways = self._assigned
        if holder.is_named:
            both = {key, variable(key)}  # a global is an attribute of its module, too
            own = variable(key) if is_variable(holder) else key
            is_set = own in (ways.deleted if end is MISSING else ways.stored)
            return not both.isdisjoint(ways.added), not both.isdisjoint(ways.updated), is_set
        if not isinstance(holder, Entries):
            return False, False, not self._names.isdisjoint(("add", "update"))
        return ANY_ITEM in ways.added, ANY_ITEM in ways.updated, "update" in self._names

    def _compare_cleared(self, holder: Holder, before: dict[Any, Any], now: dict[Any, Any],
                         handled: dict[Any, int]) -> None:  # fmt: skip
        """Compare what may have been cleared: it was, if something is gone."""
        end = {key: ELSEWHERE if key in handled else self._left.kept(value)
               for key, value in now.items()}  # fmt: skip
        if before.keys() <= now.keys():
            self._left.unknown.append(Unknown(holder, WHOLE, before, end))
        else:
            self._left.puts.append((holder, WHOLE, end))

    def compare_sequence(self, sequence: Any, before: list[Any]) -> None:
        """Compare a list or deque with what it was."""
        now = list(sequence)
        handled = self._handled.get(id(sequence), {})
        grown = len(before)
        is_full = isinstance(sequence, deque) and sequence.maxlen is not None
        is_kept = len(now) >= grown and all(map(_is, before, now))
        if is_kept and len(now) == grown and not handled:
            may_hide = "clear" in self._names or (
                is_full and len(now) == sequence.maxlen and not self._names.isdisjoint(_GROWING)
            )  # fmt: skip
            if may_hide:
                self._keep_whole(sequence, before, now, handled, is_certain=False)
            return
        if self._is_all_active(now, before, handled):
            return
        is_kept_long = len(now) == grown and not handled
        is_growing = is_kept and not is_full and self._names.isdisjoint(_REORDERING)
        if is_growing and all(index >= grown for index in handled):
            self._keep_tail(sequence, now, grown, handled)
            return
        if is_kept_long and self._counts_in(sequence, before, now):
            return
        ids = set(map(id, now))
        is_gone = not all(id(item) in ids for item in before)
        is_certain = is_gone and "clear" in self._names and not is_full
        self._keep_whole(sequence, before, now, handled, is_certain)

    def _is_all_active(self, now: list[Any], before: list[Any], handled: dict[Any, int]) -> bool:
        """Whether all that is new was appended, and other effects append it."""
        runs = [self.effects[number].run for number in handled.values()]
        first = len(now) - len(handled)
        return (
            all(isinstance(run, Appended) for run in runs)
            and all(index >= first for index in handled)
            and 0 <= first <= len(before)
            and all(map(_is, before[len(before) - first :], now[:first]))
        )

    def _counts_in(self, sequence: Any, before: list[Any], now: list[Any]) -> bool:
        """Whether counts in a list were added to, and nothing else was done to it."""
        ways = self._assigned
        is_open = ANY_ITEM in ways.updated or not self._names.isdisjoint(_REORDERING | _GROWING)
        if ANY_ITEM not in ways.added or is_open:
            return False
        pairs = [(index, before[index], now[index]) for index in range(len(now))
                 if not _is(before[index], now[index])]  # fmt: skip
        steps = [
            (Sequence(sequence), index, step_between(start, end)) for index, start, end in pairs
        ]
        if any(step is None for *_, step in steps):
            return False
        self._left.adds.extend(steps)
        return True

    def _keep_tail(self, sequence: Any, now: list[Any], grown: int,
                   handled: dict[Any, int]) -> None:  # fmt: skip
        """Have a list grow by the same at each call."""
        items = [ELSEWHERE if index in handled else self._left.kept(now[index])
                 for index in range(grown, len(now))]  # fmt: skip
        self._left.tails.append((sequence, items))
        for index in handled:
            self._redirect(handled[index], partial(_put_from_end, sequence, index - len(now)))

    def _keep_whole(self, sequence: Any, before: list[Any], now: list[Any],
                    handled: dict[Any, int], is_certain: bool) -> None:  # fmt: skip
        holder = Sequence(sequence)
        end = {index: ELSEWHERE if index in handled else self._left.kept(item)
               for index, item in enumerate(now)}  # fmt: skip
        for index in handled:
            self._redirect(handled[index], partial(put_at, sequence, index))
        if is_certain:
            self._left.puts.append((holder, WHOLE, end))
        else:
            start = dict(enumerate(before))
            self._left.unknown.append(Unknown(holder, WHOLE, start, end))

    def _redirect(self, number: int, put: Any) -> None:
        """Have another effect put its thing in an item's place by another way."""
        one = self.effects[number]
        run = one.run
        if isinstance(run, partial) and run.func is put_again:
            put = partial(put_again, put, run.args[1])
        self.effects[number] = one._replace(run=put)
