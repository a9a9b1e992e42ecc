"""What all derivatives are: callables that hold a function's recordings."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tapegrad.derivatives.selection import Argnums, Selection
from tapegrad.function.arguments import Call, sort_arguments
from tapegrad.function.recorded import MOST_SIGNATURES, RecordedFunction


class Derivative:
    """A function that computes a derivative of another one, from its recordings.

    Attributes
    ----------
    recorded : RecordedFunction
        The function with its recordings.
    """

    def __init__(self, function: Callable[..., Any], argnums: Argnums = 0) -> None:
        if not callable(function):
            raise TypeError(f"a function is needed, not {type(function).__name__}")
        functools.update_wrapper(self, function, updated=())
        self.recorded = RecordedFunction(function)
        self._argnums = argnums
        self._selections: dict[Any, Selection] = {}

    def _sort(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Call, Selection]:
        """Return a call's arguments, sorted, and which of them are differentiated."""
        call = sort_arguments(args, kwargs)
        selection = self._selections.get(call.key)
        if selection is None:
            selection = Selection(call, self._argnums)
            if len(self._selections) < MOST_SIGNATURES:
                self._selections[call.key] = selection
        return call, selection

    def clear(self) -> None:
        """Forget every recording, after a change that can't be seen: a file, a random number."""
        self.recorded.clear()
        self._selections.clear()
        if isinstance(self.recorded.function, Derivative):
            self.recorded.function.clear()

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the derivative at a point."""
        raise TypeError("a derivative is made by one of tapegrad's functions, such as grad")

    def __repr__(self) -> str:
        name = getattr(self.recorded.function, "__qualname__", repr(self.recorded.function))
        return f"<{type(self).__name__} of {name}>"
