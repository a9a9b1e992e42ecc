"""Code stays as it was written: while a function is recorded, some names mean something else.

For the user's code, in the recording thread, `numpy.zeros` and its like make arrays that can
hold active numbers, and `math.sin` and its like accept them. The names are replaced where that
code looks them up, in its own namespaces: a module by a view of it with other functions, a
function it imported by name by its replacement. The modules themselves, and so every library,
stay as they are. Everything is put back when the last recording that asked for it ends.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import CellType, ModuleType
from typing import Any

from numba import types
from numba.core.registry import cpu_target
from numba.extending import typeof_impl

from tapegrad.record import creation, lists, mathematics
from tapegrad.record.functions import scipy_special
from tapegrad.record.nesting import is_recording


class Cell:
    """A closure variable as a namespace of one name."""

    def __init__(self, cell: CellType) -> None:
        self._cell = cell
        self.identity = id(cell)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the variable, or a default if it has no value yet."""
        try:
            return self._cell.cell_contents
        except ValueError:
            return default

    def __getitem__(self, name: str) -> Any:
        return self._cell.cell_contents

    def __setitem__(self, name: str, value: Any) -> None:
        self._cell.cell_contents = value


Namespace = dict[str, Any] | Cell
Place = tuple[Namespace, str]


def _key(namespace: Namespace, name: str) -> tuple[int, str]:
    return (namespace.identity if isinstance(namespace, Cell) else id(namespace)), name


# --- functions and types ----------------------------------------------------------------------


def _switch(original: Any, replacement: Any) -> Any:
    """Return a function that is `replacement` in a recording thread, and `original` in others."""
    if isinstance(original, type) or not callable(original):
        return replacement

    @functools.wraps(original)
    def switch(*args: Any, **kwargs: Any) -> Any:
        return (replacement if is_recording() else original)(*args, **kwargs)

    return switch


_switches: dict[Any, Any] = {}
_originals: dict[int, Any] = {}


def _add_switches(replacements: Mapping[Any, Any]) -> None:
    for original, replacement in replacements.items():
        switch = _switches[original] = _switch(original, replacement)
        _originals[id(switch)] = original


_add_switches(creation.REPLACEMENTS)
_add_switches(mathematics.REPLACEMENTS)
_add_switches(lists.REPLACEMENTS)


@functools.cache
def _add_switches_of_scipy(module: ModuleType) -> None:
    _add_switches(scipy_special.replacements(module))


def teach_numba() -> None:
    """Have Numba compile a switch as the function it stands for.

    A user's function that Numba compiles meanwhile finds the switches in its namespace. What a
    function can do that is registered later is taught by calling this again.
    """
    context = cpu_target.typing_context
    context.refresh()
    for original, switch in _switches.items():
        known, taught = context._lookup_global(original), context._lookup_global(switch)
        if known is None or known is taught:
            continue
        if taught is not None:
            context._remove_global(switch)
        context.insert_global(switch, known)


_teach_numba_once = functools.cache(teach_numba)


# --- modules ----------------------------------------------------------------------------------


class _ModuleView(ModuleType):
    """A module with some attributes replaced; what it lacks is looked up in the module."""

    def __init__(self, module: ModuleType, replaced: dict[str, Any]) -> None:
        super().__init__(module.__name__, module.__doc__)
        vars(self).update({**vars(module), **replaced, "_viewed": module})

    def __getattr__(self, name: str) -> Any:
        thing = getattr(self._viewed, name)
        return _stand_in(thing) if is_interceptable(thing) else thing


def _typeof_view(view: _ModuleView, _: Any) -> Any:
    return types.Module(view._viewed)


typeof_impl.register(_ModuleView, _typeof_view)

_views: dict[str, _ModuleView] = {}


def _view_of(module: ModuleType) -> _ModuleView | None:
    """Return the view that stands for a module, or None if nothing in it is replaced."""
    name = module.__name__
    if name not in ("numpy", "numpy.linalg", "math", "scipy", "scipy.special"):
        return None
    if name not in _views:
        replaced = {
            key: _stand_in(thing)
            for key, thing in vars(module).items()
            if is_interceptable(thing)
            and (not isinstance(thing, ModuleType) or thing.__name__.startswith(f"{name}."))
        }
        _views[name] = _ModuleView(module, replaced)
        _originals[id(_views[name])] = module
    return _views[name]


# --- places -----------------------------------------------------------------------------------


def original_of(thing: Any) -> Any:
    """Return what a thing found in a namespace is when nothing is being recorded."""
    return _originals.get(id(thing), thing)


def is_interceptable(thing: Any) -> bool:
    """Whether something else stands for a thing while a function is recorded."""
    special = sys.modules.get("scipy.special")
    if special is not None and hasattr(special, "logsumexp"):  # its import is complete
        _add_switches_of_scipy(special)
    original = original_of(thing)
    if isinstance(original, ModuleType):
        return _view_of(original) is not None
    try:
        return original in _switches
    except (TypeError, ValueError):  # unhashable, so not one of ours
        return False


def _stand_in(original: Any) -> Any:
    return _view_of(original) if isinstance(original, ModuleType) else _switches[original]


_lock = threading.RLock()
_replaced: dict[tuple[int, str], int] = {}


def _replace(namespace: Namespace, name: str) -> None:
    key = _key(namespace, name)
    _replaced[key] = _replaced.get(key, 0) + 1
    if _replaced[key] == 1:
        namespace[name] = _stand_in(original_of(namespace[name]))


def _put_back(namespace: Namespace, name: str) -> None:
    key = _key(namespace, name)
    _replaced[key] -= 1
    if _replaced[key] == 0:
        del _replaced[key]
        namespace[name] = original_of(namespace[name])


@contextmanager
def intercepting(places: Iterable[Place] = ()) -> Iterator[None]:
    """Replace what names in the user's namespaces mean; put them back at the end.

    Parameters
    ----------
    places : iterable of (mapping, str)
        Where the user's code bound names to modules and functions that `is_interceptable`.
    """
    own = list(places)
    with _lock:
        _teach_numba_once()
        for place in own:
            _replace(*place)
    try:
        yield
    finally:
        with _lock:
            for place in own:
                _put_back(*place)
