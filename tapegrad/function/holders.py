"""What holds places: attributes, entries, classes, slots, cells, lists, arrays.

A holder says what is in its places, by key, and puts other things there or takes them away.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from types import CellType, FunctionType, ModuleType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tapegrad.function.watch.conditions import CELL, MISSING, Path
from tapegrad.function.watch.states import slots_of


class Holder(Protocol):
    """Holds places, by key.

    Attributes
    ----------
    thing : object
        What tells it from others.
    is_named : bool
        Whether code reaches the places by names: attributes and variables.
    """

    thing: Any
    is_named: bool

    def contents(self) -> dict[Any, Any]:
        """Return what is in its places."""

    def get(self, key: Any) -> Any:
        """Return what code finds in a place, or `MISSING`."""

    def default(self, key: Any) -> Any:
        """Return what code finds in an empty place, or `MISSING`."""

    def put(self, key: Any, value: Any) -> None:
        """Put something in a place."""

    def remove(self, key: Any) -> None:
        """Leave a place empty, if it's not."""


class Namespace:
    """Attributes of an object or a module, or global variables that code names."""

    is_named = True

    def __init__(self, thing: dict[str, Any], kind: type | None = None,
                 names: frozenset[str] | None = None) -> None:  # fmt: skip
        self.thing, self._kind, self._names = thing, kind, names
        self._is_module = kind is ModuleType
        self.is_global = names is not None

    def contents(self) -> dict[Any, Any]:
        """Return what is in its places."""
        if self._is_module:
            return public(self.thing)
        if self._names is None:
            return dict(self.thing)
        return {name: self.thing[name] for name in self._names if name in self.thing}

    def get(self, key: Any) -> Any:
        """Return what code finds in a place, or `MISSING`."""
        return self.thing[key] if key in self.thing else self.default(key)

    def default(self, key: Any) -> Any:
        """Return what an object's class has, or `MISSING`."""
        return MISSING if self._kind is None else getattr(self._kind, key, MISSING)

    def put(self, key: Any, value: Any) -> None:
        """Put something in a place."""
        self.thing[key] = value

    def remove(self, key: Any) -> None:
        """Leave a place empty, if it's not."""
        self.thing.pop(key, None)


class Class:
    """The attributes that a class has itself, but for its methods."""

    is_named = True

    def __init__(self, thing: type) -> None:
        self.thing = thing

    def contents(self) -> dict[Any, Any]:
        """Return what is in its places."""
        return public(vars(self.thing))

    def get(self, key: Any) -> Any:
        """Return what code finds in a place, or `MISSING`."""
        return getattr(self.thing, key, MISSING)

    def default(self, key: Any) -> Any:
        """Return what a class above has, or `MISSING`."""
        above = (vars(kind)[key] for kind in self.thing.__mro__[1:] if key in vars(kind))
        return next(above, MISSING)

    def put(self, key: Any, value: Any) -> None:
        """Put something in a place."""
        type.__setattr__(self.thing, key, value)

    def remove(self, key: Any) -> None:
        """Leave a place empty, if it's not."""
        if key in vars(self.thing):
            type.__delattr__(self.thing, key)


class Slots:
    """The slots of an object."""

    is_named = True

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def contents(self) -> dict[Any, Any]:
        """Return what is in its places."""
        return {name: getattr(self.thing, name) for name in slots_of(type(self.thing))
                if hasattr(self.thing, name)}  # fmt: skip

    def get(self, key: Any) -> Any:
        """Return what code finds in a place, or `MISSING`."""
        return getattr(self.thing, key, MISSING)

    def default(self, key: Any) -> Any:
        """Return `MISSING`: nothing stands for it."""
        return MISSING

    def put(self, key: Any, value: Any) -> None:
        """Put something in a place."""
        object.__setattr__(self.thing, key, value)

    def remove(self, key: Any) -> None:
        """Leave a place empty, if it's not."""
        if hasattr(self.thing, key):
            object.__delattr__(self.thing, key)


class Cell:
    """A closure variable."""

    is_named = True

    def __init__(self, thing: CellType, name: str) -> None:
        self.thing, self._name = thing, name

    def contents(self) -> dict[Any, Any]:
        """Return what is in its place."""
        value = self.get(self._name)
        return {} if value is MISSING else {self._name: value}

    def get(self, key: Any) -> Any:
        """Return what code finds in its place, or `MISSING`."""
        return Path(CELL, self.thing).get()

    def default(self, key: Any) -> Any:
        """Return `MISSING`: nothing stands for it."""
        return MISSING

    def put(self, key: Any, value: Any) -> None:
        """Put something in its place."""
        self.thing.cell_contents = value

    def remove(self, key: Any) -> None:
        """Leave its place empty, if it's not."""
        if self.get(key) is not MISSING:
            del self.thing.cell_contents


