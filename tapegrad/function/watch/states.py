"""The state of an object of another library, in a form that compares to the bit.

An object that can be pickled says what it consists of (`__reduce_ex__`), iterators too, without
being pickled; for some kinds that don't say, what can be had is read here. Functions, classes and
modules stand for themselves: whoever asks for a state gets a list of those in it, to follow them.
"""

from __future__ import annotations

import contextvars
import ctypes
import functools
import gc
import itertools
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tapegrad.function.content import Unknown, children, freeze, is_active, is_data, limit
from tapegrad.function.watch.draws import GENERATORS, state_of_generator
from tapegrad.function.watch.unchanging import is_fixed, wrapped_by
from tapegrad.libraries import is_library_object, module_of

_MOST = 100_000
_MODULES_OF_VALUES = ("datetime", "decimal", "fractions", "uuid", "pathlib", "re")
_CODE = (types.FunctionType, type, types.ModuleType, np.ufunc)
_RUNNING = (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType, types.FrameType)
_COMPARISON_KEY = type(functools.cmp_to_key(lambda a, b: 0))


class UnwatchableError(Exception):
    """An object whose state can't be read."""

    def __init__(self, thing: Any) -> None:
        super().__init__(f"{type(thing).__name__} has no state that can be compared")
        self.kind = type(thing)


def state_of(thing: Any, found: list[Any] | None = None, keep: bool = True) -> Any:
    """Return the state of an object; functions, classes and users' objects in it go to `found`.

    `keep` copies what is compared later.

    Raises
    ------
    UnwatchableError
        If the state of an object in it can't be read.
    """
    try:
        return _Walk(found, keep).state(thing)
    except RecursionError:
        raise UnwatchableError(thing) from None


class _Walk:
    """A walk through what an object consists of, each part once."""

    def __init__(self, found: list[Any] | None, keep: bool) -> None:
        self._found, self._keep = found, keep
        self._seen: dict[int, int] = {}
        self._alive: list[Any] = []  # so that no two parts have one identity

    def state(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            if value.dtype != object:
                return freeze(value, self._keep)
        elif is_active(value) or isinstance(value, _CODE):
            self._note(value)
            return Unknown(value)
        elif is_data(value) and not _has_parts(value) and is_library_object(value):
            return freeze(value)
        if id(value) in self._seen:
            return "seen", self._seen[id(value)]
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)
        if len(self._seen) > _MOST:
            raise UnwatchableError(value)
        return type(value), self._parts(value)

    def _note(self, thing: Any) -> None:
        if self._found is not None:
            self._found.append(thing)

    def _all(self, values: Any) -> tuple[Any, ...]:
        return tuple([self.state(value) for value in values])

    def _parts(self, value: Any) -> Any:
        if isinstance(value, set | frozenset):
            return frozenset(self._all(value)), self._own(value)
        if is_data(value):
            shape = value.shape if isinstance(value, np.ndarray) else limit(value)
            return shape, self._all(children(value)), self._own(value)
        if isinstance(value, types.MethodType):
            return self._all((value.__func__, value.__self__))
        if isinstance(value, types.BuiltinMethodType) and not is_fixed(value):
            return value.__name__, self.state(value.__self__)
        if is_identity(value):
            return Unknown(value)
        if not is_library_object(value):
            self._note(value)
            return self._own(value), self._said(value) if hides_state(type(value)) else ()
        return self._said(value)

    def _said(self, value: Any) -> Any:
        """Return what an object says, or shows, that it consists of."""
        reader = _reader_for(value)
        return self._all(reader(value)) if reader is not None else self._reduced(value)

    def _own(self, value: Any) -> Any:
        """Return the state of the attributes that an object of a user's class has."""
        return () if is_library_object(value) else self._all(attributes_of(value))

    def _reduced(self, value: Any) -> Any:
        if isinstance(value, _RUNNING):
            raise UnwatchableError(value)
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:  # whatever a library raises, it has not said
            own = attributes_of(value)
            if not own:
                raise UnwatchableError(value) from None
            return self._all(own)
        if isinstance(reduced, str):  # the name of a constant
            return Unknown(value)
        self._alive.append(reduced)
        parts = [list(part) if isinstance(part, Iterator) else part for part in reduced]
        return self._all(parts)


