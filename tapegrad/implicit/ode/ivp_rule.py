"""The rule of scipy.integrate.solve_ivp, and its results, which are recorded as they're read."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.function.vectors import join
from tapegrad.implicit.ode.flows import Flow
from tapegrad.implicit.ode.functions_of_problems import (
    as_state,
    called,
    control_of,
    refuse_active,
    use_of,
    with_functions,
)
from tapegrad.implicit.ode.problems import IvpCall, Problem
from tapegrad.implicit.ode.solutions import Solution, Terms
from tapegrad.implicit.solver_rules import scipy_solver_rule

_WAYS = {"RK45": "explicit", "RK23": "explicit", "DOP853": "explicit", "Radau": "implicit",
         "BDF": "implicit", "LSODA": "either"}  # fmt: skip


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
    refuse_active("solve_ivp", {**given, "jac": None if callable(jac) else jac})
    options = {key: value for key, value in given.items() if value is not defaults[key]}
    is_implicit = _WAYS[name] != "explicit"
    is_banded = any(key in options for key in ("jac_sparsity", "lband", "uband"))
    is_exact = is_implicit and jac is ... and not is_banded
    listed = [] if events is None else [events] if callable(events) else list(events)
    functions = [(fun, use_of("the solution", n))]
    if is_implicit and callable(jac):
        functions.append((jac, use_of("the Jacobian", n * n)))
    elif is_implicit and jac is not ... and jac is not None:
        options["jac"] = jac
    functions += [(event, use_of("the event", 1)) for event in listed]
    attributes = tuple([tuple([(key, getattr(event, key)) for key in ("terminal", "direction")
                               if hasattr(event, key)]) for event in listed])  # fmt: skip
    control = control_of(rtol, atol, n, _WAYS[name], float(max_step))
    solve = IvpCall(method, bool(vectorized), t_eval is not None, bool(dense_output), attributes,
                    is_exact, options)  # fmt: skip

    def body(found: list[Any]) -> Any:
        (rate, of_rate), *others = found
        n_jacobians = len(others) - len(listed)
        of_events = others[n_jacobians:]
        problem = Problem(
            called(rate, of_rate),
            called(*others[0]) if n_jacobians else None,
            [called(event, given, pair)
             for (event, given), pair in zip(of_events, attributes, strict=True)],
            solve,
        )  # fmt: skip
        times = np.empty(0) if t_eval is None else np.reshape(join([t_eval]), -1)
        rest = [t1, times, *[x for _, operands in others for x in operands]]
        terms = Terms(problem, Flow(rate, n, control), [t0, y0, *of_rate], rest,
                      [operands for _, operands in of_events])  # fmt: skip
        return Solution(terms, t_eval, bool(dense_output))

    state = np.reshape(y0, (n, 1)) if vectorized else y0
    return with_functions(functions, (t0, state), tuple(args or ()), body)
