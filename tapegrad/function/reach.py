"""Where a search for places goes: what of a thing holds some, and what else it leads to."""

from __future__ import annotations

from collections import deque
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from tapegrad.function.content import NAMESPACES, is_active
from tapegrad.function.holders import (
    Cell,
    Class,
    Elements,
    Entries,
    Holder,
    Items,
    Namespace,
    Slots,
)
from tapegrad.function.watch.own_state import is_library_function
from tapegrad.function.watch.reads import names_in
from tapegrad.function.watch.states import slots_of
from tapegrad.function.watch.unchanging import SILENT
from tapegrad.libraries import is_library_module, is_library_object
from tapegrad.record.interception import original_of
from tapegrad.record.trampolines import code_of

SEQUENCES = (list, deque)
PLAIN = frozenset([float, int, bool, str, bytes, type(None), np.float64])
"""What holds nothing."""
MOST_SEARCHED = 100_000
"""Things that a search for places looks at."""
_SEARCHED = (FunctionType, dict, set, *SEQUENCES, tuple, partial, MethodType, *NAMESPACES)


def is_searched(thing: Any) -> bool:
    """Whether a thing is looked into: what a library's object holds is its own."""
    if isinstance(thing, _SEARCHED):
        return True
    if isinstance(thing, ModuleType):
        return not is_library_module(thing)
    if isinstance(thing, np.ndarray):
        return not is_active(thing) and thing.flags.writeable and thing.dtype.kind in "biufcO"
    return not (is_active(thing) or is_library_object(thing) or isinstance(thing, SILENT))


def is_variable(holder: Holder) -> bool:
    """Whether a holder's places are variables, not attributes."""
    return isinstance(holder, Cell) or (isinstance(holder, Namespace) and holder.is_global)


def holders_in(thing: Any) -> list[Holder]:
    """Return what of a thing holds places by key; a list's are told by their order."""
    found: list[Holder] = []
    if isinstance(thing, FunctionType):
        code = code_of(thing)
        names = zip(code.co_freevars, thing.__closure__ or (), strict=True)
        found.extend(Cell(cell, name) for name, cell in names)
        if not is_library_function(thing):
            found.append(Namespace(thing.__globals__, None, names_in(code)))
        found.append(Namespace(vars(thing)))
    elif isinstance(thing, type):
        found.append(Class(thing))
    elif isinstance(thing, ModuleType):
        found.append(Namespace(vars(thing), ModuleType))
    elif isinstance(thing, dict):
        found.append(Entries(thing))
    elif isinstance(thing, set):
        found.append(Elements(thing))
    elif isinstance(thing, np.ndarray) and thing.dtype.kind != "O":
        found.append(Items(thing))
    if isinstance(thing, FunctionType | type | ModuleType | partial | MethodType):
        return found
    is_users = isinstance(thing, NAMESPACES) or not is_library_object(thing)
    if is_users and hasattr(thing, "__dict__"):
        found.append(Namespace(vars(thing), type(thing)))
    if slots_of(type(thing)):
        found.append(Slots(thing))
    return found


def parts_of(thing: Any) -> list[Any]:
    """Return what a thing leads to beside what is in its places."""
    found: list[Any] = []
    if isinstance(thing, tuple):
        found.extend(thing)
    elif isinstance(thing, set):
        found.extend(value for value in thing if isinstance(value, tuple) or is_searched(value))
    elif isinstance(thing, np.ndarray):
        found.extend(thing.flat if thing.dtype.kind == "O" else ())
    elif isinstance(thing, partial):
        found.extend((thing.func, thing.args, thing.keywords))
    elif isinstance(thing, MethodType):
        found.extend((thing.__self__, thing.__func__))
    elif isinstance(thing, FunctionType):
        found.extend((*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values()))
    if not isinstance(thing, type | ModuleType):
        found.append(type(thing))
    return list(map(original_of, found))
