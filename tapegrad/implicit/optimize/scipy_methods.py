"""SciPy's solvers as methods that find solutions, and the blocks of what they find.

A solver runs on plain numbers, on the user's functions as inner ones; from where it stops Newton's
steps lead to the solution itself, which is what the derivatives are of. What has none there is an
error only where it's asked for: a program may look at `success`, and do without.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import threading
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tapegrad.blocks import Array, Block
from tapegrad.errors import (
    DegenerateBoundError,
    InaccurateSolutionWarning,
    NoConvergenceError,
    SingularSystemError,
)
from tapegrad.function.arguments import shape_of
from tapegrad.function.content import freeze, is_active
from tapegrad.function.places import primal_of
from tapegrad.function.postponed import postpone
from tapegrad.function.vectors import Vector
from tapegrad.implicit.evaluation import joined, shapes_of
from tapegrad.implicit.functions import Function, Use, with_inner
from tapegrad.implicit.inner import Inner
from tapegrad.implicit.solution import Bounds, Found, Layout, Solution
from tapegrad.implicit.solver_rules import scipys_own
from tapegrad.libraries import frames_to_users_code
from tapegrad.record.active import guard_all
from tapegrad.record.array import ActiveArray
from tapegrad.record.called import call
from tapegrad.record.scipy.families import asks, operand
from tapegrad.record.stopping import stop_gradient
from tapegrad.tree import map_leaves

T = TypeVar("T")

TOLERANCE = 1e-8
"""Of the last of Newton's steps, relative to the unknowns; a shorter one is never warned of."""

_HAS_NONE = (NoConvergenceError, SingularSystemError, DegenerateBoundError)

_TOLD = ("success", "status", "message", "nfev", "njev", "nhev", "nit", "nlfev", "method",
         "converged", "flag", "function_calls", "iterations")  # fmt: skip
"""What of SciPy's results is told, in this order, as numbers: of a text its checksum."""

FAILED = len(_TOLD)
"""Where the number is that isn't 0 if there's no derivative."""


# --- the user's functions ---------------------------------------------------------------------


def as_operand(unknowns: Any, result: Any) -> Any:
    """Return what a function returns as a number or an array."""
    return operand(result)


def first_operand(unknowns: Any, result: Any) -> Any:
    """Return the first of the two things that a function returns."""
    return operand(result[0])


def second_operand(unknowns: Any, result: Any) -> Any:
    """Return the second of the two things that a function returns."""
    return operand(result[1])


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
    """

    role: str
    function: Any
    use: Use
    unknowns: tuple[Any, ...]


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
    (role, function, use, unknowns), *others = wanted

    def nested(inner: Function, operands: list[Any]) -> T:
        given = Given(role, inner, operands[len(unknowns) :])
        return with_functions(others, args, kwargs, lambda more: body([given, *more]))

    return with_inner(function, use, unknowns, args, kwargs, nested)


def as_arguments(args: Any) -> tuple[Any, ...]:
    """Return further arguments as SciPy takes them: what is no tuple is one argument."""
    return args if isinstance(args, tuple) else (args,)


def as_start(x: Any) -> Any:
    """Return numbers to start from as an operand; they have derivative zero."""
    return stop_gradient(operand(x)) if np.ndim(x) else stop_gradient(operand(x)) * 1.0


def primal(x: Any) -> Any:
    """Return the plain numbers of an operand."""
    found = primal_of(x)
    return float(found) if np.ndim(found) == 0 else np.asarray(found, np.float64)


# --- how a solver is called -------------------------------------------------------------------


class Outcome(NamedTuple):
    """What SciPy's function returned.

    Attributes
    ----------
    x : array_like
    is_success : bool
    message : str
    items : mapping
        The result's own, by name.
    """

    x: Any
    is_success: bool
    message: str
    items: Mapping[str, Any]


class Settings:
    """What a solver is called with beside: two that have the same content are equal."""

    def __init__(self, keywords: Mapping[str, Any]) -> None:
        self.keywords: dict[str, Any] = {key: map_leaves(_settled, value)
                                         for key, value in keywords.items()}  # fmt: skip
        self._content = freeze(self.keywords)

    def __getitem__(self, key: str) -> Any:
        return self.keywords[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return one, or a default."""
        return self.keywords.get(key, default)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self._content == other._content

    def __hash__(self) -> int:
        return hash(tuple(self.keywords))


def _settled(setting: Any) -> Any:
    """Return a setting as a plain one, under a guard."""
    return setting.value if is_active(setting) else setting


