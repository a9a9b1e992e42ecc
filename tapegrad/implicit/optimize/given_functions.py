"""Functions of the user's that a solver of SciPy's is given: inner ones, on plain numbers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tapegrad.blocks import Array
from tapegrad.function.arguments import shape_of
from tapegrad.function.places import primal_of
from tapegrad.function.recording import name_of
from tapegrad.function.vectors import Vector
from tapegrad.implicit.evaluation import joined
from tapegrad.implicit.functions import Function, Use, with_inner
from tapegrad.record.scipy.families import operand

T = TypeVar("T")


def as_operand(unknowns: Any, result: Any) -> Any:
    """Return what a function returns as a number or an array."""
    return operand(result)


def first_operand(unknowns: Any, result: Any) -> Any:
    """Return the first of the two things that a function returns."""
    return operand(result[0])


def second_operand(unknowns: Any, result: Any) -> Any:
    """Return the second of the two things that a function returns."""
    return operand(result[1])


def of(function: Callable[..., Any], user: Any, *others: Any) -> Any:
    """Return a function of this package's of one of the user's, whose name it has in messages."""
    found = functools.partial(function, user, *others)
    found.__qualname__ = name_of(user)  # type: ignore[attr-defined]
    return found


class PlainFunction(NamedTuple):
    """A function of the user's on plain numbers.

    Attributes
    ----------
    role : str
        The name of the solver's parameter that it's given for; none if it isn't.
    inner : Function
    n_operands : int
        How many operands its parameters are.
    """

    role: str
    inner: Function
    n_operands: int

    def over(self, parameters: Sequence[Vector]) -> OfUnknowns:
        """Return it as a function of the unknowns alone."""
        return OfUnknowns(self.inner, joined(parameters))


class OfUnknowns:
    """A function of the user's on plain unknowns, at given parameters."""

    def __init__(self, inner: Function, parameters: Vector) -> None:
        self._inner, self._parameters = inner, parameters
        (spec,) = inner.result.specs
        self._shape = shape_of(spec)

    def __call__(self, *unknowns: Any) -> Any:
        """Return what it does."""
        found = self._inner.values(self._inputs(unknowns))
        return found.reshape(self._shape) if self._shape else float(found[0])

    def jacobian(self, *unknowns: Any) -> Array:
        """Return its derivatives by the unknowns."""
        n = self._inner.n_inputs - len(self._parameters)
        return self._inner.jacobian(self._inputs(unknowns), n)

    def _inputs(self, unknowns: tuple[Any, ...]) -> Vector:
        return np.concatenate([*map(np.ravel, unknowns), self._parameters])


class Wanted(NamedTuple):
    """A function of the user's that a solver is given.

    Attributes
    ----------
    role : str
    function : callable
    use : Use
    unknowns : tuple
        Plain numbers and arrays, such as the solver calls it with before the other arguments.
    takes_more : bool
        Whether it's called with the other arguments.
    """

    role: str
    function: Any
    use: Use
    unknowns: tuple[Any, ...]
    takes_more: bool = True


class Given(NamedTuple):
    """A function of the user's with its parameters, active ones among them."""

    role: str
    inner: Function
    parameters: list[Any]


def with_functions(wanted: Sequence[Wanted], args: tuple[Any, ...], kwargs: dict[str, Any],
                   body: Callable[[list[Given]], T]) -> T:  # fmt: skip
    """Return what `body` makes of functions of the user's as inner ones."""
    if not wanted:
        return body([])
    (role, function, use, unknowns, takes_more), *others = wanted

    def nested(inner: Function, operands: list[Any]) -> T:
        given = Given(role, inner, operands[len(unknowns) :])
        return with_functions(others, args, kwargs, lambda more: body([given, *more]))

    more = (args, kwargs) if takes_more else ((), {})
    return with_inner(function, use, unknowns, *more, nested)


def as_arguments(args: Any) -> tuple[Any, ...]:
    """Return further arguments as SciPy takes them: what is no tuple is one argument."""
    return args if isinstance(args, tuple) else (args,)


def primal(x: Any) -> Any:
    """Return the plain numbers of an operand."""
    found = primal_of(x)
    return float(found) if np.ndim(found) == 0 else np.asarray(found, np.float64)


def plain_functions(given: Sequence[Given]) -> tuple[PlainFunction, ...]:
    """Return functions as a method holds them."""
    return tuple([PlainFunction(role, inner, len(more)) for role, inner, more in given])