def is_identity(thing: Any) -> bool:
    """Whether a thing is told from others by what it is, not by what it holds."""
    return is_fixed(thing) and not _is_value(thing)


def _is_value(thing: Any) -> bool:
    """Whether a fixed thing says what it consists of, so that two can be equal."""
    return module_of(type(thing)).partition(".")[0] in _MODULES_OF_VALUES


def _has_parts(value: Any) -> bool:
    return next(children(value), None) is not None


def attributes_of(thing: Any) -> list[Any]:
    """Return the names and values of the attributes that an object itself holds."""
    found: list[Any] = []
    for name, value in getattr(thing, "__dict__", {}).items():
        found += (name, value)
    for name in slots_of(type(thing)):
        if hasattr(thing, name):
            found += (name, getattr(thing, name))
    return found


def _slots_of(kind: type) -> tuple[str, ...]:
    """Return the names of the slots that the Python classes among a class's bases define."""
    return tuple(
        name
        for base in kind.__mro__
        if "__slots__" in vars(base)
        for name, member in vars(base).items()
        if isinstance(member, types.MemberDescriptorType)
    )


def _hides_state(kind: type) -> bool:
    """Whether objects of a class hold more than attributes, since a base is written in C."""
    for base in kind.__mro__[:-1]:
        seen = len(slots_of(base)) + bool(base.__weakrefoffset__) + bool(base.__dictoffset__)
        if is_library_object(base) and base.__basicsize__ > object.__basicsize__ + 8 * seen:
            return not issubclass(base, BaseException)
    return False


# Of classes, of which there are few; mypy takes no class for hashable.
slots_of: Callable[[Any], tuple[str, ...]] = functools.lru_cache(maxsize=1024)(_slots_of)
hides_state: Callable[[Any], bool] = functools.lru_cache(maxsize=1024)(_hides_state)


# --- what doesn't say by itself -------------------------------------------------------------------


def _reader_for(value: Any) -> Callable[[Any], Any] | None:
    """Return a function that returns what an object consists of, if it's known here."""
    kind = type(value)
    for known, reader in _READERS.items():
        if issubclass(kind, known):
            return reader
    if module_of(kind).startswith("numba.typed"):
        return _items_of_typed_container
    if hasattr(kind, "_numba_type_"):
        return _fields_of_jitclass
    if callable(value) and wrapped_by(value) is not None:
        return lambda wrapper: [wrapped_by(wrapper)]
    if module_of(kind) == "itertools" and sys.version_info >= (3, 12):
        return _repeated_or_unreadable
    return None


def _fields_of_jitclass(value: Any) -> list[Any]:
    return [getattr(value, name) for name in type(value)._numba_type_.struct]


def _items_of_typed_container(value: Any) -> list[Any]:
    return [*value, *(value.values() if hasattr(value, "values") else ())]


def _repeated_or_unreadable(value: Any) -> list[Any]:
    """Return the state of those iterators of `itertools` that show it."""
    if not isinstance(value, itertools.count | itertools.repeat):
        raise UnwatchableError(value)
    return [repr(value)]


def _bytes_of_ctypes(value: Any) -> list[Any]:
    behind = getattr(value, "contents", None) if hasattr(value, "contents") and value else None
    return [bytes(value), behind]


def _context_variable(value: contextvars.ContextVar[Any]) -> list[Any]:
    return [value.get(None)]


_READERS: dict[type, Callable[[Any], Any]] = {
    weakref.ref: lambda value: [value()],
    weakref.ProxyType: lambda value: [value.__repr__.__self__],  # what it stands for
    contextvars.ContextVar: _context_variable,
    _COMPARISON_KEY: gc.get_referents,
    property: lambda value: [value.fget],
    staticmethod: lambda value: [value.__func__],
    classmethod: lambda value: [value.__func__],
    types.CellType: gc.get_referents,
    types.MethodWrapperType: lambda value: [value.__name__, value.__self__],
    **dict.fromkeys(GENERATORS, lambda value: [state_of_generator(value)]),
    ctypes._SimpleCData: _bytes_of_ctypes,
    ctypes.Structure: _bytes_of_ctypes,
    ctypes.Union: _bytes_of_ctypes,
    ctypes.Array: _bytes_of_ctypes,
    ctypes._Pointer: _bytes_of_ctypes,
}
