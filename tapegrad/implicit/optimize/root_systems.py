"""Rules of scipy.optimize's solvers of systems of equations, and of fixed points."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapegrad.function.vectors import Vector
from tapegrad.implicit.evaluation import evaluated
from tapegrad.implicit.functions import Use
from tapegrad.implicit.optimize.given_functions import (
    Given,
    Wanted,
    as_arguments,
    as_operand,
    first_operand,
    plain_functions,
    primal,
    second_operand,
    with_functions,
)
from tapegrad.implicit.optimize.scalar_roots import SLACK, RootMethod
from tapegrad.implicit.optimize.scipy_methods import (
    TOLERANCE,
    Outcome,
    Settings,
    scipys,
    setting,
    settled,
)
from tapegrad.implicit.optimize.scipy_solutions import solved
from tapegrad.implicit.optimize.solver_results import SolverResult
from tapegrad.implicit.solution import Bounds, Found
from tapegrad.implicit.solver_rules import scipy_solver_rule
from tapegrad.libraries import frames_to_users_code
from tapegrad.record.scipy.families import operand

MINPACK = ("hybr", "lm")
"""The methods of `root` that take a Jacobian, and vectors only."""

_F_TOLERANCE = float(np.finfo(np.float64).eps) ** (1 / 3)
"""Of the residuals, where a method of `root` has no other."""

USE = Use("the root", as_operand)
FIRST = Use("the root", first_operand)
JACOBIAN, SECOND = Use("the Jacobian", as_operand), Use("the Jacobian", second_operand)


@dataclass(frozen=True)
class SystemRoot(RootMethod):
    """How SciPy solves equations.

    Attributes
    ----------
    jacobian : str
        The parameter of SciPy's function that gets the exact Jacobian, if one does.
    f_tolerance : float
        Of the residuals.
    """

    jacobian: str = ""
    f_tolerance: float = 0.0

    def prepare(self, given: dict[str, Any], parameters: Vector, bounds: Bounds | None) -> None:
        """Add the exact Jacobian, and what else SciPy's function is given."""
        if self.jacobian:
            given[self.jacobian] = given[self.functions[0].role].jacobian

    def allowed(self, x: Vector, found: Found, parameters: Vector) -> Any:
        """Return how far SciPy's result may be from the solution, for each unknown."""
        of_residuals = np.abs(found.inverse).sum(axis=1) * self.f_tolerance
        absolute, relative = self.tolerances
        return SLACK * (absolute + relative * np.max(np.abs(found.x)) + of_residuals)


@dataclass(frozen=True)
class RootOfFsolve(SystemRoot):
    """How `fsolve` solves equations.

    Attributes
    ----------
    tells_all : bool
        Whether it was asked for its full output: then it doesn't warn.
    """

    tells_all: bool = False

    def asked(self, keywords: Mapping[str, Any]) -> Outcome:
        """Return what SciPy's function does."""
        x, info, status, message = scipys(self.name)(**keywords, full_output=True)
        if not self.tells_all and status != 1:
            if status not in (2, 3, 4, 5):
                raise TypeError(message)
            warnings.warn(message, RuntimeWarning, stacklevel=frames_to_users_code())
        items = {**info, "status": status, "message": message}
        return Outcome(x, status == 1, message, items)


@dataclass(frozen=True)
class FixedPoint(RootMethod):
    """How SciPy finds a fixed point; the function is its difference from the unknowns."""

    def prepare(self, given: dict[str, Any], parameters: Vector, bounds: Bounds | None) -> None:
        """Add what SciPy's function is given beside."""
        difference = given["func"]
        given["func"] = lambda x: x + difference(x)

    def asked(self, keywords: Mapping[str, Any]) -> Outcome:
        """Return what SciPy's function does, which raises where it finds none."""
        return Outcome(scipys(self.name)(**keywords), True, "", {})


def difference(unknowns: Any, result: Any) -> Any:
    """Return what a function returns less what it's given."""
    return operand(result) - operand(unknowns[0])


def check_square(given: Given, n: int, name: str) -> None:
    """Raise unless there are as many equations as unknowns."""
    found = given.inner.n_outputs
    if found != n:
        raise ValueError(
            f"scipy.optimize.{name} of {found} equations for {n} unknowns is no root: return as "
            "many numbers as there are unknowns, or call scipy.optimize.least_squares"
        )


def residual_at(given: Given, x: Any) -> Any:
    """Return what a function returns at a solution."""
    return evaluated(given.inner, [x, *given.parameters])


def vector(x: Any) -> Any:
    """Return a start as MINPACK's solvers take it."""
    return operand(x).reshape(-1) if np.ndim(x) else np.stack([operand(x)])


# --- the rules --------------------------------------------------------------------------------


