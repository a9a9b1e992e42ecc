"""Callables made of a function of the user's: they have its name, and pickle with it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

from tapegrad.derivatives.pickling import reduced
from tapegrad.record.interception import original_of


class Wrapping:
    """A callable that is another function's.

    Parameters
    ----------
    function : callable

    Attributes
    ----------
    maker : str
        The name of what made it.
    """

    maker: ClassVar[str]

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function):
            raise TypeError(f"a function is needed, not {type(function).__name__}")
        self._function = original_of(function)
        functools.update_wrapper(self, self._function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what is made of the function."""
        raise NotImplementedError

    def _arguments(self) -> tuple[Any, ...]:
        """Return what makes it again."""
        return (self._function,)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return reduced(self, self._function, self._arguments())

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        name = getattr(self._function, "__qualname__", repr(self._function))
        return f"<{type(self).__name__} of {name}>"
