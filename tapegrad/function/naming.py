"""Which arguments `argnums` means in a call: positions, names, or a range of positions.

A key is an argument's position, or its name where it was passed by keyword. What is
differentiated may be given as integers where that can't be meant otherwise: in arrays, as NumPy's
numbers, and inside containers.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex

import numpy as np

from tapegrad.errors import InputTypeError

Argnum = SupportsIndex | str
Argnums = Argnum | slice | Sequence[Argnum]
Key = int | str

_MANY = (Sequence, np.ndarray)


def is_single(argnums: Argnums) -> bool:
    """Whether one argument is meant, so that the derivative by it is no tuple."""
    return isinstance(argnums, str) or not isinstance(argnums, (slice, *_MANY))


def _check(argnums: Any) -> None:
    """Raise `InputTypeError` for what doesn't say which arguments are meant."""
    if isinstance(argnums, slice):
        parts = [x for x in (argnums.start, argnums.stop, argnums.step) if x is not None]
        is_known = all(isinstance(part, SupportsIndex) for part in parts)
    else:
        several = [argnums] if is_single(argnums) else argnums
        is_known = all(isinstance(argnum, str | SupportsIndex) for argnum in several)
    if not is_known:
        raise InputTypeError(
            f"argnums={argnums!r} names no arguments; write a position or a name, argnums=0 or "
            "argnums='a', several of them, argnums=(0, 'b'), or slice(1, None) for all but the "
            "first"
        )


class Naming:
    """What `argnums` means in the calls of a function.

    Parameters
    ----------
    function : callable
    argnums : int, str, slice, or sequence of int and str
    """

    def __init__(self, function: Callable[..., Any], argnums: Argnums) -> None:
        _check(argnums)
        self._function, self._argnums = function, argnums
        self._keys: dict[tuple[Any, ...], list[Key]] = {}
        self._names: list[str] | None = None
        self._by_keyword: list[str] = []
        self.is_single = is_single(argnums)

    def keys(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Key]:
        """Return the keys of the arguments that are differentiated in a call."""
        kind = len(args), *kwargs
        found = self._keys.get(kind)
        if found is None:
            found = self._keys[kind] = self._find(len(args), kwargs)
        return found

    def _find(self, count: int, kwargs: dict[str, Any]) -> list[Key]:
        chosen = self._argnums
        if isinstance(chosen, slice):
            return list(range(count)[chosen])
        several = [chosen] if isinstance(chosen, str) or not isinstance(chosen, _MANY) else chosen
        return [self._key(argnum, count, kwargs) for argnum in several]

    def _key(self, argnum: Argnum, count: int, kwargs: dict[str, Any]) -> Key:
        if isinstance(argnum, str):
            if argnum in kwargs:
                return argnum
            names = self._parameters()
            if argnum in names[:count]:
                return names.index(argnum)
            named = [*names, *self._by_keyword]
            known = f"; its parameters are {', '.join(named)}" if argnum not in named else ""
            raise InputTypeError(
                f"argnums={argnum!r}, but the function was called without an argument of that name"
                f"{known}; an argument must be passed to be differentiated"
            )
        position = operator.index(argnum)
        if -count <= position < count:
            return position % count
        names = self._parameters()
        if count <= position < len(names) and names[position] in kwargs:
            return names[position]
        raise InputTypeError(
            f"argnums={argnum}, but the function was called with {count} positional arguments; "
            "argnums takes names too"
        )

    def _parameters(self) -> list[str]:
        """Return the names of the positional parameters, none where the function doesn't tell."""
        if self._names is None:
            function = getattr(self._function, "py_func", self._function)
            try:
                parameters = inspect.signature(function).parameters.values()
            except (TypeError, ValueError):
                parameters = []  # type: ignore[assignment]
            kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            self._names = [p.name for p in parameters if p.kind in kinds]
            self._by_keyword = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        return self._names