@dataclass(frozen=True)
class SciPyMethod:
    """How SciPy finds a solution.

    Attributes
    ----------
    name : str
        Of scipy.optimize's function.
    equations : Inner
        What vanishes.
    functions : tuple of PlainFunction
        What SciPy is given; the operands of the first are the equations' parameters.
    roles : tuple of str
        The parameters of SciPy's function that get operands.
    settings : Settings
    """

    name: str
    equations: Inner
    functions: tuple[PlainFunction, ...]
    roles: tuple[str, ...]
    settings: Settings

    def run(self, start: Sequence[Vector], parameters: Vector,
            bounds: Bounds | None) -> Outcome:  # fmt: skip
        """Return what SciPy's function does."""
        given: dict[str, Any] = dict(zip(self.roles, map(as_given, start), strict=False))
        rest = [*start[len(self.roles) :]]
        first, *others = self.functions
        if first.role:
            given[first.role] = first.over([parameters])
        for function in others:
            if function.role:
                given[function.role] = function.over(rest[: function.n_operands])
            del rest[: function.n_operands]
        self.prepare(given, parameters, bounds)
        with scipys_own():
            return self.asked({**self.settings.keywords, **given})

    def prepare(self, given: dict[str, Any], parameters: Vector, bounds: Bounds | None) -> None:
        """Add what SciPy's function is given beside."""

    def asked(self, keywords: Mapping[str, Any]) -> Outcome:
        """Return what SciPy's function does."""
        found = scipys(self.name)(**keywords)
        return Outcome(found.x, found.success, found.message, found)

    def found_from(self, x: Vector, parameters: Vector, bounds: Bounds | None) -> Found:
        """Return the solution next to where SciPy stopped."""
        raise NotImplementedError

    def allowed(self, x: Vector, found: Found, parameters: Vector) -> Any:
        """Return how far SciPy's result may be from the solution, for each unknown."""
        raise NotImplementedError

    def solve(self, start: Sequence[Vector], parameters: Vector, bounds: Bounds | None,
              is_strict: bool = False) -> Found:  # fmt: skip
        """Return the solution; where it has no derivative, what SciPy found, or raise."""
        run = self.run(start, parameters, bounds)
        x = np.array(run.x, np.float64).reshape(-1)
        more = np.array([*[_number(run.items.get(key, 0)) for key in _TOLD], 0.0])
        try:
            found = self._checked(run, x, parameters, bounds)
        except _HAS_NONE:
            if is_strict:
                raise
            more[FAILED] = 1.0
            none = np.zeros(len(x))
            found = Found(x, np.full((len(x), len(x)), np.nan), none, none)
        _latest.run = run
        return found._replace(more=more)

    def _checked(self, run: Outcome, x: Vector, parameters: Vector,
                 bounds: Bounds | None) -> Found:  # fmt: skip
        """Return the solution next to SciPy's result; warn if that is too far from it.

        Raises
        ------
        NoConvergenceError
            If SciPy found nothing, and there's none next to that.
        SingularSystemError, DegenerateBoundError
            If it has no derivative.
        """
        name = self.equations_name
        left = self.equations.values(np.concatenate([x, parameters]))
        failure = NoConvergenceError(
            f"scipy.optimize.{self.name} didn't find {name}, so what it returned has no "
            f"derivative: {run.message.strip().rstrip('.')}; have the program ask for that before "
            "it uses it, give a start nearer to the solution, or allow more iterations",
            (float(np.max(np.abs(left), initial=0.0)),), x,
        )  # fmt: skip
        try:
            found = self.found_from(x, parameters, bounds)
        except _HAS_NONE:
            if not run.is_success:
                raise failure from None
            raise
        distance, allowed = np.abs(found.x - x), self.allowed(x, found, parameters)
        limit = np.maximum(allowed, TOLERANCE * np.max(np.abs(found.x)))
        if np.any(distance > limit):
            if not run.is_success:
                raise failure
            k = int(np.argmax(distance - limit))
            warnings.warn(
                f"the last Newton step from where scipy.optimize.{self.name} stopped to {name} is "
                f"{distance[k]:.2g} long, and its tolerance is {limit[k]:.2g}: the value and the "
                "derivatives are those of the solution itself; give a smaller tolerance",
                InaccurateSolutionWarning,
                stacklevel=frames_to_users_code(),
            )
        return found

    @property
    def equations_name(self) -> str:
        """What is solved, for messages."""
        return self.functions[0].inner.name


def scipys(name: str) -> Any:
    """Return a function of scipy.optimize."""
    return getattr(importlib.import_module("scipy.optimize"), name)


def setting(name: str, settings: Mapping[str, Any], key: str) -> Any:
    """Return what a function of SciPy's is called with as a parameter, or the default of that."""
    if key in settings:
        return _settled(settings[key])
    return inspect.signature(scipys(name)).parameters[key].default


def as_given(x: Vector) -> Any:
    """Return an operand as SciPy is given it: a number of no dimensions as a float."""
    return x if x.ndim else float(x)


