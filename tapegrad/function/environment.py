"""What a function closes over, remembered so that a change is noticed.

From a function's code follow the globals, closure variables, defaults, attributes and Python
functions it reads; numbers, strings, arrays and containers of them are remembered, immutable
ones by identity, others by content. Files, clocks and random numbers can't be seen this way.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import struct
import sys
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from tapegrad.function.reads import CLOSURE, GLOBAL, SELF, reads
from tapegrad.record.interception import (
    Cell,
    Namespace,
    Place,
    in_library,
    is_interceptable,
    original_of,
)

_MISSING = object()
_SMALL = 4096
_ATOMS = (int, str, bytes, bool, type(None), np.generic)

Getter = Callable[[], Any]


class _Unknown:
    """The frozen form of an object that has no content to remember: equal by identity."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Unknown) and other.thing is self.thing

    __hash__ = None  # type: ignore[assignment]


class _Frozen:
    """The remembered content of an array."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Frozen):
            return False
        a, b = self.array, other.array
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
        return np.array_equal(a.view(np.uint8) if a.ndim else a, b.view(np.uint8) if b.ndim else b)

    __hash__ = None  # type: ignore[assignment]


def freeze(value: Any, keep: bool = True) -> Any:
    """Return the content of a value in a form that compares to the bit; `keep` copies arrays."""
    if isinstance(value, float):
        return struct.pack("d", value)
    if isinstance(value, _ATOMS):
        return type(value), value
    if isinstance(value, np.ndarray) and value.dtype != object:
        if value.nbytes <= _SMALL:  # a string of bytes compares in a tenth of the time
            return value.shape, value.dtype, value.tobytes()
        return _Frozen(value.copy() if keep else value)
    if isinstance(value, tuple | list):
        return type(value), [freeze(item, keep) for item in value]
    if isinstance(value, dict):
        return dict, [(freeze(k, keep), freeze(v, keep)) for k, v in value.items()]
    if isinstance(value, set | frozenset):
        return type(value), frozenset(value)
    if isinstance(value, MethodType):  # a new object at every access
        return MethodType, _Unknown(value.__func__), _Unknown(value.__self__)
    return _Unknown(value)


def _can_change(value: Any) -> bool:
    """Whether the same object can hold other content later."""
    if isinstance(value, tuple):
        return any(map(_can_change, value))
    return isinstance(value, np.ndarray | list | dict | set)


class _Watch:
    """One place outside a function: how to read it, and what was there."""

    __slots__ = ("content", "get", "is_fixed", "name", "value")

    def __init__(self, name: str, get: Getter, value: Any) -> None:
        self.name, self.get, self.value = name, get, value
        self.is_fixed = not _can_change(value)
        self.content = freeze(value)

    def holds(self) -> bool:
        value = self.get()
        if value is self.value and self.is_fixed:
            return True
        value = original_of(value)  # another thread may be recording
        if freeze(value, keep=False) != self.content:
            return False
        self.value = value  # equal content under another identity: the next check is quick
        return True


class Environment:
    """What a callable read from outside itself, as it was when this object was made.

    Parameters
    ----------
    *things : callable or object
        Python functions, bound methods, `functools.partial`s, callables of this library wrapping
        one, and objects whose attributes and methods may be used.
    """

    def __init__(self, *things: Any) -> None:
        self._watches: dict[tuple[Any, ...], _Watch] = {}
        self._functions: set[tuple[FunctionType, int]] = set()
        self._places: list[Place] = []
        self._seen: set[int] = set()
        self._keep: list[Any] = []
        for thing in things:
            if callable(thing):
                self._callable(thing)
            elif not _is_data(thing) and not _in_library_object(thing):
                self._object(type(thing).__name__, thing)

    def changed(self) -> str | None:
        """Return the name of something that changed, or None."""
        for watch in self._watches.values():
            if not watch.holds():
                return watch.name
        return None

    # --- following a function -----------------------------------------------------------------

    def _visit(self, thing: Any) -> bool:
        if id(thing) in self._seen:
            return False
        self._seen.add(id(thing))
        self._keep.append(thing)
        return True

    def _callable(self, function: Any) -> None:
        if isinstance(function, functools.partial):
            self._attributes(function, "args", "keywords")
            self._callable(function.func)
        elif isinstance(function, MethodType):
            self._function(function.__func__, function.__self__)
        elif isinstance(function, FunctionType):
            self._function(function, None)
        elif hasattr(function, "__wrapped__"):
            self._callable(function.__wrapped__)
        elif isinstance(function, type):
            self._class(function)
        else:
            self._function(inspect.getattr_static(type(function), "__call__", None), function)

    def _function(self, function: Any, instance: Any) -> None:
        if not isinstance(function, FunctionType) or _is_library(function):
            return
        key = (function, id(instance))
        if key in self._functions:
            return
        self._functions.add(key)
        self._keep.append(instance)
        self._attributes(function, "__defaults__", "__kwdefaults__")
        if hasattr(function, "__wrapped__"):
            self._callable(function.__wrapped__)
        code = function.__code__
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        first = code.co_varnames[0] if code.co_argcount and instance is not None else None
        for read in reads(code):
            if read.kind == GLOBAL:
                namespace = function.__globals__
                self._note_place(namespace, read.name)
                root: Getter = functools.partial(namespace.get, read.name, _MISSING)
                place: tuple[Any, ...] = (GLOBAL, id(namespace), read.name)
            elif read.kind == CLOSURE and read.name in cells:
                self._note_place(Cell(cells[read.name]), read.name)
                root = functools.partial(_cell_contents, cells[read.name])
                place = (CLOSURE, id(cells[read.name]), read.name)
            elif read.name == first:  # a closure variable too, where an inner function reads it
                root = functools.partial(_identity, instance)
                place = (SELF, id(instance), read.name)
            else:
                continue
            self._chain(read.name, root, read.attributes, place)

    def _chain(self, name: str, get: Getter, attributes: tuple[str, ...],
               place: tuple[Any, ...]) -> None:  # fmt: skip
        """Follow attributes as far as they lead through modules, classes and objects."""
        for attribute in attributes:
            owner = get()
            if owner is _MISSING or _is_data(owner):
                break
            if isinstance(owner, ModuleType) and in_library(getattr(owner, "__file__", None)):
                return
            if not hasattr(owner, attribute):
                return
            name, place = f"{name}.{attribute}", (*place, attribute)
            static = vars(type(owner)).get(attribute)
            if isinstance(static, property) and static.fget is not None:
                self._function(static.fget, owner)
            get = functools.partial(_attribute, get, attribute)
        self._contents(name, get, place)

    def _contents(self, name: str, get: Getter, place: tuple[Any, ...]) -> None:
        if place in self._watches:
            return
        value = original_of(get())
        if isinstance(value, ModuleType):
            return
        if value is _MISSING and hasattr(builtins, name):
            return
        self._watches[place] = _Watch(name, get, value)
        for item in _items(value):
            if callable(item):
                self._callable(item)
            elif not _is_data(item) and not _in_library_object(item):
                self._object(name, item)

    def _note_place(self, namespace: Namespace, name: str) -> None:
        if is_interceptable(namespace.get(name)):
            self._places.append((namespace, name))

    @property
    def places(self) -> list[Place]:
        """Where the function's code bound names that recording gives another meaning."""
        return self._places

    def _attributes(self, function: Any, *names: str) -> None:
        for name in names:
            if getattr(function, name):
                get = functools.partial(getattr, function, name)
                self._contents(f"{name} of {function!r}", get, (id(function), name))

    def _object(self, name: str, instance: Any) -> None:
        """Remember every attribute of an object used as a whole, and what its methods read."""
        if self._visit(instance):
            self._class(type(instance), instance)
            attributes = getattr(instance, "__dict__", {})
            for attribute in list(attributes):
                get = functools.partial(attributes.get, attribute, _MISSING)
                self._contents(f"{name}.{attribute}", get, ("of", id(instance), attribute))

    def _class(self, kind: type, instance: Any = None) -> None:
        if _in_library_object(kind) or (instance is None and not self._visit(kind)):
            return
        inherited = [base for base in reversed(kind.__mro__) if not _in_library_object(base)]
        members = {name: value for base in inherited for name, value in vars(base).items()}
        for attribute, value in members.items():
            function = getattr(value, "__func__", value)
            if isinstance(function, FunctionType):
                self._function(function, instance)
            elif not attribute.startswith("__") and _is_data(value):
                get = functools.partial(getattr, kind, attribute, _MISSING)
                self._contents(f"{kind.__name__}.{attribute}", get, ("class", id(kind), attribute))


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list | set | frozenset):
        for item in value:
            yield from _items(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _items(item)
    else:
        yield value


def _is_data(value: Any) -> bool:
    return isinstance(value, (*_ATOMS, float, np.ndarray, tuple, list, dict, set, frozenset))


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
    return _of_this_package(function.__module__) or in_library(function.__code__.co_filename)


def _of_this_package(module: str | None) -> bool:
    return (module or "").partition(".")[0] == "tapegrad"


def _in_library_object(thing: Any) -> bool:
    name = getattr(thing if isinstance(thing, type) else type(thing), "__module__", None)
    module = sys.modules.get(name or "")
    return _of_this_package(name) or (
        name != "__main__" and in_library(getattr(module, "__file__", None))
    )
