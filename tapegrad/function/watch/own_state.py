"""What code writes, on every path, before it reads it: state that it makes itself, no input.

Attributes of objects that are known when the code is looked at, globals and closure variables.
A place is written at a step if it is on every way there; a method that is called adds what it
writes on every way through. A function runs after it's loaded, so what was written when it's
loaded was written when it reads. Whatever may be read in another way counts as read at once.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from tapegrad.function.watch.conditions import CELL, MISSING, Path, Watch
from tapegrad.function.watch.flow import (
    ATTRIBUTE as OF_SOMETHING,
)
from tapegrad.function.watch.flow import (
    DELETE,
    DEREF,
    FAST,
    GLOBAL,
    STORE,
    Step,
    assigned,
    steps,
)
from tapegrad.function.watch.reads import attributes_in
from tapegrad.function.watch.unchanging import (
    functions_of,
    holders_of,
    is_stored_plainly,
    own_attributes,
    plain_attribute,
    wrapped_by,
)
from tapegrad.function.watch.walk import ATTRIBUTE, Walk, items
from tapegrad.libraries import in_library, is_of_this_package
from tapegrad.record.trampolines import code_of

Place = tuple[int, str]
"""The identity of an object, a namespace or a cell, and a name in it."""
Places = frozenset[Place]
Called = tuple[FunctionType, Any]
"""A function, and what its first argument is, or `None` where it's no method."""

_CODE = (FunctionType, MethodType, ModuleType, type)
_BOUND = (FunctionType, property, functools.cached_property)
_OF_CLASSES = (classmethod, staticmethod)
_METHODS = (FunctionType, *_OF_CLASSES)
_MOST = 2000  # bodies looked at
_LATER = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_NOTHING: Places = frozenset()
_UNKNOWN = object()
_SOME = object()
"""The first argument of a method of an object that isn't known."""


class TooMuchCodeError(Exception):
    """There is more code than can be looked at."""


class _Outer(NamedTuple):
    """The first argument of a function around."""

    thing: Any


class _Scope(NamedTuple):
    """Code, and what its names mean; a closure variable is a cell, or an outer first argument."""

    code: CodeType
    names: dict[str, Any]
    variables: dict[str, Any]
    first: Any

    def key(self) -> tuple[Any, ...]:
        """Return what tells it from others while its things live."""
        holders = [v.thing if isinstance(v, _Outer) else v for v in self.variables.values()]
        return self.code, id(self.first), *map(id, holders)


def is_library_function(function: FunctionType) -> bool:
    """Whether a function is a library's: what it closes over may be the user's."""
    return is_of_this_package(function.__module__) or in_library(code_of(function).co_filename)


def called_in(value: Any) -> Iterator[Called]:
    """Yield the functions that may be called by whoever has a value."""
    for item in items(value):
        if isinstance(item, FunctionType):
            yield item, None
        elif isinstance(item, MethodType) and isinstance(item.__func__, FunctionType):
            yield item.__func__, item.__self__
        elif isinstance(item, functools.partial):
            yield from called_in(item.func)
            yield from called_in((item.args, item.keywords))
        elif callable(item) and not isinstance(item, type):
            yield from called_in(wrapped_by(item))


