"""A module's names as its functions' twins see them, while everyone else sees the module's own.

A function reads its globals through what its dictionary's class says, so the twin of a user's
function has a dictionary of its own kind for them. Its storage holds the names that have a
stand-in, the builtins' and nothing else; all other names are read from the module's dictionary,
in C, and written there: `with_visible_stores` makes code write through `__setitem__`.
"""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from types import CellType, CodeType
from typing import Any

from tapegrad.record.interception import original_of
from tapegrad.record.scipy.recognised import find_functions

# C code reads these in a dictionary's storage.
_READ_IN_C = ("__name__", "__package__", "__spec__", "__loader__", "__file__", "__path__",
              "__warningregistry__")  # fmt: skip
# By these, code reads names that it doesn't name.
_LOOK_UP = frozenset(["globals", "locals", "vars"])
_MISSING = object()

EMPTY = object()
"""What a variable is that has no value yet."""

StandIn = Callable[[Any], Any]


class Namespace(dict[str, Any]):
    """A mapping that stands for a module's dictionary.

    Attributes
    ----------
    real : dict
        The module's dictionary.
    originals : dict
        What the twins that have it for their globals stand for, by their identity.
    """

    __slots__ = (
        "__missing__", "_held", "_is_forgotten", "_known", "_stand_in", "originals", "real",
    )  # fmt: skip

    def __init__(self, real: dict[str, Any], stand_in: StandIn, originals: dict[int, Any]) -> None:
        super().__init__()
        self.real, self.originals, self._stand_in = real, originals, stand_in
        self.__missing__ = real.__getitem__
        self._held: dict[str, Any] = {}
        self._known: set[str] = set()
        self._is_forgotten = False
        self._hold("__builtins__", _builtins_with_stand_ins(stand_in))
        self._hold_what_c_reads()

    # An interrupt may leave a name held that isn't in the storage, never the other way round:
    # that is how a name looks which C code wrote.
    def _hold(self, name: str, thing: Any) -> None:
        self._held[name] = thing
        super().__setitem__(name, thing)

    def _hold_what_c_reads(self) -> None:
        for name in _READ_IN_C:
            if name in self.real:
                self._hold(name, self.real[name])

    def know(self, names: Iterable[str]) -> None:
        """Hold what stands for the names that code reads, where something does."""
        wanted = set(names)
        if not wanted.isdisjoint(_LOOK_UP):
            wanted.update(self.real)
        for name in wanted:
            if name not in self._known:
                self._known.add(name)
                self._look_up(name)

    def _look_up(self, name: str) -> None:
        thing = self.real.get(name, _MISSING)
        if thing is _MISSING:
            thing = self._held["__builtins__"].get(name, _MISSING)
            if thing is not _MISSING:
                self._hold(name, thing)
            return
        other = self._stand_in(thing)
        if other is not thing:
            self._hold(name, other)

    def forget(self) -> None:
        """Mean what the module does, for what outlives the recording; may be done twice."""
        if not self._is_forgotten:
            self.sync()
            self._is_forgotten = True
        self._known.clear()
        for name in self._held.keys() - {"__builtins__", *_READ_IN_C}:
            self._let_go(name)

    # --- what writes in C ---------------------------------------------------------------------

    def sync(self) -> None:
        """Bring what C code wrote to the storage to the module."""
        for name, value in list(dict.items(self)):
            if self._held.get(name, _MISSING) is not value:
                self[name] = value

    @contextmanager
    def filled(self) -> Iterator[None]:
        """Hold every name, for code that reads the storage in C."""
        added = self.real.keys() - dict.keys(self)
        for name in added:
            self._hold(name, self._stand_in(self.real[name]))
        try:
            yield
            for name in self._held.keys() - dict.keys(self):  # deleted in C
                del self._held[name]
                self.real.pop(name, None)
        finally:
            self.sync()
            for name in added:
                self._let_go(name)

    def _let_go(self, name: str) -> None:
        dict.pop(self, name, None)
        self._held.pop(name, None)

    # --- what a module's dictionary does ------------------------------------------------------

    def __setitem__(self, name: str, value: Any) -> None:
        self.real[name] = original_of(value)
        self._let_go(name)
        if name in self._known:
            self._look_up(name)

    def __delitem__(self, name: str) -> None:
        del self.real[name]
        self._let_go(name)
        if name in self._known:
            self._look_up(name)

    def __contains__(self, name: object) -> bool:
        return name in self.real

    def __iter__(self) -> Iterator[str]:
        return iter(self.real)

    def __len__(self) -> int:
        return len(self.real)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self.real)

    def __repr__(self) -> str:
        return repr(self.real)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.real.__reduce_ex__(protocol)

    def __eq__(self, other: object) -> bool:
        return self.real == (other.real if isinstance(other, Namespace) else other)

    __hash__ = None

    def copy(self) -> dict[str, Any]:
        """Return an ordinary dictionary of what the names mean."""
        return dict(self)

    def get(self, name: str, default: Any = None) -> Any:
        """Return what a name means, or a default."""
        return self[name] if name in self.real else default

    def __or__(self, other: Any) -> Any:
        return self.copy() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.copy()

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    keys = MutableMapping.keys  # type: ignore[assignment]
    values = MutableMapping.values  # type: ignore[assignment]
    items = MutableMapping.items  # type: ignore[assignment]
    pop = MutableMapping.pop
    popitem = MutableMapping.popitem
    clear = MutableMapping.clear
    update = MutableMapping.update
    setdefault = MutableMapping.setdefault


