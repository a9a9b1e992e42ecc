"""SciPy's own solutions of initial value problems, on inner functions and plain numbers.

A problem is solved by what the user called, as it was called, so the values are SciPy's; an
implicit method is given the exact Jacobian if the user gave it none. The last solution is kept, as
several blocks read it. Operands are as blocks of a flow have them: after the parameters of the
right-hand side come t1, the times to evaluate at, and parameters of other functions.
"""

from __future__ import annotations

import importlib
import threading
import warnings
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np

from tapegrad.blocks import Array
from tapegrad.errors import BlockFailedError
from tapegrad.function.content import freeze
from tapegrad.function.vectors import Vector
from tapegrad.implicit.evaluation import joined
from tapegrad.implicit.inner import Inner
from tapegrad.implicit.ode.plain_callers import Caller
from tapegrad.implicit.ode.states_of_flows import FIRST_STATE, FIRST_TIME, PARAMETERS
from tapegrad.implicit.solver_rules import scipys_own


class Called(NamedTuple):
    """A function of a problem, and how many operands are its parameters.

    Attributes
    ----------
    inner : Inner
    n_parameters : int
    attributes : tuple
        Of an event: `terminal` and `direction`.
    """

    inner: Inner
    n_parameters: int
    attributes: tuple[Any, ...] = ()


class Problem:
    """A call of a solver of SciPy's.

    Parameters
    ----------
    rate : Called
    jacobian : Called or None
        The user's.
    events : sequence of Called
    solve : IvpCall or OdeintCall
        Solves for plain functions: called with those of the rate, the Jacobian and the events, then
        t0, y0, t1 and the times.
    """

    def __init__(self, rate: Called, jacobian: Called | None, events: Sequence[Called],
                 solve: IvpCall | OdeintCall) -> None:  # fmt: skip
        self.rate, self.jacobian, self.events = rate, jacobian, tuple(events)
        self._solve, self._key = solve, (type(solve), solve.key())
        self._own = threading.local()

    def _identity(self) -> Any:
        functions = [self.rate, self.jacobian, *self.events]
        parts = [f and (id(f.inner), f.n_parameters, f.attributes) for f in functions]
        return (tuple(parts), self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and other._identity() == self._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_own": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _own=threading.local())

    def solved(self, operands: Sequence[Any]) -> Any:
        """Return what SciPy finds for operands, without the times of the block."""
        plain = [np.asarray(operand, np.float64) for operand in operands[FIRST_TIME:]]
        key = joined(plain).tobytes()
        last = getattr(self._own, "last", None)
        if last is None or last[0] != key:
            last = self._own.last = key, self._solved([None, *plain])
        return last[1]

    def ended_by(self, operands: Sequence[Any], times: Sequence[Array]) -> int:
        """Return which event ended a solution for a block's operands, by the times of all."""
        t0, t1 = operands[0], operands[2 + self.rate.n_parameters]
        sign = 1.0 if t1 >= t0 else -1.0
        last = {
            number: sign * times[number][-1]
            for number, event in enumerate(self.events)
            if dict(event.attributes).get("terminal") and len(times[number])
        }
        return max(last, key=last.__getitem__)

    def _solved(self, operands: Sequence[Any]) -> Any:
        start = PARAMETERS
        parts = []
        for count in (self.rate.n_parameters, 1, 1):
            parts.append(operands[start : start + count])
            start += count
        of_rate, (t1,), (times,) = parts
        with ExitStack() as stack:
            stack.enter_context(scipys_own())
            rate = stack.enter_context(_caller(self.rate, of_rate))
            others: list[Any] = []
            for called in (self.jacobian, *self.events):
                count = called.n_parameters if called else 0
                given = operands[start : start + count]
                others.append(called and stack.enter_context(_caller(called, given)))
                start += count
            jacobian, *events = others
            t0, y0 = float(operands[FIRST_TIME]), np.array(operands[FIRST_STATE])
            return self._solve(rate, jacobian, events, t0, y0, float(t1), np.array(times))


@contextmanager
def _caller(called: Called, parameters: Sequence[Any]) -> Any:
    caller = Caller(called.inner, joined(parameters))
    try:
        yield caller
    finally:
        caller.end()


class Reading:
    """What of a solution a block has: states at times.

    Parameters
    ----------
    problem : Problem
    what : str
        'eval' (at the times asked for), 'end', 'steps', 'dense', 'event', or 'array'.
    number : int
        Which event.
    """

    def __init__(self, problem: Problem, what: str, number: int = 0) -> None:
        self._problem, self._what, self._number = problem, what, number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reading) and (
            (other._problem, other._what, other._number)
            == (self._problem, self._what, self._number)
        )

    def __hash__(self) -> int:
        return hash((self._problem, self._what, self._number))

    def read(self, operands: Sequence[Any]) -> Array:
        """Return the states for all operands of a block."""
        found = self._problem.solved(operands)
        times = operands[0]
        n = len(operands[FIRST_STATE])
        if self._what == "end":
            states = found.y[:, -1:]
        elif self._what == "dense":
            with scipys_own():
                states = found.sol(np.array(times)) if len(times) else np.empty((n, 0))
        elif self._what == "event":
            states = np.reshape(found.y_events[self._number], (-1, n)).T
        else:
            states = np.reshape(found.y, (n, -1))
        if states.shape[1] != len(times):
            raise BlockFailedError(
                f"{self._problem.rate.inner.name} has {states.shape[1]} states here where it had "
                f"{len(times)} before"
            )
        return np.asarray(states, np.float64)

    def check(self, operands: Sequence[Any]) -> None:
        """Raise where the solution is none, and so has no derivative."""
        found = self._problem.solved(operands)
        if not found.success:
            raise BlockFailedError(
                f"{self._problem.rate.inner.name} wasn't found, and has no derivative: "
                f"{found.message}; look at `success` before its numbers are used"
            )


