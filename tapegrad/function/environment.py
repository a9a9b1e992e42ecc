"""What a function closes over, remembered so that a change is noticed.

From a function's code follow the globals, closure variables, defaults, attributes, imports and
Python functions it reads. What can't be proved unchanged counts as changed: numbers, strings,
arrays and containers of them are compared by content, objects of the user's attribute by
attribute and with the code of their classes, those of libraries by their state. Where a chain of
reads runs code, each object before it is watched, the code is followed, and the chain is read
again to compare. Files and clocks can't be seen.
"""

from __future__ import annotations

import functools
import operator
import threading
from collections.abc import Set
from types import FunctionType
from typing import Any

from tapegrad.function.watch.checks import Check, compiled
from tapegrad.function.watch.conditions import Condition
from tapegrad.function.watch.draws import NAMES
from tapegrad.function.watch.inputs import inputs
from tapegrad.function.watch.reads import Assigned, assigned_in
from tapegrad.function.watch.things import follow_all
from tapegrad.function.watch.unchanging import is_plain
from tapegrad.function.watch.walk import Walk, items
from tapegrad.record.trampolines import code_of


class Environment:
    """What a callable read from outside itself, as it was when this object was made.

    Parameters
    ----------
    *things : callable or object
        Python functions, bound methods, `functools.partial`s, callables of this library wrapping
        one, and objects whose attributes and methods may be used.
    are_called : bool
        Whether calling the things is all that is done with them.
    names : set of str
        What other code mentions that uses them.

    Attributes
    ----------
    unwatched : str or None
        Why it can't be told whether something changed, if it can't.
    holds : callable
        Whether nothing changed, at a glance: where that is False, `changed` is to be asked.
    """

    def __init__(self, *things: Any, are_called: bool = False,
                 names: Set[str] = frozenset()) -> None:  # fmt: skip
        self._walk = walk = Walk()
        self._things = things
        self._mentioned: set[str] = set()
        self._use(names)
        for thing in things:
            name = "the function" if are_called else f"an argument of type {type(thing).__name__}"
            walk.follow(name, thing, are_called, is_named=True)
        self._conditions: list[Condition] = []
        self.holds: Check = _not_yet
        self.unwatched: str | None = None
        self._finish()

    def _finish(self) -> None:
        self.holds = _not_yet
        if follow_all(self._walk):
            self._conditions = inputs(self._walk, self._things, self._mentioned)
            self.unwatched = self._first_unwatched()
        else:
            self._conditions = []
            self.unwatched = "it leads to more code and objects than can be watched"

    @property
    def names(self) -> Set[str]:
        """The names and strings that the code mentions."""
        return self._walk.names

    def mention(self, names: Set[str]) -> None:
        """Follow what other code, which mentions these names, can reach of the things here."""
        if not names <= self._walk.names:
            self._use(names)
            self._finish()

    def _use(self, names: Set[str]) -> None:
        self._walk.mention(names)
        self._walk.read |= names
        self._mentioned |= names

    def changed(self) -> str | None:
        """Return the name of something that changed, or None."""
        if self.holds():
            return None
        is_moved = self.holds is _not_yet
        for condition in self._conditions:
            if not condition.holds():
                return condition.name
            is_moved = is_moved or condition.is_moved
        if is_moved:
            self.holds = compiled(self._conditions)
        return None

    def drawn_from(self) -> str | None:
        """Return the name of a generator that gave numbers since, or of one without a seed."""
        changed = (state.name for state in self._walk.generators if not state.holds())
        return self._walk.unpredictable or next(changed, None)

    @property
    def may_draw(self) -> bool:
        """Whether a shared generator that gave numbers meanwhile gave them to this code."""
        own = threading.current_thread()
        # Threads of this library draw none.
        are_others = any(t is not own and not t.name.startswith("tapegrad")
                         for t in threading.enumerate())  # fmt: skip
        return not are_others or not self._walk.names.isdisjoint(NAMES)

    def seeds(self, name: str) -> bool:
        """Whether the code seeds a generator of this name itself."""
        return "seed" in self._walk.names and name.rpartition(".")[2] in self._walk.names

    @property
    def methods(self) -> list[FunctionType]:
        """Functions that the code reaches through objects and containers, not by their names."""
        return list(self._walk.methods)

    @property
    def roots(self) -> list[Any]:
        """Functions and objects that the code reaches, if it may leave something in them."""
        return self._walk.kept if self._walk.stores else []

    @property
    def assigned(self) -> Assigned:
        """What the code assigns to outside its own variables."""
        codes = {code_of(function) for function, _ in self._walk.followed}
        return functools.reduce(operator.or_, map(assigned_in, codes), Assigned())

    def _first_unwatched(self) -> str | None:
        for name, kind in self._walk.unwatchable:
            attribute = name.rpartition(".")[2]
            # What only code could read that isn't followed does no harm.
            if " " in attribute or self._walk.is_by_string or attribute in self._walk.names:
                return f"'{name}', which it reads, is a {kind.__name__}, whose state can't be seen"
        return None


def _not_yet() -> bool:
    """Tell nothing: the first check asks every condition."""
    return False


def is_watched(thing: Any) -> bool:
    """Whether an argument that is equal to another may mean something else, as functions may."""
    return not all(map(is_plain, items(thing)))
