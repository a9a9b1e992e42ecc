"""Places where a recorded function left active numbers: they are given plain ones at each call.

Attributes, entries, globals and closure variables that the function can reach are searched when
its recording ends. A list or dictionary that it made itself is made anew at each call; what was
there before is filled, and a list that grew grows again. Of libraries' objects only those are
searched that are made to hold active numbers.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from tapegrad.function.content import is_active
from tapegrad.function.effects import Effect, effect
from tapegrad.function.holders import put_at
from tapegrad.function.reach import MOST_SEARCHED, PLAIN
from tapegrad.function.results import LEFT
from tapegrad.function.watch.conditions import CELL, ITEM, THING, Path
from tapegrad.function.watch.reads import names_in
from tapegrad.function.watch.states import slots_of
from tapegrad.function.watch.unchanging import own_attributes
from tapegrad.libraries import is_library_module, is_library_object
from tapegrad.record.active import Active
from tapegrad.record.array import ActiveArray
from tapegrad.record.complex_numbers.complex_types import parts, plain_complex
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.pairs import Pair
from tapegrad.record.scipy.recognised import HOLDERS
from tapegrad.record.trampolines import code_of
from tapegrad.tree import flatten, map_leaves

Put = Callable[[Any], None]
"""Puts a thing in a place."""

_SHRINKING = frozenset(["clear", "pop", "popleft", "remove"])
_SEQUENCES = (list, deque)
_TREES = (tuple, dict, *_SEQUENCES)
_SEARCHED = (FunctionType, dict, *_SEQUENCES, tuple, partial, MethodType, SimpleNamespace)


# --- what holds places ----------------------------------------------------------------------------


def _put_in_cell(cell: Any, thing: Any) -> None:
    cell.cell_contents = thing


def _put_in_slot(owner: Any, name: str, thing: Any) -> None:
    setter = type.__setattr__ if isinstance(owner, type) else object.__setattr__
    setter(owner, name, thing)


def _put_nowhere(thing: Any) -> None:
    """Leave what can't be replaced: a tuple's items, a method's object."""


def _is_searched(thing: Any) -> bool:
    if isinstance(thing, _SEARCHED):
        return True
    if isinstance(thing, ModuleType):
        return not is_library_module(thing)
    if isinstance(thing, np.ndarray):
        return bool(thing.dtype == np.object_)
    return not is_active(thing) and (type(thing) in HOLDERS or not is_library_object(thing))


def _places(thing: Any) -> Iterator[tuple[Put, Any]]:
    """Yield what is in a thing's places, and what puts other things there."""
    if isinstance(thing, FunctionType):
        for cell in thing.__closure__ or ():
            yield partial(_put_in_cell, cell), Path(CELL, cell).get()
        names = thing.__globals__
        for name in names_in(code_of(thing)) & names.keys():
            yield partial(names.__setitem__, name), names[name]
        for value in (*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values()):
            yield _put_nowhere, value
    elif isinstance(thing, dict):
        for key, value in list(thing.items()):
            if type(value) not in PLAIN:
                yield partial(dict.__setitem__, thing, key), value
    elif isinstance(thing, _SEQUENCES):
        for index, value in enumerate(list(thing)):
            if type(value) not in PLAIN:
                yield partial(put_at, thing, index), value
    elif isinstance(thing, np.ndarray):
        for index, value in enumerate(thing.flat):
            yield partial(thing.flat.__setitem__, index), value
    elif isinstance(thing, tuple):
        for value in thing:
            yield _put_nowhere, value
    elif isinstance(thing, partial):
        for value in (thing.func, thing.args, thing.keywords):
            yield _put_nowhere, value
    elif isinstance(thing, MethodType):
        yield _put_nowhere, thing.__self__
        yield _put_nowhere, thing.__func__
    if not isinstance(thing, FunctionType | partial | MethodType):
        yield from _attributes(thing)


def _attributes(thing: Any) -> Iterator[tuple[Put, Any]]:
    is_open = isinstance(thing, SimpleNamespace) or type(thing) in HOLDERS
    names = vars(thing) if is_open else own_attributes(thing)
    is_code = isinstance(thing, type | ModuleType)
    for name, value in list(names.items()):
        if isinstance(thing, type):
            put: Put = partial(_put_in_slot, thing, name)
        else:
            put = partial(names.__setitem__, name)
        if not is_code or not (name.startswith("__") or isinstance(value, FunctionType | type)):
            yield put, value
    if not is_code:
        yield _put_nowhere, type(thing)
    for name in slots_of(type(thing)):
        if hasattr(thing, name):
            yield partial(_put_in_slot, thing, name), getattr(thing, name)


# --- the search -----------------------------------------------------------------------------------


class Appended:
    """The end of a list or deque, where a thing is added at each call after the recording's."""

    def __init__(self, sequence: Any, index: int) -> None:
        self.sequence, self.index = sequence, index
        self._lock = threading.Lock()
        self._n_pending = 2  # when the recording ends, and when its first call does

    def __call__(self, thing: Any) -> None:
        """Add a thing, or put it where the recording did."""
        with self._lock:
            is_there = self._n_pending > 0 and self.index < len(self.sequence)
            self._n_pending = max(self._n_pending - 1, 0)
        if is_there:
            self.sequence[self.index] = thing
        else:
            self.sequence.append(thing)


class Route(NamedTuple):
    """Where a thing was found that holds places: they are its own while it's there."""

    path: Path
    thing: Any

    def holds(self) -> bool:
        """Whether it's still there."""
        return self.path.get() is self.thing


