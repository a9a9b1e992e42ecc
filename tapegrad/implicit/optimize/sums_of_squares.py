"""Rules of scipy.optimize's solvers of nonlinear least squares.

Their solutions are minima of the cost, differentiated with its exact Hessian: the second
derivatives of the residuals are in it, which the solvers themselves leave out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapegrad.function.vectors import Vector
from tapegrad.implicit.functions import Use
from tapegrad.implicit.optimize.given_functions import (
    Given,
    Wanted,
    as_arguments,
    of,
    plain_functions,
    primal,
    with_functions,
)
from tapegrad.implicit.optimize.minimizers import limits
from tapegrad.implicit.optimize.minimum_methods import (
    USE,
    MinimumOfSciPys,
    Tolerances,
    jacobian_of,
    slope_at,
    value_at,
)
from tapegrad.implicit.optimize.root_systems import residual_at, vector
from tapegrad.implicit.optimize.scipy_methods import (
    Outcome,
    Settings,
    scipys,
    setting,
)
from tapegrad.implicit.optimize.scipy_solutions import (
    solved,
)
from tapegrad.implicit.optimize.solver_results import SolverResult
from tapegrad.implicit.solution import Bounds
from tapegrad.implicit.solver_rules import scipy_solver_rule
from tapegrad.libraries import frames_to_users_code
from tapegrad.record.numba.rewriting import taking_active
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import is_sparse, no_rule

_LOSSES: dict[str, Callable[[Any], Any]] = {
    "linear": lambda z: z,
    "huber": lambda z: np.where(z <= 1.0, z, 2.0 * np.sqrt(z) - 1.0),
    "soft_l1": lambda z: 2.0 * (np.sqrt(1.0 + z) - 1.0),
    "cauchy": np.log1p,
    "arctan": np.arctan,
}

_STATUSES = (1, 2, 3, 4)
"""Of MINPACK, where a solution was found."""


def cost(fun: Any, loss: str, f_scale: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Return half the sum of squares, or of their losses."""
    residuals = operand(taking_active(fun)(x, *args, **kwargs))
    if loss == "linear":
        return 0.5 * np.sum(residuals * residuals)
    z = (residuals / f_scale) ** 2
    return 0.5 * f_scale**2 * np.sum(_LOSSES[loss](z))


def flat(unknowns: Any, result: Any) -> Any:
    """Return what a function returns as a vector."""
    found = operand(result)
    return found.reshape(-1) if np.ndim(found) != 1 else found


def dense(unknowns: Any, result: Any) -> Any:
    """Return what a function returns as a matrix."""
    return operand(result.toarray() if is_sparse(result) else result)


RESIDUALS = Use("the residuals", flat)
JACOBIAN = Use("the Jacobian", dense)


@dataclass(frozen=True)
class LeastSquares(MinimumOfSciPys):
    """How SciPy minimises a sum of squares; its first function is the cost, which it isn't given.

    Attributes
    ----------
    jacobian : str
        The parameter of SciPy's function that gets the exact Jacobian, if one does.
    """

    jacobian: str = ""

    def prepare(self, given: dict[str, Any], parameters: Vector, bounds: Bounds | None) -> None:
        """Add the exact Jacobian and the bounds, which SciPy's function is given, too."""
        if self.jacobian:
            given[self.jacobian] = given[self.functions[1].role].jacobian
        super().prepare(given, parameters, bounds)

    def as_given_bounds(self, bounds: Bounds) -> Any:
        """Return bounds as SciPy's function is given them."""
        return tuple(bounds)


@dataclass(frozen=True)
class LeastSquaresOfMinpack(LeastSquares):
    """How `leastsq` does.

    Attributes
    ----------
    tells_all : bool
        Whether it was asked for its full output: then it doesn't warn.
    """

    tells_all: bool = False

    def asked(self, keywords: Mapping[str, Any]) -> Outcome:
        """Return what SciPy's function does."""
        x, _, info, message, status = scipys(self.name)(**keywords, full_output=True)
        is_success = status in _STATUSES
        if not self.tells_all and not is_success:
            if status == 0:
                raise TypeError(message)
            warnings.warn(message, RuntimeWarning, stacklevel=frames_to_users_code())
        items = {**info, "status": status, "message": message}
        return Outcome(x, is_success, message, items)


