"""Conditions under which what a function closes over is as it was when it was recorded.

A condition tells whether it holds, and has an expression, Python text for one compiled comparison
of them all: where the expression is true the condition holds; where it's false, that is asked.
"""

from __future__ import annotations

import operator
import sys
from types import BuiltinMethodType, CellType, FunctionType, MethodType
from typing import Any, Protocol

from tapegrad.function.content import Unknown, can_change, children, freeze
from tapegrad.function.watch.states import UnwatchableError, state_of
from tapegrad.record.interception import original_of
from tapegrad.record.trampolines import code_of

MISSING = type("Missing", (), {"__repr__": lambda self: "missing"})()

CELL, ITEM, THING, CALL = "a closure variable", "an item", "a thing", "a call"


class Bind(Protocol):
    """Gives the names by which the compiled comparison knows things."""

    def __call__(self, thing: Any) -> str:
        """Return the name of an object."""

    def contents(self, cell: CellType) -> str:
        """Return the name of what a closure variable holds."""


def _attribute(owner: Any, name: str) -> Any:
    if name == "__code__" and type(owner) is FunctionType:
        return code_of(owner)  # whatever it is while another thread records
    return getattr(owner, name)


class Condition(Protocol):
    """What has to hold; `is_moved` says that an equal thing was found in another's place."""

    name: str
    is_moved: bool

    def holds(self) -> bool:
        """Whether what was remembered is still so."""

    def expression(self, bind: Bind) -> str:
        """Return Python text that is true only where it holds."""


class Still:
    """A condition whose expression needs no change while it holds."""

    is_moved = False


class Path:
    """Where a value is read: a cell, an item, a thing or what it returns, and attributes."""

    __slots__ = ("attributes", "holder", "key", "kind")

    def __init__(self, kind: str, holder: Any, key: Any = None,
                 attributes: tuple[str, ...] = ()) -> None:  # fmt: skip
        self.kind, self.holder, self.key, self.attributes = kind, holder, key, attributes

    def __truediv__(self, attribute: str) -> Path:
        return Path(self.kind, self.holder, self.key, (*self.attributes, attribute))

    def get(self) -> Any:
        """Return what is there, `MISSING` if nothing is."""
        try:
            if self.kind is CELL:
                value = self.holder.cell_contents
            elif self.kind is ITEM:
                value = self.holder[self.key]
            elif self.kind is CALL:
                value = self.holder()
            else:
                value = self.holder
            for attribute in self.attributes:
                value = _attribute(original_of(value), attribute)
        except Exception:  # a property may raise anything; the user's code will see it
            return MISSING
        return original_of(value)  # another thread may be recording

    def expression(self, bind: Bind) -> str:
        """Return Python text that reads it, or raises."""
        root = bind.contents(self.holder) if self.kind is CELL else bind(self.holder)
        if self.kind is ITEM:
            root = f"{root}[{self.key!r}]"
        elif self.kind is CALL:
            root = f"{root}()"
        return ".".join((root, *self.attributes))


class Watch:
    """A place, and what was there: immutable things by identity, else their content."""

    __slots__ = ("_content", "_items", "is_fixed", "is_moved", "name", "path", "value")

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.value = path.get()
        self.is_fixed = not can_change(self.value)
        self.is_moved = False
        self._content = freeze(self.value)
        self._items = None if self.is_fixed else _fixed_items(self.value)

    def holds(self) -> bool:
        """Whether what was remembered is still so."""
        value = self.path.get()
        if value is self.value:
            if self.is_fixed or (self._items is not None and _are_items(value, self._items)):
                return True
        elif type(value) is not type(self.value):
            return False
        if freeze(value, keep=False) != self._content:
            return False
        # Equal content under another identity: the next check is quick.
        self.is_moved = self.is_moved or value is not self.value
        self.value = value
        self._items = None if self.is_fixed else _fixed_items(value)
        return True

    def expression(self, bind: Bind) -> str:
        """Return Python text that is true only where it holds."""
        path = self.path
        if not all(map(str.isidentifier, path.attributes)):
            return f"{bind(self.holds)}()"
        if self.value is MISSING and path.kind is ITEM and not path.attributes:
            return f"{path.key!r} not in {bind(path.holder)}"
        if isinstance(self.value, MethodType):  # a new object at every access
            function, owner = bind(self.value.__func__), bind(self.value.__self__)
            read = path.expression(bind)
            return f"(m := {read}).__func__ is {function} and m.__self__ is {owner}"
        if self.value is MISSING or not self.is_fixed:
            return f"{bind(self.holds)}()"
        return f"{path.expression(bind)} is {bind(self.value)}"


class Same(Still):
    """A place, and the very function that was there, whatever it reads."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self._path = name, path
        self._identity = _identity(path.get())

    def holds(self) -> bool:
        """Whether what was remembered is still so."""
        return all(map(operator.is_, _identity(self._path.get()), self._identity))

    def expression(self, bind: Bind) -> str:
        """Return Python text that is true only where it holds."""
        return f"{bind(self.holds)}()"


def _identity(function: Any) -> tuple[Any, ...]:
    """Return what tells a function from others: a method is a new object at every access."""
    if isinstance(function, MethodType):
        return function.__func__, function.__self__
    if isinstance(function, BuiltinMethodType):
        return sys.intern(function.__name__), function.__self__
    return function, None


def _fixed_items(value: Any) -> tuple[Any, ...] | None:
    """Return what a container holds if it's all immutable."""
    if not isinstance(value, list | dict | tuple):
        return None
    items = tuple(children(value))
    return None if any(map(can_change, items)) else items


