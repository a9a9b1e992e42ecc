"""A function without the active numbers it closes over: they are taken out, and given back later.

Blocks outlive the recording in which they were made, and with it every active number that a
closure holds. So what an inner function closes over that is active becomes an argument of it; its
other variables are kept as they are at the time, in cells of its own. What this can't reach, such
as an object's attributes, is captured by whoever records the function.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FunctionType
from typing import Any, NamedTuple

from tapegrad.function.content import Unknown, freeze, is_active
from tapegrad.function.watch.reads import CHANGING, names_in, stores
from tapegrad.function.watch.walk import items
from tapegrad.record.complex_numbers import paired
from tapegrad.record.interception import original_of
from tapegrad.record.namespaces import EMPTY, Namespace, contents_of
from tapegrad.record.pairs import Pair
from tapegrad.record.twins import is_users
from tapegrad.tree import flatten, unflatten

Made = dict[int, FunctionType]
Make = Callable[[Iterator[Any], Made], Any]


class Lifted(NamedTuple):
    """A function, and what was taken out of it.

    Attributes
    ----------
    key : hashable
        What it is without that: two with equal keys are the same function of it.
    leaves : tuple
        The active numbers and arrays.
    is_repeatable : bool
        Whether it can be called again later, and is what it was.
    again : callable
        Makes the function of leaves.
    """

    key: Any
    leaves: tuple[Any, ...]
    is_repeatable: bool
    again: Make

    def holding(self, leaves: tuple[Any, ...]) -> Any:
        """Return the function with others in place of the leaves."""
        return self.again(iter(leaves), {})


def lift(function: Any, keep: bool = True) -> Lifted:
    """Take out what is active; `keep` copies arrays that the key depends on."""
    walk = _Walk(keep)
    key, make = walk.of(function)
    return Lifted(key, tuple(walk.leaves), walk.is_repeatable, make)


class _Walk:
    """A walk through a function: the leaves found so far."""

    def __init__(self, keep: bool) -> None:
        self.leaves: list[Any] = []
        self.is_repeatable = True
        self._keep, self._above = keep, list[FunctionType]()

    def of(self, thing: Any) -> tuple[Any, Make]:
        """Return what a thing is without its active numbers, and how to make it again."""
        if isinstance(thing, Pair):
            return self._of_pair(thing)
        if is_active(thing):
            self.leaves.append(thing)
            return "leaf", _next
        thing = original_of(thing)
        if type(thing) is FunctionType and is_users(thing):
            return self._of_function(thing)
        if type(thing) is functools.partial:
            return self._of_partial(thing)
        if any(map(is_active, items(thing))):
            return self._of_tree(thing)
        return freeze(thing, self._keep), lambda leaves, made: thing

    def _of_pair(self, number: Pair) -> tuple[Any, Make]:
        (key, real), (other, imag) = map(self.of, (number.re, number.im))
        return (Pair, key, other), lambda leaves, made: paired(
            real(leaves, made), imag(leaves, made)
        )

    def _of_function(self, function: FunctionType) -> tuple[Any, Make]:
        code, names = function.__code__, function.__globals__
        if any(function is other for other in self._above):
            return ("itself", code), lambda leaves, made: made[id(function)]
        if _assigned_around(code):
            self.is_repeatable = False
            return Unknown(function), lambda leaves, made: function
        names = names.real if isinstance(names, Namespace) else names
        self._above.append(function)
        cells = [self._of_content(contents_of(cell)) for cell in function.__closure__ or ()]
        defaults, keywords = function.__defaults__, function.__kwdefaults__
        values = [self.of(value) for value in defaults or ()]
        named = {name: self.of(value) for name, value in (keywords or {}).items()}
        self._above.pop()

        def make(leaves: Iterator[Any], made: Made) -> FunctionType:
            own = tuple(CellType() for _ in cells)
            found = FunctionType(code, names, function.__name__, None, own)
            made[id(function)] = found
            for cell, (_, content) in zip(own, cells, strict=True):
                value = content(leaves, made)
                if value is not EMPTY:
                    cell.cell_contents = value
            if defaults is not None:
                found.__defaults__ = tuple([value(leaves, made) for _, value in values])
            if keywords is not None:
                found.__kwdefaults__ = {n: value(leaves, made) for n, (_, value) in named.items()}
            for name in functools.WRAPPER_ASSIGNMENTS:
                setattr(found, name, getattr(function, name))
            found.__dict__ = function.__dict__
            return found

        parts = (*cells, *values, *named.values())
        return (code, id(names), tuple(named), tuple([key for key, _ in parts])), make

    def _of_content(self, content: Any) -> tuple[Any, Make]:
        if content is EMPTY:
            return "empty", lambda leaves, made: EMPTY
        return self.of(content)

    def _of_partial(self, partial: Any) -> tuple[Any, Make]:
        parts = [self.of(part) for part in (partial.func, *partial.args)]
        named = {name: self.of(part) for name, part in partial.keywords.items()}

        def make(leaves: Iterator[Any], made: Made) -> Any:
            function, *args = [part(leaves, made) for _, part in parts]
            keywords = {name: part(leaves, made) for name, (_, part) in named.items()}
            found = functools.partial(function, *args, **keywords)
            vars(found).update(vars(partial))
            return found

        keys = tuple([key for key, _ in (*parts, *named.values())])
        return (functools.partial, tuple(named), keys), make

    def _of_tree(self, tree: Any) -> tuple[Any, Make]:
        found: list[Any] = []
        structure = flatten(tree, found)
        is_object = len(found) == 1 and found[0] is tree  # which holds them in its own way
        if is_object or any(_may_change_things(function.__code__) for function in self._above):
            self.is_repeatable = False
            return Unknown(tree), lambda leaves, made: tree
        parts = [self.of(leaf) for leaf in found]

        def make(leaves: Iterator[Any], made: Made) -> Any:
            return unflatten(structure, iter([part(leaves, made) for _, part in parts]))

        return (structure, tuple([key for key, _ in parts])), make


def _next(leaves: Iterator[Any], made: Made) -> Any:
    return next(leaves)


@functools.lru_cache(maxsize=1024)
def _may_change_things(code: CodeType) -> bool:
    """Whether code may change a container, which then must be the one that it was given."""
    return stores(code) or not names_in(code).isdisjoint(CHANGING)


@functools.lru_cache(maxsize=1024)
def _assigned_around(code: CodeType) -> frozenset[str]:
    """Return the variables of functions around it that code assigns to."""
    steps = dis.get_instructions(code)
    stored = {step.argval for step in steps if step.opname in ("STORE_DEREF", "DELETE_DEREF")}
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return frozenset(stored.union(*map(_assigned_around, inner))).intersection(code.co_freevars)
