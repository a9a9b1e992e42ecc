"""What a function closes over, remembered so that a change is noticed.

From a function's code follow the globals, closure variables, defaults, attributes, imports and
Python functions it reads; numbers, strings, arrays and containers of them are remembered,
immutable ones by identity, others by content. Files, clocks and random numbers can't be seen
this way.
"""

from __future__ import annotations

import builtins
import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Protocol

from tapegrad.function.content import can_change, children, freeze, is_data
from tapegrad.function.reads import CLOSURE, GLOBAL, IMPORT, Read, reads
from tapegrad.libraries import (
    in_library,
    is_compiler_object,
    is_library_module,
    is_library_object,
    is_of_this_package,
)  # fmt: skip
from tapegrad.record.interception import original_of
from tapegrad.record.trampolines import code_of

_MISSING = object()
_BLIND = frozenset(
    ["append", "appendleft", "extend", "extendleft", "insert", "add", "update", "clear"]
)

Getter = Callable[[], Any]


class _Condition(Protocol):
    name: str

    def holds(self) -> bool:
        """Whether what was remembered is still so."""


class _Watch:
    """One place outside a function: how to read it, and what was there."""

    __slots__ = ("content", "get", "is_fixed", "name", "value")

    def __init__(self, name: str, get: Getter, value: Any) -> None:
        self.name, self.get, self.value = name, get, value
        self.is_fixed = not can_change(value)
        self.content = freeze(value)

    def holds(self) -> bool:
        value = self.get()
        if value is self.value and self.is_fixed:
            return True
        value = original_of(value)  # kept by code that was being recorded
        if freeze(value, keep=False) != self.content:
            return False
        self.value = value  # equal content under another identity: the next check is quick
        return True


class _Names:
    """The names an object or module has."""

    def __init__(self, name: str, namespace: dict[str, Any]) -> None:
        self.name, self._namespace, self._names = name, namespace, list(namespace)

    def holds(self) -> bool:
        return list(self._namespace) == self._names


