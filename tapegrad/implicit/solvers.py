"""Implicit functions: solutions of equations, fixed points and minima, as functions of parameters.

They are solved on plain numbers, by Newton's method or what the user passes, and differentiated at
the solution by the implicit function theorem; so it doesn't matter how they were found, and a
solver may be code that tapegrad never sees.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.errors import StructureError
from tapegrad.function.content import is_active
from tapegrad.function.vectors import join, leaf
from tapegrad.implicit.checkpointing import NO_NUMBERS, evaluated_tree, returned
from tapegrad.implicit.descent import MinimumMethod
from tapegrad.implicit.evaluation import shapes_of
from tapegrad.implicit.functions import Function, Use, with_inner
from tapegrad.implicit.newton import NewtonMethod
from tapegrad.implicit.solution import Layout, Method, Solution
from tapegrad.implicit.wrapping import Wrapping
from tapegrad.record.array import tapes_in
from tapegrad.record.called import call, parted
from tapegrad.record.stopping import stop_gradient
from tapegrad.tree import LEAF, flatten, map_leaves, unflatten_all

Solver = Callable[..., Any]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Implicit(Wrapping):
    """What `root`, `fixed_point` and `minimizer` return.

    Parameters
    ----------
    function : callable
    x0 : number, array or structure of them
    solver : callable or None
    tol : float
    maxiter : int
    has_aux : bool

    Attributes
    ----------
    shape : tuple of int or None
        Of what it returns, if that is a number or an array.
    """

    _finish: Any
    _verb: str

    def __init__(self, function: Callable[..., Any], x0: Any, solver: Solver | None, tol: float,
                 maxiter: int, has_aux: bool) -> None:  # fmt: skip
        super().__init__(function)
        if not tol > 0.0:
            raise ValueError(f"tol is the largest last step allowed: a positive number, not {tol}")
        self._x0 = stop_gradient(map_leaves(_as_start, x0))
        self._solver, self._tol, self._maxiter = solver, tol, maxiter
        self._has_aux = has_aux
        leaves: list[Any] = []
        is_bare = flatten(self._x0, leaves) == LEAF and not has_aux
        self.shape = np.shape(leaves[0]) if is_bare else None
        with contextlib.suppress(TypeError, ValueError):  # it tells no parameters
            parameters = list(inspect.signature(self._function).parameters.values())
            if parameters and parameters[0].kind in _POSITIONAL:  # the unknowns
                self.__signature__ = inspect.Signature(parameters[1:])

    def _arguments(self) -> tuple[Any, ...]:
        return (self._function, self._x0, self._solver, self._tol, self._maxiter, self._has_aux)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the solution for parameters."""
        leaves: list[Any] = []
        structure = flatten(self._x0, leaves)
        shapes = shapes_of(leaves)

        def body(function: Function, operands: list[Any]) -> Any:
            start, parameters = join(operands[: len(leaves)]), operands[len(leaves) :]
            return self._solved(function, start, parameters)

        finish, function = self._finish[self._has_aux], self._function
        use = Use(self._verb, finish)
        if any(map(np.prod, shapes)):
            found = with_inner(function, use, (self._x0,), args, kwargs, body)
            parts = parted(found, shapes)
        else:
            parts = [np.empty(shape) for shape in shapes]
        x = unflatten_all(structure, [leaf(part) for part in parts])
        if not self._has_aux:
            return x
        aux = with_inner(function, _AUX, (x,), args, kwargs, evaluated_tree)
        return x, function(x, *args, **kwargs)[1] if aux is NO_NUMBERS else aux

    def _solved(self, function: Function, start: Any, parameters: list[Any]) -> Any:
        """Return the solution as a vector."""
        if function.n_outputs != len(start):
            raise StructureError(
                f"{function.name} can't be found of {function.n_outputs} equations for "
                f"{len(start)} unknowns: return as many numbers as x0 has"
            )
        method = NewtonMethod(function, self._tol, self._maxiter, self._solver)
        return solution(method, [start, *parameters])


def solution(method: Method, operands: list[Any], is_bounded: bool = False) -> Any:
    """Return what a method finds, recorded as a call; operands are start, parameters, bounds."""
    shapes, layout = shapes_of(operands), Layout(len(operands[0]), is_bounded)
    return call(lambda is_active: Solution(method, layout, shapes, is_active), operands)[0]


def _as_start(number: Any) -> Any:
    if is_active(number):
        return number
    if isinstance(number, np.ndarray) and number.dtype.kind in "iuf":
        return number.astype(np.float64)
    is_number = isinstance(number, int | float | np.integer | np.floating)
    return float(number) if is_number and not isinstance(number, bool) else number


