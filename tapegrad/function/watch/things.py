"""Things used as a whole, followed: functions, objects, classes and modules."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import MutableMapping
from types import BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any

from tapegrad.function.content import children, is_active, is_data
from tapegrad.function.watch.chains import follow_read, note_members, unread_in
from tapegrad.function.watch.conditions import (
    CALL,
    CELL,
    ITEM,
    MISSING,
    THING,
    Members,
    Names,
    Path,
    State,
    Watch,
)  # fmt: skip
from tapegrad.function.watch.draws import GENERATORS
from tapegrad.function.watch.own_state import is_library_function
from tapegrad.function.watch.reads import (
    BLIND,
    CHANGING,
    CLOSURE,
    attributes_in,
    names_in,
    reads,
    stores,
)
from tapegrad.function.watch.states import hides_state, slots_of
from tapegrad.function.watch.unchanging import functions_of, is_fixed, is_plain, wrapped_by
from tapegrad.function.watch.walk import ATTRIBUTE, Walk
from tapegrad.libraries import (
    is_library_module,
    is_library_object,
    is_of_this_package,
    module_of,
)  # fmt: skip
from tapegrad.numba_internals import is_compiled
from tapegrad.numba_protocols import Dispatcher
from tapegrad.record.namespaces import contents_of
from tapegrad.record.trampolines import code_of

_MOST = 20_000  # things and functions followed: about half a second

_MODULES_BY_STRING = frozenset(["import_module", "__import__", "modules"])
_NAMESPACES_BY_STRING = frozenset(["globals", "eval", "exec"])

# What Python itself keeps in classes and modules.
_MACHINERY = frozenset(
    ["__module__", "__dict__", "__weakref__", "__doc__", "__qualname__", "__annotations__",
     "__annotate__", "__annotate_func__", "__annotations_cache__", "__static_attributes__",
     "__firstlineno__", "__slots__", "__orig_bases__", "__parameters__", "__abstractmethods__",
     "__match_args__", "__hash__", "__dataclass_fields__", "__dataclass_params__", "_abc_impl",
     "__builtins__", "__cached__", "__file__", "__loader__", "__name__", "__package__",
     "__spec__", "__path__", "__type_params__", "__is_protocol__", "__protocol_attrs__"]
)  # fmt: skip
# What an object that is there already calls only to make another one, of `type(self)`.
_CONSTRUCTION = frozenset(
    ["__init__", "__new__", "__post_init__", "__init_subclass__", "__set_name__", "__del__"]
)
_MIXINS = ("builtins", "typing", "abc", "enum", "dataclasses", "typing_extensions")


def follow_all(walk: Walk) -> bool:
    """Follow what waits in a walk, and what that leads to; return whether there's an end to it."""
    for _ in range(_MOST):
        if not walk.things and not walk.calls:
            return True
        if walk.calls:
            _follow_function(walk, *walk.calls.popleft())
        else:
            _follow(walk, *walk.things.popleft())
    return False


def _follow(walk: Walk, name: str, thing: Any, is_called: bool, is_named: bool) -> None:
    if isinstance(thing, ModuleType):
        _follow_module(walk, thing)
    elif is_compiled(thing):
        _follow_compiled(walk, name, thing)
    elif thing is MISSING or is_active(thing) or is_fixed(thing):
        return
    elif callable(thing):
        _follow_callable(walk, name, thing, is_called, is_named)
    elif not is_plain(thing):
        _follow_object(walk, name, thing)


# --- functions ------------------------------------------------------------------------------------


