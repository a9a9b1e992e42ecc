"""Minima under constraints that SciPy finds, by the conditions of Karush, Kuhn and Tucker.

With slacks s the constraints are equations c(x) = s and bounds of s; so a constrained minimum is
a point (x, s, y) where the slope of f(x) + y (c(x) - s) vanishes but for the unknowns x and slacks
s that are held by a bound. Which are is found from where SciPy stopped, and tried: nothing that is
held may be pulled off its bound, and nothing that is free may be beyond one.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tapegrad.blocks import Array
from tapegrad.errors import NoConvergenceError, SingularSystemError
from tapegrad.function.vectors import Vector, join
from tapegrad.implicit.descent import MOST_DESCENTS
from tapegrad.implicit.functions import Use
from tapegrad.implicit.newton import inverse_of, newton, refuse_change
from tapegrad.implicit.optimize.given_functions import OfUnknowns, as_operand, of
from tapegrad.implicit.optimize.minimum_methods import SLACK, MinimumOfSciPys, as_number
from tapegrad.implicit.optimize.scipy_methods import TOLERANCE
from tapegrad.implicit.solution import Bounds, Found
from tapegrad.record.numba.rewriting import taking_active
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import is_sparse

CONSTRAINT = Use("a constraint", as_operand)

_NEAR = 1e-5
"""How near to its bound what is held must be, relative to it, where SciPy stopped."""

_MOST_CHANGES = 20
"""Of what is held."""


class Constraint(NamedTuple):
    """A constraint of the user's.

    Attributes
    ----------
    kind : str
        How SciPy is given it: ``"eq"``, ``"ineq"``, ``"linear"`` or ``"nonlinear"``.
    function : callable
        Of the unknowns alone.
    lower, upper : number or array
        What it must be between.
    """

    kind: str
    function: Any
    lower: Any
    upper: Any


def called(function: Any, args: tuple[Any, ...], x: Any) -> Any:
    """Return what a constraint is with its own arguments."""
    return taking_active(function)(x, *args)


def linear(matrix: Any, x: Any) -> Any:
    """Return what a linear constraint is."""
    return matrix @ x


def constraints_of(given: Any) -> list[Constraint]:
    """Return constraints in whatever form SciPy takes them."""
    is_one = isinstance(given, dict) or hasattr(given, "lb")
    return [_constraint(one) for one in ([given] if is_one else given)]


def _constraint(given: Any) -> Constraint:
    if isinstance(given, dict):
        kind, args = given["type"].lower(), given.get("args", ())
        function = of(called, given["fun"], args) if args else given["fun"]
        return Constraint(kind, function, 0.0, 0.0 if kind == "eq" else np.inf)
    if hasattr(given, "fun"):
        return Constraint("nonlinear", given.fun, given.lb, given.ub)
    matrix = given.A.toarray() if is_sparse(given.A) else given.A
    return Constraint("linear", functools.partial(linear, matrix), given.lb, given.ub)


def lagrangian(fun: Any, n: int, is_pair: bool, constraints: tuple[Any, ...], unknowns: Any,
               *args: Any) -> Any:  # fmt: skip
    """Return the objective with the constraints, of unknowns, slacks and multipliers."""
    x = unknowns[:n]
    found = taking_active(fun)(x, *args)
    values = join([operand(taking_active(one)(x)) for one in constraints])
    m = len(values)
    total = as_number((), found[0] if is_pair else found)
    return total + np.sum(unknowns[n + m :] * (values - unknowns[n : n + m]))


def limits_with(constraints: list[Constraint], sizes: list[int], within: list[Any],
                n: int) -> list[Any]:  # fmt: skip
    """Return the bounds of unknowns, slacks and multipliers."""
    free = np.full(sum(sizes), np.inf)
    lower, upper = within or [np.full(n, -np.inf), np.full(n, np.inf)]
    pairs = [*zip(constraints, sizes, strict=True)]
    least = [operand(one.lower) + np.zeros(size) for one, size in pairs]
    most = [operand(one.upper) + np.zeros(size) for one, size in pairs]
    return [join([lower, *least, -free]), join([upper, *most, free])]


@dataclass(frozen=True)
class ConstrainedMinimum(MinimumOfSciPys):
    """How SciPy finds a minimum under constraints; its first function is the Lagrangian.

    Attributes
    ----------
    n : int
        How many of the unknowns are the user's.
    kinds : tuple of str
        Those of the constraints; the functions after the second are theirs.
    is_bounded : bool
        Whether SciPy is given bounds.
    """

    n: int = 0
    kinds: tuple[str, ...] = ()
    is_bounded: bool = False

    @property
    def m(self) -> int:
        """How many numbers the constraints are together."""
        return (self.equations.n_outputs - self.n) // 2

    def prepare(self, given: dict[str, Any], parameters: Vector, bounds: Bounds | None) -> None:
        """Add what SciPy's function is given beside."""
        assert bounds is not None, "slacks have bounds"
        own, n, start = self.functions[1:], self.n, self.n
        constraints = []
        for function, kind in zip(own[1 : 1 + len(self.kinds)], self.kinds, strict=True):
            plain, stop = given.pop(function.role), start + function.inner.n_outputs
            limits = bounds.lower[start:stop], bounds.upper[start:stop]
            constraints.append(_as_scipys(kind, plain, *limits, given["x0"]))
            start = stop
        given["constraints"] = constraints
        if self.gradient:
            objective = given[own[0].role]
            given[self.gradient] = lambda x: objective.jacobian(x).reshape(-1)
        if self.is_bounded:
            given["bounds"] = self.as_given_bounds(Bounds(*[part[:n] for part in bounds]))

    def unknowns_of(self, x: Vector, parameters: Vector) -> Vector:
        """Return the user's unknowns, the slacks and the multipliers, which are zero."""
        still = np.zeros(2 * self.m)
        slacks = self.equations.values(np.concatenate([x, still, parameters]))[self.n + self.m :]
        return np.concatenate([x, slacks, np.zeros(self.m)])

    def found_from(self, x: Vector, parameters: Vector, bounds: Bounds | None) -> Found:
        """Return the minimum next to where SciPy stopped."""
        assert bounds is not None, "slacks have bounds"
        conditions = _Conditions(self, parameters, bounds)
        return conditions.found(x)

    def allowed(self, x: Vector, found: Found, parameters: Vector) -> Any:
        """Return how far SciPy's result may be from the solution, for each unknown."""
        asked, change = self.tolerances, found.x - x
        with_multipliers = np.concatenate([x[: self.n + self.m], found.x[self.n + self.m :]])
        slope = self.problem(parameters, len(x), None).gradient(with_multipliers)[: self.n]
        size = max(1.0, abs(self.objective.values(np.concatenate([found.x, parameters]))[0]))
        decrease = abs(slope @ change[: self.n]) / 2
        if (
            np.max(np.abs(slope), initial=0.0) <= SLACK * asked.of_slope
            or decrease <= SLACK * asked.of_value * size
        ):
            return np.inf
        return SLACK * (asked.of_x + asked.relative * np.max(np.abs(found.x)))


