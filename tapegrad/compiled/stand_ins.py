"""The functions that stand for NumPy's in compiled functions that are given active numbers.

Each is typed by what it's called with: with active arrays it's recorded, with others it's
NumPy's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.extending import overload

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""By the function they stand for."""

METHODS: dict[str, Callable[..., Any]] = {}
"""What stands for a method of arrays, by its name."""

Choose = Callable[..., Any]


def stand_in(*originals: Any, method: str = "") -> Callable[[Choose], Choose]:
    """Have a function stand for NumPy's, and for an array's method.

    The decorated function is given the arguments' Numba types and returns an implementation, as
    for `numba.extending.overload`.
    """

    def register(choose: Choose) -> Choose:
        def function(*args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

        function.__name__ = function.__qualname__ = choose.__name__.strip("_")
        overload(function, strict=False)(choose)
        FUNCTIONS.update(dict.fromkeys(originals, function))
        if method:
            METHODS[method] = function
        return function

    return register
