"""The content of a Python value, in a form that compares to the bit and can be hashed."""

from __future__ import annotations

import argparse
import array
import collections
import copy
import functools
import struct
from collections.abc import Callable, Iterator
from types import BuiltinMethodType, MappingProxyType, MethodType, SimpleNamespace
from typing import Any

import numpy as np

from tapegrad.libraries import is_library_object, module_of
from tapegrad.record.active import Active
from tapegrad.record.array import ActiveArray
from tapegrad.record.pairs import Pair

_SMALL = 4096
_WORDS = (int, str, bytes, type(None), range)
NAMESPACES = (SimpleNamespace, argparse.Namespace, collections.UserDict, collections.UserList)
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_ITERATED: tuple[Any, ...] = (tuple, list, set, frozenset, collections.deque, *_VIEWS)
_MAPPINGS = (dict, MappingProxyType)
_CHANGING = (list, set, collections.deque, np.ndarray, bytearray, array.array, memoryview,
             *_MAPPINGS, *_VIEWS, *NAMESPACES)  # fmt: skip
_DATA = (*_WORDS, *_CHANGING, float, complex, slice, tuple, frozenset, np.generic)


_MODULES = ("builtins", "collections", "types", "numpy", "array", "argparse")


class Unknown:
    """The frozen form of an object that has no content to remember: equal by identity."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unknown) and other.thing is self.thing

    def __hash__(self) -> int:
        return id(self.thing)


class _Array:
    """The frozen form of a large array: compared without a copy, if it's contiguous."""

    __slots__ = ("array", "content")

    def __init__(self, array: np.ndarray[Any, Any], keep: bool) -> None:
        self.array = array
        self.content = bytearray(_contiguous_bytes(array)) if keep else None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Array):
            return False
        if self.content is None:
            return other.content is not None and other == self
        a, b = self.array, other.array
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        return self.content == (_contiguous_bytes(b) if other.content is None else other.content)

    def __hash__(self) -> int:
        return hash(self.array.shape)


def _contiguous_bytes(array: np.ndarray[Any, Any]) -> Any:
    """Return the bytes of an array in the order of its indices.

    A bytearray compares itself with them as fast as memory is read; two arrays do not, nor do
    two memoryviews.
    """
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def freeze(value: Any, keep: bool = True, above: tuple[int, ...] = ()) -> Any:
    """Return the content of a value; `keep` copies arrays.

    `above` are the identities of the containers the value is in: one of them again stands for
    its depth, so that a list may contain itself.
    """
    if is_active(value):
        return Unknown(value)
    if isinstance(value, float):
        return struct.pack("d", value)
    if isinstance(value, _WORDS):
        return type(value), value
    if module_of(type(value)).startswith("numpy.ma"):
        parts = (np.asarray(value), value.mask, value.fill_value)
        return type(value), tuple([freeze(part, keep) for part in parts])
    if isinstance(value, np.ndarray) and value.dtype != object:
        if value.nbytes <= _SMALL:  # a string of bytes compares in a tenth of the time
            return value.shape, value.dtype, value.tobytes()
        return _Array(value, keep)
    kind = type(value)
    if isinstance(value, np.generic):
        return kind, value.dtype, value.tobytes()
    if isinstance(value, complex):
        return kind, struct.pack("dd", value.real, value.imag)
    if isinstance(value, slice):
        return kind, tuple([freeze(x, keep) for x in (value.start, value.stop, value.step)])
    if _is_of_a_library(kind):
        return Unknown(value)
    if isinstance(value, MethodType):  # a new object at every access
        return kind, Unknown(value.__func__), Unknown(value.__self__)
    if isinstance(value, BuiltinMethodType):  # the same
        return kind, value.__name__, Unknown(value.__self__)
    if isinstance(value, set | frozenset):
        return kind, frozenset([freeze(item, keep) for item in value])
    if isinstance(value, bytearray | array.array | memoryview):
        kept = (getattr(value, "typecode", ""), getattr(value, "format", ""))
        return kind, kept, getattr(value, "shape", ()), bytes(value)
    if not isinstance(value, (tuple, *_CHANGING)):
        return Unknown(value)
    if id(value) in above:
        return kind, above.index(id(value))
    above = (*above, id(value))
    shape = value.shape if isinstance(value, np.ndarray) else limit(value)
    return kind, shape, tuple([freeze(item, keep, above) for item in children(value)])


def children(value: Any) -> Iterator[Any]:
    """Yield what a container holds: of a mapping the keys and the values."""
    if _is_of_a_library(type(value)):
        return
    if isinstance(value, _MAPPINGS):
        yield from value
        yield from value.values()
        if isinstance(value, collections.defaultdict):
            yield value.default_factory
    elif isinstance(value, np.ndarray):
        yield from value.flat if value.dtype == object else ()
    elif isinstance(value, NAMESPACES):
        yield from children(vars(value))
    elif isinstance(value, _ITERATED):
        yield from value


def limit(value: Any) -> int | None:
    """Return how much a container may hold, if it says."""
    return value.maxlen if isinstance(value, collections.deque) else None


def can_change(value: Any) -> bool:
    """Whether the same object can hold other content later."""
    if isinstance(value, tuple):
        return any(map(can_change, value))
    return isinstance(value, _CHANGING) and is_data(value)


def is_data(value: Any) -> bool:
    """Whether a value has a content that `freeze` knows."""
    known = isinstance(value, _DATA) and not is_active(value)
    return known and not _is_of_a_library(type(value))


def _derives_from_container(kind: type) -> bool:
    """Whether a library derived a kind of container, which may hold what its base doesn't show."""
    return issubclass(kind, _DATA) and is_library_object(kind) and (
        module_of(kind).partition(".")[0] not in _MODULES
    )  # fmt: skip


# Mypy takes no class for hashable.
_is_of_a_library: Callable[[Any], bool] = functools.lru_cache(maxsize=1024)(_derives_from_container)


def is_active(value: Any) -> bool:
    """Whether a value is an active number or array, which says it is a float or an array."""
    return isinstance(value, Active | ActiveArray | Pair)


def duplicate(value: Any) -> Any:
    """Return a copy of a value whose content can change, else the value itself."""
    if isinstance(
        value, (MappingProxyType, memoryview, *_VIEWS)
    ):  # what is behind has another name
        return value
    return copy.deepcopy(value) if can_change(value) else value
