"""What a function closes over, remembered so that a change is noticed.

From a function's code follow the globals, closure variables, defaults, attributes, imports and
Python functions it reads. What can't be proved unchanged counts as changed: numbers, strings,
arrays and containers of them are compared by content, objects of the user's attribute by
attribute and with the code of their classes, those of libraries by their state. Where a chain of
reads runs code, each object before it is watched, the code is followed, and the chain is read
again to compare. Files and clocks can't be seen.
"""

from __future__ import annotations

import collections
import functools
import importlib.util
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping
from types import BuiltinMethodType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from tapegrad.function.content import can_change, children, is_active, is_data
from tapegrad.function.watch.checks import Check, compiled
from tapegrad.function.watch.conditions import (
    CELL,
    ITEM,
    MISSING,
    THING,
    Builtin,
    Condition,
    Members,
    Names,
    Path,
    State,
    Watch,
)  # fmt: skip
from tapegrad.function.watch.draws import GENERATORS, NAMES, is_unpredictable
from tapegrad.function.watch.kinds import functions_of, is_fixed, runs_code
from tapegrad.function.watch.reads import CLOSURE, GLOBAL, IMPORT, Read, names_in, reads, stores
from tapegrad.function.watch.states import UnwatchableError, hides_state, slots_of
from tapegrad.libraries import (
    in_library,
    is_library_module,
    is_library_name,
    is_library_object,
    is_of_this_package,
    module_of,
)  # fmt: skip
from tapegrad.record.interception import Cell, Place, is_interceptable, original_of

_BLIND = frozenset(
    ["append", "appendleft", "extend", "extendleft", "insert", "add", "update", "clear"]
)
# Names by which code can read an attribute that it doesn't mention, or a module.
_BY_STRING = frozenset(
    ["getattr", "vars", "__dict__", "dir", "attrgetter", "methodcaller", "eval", "exec",
     "getmembers", "getattr_static", "__getattribute__"]
)  # fmt: skip
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
_MIXINS = ("builtins", "typing", "abc", "enum", "dataclasses", "typing_extensions")