def _follow_callable(walk: Walk, name: str, function: Any, is_called: bool,
                     is_named: bool) -> None:  # fmt: skip
    if isinstance(function, functools.partial):
        _watch_attributes(walk, function, "args", "keywords")
        walk.follow(name, function.func, True, is_named)
    elif isinstance(function, MethodType):
        if isinstance(function.__func__, FunctionType):
            walk.call(function.__func__, function.__self__)
        called = function.__func__
        if not isinstance(called, FunctionType) or is_library_function(called):
            walk.follow(name, called, True)
            walk.follow(name, function.__self__)
    elif isinstance(function, FunctionType):
        walk.call(function, None, is_named)
    elif isinstance(function, type):
        _follow_class(walk, function)
    elif isinstance(function, BuiltinMethodType):
        owner = function.__self__
        if function.__name__ == "__subclasses__":
            walk.watch(name, Path(CALL, function), ("subclasses", id(owner)))
        elif function.__name__ not in BLIND:
            walk.watch_value(name, Path(THING, owner), ("self", id(owner)))
    elif hasattr(type(function), "watched"):  # one with a rule, which tells what counts of it
        walk.keep(function)
        path = Path(THING, function, None, ("watched",))
        walk.add(("rule", id(function)), Watch, name, path)
    elif (wrapped := wrapped_by(function)) is not None:
        # What a library's callable wraps sees no stand-ins, or the library's own.
        walk.follow(name, wrapped, True, is_library_object(function))
    elif is_called and not is_library_object(function):
        kind = type(function)
        _watch_class_of(walk, name, function)
        path = Path(THING, kind, None, ("__call__",))
        walk.add(("call", id(kind)), Watch, f"{kind.__name__}.__call__", path)
        call = inspect.getattr_static(kind, "__call__")
        if isinstance(call, FunctionType):
            walk.call(call, function)
        else:
            walk.follow(name, call, True)
    else:
        _follow_object(walk, name, function)


def _follow_compiled(walk: Walk, name: str, dispatcher: Dispatcher) -> None:
    """Follow what has a rule among the things that a compiled function names.

    What else it names is as it was when it was compiled.
    """
    if not walk.is_new(dispatcher):
        return
    function = dispatcher.py_func
    names = names_in(function.__code__, frozenset())
    held = map(contents_of, function.__closure__ or ())
    for thing in [*(function.__globals__[n] for n in names & function.__globals__.keys()), *held]:
        if hasattr(type(thing), "watched") or is_compiled(thing) or _is_wrapping(thing):
            walk.follow(name, thing, True)


def _is_wrapping(thing: Any) -> bool:
    """Whether a thing is one of this package's, made of a function of the user's."""
    return is_of_this_package(module_of(type(thing))) and wrapped_by(thing) is not None


def _follow_function(walk: Walk, function: FunctionType, instance: Any) -> None:
    if not walk.is_new(function, instance):
        return
    if (wrapped := wrapped_by(function)) is not None:
        walk.follow(function.__name__, wrapped, True, is_named=True)
    code = code_of(function)
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    walk.followed.append((function, instance))
    if is_library_function(function):  # a decorator's: what it calls is the user's
        _follow_cells(walk, function, cells)
        return
    _watch_attributes(walk, function, "__code__", "__defaults__", "__kwdefaults__")
    if "__class__" in cells and instance is not None:  # `super()` reads it unseen
        kind = instance if isinstance(instance, type) else type(instance)
        _follow_class(walk, kind, instance)
    unread = unread_in(walk, function, cells, instance)
    names = names_in(code, unread)
    walk.mention(names)
    walk.stores |= stores(code) or not names.isdisjoint(CHANGING) or walk.is_by_string
    attributes = attributes_in(code, unread)
    walk.read |= attributes.read
    walk.written |= attributes.written
    if not names.isdisjoint(_MODULES_BY_STRING):
        for name in sorted(names & sys.modules.keys()):
            _follow_module(walk, sys.modules[name])
    if not names.isdisjoint(_NAMESPACES_BY_STRING):
        module = sys.modules.get(function.__globals__.get("__name__", ""))
        if module is not None and vars(module) is function.__globals__:
            _follow_module(walk, module)
    for read in reads(code, unread):
        follow_read(walk, read, function, cells, instance)


def _follow_cells(walk: Walk, function: FunctionType, cells: dict[str, Any]) -> None:
    """Follow the functions that a library's function closes over, and its tables of functions."""
    for name, cell in cells.items():
        path = Path(CELL, cell)
        content = path.get()
        if callable(content):
            walk.follow(name, content, True, is_named=True)
        elif isinstance(content, dict | list) and any(map(callable, children(content))):
            walk.watch(f"{name} of {function.__name__}", path, (CLOSURE, id(cell), name))