def squares_wanted(role: str, fun: Any, unknowns: tuple[Any, ...], jac: Any, jacobian: str,
                   loss: str = "linear", f_scale: Any = 1.0) -> list[Wanted]:  # fmt: skip
    """Return the functions of a sum of squares: its cost, its residuals, a Jacobian if given."""
    wanted = [Wanted("", of(cost, fun, loss, f_scale), USE, unknowns),
              Wanted(role, fun, RESIDUALS, unknowns)]  # fmt: skip
    return [*wanted, Wanted(jacobian, jac, JACOBIAN, unknowns)] if callable(jac) else wanted


def tolerances_of(name: str, settings: Mapping[str, Any]) -> Tolerances:
    """Return what SciPy's function is asked for."""
    f, x, g = [setting(name, settings, key) or 0.0 for key in ("ftol", "xtol", "gtol")]
    return Tolerances(relative=x, of_slope=g, of_value=f)


@scipy_solver_rule("scipy.optimize.least_squares", functions="fun jac loss")
def _least_squares(fun: Any, x0: Any, jac: Any = "2-point", bounds: Any = None,
                   loss: Any = "linear", f_scale: Any = 1.0, args: Any = (), kwargs: Any = None,
                   **settings: Any) -> Any:  # fmt: skip
    if callable(loss):
        raise no_rule("scipy.optimize.least_squares with a loss of your own",
                      "call scipy.optimize.minimize of the sum of the losses, or ")  # fmt: skip
    x0 = vector(x0)
    n, unknowns = len(x0), (primal(x0),)
    wanted = squares_wanted("fun", fun, unknowns, jac, "jac", loss, f_scale)
    exact = jac in ("2-point", "cs") and settings.get("diff_step") is None
    asked = tolerances_of("least_squares", settings)
    settings |= {"loss": loss, **({} if exact or callable(jac) else {"jac": jac})}
    if isinstance(bounds, tuple | list):
        bounds = dict(zip(("lb", "ub"), bounds, strict=True))
    within = limits(bounds, n)

    def body(given: list[Given]) -> Any:
        objective = given[0].inner
        how = LeastSquares("least_squares", objective.gradient(n), plain_functions(given),
                           ("x0", "f_scale"), Settings(settings), objective, asked,
                           jacobian="jac" if exact else "")  # fmt: skip
        x, told = solved(how, n, [x0, f_scale], given, within)
        computed = {
            "x": lambda: x,
            "cost": lambda: value_at(given[0], x),
            "fun": lambda: residual_at(given[1], x),
            "grad": lambda: slope_at(given[0], x),
        }
        if loss == "linear":
            computed["jac"] = lambda: jacobian_of(given[1].inner, x, given[1].parameters)
        return SolverResult("scipy.optimize.least_squares", told, computed)

    return with_functions(wanted, as_arguments(args), dict(kwargs or {}), body)


@scipy_solver_rule("scipy.optimize.leastsq", functions="func Dfun")
def _leastsq(func: Any, x0: Any, args: Any = (), full_output: Any = False, col_deriv: Any = False,
             **settings: Any) -> Any:  # fmt: skip
    x0, jac = vector(x0), settings.pop("Dfun", None)
    n, unknowns = len(x0), (primal(x0),)
    wanted = squares_wanted("func", func, unknowns, jac, "Dfun")
    exact = jac is None and settings.get("epsfcn") is None
    asked = tolerances_of("leastsq", settings)
    if callable(jac):
        settings["col_deriv"] = col_deriv

    def body(given: list[Given]) -> Any:
        objective = given[0].inner
        how = LeastSquaresOfMinpack(
            "leastsq", objective.gradient(n), plain_functions(given), ("x0",), Settings(settings),
            objective, asked, jacobian="Dfun" if exact else "", tells_all=bool(full_output),
        )  # fmt: skip
        x, told = solved(how, n, [x0], given)
        if not full_output:
            return x, told.read("status")
        jacobian = jacobian_of(given[1].inner, x, given[1].parameters)
        info = SolverResult("scipy.optimize.leastsq", told,
                            {"fvec": lambda: residual_at(given[1], x)},
                            ("status", "message"))  # fmt: skip
        covariance = np.linalg.inv(jacobian.T @ jacobian)
        return x, covariance, info, told.read("message"), told.read("status")

    return with_functions(wanted, as_arguments(args), {}, body)
