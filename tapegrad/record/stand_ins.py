"""The registry of what stands for NumPy's functions in compiled functions of active numbers.

Each is typed by what it's called with: with active arrays it's recorded, with others it's
NumPy's own. Numba is told of them when such a function is first compiled, by `install`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from tapegrad.numba_protocols import Choose, Function, Implementation, Kind
from tapegrad.record.kinds import (
    ActiveValue,
    Array,
    Operand,
    Shape,
    Structure,
    active,
    is_active,
    is_number,
    kind_in,
    linearised,
)

FUNCTIONS: dict[Function, Implementation] = {}
"""By the function they stand for."""

MAKERS: dict[Kind, dict[Function, Implementation]] = {active: {}, linearised: {}}
"""The same for functions that make arrays of a type of active numbers, by that type."""

CALLED: dict[Function, Implementation] = {}
"""What stands for a type where it's called, and not where it's the type of an array."""

METHODS: dict[str, Implementation] = {}
"""What stands for a method of arrays, by its name."""

NUMBAS_OWN: set[Function] = set()
"""Functions whose implementation of Numba's moves active numbers as well as others."""

READING: set[Function] = {sorted}
"""Functions that compare elements and can't say for which line of the user's."""

REWRITTEN: set[Function] = set()
"""The functions in which names mean stand-ins, as they do in the user's."""

F = TypeVar("F", bound=Callable[..., Any])

_pending: list[tuple[Implementation, Choose]] = []


def install() -> None:
    """Tell Numba of what has been registered."""
    while _pending:
        function, choose = _pending.pop()
        overload(function, strict=False)(choose)


def _standing(name: str, choose: Choose) -> Implementation:
    """Return a function for which Numba compiles what is chosen by the types."""

    def function(*args: Any, **kwargs: Any) -> Any:
        """Stand for a function; what Numba compiles for a call of it is chosen by the types."""

    function.__name__ = function.__qualname__ = name.strip("_")
    _pending.append((function, choose))
    return function


def _plain(original: Function, count: int, keywords: tuple[str, ...]) -> Implementation:
    """Return what calls a function, or a method by its name, with so many arguments."""
    names = [f"a{k}" for k in range(count)]
    given = [*names, *(f"{name}={name}" for name in keywords)]
    call = f"{given.pop(0)}.{original}" if isinstance(original, str) else "original"
    text = f"lambda {', '.join([*names, *keywords])}: {call}({', '.join(given)})"
    # As the library's own code, in which a method means Numba's: it isn't rewritten again.
    return eval(compile(text, __file__, "eval"), {"original": original})


def stand_in(*originals: Function, method: str = "", only_called: bool = False,
             of_numbers: bool = False,
             reads: bool = False) -> Callable[[Choose], Choose]:  # fmt: skip
    """Have a function stand for NumPy's, and for an array's method.

    The decorated function is given the arguments' Numba types and returns an implementation, as
    for `numba.extending.overload`. It's asked where one is an array of active numbers, or, of a
    function `of_numbers` too, an active number; what else it's called with is left to NumPy's.
    Of one that `reads` what it's given, the guards stand where it's called.
    """
    original = originals[0] if originals else method

    def register(choose: Choose) -> Choose:
        @functools.wraps(choose)
        def choose_or_leave(*args: Kind, **kwargs: Kind) -> Implementation | None:
            kinds = [*args, *kwargs.values()]
            if any(holds_actives(kind) or (of_numbers and is_active(kind)) for kind in kinds):
                return choose(*args, **kwargs)
            return _plain(original, len(args), tuple(kwargs))

        function = _standing(choose.__name__, choose_or_leave)
        (CALLED if only_called else FUNCTIONS).update(dict.fromkeys(originals, function))
        if method:
            METHODS[method] = function
        if reads:
            READING.add(function)
        return function

    return register


