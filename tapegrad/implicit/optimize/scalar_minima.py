"""Rules of scipy.optimize's minimisers of functions of one number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapegrad.implicit.optimize.given_functions import (
    Given,
    Wanted,
    as_arguments,
    plain_functions,
    primal,
    with_functions,
)
from tapegrad.implicit.optimize.minimum_methods import (
    USE,
    MinimumOfSciPys,
    Tolerances,
    value_at,
)
from tapegrad.implicit.optimize.scipy_methods import (
    Outcome,
    Settings,
    scipys,
    setting,
)
from tapegrad.implicit.optimize.scipy_solutions import (
    Told,
    solved,
)
from tapegrad.implicit.optimize.solver_results import SolverResult
from tapegrad.implicit.solution import Bounds
from tapegrad.implicit.solver_rules import scipy_solver_rule
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import no_rule

_TOLERANCES = {
    "brent": Tolerances(relative=1.48e-8),
    "golden": Tolerances(relative=1.5e-8),
    "bounded": Tolerances(of_x=1e-5),
}


@dataclass(frozen=True)
class ScalarMinimum(MinimumOfSciPys):
    """How SciPy minimises a function of one number.

    Attributes
    ----------
    told : tuple of str
        What its full output is, after the minimum's place, if it returns one.
    """

    told: tuple[str, ...] = ()

    def prepare(self, given: dict[str, Any], parameters: Any, bounds: Bounds | None) -> None:
        """Add the bounds."""
        if bounds is not None:
            (lower,), (upper,) = bounds
            both = {"x1": float(lower), "x2": float(upper)}
            given.update(both if self.name == "fminbound" else {"bounds": (*both.values(),)})

    def asked(self, keywords: Mapping[str, Any]) -> Outcome:
        """Return what SciPy's function does."""
        if not self.told:
            return super().asked(keywords)
        x, *more = scipys(self.name)(**keywords, full_output=True)
        items = dict(zip(self.told, more, strict=True))
        failed = items.get("status", 0)
        return Outcome(x, not failed, "too many calls of the function" * bool(failed), items)


def _minimum(name: str, role: str, fun: Any, args: Any, starts: Mapping[str, Any],
             settings: Mapping[str, Any], asked: Tolerances, bounds: Sequence[Any] = (),
             told: Sequence[str] = ()) -> tuple[Any, Callable[[], Any], Told]:  # fmt: skip
    """Return the minimum's place, what gives the minimum, and what SciPy tells of it."""
    known = [float(value) for part in (*starts.values(), *bounds)
             for value in np.ravel(primal(operand(part)))]  # fmt: skip
    middle = float(np.mean(known)) if known else 0.5
    within = [operand([bound]) for bound in bounds]

    def body(given: list[Given]) -> tuple[Any, Callable[[], Any], Told]:
        objective = given[0].inner
        how = ScalarMinimum(name, objective.gradient(1), plain_functions(given), tuple(starts),
                            Settings(settings), objective, asked, "", tuple(told))  # fmt: skip
        x, found = solved(how, 1, [*starts.values()], given, within)
        return x[0], lambda: value_at(given[0], x), found

    return with_functions([Wanted(role, fun, USE, (middle,))], as_arguments(args), {}, body)


@scipy_solver_rule("scipy.optimize.minimize_scalar", functions="fun")
def _minimize_scalar(fun: Any, bracket: Any = None, bounds: Any = None, args: Any = (),
                     method: Any = None, **settings: Any) -> Any:  # fmt: skip
    if callable(method):
        raise no_rule("scipy.optimize.minimize_scalar with a method of your own",
                      "call tapegrad.minimizer(fun, x0, solver=...), or ")  # fmt: skip
    own = (method or ("brent" if bounds is None else "bounded")).lower()
    options = settings.get("options") or {}
    asked = _TOLERANCES.get(own, Tolerances()).asked(settings.get("tol"), options)
    settings["method"] = method
    if bounds is not None and own != "bounded":
        settings["bounds"], bounds = bounds, None  # which is an error
    starts = {} if bracket is None else {"bracket": bracket}
    x, value, told = _minimum("minimize_scalar", "fun", fun, args, starts, settings, asked,
                              [] if bounds is None else bounds)  # fmt: skip
    return SolverResult("scipy.optimize.minimize_scalar", told, {"x": lambda: x, "fun": value})


def _legacy(name: str, tolerance: str, told: tuple[str, ...]) -> Callable[..., Any]:
    kind = _TOLERANCES.get(name, _TOLERANCES["bounded"])

    def rule(func: Any, x1: Any = None, x2: Any = None, args: Any = (), brack: Any = None,
             full_output: Any = 0, **settings: Any) -> Any:  # fmt: skip
        starts = {} if brack is None else {"brack": brack}
        bounds = [] if x1 is None else [x1, x2]
        tol = setting(name, settings, tolerance)
        x, value, found = _minimum(name, "func", func, args, starts, settings,
                                   kind.asked(tol, {}), bounds, told)  # fmt: skip
        more = [found.read(key) for key in told[1:]] if full_output else []
        return (x, value(), *more) if full_output else x

    return rule


for _name, _tolerance, _told in (
    ("fminbound", "xtol", ("fun", "status", "nfev")),
    ("brent", "tol", ("fun", "nit", "nfev")),
    ("golden", "tol", ("fun", "nfev")),
):
    _rule = _legacy(_name, _tolerance, _told)
    scipy_solver_rule(f"scipy.optimize.{_name}", functions="func")(_rule)