class Environment:
    """What a callable read from outside itself, as it was when this object was made.

    Parameters
    ----------
    *things : callable or object
        Python functions, bound methods, `functools.partial`s, callables of this library wrapping
        one, and objects whose attributes and methods may be used.
    are_called : bool
        Whether calling the things is all that is done with them.

    Attributes
    ----------
    unwatched : str or None
        Why it can't be told whether something changed, if it can't.
    """

    def __init__(self, *things: Any, are_called: bool = False) -> None:
        self._conditions: dict[tuple[Any, ...], Condition] = {}
        self._functions: set[tuple[FunctionType, int]] = set()
        self._places: list[Place] = []
        self._seen: set[int] = set()
        self._keep: list[Any] = []
        self._names: set[str] = set()
        self._waiting: dict[str, list[tuple[FunctionType, Any]]] = {}
        self._generators: list[State] = []
        self._unwatchable: list[tuple[str, type]] = []
        self._unpredictable: str | None = None
        self._check: Check | None = None
        self._queue: collections.deque[tuple[Callable[..., None], tuple[Any, ...]]]
        self._queue = collections.deque()  # not by recursion: objects refer to each other endlessly
        for thing in things:
            name = "the function" if are_called else f"an argument of type {type(thing).__name__}"
            self._follow_items(name, thing, are_called)
        while self._queue:
            follow, arguments = self._queue.popleft()
            follow(*arguments)
        self.unwatched = self._first_unwatched()

    def changed(self) -> str | None:
        """Return the name of something that changed, or None."""
        if self._check is not None and self._check():
            return None
        is_moved = self._check is None
        for condition in self._conditions.values():
            if not condition.holds():
                return condition.name
            is_moved = is_moved or getattr(condition, "is_moved", False)
        if is_moved:
            self._check = compiled(list(self._conditions.values()))
        return None

    def drawn_from(self) -> str | None:
        """Return the name of a generator that gave numbers since, or of one without a seed."""
        changed = (state.name for state in self._generators if not state.holds())
        return self._unpredictable or next(changed, None)

    @property
    def may_draw(self) -> bool:
        """Whether a shared generator that gave numbers meanwhile gave them to this code."""
        return threading.active_count() == 1 or not self._names.isdisjoint(NAMES)

    def seeds(self, name: str) -> bool:
        """Whether the code seeds a generator of this name itself."""
        return "seed" in self._names and name.rpartition(".")[2] in self._names

    @property
    def places(self) -> list[Place]:
        """Where the function's code bound names that recording gives another meaning."""
        return self._places

    def _first_unwatched(self) -> str | None:
        for name, kind in self._unwatchable:
            if name.rpartition(".")[2] in self._names or " " in name:
                return f"'{name}', which it reads, is a {kind.__name__}, whose state can't be seen"
        return None

    def _visit(self, thing: Any) -> bool:
        if id(thing) in self._seen:
            return False
        self._seen.add(id(thing))
        self._keep.append(thing)
        return True

    def _add(self, key: tuple[Any, ...], make: Any, *args: Any) -> Condition | None:
        """Add a condition if there's none for this key; return the new one."""
        if key in self._conditions:
            return None
        try:
            condition: Condition = make(*args)
        except UnwatchableError as error:
            self._unwatchable.append((args[0], error.kind))
            return None
        self._conditions[key] = condition
        return condition

    # --- following things ---------------------------------------------------------------------

    def _follow(self, name: str, thing: Any, is_called: bool = False) -> None:
        """Remember, when it's its turn, what using a thing as a whole, or calling it, may read."""
        self._queue.append((self._follow_now, (name, thing, is_called)))

    def _follow_now(self, name: str, thing: Any, is_called: bool) -> None:
        if isinstance(thing, ModuleType):
            self._module(thing)
        elif thing is MISSING or is_active(thing) or is_fixed(thing):
            return
        elif callable(thing):
            self._callable(name, thing, is_called)
        elif not is_plain(thing):
            self._object(name, thing)

    def _follow_items(self, name: str, thing: Any, is_called: bool = False) -> None:
        for item in _items(thing):
            self._follow(name, item, is_called)

    def _callable(self, name: str, function: Any, is_called: bool) -> None:
        if isinstance(function, functools.partial):
            self._attributes(function, "args", "keywords")
            self._follow(name, function.func, True)
        elif isinstance(function, MethodType):
            self._function(function.__func__, function.__self__)
            if isinstance(function.__func__, FunctionType) and _is_library(function.__func__):
                self._follow(name, function.__self__)
        elif isinstance(function, FunctionType):
            self._function(function, None)
        elif isinstance(function, type):
            self._class(function)
        elif isinstance(function, BuiltinMethodType):
            if function.__name__ not in _BLIND:
                self._value(name, Path(THING, function.__self__), ("self", id(function.__self__)))
        elif hasattr(function, "__wrapped__"):
            self._follow(name, function.__wrapped__, True)
        elif is_library_object(function):
            self._object(name, function)
        elif is_called:
            kind = type(function)
            self._keep.append(function)
            self._add(("class", id(function)), Watch, f"the class of {name}",
                      Path(THING, function, None, ("__class__",)))  # fmt: skip
            self._add(("call", id(kind)), Watch, f"{kind.__name__}.__call__",
                      Path(THING, kind, None, ("__call__",)))  # fmt: skip
            self._function(inspect.getattr_static(kind, "__call__"), function)
        else:
            self._object(name, function)

    def _function(self, function: Any, instance: Any) -> None:
        if not isinstance(function, FunctionType):
            if function is not None:
                self._follow(type(function).__name__, function, True)
            return
        key = (function, id(instance))
        if key in self._functions:
            return
        self._functions.add(key)
        self._keep.append(instance)
        if hasattr(function, "__wrapped__"):
            self._follow(function.__name__, function.__wrapped__, True)
        code = function.__code__
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        if _is_library(function):  # a decorator's: what it calls is the user's
            self._cells_of_library(function, cells)
            return
        self._attributes(function, "__code__", "__defaults__", "__kwdefaults__")
        if "__class__" in cells and instance is not None:  # `super()` reads it unseen
            self._class(instance if isinstance(instance, type) else type(instance), instance)
        self._mention(names_in(code), function)
        for read in reads(code):
            self._read(read, function, cells, instance)

    def _cells_of_library(self, function: FunctionType, cells: dict[str, Any]) -> None:
        for name, cell in cells.items():
            content = Path(CELL, cell).get()
            if callable(content):
                self._follow(name, content, True)
            elif isinstance(content, dict | list) and any(map(callable, children(content))):
                where = f"{name} of {function.__name__}"
                self._contents(where, Path(CELL, cell), (CLOSURE, id(cell), name))

    def _mention(self, names: frozenset[str], function: FunctionType) -> None:
        """Follow what names in code make reachable: methods, and modules named by strings."""
        was_by_string = not self._names.isdisjoint(_BY_STRING)
        self._names |= names
        if not names.isdisjoint(_MODULES_BY_STRING):
            for name in sorted(names & sys.modules.keys()):
                self._module(sys.modules[name])
        if not names.isdisjoint(_NAMESPACES_BY_STRING):
            module = sys.modules.get(function.__globals__.get("__name__", ""))
            if module is not None and vars(module) is function.__globals__:
                self._module(module)
        ready = names
        if not was_by_string and not names.isdisjoint(_BY_STRING):
            ready = frozenset(self._waiting)
        for name in ready & self._waiting.keys():
            for method in self._waiting.pop(name, ()):
                self._queue.append((self._function, method))

    def _method(self, name: str, function: FunctionType, instance: Any, kind: type) -> None:
        """Follow a method of a class now, or when code that mentions its name is followed."""
        is_named = name in self._names or not self._names.isdisjoint(_BY_STRING)
        self._keep.append(instance)
        if is_named or name.startswith("__") or _is_used_by_library(kind):
            self._queue.append((self._function, (function, instance)))
        else:
            self._waiting.setdefault(name, []).append((function, instance))

    def _read(self, read: Read, function: FunctionType, cells: dict[str, Any],
              instance: Any) -> None:  # fmt: skip
        namespace = function.__globals__
        if read.kind == GLOBAL:
            names = function.__builtins__
            if read.name not in namespace and read.name in names:
                key = ("builtin", id(namespace), read.name)
                self._add(key, Builtin, read.name, namespace, names)
                return
            self._note_place(namespace, read.name)
            path, owner = Path(ITEM, namespace, read.name), namespace
        elif read.kind == CLOSURE and read.name in cells:
            self._note_place(Cell(cells[read.name]), read.name)
            path, owner = Path(CELL, cells[read.name]), cells[read.name]
        elif read.kind == IMPORT:
            name = _absolute(read.name, namespace)
            if name not in sys.modules and is_library_name(name):
                return
            path, owner = Path(ITEM, sys.modules, name), sys.modules
        elif read.name == _first_argument(function.__code__) and instance is not None:
            # A closure variable too, where an inner function reads it.
            path, owner = Path(THING, instance), instance
        else:
            return
        value = self._chain(read.name, path, read.attributes, (read.kind, id(owner), read.name))
        if is_unpredictable(value, read.is_called_empty):
            self._unpredictable = ".".join((read.name, *read.attributes))

    def _chain(self, name: str, path: Path, attributes: tuple[str, ...],
               place: tuple[Any, ...]) -> Any:  # fmt: skip
        """Follow attributes as far as they lead through modules, classes and objects."""
        is_library = False
        for at, attribute in enumerate(attributes):
            owner = path.get()
            if owner is MISSING:
                break
            if isinstance(owner, ModuleType) and is_library_module(owner):
                if attribute not in vars(owner):
                    break
                is_library = True
            elif is_plain(owner):
                if attribute in _BLIND:
                    return None  # what was there before can't reach the result
                break
            elif is_library_object(owner) and not isinstance(owner, type | FunctionType):
                break
            elif (code := _code_between(owner, attribute)) is not None:
                self._add(("before", *place), Watch, name, path)
                if isinstance(code, functools.cached_property):
                    self._function(code.func, owner)
                    path, place = Path(ITEM, vars(owner), attribute), (*place, attribute)
                    name = f"{name}.{attribute}"
                    break
                self._evaluated(name, path, attributes[at:], place, code, owner)
                return None
            name, place = f"{name}.{attribute}", (*place, attribute)
            path = path / attribute
        value = path.get()
        if value is sys.modules:
            return value  # those that the code mentions are followed
        if is_library and not isinstance(value, MutableMapping) and not is_plain(value):
            self._add(place, Watch, name, path)
        else:
            self._contents(name, path, place)
        return value

    def _evaluated(self, name: str, path: Path, attributes: tuple[str, ...],
                   place: tuple[Any, ...], code: Any, owner: Any) -> None:  # fmt: skip
        """Remember what a chain gives that runs code, and what the code reads."""
        functions = functions_of(code)
        for function in functions:
            self._function(function, None if isinstance(owner, ModuleType) else owner)
        if not is_library_object(code):
            self._object(name, code)
        if isinstance(code, functools.singledispatchmethod) or any(
            stores(function.__code__) for function in functions
        ):
            return  # reading it again would make or do something; what it reads is watched
        name = ".".join((name, *attributes))
        for attribute in attributes:
            path = path / attribute
        if _holds_active(path.get()):
            return
        state = self._add((*place, *attributes), State, name, path)
        if isinstance(state, State):
            self._follow_all(name, state.found)

    def _contents(self, name: str, path: Path, place: tuple[Any, ...]) -> None:
        if self._add(place, Watch, name, path) is not None:
            self._follow_items(name, path.get())

    def _value(self, name: str, path: Path, place: tuple[Any, ...]) -> None:
        """Remember the content of a thing that is always the same."""
        if can_change(path.get()):
            self._contents(name, path, place)
        else:
            self._follow_items(name, path.get())

    def _follow_all(self, name: str, things: list[Any]) -> None:
        for thing in things:
            self._follow(name, thing)

    def _note_place(self, namespace: Any, name: str) -> None:
        if is_interceptable(namespace.get(name)):
            self._places.append((namespace, name))

    # --- things used as a whole ---------------------------------------------------------------

    def _attributes(self, thing: Any, *names: str) -> None:
        self._keep.append(thing)
        for name in names:
            label = f"{name} of {getattr(thing, '__qualname__', type(thing).__name__)}"
            self._contents(label, Path(THING, thing, None, (name,)), ("of", id(thing), name))

    def _namespace(self, name: str, thing: Any) -> None:
        namespace = vars(thing)
        self._add(("names", id(thing)), Names, name, thing)
        for attribute in list(namespace):
            if attribute not in _MACHINERY:
                path = Path(ITEM, namespace, attribute)
                self._contents(f"{name}.{attribute}", path, ("in", id(thing), attribute))

    def _module(self, module: ModuleType) -> None:
        if not is_library_module(module) and self._visit(module):
            self._namespace(module.__name__, module)

    def _object(self, name: str, thing: Any) -> None:
        """Remember every attribute of an object, and what its methods read."""
        if not self._visit(thing):
            return
        kind = type(thing)
        if is_library_object(thing):
            if not _is_constant_of_library(thing):
                self._state(name, thing)
            return
        self._add(("class", id(thing)), Watch, f"the class of {name}",
                  Path(THING, thing, None, ("__class__",)))  # fmt: skip
        self._class(kind, thing)
        if hasattr(thing, "__dict__"):
            self._namespace(name, thing)
        self._attributes(thing, *slots_of(kind))
        if is_data(thing):
            self._contents(name, Path(THING, thing), ("data", id(thing)))
        elif hides_state(kind):
            self._state(name, thing)

    def _state(self, name: str, thing: Any) -> None:
        state = self._add(("state", id(thing)), State, name, Path(THING, thing))
        if isinstance(state, State):
            if isinstance(thing, GENERATORS):
                self._generators.append(state)
            self._follow_all(name, state.found)

    def _class(self, kind: type, instance: Any = None) -> None:
        if instance is None and not self._visit(kind):
            return
        if not is_library_object(type(kind)):
            self._class(type(kind), kind)
        for base in kind.__mro__:
            if is_library_object(base):
                continue
            self._add(("members", id(base)), Members, base)
            for attribute, value in list(vars(base).items()):
                functions = functions_of(value)
                for function in functions:
                    bound = kind if isinstance(value, classmethod) else instance
                    self._method(attribute, function, bound, kind)
                if not functions and attribute not in _MACHINERY and not is_fixed(value):
                    path = Path(ITEM, vars(base), attribute)
                    name = f"{kind.__name__}.{attribute}"
                    self._value(name, path, ("in", id(base), attribute))


