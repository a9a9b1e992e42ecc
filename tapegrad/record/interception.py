"""Code stays as it was written: while a function is recorded, some names mean something else.

For the user's code, in the recording thread, `numpy.zeros` and its like make arrays that can
hold active numbers, and `math.sin` and its like accept them. This file has what stands for each:
functions that are the original's in other threads, and views of modules with such functions.
The modules themselves, and so every library, stay as they are; `twins` says how the user's code
comes to see the stand-ins, and nobody else.
"""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Callable, Mapping
from types import BuiltinMethodType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from tapegrad.record import creation, lists, mathematics, stored_results
from tapegrad.record.complex_numbers import complex_mathematics
from tapegrad.record.functions import scipy_special
from tapegrad.record.nesting import THREAD, is_recording
from tapegrad.record.scipy.recognised import find_functions
from tapegrad.record.scipy.superlu import bound_again

# --- functions and types ----------------------------------------------------------------------


def _switch(original: Any, replacement: Any) -> Any:
    """Return a function that is `replacement` in a recording thread, and `original` in others."""
    if isinstance(original, type | np.ufunc) or not callable(original):
        return replacement

    @functools.wraps(original)
    def switch(*args: Any, **kwargs: Any) -> Any:
        return (replacement if is_recording() else original)(*args, **kwargs)

    return switch


_switches: dict[Any, Any] = {}
_originals: dict[int, Any] = {}
_kinds: set[type] = set()


def _add_switches(replacements: Mapping[Any, Any]) -> None:
    for original, replacement in replacements.items():
        switch = _switches[original] = _switch(original, replacement)
        _originals[id(switch)] = original
        _kinds.add(type(original))


_add_switches(creation.REPLACEMENTS)
_add_switches(mathematics.REPLACEMENTS)
_add_switches(complex_mathematics.REPLACEMENTS)
_add_switches(lists.REPLACEMENTS)
_add_switches(stored_results.REPLACEMENTS)


@functools.cache
def _add_switches_of_scipy(module: ModuleType) -> None:
    _add_switches(scipy_special.replacements(module))


_VIEWED = ("numpy", "numpy.linalg", "numpy.fft", "math", "cmath", "scipy", "scipy.special")


def is_interceptable(thing: Any) -> bool:
    """Whether a thing is a function, type or module of a library that has a stand-in."""
    kind = type(thing)
    if kind is ModuleType:
        return thing.__name__ in _VIEWED
    if kind is BuiltinMethodType and bound_again(thing) is not thing:
        return True
    special = sys.modules.get("scipy.special") if kind is FunctionType else None
    if special is not None and hasattr(special, "logsumexp"):  # its import is complete
        _add_switches_of_scipy(special)
    return kind in _kinds and thing in _switches


def switch_of(thing: Any) -> Any:
    """Return the stand-in of a library's function or type."""
    found = _switches.get(thing)
    return bound_again(thing) if found is None else found


@functools.lru_cache(maxsize=4096)
def _is_of_call(code: CodeType, offset: int) -> bool:
    """Whether the instruction there reads an attribute in order to call it.

    A null accompanies what is called, before it or after it, by Python's version.
    """
    steps = list(dis.get_instructions(code))
    k = next(k for k, step in enumerate(steps) if step.offset == offset)
    step, following = steps[k], steps[k + 1].opname
    if step.opname == "LOAD_METHOD":
        return True
    if sys.version_info >= (3, 12) and (step.arg or 0) & 1:  # read as a method
        return True
    if sys.version_info >= (3, 13):
        return following == "PUSH_NULL"
    owner, before = steps[k - 1], steps[k - 2].opname
    has_null = before == "PUSH_NULL" or (
        owner.opname == "LOAD_GLOBAL" and bool((owner.arg or 0) & 1)
    )
    return has_null and following not in ("LOAD_ATTR", "LOAD_METHOD")


# --- modules ----------------------------------------------------------------------------------

_own_names: Callable[[ModuleType], dict[str, Any]] = vars(ModuleType)["__dict__"].__get__


class ModuleView(ModuleType):
    """A module whose attributes are what stands for the module's.

    Parameters
    ----------
    module : module
    stand_in : callable
        Given a thing, returns what stands for it.
    keeps : bool
        Whether what an attribute is may be remembered: the module is a library's.
    """

    # A module's own way raises an error for each attribute that it lacks.
    __getattribute__ = object.__getattribute__
    __dict__ = property(lambda self: vars(self.__viewed))

    def __init__(self, module: ModuleType, stand_in: Callable[[Any], Any], keeps: bool) -> None:
        super().__init__(module.__name__)
        own = _own_names(self)
        own.clear()
        own.update(__name__=module.__name__, _ModuleView__viewed=module,
                   _ModuleView__stand_in=stand_in, _ModuleView__keeps=keeps)  # fmt: skip

    def __getattr__(self, name: str) -> Any:
        thing = getattr(self.__viewed, name)
        if type(thing) is ModuleType:  # SciPy's are imported by being looked up
            find_functions()
        if type(thing) is type and thing in creation.WHERE_CALLED:
            frame = sys._getframe(1)
            is_called = _is_of_call(frame.f_code, frame.f_lasti)
            return creation.WHERE_CALLED[thing] if is_called else thing
        thing = self.__stand_in(thing)
        if self.__keeps:
            _own_names(self)[name] = thing
        return thing

    def __setattr__(self, name: str, value: Any) -> None:
        _own_names(self).pop(name, None)
        setattr(self.__viewed, name, original_of(value))

    def __delattr__(self, name: str) -> None:
        _own_names(self).pop(name, None)
        delattr(self.__viewed, name)

    def __dir__(self) -> list[str]:
        return dir(self.__viewed)

    def __repr__(self) -> str:
        return repr(self.__viewed)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__viewed.__reduce_ex__(protocol)


# --- what is what -----------------------------------------------------------------------------


def original_of(thing: Any) -> Any:
    """Return what a thing met in a recording is when nothing is being recorded."""
    if isinstance(thing, ModuleView):
        return thing._ModuleView__viewed
    made = THREAD.twins.originals
    if type(thing) is FunctionType:  # a twin knows for itself, even after its recording
        made = getattr(thing.__globals__, "originals", made)
    original = made.get(id(thing), _originals.get(id(thing)))
    return thing if original is None else original