@scipy_solver_rule("scipy.optimize.fsolve", functions="func fprime")
def _fsolve(func: Any, x0: Any, args: Any = (), fprime: Any = None, full_output: Any = 0,
            **settings: Any) -> Any:  # fmt: skip
    x0 = vector(x0)
    unknowns = (primal(x0),)
    wanted = [Wanted("func", func, USE, unknowns)]
    exact = ""
    if fprime is not None:
        wanted.append(Wanted("fprime", fprime, JACOBIAN, unknowns))
    elif settings.get("band") is None and settings.get("epsfcn") is None:
        exact = "fprime"
        settings.pop("col_deriv", None)
    tolerances = 0.0, setting("fsolve", settings, "xtol")

    def body(given: list[Given]) -> Any:
        check_square(given[0], len(x0), "fsolve")
        method = RootOfFsolve("fsolve", given[0].inner, plain_functions(given), ("x0",),
                              Settings(settings), tolerances, exact, 0.0,
                              bool(full_output))  # fmt: skip
        x, told = solved(method, len(x0), [x0], given)
        if not full_output:
            return x
        info = SolverResult("scipy.optimize.fsolve", told,
                            {"fvec": lambda: residual_at(given[0], x)},
                            ("status", "message"))  # fmt: skip
        return x, info, told.read("status"), told.read("message")

    return with_functions(wanted, as_arguments(args), {}, body)


def pairs_or(jac: Any, role: str, function: Any, unknowns: tuple[Any, ...], use: Use,
             of_pairs: Use) -> list[Wanted]:  # fmt: skip
    """Return what a solver is given as a function and its derivative `jac`, of its own or not."""
    if callable(jac):
        return [Wanted(role, function, use, unknowns), Wanted("jac", jac, JACOBIAN, unknowns)]
    if jac is True:
        return [Wanted(role, function, of_pairs, unknowns),
                Wanted("jac", function, SECOND, unknowns)]  # fmt: skip
    return [Wanted(role, function, use, unknowns)]


@scipy_solver_rule("scipy.optimize.root", functions="fun jac")
def _root(fun: Any, x0: Any, args: Any = (), method: Any = "hybr", jac: Any = None,
          **settings: Any) -> Any:  # fmt: skip
    x0 = vector(x0) if method in MINPACK else operand(x0)
    unknowns = (primal(x0),)
    wanted = pairs_or(jac, "fun", fun, unknowns, USE, FIRST)
    settings = settled(settings)
    options = settings.get("options") or {}
    own = jac is not None or method not in MINPACK
    exact = "" if own or options.get("eps") or options.get("band") else "jac"
    n, tol = int(np.size(x0)), settings.get("tol")
    if method in MINPACK:
        tolerances, of_residuals = (0.0, options.get("xtol", tol or TOLERANCE)), 0.0
    else:
        tolerances = (options.get("xatol", 0.0), options.get("xtol", tol or 0.0))
        of_residuals = options.get("fatol", 0.0 if tol else _F_TOLERANCE)
    settings = {"method": method, **settings, **({"jac": False} if jac is False else {})}

    def body(given: list[Given]) -> Any:
        check_square(given[0], n, "root")
        how = SystemRoot("root", given[0].inner, plain_functions(given), ("x0",),
                         Settings(settings), tolerances, exact, of_residuals)  # fmt: skip
        x, told = solved(how, n, [x0], given)
        shape = np.shape(told.run.x)
        computed = {"x": lambda: x.reshape(shape),
                    "fun": lambda: residual_at(given[0], x).reshape(shape)}  # fmt: skip
        return SolverResult("scipy.optimize.root", told, computed)

    return with_functions(wanted, as_arguments(args), {}, body)


@dataclass(frozen=True)
class RootOfResiduals(SystemRoot):
    """How functions that return a root and nothing else find it, or raise."""

    def asked(self, keywords: Mapping[str, Any]) -> Outcome:
        """Return what SciPy's function does."""
        return Outcome(scipys(self.name)(**keywords), True, "", {})


def _by_residuals(name: str) -> Callable[..., Any]:
    def rule(F: Any, xin: Any, **settings: Any) -> Any:  # noqa: N803  # SciPy's name
        x0 = operand(xin)
        n, shape = int(np.size(x0)), np.shape(x0)
        asked = settings.get("f_tol")

        def body(given: list[Given]) -> Any:
            check_square(given[0], n, name)
            method = RootOfResiduals(
                name, given[0].inner, plain_functions(given), ("xin",), Settings(settings),
                (0.0, 0.0), f_tolerance=_F_TOLERANCE if asked is None else asked,
            )  # fmt: skip
            return solved(method, n, [x0], given)[0].reshape(shape)

        return with_functions([Wanted("F", F, USE, (primal(x0),))], (), {}, body)

    return rule


for _name in ("broyden1", "broyden2", "anderson", "linearmixing", "diagbroyden", "excitingmixing",
              "newton_krylov"):  # fmt: skip
    scipy_solver_rule(f"scipy.optimize.{_name}", functions="F")(_by_residuals(_name))


@scipy_solver_rule("scipy.optimize.fixed_point", functions="func")
def _fixed_point(func: Any, x0: Any, args: Any = (), **settings: Any) -> Any:
    x0 = operand(x0)
    wanted = [Wanted("func", func, Use("the fixed point", difference), (primal(x0),))]
    tolerances = 0.0, setting("fixed_point", settings, "xtol")
    n, shape = int(np.size(x0)), np.shape(x0)

    def body(given: list[Given]) -> Any:
        check_square(given[0], n, "fixed_point")
        method = FixedPoint("fixed_point", given[0].inner, plain_functions(given), ("x0",),
                            Settings(settings), tolerances)  # fmt: skip
        x, _ = solved(method, n, [x0], given)
        return x.reshape(shape) if shape else x[0]

    return with_functions(wanted, as_arguments(args), {}, body)
