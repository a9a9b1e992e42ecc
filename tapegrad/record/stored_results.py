"""Results of NumPy's functions that a recorded function stores into: they hold active numbers.

`np.exp(T)` of plain numbers is a plain array, which can't hold what depends on the input. Where
the code that calls it by name stores into elements or in place, the result is an array that can,
unless it shares memory with an argument: what is stored there must be seen there.
"""

from __future__ import annotations

import sys
from types import CodeType
from typing import Any

import numpy as np

from tapegrad.record import creation
from tapegrad.record.active import Active
from tapegrad.record.arithmetic import is_bitwise
from tapegrad.record.array import ActiveArray, tapes_in
from tapegrad.record.functions.registry import RULES, known_code, record
from tapegrad.record.nesting import is_recording
from tapegrad.record.stores import may_store


def _shares(array: Any, thing: Any) -> bool:
    if isinstance(thing, list | tuple):
        return any(_shares(array, part) for part in thing)
    return isinstance(thing, np.ndarray) and np.may_share_memory(array, thing)


def storable(result: Any, args: Any, kwargs: Any, caller: CodeType) -> Any:
    """Return a function's result, an array of its own as one that can hold active numbers."""
    kind = type(result)
    if kind is np.ndarray:
        if (
            result.dtype not in (np.float64, np.complex128)
            or not result.flags.writeable
            or not may_store(caller)
            or _shares(result, (args, list(kwargs.values())))
        ):
            return result
        return creation.holding(result)
    if kind is list or kind is tuple:
        return kind(storable(part, args, kwargs, caller) for part in result)
    return result


# --- ufuncs -----------------------------------------------------------------------------------


def holds_actives(thing: Any) -> bool:
    """Whether something is a list or a tuple in which NumPy would not look for active numbers."""
    return type(thing) in (list, tuple) and any(True for _ in tapes_in(thing))


_ACTIVES = frozenset([Active, ActiveArray])
_NUMBERS = _ACTIVES | {float, int}


class RecordedUfunc:
    """What stands for a ufunc: it to all who ask, and called in its own way."""

    __slots__ = ("_arity", "_code", "_original")

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return np.ufunc

    def __init__(self, original: np.ufunc) -> None:
        self._original = original
        code = known_code(original)
        is_row = code is not None and original not in RULES and not is_bitwise(original)
        self._code: Any = code
        self._arity = original.nin if is_row else -1

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the ufunc."""
        if len(args) == self._arity and not kwargs:  # what NumPy comes to as well
            if len(args) == 1:
                if type(args[0]) in _ACTIVES:
                    return record(self._code, *args)
            else:
                first, second = type(args[0]), type(args[1])
                if (first in _ACTIVES and second in _NUMBERS) or (
                    second in _ACTIVES and first in _NUMBERS
                ):
                    return record(self._code, *args)
        return self._called(self._original, args, kwargs, sys._getframe(1).f_code)

    @staticmethod
    def _called(function: Any, args: Any, kwargs: Any, caller: CodeType) -> Any:
        if not is_recording():
            return function(*args, **kwargs)
        args = [creation.as_array(thing) if holds_actives(thing) else thing for thing in args]
        return storable(function(*args, **kwargs), args, kwargs, caller)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._original, name)
        if name not in ("accumulate", "outer", "reduce", "reduceat"):
            return attribute

        def method(*args: Any, **kwargs: Any) -> Any:
            return self._called(attribute, args, kwargs, sys._getframe(1).f_code)

        return method

    def __eq__(self, other: object) -> bool:
        return other is self or other is self._original

    def __hash__(self) -> int:
        return hash(self._original)

    def __repr__(self) -> str:
        return repr(self._original)

    def __reduce__(self) -> Any:
        return _named, (self._original.__name__,)


def _named(name: str) -> Any:
    return getattr(np, name)


REPLACEMENTS: dict[Any, Any] = {
    ufunc: RecordedUfunc(ufunc) for ufunc in vars(np).values() if isinstance(ufunc, np.ufunc)
}