# --- what is recorded of what functions return ----------------------------------------------------


def _numbers(unknowns: Any, result: Any) -> Any:
    leaves: list[Any] = []
    flatten(result, leaves)
    return tuple([x if is_active(x) else np.asarray(x, np.float64) for x in leaves])


def _numbers_before_aux(unknowns: Any, result: Any) -> Any:
    return _numbers(unknowns, _pair(result)[0])


def _displacement(unknowns: Any, result: Any) -> Any:
    given: list[Any] = []
    found: list[Any] = []
    structure = flatten(unknowns[0], given)
    if flatten(result, found) != structure or shapes_of(found) != shapes_of(given):
        raise StructureError("a function that has a fixed point returns what x0 is made of")
    return tuple([new - old for new, old in zip(found, given, strict=True)])


def _displacement_before_aux(unknowns: Any, result: Any) -> Any:
    return _displacement(unknowns, _pair(result)[0])


def _first(unknowns: Any, result: Any) -> Any:
    return _pair(result)[0]


def _aux(unknowns: Any, result: Any) -> Any:
    return _pair(result)[1]


def _pair(result: Any) -> Any:
    if type(result) is not tuple or len(result) != 2:
        raise StructureError("with has_aux=True the function must return a pair, (value, aux)")
    return result


_AUX = Use("aux", _aux)


# --- the three ------------------------------------------------------------------------------------


class Root(Implicit):
    """What `root` returns."""

    maker = "root"
    _finish, _verb = (_numbers, _numbers_before_aux), "the root"


class FixedPoint(Implicit):
    """What `fixed_point` returns."""

    maker = "fixed_point"
    _finish, _verb = (_displacement, _displacement_before_aux), "the fixed point"


class Minimizer(Implicit):
    """What `minimizer` returns.

    Parameters
    ----------
    bounds : pair or None
    """

    maker = "minimizer"
    _finish, _verb = (returned, _first), "the minimum"

    def __init__(self, function: Callable[..., Any], x0: Any, bounds: Any,
                 *options: Any) -> None:  # fmt: skip
        super().__init__(function, x0, *options)
        if hasattr(bounds, "lb") and hasattr(bounds, "ub"):  # scipy's
            bounds = bounds.lb, bounds.ub
        self._bounds = map_leaves(_as_start, bounds)

    def _arguments(self) -> tuple[Any, ...]:
        function, x0, *options = super()._arguments()
        return (function, x0, self._bounds, *options)

    def _solved(self, function: Function, start: Any, parameters: list[Any]) -> Any:
        function.result.check_scalar()
        bounds = [] if self._bounds is None else self._limits()
        is_differentiated = any(tapes_in(*parameters, *bounds))
        method = MinimumMethod(function, function.gradient(len(start)), self._tol, self._maxiter,
                               self._solver, is_differentiated)  # fmt: skip
        return solution(method, [start, *parameters, *bounds], bool(bounds))

    def _limits(self) -> list[Any]:
        """Return the lower and the upper bounds, as vectors."""
        lower, upper = self._bounds
        return [self._limit(lower, -np.inf), self._limit(upper, np.inf)]

    def _limit(self, bound: Any, none: float) -> Any:
        leaves: list[Any] = []
        given: list[Any] = []
        structure = flatten(self._x0, leaves)
        if flatten(bound, given) == LEAF and structure != LEAF:
            given = given * len(leaves)
        elif flatten(bound, []) != structure:
            raise StructureError("bounds are a pair (lower, upper), numbers or structured as x0")
        parts = zip(given, leaves, strict=True)
        return join([(none if b is None else b) + np.zeros(np.shape(x)) for b, x in parts])