class _Absent:
    """Names that a namespace doesn't have, so that they mean builtins."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.name, self.names, self._keys = "a builtin's name", set[str](), namespace.keys()

    def holds(self) -> bool:
        return self._keys.isdisjoint(self.names)


class Environment:
    """What a callable read from outside itself, as it was when this object was made.

    Parameters
    ----------
    *things : callable or object
        Python functions, bound methods, `functools.partial`s, callables of this library wrapping
        one, and objects whose attributes and methods may be used.
    """

    def __init__(self, *things: Any) -> None:
        self._conditions: dict[tuple[Any, ...], _Condition] = {}
        self._functions: set[tuple[FunctionType, int]] = set()
        self._unnamed: dict[FunctionType, None] = {}
        self._kinds: set[type] = set()
        self._seen: set[int] = set()
        self._keep: list[Any] = []
        for thing in things:
            self._follow(type(thing).__name__, thing, is_named=True)

    def changed(self) -> str | None:
        """Return the name of something that changed, or None."""
        for condition in self._conditions.values():
            if not condition.holds():
                return condition.name
        return None

    @property
    def methods(self) -> list[FunctionType]:
        """Functions that the code reaches through objects and containers, not by their names."""
        return list(self._unnamed)

    def _note_members(self, thing: Any) -> None:
        """Note what may be called on an object or a class, by code that isn't followed too."""
        kind = thing if isinstance(thing, type) else type(thing)
        if kind in self._kinds:
            return
        self._kinds.add(kind)
        for base in kind.__mro__:
            if not is_library_object(base):
                functions = map(_function_of, list(vars(base).values()))
                self._unnamed.update((f, None) for f in functions if f is not None)

    def _visit(self, thing: Any) -> bool:
        if id(thing) in self._seen:
            return False
        self._seen.add(id(thing))
        self._keep.append(thing)
        return True

    # --- following things ---------------------------------------------------------------------

    def _follow(self, name: str, thing: Any, is_named: bool = False) -> None:
        """Remember what using a thing as a whole may read."""
        if isinstance(thing, ModuleType):
            self._module(thing)
        elif callable(thing):
            self._callable(thing, is_named)
        elif not is_plain(thing):
            self._object(name, thing)

    def _callable(self, function: Any, is_named: bool = False) -> None:
        if isinstance(function, functools.partial):
            self._attributes(function, "args", "keywords")
            self._callable(function.func, is_named)
        elif isinstance(function, MethodType):
            self._function(function.__func__, function.__self__)
        elif isinstance(function, FunctionType):
            self._function(function, None, is_named)
        elif hasattr(function, "__wrapped__"):  # a library's sees no stand-ins, or its own
            self._callable(function.__wrapped__, is_library_object(function))
        elif isinstance(function, type):
            self._class(function)
        elif isinstance(inspect.getattr_static(type(function), "__call__"), FunctionType):
            if is_library_object(function):
                self._object(type(function).__name__, function)
            else:
                self._function(inspect.getattr_static(type(function), "__call__"), function)

    def _function(self, function: Any, instance: Any, is_named: bool = False) -> None:
        key = (function, id(instance))
        if not isinstance(function, FunctionType):
            return
        if not is_named:
            self._unnamed[function] = None
        if instance is not None:
            self._note_members(instance)
        if key in self._functions:
            return
        self._functions.add(key)
        self._keep.append(instance)
        if hasattr(function, "__wrapped__"):
            self._callable(function.__wrapped__, is_named=True)
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        if _is_library(function):  # a decorator's: what it calls is the user's
            for cell in cells.values():
                if callable(content := _cell_contents(cell)):
                    self._callable(content, is_named=True)
            return
        self._attributes(function, "__defaults__", "__kwdefaults__")
        if "__class__" in cells and instance is not None:  # `super()` reads it unseen
            self._class(instance if isinstance(instance, type) else type(instance), instance)
        for read in reads(code_of(function)):
            self._read(read, function, cells, instance)

    def _read(self, read: Read, function: FunctionType, cells: dict[str, Any],
              instance: Any) -> None:  # fmt: skip
        namespace = function.__globals__
        root: Getter
        if read.kind == GLOBAL:
            if read.name not in namespace and hasattr(builtins, read.name):
                absent = self._conditions.setdefault(("absent", id(namespace)), _Absent(namespace))
                absent.names.add(read.name)  # type: ignore[attr-defined]
                return
            root, owner = functools.partial(namespace.get, read.name, _MISSING), namespace
        elif read.kind == CLOSURE and read.name in cells:
            root, owner = functools.partial(_cell_contents, cells[read.name]), cells[read.name]
        elif read.kind == IMPORT:
            name = _absolute(read.name, namespace)
            root, owner = functools.partial(sys.modules.get, name, _MISSING), sys.modules
        elif read.name == _first_argument(function.__code__) and instance is not None:
            # A closure variable too, where an inner function reads it.
            root, owner = functools.partial(_identity, instance), instance
        else:
            return
        self._chain(read.name, root, read.attributes, (read.kind, id(owner), read.name))

    def _chain(self, name: str, get: Getter, attributes: tuple[str, ...],
               place: tuple[Any, ...]) -> None:  # fmt: skip
        """Follow attributes as far as they lead through modules, classes and objects."""
        is_named = True
        for attribute in attributes:
            owner = get()
            if owner is _MISSING:
                break
            if is_plain(owner):
                if attribute in _BLIND:
                    return  # what was there before can't reach the result
                break
            if isinstance(owner, ModuleType) and is_library_module(owner):
                return
            if not isinstance(owner, ModuleType):
                is_named = False
                self._note_members(owner)
            static = inspect.getattr_static(type(owner), attribute, None)
            if isinstance(static, property):
                self._function(static.fget, owner)
                return
            name, place = f"{name}.{attribute}", (*place, attribute)
            if isinstance(static, functools.cached_property):
                self._function(static.func, owner)
                get = functools.partial(vars(owner).get, attribute, _MISSING)
                break
            get = functools.partial(_attribute, get, attribute)
        self._contents(name, get, place, is_named)

    def _contents(self, name: str, get: Getter, place: tuple[Any, ...],
                  is_named: bool = False) -> None:  # fmt: skip
        if place in self._conditions:
            return
        value = original_of(get())
        self._conditions[place] = _Watch(name, get, value)
        for item in _items(value):
            self._follow(name, item, is_named and item is value)

    # --- things used as a whole ---------------------------------------------------------------

    def _attributes(self, thing: Any, *names: str) -> None:
        for name in names:
            get = functools.partial(getattr, thing, name, _MISSING)
            self._contents(f"{name} of {thing!r}", get, ("of", id(thing), name))

    def _names(self, name: str, thing: Any) -> None:
        namespace = vars(thing)
        self._conditions["names", id(thing)] = _Names(name, namespace)
        for attribute in list(namespace):
            if not attribute.startswith("__"):
                get = functools.partial(namespace.get, attribute, _MISSING)
                place = ("in", id(thing), attribute)
                self._contents(f"{name}.{attribute}", get, place, isinstance(thing, ModuleType))

    def _module(self, module: ModuleType) -> None:
        if not is_library_module(module) and self._visit(module):
            self._names(module.__name__, module)

    def _object(self, name: str, instance: Any) -> None:
        """Remember every attribute of an object, and what its methods read."""
        if is_compiler_object(instance) or not self._visit(instance):
            return
        self._class(type(instance), instance)
        if hasattr(instance, "__dict__"):
            self._names(name, instance)
        for base in type(instance).__mro__:
            slots = vars(base).get("__slots__", ())
            self._attributes(instance, *([slots] if isinstance(slots, str) else slots))

    def _class(self, kind: type, instance: Any = None) -> None:
        if instance is None and not self._visit(kind):
            return
        for base in kind.__mro__:
            if is_library_object(base):
                continue
            for attribute, value in list(vars(base).items()):
                function = _function_of(value)
                if function is not None:
                    bound = kind if isinstance(value, classmethod) else instance
                    self._function(function, bound)
                elif not attribute.startswith("__") and not inspect.isdatadescriptor(value):
                    get = functools.partial(getattr, kind, attribute, _MISSING)
                    self._contents(f"{kind.__name__}.{attribute}", get, (id(kind), attribute))


