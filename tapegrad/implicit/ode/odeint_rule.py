"""The rule of scipy.integrate.odeint, and refusals of what has none in scipy.integrate."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np

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
from tapegrad.implicit.ode.problems import OdeintCall, Problem
from tapegrad.implicit.ode.solutions import Terms
from tapegrad.implicit.ode.states_of_flows import primal
from tapegrad.implicit.solver_rules import refuse_solver, scipy_solver_rule
from tapegrad.libraries import frames_to_users_code

_DEFAULT = 1.49012e-8
"""LSODA's tolerances where none are given."""


@scipy_solver_rule("scipy.integrate.odeint", functions="func Dfun")
def odeint(func: Any, y0: Any, t: Any, args: Any = (),
           Dfun: Any = ..., col_deriv: Any = 0,  # noqa: N803  # SciPy's name
           full_output: Any = 0, ml: Any = None, mu: Any = None, rtol: Any = None, atol: Any = None,
           tcrit: Any = None, h0: Any = 0.0, hmax: Any = 0.0, hmin: Any = 0.0, ixpr: Any = 0,
           mxstep: Any = 0, mxhnil: Any = 0, mxordn: Any = 12, mxords: Any = 5, printmessg: Any = 0,
           tfirst: Any = False) -> Any:  # fmt: skip
    """Record the solution of an initial value problem.

    LSODA is given the exact Jacobian; `Dfun=None` leaves it to differences.
    """
    y0, times = as_state(y0), np.reshape(join([t]), -1)
    n, args = len(y0), args if isinstance(args, tuple) else (args,)
    if not len(times):
        raise ValueError("odeint needs the times at which the solution is wanted, the first first")
    given = {"ml": ml, "mu": mu, "rtol": rtol, "atol": atol, "tcrit": tcrit, "h0": h0, "hmax": hmax,
             "hmin": hmin, "ixpr": ixpr, "mxstep": mxstep, "mxhnil": mxhnil, "mxordn": mxordn,
             "mxords": mxords}  # fmt: skip
    refuse_active("odeint", given)
    is_exact = Dfun is ... and ml is None and mu is None
    has_jacobian = Dfun is not None and Dfun is not ...
    functions = [(_ordered(func, tfirst), use_of("the solution", n))]
    if has_jacobian:
        functions.append((_ordered(Dfun, tfirst), use_of("the Jacobian", n * n)))
    longest = float(hmax) or np.inf
    control = control_of(rtol or _DEFAULT, _DEFAULT if atol is None else atol, n, "either", longest)
    solve = OdeintCall(is_exact, bool(has_jacobian and col_deriv), given)

    def body(found: list[Any]) -> Any:
        (rate, of_rate), *others = found
        jacobian = called(*others[0]) if others else None
        problem = Problem(called(rate, of_rate), jacobian, [], solve)
        rest = [times[-1], times, *[x for _, operands in others for x in operands]]
        terms = Terms(problem, Flow(rate, n, control), [times[0], y0, *of_rate], rest, [])
        plain = problem.solved([None, *map(primal, terms.operands)])
        if not plain.success:
            kind, text = plain.warning
            warnings.warn(text, kind, stacklevel=frames_to_users_code())
        states = terms.states(times, "array").T
        return (states, plain.info) if full_output else states

    return with_functions(functions, (times[0], y0), args, body)


def _ordered(function: Any, is_time_first: Any) -> Any:
    """Return a function of a time and a state."""
    return function if is_time_first else functools.partial(_swapped, function)


def _swapped(function: Any, t: Any, y: Any, *args: Any) -> Any:
    return function(y, t, *args)


refuse_solver(
    "scipy.integrate.solve_bvp",
    "solve_ivp and odeint have one, and tapegrad.root solves equations such as those of a boundary "
    "value problem",
)
