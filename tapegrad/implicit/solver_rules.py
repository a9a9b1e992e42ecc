"""Rules of SciPy's functions that take functions: active if what these close over is.

`scipy_solver_rule` adds one, called as SciPy's function is, for calls in which anything depends on
what is differentiated by: an argument, what a function among them closes over, or what one turns
out to return or to decide by. All others are SciPy's own, on the user's function itself. What a
rule does:

- `with_inner(f, Use("the integrand", finish), (x,), args, {}, body)` of `functions` has
  `body(inner, operands)` called with the user's function as an inner one, of numbers only; what it
  closes over that is active is among the operands. It's kept by its code, so that closures that
  are made anew share recordings. A `functools.partial` of a function of this package over
  functions of the user's is lifted as well: so several are made one. Such calls may nest.
- One with `**keywords` is given every parameter of SciPy's that isn't left at its default.
- In the block's `value`, SciPy's function is called within `scipys_own()`, or it would be taken
  for a call of the user's where SciPy calls itself.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FunctionType
from typing import Any, NoReturn, TypeVar

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.implicit.lifting import lift
from tapegrad.libraries import module_of
from tapegrad.record.frames import Site
from tapegrad.record.functions.registry import NAMED
from tapegrad.record.nesting import THREAD
from tapegrad.record.plain import plain_arguments
from tapegrad.record.scipy.recognised import (
    Row,
    is_held,
    is_passive,
    scipy_rule,
    without_actives,
)

F = TypeVar("F", bound=Callable[..., Any])


def solver_row(functions: str) -> Callable[[str, FunctionType, Callable[..., Any]], Row]:
    """Return what makes the row of a function of SciPy's that takes functions, by their names."""

    def row(name: str, function: FunctionType, rule: Callable[..., Any]) -> Row:
        return SolverRow(name, function, rule, functions.split())

    return row


def scipy_solver_rule(*names: str, functions: str) -> Callable[[F], F]:
    """Register the decorated function as the rule of functions of SciPy's that take functions.

    Parameters
    ----------
    names : str
        The full names of SciPy's functions.
    functions : str
        The names of their parameters that are functions of the user's, which may return active
        numbers, or hold such functions in lists and dictionaries.
    """
    return scipy_rule(*names, row=solver_row(functions))


def refuse_solver(name: str, instead: str) -> None:
    """Have a function or a class refused, where anything active is in what it's given.

    Parameters
    ----------
    name : str
        SciPy's, in full.
    instead : str
        What to write in its place.
    """

    @scipy_solver_rule(name, functions="f func fun bc jac fun_jac bc_jac")
    def refuse(*args: Any, **keywords: Any) -> NoReturn:
        raise UnsupportedFunctionError(
            f"{name} has no rule for active arguments, at {Site().place}{instead}"
        )

    NAMED.discard(name)


def depends(thing: Any) -> bool:
    """Whether an argument is active, holds what is, or is a function that closes over it."""
    if is_held(thing):
        return not is_passive(thing)
    if isinstance(thing, list | tuple):
        return any(map(depends, thing))
    if isinstance(thing, dict):
        return any(map(depends, thing.values()))
    if callable(thing):
        return any(map(depends, lift(thing, keep=False).leaves))
    if module_of(type(thing)).startswith("scipy.") and hasattr(thing, "__dict__"):
        return any(map(depends, vars(thing).values()))
    return False


# --- whose code runs --------------------------------------------------------------------------


class _Running(threading.local):
    """How many recordings are open in the thread where SciPy's own code runs, if it does."""

    depth = -1


_running = _Running()


@contextmanager
def _running_at(depth: int) -> Iterator[None]:
    before, _running.depth = _running.depth, depth
    try:
        yield
    finally:
        _running.depth = before


def scipys_own() -> Any:
    """Return a context in which SciPy's code calls functions of SciPy's that have such rules.

    It ends within it where another recording begins, and in `users_own`.
    """
    return _running_at(len(THREAD.tapes))


def users_own() -> Any:
    """Return a context for code of the user's that SciPy's calls."""
    return _running_at(-1)


def scipys(name: str) -> Callable[..., Any]:
    """Return SciPy's function of a full name, to be called as SciPy's own code calls it."""
    owner, _, own = name.rpartition(".")
    function = getattr(importlib.import_module(owner), own)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with scipys_own():
            return function(*args, **kwargs)

    return call


# --- calls ------------------------------------------------------------------------------------


class _MetActiveError(Exception):
    """What ends a call of SciPy's whose function turns out to return active numbers."""


class _Watch:
    """The functions of a call that may turn out to return active numbers."""

    def __init__(self) -> None:
        self.has_met = False

    def over(self, thing: Any) -> Any:
        """Return an argument with functions that are watched."""
        if isinstance(thing, list | tuple):
            return [*map(self.over, thing)]
        if isinstance(thing, dict):
            return {key: self.over(value) for key, value in thing.items()}
        return self._function(thing) if callable(thing) and not isinstance(thing, type) else thing

    def _function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.has_met:  # and SciPy went on all the same
                raise _MetActiveError
            tape = THREAD.tapes[-1]
            before = len(tape)
            with users_own():
                found = function(*args, **kwargs)
            if not is_held(found):
                if len(tape) == before:
                    return found
                self.has_met = True  # what it returns hangs on a comparison
                raise _MetActiveError
            plain = without_actives(found) if is_passive(found) else plain_arguments(found)
            if plain is None:
                self.has_met = True
                raise _MetActiveError
            return plain

        return call


class SolverRow(Row):
    """A function of SciPy's that takes functions, and its rule.

    Parameters
    ----------
    name : str
    function : function
    rule : callable
    functions : sequence of str
        Which parameters are functions, or hold some.
    """

    def __init__(self, name: str, function: Any, rule: Callable[..., Any],
                 functions: list[str]) -> None:  # fmt: skip
        super().__init__(name, function, rule)
        self._functions = functions
        taken = inspect.signature(rule).parameters.values()
        if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in taken):
            self._taken = None

    def neutral(self, plain: FunctionType) -> Any:
        """Return what is the function as it was, or its rule where anything is active."""

        def call(*args: Any, **kwargs: Any) -> Any:
            if _running.depth == len(THREAD.tapes):
                return plain(*args, **kwargs)
            watch = _Watch()
            if not depends(args) and not depends(kwargs):
                passive = {key: without_actives(value) for key, value in kwargs.items()}
                try:
                    return self._watched(watch, plain, without_actives(args), passive)
                except Exception:
                    if not watch.has_met:
                        raise
            try:
                return self.recorded(args, kwargs)
            except UnsupportedFunctionError:
                found = plain_arguments((args, kwargs))
                if found is None:
                    raise
                try:  # its derivative may not be wanted
                    return self._watched(watch := _Watch(), plain, *found)
                except _MetActiveError:
                    pass
                raise

        call.__name__, call.__qualname__ = plain.__name__, plain.__qualname__
        return call

    def _watched(self, watch: _Watch, plain: FunctionType, args: tuple[Any, ...],
                 kwargs: Mapping[str, Any]) -> Any:  # fmt: skip
        """Return what SciPy's function does, or raise where one it's given returns actives."""
        given = [
            watch.over(value) if name in self._functions else value
            for name, value in zip(self._parameters, args, strict=False)
        ] + [*args[len(self._parameters) :]]
        named = {
            name: watch.over(value) if name in self._functions else value
            for name, value in kwargs.items()
        }
        with scipys_own():
            found = plain(*given, **named)
        if watch.has_met:
            raise _MetActiveError
        return found