def is_plain(thing: Any) -> bool:
    """Whether a thing is data without attributes or methods of the user's."""
    return is_data(thing) and is_library_object(thing)


def is_watched(thing: Any) -> bool:
    """Whether an argument that is equal to another may mean something else, as functions may."""
    return not all(is_plain(item) for item in _items(thing))


def _items(value: Any, above: tuple[int, ...] = ()) -> Iterator[Any]:
    """Yield what a value is made of: the things in containers, and itself if it's none."""
    if id(value) in above:
        return
    for item in children(value):
        yield from _items(item, (*above, id(value)))
    yield value


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
    holder = owner if isinstance(owner, type) else kind
    static = inspect.getattr_static(holder, attribute, None)
    if isinstance(owner, type):
        return static if runs_code(static) and not isinstance(static, property) else None
    if static is None:
        own = getattr(owner, "__dict__", {})
        return None if attribute in own else inspect.getattr_static(kind, "__getattr__", None)
    return static if runs_code(static) else None


def _holds_active(value: Any) -> bool:
    return any(is_active(item) for item in _items(value))


def _is_used_by_library(kind: type) -> bool:
    """Whether a class extends a library's, which may call methods that no code here mentions."""
    return any(is_library_object(base) and module_of(base) not in _MIXINS for base in kind.__mro__)


def _is_constant_of_library(thing: Any) -> bool:
    """Whether an object is one of a library's own, not one that it was asked to make."""
    if isinstance(thing, MutableMapping):
        return False
    module = sys.modules.get(module_of(type(thing)))
    return module is not None and any(value is thing for value in vars(module).values())


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


def _is_library(function: FunctionType) -> bool:
    return is_of_this_package(function.__module__) or in_library(function.__code__.co_filename)