class Order:
    """What the code that a walk followed reads before it writes it.

    Parameters
    ----------
    walk : Walk
        That came to its end.
    things : iterable
        What is called.
    mentioned : set of str
        Attributes that other code reads.
    """

    def __init__(self, walk: Walk, things: Iterable[Any], mentioned: Iterable[str]) -> None:
        self._read: set[Place] = set()
        self._read_somewhere = set(mentioned)
        self._written: set[Place] = set()
        self._attributes_written = walk.written
        self._seen: set[tuple[Any, ...]] = set()
        self._visited: set[tuple[FunctionType, int]] = set()
        self._flows: dict[tuple[Any, ...], tuple[list[Places], Places]] = {}
        self._kept: list[Any] = []
        followed = [called for called in walk.followed if not is_library_function(called[0])]
        self._names_stored = {
            step.name
            for function, _ in followed
            for step in _all_steps(code_of(function))
            if step.kind in (STORE, DELETE) and not step.is_attribute
        }
        self._by_name: dict[str, list[Called]] = {}
        for function, _ in followed:
            self._by_name.setdefault(function.__name__, []).append((function, _SOME))
        for key, condition in walk.conditions.items():
            if key[0] == ATTRIBUTE and isinstance(condition, Watch):
                self._by_name.setdefault(key[2], []).extend(called_in(condition.value))
        for thing in things:
            self._visit_all(called_in(thing), _NOTHING)
        for function, instance in followed:  # operators and the like run unseen
            if function.__name__.startswith("__"):
                self._visit_function(function, instance, _NOTHING)
        for function, instance in followed:
            if (function, id(instance)) not in self._visited and (
                function, id(_SOME)) not in self._visited:  # fmt: skip
                self._visit_function(function, instance, _NOTHING)

    def is_own(self, place: Place) -> bool:
        """Whether a place is written, and never read before."""
        return (
            place in self._written
            and place not in self._read
            and place[1] not in self._read_somewhere
        )

    def are_own(self, places: Iterable[Place]) -> bool:
        """Whether one of the places of a chain of reads is its own."""
        return any(map(self.is_own, places))

    def names_in(self, holder: int) -> set[str]:
        """Return the names of an object's places that are its own."""
        return {place[1] for place in self._written if place[0] == holder and self.is_own(place)}

    # --- what is read -------------------------------------------------------------------------

    def _visit_all(self, found: Iterable[Called], written: Places) -> None:
        for function, instance in list(found):
            self._visit_function(function, instance, written)

    def _visit_function(self, function: FunctionType, instance: Any, written: Places) -> None:
        self._visited.add((function, id(instance)))
        if is_library_function(function):
            if (function, written) not in self._seen:
                self._seen.add((function, written))
                for cell in function.__closure__ or ():
                    self._visit_all(called_in(Path(CELL, cell).get()), written)
        else:
            self._visit(_scope(function, instance), written)

    def _visit(self, scope: _Scope, before: Places) -> None:
        key = (*scope.key(), before)
        if key in self._seen:
            return
        if len(self._seen) > _MOST:
            raise TooMuchCodeError
        self._seen.add(key)
        self._kept.append(scope)
        self._read_somewhere |= attributes_in(scope.code).texts
        body = steps(scope.code)
        known = {step.root for step in body if step.kind == STORE} | {step.calls for step in body}
        for at, (step, own) in enumerate(zip(body, self._flow(scope)[0], strict=True)):
            written = before | own
            for code in step.codes:
                self._visit(_inside(scope, code), written)
            if step.kind in (FAST, DEREF, GLOBAL):
                thing = self._visit_chain(scope, step, written)
                if at not in known:
                    self._visit_whole(thing, written)
            elif step.kind == OF_SOMETHING:
                self._visit_attribute(_UNKNOWN, step.name, written)
            elif step.kind == DELETE:
                self._read_somewhere.add(step.name)

    def _visit_whole(self, thing: Any, written: Places) -> None:
        """Note that a library's code may get an object, and read whatever it has."""
        if thing is _SOME:
            own = {name for holder, name in written if holder == id(_SOME)}
            self._read_somewhere |= self._attributes_written - own
        elif isinstance(thing, type) or not isinstance(thing, _CODE):
            self._kept.append(thing)
            self._read.update(place for holder in holders_of(thing)
                              for name in own_attributes(holder)
                              if (place := (id(holder), name)) not in written)  # fmt: skip

    def _visit_chain(self, scope: _Scope, step: Step, written: Places) -> Any:
        """Note what a chain of reads needs, and visit what it may call; return what it gives."""
        thing, place = self._root(scope, step)
        if place is not None and place not in written:
            self._read.add(place)
        self._visit_all(called_in(thing), written)
        for name in step.chain:
            self._visit_read(thing, name, written)
            self._visit_attribute(thing, name, written)
            thing = self._value(thing, name)
        return thing

    def _visit_read(self, thing: Any, name: str, written: Places) -> None:
        if thing is _UNKNOWN or thing is _SOME:
            if (id(thing), name) not in written:
                self._read_somewhere.add(name)
            return
        self._kept.append(thing)
        for holder in holders_of(thing):
            if (id(holder), name) in written:
                break
            self._read.add((id(holder), name))

    def _visit_attribute(self, thing: Any, name: str, written: Places) -> None:
        """Visit what reading an attribute, or calling it later, may run."""
        static = MISSING
        if thing is _UNKNOWN:
            self._read_somewhere.add(name)
        elif thing is not _SOME:
            is_code = isinstance(thing, type | ModuleType)
            # Of the class: a library's object may make a dictionary when it's asked for one.
            static = inspect.getattr_static(thing if is_code else type(thing), name, MISSING)
            is_bound = isinstance(static, _BOUND) and not is_code
            first = thing if is_bound else None
            if isinstance(static, classmethod):
                first = thing if isinstance(thing, type) else type(thing)
            for function in functions_of(static):
                self._visit_function(function, first, written)
            self._visit_all(called_in(self._value(thing, name)), written)
            static = own_attributes(thing).get(name, static)
        if static is MISSING or name in self._attributes_written:
            if thing is not _SOME:  # another object than the one whose places are known as some's
                written = frozenset(place for place in written if place[0] != id(_SOME))
            self._visit_all(self._by_name.get(name, ()), written)

    # --- what things are ----------------------------------------------------------------------

    def _root(self, scope: _Scope, step: Step) -> tuple[Any, Place | None]:
        """Return what a variable is, or _UNKNOWN, and the place it's read from, if it's outside."""
        if step.kind == GLOBAL:
            holder: Any = scope.names
            thing = holder.get(step.name, _UNKNOWN)
        elif step.name == _first_name(scope.code):
            return scope.first, None
        elif step.kind == DEREF and step.name in scope.variables:
            holder = scope.variables[step.name]
            if not isinstance(holder, CellType):
                return holder.thing, None
            thing = Path(CELL, holder).get()
        else:
            return _UNKNOWN, None
        is_stored = step.name in self._names_stored or thing is MISSING
        return _UNKNOWN if is_stored else thing, (id(holder), step.name)

    def _value(self, thing: Any, name: str) -> Any:
        """Return what an attribute of a thing is, if no code here can change that."""
        if thing is _UNKNOWN or thing is _SOME or name in self._attributes_written:
            return _UNKNOWN
        return plain_attribute(thing, name, _UNKNOWN)

    def _holder(self, scope: _Scope, step: Step) -> Any:
        """Return the object whose attribute is stored after a chain of reads."""
        thing = self._root(scope, step)[0]
        for name in step.chain:
            thing = self._value(thing, name)
        return thing

    # --- what is written ----------------------------------------------------------------------

    def _flow(self, scope: _Scope) -> tuple[list[Places], Places]:
        """Return what is written before each step, on every way there, and when it returns."""
        key = scope.key()
        found = self._flows.get(key)
        if found is not None:
            return found
        body = steps(scope.code)
        self._flows[key] = [_NOTHING] * len(body), _NOTHING  # for calls of itself
        self._kept.append(scope)
        adds = [self._adds(scope, body, step) for step in body]
        before: list[Places | None] = [None] * len(body)
        for start in range(len(body)):  # what only an exception leads to begins with nothing
            waiting = [(start, _NOTHING)] if before[start] is None else []
            while waiting:
                at, written = waiting.pop()
                known = before[at]
                new = written if known is None else known & written
                if new != known:
                    before[at] = new
                    waiting.extend((after, new | adds[at]) for after in body[at].following)
        reached = [_NOTHING if places is None else places for places in before]
        ends = [reached[at] for at, step in enumerate(body) if step.is_return]
        is_later = scope.code.co_flags & _LATER
        after = frozenset.intersection(*ends) if ends and not is_later else _NOTHING
        self._flows[key] = reached, after
        return self._flows[key]

    def _adds(self, scope: _Scope, body: tuple[Step, ...], step: Step) -> Places:
        """Return what a step writes."""
        place: Place | None = None
        if step.kind == STORE and step.is_attribute and step.root >= 0:
            thing = self._holder(scope, body[step.root])
            if thing is _SOME or (thing is not _UNKNOWN and is_stored_plainly(thing, step.name)):
                self._kept.append(thing)
                place = id(thing), step.name
        elif step.kind == STORE and not step.is_attribute:
            holder: Any = scope.variables.get(step.name)
            if isinstance(holder, CellType):
                place = id(holder), step.name
            elif step.name not in (*scope.code.co_cellvars, *scope.code.co_freevars):
                place = id(scope.names), step.name
        if place is not None:
            self._written.add(place)
            return frozenset([place])
        if step.calls >= 0:
            return self._adds_of_call(scope, body[step.calls])
        return _NOTHING

    def _adds_of_call(self, scope: _Scope, load: Step) -> Places:
        thing = called = self._root(scope, load)[0]
        for name in load.chain:
            thing, called = called, self._value(called, name)
            if thing is not _UNKNOWN and thing is not _SOME and called is _UNKNOWN:
                static = inspect.getattr_static(type(thing), name, None)
                is_own = name in self._attributes_written or name in own_attributes(thing)
                if isinstance(static, _METHODS) and not is_own:
                    called = static.__get__(thing, type(thing))
            elif isinstance(called, _OF_CLASSES) and isinstance(thing, type):
                called = called.__get__(None, thing)
        if isinstance(called, MethodType) and isinstance(called.__func__, FunctionType):
            function, instance = called.__func__, called.__self__
        elif isinstance(called, FunctionType):
            function, instance = called, None
        else:
            return _NOTHING
        if is_library_function(function):
            return _NOTHING
        return self._flow(_scope(function, instance))[1]


def _all_steps(code: CodeType) -> Iterator[Step]:
    yield from steps(code)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _all_steps(constant)


def _scope(function: FunctionType, instance: Any) -> _Scope:
    code = code_of(function)
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    first = _UNKNOWN if instance is None else instance
    return _Scope(code, function.__globals__, cells, first)


def _inside(scope: _Scope, code: CodeType) -> _Scope:
    """Return the scope of a function defined in another."""
    variables = {
        name: _Outer(scope.first) if name == _first_name(scope.code) else scope.variables[name]
        for name in code.co_freevars
        if name in scope.variables or name == _first_name(scope.code)
    }
    return _Scope(code, scope.names, variables, _UNKNOWN)


@functools.lru_cache(maxsize=4096)
def _first_name(code: CodeType) -> str | None:
    """Return the name of the first argument, if nothing else is ever stored to it."""
    if not code.co_argcount:
        return None
    name = code.co_varnames[0]
    return None if name in assigned(code) else name
