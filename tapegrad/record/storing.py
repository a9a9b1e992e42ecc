"""Plain arrays that a recorded function makes and stores into: they hold active numbers.

`y = T * 1` of an array from outside is a plain array, which can't hold what depends on the
input. So where a function of the user's stores into what a name stands for, the values that it
assigns to the name go through `KEEPER`: a fresh array that nobody else holds becomes one that
can hold active numbers. What shares its memory with anything stays what it is, for a store
there must be seen there.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from tapegrad.libraries import is_library_module
from tapegrad.record import creation, stores
from tapegrad.record.detours import with_detours
from tapegrad.record.interception import original_of
from tapegrad.record.namespaces import contents_of, names_in
from tapegrad.record.nesting import is_recording
from tapegrad.record.trampolines import code_of

# --- what is kept -------------------------------------------------------------------------------


_KEPT = frozenset([dict, list, np.ndarray, tuple])


class _Keeper:
    """Has `(value,) @ keeper`, which is the value as one that can be stored into."""

    def __rmatmul__(self, held: tuple[Any]) -> Any:
        return _kept(held, 0) if type(held[0]) in _KEPT and is_recording() else held[0]

    def __reduce__(self) -> str:
        return "KEEPER"


KEEPER = _Keeper()


def _references(holder: Any, k: Any) -> int:
    return sys.getrefcount(holder[k])


_ALONE = _references((object(),), 0)


def _is_alone(holder: Any, k: Any, others: int = 0) -> bool:
    """Whether nothing refers to what a container holds but this, and so many others."""
    is_known = _references(holder, k) == _ALONE + others
    return is_known and not weakref.getweakrefcount(holder[k])


def _kept(holder: Any, k: Any) -> Any:
    """Return what is held, fresh arrays as ones that can hold active numbers."""
    kind = type(holder[k])
    if kind not in _KEPT or not _is_alone(holder, k):
        return holder[k]
    if kind is dict:
        return {key: _kept(holder[k], key) for key in holder[k]}
    if kind is not np.ndarray:
        return kind([_kept(holder[k], j) for j in range(len(holder[k]))])
    return creation.holding(holder[k], of_single=True) if _is_fresh(holder[k]) else holder[k]


def _is_fresh(array: Any) -> bool:
    """Whether an array that nobody else holds has its memory for itself."""
    owners = (array.base,)
    if owners[0] is None:
        return bool(array.flags.owndata and array.flags.writeable)
    return type(owners[0]) is np.ndarray and _is_alone(owners, 0, 1) and _is_fresh(owners[0])


# --- code ---------------------------------------------------------------------------------------

_NONE: frozenset[str] = frozenset()


def _stores_into_arguments(code: CodeType, functions: frozenset[str]) -> bool:
    if not functions and not stores.any_may_store(code):
        return False
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    found = stores.find(code, code.co_filename, functions, _NONE)
    return not found.names.isdisjoint(arguments)


def _meant(function: FunctionType, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield what a function may mean by names: by its globals, closure or user's modules."""
    known = function.__globals__
    things = {name: known[name] for name in names if name in known}
    cells = function.__closure__ or ()
    things |= {
        name: contents_of(c) for name, c in zip(function.__code__.co_freevars, cells, strict=True)
    }
    yield from things.items()
    for thing in things.values():
        module = original_of(thing)
        if type(module) is ModuleType and not is_library_module(module):
            yield from ((name, vars(module)[name]) for name in names if name in vars(module))


class Storing:
    """What the functions of one recording store into.

    Parameters
    ----------
    is_users : callable
        Whether a function is the user's.
    """

    def __init__(self, is_users: Callable[[FunctionType], bool]) -> None:
        self._is_users = is_users
        self._called: dict[FunctionType, dict[str, FunctionType]] = {}
        self._into_arguments: set[FunctionType] = set()
        self._methods = self._attributes = _NONE

    def know(self, methods: Iterable[FunctionType]) -> None:
        """Note what functions that are reached through objects store into."""
        for method in methods:
            code = code_of(method)
            if stores.any_may_store(code):
                found = stores.find(code, code.co_filename, _NONE, _NONE).names
                self._attributes |= {name for name in found if name.startswith(".")}
            self._learn(method)
            if method in self._into_arguments:
                self._methods |= {method.__name__}

    def _learn(self, function: FunctionType) -> None:
        """Find out which functions store into their arguments, of those that one may call."""
        waiting, new = [function], []
        while waiting:
            one = waiting.pop()
            if one not in self._called and self._is_users(one):
                meant = _meant(one, names_in(code_of(one)))
                self._called[one] = {
                    name: original_of(thing) for name, thing in meant
                    if type(thing) is FunctionType
                }  # fmt: skip
                waiting += self._called[one].values()
                new.append(one)
        known = -1
        while known != len(self._into_arguments):
            known = len(self._into_arguments)
            for one in reversed(new):
                if one not in self._into_arguments and _stores_into_arguments(
                    code_of(one), self._functions_of(one)
                ):
                    self._into_arguments.add(one)

    def _functions_of(self, function: FunctionType) -> frozenset[str]:
        """Return the names by which a function may call what stores into its arguments."""
        code = code_of(function)
        called = {n for n, one in self._called[function].items() if one in self._into_arguments}
        inside = {c.co_name for c in stores.inner(code) if _stores_into_arguments(c, _NONE)}
        return frozenset(called | inside | self._methods & names_in(code))

    def keeping(self, function: FunctionType) -> CodeType:
        """Return a function's code, which keeps the arrays that it stores into."""
        code = code_of(function)
        if not self._is_users(function):
            return code
        self._learn(function)
        functions = self._functions_of(function)
        attributes = frozenset(a for a in self._attributes if a[1:] in names_in(code))
        if not functions and not attributes and not stores.any_may_store(code):
            return code
        return _keeping(code, stores.find(code, code.co_filename, functions, attributes))


def _keeping(code: CodeType, found: stores.Found) -> CodeType:
    if code not in found.spans:
        return code
    kept = [_keeping(c, found) if isinstance(c, CodeType) else c for c in code.co_consts]
    if any(a is not b for a, b in zip(kept, code.co_consts, strict=True)):
        changed = code.replace(co_consts=tuple(kept))
    else:
        changed = code
    return with_detours(changed, found.spans[code], KEEPER)