def root(residual: Callable[..., Any], x0: Any, *, solver: Solver | None = None, tol: float = 1e-8,
         maxiter: int = 100, has_aux: bool = False) -> Root:  # fmt: skip
    """Return a function that solves equations for unknowns, given parameters.

    It's differentiated by the implicit function theorem, to any order, whatever it's solved by.

    Parameters
    ----------
    residual : callable
        Called as `residual(x, *args)`, returns as many numbers as `x` has: what is to be zero. It
        may close over numbers that depend on what is differentiated by.
    x0 : float, array or structure of them
        Where to start; it has derivative zero.
    solver : callable, optional
        Called as `solver(residual, x0, jac)` with functions of one float array, returns the
        solution as an array, or an object with it as `x`, and `success` if it may fail. By default
        it's Newton's method with exact Jacobians.
    tol : float, optional
        The largest last Newton step, relative to the unknowns. The step is taken, also from where
        `solver` stopped, so that the error is about its square.
    maxiter : int, optional
        The most steps of Newton's method.
    has_aux : bool, optional
        Whether `residual` returns a pair, `(residual, aux)`.

    Returns
    -------
    Root
        Called with what `residual` takes after `x`, returns the solution, structured as `x0`; with
        `has_aux` a pair of it and what `aux` is there.

    Raises
    ------
    NoConvergenceError
        When called: if no solution is found. It has the residuals on the way.
    SingularSystemError
        When called: if the Jacobian at the solution is singular.

    Warns
    -----
    InaccurateSolutionWarning
        If the step from where `solver` stopped is larger than `tol`.

    Examples
    --------
    >>> import numpy as np, tapegrad as tg
    >>> anomaly = tg.root(lambda E, M, e: E - e * np.sin(E) - M, 1.0)  # Kepler's equation
    >>> tg.value_and_grad(anomaly)(1.0, 0.3)
    (1.2880..., 1.0913...)
    """
    return Root(residual, x0, solver, tol, maxiter, has_aux)


def fixed_point(function: Callable[..., Any], x0: Any, *, solver: Solver | None = None,
                tol: float = 1e-8, maxiter: int = 100,
                has_aux: bool = False) -> FixedPoint:  # fmt: skip
    """Return a function that finds where another one returns what it's given.

    It's the root of `function(x, *args) - x`: what is said of `root` holds, and `solver` is given
    this difference. Newton's method finds fixed points that repeated calls would run away from.

    Parameters
    ----------
    function : callable
        Called as `function(x, *args)`, returns what is structured as `x`.
    x0, solver, tol, maxiter, has_aux : optional
        As for `root`.

    Returns
    -------
    FixedPoint
        Called with what `function` takes after `x`.

    Examples
    --------
    >>> import numpy as np, tapegrad as tg
    >>> tg.value_and_grad(tg.fixed_point(lambda x, a: 0.5 * (x + a / x), 1.0))(2.0)
    (1.4142..., 0.3535...)
    """
    return FixedPoint(function, x0, solver, tol, maxiter, has_aux)


def minimizer(objective: Callable[..., Any], x0: Any, *, bounds: Any = None,
              solver: Solver | None = None, tol: float = 1e-8, maxiter: int = 100,
              has_aux: bool = False) -> Minimizer:  # fmt: skip
    """Return a function that finds where an objective is least, given parameters.

    It's differentiated, to any order, as the root of the objective's gradient, with the exact
    Hessian. An unknown on a bound that holds it there moves as the bound does.

    Parameters
    ----------
    objective : callable
        Called as `objective(x, *args)`, returns one float.
    x0 : float, array or structure of them
        Where to start; it has derivative zero.
    bounds : pair, optional
        The least and the largest values of the unknowns: numbers for all, or structured as `x0`,
        `None` where there is no bound; or a `scipy.optimize.Bounds`.
    solver : callable, optional
        Called as `solver(objective, x0, jac)`, and with bounds as `solver(objective, x0, jac,
        bounds)`, an array of pairs, returns what a solver of `root` does. By default it's Newton's
        method, projected to the bounds.
    tol, maxiter, has_aux : optional
        As for `root`.

    Returns
    -------
    Minimizer
        Called with what `objective` takes after `x`, returns the minimum's place, structured as
        `x0`; with `has_aux` a pair of it and what `aux` is there.

    Raises
    ------
    NoConvergenceError
        When called: if no minimum is found. It has the largest slopes on the way.
    SingularSystemError
        When called: if the Hessian isn't positive definite on the unknowns on no bound.
    DegenerateBoundError
        When it's differentiated: if an unknown is on a bound, and would be there without it.

    Warns
    -----
    InaccurateSolutionWarning
        If where `solver` stopped is further than `tol` from the minimum.

    Examples
    --------
    >>> import numpy as np, tapegrad as tg
    >>> objective = lambda x, y: np.sum((x - y) ** 2 + x**4)
    >>> shrunk = tg.minimizer(objective, np.zeros(2), bounds=(0, None))
    >>> tg.jacobian(shrunk)(np.array([3.0, -1.0]))
    array([[0.1428..., 0.        ],
           [0.        , 0.        ]])
    """
    return Minimizer(objective, x0, bounds, solver, tol, maxiter, has_aux)
