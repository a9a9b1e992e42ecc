"""The user's code run with plain numbers, whatever is being recorded around it.

A rule may call what can't be recorded. So while a function of one runs, the open recordings are set
aside; that it reads an active number nevertheless, which it can only have from what it closes
over, is found out and refused.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from types import CellType, FunctionType
from typing import Any

import numpy as np

from tapegrad.errors import LostDerivativeError
from tapegrad.function.content import freeze, is_active
from tapegrad.function.watch.walk import items
from tapegrad.record.array import ActiveArray
from tapegrad.record.namespaces import EMPTY, Namespace, contents_of
from tapegrad.record.nesting import THREAD, set_aside, unsettle
from tapegrad.record.trampolines import code_of


def run(name: str, function: Callable[..., Any], *args: Any) -> Any:
    """Return what a function makes of plain numbers.

    Raises
    ------
    LostDerivativeError
        If it reads active ones.
    """
    tapes = THREAD.tapes
    if not tapes:
        return function(*args)
    lengths = [len(tape) for tape in tapes]
    try:
        with set_aside():
            found = function(*args)
    except Exception:  # which the program may catch
        unsettle()
        raise
    if [len(tape) for tape in tapes] != lengths:
        raise closes_over(name, "an active number")
    return found


def closes_over(name: str, what: str) -> LostDerivativeError:
    """Return the error for a rule that reads an active number which it isn't passed."""
    return LostDerivativeError(
        f"the rule of {name} closes over {what}, so that a derivative by that would be lost: pass "
        f"it to {name} as an argument"
    )


def refuse_actives(name: str, functions: Iterable[Callable[..., Any]]) -> None:
    """Raise LostDerivativeError if functions hold active numbers in closures or defaults."""
    for function in functions:
        for variable, content in _held(function):
            if any(is_active(x) and not _is_passive(x) for x in items(content)):
                raise closes_over(name, f"`{variable}`, an active number or array")


def may_hold(function: Any) -> bool:
    """Whether a function has a closure, or arguments of its own."""
    if type(function) is not FunctionType:
        return isinstance(function, functools.partial)
    return bool(function.__closure__ or function.__defaults__ or function.__kwdefaults__)


def _held(function: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(function, functools.partial):
        return [("its arguments", (function.args, function.keywords)), *_held(function.func)]
    if type(function) is not FunctionType:
        return []
    cells = zip(code_of(function).co_freevars, function.__closure__ or (), strict=True)
    contents = [(name, contents_of(cell)) for name, cell in cells]
    return [*contents, ("a default", (function.__defaults__, function.__kwdefaults__))]


def _is_passive(thing: Any) -> bool:
    return isinstance(thing, ActiveArray) and thing.is_passive


# --- functions made while recording ---------------------------------------------------------------


def is_made_inside(function: Any) -> bool:
    """Whether a function was made by code that was being recorded."""
    return type(function) is FunctionType and isinstance(function.__globals__, Namespace)


def kept(function: Any) -> Any:
    """Return a function made inside a recording as it is now: its variables may change later."""
    if not is_made_inside(function) or not function.__closure__:
        return function
    cells = tuple(map(_kept_cell, function.__closure__))
    made = FunctionType(code_of(function), function.__globals__, function.__name__,
                        function.__defaults__, cells)  # fmt: skip
    functools.update_wrapper(made, function, updated=())
    vars(made).pop("__wrapped__", None)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _kept_cell(cell: CellType) -> CellType:
    content = contents_of(cell)
    if content is EMPTY:
        return cell
    if isinstance(content, ActiveArray):
        content = np.array(content.primal)
    elif type(content) is np.ndarray:
        content = content.copy()
    return CellType(content)


def content_of(function: Any) -> Any:
    """Return what tells a function made inside a recording from others of the same code."""
    if type(function) is not FunctionType:
        return id(function)
    cells = tuple(freeze(contents_of(cell)) for cell in function.__closure__ or ())
    defaults = freeze(function.__defaults__), freeze(function.__kwdefaults__)
    return code_of(function), cells, defaults
