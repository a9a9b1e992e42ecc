"""Rules of scipy.optimize's older minimisers, which return tuples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tapegrad.implicit.functions import Use
from tapegrad.implicit.optimize.given_functions import (
    Given,
    Wanted,
    as_arguments,
    as_operand,
    plain_functions,
    primal,
    with_functions,
)
from tapegrad.implicit.optimize.minimizers import TOLERANCES
from tapegrad.implicit.optimize.minimum_methods import USE, MinimumOfTuples, value_at
from tapegrad.implicit.optimize.root_systems import vector
from tapegrad.implicit.optimize.scipy_methods import Settings, settled
from tapegrad.implicit.optimize.scipy_solutions import solved
from tapegrad.implicit.solver_rules import scipy_solver_rule
from tapegrad.record.scipy.recognised import no_rule

_GRADIENT = Use("the gradient", as_operand)

_ESTIMATES = frozenset(["direc", "jac", "hess_inv"])

_OLDER = {
    "fmin": ("func", "nelder-mead", ("fun", "nit", "nfev", "status")),
    "fmin_powell": ("func", "powell", ("fun", "direc", "nit", "nfev", "status")),
    "fmin_bfgs": ("f", "bfgs", ("fun", "jac", "hess_inv", "nfev", "njev", "status")),
    "fmin_cg": ("f", "cg", ("fun", "nfev", "njev", "status")),
}
"""By name, the parameter that is the objective, the method, and the full output after `x`."""


def _older(name: str, role: str, method: str, told: tuple[str, ...]) -> Callable[..., Any]:
    def rule(x0: Any, args: Any = (), fprime: Any = None, full_output: Any = 0, retall: Any = 0,
             **settings: Any) -> Any:  # fmt: skip
        fun, x0 = settings.pop(role), vector(x0)
        settings = settled(settings)
        if retall or (full_output and _ESTIMATES.intersection(told)):
            raise no_rule(f"scipy.optimize.{name} with full_output= or retall=",
                          "call scipy.optimize.minimize in its place, or ")  # fmt: skip
        n, unknowns = len(x0), (primal(x0),)
        wanted = [Wanted(role, fun, USE, unknowns)]
        if fprime is not None:
            wanted.append(Wanted("fprime", fprime, _GRADIENT, unknowns))
        differs = "jac" in told or "njev" in told
        exact = "fprime" if differs and fprime is None and "epsilon" not in settings else ""
        asked = TOLERANCES[method].asked(None, settings)

        def body(given: list[Given]) -> Any:
            objective = given[0].inner
            how = MinimumOfTuples(name, objective.gradient(n), plain_functions(given), ("x0",),
                                  Settings(settings), objective, asked, exact, told)  # fmt: skip
            x, found = solved(how, n, [x0], given)
            if not full_output:
                return x
            return (x, value_at(given[0], x), *[found.read(key) for key in told[1:]])

        return with_functions(wanted, as_arguments(args), {}, body)

    return rule


for _name, (_role, _method, _told) in _OLDER.items():
    scipy_solver_rule(f"scipy.optimize.{_name}", functions=f"{_role} fprime")(
        _older(_name, _role, _method, _told)
    )