# --- builtins that look names up ------------------------------------------------------------------


def _builtins_with_stand_ins(stand_in: StandIn) -> dict[str, Any]:
    """Return Python's builtins, with an `import` that gives what stands for a module."""

    @functools.wraps(builtins.__import__)
    def import_(name: str, globals: Any = None, *args: Any, **kwargs: Any) -> Any:
        if isinstance(globals, Namespace):
            globals = globals.real
        module = builtins.__import__(name, globals, *args, **kwargs)
        find_functions()  # of what was imported
        return stand_in(module)

    names = vars(builtins)
    return {**names, "complex": stand_in(complex), "__import__": import_,
            "__build_class__": _build_class, "eval": _eval, "exec": _exec}  # fmt: skip


@functools.wraps(builtins.__build_class__)
def _build_class(body: Any, *args: Any, **kwargs: Any) -> Any:
    names = body.__globals__
    if not isinstance(names, Namespace):
        return builtins.__build_class__(body, *args, **kwargs)
    with names.filled():
        return builtins.__build_class__(body, *args, **kwargs)


def _running(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def call(source: Any, /, globals: Any = None, locals: Any = None, **options: Any) -> Any:
        if globals is None:
            frame = sys._getframe(1)
            globals = frame.f_globals
            locals = frame.f_locals if locals is None else locals
        if not isinstance(globals, Namespace):
            return run(source, globals, locals, **options)
        with globals.filled():
            return run(source, globals, locals, **options)

    return call


_eval, _exec = _running(builtins.eval), _running(builtins.exec)

# --- variables of closures ------------------------------------------------------------------------


def contents_of(cell: CellType) -> Any:
    """Return a closure variable's value, or `EMPTY`."""
    try:
        return cell.cell_contents
    except ValueError:
        return EMPTY


# --- code -----------------------------------------------------------------------------------------

_VISIBLE = {"STORE_GLOBAL": "STORE_NAME", "DELETE_GLOBAL": "DELETE_NAME"}
_READ_LOCALS = frozenset(["locals", "vars", "dir", "eval", "exec"])


@functools.lru_cache(maxsize=4096)
def names_in(code: CodeType) -> frozenset[str]:
    """Return the names that code, and what is defined inside it, may look up."""
    inner = [names_in(c) for c in code.co_consts if isinstance(c, CodeType)]
    return frozenset(code.co_names).union(*inner)


@functools.lru_cache(maxsize=4096)
def _stores(code: CodeType) -> tuple[tuple[int, str], ...]:
    return tuple(
        (instruction.offset, _VISIBLE[instruction.opname])
        for instruction in dis.get_instructions(code)
        if instruction.opname in _VISIBLE
    )


@functools.lru_cache(maxsize=4096)
def _has_stores(code: CodeType) -> bool:
    return bool(_stores(code)) or any(
        _has_stores(constant) for constant in code.co_consts if isinstance(constant, CodeType)
    )


def with_visible_stores(code: CodeType) -> CodeType:
    """Return code that writes globals by their dictionary's `__setitem__`.

    As a module's code does: a function whose code isn't marked as optimised has its globals for
    locals, to which names are stored by the mapping's own method.
    """
    if not _has_stores(code):
        return code
    constants = tuple(
        with_visible_stores(c) if isinstance(c, CodeType) else c for c in code.co_consts
    )
    changed: dict[str, Any] = {"co_consts": constants}
    is_function = code.co_flags & inspect.CO_OPTIMIZED
    if is_function and _READ_LOCALS.isdisjoint(code.co_names) and _stores(code):
        instructions = bytearray(code.co_code)
        for offset, name in _stores(code):
            instructions[offset] = dis.opmap[name]
        changed["co_code"] = bytes(instructions)
        changed["co_flags"] = code.co_flags & ~inspect.CO_OPTIMIZED
    return code.replace(**changed)