def _are_items(value: Any, items: tuple[Any, ...]) -> bool:
    now = tuple(children(value))
    return len(now) == len(items) and all(map(operator.is_, now, items))


class Names(Still):
    """The dictionary of attributes that an object or a module has, and the names in it."""

    def __init__(self, name: str, thing: Any) -> None:
        self.name, self.thing = name, thing
        self._namespace, self._names = vars(thing), list(vars(thing))
        self._own: set[str] = set()

    def leave_out(self, own: set[str]) -> None:
        """Let these names come and go: what they mean is never read before it's written."""
        self._own = own

    def holds(self) -> bool:
        """Whether what was remembered is still so."""
        if vars(self.thing) is not self._namespace:
            return False
        now = list(self._namespace)
        if now != self._names:
            if [n for n in now if n not in self._own] != [
                n for n in self._names if n not in self._own
            ]:
                return False
            self._names[:] = now
        return True

    def expression(self, bind: Bind) -> str:
        """Return Python text that is true only where it holds."""
        namespace = bind(self._namespace)
        same = f"{bind(self.thing)}.__dict__ is {namespace}"
        return f"{same} and list({namespace}) == {bind(self._names)}"


class Builtin(Still):
    """A name that means a builtin: its namespace doesn't have it, and the builtin is the same."""

    def __init__(self, name: str, namespace: dict[str, Any], builtins: dict[str, Any]) -> None:
        self.name, self._namespace, self._builtins = name, namespace, builtins
        self._value = builtins[name]

    def holds(self) -> bool:
        """Whether what was remembered is still so."""
        return (
            self.name not in self._namespace and self._builtins.get(self.name) is self._value
        ) or original_of(self._namespace.get(self.name)) is self._value

    def expression(self, bind: Bind) -> str:
        """Return Python text that is true only where it holds."""
        absent = f"{self.name!r} not in {bind(self._namespace)}"
        return f"{absent} and {bind(self._builtins)}[{self.name!r}] is {bind(self._value)}"


class Members(Still):
    """What a class defines itself, and its bases: methods, operators, properties, numbers."""

    def __init__(self, name: str, kind: type) -> None:
        self.name, self.thing, self._mro = name, kind, kind.__mro__
        self._members = vars(kind)  # a view of what it defines, now and later
        self._names = list(self._members)
        self._values = list(self._members.values())
        self._contents = {n: _content_of_member(value) for n, value in self._members.items()}
        self._own: set[str] = set()

    def leave_out(self, own: set[str]) -> None:
        """Let these numbers come and go: they are never read before they're written."""
        self._own = {n for n in own if not n.startswith("__") and not self._is_method(n)}
        self._contents = {n: v for n, v in self._contents.items() if n not in self._own}

    def _is_method(self, name: str) -> bool:
        return hasattr(type(self._members.get(name)), "__get__")

    def holds(self) -> bool:
        """Whether what was remembered is still so."""
        if self.thing.__mro__ is not self._mro:
            return False
        if list(self._members) == self._names and self.are_identical():
            return True
        now = {n: value for n, value in self._members.items() if n not in self._own}
        if list(now) != list(self._contents):
            return False
        contents = {n: _content_of_member(value, keep=False) for n, value in now.items()}
        if contents != self._contents:
            return False
        self._names[:] = self._members
        self._values[:] = self._members.values()
        return True

    def are_identical(self) -> bool:
        """Whether its members are the things they were, under the same names."""
        now, own = self._members.values(), self._own
        if len(now) != len(self._values):
            return False
        if not own:
            return all(map(operator.is_, now, self._values))
        return all(
            value is before or name in own
            for name, value, before in zip(self._names, now, self._values, strict=True)
        )

    def expression(self, bind: Bind) -> str:
        """Return Python text that is true only where it holds."""
        same = f"{bind(self.thing)}.__mro__ is {bind(self._mro)}"
        return f"{same} and list({bind(self._members)}) == {bind(self._names)} and " \
               f"{bind(self.are_identical)}()"  # fmt: skip


def _content_of_member(value: Any, keep: bool = True) -> Any:
    return Unknown(value) if can_change(value) else freeze(value, keep)


class State(Still):
    """The state of an object that is compared as a whole, or of what a chain of reads gives."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.found: list[Any] = []
        value = path.get()
        self._content = state_of(value, self.found)

    def holds(self) -> bool:
        """Whether what was remembered is still so."""
        try:
            return bool(state_of(self.path.get(), keep=False) == self._content)
        except UnwatchableError:
            return False

    def expression(self, bind: Bind) -> str:
        """Return Python text that is true only where it holds."""
        return f"{bind(self.holds)}()"
