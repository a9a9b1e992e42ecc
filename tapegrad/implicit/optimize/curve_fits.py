"""The rule of scipy.optimize.curve_fit: parameters of a curve, and their covariances.

Both have derivatives by the data, by their errors, and by what the curve closes over.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapegrad.function.vectors import Vector
from tapegrad.implicit.functions import Use
from tapegrad.implicit.optimize.given_functions import (
    Given,
    Wanted,
    of,
    plain_functions,
    primal,
    with_functions,
)
from tapegrad.implicit.optimize.minimizers import limits
from tapegrad.implicit.optimize.minimum_methods import USE, jacobian_of, value_at
from tapegrad.implicit.optimize.root_systems import residual_at, vector
from tapegrad.implicit.optimize.scipy_methods import (
    Outcome,
    Settings,
    scipys,
)
from tapegrad.implicit.optimize.scipy_solutions import (
    solved,
)
from tapegrad.implicit.optimize.solver_results import SolverResult
from tapegrad.implicit.optimize.sums_of_squares import (
    JACOBIAN,
    RESIDUALS,
    LeastSquares,
    tolerances_of,
)
from tapegrad.implicit.solution import Bounds
from tapegrad.implicit.solver_rules import scipy_solver_rule
from tapegrad.record.numba.rewriting import taking_active
from tapegrad.record.scipy.families import RECORDED, operand
from tapegrad.record.scipy.recognised import no_rule

MODEL = Use("the curve", lambda unknowns, result: operand(result))


def curve(f: Any, xdata: Any, parameters: Any) -> Any:
    """Return a curve of a vector of parameters."""
    return taking_active(f)(xdata, *parameters)


def residuals(f: Any, xdata: Any, ydata: Any, sigma: Any, parameters: Any) -> Any:
    """Return how far a curve is from data, in units of their errors."""
    found = operand(curve(f, xdata, parameters)) - ydata
    if sigma is None:
        return found
    if np.ndim(sigma) < 2 or np.size(sigma) == 1:
        return found / sigma
    factor = RECORDED.cholesky(sigma, lower=True)
    return RECORDED.solve_triangular(factor, found, lower=True)


def half_squares(f: Any, xdata: Any, ydata: Any, sigma: Any, parameters: Any) -> Any:
    """Return half the sum of their squares."""
    found = operand(residuals(f, xdata, ydata, sigma, parameters))
    return 0.5 * np.sum(found * found)


@dataclass(frozen=True)
class CurveFit(LeastSquares):
    """How `curve_fit` finds parameters; it's given the curve itself."""

    def prepare(self, given: dict[str, Any], parameters: Vector, bounds: Bounds | None) -> None:
        """Add what SciPy's function is given, too."""
        super().prepare(given, parameters, bounds)
        n = self.objective.n_inputs - len(parameters)
        for role in ("f", "jac"):  # which it calls with the data, and one argument a parameter
            if role in given:
                given[role] = _spread(given[role], n)

    def asked(self, keywords: Mapping[str, Any]) -> Outcome:
        """Return what SciPy's function does, which raises where it finds none."""
        x, covariance, info, message, status = scipys(self.name)(**keywords, full_output=True)
        known = bool(np.isfinite(covariance).all())
        items = {**info, "status": status, "message": message, "success": known}
        return Outcome(x, True, message, items)


def _spread(function: Callable[..., Any], n: int) -> Any:
    """Return a function of data, which it knows, and of `n` numbers, which SciPy counts."""

    def call(xdata: Any, *parameters: float) -> Any:
        return function(np.array(parameters))

    kind = inspect.Parameter.POSITIONAL_ONLY
    names = [inspect.Parameter(f"p{k}", kind) for k in range(n + 1)]
    call.__signature__ = inspect.Signature(names)  # type: ignore[attr-defined]
    return call


def _count(f: Any, p0: Any, bounds: Any) -> int:
    """Return how many parameters a curve has."""
    if p0 is not None:
        return int(np.size(p0))
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = [p for p in inspect.signature(f).parameters.values() if p.kind in kinds]
    if len(found) < 2:
        raise ValueError("Unable to determine number of fit parameters.")
    return len(found) - 1


def _data(x: Any) -> Any:
    """Return data as SciPy hands it to the curve."""
    return operand(x) if isinstance(x, list | tuple | np.ndarray) else x


@scipy_solver_rule("scipy.optimize.curve_fit", functions="f jac")
def _curve_fit(f: Any, xdata: Any, ydata: Any, p0: Any = None, sigma: Any = None,
               absolute_sigma: Any = False, bounds: Any = None, jac: Any = None,
               full_output: Any = False, **settings: Any) -> Any:  # fmt: skip
    if settings.get("nan_policy") is not None:
        raise no_rule("scipy.optimize.curve_fit with nan_policy=", "leave out such data, or ")
    xdata, ydata, n = _data(xdata), operand(ydata), _count(f, p0, bounds)
    if sigma is not None:
        sigma = operand(sigma)
        sigma = sigma if np.ndim(sigma) else sigma + np.zeros(np.size(ydata))
    start = np.ones(n) if p0 is None else primal(vector(p0))
    parts = xdata, ydata, sigma
    wanted = [Wanted("", of(half_squares, f, *parts), USE, (start,)),
              Wanted("f", of(curve, f, xdata), MODEL, (start,)),
              Wanted("", of(residuals, f, *parts), RESIDUALS, (start,))]  # fmt: skip
    own = jac is not None or any(settings.get(key) is not None for key in ("epsfcn", "diff_step"))
    if callable(jac):
        wanted.append(Wanted("jac", of(curve, jac, xdata), JACOBIAN, (start,)))
    elif jac is not None:
        settings["jac"] = jac
    starts = {"xdata": xdata, "ydata": ydata, "sigma": sigma}
    starts |= {} if p0 is None else {"p0": vector(p0)}
    if not isinstance(xdata, np.ndarray | float) and not np.ndim(xdata):
        settings["xdata"] = starts.pop("xdata")
    starts = {role: given for role, given in starts.items() if given is not None}
    if isinstance(bounds, tuple | list):
        bounds = dict(zip(("lb", "ub"), bounds, strict=True))
    within = limits(bounds, n)
    is_lm = (settings.get("method") or ("trf" if within else "lm")) == "lm"
    asked = tolerances_of("leastsq" if is_lm else "least_squares", settings)

    def body(given: list[Given]) -> Any:
        objective, deviations = given[0].inner, given[2]
        how = CurveFit("curve_fit", objective.gradient(n), plain_functions(given), tuple(starts),
                       Settings({**settings, "absolute_sigma": absolute_sigma}), objective, asked,
                       jacobian="" if own else "jac")  # fmt: skip
        x, told = solved(how, n, [*starts.values()], given, within)
        covariance = np.full((n, n), np.inf)
        if told.read("success"):
            jacobian = jacobian_of(deviations.inner, x, deviations.parameters)
            covariance = np.linalg.inv(jacobian.T @ jacobian)
            m = np.shape(jacobian)[0]
            if not absolute_sigma:
                covariance = covariance * (2.0 * value_at(given[0], x) / (m - n))
        if not full_output:
            return x, covariance
        info = SolverResult("scipy.optimize.curve_fit", told,
                            {"fvec": lambda: residual_at(deviations, x)},
                            ("status", "message", "success"))  # fmt: skip
        return x, covariance, info, told.read("message"), told.read("status")

    return with_functions(wanted, (), {}, body)