def itself(function: F) -> F:
    """Return what chooses a function that both Python and compiled code run, for any types."""
    REWRITTEN.add(function)

    @functools.wraps(function)
    def choose(*args: Kind, **kwargs: Kind) -> Implementation | None:
        return function

    return cast(F, choose)


def maker(*originals: Function) -> Callable[[Callable[[Kind], Choose]], None]:
    """Have functions stand for NumPy's that make arrays.

    The decorated function is given a type of active number, and returns what is given the
    arguments' types and returns an implementation, or None for NumPy's own.
    """

    def register(choose_for: Callable[[Kind], Choose]) -> None:
        for kind, functions in MAKERS.items():
            choose = _or_left(choose_for(kind), originals[0])
            function = _standing(choose_for.__name__, choose)
            functions.update(dict.fromkeys(originals, function))

    return register


def _or_left(choose: Choose, original: Function) -> Choose:
    @functools.wraps(choose)
    def choose_or_leave(*args: Kind, **kwargs: Kind) -> Implementation | None:
        return choose(*args, **kwargs) or _plain(original, len(args), tuple(kwargs))

    return choose_or_leave


# --- what implementations are made with -------------------------------------------------------


def shared(function: F) -> F:
    """Let compiled code contain a function that Python runs on active arrays."""
    return cast(F, register_jitable(function))


def holds_actives(kind: Kind) -> bool:
    """Whether a Numba type is that of an array of active numbers."""
    return isinstance(kind, types.Array) and is_active(kind.dtype)


def is_operand(kind: Kind) -> bool:
    """Whether a Numba type is that of a number or of an array of numbers."""
    return is_number(kind.dtype if isinstance(kind, types.Array) else kind)


def is_omitted(kind: Kind | None) -> bool:
    """Whether an argument of a Numba type was not given."""
    return kind is None or isinstance(kind, types.NoneType | types.Omitted)


def as_array(x: Operand) -> Any:
    """Return an array itself, or one without axes that holds a number; for compiled code."""


@overload(as_array, strict=False)
def _(x: Kind) -> Implementation | None:
    if isinstance(x, types.Array):
        return lambda x: x

    def of_number(x: ActiveValue) -> Array:
        array = cleared((), x)
        array[()] = x
        return array

    return of_number


def like_given(array: Array, given: Operand) -> Any:
    """Return an array, or its element where what was given is a number; for compiled code."""


@overload(like_given, strict=False)
def _(array: Kind, given: Kind) -> Implementation | None:
    if isinstance(given, types.Array):
        return lambda array, given: array
    return lambda array, given: array[()]


def cleared(shape: int | Shape, like: Structure) -> Any:
    """Return an array of passive zeros that can hold the active numbers there are in `like`."""


@overload(cleared, strict=False)
def _(shape: Kind, like: Kind) -> Implementation | None:
    kind = kind_in(like)
    return lambda shape, like: np.zeros(shape, kind)


def leaves_records(array: Array) -> Any:
    """Whether what is read of an array's numbers is stated; for compiled code."""


@overload(leaves_records, strict=False)
def _(array: Kind) -> Implementation | None:
    is_stated = array.dtype is active
    return lambda array: is_stated


def store_elements(array: Array, values: Array) -> None:
    """Copy the elements of an array into another one of its shape.

    For compiled code; compiled faster than a slice assignment, which can print both shapes.
    """


@overload(store_elements, strict=False)
def _(array: Kind, values: Kind) -> Implementation | None:
    if array.ndim == 1:

        def elements(array: Array, values: Array) -> None:
            if array.shape != values.shape:
                raise ValueError("operands could not be broadcast together")
            for i in range(array.shape[0]):
                array[i] = values[i]

        return elements

    def rows(array: Array, values: Array) -> None:
        if array.shape != values.shape:
            raise ValueError("operands could not be broadcast together")
        for i in range(array.shape[0]):
            store_elements(array[i], values[i])

    return rows
