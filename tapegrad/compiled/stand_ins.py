"""The functions that stand for NumPy's in compiled functions that are given active numbers.

Each is typed by what it's called with: with active arrays it's recorded, with others it's
NumPy's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.extending import overload

from tapegrad.numba_protocols import Choose, Function, Implementation, Kind
from tapegrad.record.kinds import Shape, Structure, active, kind_in, linearised

FUNCTIONS: dict[Function, Implementation] = {}
"""By the function they stand for."""

MAKERS: dict[Kind, dict[Function, Implementation]] = {active: {}, linearised: {}}
"""The same for functions that make arrays of a type of active numbers, by that type."""

CALLED: dict[Function, Implementation] = {}
"""What stands for a type where it's called, and not where it's the type of an array."""

METHODS: dict[str, Implementation] = {}
"""What stands for a method of arrays, by its name."""


def _overloaded(name: str, choose: Choose) -> Implementation:
    def function(*args: Any, **kwargs: Any) -> Any:
        """Stand for a function; what Numba compiles for a call of it is chosen by the types."""

    function.__name__ = function.__qualname__ = name.strip("_")
    overload(function, strict=False)(choose)
    return function


def stand_in(
    *originals: Function, method: str = "", only_called: bool = False
) -> Callable[[Choose], Choose]:
    """Have a function stand for NumPy's, and for an array's method.

    The decorated function is given the arguments' Numba types and returns an implementation, as
    for `numba.extending.overload`.
    """

    def register(choose: Choose) -> Choose:
        function = _overloaded(choose.__name__, choose)
        (CALLED if only_called else FUNCTIONS).update(dict.fromkeys(originals, function))
        if method:
            METHODS[method] = function
        return function

    return register


def maker(*originals: Function) -> Callable[[Callable[[Kind], Choose]], None]:
    """Have functions stand for NumPy's that make arrays.

    The decorated function is given a type of active number, and returns what `stand_in` takes.
    """

    def register(choose_for: Callable[[Kind], Choose]) -> None:
        for kind, functions in MAKERS.items():
            function = _overloaded(choose_for.__name__, choose_for(kind))
            functions.update(dict.fromkeys(originals, function))

    return register


def cleared(shape: int | Shape, like: Structure) -> Any:
    """Return an array of passive zeros that can hold the active numbers there are in `like`."""


@overload(cleared, strict=False)
def _(shape: Kind, like: Kind) -> Implementation | None:
    kind = kind_in(like)
    return lambda shape, like: np.zeros(shape, kind)
