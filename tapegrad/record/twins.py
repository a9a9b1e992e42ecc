"""The user's functions as a recording runs them: the same code, in which names mean stand-ins.

A function that is reached by name gets a twin, made of its code over a `Namespace` in place of
its module's dictionary and over cells of its own where a closure variable has a stand-in; so
nothing that another thread sees is replaced. Twins live for one recording and those inside it.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable, MutableMapping
from threading import get_ident
from types import CellType, FunctionType, ModuleType
from typing import Any, TypeVar

import tapegrad.record.scipy_families  # noqa: F401  # its rules are found with SciPy's others
from tapegrad.libraries import in_library, is_library_module, is_of_this_package
from tapegrad.record.interception import (
    ModuleView,
    is_interceptable,
    original_of,
    switch_of,
)
from tapegrad.record.namespaces import (
    EMPTY,
    Namespace,
    contents_of,
    names_in,
    with_visible_stores,
)
from tapegrad.record.nesting import THREAD, begin
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.scipy.recognised import find_functions
from tapegrad.record.storing import Storing
from tapegrad.record.trampolines import (
    User,
    function_of,
    put,
    repair,
    standing_twin,
    take_away,
)

Result = TypeVar("Result")


class _Cell:
    """A closure variable, and the cell that twins have in its place."""

    def __init__(self, cell: CellType) -> None:
        self.cell, self.own = cell, CellType()
        self._stand_in: Any = EMPTY

    def fill(self, stand_in_of: Callable[[Any], Any]) -> None:
        """Give the twins' cell what stands for the variable's value."""
        self._stand_in = self.own.cell_contents = stand_in_of(self.cell.cell_contents)

    def write_back(self) -> None:
        """Give the variable what a twin assigned to it."""
        content = contents_of(self.own)
        if content is not self._stand_in:
            self._stand_in = content
            if content is EMPTY:
                del self.cell.cell_contents
            else:
                self.cell.cell_contents = original_of(content)


def is_users(function: FunctionType) -> bool:
    """Whether a function is written by the user, and so may see stand-ins."""
    return not is_of_this_package(function.__module__) and not in_library(
        function.__code__.co_filename
    )


class Twins(dict[FunctionType, FunctionType]):
    """What stands for things in one recording; as a mapping, twins of trampolines' functions."""

    def __init__(self) -> None:
        super().__init__()
        self._is_live = True
        self.storing = Storing(is_users)
        self.originals: dict[int, Any] = {}
        self.made: MutableMapping[int, Any] = weakref.WeakValueDictionary()
        self._made: dict[Any, Any] = {}
        self._cells: dict[int, _Cell] = {}
        self._namespaces: dict[int, Namespace] = {}
        self._unfinished: list[Callable[[], None]] = []
        self._is_finishing = False
        self._keep: list[Any] = []

    def __missing__(self, plain: FunctionType) -> FunctionType:
        function = function_of(plain)
        twin = standing_twin(plain) or self.of(function)
        self[plain] = plain if twin is function else twin
        return self[plain]

    def of(self, thing: Any) -> Any:
        """Return what stands for a thing that is reached by name, or the thing itself."""
        if not self._is_live or not self._has_stand_in(thing):
            return thing
        found = self._made.get(thing)
        if found is None:
            found = self._made.setdefault(thing, self._make(thing))
            self._finish()
        return found

    def forget(self) -> None:
        """End: what was written to names is written to the originals'; may be done twice."""
        for cell in self._cells.values():
            cell.write_back()
        self._is_live = False
        for namespace in self._namespaces.values():
            namespace.forget()

    # --- what has a stand-in ------------------------------------------------------------------

    def _has_stand_in(self, thing: Any, depth: int = 3) -> bool:
        kind = type(thing)
        if kind is FunctionType and is_users(thing):
            return not self._is_twin(thing)
        if is_interceptable(thing):
            return True
        if depth == 0:
            return False
        if kind is FunctionType:  # a decorator's: what it calls may be the user's
            contents = map(contents_of, thing.__closure__ or ())
            return any(callable(c) and self._has_stand_in(c, depth - 1) for c in contents)
        if kind is functools.partial:
            return self._has_stand_in(thing.func, depth - 1)
        if kind is ModuleType and not is_library_module(thing):
            return thing in self._made or any(
                not name.startswith("__")
                and type(item) in _WITH_STAND_INS
                and self._has_stand_in(item, depth - 1)
                for name, item in list(vars(thing).items())
            )
        return False

    def _is_twin(self, function: FunctionType) -> bool:
        names = function.__globals__
        return isinstance(names, Namespace) and self._namespaces.get(id(names.real)) is names

    # --- making them --------------------------------------------------------------------------

    def _make(self, thing: Any) -> Any:
        if type(thing) is FunctionType and is_users(thing):
            return self._twin(thing)
        if isinstance(thing, ModuleType):
            return ModuleView(thing, self.of, keeps=is_library_module(thing))
        if is_interceptable(thing):
            return switch_of(thing)
        if type(thing) is functools.partial:
            keywords = {name: self.of(item) for name, item in thing.keywords.items()}
            partial = functools.partial(self.of(thing.func), *map(self.of, thing.args), **keywords)
            vars(partial).update(vars(thing))
            self._note(partial, thing)
            return partial
        return self._twin(thing)

    def _twin(self, function: FunctionType) -> FunctionType:
        code = with_visible_stores(self.storing.keeping(function))
        names = self._namespace(function) if is_users(function) else function.__globals__
        cells = [self._cell(cell) for cell in function.__closure__ or ()]
        defaults = function.__defaults__ and tuple(map(self.of, function.__defaults__))
        twin = FunctionType(code, names, function.__name__, defaults, tuple(cells))
        keywords = function.__kwdefaults__
        twin.__kwdefaults__ = keywords and {name: self.of(x) for name, x in keywords.items()}
        for name in functools.WRAPPER_ASSIGNMENTS:
            setattr(twin, name, getattr(function, name))
        twin.__dict__ = function.__dict__  # what is set on one is set on the other
        self._note(twin, function)
        if isinstance(names, Namespace):
            self._unfinished.append(functools.partial(names.know, names_in(code)))
        return twin

    def _note(self, stand_in: Any, thing: Any) -> None:
        self.originals[id(stand_in)] = original_of(thing)
        self._keep.append(stand_in)  # so that its identity stays its own

    def _namespace(self, function: FunctionType) -> Namespace:
        names = function.__globals__
        real = names.real if isinstance(names, Namespace) else names
        if id(real) not in self._namespaces:
            self._namespaces[id(real)] = Namespace(real, self.of, self.originals)
        return self._namespaces[id(real)]

    def _cell(self, cell: CellType) -> CellType:
        """Return a cell for a twin, which functions that share a variable go on sharing."""
        found = self._cells.get(id(cell))
        if found is None:
            if not self._has_stand_in(contents_of(cell)):
                return cell
            found = self._cells[id(cell)] = _Cell(cell)
            self._unfinished.append(functools.partial(found.fill, self.of))
        return found.own

    def _finish(self) -> None:
        """Give new twins what they name, which makes more twins: a list, for calls would nest."""
        if not self._is_finishing:
            self._is_finishing = True
            try:
                while self._unfinished:
                    self._unfinished.pop()()
            finally:
                self._is_finishing = False


