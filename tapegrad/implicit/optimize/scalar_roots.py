"""Rules of scipy.optimize's solvers of one equation: brackets, Newton's method and its like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapegrad.function.vectors import Vector
from tapegrad.implicit.functions import Use
from tapegrad.implicit.newton import MOST_POLISHING, Equations
from tapegrad.implicit.optimize.given_functions import (
    Wanted,
    as_arguments,
    as_operand,
    first_operand,
    plain_functions,
    primal,
    second_operand,
    with_functions,
)
from tapegrad.implicit.optimize.scipy_methods import (
    TOLERANCE,
    Outcome,
    SciPyMethod,
    Settings,
    scipys,
    setting,
)
from tapegrad.implicit.optimize.scipy_solutions import (
    Told,
    solved,
)
from tapegrad.implicit.optimize.solver_results import SolverResult
from tapegrad.implicit.solution import Bounds, Found
from tapegrad.implicit.solver_rules import scipy_solver_rule
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import no_rule

SLACK = 10.0
"""How many tolerances a result may be away from the root: solvers promise a few."""


@dataclass(frozen=True)
class RootMethod(SciPyMethod):
    """How SciPy finds where something vanishes.

    Attributes
    ----------
    tolerances : tuple of float
        Absolute and relative.
    """

    tolerances: tuple[float, float] = (TOLERANCE, TOLERANCE)

    def found_from(self, x: Vector, parameters: Vector, bounds: Bounds | None) -> Found:
        """Return the root next to where SciPy stopped."""
        equations = Equations(self.equations, parameters, len(x))
        return equations.root_from(x, TOLERANCE, MOST_POLISHING, [])

    def allowed(self, x: Vector, found: Found, parameters: Vector) -> Any:
        """Return how far SciPy's result may be from the solution, for each unknown."""
        absolute, relative = self.tolerances
        return SLACK * (absolute + relative * np.abs(found.x))


@dataclass(frozen=True)
class ScalarRoot(RootMethod):
    """How SciPy solves an equation, or each of several."""

    def asked(self, keywords: Mapping[str, Any]) -> Outcome:
        """Return what SciPy's function does."""
        if self.name == "root_scalar":
            result = scipys(self.name)(**keywords)
            return Outcome(result.root, result.converged, result.flag, vars_of(result))
        x, *more = scipys(self.name)(**keywords, full_output=True)
        if np.ndim(x):  # of Newton's method
            converged, zeros = more
            message = "some didn't converge"
            return Outcome(x, bool(np.all(converged)), message, {"zero_der": zeros})
        (result,) = more
        return Outcome(x, result.converged, result.flag, vars_of(result))


def vars_of(result: Any) -> dict[str, Any]:
    """Return the items of one of SciPy's results, which may be a dictionary."""
    return dict(result) if isinstance(result, dict) else dict(vars(result))


_USE = Use("the root", as_operand)
_FIRST, _SECOND = Use("the root", first_operand), Use("the derivative", second_operand)


def _root(name: str, wanted: Sequence[Wanted], args: Any, starts: Mapping[str, Any],
          settings: Mapping[str, Any],
          tolerances: tuple[float, float]) -> tuple[Any, Told]:  # fmt: skip
    """Return the root, and what SciPy tells of it."""
    shape = np.shape(wanted[0].unknowns[0])

    def body(given: Any) -> tuple[Any, Told]:
        functions = plain_functions(given)
        equations = given[0].inner
        method = ScalarRoot(name, equations, functions, tuple(starts), Settings(settings),
                            tolerances)  # fmt: skip
        n = int(np.prod(shape))
        if equations.n_outputs != n:
            raise ValueError(f"the function returns {equations.n_outputs} numbers for {n}")
        x, told = solved(method, n, [*starts.values()], given)
        return (x.reshape(shape) if shape else x[0]), told

    return with_functions(wanted, as_arguments(args), {}, body)


