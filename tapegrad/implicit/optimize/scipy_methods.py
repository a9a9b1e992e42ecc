"""SciPy's solvers as methods that find solutions.

A solver runs on plain numbers, on the user's functions as inner ones; from where it stops Newton's
steps lead to the solution itself, which is what the derivatives are of.
"""

from __future__ import annotations

import importlib
import inspect
import threading
import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tapegrad.errors import (
    DegenerateBoundError,
    InaccurateSolutionWarning,
    NoConvergenceError,
    SingularSystemError,
)
from tapegrad.function.content import freeze, is_active
from tapegrad.function.vectors import Vector
from tapegrad.implicit.inner import Inner
from tapegrad.implicit.optimize.given_functions import PlainFunction
from tapegrad.implicit.solution import Bounds, Found
from tapegrad.implicit.solver_rules import depends, scipys_own
from tapegrad.libraries import frames_to_users_code
from tapegrad.record.nesting import unsettle
from tapegrad.record.scipy.recognised import no_rule
from tapegrad.tree import map_leaves

TOLERANCE = 1e-8
"""Of the last of Newton's steps, relative to the unknowns; a shorter one is never warned of."""

HAVE_NONE = (NoConvergenceError, SingularSystemError, DegenerateBoundError)
"""What is raised of solutions that have no derivative."""

TOLD = ("success", "status", "message", "nfev", "njev", "nhev", "nit", "nlfev", "method",
        "converged", "flag", "function_calls", "iterations")  # fmt: skip
"""What of SciPy's results is told, in this order, as numbers: of a text its checksum."""

FAILED = len(TOLD)
"""Where the number is that isn't 0 if there's no derivative."""


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
        self.keywords: dict[str, Any] = settled(dict(keywords))
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


def settled(settings: Any) -> Any:
    """Return settings as plain ones, under guards: they don't move a solution.

    What a callback makes of the numbers it's given nobody sees: there's a recording a call.
    """
    callback = settings.get("callback") if isinstance(settings, dict) else None
    if callback is not None:
        if depends(callback):
            raise no_rule("a callback of SciPy's solvers that closes over active numbers",
                          "have it close over plain ones, x.value, or ")  # fmt: skip
        unsettle()
    return map_leaves(lambda leaf: leaf.value if is_active(leaf) else leaf, settings)


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

    def unknowns_of(self, x: Vector, parameters: Vector) -> Vector:
        """Return what is unknown, where SciPy found some of it."""
        return x

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
        x = self.unknowns_of(np.array(run.x, np.float64).reshape(-1), parameters)
        more = np.array([*[_number(run.items.get(key, 0)) for key in TOLD], 0.0])
        try:
            found = self._checked(run, x, parameters, bounds)
        except HAVE_NONE:
            if is_strict:
                raise
            more[FAILED] = 1.0
            none = np.zeros(len(x))
            found = Found(x, np.full((len(x), len(x)), np.nan), none, none)
        LATEST.run = run
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
            f"derivative: {' '.join(run.message.split()).rstrip('.')}; have the program ask for "
            "that before it uses it, give a start nearer to the solution, or allow more iterations",
            (float(np.max(np.abs(left), initial=0.0)),), x,
        )  # fmt: skip
        try:
            found = self.found_from(x, parameters, bounds)
        except HAVE_NONE as error:
            if not run.is_success:
                raise failure from None
            if not isinstance(error, NoConvergenceError):
                raise
            raise NoConvergenceError(
                f"scipy.optimize.{self.name} found {name}, but Newton's method doesn't from there, "
                "so it has no derivative: at a kink, as that of `abs`, there is none to be had "
                "(write `np.sqrt(r**2 + 1e-12)` for `abs(r)`); or give a smaller tolerance",
                error.residuals, x,
            ) from None  # fmt: skip
        n = np.size(run.x)
        distance, allowed = np.abs(found.x - x)[:n], self.allowed(x, found, parameters)
        limit = np.maximum(allowed, np.full(n, TOLERANCE * np.max(np.abs(found.x))))
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
        return settled(settings[key])
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


LATEST = _Latest()