_WITH_STAND_INS = (FunctionType, ModuleType, functools.partial)


def while_recording(body: Callable[[OpenTape, Twins], Result],
                    methods: Iterable[FunctionType] = ()) -> Result:  # fmt: skip
    """Return what `body` returns when it's called with a new tape and what stands for things.

    Parameters
    ----------
    body : callable
    methods : iterable of function
        What the user's code may reach through objects.
    """
    tapes, outer = THREAD.tapes, THREAD.twins
    depth = len(tapes)
    user = get_ident(), THREAD.n_aside + depth
    if user[1] == 0:
        repair()
        find_functions()
    twins = outer if isinstance(outer, Twins) else Twins()
    try:
        tape = begin()
        THREAD.twins = twins
        reached = [*filter(is_users, methods)]
        put(reached, user)
        twins.storing.know(reached)
        return body(tape, twins)
    finally:
        # No instruction up to the calls lets a signal in, and the calls may be made twice.
        ended = tapes[depth:]
        del tapes[depth:]
        THREAD.twins = outer
        try:
            _end(ended, user, twins, outer)
        except BaseException:
            _end(ended, user, twins, outer)
            raise


def _end(ended: list[OpenTape], user: User, twins: Twins, outer: Any) -> None:
    for tape in ended:
        tape.abandon()
    take_away(user)
    if twins is not outer:
        twins.forget()