class Entries:
    """The entries of a dictionary."""

    is_named = False

    def __init__(self, thing: dict[Any, Any]) -> None:
        self.thing = thing

    def contents(self) -> dict[Any, Any]:
        """Return what is in its places."""
        return dict.copy(self.thing)

    def get(self, key: Any) -> Any:
        """Return what code finds in a place, or `MISSING`."""
        return dict.__getitem__(self.thing, key) if key in self.thing else self.default(key)

    def default(self, key: Any) -> Any:
        """Return what is counted from, or a default, or `MISSING`."""
        if isinstance(self.thing, Counter):
            return 0
        factory = self.thing.default_factory if isinstance(self.thing, defaultdict) else None
        return MISSING if factory is None else factory()

    def put(self, key: Any, value: Any) -> None:
        """Put something in a place."""
        dict.__setitem__(self.thing, key, value)

    def remove(self, key: Any) -> None:
        """Leave a place empty, if it's not."""
        dict.pop(self.thing, key, None)


class Elements:
    """The elements of a set, each a place where something is or not."""

    is_named = False

    def __init__(self, thing: set[Any]) -> None:
        self.thing = thing

    def contents(self) -> dict[Any, Any]:
        """Return its elements, as keys."""
        return dict.fromkeys(self.thing, True)

    def get(self, key: Any) -> Any:
        """Return True for an element, or `MISSING`."""
        return True if key in self.thing else MISSING

    def default(self, key: Any) -> Any:
        """Return `MISSING`: nothing stands for it."""
        return MISSING

    def put(self, key: Any, value: Any) -> None:
        """Add an element."""
        set.add(self.thing, key)

    def remove(self, key: Any) -> None:
        """Leave out an element."""
        set.discard(self.thing, key)


class Items:
    """The elements of an array of numbers, by arrays of indices."""

    is_named = False

    def __init__(self, thing: npt.NDArray[Any]) -> None:
        self.thing = thing
        self._before = thing.copy()

    def contents(self) -> dict[Any, Any]:
        """Return nothing: its elements are compared all at once."""
        return {}

    def changed(self) -> npt.NDArray[np.intp]:
        """Return the indices of elements that changed since this was made."""
        shape = -1, self.thing.itemsize
        before, now = (np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(shape)
                       for array in (self._before, self.thing))  # fmt: skip
        return np.flatnonzero((before != now).any(axis=1))

    def before(self, key: Any) -> Any:
        """Return what elements were."""
        return self._before.reshape(-1)[key]

    def get(self, key: Any) -> Any:
        """Return elements."""
        return self.thing.flat[key]

    def default(self, key: Any) -> Any:
        """Return `MISSING`: arrays have no empty places."""
        return MISSING

    def put(self, key: Any, value: Any) -> None:
        """Set elements."""
        self.thing.flat[key] = value

    def remove(self, key: Any) -> None:
        """Leave all there: arrays have no empty places."""


class Sequence:
    """The items of a list or deque, by their order."""

    is_named = False

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def contents(self) -> dict[Any, Any]:
        """Return its items, by index."""
        return dict(enumerate(self.thing))

    def get(self, key: Any) -> Any:
        """Return an item, or `MISSING`."""
        return self.thing[key] if key < len(self.thing) else MISSING

    def default(self, key: Any) -> Any:
        """Return `MISSING`: nothing stands for it."""
        return MISSING

    def put(self, key: Any, value: Any) -> None:
        """Put an item in its place, or at the end if that is before it."""
        put_at(self.thing, key, value)

    def remove(self, key: Any) -> None:
        """Leave out an item."""
        del self.thing[key]


def put_at(sequence: Any, index: int, thing: Any) -> None:
    """Put a thing in a list or deque, at its end if that is shorter now."""
    if index < len(sequence):
        sequence[index] = thing
    else:
        sequence.append(thing)


def public(names: Any) -> dict[str, Any]:
    """Return what a class or a module has under names, but for its code."""
    return {name: value for name, value in list(names.items())
            if not (name.startswith("__") or isinstance(value, FunctionType | type))}  # fmt: skip