def _number(thing: Any) -> float:
    if isinstance(thing, str):
        return float(zlib.crc32(thing.encode()))
    return float(thing)


class _Latest(threading.local):
    """What SciPy's function returned last."""

    run: Outcome | None = None


_latest = _Latest()


# --- what is found ----------------------------------------------------------------------------


class SciPySolution(Solution):
    """A solution that SciPy finds; if it has no derivative, using one is an error."""

    method: SciPyMethod

    def has_none(self, results: Sequence[Any]) -> bool:
        """Whether there's no derivative here; that is guarded where it's recorded."""
        more = results[-1]
        if isinstance(more, ActiveArray):
            guard_all(more.tape, more.data["slot"][FAILED:], more.data["value"][FAILED:])
        return bool(primal(more)[FAILED])

    def why(self, operands: Sequence[Any]) -> Exception:
        """Return the error that says why there's no derivative, which is found again."""
        try:
            self.solved(operands, functools.partial(self.method.solve, is_strict=True))
        except _HAS_NONE as error:
            return error
        return NoConvergenceError(f"{self.method.equations_name} has no derivative here", (),
                                  np.array(operands[0]))  # fmt: skip

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints."""
        if not asks(adjoints[0]):
            return [None] * len(operands)
        if self.has_none(results):
            raise self.why(operands)
        return super().pullback(operands, results, adjoints)

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pullback, as calls."""
        if not asks(adjoints[0]):
            return [None] * len(operands)
        if self.has_none(results):
            raise self.why([*map(primal, operands)])
        return super().recorded_pullback(operands, results, adjoints)

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the results' tangents."""
        if self.has_none(results):
            postpone(self.why(operands))
            return self._of_results(np.full(self.layout.n, np.nan))
        return super().pushforward(operands, results, tangents)

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pushforward, as calls."""
        if self.has_none(results):
            why = call(lambda is_active: NoTangent(self, is_active), operands)[0]
            return self._of_results(why)
        return super().recorded_pushforward(operands, results, tangents)


class NoTangent(Block):
    """NaN where a solution has no derivative, which is an error if it's used."""

    def __init__(self, solution: SciPySolution, is_active: tuple[bool, ...]) -> None:
        results = ((solution.layout.n,),)
        super().__init__("no tangent", solution.operand_shapes, results, is_active)
        self._solution = solution

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return NaN."""
        postpone(self._solution.why(operands))
        return [np.full(self._solution.layout.n, np.nan)]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return nothing, or raise."""
        if not asks(adjoints[0]):
            return [None] * len(operands)
        raise self._solution.why([*map(primal, operands)])

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return NaN."""
        return [results[0]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NoTangent) and (
            (other.is_active, other._solution) == (self.is_active, self._solution)
        )

    def __hash__(self) -> int:
        return hash((NoTangent, self._solution))


class Told(NamedTuple):
    """What SciPy's function tells of how it went.

    Attributes
    ----------
    more : array
        Its numbers, which may be others at other points: what is read is guarded.
    run : Outcome
        SciPy's own where it was recorded.
    """

    more: Any
    run: Outcome

    def tells(self, key: str) -> bool:
        """Whether it's a number, a truth value or a text of SciPy's result."""
        return key in _TOLD and key in self.run.items

    def read(self, key: str) -> Any:
        """Return one of these."""
        if isinstance(self.more, ActiveArray):
            data = self.more.data[_TOLD.index(key) :][:1]
            guard_all(self.more.tape, data["slot"], data["value"])
        return self.run.items[key]


def solved(method: SciPyMethod, n: int, starts: Sequence[Any], given: Sequence[Given],
           bounds: Sequence[Any] = ()) -> tuple[Any, Told]:  # fmt: skip
    """Return what a method finds, recorded as a call, and what else SciPy tells.

    Parameters
    ----------
    method : SciPyMethod
    n : int
        How many unknowns there are.
    starts : sequence
        What the method's roles are given.
    given : sequence of Given
        Its functions.
    bounds : sequence, optional
        The lower and the upper ones.
    """
    first, *others = given
    aside = [stop_gradient(x) for function in others for x in function.parameters]
    before = [*map(as_start, starts), *aside]
    operands = [*before, *first.parameters, *bounds]
    layout = Layout(n, bool(bounds), len(before), FAILED + 1)
    shapes = shapes_of(operands)
    found = call(lambda is_active: SciPySolution(method, layout, shapes, is_active), operands)
    run, _latest.run = _latest.run, None
    assert run is not None, "a call was recorded"
    return found[0], Told(found[-1], run)


def plain_functions(given: Sequence[Given]) -> tuple[PlainFunction, ...]:
    """Return functions as a method holds them."""
    return tuple([PlainFunction(role, inner, len(more)) for role, inner, more in given])
