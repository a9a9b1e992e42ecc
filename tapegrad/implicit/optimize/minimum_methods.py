"""SciPy's minimisers as methods that find minima, and what their tolerances mean.

A minimum that SciPy stopped at is as near as it was to be if what it was asked for holds of the
unknowns, or of the slope, or of the objective: solvers stop by whichever comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tapegrad.errors import NotScalarError
from tapegrad.function.vectors import Vector
from tapegrad.implicit.descent import MOST_DESCENTS, Problem
from tapegrad.implicit.evaluation import evaluated
from tapegrad.implicit.functions import Use
from tapegrad.implicit.inner import Inner
from tapegrad.implicit.optimize.given_functions import (
    Given,
)
from tapegrad.implicit.optimize.scipy_methods import (
    TOLERANCE,
    SciPyMethod,
)
from tapegrad.implicit.solution import Bounds, Found
from tapegrad.record.scipy.families import operand

SLACK = 10.0
"""How many tolerances a result may be away from the minimum."""


class Tolerances(NamedTuple):
    """What a solver is asked for: absolute but for `relative`, and for the objective's."""

    of_x: float = 0.0
    relative: float = 0.0
    of_slope: float = 0.0
    of_value: float = 0.0

    def asked(self, tol: Any, options: Mapping[str, Any]) -> Tolerances:
        """Return what they are with a call's own."""
        found = self if tol is None else Tolerances(*[tol if part else 0.0 for part in self])
        return Tolerances(*[
            next((float(options[key]) for key in keys if options.get(key) is not None), part)
            for keys, part in zip(_OPTIONS, found, strict=True)
        ])  # fmt: skip


_OPTIONS = (("xatol", "tol", "final_tr_radius"), ("xtol", "xrtol"), ("gtol",), ("fatol", "ftol"))


@dataclass(frozen=True)
class MinimumOfSciPys(SciPyMethod):
    """How SciPy finds a minimum.

    Attributes
    ----------
    objective : Inner
    tolerances : Tolerances
    gradient : str
        The parameter of SciPy's function that gets the exact gradient, if one does.
    """

    objective: Inner
    tolerances: Tolerances
    gradient: str = ""

    def problem(self, parameters: Vector, n: int, bounds: Bounds | None) -> Problem:
        """Return what is minimised."""
        return Problem(self.objective, self.equations, parameters, n, bounds)

    def prepare(self, given: dict[str, Any], parameters: Vector, bounds: Bounds | None) -> None:
        """Add the exact gradient and the bounds, which SciPy's function is given, too."""
        if self.gradient:
            n = np.size(given["x0"])
            given[self.gradient] = self.problem(parameters, n, bounds).gradient
        if bounds is not None:
            given["bounds"] = self.as_given_bounds(bounds)

    def as_given_bounds(self, bounds: Bounds) -> Any:
        """Return bounds as SciPy's function is given them."""
        return [*zip(*bounds, strict=True)]

    def found_from(self, x: Vector, parameters: Vector, bounds: Bounds | None) -> Found:
        """Return the minimum next to where SciPy stopped."""
        problem = self.problem(parameters, len(x), bounds)
        return problem.found(problem.descend(x, TOLERANCE, MOST_DESCENTS, []), True)

    def allowed(self, x: Vector, found: Found, parameters: Vector) -> Any:
        """Return how far SciPy's result may be from the solution, for each unknown."""
        problem, asked = self.problem(parameters, len(x), None), self.tolerances
        slope = np.where(found.at_lower + found.at_upper > 0.0, 0.0, problem.gradient(x))
        size = max(1.0, abs(problem.value(found.x)))
        if (
            np.max(np.abs(slope), initial=0.0) <= SLACK * asked.of_slope
            or abs(slope @ found.inverse @ slope) / 2 <= SLACK * asked.of_value * size
        ):
            return np.inf
        return SLACK * (asked.of_x + asked.relative * np.max(np.abs(found.x)))


# --- objectives -------------------------------------------------------------------------------


def as_number(unknowns: Any, result: Any) -> Any:
    """Return what an objective returns, an array of one element as a number."""
    found = operand(result)
    if np.size(found) != 1:
        raise NotScalarError(f"an objective returns one number, not {np.shape(found)} of them")
    return found.reshape(-1)[0] if np.ndim(found) else found


def first_number(unknowns: Any, result: Any) -> Any:
    """Return the first of the two things that an objective returns with its gradient."""
    return as_number(unknowns, result[0])


USE = Use("the minimum", as_number)
FIRST = Use("the minimum", first_number)


def value_at(given: Given, x: Any) -> Any:
    """Return an objective at a minimum."""
    return evaluated(given.inner, [x, *given.parameters])[0]


def slope_at(given: Given, x: Any) -> Any:
    """Return an objective's gradient at a minimum."""
    return evaluated(given.inner.gradient(np.size(x)), [x, *given.parameters])


def curvature_at(given: Given, x: Any) -> Any:
    """Return an objective's Hessian at a minimum."""
    return jacobian_of(given.inner.gradient(np.size(x)), x, given.parameters)


def jacobian_of(inner: Inner, x: Any, parameters: list[Any]) -> Any:
    """Return the Jacobian of an inner function by its first inputs, recorded."""
    n = np.size(x)
    still = [np.zeros(np.shape(part)) for part in parameters]
    return np.stack(
        [evaluated(inner.pushed, [x, *parameters, way, *still]) for way in np.eye(n)], axis=1
    )