def _full(x: Any, told: Told, solver: str, is_full: Any) -> Any:
    return (x, _result(x, told, solver)) if is_full else x


def _result(x: Any, told: Told, solver: str) -> SolverResult:
    return SolverResult(f"scipy.optimize.{solver}", told, {"root": lambda: x})


# --- between two numbers ----------------------------------------------------------------------


def _bracketing(name: str) -> Callable[..., Any]:
    def rule(f: Any, a: Any, b: Any, args: Any = (), full_output: Any = False,
             **settings: Any) -> Any:  # fmt: skip
        tolerances = setting(name, settings, "xtol"), setting(name, settings, "rtol")
        wanted = [Wanted("f", f, _USE, (_middle(a, b),))]
        x, told = _root(name, wanted, args, {"a": a, "b": b}, settings, tolerances)
        return _full(x, told, name, full_output)

    return rule


def _middle(a: Any, b: Any) -> float:
    return 0.5 * (float(primal(operand(a))) + float(primal(operand(b))))


for _name in ("brentq", "brenth", "bisect", "ridder", "toms748"):
    scipy_solver_rule(f"scipy.optimize.{_name}", functions="f")(_bracketing(_name))


# --- from one or two numbers ------------------------------------------------------------------


@scipy_solver_rule("scipy.optimize.newton", functions="func fprime fprime2")
def _newton(func: Any, x0: Any, fprime: Any = None, args: Any = (), fprime2: Any = None,
            x1: Any = None, full_output: Any = False, **settings: Any) -> Any:  # fmt: skip
    tolerances = setting("newton", settings, "tol"), setting("newton", settings, "rtol")
    unknowns = (primal(operand(x0)),)
    wanted = [Wanted("func", func, _USE, unknowns), *_derivatives(fprime, fprime2, unknowns)]
    starts = {"x0": x0} if x1 is None else {"x0": x0, "x1": x1}
    x, told = _root("newton", wanted, args, starts, settings, tolerances)
    if full_output and np.ndim(unknowns[0]):
        raise no_rule("scipy.optimize.newton of an array with full_output=", "leave that out, or ")
    return _full(x, told, "newton", full_output)


def _derivatives(fprime: Any, fprime2: Any, unknowns: tuple[Any, ...]) -> list[Wanted]:
    given = {"fprime": fprime, "fprime2": fprime2}
    return [Wanted(role, function, Use(f"the {role}", as_operand), unknowns)
            for role, function in given.items() if callable(function)]  # fmt: skip


@scipy_solver_rule("scipy.optimize.root_scalar", functions="f fprime fprime2")
def _root_scalar(f: Any, args: Any = (), method: Any = None, bracket: Any = None,
                 fprime: Any = None, fprime2: Any = None, x0: Any = None, x1: Any = None,
                 **settings: Any) -> Any:  # fmt: skip
    starts = {"bracket": bracket, "x0": x0, "x1": x1}
    starts = {role: start for role, start in starts.items() if start is not None}
    if bracket is None and x0 is None:
        raise ValueError("Unable to select a solver as neither bracket nor starting point "
                         "provided.")  # fmt: skip
    unknowns = (_middle(*bracket[:2]) if x0 is None else primal(operand(x0)),)
    if fprime and not callable(fprime):  # f returns a pair
        wanted = [Wanted("f", f, _FIRST, unknowns), Wanted("fprime", f, _SECOND, unknowns),
                  *_derivatives(None, fprime2, unknowns)]  # fmt: skip
    else:
        wanted = [Wanted("f", f, _USE, unknowns), *_derivatives(fprime, fprime2, unknowns)]
    settings = {"method": method, **settings}
    given = {"xtol": None, "rtol": None, **settings, **(settings.get("options") or {})}
    tolerances = given["xtol"] or TOLERANCE, given["rtol"] or TOLERANCE
    x, told = _root("root_scalar", wanted, args, starts, settings, tolerances)
    return _result(x, told, "root_scalar")
