"""Newton's method for minima between bounds, and what a minimum must be to have a derivative.

Unknowns on a bound that the slope presses against stay there; the others take Newton's step, with
the Hessian's negative curvatures turned round, and are stopped at bounds (D. Bertsekas, *Projected
Newton Methods for Optimization Problems with Simple Constraints*, SIAM J. Control Optim. 20, 1982).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tapegrad.blocks import Array
from tapegrad.errors import DegenerateBoundError, NoConvergenceError, SingularSystemError
from tapegrad.function.vectors import Vector
from tapegrad.implicit.inner import Inner
from tapegrad.implicit.newton import (
    EPS,
    SMALL,
    LastStep,
    asked,
    inverse_of,
    refuse_change,
    relative,
    scale_of,
    warn_if_far,
)
from tapegrad.implicit.solution import Bounds, Found

MOST_DESCENTS = 20
"""The most steps that are taken from where another solver stopped."""

_SHORTEST = 2.0**-40
_DEGENERATE = 1e-10
"""How near to a bound, or to leaving it, an unknown must not be, relative to its size."""


class MinimumMethod(NamedTuple):
    """How a minimum is found.

    Attributes
    ----------
    objective : Inner
    equations : Inner
        The objective's gradient by the unknowns.
    tol : float
        The largest last step, relative to the unknowns.
    maxiter : int
    solver : callable or None
        The user's, if not this one.
    is_differentiated : bool
        Whether it's to have a derivative.
    """

    objective: Inner
    equations: Inner
    tol: float
    maxiter: int
    solver: Callable[..., Any] | None
    is_differentiated: bool

    def solve(self, start: Sequence[Vector], parameters: Vector, bounds: Bounds | None) -> Found:
        """Return the solution."""
        (first,) = start
        name = self.objective.name
        within = Problem(self.objective, self.equations, parameters, len(first), bounds)
        if self.solver is None:
            x, history, most = first, list[float](), self.maxiter
        else:
            pairs = [] if bounds is None else [np.stack(bounds, axis=1)]
            function, slope = within.value, within.gradient
            x, _ = asked(self.solver, name, function, first, slope, *pairs)
            history, most = [float(np.max(np.abs(slope(x))))], MOST_DESCENTS
        last = within.descend(x, self.tol, most, history)
        if self.solver is not None:
            warn_if_far(last.x, x, first, self.tol, name)
        return within.found(last, self.is_differentiated)


class Problem:
    """An objective and its derivatives, at given parameters, between bounds."""

    def __init__(self, objective: Inner, equations: Inner, parameters: Vector, n: int,
                 bounds: Bounds | None) -> None:  # fmt: skip
        self._objective, self._equations, self._parameters = objective, equations, parameters
        self._name = objective.name
        self._lower, self._upper = bounds or Bounds(np.full(n, -np.inf), np.full(n, np.inf))
        if np.any(self._lower > self._upper):
            raise ValueError(f"a lower bound of {self._name} is above the upper one")

    def _inputs(self, x: Vector) -> Vector:
        return np.concatenate([x, self._parameters])

    def value(self, x: Vector) -> float:
        """Return the objective."""
        return float(self._objective.values(self._inputs(x))[0])

    def gradient(self, x: Vector) -> Vector:
        """Return the objective's gradient."""
        return self._equations.values(self._inputs(x))

    def hessian(self, x: Vector) -> Array:
        """Return the objective's Hessian."""
        return self._equations.jacobian(self._inputs(x), len(x))

    def _pressed(self, x: Vector, slope: Vector) -> tuple[Any, Any]:
        """Return which unknowns the slope presses against their bounds."""
        at_lower = (x <= self._lower) & ((slope > 0.0) | (self._lower == self._upper))
        return at_lower, (x >= self._upper) & (slope < 0.0) & ~at_lower

    def _clipped(self, x: Vector) -> Vector:
        return np.clip(x, self._lower, self._upper)

    def descend(self, x: Vector, tol: float, most: int,
                history: list[float]) -> LastStep:  # fmt: skip
        """Return the minimum, and how it was reached."""
        x = self._clipped(x)
        value = self.value(x)
        for _ in range(most):
            slope = self.gradient(x)
            free = ~np.logical_or(*self._pressed(x, slope))
            history.append(float(np.max(np.abs(slope[free]), initial=0.0)))
            if not np.isfinite(value) or not np.isfinite(slope).all():
                break
            hessian = self.hessian(x)
            if not free.any():
                return LastStep(x, np.zeros_like(x), hessian)
            step, is_convex = _step(slope, hessian, free)
            there = self._clipped(x + step)
            if is_convex and relative(there - x, there) <= tol:
                return LastStep(there, there - x, hessian)
            found = self._lower_point(x, value, slope, step)
            if found is None:
                scaled = np.where(free, -slope / np.maximum(np.abs(np.diag(hessian)), SMALL), 0.0)
                found = self._lower_point(x, value, slope, scaled)
            if found is None:
                break
            x, value = found
        raise NoConvergenceError(
            f"Newton's method doesn't find {self._name} in {len(history)} steps: give a start "
            "point nearer to it, a larger `maxiter`, or a solver of your own",
            tuple(history), x,
        )  # fmt: skip

    def _lower_point(self, x: Vector, value: float, slope: Vector,
                     step: Vector) -> tuple[Vector, float] | None:  # fmt: skip
        """Return a point along a step where the objective is lower, and its value there."""
        share = 1.0
        while share >= _SHORTEST:
            there = self._clipped(x + share * step)
            found = self.value(there)
            # Near the minimum the values differ by rounding only.
            if found <= value + 1e-4 * float(slope @ (there - x)) + 4 * EPS * abs(value):
                return (there, found) if (there != x).any() else None
            share /= 2
        return None

    # --- what it must be --------------------------------------------------------------------------

    def found(self, last: LastStep, is_differentiated: bool) -> Found:
        """Return the solution with what its derivatives need.

        Raises
        ------
        SingularSystemError
            If the Hessian isn't positive definite on the unknowns that are on no bound.
        DegenerateBoundError
            If an unknown is on a bound, or next to it, and nothing presses it there.
        """
        x = last.x
        slope, hessian = self.gradient(x), self.hessian(x)
        lower, upper = self._pressed(x, slope)
        free = ~(lower | upper)
        inverse, n = np.zeros_like(hessian), np.flatnonzero(free)
        if len(n):
            within = np.ix_(n, n)
            part = hessian[within]
            inverse[within] = inverse_of((part + part.T) / 2, self._name)
            if np.min(np.linalg.eigvalsh(part)) <= 0.0:
                raise SingularSystemError(
                    f"what was found isn't {self._name}: the Hessian has negative curvatures on "
                    "the unknowns that are on no bound; start elsewhere"
                )
            step = np.where(free, last.step, 0.0)
            refuse_change(step - inverse @ (last.matrix @ step), last, self._name)
        if is_differentiated:
            self.refuse_degenerate(x, slope, hessian, free)
        return Found(x, inverse, lower.astype(np.float64), upper.astype(np.float64))

    def refuse_degenerate(self, x: Vector, slope: Vector, hessian: Array, free: Any) -> None:
        """Raise DegenerateBoundError if an unknown is on a bound, and nothing presses it there."""
        scale = _DEGENERATE * scale_of(x)
        curvature = np.abs(np.diag(hessian))
        noise = 100 * EPS * (np.abs(hessian) @ np.abs(x))
        is_near = (x - self._lower <= scale) | (self._upper - x <= scale)
        is_fixed = self._lower == self._upper
        is_slack = free | (np.abs(slope) <= np.maximum(curvature * scale, noise))
        for k in np.flatnonzero(is_near & is_slack & ~is_fixed):
            raise DegenerateBoundError(
                f"{self._name} has unknown {k} on a bound, {x[k]:g}, and a slope of "
                f"{slope[k]:.2g} there: it would stay if the bound were not there, so its "
                "derivative to one side is zero and to the other isn't; move the bound or the "
                "parameters"
            )


def _step(slope: Vector, hessian: Array, free: Any) -> tuple[Vector, bool]:
    """Return Newton's step of the free unknowns, and whether the curvatures are all positive."""
    n = np.flatnonzero(free)
    part = hessian[np.ix_(n, n)]
    diagonal = np.abs(np.diag(part))
    scale = 1.0 / np.sqrt(np.maximum(diagonal, SMALL * (np.max(diagonal) or 1.0)))
    curvatures, ways = np.linalg.eigh(scale[:, None] * (part + part.T) / 2 * scale)
    least = SMALL * float(np.max(np.abs(curvatures))) if curvatures.any() else 1.0
    along = ways.T @ (scale * slope[n])
    is_convex = bool(curvatures[0] > -least)
    if not is_convex and np.max(np.abs(along)) <= SMALL * abs(curvatures[0]):
        along[0] = -abs(curvatures[0])  # on a saddle: down, to either side
    step = np.zeros(len(slope))
    step[n] = -scale * (ways @ (along / np.maximum(np.abs(curvatures), least)))
    return step, is_convex