def _as_scipys(kind: str, function: OfUnknowns, lower: Vector, upper: Vector, x0: Vector) -> Any:
    """Return a constraint on plain numbers."""
    if kind in ("eq", "ineq"):
        return {"type": kind, "fun": function, "jac": function.jacobian}
    optimize = importlib.import_module("scipy.optimize")
    if kind == "linear":
        return optimize.LinearConstraint(function.jacobian(x0), lower, upper)
    return optimize.NonlinearConstraint(function, lower, upper, jac=function.jacobian)


class _Conditions:
    """The conditions of a constrained minimum, at given parameters."""

    def __init__(self, method: ConstrainedMinimum, parameters: Vector, bounds: Bounds) -> None:
        self._n, self._m, self._name = method.n, method.m, method.equations_name
        self._bounds = bounds
        self._is_fixed = bounds.lower == bounds.upper
        self._problem = method.problem(parameters, method.n + 2 * method.m, bounds)

    def found(self, unknowns: Vector) -> Found:
        """Return the minimum next to a point."""
        lower, upper = self._bounds
        near = _NEAR * np.maximum(1.0, np.abs(unknowns))
        at_lower = unknowns - lower <= near
        at_upper = (upper - unknowns <= near) & ~at_lower
        for _ in range(_MOST_CHANGES):
            held = at_lower | at_upper
            unknowns = np.where(at_lower, lower, np.where(at_upper, upper, unknowns))
            unknowns = self._with_multipliers(unknowns, held)
            unknowns, inverse = self._solved(unknowns, held)
            slope = self._problem.gradient(unknowns)
            pulled = ~self._is_fixed & ((at_lower & (slope < 0.0)) | (at_upper & (slope > 0.0)))
            rounding = TOLERANCE * np.maximum(1.0, np.abs(unknowns))
            below, above = unknowns < lower - rounding, unknowns > upper + rounding
            if not (pulled | below | above).any():
                hessian = self._problem.hessian(unknowns)
                self._check(unknowns, slope, hessian, held)
                return Found(unknowns, inverse, at_lower.astype(float), at_upper.astype(float))
            at_lower, at_upper = (at_lower & ~pulled) | below, (at_upper & ~pulled) | above
        raise NoConvergenceError(
            f"which constraints hold at {self._name} isn't found: give a smaller tolerance",
            (float(np.max(np.abs(slope[~held]), initial=0.0)),), unknowns,
        )  # fmt: skip

    def _with_multipliers(self, unknowns: Vector, held: Any) -> Vector:
        """Return the point with the multipliers that fit it best."""
        n, m = self._n, self._m
        moving, kept = np.flatnonzero(~held[:n]), np.flatnonzero(held[n : n + m])
        start = unknowns.copy()
        start[n + m :] = 0.0
        if len(moving) and len(kept):
            slope, jacobian = self._problem.gradient(start), self._jacobian(start)
            matrix = jacobian[np.ix_(kept, moving)].T
            start[n + m + kept] = np.linalg.lstsq(matrix, -slope[moving], rcond=None)[0]
        return start

    def _jacobian(self, unknowns: Vector) -> Array:
        """Return the constraints' derivatives."""
        found: Array = self._problem.hessian(unknowns)[self._n + self._m :, : self._n]
        return found

    def _solved(self, unknowns: Vector, held: Any) -> tuple[Vector, Array]:
        """Return where the slope of what isn't held vanishes, and the inverse of its Jacobian."""
        free = np.flatnonzero(~held)
        within = np.ix_(free, free)

        def at(x: Vector) -> Vector:
            there = unknowns.copy()
            there[free] = x
            return there

        def residual(x: Vector) -> Vector:
            return self._problem.gradient(at(x))[free]

        def jacobian(x: Vector) -> Array:
            found: Array = self._problem.hessian(at(x))[within]
            return found

        last = newton(residual, jacobian, unknowns[free], TOLERANCE, MOST_DESCENTS, [], self._name)
        part = inverse_of(jacobian(last.x), self._name)
        refuse_change(last.step - part @ (last.matrix @ last.step), last, self._name)
        inverse = np.zeros((len(unknowns), len(unknowns)))
        inverse[within] = part
        return at(last.x), inverse

    def _check(self, unknowns: Vector, slope: Vector, hessian: Array, held: Any) -> None:
        """Raise if the point is no minimum along the constraints that hold, or degenerate."""
        n, m = self._n, self._m
        moving, kept = np.flatnonzero(~held[:n]), np.flatnonzero(held[n : n + m])
        matrix = hessian[n + m :, :n][np.ix_(kept, moving)]
        if len(moving) > len(kept):
            ways = np.eye(len(moving))
            if len(kept):
                ways = np.linalg.svd(matrix)[2][len(kept) :].T
            along = ways.T @ hessian[np.ix_(moving, moving)] @ ways
            if np.min(np.linalg.eigvalsh((along + along.T) / 2)) <= 0.0:
                raise SingularSystemError(
                    f"what was found isn't {self._name}: the Hessian has negative curvatures "
                    "along the constraints that hold; start elsewhere"
                )
        self._problem.refuse_degenerate(unknowns, slope, hessian, ~held)
