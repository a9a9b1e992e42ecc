"""Reads in code, followed: a root, and attributes as far as they lead.

A chain through modules, classes and objects is read again at each check. Where it runs code,
each object before that is watched, the code is followed, and what the chain gives is compared by
its state.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import sys
from collections.abc import MutableMapping
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, cast

from tapegrad.function.content import is_active
from tapegrad.function.watch.conditions import (
    CELL,
    ITEM,
    MISSING,
    THING,
    Builtin,
    Path,
    Same,
    State,
    Watch,
)  # fmt: skip
from tapegrad.function.watch.draws import is_unpredictable
from tapegrad.function.watch.reads import (
    BLIND,
    CLOSURE,
    GLOBAL,
    IMPORT,
    Read,
    attributes_in,
    stores,
)
from tapegrad.function.watch.tapped import attributes_for, first_arguments, is_tap
from tapegrad.function.watch.unchanging import functions_of, is_plain, runs_code
from tapegrad.function.watch.walk import Key, Walk, items
from tapegrad.libraries import is_library_module, is_library_name, is_library_object
from tapegrad.record.trampolines import code_of


def follow_read(walk: Walk, read: Read, function: FunctionType, cells: dict[str, Any],
                instance: Any) -> None:  # fmt: skip
    """Remember what a read of a function gives, and follow it."""
    namespace = function.__globals__
    names = cast("Any", function).__builtins__
    if read.kind == GLOBAL and read.name not in namespace and read.name in names:
        walk.add(("builtin", id(namespace), read.name), Builtin, read.name, namespace, names)
        return
    path, owner = root_of(read, function, cells, instance)
    if path is None:
        return
    value = _chain(walk, read.name, path, read.attributes, (read.kind, id(owner), read.name))
    if is_unpredictable(value, read.is_called_empty):
        walk.unpredictable = ".".join((read.name, *read.attributes))


def root_of(read: Read, function: FunctionType, cells: dict[str, Any],
            instance: Any) -> tuple[Path | None, Any]:  # fmt: skip
    """Return where the root of a read is found, and in what; no path if it's of no interest."""
    namespace = function.__globals__
    if read.kind == GLOBAL:
        return Path(ITEM, namespace, read.name), namespace
    if read.kind == CLOSURE and read.name in cells:
        return Path(CELL, cells[read.name]), cells[read.name]
    if read.kind == IMPORT:
        name = _absolute(read.name, namespace)
        if name in sys.modules or not is_library_name(name):
            return Path(ITEM, sys.modules, name), sys.modules
    elif read.name == _first_argument(code_of(function)) and instance is not None:
        # A closure variable too, where an inner function reads it.
        return Path(THING, instance), instance
    return None, None


def unread_in(walk: Walk, function: FunctionType, cells: dict[str, Any],
              instance: Any) -> frozenset[int]:  # fmt: skip
    """Return the offsets of instructions that load what is tapped; remember which functions."""
    unread: frozenset[int] = frozenset()
    for tapped in first_arguments(code_of(function)):
        path, _ = root_of(tapped.callee, function, cells, instance)
        if path is None or not is_tap(tapped.callee, path.get()):
            continue
        unread |= tapped.offsets
        if tapped.code is not None:
            names = attributes_in(tapped.code)
            walk.tapped |= names.read | names.written
        elif tapped.function is not None:
            _remember_tapped(walk, tapped.function, *root_of(
                tapped.function, function, cells, instance))  # fmt: skip
    return unread


def _remember_tapped(walk: Walk, read: Read, path: Path | None, owner: Any) -> None:
    if path is None:
        return
    for attribute in read.attributes:
        path = path / attribute
    name = ".".join((read.name, *read.attributes))
    walk.tapped.update(read.attributes)
    walk.tapped |= attributes_for(path.get())
    walk.keep(owner)
    walk.add(("tapped", id(owner), read.name, *read.attributes), Same, name, path)


def _chain(walk: Walk, name: str, path: Path, attributes: tuple[str, ...], key: Key) -> Any:
    """Follow attributes through modules, classes and objects; return what is there."""
    is_library, is_named = False, True
    for at, attribute in enumerate(attributes):
        owner = path.get()
        if owner is MISSING:
            break
        if not isinstance(owner, ModuleType):
            is_named = False
            note_members(walk, owner)
        if isinstance(owner, ModuleType) and is_library_module(owner):
            if attribute not in vars(owner):
                break
            is_library = True
        elif is_plain(owner):
            if attribute in BLIND:
                return None  # what was there before can't reach the result
            break
        elif is_library_object(owner) and not isinstance(owner, type | FunctionType):
            break
        elif (code := _code_between(owner, attribute)) is not None:
            walk.add(("before", *key), Watch, name, path)
            if isinstance(code, functools.cached_property):
                walk.stores = True
                walk.call(code.func, owner)  # type: ignore[arg-type]
                path, name = Path(ITEM, vars(owner), attribute), f"{name}.{attribute}"
                walk.watch(name, path, (*key, attribute))
            else:
                _follow_code(walk, name, path, attributes[at:], key, code, owner)
            return None
        name, key, path = f"{name}.{attribute}", (*key, attribute), path / attribute
    value = path.get()
    if value is sys.modules:
        return value  # those that the code mentions are followed
    if is_library and not isinstance(value, MutableMapping) and not is_plain(value):
        walk.add(key, Watch, name, path)
    else:
        walk.watch(name, path, key, is_named)
    return value


def _follow_code(walk: Walk, name: str, path: Path, attributes: tuple[str, ...], key: Key,
                 code: Any, owner: Any) -> None:  # fmt: skip
    """Remember what a chain gives that runs code, and follow the code."""
    functions = functions_of(code)
    for function in functions:
        walk.call(function, None if isinstance(owner, ModuleType) else owner)
    if not is_library_object(code):
        walk.follow(name, code)
    if isinstance(code, functools.singledispatchmethod) or any(
        stores(code_of(function)) for function in functions
    ):
        return  # reading it again would make or do something; what it reads is watched
    name = ".".join((name, *attributes))
    for attribute in attributes:
        path = path / attribute
    if any(map(is_active, items(path.get()))):
        return
    state = walk.add((*key, *attributes), State, name, path)
    if isinstance(state, State):
        for thing in state.found:
            walk.follow(name, thing)


def note_members(walk: Walk, thing: Any) -> None:
    """Note what may be called on an object or a class, by code that isn't followed too."""
    kind = thing if isinstance(thing, type) else type(thing)
    if is_library_object(kind) or not walk.is_new(kind, note_members):
        return
    for base in kind.__mro__:
        if not is_library_object(base):
            for member in list(vars(base).values()):
                walk.methods.update(dict.fromkeys(functions_of(member)))


def _code_between(owner: Any, attribute: str) -> Any:
    """Return what runs when an attribute is read, if that isn't a mere look-up."""
    if isinstance(owner, ModuleType):
        return None if attribute in vars(owner) else vars(owner).get("__getattr__")
    if isinstance(owner, FunctionType | MethodType):
        return None
    kind = type(owner)
    reader = inspect.getattr_static(kind, "__getattribute__", None)
    if isinstance(reader, FunctionType):
        return reader
    if isinstance(owner, type):
        static = inspect.getattr_static(owner, attribute, None)
        return static if runs_code(static) and not isinstance(static, property) else None
    static = inspect.getattr_static(kind, attribute, None)
    if static is None:
        own = getattr(owner, "__dict__", {})
        return None if attribute in own else inspect.getattr_static(kind, "__getattr__", None)
    return static if runs_code(static) else None


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
