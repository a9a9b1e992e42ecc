"""The rule of scipy.integrate.solve_ivp, and its results, which are recorded as they're read."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapegrad.errors import StructureError, UnsupportedFunctionError
from tapegrad.function.content import freeze
from tapegrad.function.vectors import join
from tapegrad.implicit.functions import Function, Use, with_inner
from tapegrad.implicit.ode.flows import Flow
from tapegrad.implicit.ode.passes_of_solutions import Control
from tapegrad.implicit.ode.problems import Called, Problem, ivp_solver
from tapegrad.implicit.ode.solutions import Solution, Terms
from tapegrad.implicit.solver_rules import scipy_solver_rule
from tapegrad.record.array import ActiveArray
from tapegrad.record.stopping import stop_gradient
from tapegrad.tree import flatten

LEAST_RTOL, MOST_RTOL = 1e-12, 1e-6
"""Of a derivative's own error control."""

_WAYS = {"RK45": "explicit", "RK23": "explicit", "DOP853": "explicit", "Radau": "implicit",
         "BDF": "implicit", "LSODA": "either"}  # fmt: skip


def control_of(rtol: Any, atol: Any, n: int, way: str, longest: float) -> Control:
    """Return how exactly derivatives are integrated, beside a solution's tolerances."""
    asked = float(np.min(np.asarray(rtol, np.float64)))
    own = min(max(asked, LEAST_RTOL), MOST_RTOL)
    scaled = np.broadcast_to(np.asarray(atol, np.float64), (n,)) * min(own / max(asked, own), 1.0)
    return Control(own, tuple(scaled.tolist()), way, longest)


# --- inner functions ------------------------------------------------------------------------------


def numbers_of(size: int, what: str) -> Callable[[Any, Any], Any]:
    """Return what makes a right-hand side's result as many numbers as it has to be."""
    return functools.partial(_numbers_of, size, what)


def _numbers_of(size: int, what: str, unknowns: Any, result: Any) -> Any:
    leaves: list[Any] = []
    flatten(result, leaves)
    found = join(leaves)
    if len(found) == 1 and size > 1:
        found = found * np.ones(size)
    if len(found) != size:
        raise StructureError(f"{what} returned {len(found)} numbers where {size} are needed")
    return found


@functools.cache
def use_of(verb: str, size: int) -> Use:
    """Return for what a function of a problem is called; always the same."""
    return Use(verb, numbers_of(size, "what is integrated"))


def with_functions(functions: Sequence[tuple[Any, Use]], x: tuple[Any, ...],
                   args: tuple[Any, ...], body: Callable[[list[Any]], Any]) -> Any:  # fmt: skip
    """Return what `body` makes of inner functions and their parameters, a pair each.

    The first operands of each are the unknowns `x`.
    """

    def nested(rest: Sequence[tuple[Any, Use]], found: list[Any]) -> Any:
        if not rest:
            return body(found)
        (function, use), *others = rest

        def then(inner: Function, operands: list[Any]) -> Any:
            return nested(others, [*found, (inner, operands[len(x) :])])

        return with_inner(function, use, x, args, {}, then)

    return nested(functions, [])


# --- solve_ivp ------------------------------------------------------------------------------------


@scipy_solver_rule("scipy.integrate.solve_ivp", functions="fun events jac")
def solve_ivp(fun: Any, t_span: Any, y0: Any, method: Any = "RK45", t_eval: Any = None,
              dense_output: Any = False, events: Any = None, vectorized: Any = False,
              args: Any = None, first_step: Any = None, max_step: Any = np.inf, rtol: Any = 1e-3,
              atol: Any = 1e-6, jac: Any = ..., jac_sparsity: Any = None, lband: Any = None,
              uband: Any = None, min_step: Any = 0.0) -> Any:  # fmt: skip
    """Record the solution of an initial value problem.

    An implicit method is given the exact Jacobian; `jac=None` leaves it to SciPy's differences.
    """
    t0, t1 = t_span
    y0 = as_state(y0)
    n = len(y0)
    name = method if isinstance(method, str) else method.__name__
    if name not in _WAYS:
        raise UnsupportedFunctionError(
            f"solve_ivp with a method of your own, {name}, has no rule for active numbers: take "
            f"one of {', '.join(_WAYS)}"
        )
    given = {"first_step": first_step, "max_step": max_step, "rtol": rtol, "atol": atol,
             "jac_sparsity": jac_sparsity, "lband": lband, "uband": uband,
             "min_step": min_step}  # fmt: skip
    defaults = {"first_step": None, "max_step": np.inf, "rtol": 1e-3, "atol": 1e-6,
                "jac_sparsity": None, "lband": None, "uband": None, "min_step": 0.0}  # fmt: skip
    options = {key: value for key, value in stop_gradient(given).items()
               if value is not defaults[key]}  # fmt: skip
    is_implicit = _WAYS[name] != "explicit"
    is_banded = any(key in options for key in ("jac_sparsity", "lband", "uband"))
    is_exact = is_implicit and jac is ... and not is_banded
    listed = [] if events is None else [events] if callable(events) else list(events)
    functions = [(fun, use_of("the solution", n))]
    if is_implicit and callable(jac):
        functions.append((jac, use_of("the Jacobian", n * n)))
    elif is_implicit and jac is not ... and jac is not None:
        options["jac"] = stop_gradient(jac)
    functions += [(event, use_of("the event", 1)) for event in listed]
    attributes = [tuple((key, getattr(event, key)) for key in ("terminal", "direction")
                        if hasattr(event, key)) for event in listed]  # fmt: skip
    control = control_of(stop_gradient(rtol), stop_gradient(atol), n, _WAYS[name],
                         float(stop_gradient(max_step)))  # fmt: skip
    solve = ivp_solver(method, bool(vectorized), t_eval is not None, bool(dense_output), attributes,
                       is_exact, options)  # fmt: skip
    key = ("solve_ivp", name, bool(vectorized), t_eval is not None, bool(dense_output), is_exact,
           freeze(options))  # fmt: skip

    def body(found: list[Any]) -> Any:
        (rate, of_rate), *others = found
        has_jacobian = is_implicit and callable(jac)
        of_jacobian = others[:has_jacobian]
        of_events = others[has_jacobian:]
        problem = Problem(
            Called(rate, len(of_rate)),
            Called(of_jacobian[0][0], len(of_jacobian[0][1])) if of_jacobian else None,
            [Called(inner, len(operands), pair)
             for (inner, operands), pair in zip(of_events, attributes, strict=True)],
            solve, key,
        )  # fmt: skip
        times = np.empty(0) if t_eval is None else np.reshape(join([t_eval]), -1)
        rest = [t1, times, *[x for _, operands in others for x in operands]]
        terms = Terms(problem, Flow(rate, n, control), [t0, y0, *of_rate], rest,
                      [operands for _, operands in of_events])  # fmt: skip
        return Solution(terms, t_eval, bool(dense_output))

    state = np.reshape(y0, (n, 1)) if vectorized else y0
    return with_functions(functions, (t0, state), tuple(args or ()), body)


def as_state(y0: Any) -> Any:
    """Return a first state as a vector."""
    if isinstance(y0, ActiveArray):
        found: Any = y0
    else:
        found = join(list(y0) if np.ndim(y0) else [y0])
    if found.ndim != 1:
        raise ValueError("`y0` must be 1-dimensional.")
    return found
