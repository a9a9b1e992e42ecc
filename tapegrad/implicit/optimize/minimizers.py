"""Rules of scipy.optimize's minimisers of objectives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tapegrad.implicit.functions import Use
from tapegrad.implicit.optimize.constrained_minima import (
    CONSTRAINT,
    ConstrainedMinimum,
    constraints_of,
    lagrangian,
    limits_with,
)
from tapegrad.implicit.optimize.given_functions import (
    Given,
    Wanted,
    as_arguments,
    as_operand,
    of,
    plain_functions,
    primal,
    with_functions,
)
from tapegrad.implicit.optimize.minimum_methods import (
    FIRST,
    USE,
    MinimumOfSciPys,
    Tolerances,
    curvature_at,
    slope_at,
    value_at,
)
from tapegrad.implicit.optimize.root_systems import pairs_or, vector
from tapegrad.implicit.optimize.scipy_methods import (
    Settings,
)
from tapegrad.implicit.optimize.scipy_solutions import Told, solved
from tapegrad.implicit.optimize.solver_results import SolverResult
from tapegrad.implicit.solver_rules import scipy_solver_rule
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import no_rule

_TOLERANCES = {
    "nelder-mead": Tolerances(of_x=1e-4, of_value=1e-4),
    "powell": Tolerances(relative=1e-4, of_value=1e-4),
    "cg": Tolerances(of_slope=1e-5),
    "bfgs": Tolerances(of_slope=1e-5),
    "newton-cg": Tolerances(relative=1e-5),
    "l-bfgs-b": Tolerances(of_slope=1e-5, of_value=1e-8),
    "tnc": Tolerances(relative=1e-6, of_slope=1e-5, of_value=1e-8),
    "cobyla": Tolerances(of_x=1e-4, of_value=1e-4),
    "cobyqa": Tolerances(of_x=1e-6),
    "slsqp": Tolerances(of_value=1e-6),
    "trust-constr": Tolerances(of_x=1e-5, of_slope=1e-8),
    "dogleg": Tolerances(of_slope=1e-4),
    "trust-ncg": Tolerances(of_slope=1e-4),
    "trust-krylov": Tolerances(of_slope=1e-4),
    "trust-exact": Tolerances(of_slope=1e-4),
}  # fmt: skip

_DIFFERENCING = ("cg", "bfgs", "l-bfgs-b", "tnc", "slsqp", "trust-constr")
"""The methods of `minimize` that take differences where they're given no gradient."""

_CONSTRAINED = ("slsqp", "trust-constr", "cobyla", "cobyqa")

_BOUNDED = ("nelder-mead", "powell", "l-bfgs-b", "tnc", "cobyla", "cobyqa", "slsqp",
            "trust-constr")  # fmt: skip

_HESSIAN, _PRODUCT = Use("the Hessian", as_operand), Use("the Hessian's product", as_operand)


def limits(bounds: Any, n: int) -> list[Any]:
    """Return the lower and the upper bounds as vectors, of pairs or of SciPy's object."""
    if bounds is None:
        return []
    if isinstance(bounds, dict) or hasattr(bounds, "lb"):
        both = bounds if isinstance(bounds, dict) else vars(bounds)
        return [operand(both[part]) + np.zeros(n) for part in ("lb", "ub")]
    pairs = [*bounds]
    if len(pairs) != n or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"bounds are {n} pairs (lower, upper), one an unknown")
    none = -np.inf, np.inf
    return [operand([none[k] if pair[k] is None else pair[k] for pair in pairs]) for k in (0, 1)]


@scipy_solver_rule("scipy.optimize.minimize", functions="fun jac hess hessp constraints")
def _minimize(fun: Any, x0: Any, args: Any = (), method: Any = None, jac: Any = None,
              hess: Any = None, hessp: Any = None, bounds: Any = None, constraints: Any = (),
              **settings: Any) -> Any:  # fmt: skip
    if callable(method):
        raise no_rule("scipy.optimize.minimize with a method of your own",
                      "call tapegrad.minimizer(fun, x0, solver=...), or ")  # fmt: skip
    x0 = vector(x0)
    n, unknowns = len(x0), (primal(x0),)
    conditions = constraints_of(constraints)
    chosen = "SLSQP" if conditions else "BFGS" if bounds is None else "L-BFGS-B"
    own = (method or chosen).lower()
    if conditions and own not in _CONSTRAINED:
        raise no_rule(f"scipy.optimize.minimize by {method} with constraints=",
                      "choose SLSQP or trust-constr, or ")  # fmt: skip
    options = settings.get("options") or {}
    wanted = pairs_or(jac, "fun", fun, unknowns, USE, FIRST)
    for role, function, use, more in (("hess", hess, _HESSIAN, ()),
                                      ("hessp", hessp, _PRODUCT, unknowns)):  # fmt: skip
        if callable(function) and not isinstance(function, type):
            wanted.append(Wanted(role, function, use, unknowns + more))
        elif function is not None:
            settings[role] = function
    differs = own in _DIFFERENCING and jac is None and not _says_how(options)
    settings["method"] = method
    if jac is not None and jac is not True and not callable(jac):
        settings["jac"] = jac
    within = limits(bounds, n) if own in _BOUNDED else []
    if not within and bounds is not None:
        settings["bounds"] = bounds
    asked = _TOLERANCES.get(own, Tolerances(of_x=1e-4)).asked(settings.get("tol"), options)
    exact = "jac" if differs else ""

    def result(x: Any, objective: Given, told: Told) -> SolverResult:
        return SolverResult("scipy.optimize.minimize", told, {
            "x": lambda: x,
            "fun": lambda: value_at(objective, x),
            "jac": lambda: slope_at(objective, x),
            "hess": lambda: curvature_at(objective, x),
        })  # fmt: skip

    def body(given: list[Given]) -> Any:
        objective = given[0].inner
        how = MinimumOfSciPys("minimize", objective.gradient(n), plain_functions(given), ("x0",),
                              Settings(settings), objective, asked, exact)  # fmt: skip
        x, told = solved(how, n, [x0], given, within)
        return result(x, given[0], told)

    def constrained(given: list[Given]) -> Any:
        sizes = [one.inner.n_outputs for one in given[1 : 1 + len(conditions)]]
        limits = limits_with(conditions, sizes, within, n)
        size = len(limits[0])
        whole = of(lagrangian, fun, n, jac is True, tuple([one.function for one in conditions]))
        start = np.concatenate([*unknowns, np.zeros(size - n)])

        def body(found: list[Given]) -> Any:
            inner, functions = found[0].inner, [*found, *given]
            how = ConstrainedMinimum(
                "minimize", inner.gradient(size), plain_functions(functions), ("x0",),
                Settings(settings), inner, asked, exact, n,
                tuple([one.kind for one in conditions]), bool(within),
            )  # fmt: skip
            x, told = solved(how, size, [x0], functions, limits)
            return result(x[:n], given[0], told)

        return with_functions([Wanted("", whole, USE, (start,))], as_arguments(args), {}, body)

    first, *others = wanted
    own_wanted = [Wanted(f"constraint {k}", one.function, CONSTRAINT, unknowns, False)
                  for k, one in enumerate(conditions)]  # fmt: skip
    made = constrained if conditions else body
    return with_functions([first, *own_wanted, *others], as_arguments(args), {}, made)


def _says_how(options: Mapping[str, Any]) -> bool:
    """Whether options say how differences are to be taken."""
    return any(options.get(key) is not None for key in ("eps", "finite_diff_rel_step"))