def is_plain(thing: Any) -> bool:
    """Whether a thing is data without attributes or methods of the user's."""
    return is_data(thing) and is_library_object(thing)


def _function_of(member: Any) -> FunctionType | None:
    """Return the function that a member of a class makes callable, if there is one."""
    for name in ("__func__", "fget", "func"):
        member = getattr(member, name, member)
    return member if isinstance(member, FunctionType) else None


def _items(value: Any, above: tuple[int, ...] = ()) -> Iterator[Any]:
    """Yield what a value is made of: the things in containers, and itself if it's none."""
    if id(value) in above:
        return
    for item in children(value):
        yield from _items(item, (*above, id(value)))
    yield value


def _absolute(name: str, namespace: dict[str, Any]) -> str:
    """Return the full name of a module that an import statement names."""
    if not name.startswith("."):
        return name
    try:
        return importlib.util.resolve_name(name, namespace.get("__package__"))
    except ImportError:  # the statement will say so
        return name


def _first_argument(code: CodeType) -> str | None:
    return code.co_varnames[0] if code.co_argcount else None


def _cell_contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # the variable has no value yet
        return _MISSING


def _identity(thing: Any) -> Any:
    return thing


def _attribute(get: Getter, name: str) -> Any:
    return getattr(get(), name, _MISSING)


def _is_library(function: FunctionType) -> bool:
    return is_of_this_package(function.__module__) or in_library(function.__code__.co_filename)