class IvpCall(NamedTuple):
    """A call of `solve_ivp`, without its functions and numbers.

    Attributes
    ----------
    method : str or type
    vectorized, has_times, dense_output : bool
    attributes : tuple
        Those of the events.
    is_exact : bool
        Whether it's given the exact Jacobian.
    options : dict
    """

    method: Any
    vectorized: bool
    has_times: bool
    dense_output: bool
    attributes: tuple[tuple[Any, ...], ...]
    is_exact: bool
    options: dict[str, Any]

    def key(self) -> Any:
        """Return what two calls have in common that are the same."""
        return (*self[:-1], freeze(self.options))

    def __call__(self, rate: Caller, jacobian: Caller | None, events: Sequence[Caller], t0: float,
                 y0: Vector, t1: float, times: Vector) -> Any:  # fmt: skip
        """Return what SciPy finds."""
        solve_ivp = importlib.import_module("scipy.integrate").solve_ivp
        given = dict(self.options)
        if jacobian is not None:
            n = len(y0)
            given["jac"] = lambda t, y: np.reshape(jacobian(t, y), (n, n))
        elif self.is_exact:
            given["jac"] = rate.jacobian
        pairs = zip(events, self.attributes, strict=True)
        return solve_ivp(
            rate, (t0, t1), y0, method=self.method, t_eval=times if self.has_times else None,
            dense_output=self.dense_output, vectorized=self.vectorized,
            events=[_event(*pair) for pair in pairs] or None, **given,
        )  # fmt: skip


def _event(caller: Caller, attributes: tuple[Any, ...]) -> Any:
    def event(t: float, y: Vector) -> float:
        return float(caller(t, y)[0])

    for name, value in attributes:
        setattr(event, name, value)
    return event


class Solved(NamedTuple):
    """What `odeint` finds.

    Attributes
    ----------
    y : ndarray
        One column each time.
    success : bool
    message : str
    info : dict
    warning : tuple of (type, str), or None
        What SciPy warned of.
    """

    y: Array
    success: bool
    message: str
    info: dict[str, Any]
    warning: tuple[type[Warning], str] | None


class OdeintCall(NamedTuple):
    """A call of `odeint`, without its functions and numbers.

    Attributes
    ----------
    is_exact : bool
        Whether it's given the exact Jacobian.
    is_by_column : bool
        Whether the user's is transposed.
    options : dict
    """

    is_exact: bool
    is_by_column: bool
    options: dict[str, Any]

    def key(self) -> Any:
        """Return what two calls have in common that are the same."""
        return (*self[:-1], freeze(self.options))

    def __call__(self, rate: Caller, jacobian: Caller | None, events: Sequence[Caller], t0: float,
                 y0: Vector, t1: float, times: Vector) -> Any:  # fmt: skip
        """Return what SciPy finds."""
        odeint = importlib.import_module("scipy.integrate").odeint
        n, given = len(y0), dict(self.options)
        if jacobian is not None:
            given["Dfun"] = lambda t, y: np.reshape(jacobian(t, y), (n, n))
            given["col_deriv"] = self.is_by_column
        elif self.is_exact:
            given["Dfun"] = rate.jacobian
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found, info = odeint(rate, y0, times, tfirst=True, full_output=True, **given)
        warned = (caught[0].category, str(caught[0].message)) if caught else None
        return Solved(np.asarray(found).T, not caught, info["message"], info, warned)
