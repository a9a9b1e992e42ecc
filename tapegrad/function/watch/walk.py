"""A walk through what a function closes over: what was found, and what is still to be followed.

Things wait in a queue, since objects refer to each other endlessly. What stands in methods is
followed only when code that is followed mentions their names, or could make them up.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator, Set
from types import FunctionType
from typing import Any

from tapegrad.function.content import can_change, children
from tapegrad.function.watch.conditions import Condition, Path, State, Watch
from tapegrad.function.watch.states import UnwatchableError

# Names by which code can read an attribute that it doesn't mention.
_BY_STRING = frozenset(
    ["getattr", "vars", "__dict__", "dir", "attrgetter", "methodcaller", "eval", "exec",
     "getmembers", "getattr_static", "__getattribute__"]
)  # fmt: skip

ATTRIBUTE = "in"

Key = tuple[Any, ...]
"""What a condition is about; that of an attribute of an object is `ATTRIBUTE`, identity, name."""


class Walk:
    """What a walk has found so far.

    Attributes
    ----------
    conditions : dict
        Under which nothing changed.
    names : set of str
        The names and strings that code mentions.
    read, written : set of str
        The attributes that code reads, and those it writes.
    tapped : set of str
        The attributes that functions given to `tapegrad.tap` mention.
    generators : list of State
        Of random numbers.
    unwatchable : list of (str, type)
        Names of objects whose state can't be read.
    unpredictable : str or None
        The name of something called that gives numbers which no seed decides.
    methods : dict of function
        What code reaches through objects and containers, not by a name.
    kept : list
        The functions, objects and classes found.
    followed : list of (function, object or None)
        The functions that were followed, with what their first argument is.
    stores : bool
        Whether code stores anything but in its own variables.
    """

    def __init__(self) -> None:
        self.conditions: dict[Key, Condition] = {}
        self.names: set[str] = set()
        self.read: set[str] = set()
        self.written: set[str] = set()
        self.tapped: set[str] = set()
        self.generators: list[State] = []
        self.unwatchable: list[tuple[str, type]] = []
        self.unpredictable: str | None = None
        self.methods: dict[FunctionType, None] = {}
        self.stores = False
        self.followed: list[tuple[FunctionType, Any]] = []
        self.things: collections.deque[tuple[str, Any, bool, bool]] = collections.deque()
        self.calls: collections.deque[tuple[FunctionType, Any]] = collections.deque()
        self._seen: set[Key] = set()
        self.kept: list[Any] = []  # so that identities stay what they are
        self._waiting: dict[str, list[tuple[FunctionType, Any]]] = {}

    def is_new(self, *things: Any) -> bool:
        """Whether these things together come for the first time."""
        key = tuple(map(id, things))
        if key in self._seen:
            return False
        self._seen.add(key)
        self.keep(*things)
        return True

    def keep(self, *things: Any) -> None:
        """Keep things alive."""
        self.kept.extend(things)

    def follow(self, name: str, thing: Any, is_called: bool = False,
               is_named: bool = False) -> None:  # fmt: skip
        """Note that what a thing is made of is used as a whole, or called; by a name of its own."""
        for item in items(thing):
            self.things.append((name, item, is_called, is_named and item is thing))

    def call(self, function: FunctionType, instance: Any, is_named: bool = False) -> None:
        """Note that a function is called, with an instance as its first argument or with None."""
        self.keep(instance)
        self.calls.append((function, instance))
        if not is_named:
            self.methods[function] = None

    def add(self, key: Key, condition: type, name: str, *args: Any) -> Condition | None:
        """Add a condition if there's none for this key; return the new one."""
        if key in self.conditions:
            return None
        try:
            made: Condition = condition(name, *args)
        except UnwatchableError as error:
            self.unwatchable.append((name, error.kind))
            return None
        self.conditions[key] = made
        return made

    def watch(self, name: str, path: Path, key: Key, is_named: bool = False) -> None:
        """Remember what is in a place, and follow it."""
        if self.add(key, Watch, name, path) is not None:
            self.follow(name, path.get(), is_named=is_named)

    def watch_value(self, name: str, path: Path, key: Key) -> None:
        """Remember the content of a thing that is always the same, and follow it."""
        if can_change(path.get()):
            self.watch(name, path, key)
        else:
            self.follow(name, path.get())

    # --- methods ------------------------------------------------------------------------------

    @property
    def is_by_string(self) -> bool:
        """Whether code can read attributes that it doesn't mention."""
        return not self.names.isdisjoint(_BY_STRING)

    def mention(self, names: Set[str]) -> None:
        """Follow the methods that wait for one of these names."""
        was_by_string = self.is_by_string
        self.names |= names | ({"type"} if "__class__" in names else set())
        ready = self._waiting if self.is_by_string and not was_by_string else self.names
        for name in [name for name in ready if name in self._waiting]:
            self.calls.extend(self._waiting.pop(name))

    def wait(self, name: str, function: FunctionType, instance: Any) -> None:
        """Follow a method now, or when code that mentions its name is followed."""
        if name in self.names or name.startswith("__") or self.is_by_string:
            self.call(function, instance)
        else:
            self.keep(instance)
            self._waiting.setdefault(name, []).append((function, instance))


def items(value: Any, above: tuple[int, ...] = ()) -> Iterator[Any]:
    """Yield what a value is made of: the things in containers, and itself if it's none."""
    if id(value) in above:
        return
    for item in children(value):
        yield from items(item, (*above, id(value)))
    yield value
