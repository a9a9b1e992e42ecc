"""Newton's method for equations: damped where it has to be, and checked where it ends.

Steps are shortened until the step that would follow is shorter (the natural monotonicity test of
P. Deuflhard, *Newton Methods for Nonlinear Problems*, 2004, section 3.3, which no scaling of
equations or unknowns changes); where the Jacobian is singular, Levenberg's and Marquardt's are
taken in their place. The tolerance is of the last step, which is taken: as steps shrink
quadratically, what is left is far below it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from tapegrad.blocks import Array
from tapegrad.errors import (
    InaccurateSolutionWarning,
    NoConvergenceError,
    SingularSystemError,
    StructureError,
)
from tapegrad.function.vectors import Vector
from tapegrad.implicit.inner import Inner
from tapegrad.implicit.solution import Bounds, Found
from tapegrad.libraries import frames_to_user

EPS, TINY = float(np.finfo(float).eps), float(np.finfo(float).tiny)
SMALL = 1e-8
"""Unknowns that are smaller than this fraction of the largest one needn't have its precision."""

_SHORTEST = 2.0**-10
MOST_POLISHING = 8
"""The most steps that are taken from where another solver stopped."""

_LARGEST_CONDITION = 1e14
_LARGEST_CHANGE = 0.1
"""Of the last step, as the Jacobian changes: where solutions meet, by as much as it is."""

Values = Callable[[Vector], Vector]
Matrix = Callable[[Vector], Array]


class LastStep(NamedTuple):
    """Where the last step led, the step, and the Jacobian where it began."""

    x: Vector
    step: Vector
    matrix: Array


class NewtonMethod(NamedTuple):
    """How equations are solved.

    Attributes
    ----------
    equations : Inner
    tol : float
        The largest last step, relative to the unknowns.
    maxiter : int
    solver : callable or None
        The user's, if not this one.
    """

    equations: Inner
    tol: float
    maxiter: int
    solver: Callable[..., Any] | None

    def solve(self, start: Sequence[Vector], parameters: Vector, bounds: Bounds | None) -> Found:
        """Return the solution."""
        (first,) = start
        equations = Equations(self.equations, parameters, len(first))
        if self.solver is None:
            return equations.root_from(first, self.tol, self.maxiter, [])
        name = self.equations.name
        x, history = asked(self.solver, name, equations.residual, first, equations.jacobian)
        found = equations.root_from(x, self.tol, MOST_POLISHING, history)
        warn_if_far(found.x, x, first, self.tol, name)
        return found


class Equations(NamedTuple):
    """Equations at given parameters.

    Attributes
    ----------
    inner : Inner
    parameters : ndarray
    n : int
        How many unknowns there are.
    """

    inner: Inner
    parameters: Vector
    n: int

    def residual(self, x: Vector) -> Vector:
        """Return what is to vanish."""
        return self.inner.values(np.concatenate([x, self.parameters]))

    def jacobian(self, x: Vector) -> Array:
        """Return its derivatives by the unknowns."""
        return self.inner.jacobian(np.concatenate([x, self.parameters]), self.n)

    def root_from(self, x: Vector, tol: float, most: int, history: list[float]) -> Found:
        """Return the root that Newton's method leads to, in so many steps."""
        name = self.inner.name
        last = newton(self.residual, self.jacobian, x, tol, most, history, name)
        inverse = inverse_of(self.jacobian(last.x), name)
        refuse_change(last.step - inverse @ (last.matrix @ last.step), last, name)
        none = np.zeros(self.n)
        return Found(last.x, inverse, none, none)


def asked(solver: Callable[..., Any], name: str, function: Any, start: Vector,
          *more: Any) -> tuple[Vector, list[float]]:  # fmt: skip
    """Return what a user's solver finds, and its residual.

    Raises
    ------
    NoConvergenceError
        If it says that it found nothing.
    """
    found = solver(function, start.copy(), *more)
    x = np.array(getattr(found, "x", found), np.float64).reshape(-1)
    if len(x) != len(start):
        raise StructureError(
            f"the solver returned {len(x)} numbers for the {len(start)} unknowns: return "
            "the solution as one array, or an object with it as `x`, as scipy.optimize's results"
        )
    history = [float(np.max(np.abs(function(x))))]
    if not getattr(found, "success", True):
        message = getattr(found, "message", "no message")
        raise NoConvergenceError(f"the solver didn't find {name}: {message}",
                                 tuple(history), x)  # fmt: skip
    return x, history


def warn_if_far(end: Vector, x: Vector, start: Vector, tol: float, name: str) -> None:
    """Warn if a solver's point is further from the solution than the tolerance."""
    step = float(np.max(np.abs(end - x)))
    scale = max(float(np.max(np.abs(end))), float(np.max(np.abs(start))))
    if step > tol * scale:
        warnings.warn(
            f"the last Newton step to {name} is {step:.2g} long, and the tolerance is {tol:g} of "
            f"{scale:.2g}: let the solver be more precise, or give a larger `tol`",
            InaccurateSolutionWarning,
            stacklevel=frames_to_user() + 1,
        )


def relative(step: Vector, x: Vector) -> float:
    """Return the largest of a step's numbers, each relative to its unknown."""
    return float((abs(step) / scale_of(x)).max())