class _Link(NamedTuple):
    put: Put
    thing: Any


class _Waiting(NamedTuple):
    thing: Any
    links: tuple[_Link, ...]
    routes: tuple[Route, ...]


def _path(put: Any) -> Path:
    """Return where a place is that something can be put in."""
    function, rest = put.func, put.args
    if function is _put_in_cell:
        return Path(CELL, rest[0])
    if function is _put_in_slot:
        return Path(THING, rest[0], None, (rest[1],))
    holder, key = rest if len(rest) == 2 else (function.__self__, rest[0])
    return Path(ITEM, holder, key)


class Places:
    """The places that a function can reach, as they are before it's recorded.

    Parameters
    ----------
    roots : iterable
        Functions and objects that it uses.
    """

    def __init__(self, roots: Iterable[Any]) -> None:
        self._roots = [root for root in roots if _is_searched(root)]
        self._known: dict[int, tuple[Any, int]] = {}  # kept, so that identities stay theirs
        self._shrinks = False
        waiting = list(self._roots)
        while waiting and len(self._known) < MOST_SEARCHED:
            thing = waiting.pop()
            if id(thing) in self._known:
                continue
            self._known[id(thing)] = thing, len(thing) if isinstance(thing, _SEQUENCES) else 0
            if isinstance(thing, FunctionType):
                self._shrinks |= not _SHRINKING.isdisjoint(names_in(code_of(thing)))
            waiting.extend(value for _, value in _places(thing) if _is_searched(value))

    def left(self, tape: OpenTape) -> tuple[list[Effect], list[Route]]:
        """Return what gives plain numbers to the places where there are a tape's.

        And where what holds these places was found.
        """
        found: list[Effect] = []
        made: dict[int, Any] = {}
        ways: dict[int, Route] = {}
        for put, value, (thing, links, routes) in self._holding(tape):
            for link in links:
                if id(link.thing) not in made:
                    made[id(link.thing)] = link.thing
                    found.append(effect(tape, None, LEFT, partial(put_again, *link)))
            found.append(effect(tape, value, LEFT, self._putting(thing, put)))
            ways.update((id(route.thing), route) for route in routes)
        return found, list(ways.values())

    def clear(self, tape: OpenTape) -> None:
        """Give plain numbers to the places where there are a tape's, which came to nothing."""
        for put, value, _ in self._holding(tape):
            put(map_leaves(primal_of, value))

    def _holding(self, tape: OpenTape) -> Iterator[tuple[Put, Any, _Waiting]]:
        """Yield the places where there are numbers of a tape, and how they were reached."""
        seen: set[int] = set()
        waiting: list[_Waiting] = [_Waiting(root, (), ()) for root in self._roots]
        while waiting and len(seen) < MOST_SEARCHED:
            here = waiting.pop()
            thing, links, routes = here
            if id(thing) in seen:
                continue
            seen.add(id(thing))
            for put, value in list(_places(thing)):
                is_known = id(value) in self._known
                if put is not _put_nowhere and not is_known and _holds(value, tape):
                    yield put, value, here
                elif not _is_searched(value):
                    continue
                elif put is _put_nowhere:
                    waiting.append(_Waiting(value, links, routes))
                elif is_known:
                    waiting.append(_Waiting(value, links, (*routes, Route(_path(put), value))))
                else:  # an object made meanwhile
                    waiting.append(_Waiting(value, (*links, _Link(put, value)), routes))

    def _putting(self, thing: Any, put: Put) -> Put:
        if isinstance(put, partial) and put.func is put_at and not self._shrinks:
            index, (_, length) = put.args[1], self._known.get(id(thing), (None, 0))
            is_full = isinstance(thing, deque) and thing.maxlen == length
            if index >= length or is_full:
                return Appended(thing, index)
        return put


def put_again(put: Put, thing: Any, _: Any) -> None:
    """Put a thing in its place, whatever an effect is given."""
    put(thing)


def where(run: Any) -> tuple[Any, Any] | None:
    """Return the holder and the key of the place that an effect fills, if it fills one."""
    if isinstance(run, Appended):
        return run.sequence, run.index
    if not isinstance(run, partial):
        return None
    path = _path(run.args[0] if run.func is put_again else run)
    return path.holder, path.attributes[0] if path.attributes else path.key


def _holds(value: Any, tape: OpenTape) -> bool:
    """Whether a tree holds active numbers of a tape."""
    if not is_active(value) and not isinstance(value, _TREES) and not _is_tree(value):
        return False
    leaves: list[Any] = []
    flatten(value, leaves)
    return any(is_active(leaf) and leaf.tape is tape for leaf in leaves)


def primal_of(leaf: Any) -> Any:
    """Return the plain value of an active number or array, or what else it is."""
    if isinstance(leaf, Active):
        return leaf.primal
    if isinstance(leaf, ActiveArray):
        return leaf.data["value"] != 0.0 if leaf.is_bool else leaf.data["value"].copy()
    return plain_complex(*map(primal_of, parts(leaf)))[()] if isinstance(leaf, Pair) else leaf


def _is_tree(value: Any) -> bool:
    return hasattr(type(value), "__dataclass_fields__")


class _Searched(threading.local):
    def __init__(self) -> None:
        self.places: Places | None = None


_searched = _Searched()


@contextmanager
def searching(places: Places | None) -> Iterator[Places | None]:
    """Search these places when recordings in the block end, or those searched already."""
    outer = _searched.places
    _searched.places = outer or places
    try:
        yield _searched.places
    finally:
        _searched.places = outer