# --- objects, classes and modules -----------------------------------------------------------------


def _watch_attributes(walk: Walk, thing: Any, *names: str) -> None:
    walk.keep(thing)
    for name in names:
        label = f"{name} of {getattr(thing, '__name__', type(thing).__name__)}"
        walk.watch(label, Path(THING, thing, None, (name,)), ("of", id(thing), name))


def _watch_class_of(walk: Walk, name: str, thing: Any) -> None:
    walk.keep(thing)
    path = Path(THING, thing, None, ("__class__",))
    walk.add(("class", id(thing)), Watch, f"the class of {name}", path)


def _watch_namespace(walk: Walk, name: str, thing: Any) -> None:
    namespace = vars(thing)
    walk.add(("names", id(thing)), Names, name, thing)
    for attribute in list(namespace):
        if attribute not in _MACHINERY:
            path = Path(ITEM, namespace, attribute)
            key = ATTRIBUTE, id(thing), attribute
            walk.watch(f"{name}.{attribute}", path, key, isinstance(thing, ModuleType))


def _follow_module(walk: Walk, module: ModuleType) -> None:
    if not is_library_module(module) and walk.is_new(module):
        _watch_namespace(walk, module.__name__, module)


def _follow_object(walk: Walk, name: str, thing: Any) -> None:
    """Remember every attribute of an object, and what its methods read."""
    if not walk.is_new(thing):
        return
    kind = type(thing)
    if is_library_object(thing):
        if not _is_constant_of_library(thing):
            _watch_state(walk, name, thing)
        return
    _watch_class_of(walk, name, thing)
    _follow_class(walk, kind, thing)
    if hasattr(thing, "__dict__"):
        _watch_namespace(walk, name, thing)
    _watch_attributes(walk, thing, *slots_of(kind))
    if is_data(thing):
        walk.watch(name, Path(THING, thing), ("data", id(thing)))
    elif hides_state(kind):
        _watch_state(walk, name, thing)


def _watch_state(walk: Walk, name: str, thing: Any) -> None:
    state = walk.add(("state", id(thing)), State, name, Path(THING, thing))
    if isinstance(state, State):
        if isinstance(thing, GENERATORS):
            walk.generators.append(state)
        for found in state.found:
            walk.follow(name, found)


def _is_constant_of_library(thing: Any) -> bool:
    """Whether an object is one of a library's own, not one that it was asked to make."""
    if isinstance(thing, MutableMapping):
        return False
    module = sys.modules.get(module_of(type(thing)))
    return module is not None and any(value is thing for value in vars(module).values())


def _follow_class(walk: Walk, kind: type, instance: Any = None) -> None:
    if is_library_object(kind) or not walk.is_new(kind, instance):
        return
    note_members(walk, kind)
    if not is_library_object(type(kind)):
        _follow_class(walk, type(kind), kind)
    for base in kind.__mro__:
        if is_library_object(base):
            continue
        walk.add(("members", id(base)), Members, base.__name__, base)
        for attribute, value in list(vars(base).items()):
            functions = functions_of(value)
            for function in functions:
                bound = kind if isinstance(value, classmethod) else instance
                if instance is not None and attribute in _CONSTRUCTION:
                    walk.wait("type", function, bound)
                elif _is_used_by_library(kind):
                    walk.call(function, bound)
                else:
                    walk.wait(attribute, function, bound)
            if not functions and attribute not in _MACHINERY and not is_fixed(value):
                path = Path(ITEM, vars(base), attribute)
                walk.watch_value(
                    f"{kind.__name__}.{attribute}", path, (ATTRIBUTE, id(base), attribute)
                )


def _is_used_by_library(kind: type) -> bool:
    """Whether a class extends a library's, which may call methods that no code here mentions."""
    return any(is_library_object(base) and module_of(base) not in _MIXINS for base in kind.__mro__)