def scale_of(x: Vector) -> Vector:
    """Return the sizes of unknowns."""
    sizes = abs(x)
    found: Vector = np.maximum(sizes, SMALL * sizes.max() + TINY)
    return found


def newton(residual: Values, jacobian: Matrix, x: Vector, tol: float, most: int,
           history: list[float], name: str) -> LastStep:  # fmt: skip
    """Return where Newton's method leads, in so many steps, and its last step."""
    lengths: list[float] = []
    r = residual(x)
    for _ in range(most):
        history.append(float(abs(r).max()))
        if not math.isfinite(history[-1]):
            break
        matrix = jacobian(x)
        inverse = _quick_inverse(matrix)
        if inverse is None:
            if history[-1] <= 100 * EPS * float(np.max(np.abs(matrix) @ np.abs(x))):
                raise singular(name)
        else:
            step = -inverse @ r
            lengths.append(math.hypot(*step))
            if relative(step, x + step) <= tol:
                return LastStep(x + step, step, matrix)
        moved = None if inverse is None else _damped(residual, x, step, inverse)
        moved = _regularised(residual, x, r, matrix) if moved is None else moved
        if moved is None:
            break
        x, r = moved
    if len(lengths) > 3 and all(0.2 < b / a < 0.9 for a, b in pairwise(lengths[-4:])):
        raise singular(name)  # steps that shrink no faster lead to where solutions meet
    raise NoConvergenceError(
        f"Newton's method doesn't find {name} in {len(history)} steps: give a start point nearer "
        "to it, a larger `maxiter`, or a solver of your own",
        tuple(history), x,
    )  # fmt: skip


def _damped(residual: Values, x: Vector, step: Vector,
            inverse: Array) -> tuple[Vector, Vector] | None:  # fmt: skip
    """Return a point on the way along a step, and its residual; None if none is better."""
    scale = np.maximum(abs(x), abs(x + step)) + TINY
    length, share = math.hypot(*(step / scale)), 1.0
    while share >= _SHORTEST:
        there = x + share * step
        r = residual(there)
        if math.hypot(*(inverse @ r / scale)) <= (1.0 - share / 4) * length:  # no NaN is
            return there, r
        share /= 2
    return None


def _regularised(residual: Values, x: Vector, r: Vector,
                 matrix: Array) -> tuple[Vector, Vector] | None:  # fmt: skip
    """Return a point of smaller residual, by Levenberg's and Marquardt's step; None if none is."""
    rows = 1.0 / np.maximum(np.max(np.abs(matrix), axis=1), TINY)
    scaled, right = rows[:, None] * matrix, rows * r
    normal: Array = scaled.T @ scaled
    slope = scaled.T @ right
    diagonal = np.diag(np.maximum(np.diag(normal), EPS * np.max(np.diag(normal))))
    weight = 1e-6
    while weight < 1e9:
        try:
            there = x - np.linalg.solve(normal + weight * diagonal, slope)
        except np.linalg.LinAlgError:
            return None
        found = residual(there)
        if np.linalg.norm(rows * found) < (1.0 - 1e-4) * np.linalg.norm(right):
            return there, found
        weight *= 10.0
    return None


def _quick_inverse(matrix: Array) -> Array | None:
    """Return the inverse of a matrix, however near it is to having none; None if it has none."""
    try:
        found: Array = np.asarray(np.linalg.inv(matrix), np.float64)
    except np.linalg.LinAlgError:
        return None
    return found if math.isfinite(found.sum()) else None


def _inverse(matrix: Array) -> Array | None:
    """Return the inverse of a matrix; None if it has none, whatever the scales of its rows."""
    rows, columns = np.max(np.abs(matrix), axis=1), np.max(np.abs(matrix), axis=0)
    if not np.isfinite(matrix).all() or not (rows.all() and columns.all()):
        return None
    scaled = matrix / rows[:, None]
    columns = np.max(np.abs(scaled), axis=0)
    scaled = scaled / columns
    try:
        inverse = np.linalg.inv(scaled)
    except np.linalg.LinAlgError:
        return None
    if not np.linalg.norm(scaled, 1) * np.linalg.norm(inverse, 1) < _LARGEST_CONDITION:
        return None
    found: Array = inverse / columns[:, None] / rows
    return found


def inverse_of(matrix: Array, name: str) -> Array:
    """Return the inverse of a Jacobian.

    Raises
    ------
    SingularSystemError
        If there is none.
    """
    found = _inverse(matrix)
    if found is None:
        raise singular(name)
    return found


def refuse_change(change: Vector, last: LastStep, name: str) -> None:
    """Raise SingularSystemError if the last step was no Newton step of where it led.

    `change` is what it differs by from the step that the Jacobian there means, of the same
    residual: twice the step that would follow.
    """
    if relative(change, last.x) > _LARGEST_CHANGE * relative(last.step, last.x):
        raise singular(name)


def singular(name: str) -> SingularSystemError:
    """Return the error for a singular Jacobian."""
    return SingularSystemError(
        f"{name} has no derivative: the equations' Jacobian is singular there, so they don't say "
        "how it moves; leave out what is redundant, or move away from where solutions meet"
    )
