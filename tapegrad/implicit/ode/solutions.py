"""What `solve_ivp` returns: its parts are recorded when they're read, and guard what was read.

The last state and the states at given times don't depend on how many steps there were; who reads
all steps' states reads their number, too. Counts of evaluations are today's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tapegrad.blocks import Block, Constant, Shapes
from tapegrad.errors import BlockFailedError
from tapegrad.function.vectors import join
from tapegrad.implicit.evaluation import shapes_of
from tapegrad.implicit.ode.chained_ways import states_through
from tapegrad.implicit.ode.event_times import event_times
from tapegrad.implicit.ode.flows import Flow
from tapegrad.implicit.ode.problems import Problem, Reading
from tapegrad.implicit.ode.states_of_flows import primal
from tapegrad.record.active import guard_all
from tapegrad.record.array import ActiveArray
from tapegrad.record.called import call
from tapegrad.record.scipy.recognised import STAND_INS


class Terms(NamedTuple):
    """A problem, its flow, and its operands.

    Attributes
    ----------
    problem : Problem
    flow : Flow
    first : list
        The first time and state, and the parameters of the right-hand side.
    rest : list
        What only the problem reads.
    of_events : list of list
        The parameters of the events, which are of the rest, too.
    """

    problem: Problem
    flow: Flow
    first: list[Any]
    rest: list[Any]
    of_events: list[list[Any]]

    @property
    def operands(self) -> list[Any]:
        """All of them."""
        return [*self.first, *self.rest]

    def states(self, times: Any, what: str, number: int = 0) -> Any:
        """Return states at times, one column each."""
        reading = Reading(self.problem, what, number)
        count = len(self.first) - 2
        return states_through(self.flow, [times, *self.first, *self.rest], reading, count)


STATUS, COUNT, ENDED_BY, LAST, EVENTS = range(5)
"""Where facts are: what has ended a solution is an event's number, or -1."""


class Facts(Constant):
    """What is told of a solution: how it ended, and how many states and events it has."""

    def __init__(self, problem: Problem, shapes: Shapes, is_active: tuple[bool, ...]) -> None:
        count = EVENTS + len(problem.events)
        super().__init__(f"facts of {problem.rate.inner.name}", shapes, ((count,),), is_active)
        self._problem = problem

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the numbers."""
        found = self._problem.solved([None, *operands])
        events, count = found.t_events or (), np.shape(found.y)[-1]
        last = found.t[-1] if len(found.t) else np.nan
        ended_by = self._problem.ended_by(operands, events) if found.status == 1 else -1
        counts = map(len, events)
        return [np.array([found.status, count, ended_by, last, *counts], np.float64)]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Facts) and other._kind() == self._kind()

    def _kind(self) -> Any:
        return self._problem, self.is_active, self.operand_shapes, self.result_shapes

    def __hash__(self) -> int:
        return hash((Facts, self._problem))


class StepTimes(Facts):
    """The times of a solution's steps, which no parameter moves."""

    def __init__(self, problem: Problem, count: int, shapes: Shapes,
                 is_active: tuple[bool, ...]) -> None:  # fmt: skip
        Block.__init__(self, f"steps of {problem.rate.inner.name}", shapes, ((count,),), is_active)
        self._problem = problem

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the times."""
        times = self._problem.solved([None, *operands]).t
        if len(times) != self.result_sizes[0]:
            raise BlockFailedError(f"{self.name} are {len(times)} here")
        return [times]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StepTimes) and super().__eq__(other)

    __hash__ = Facts.__hash__


class Solution(dict[str, Any]):
    """A solution's parts, by name and as attributes.

    Parameters
    ----------
    terms : Terms
    t_eval : array_like or None
    has_dense : bool
    """

    _NAMES = ("message", "success", "status", "t", "y", "sol", "t_events", "y_events", "nfev",
              "njev", "nlu")  # fmt: skip

    def __init__(self, terms: Terms, t_eval: Any, has_dense: bool) -> None:
        super().__init__()
        object.__setattr__(self, "_terms", terms)
        object.__setattr__(self, "_t_eval", t_eval)
        object.__setattr__(self, "_has_dense", has_dense)
        object.__setattr__(self, "_facts", None)
        object.__setattr__(
            self, "_plain", terms.problem.solved([None, *map(primal, terms.operands)])
        )

    def __getattr__(self, name: str) -> Any:
        if name not in self._NAMES:
            raise AttributeError(name)
        return self[name]

    __setattr__ = dict.__setitem__

    def __missing__(self, name: str) -> Any:
        if name not in self._NAMES:
            raise KeyError(name)
        found = self[name] = getattr(self, f"_{name}", lambda: getattr(self._plain, name))()
        return found

    def __dir__(self) -> list[str]:
        return list(self._NAMES)

    def __contains__(self, name: object) -> bool:
        return name in self._NAMES or super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._NAMES)

    def keys(self) -> Any:
        """Return the parts' names."""
        return dict.fromkeys(self._NAMES).keys()

    # --- what is guarded --------------------------------------------------------------------------

    def _told(self) -> Any:
        """Return the facts, which are recorded once."""
        if self._facts is None:
            object.__setattr__(self, "_facts", self._called(Facts))
        return self._facts

    def _called(self, kind: Callable[..., Block], *more: int) -> Any:
        """Return what a block of the problem tells."""
        problem, operands = self._terms.problem, self._terms.operands
        shapes = shapes_of(operands)
        return call(lambda is_active: kind(problem, *more, shapes, is_active), operands)[0]

    def _guarded(self, number: int) -> int:
        """Read one of the facts, and guard it."""
        found = self._told()
        if isinstance(found, ActiveArray):
            one = found.data[number : number + 1]
            guard_all(found.tape, one["slot"], one["value"])
            return int(one["value"][0])
        return int(found[number])

    def _status(self) -> int:
        return self._guarded(STATUS)

    def _success(self) -> bool:
        return self.status >= 0  # type: ignore[no-any-return]

    def _message(self) -> str:
        self._guarded(STATUS)
        return self._plain.message  # type: ignore[no-any-return]

    # --- what is recorded -------------------------------------------------------------------------

    def _end(self) -> Any:
        """Return the last time: that of a terminal event, or the one that was asked for."""
        if self.status == 1:
            return self.t_events[self._guarded(ENDED_BY)][-1]
        return self._told()[LAST] if self.status else self._terms.rest[0]

    def _t(self) -> Any:
        if self._t_eval is not None:
            return self._terms.rest[1][: self._guarded(COUNT)]
        found = self._called(StepTimes, self._guarded(COUNT))
        return join([self._terms.first[0], found[1:-1], self._end()])

    def _y(self) -> Any:
        if self._t_eval is None:
            return StepStates.of(self, None)
        times = self._terms.rest[1]
        # Without events there are fewer only where it fails, which the states' block notices.
        if self._terms.problem.events or np.shape(self._plain.y)[-1] != len(times):
            times = self.t
        return self._terms.states(times, "eval") if len(times) else self._plain.y

    def _last(self) -> Any:
        """Return the last state."""
        return self._terms.states(join([self._end()]), "end")[:, 0]

    def _all(self) -> Any:
        return self._terms.states(self.t, "steps")

    def _sol(self) -> Any:
        return DenseSolution(self._terms, self._end) if self._has_dense else None

    def _t_events(self) -> Any:
        if self._plain.t_events is None:
            return None
        return [
            event_times(self._terms, number, self._plain.t_events[number])
            if self._guarded(EVENTS + number)
            else np.empty(0)
            for number in range(len(self._plain.t_events))
        ]

    def _y_events(self) -> Any:
        if self._plain.t_events is None:
            return None
        return [
            self._terms.states(times, "event", number).T if len(times) else np.empty(0)
            for number, times in enumerate(self.t_events)
        ]


class StepStates(ActiveArray):
    """The states of all steps, or a number of them: recorded when more than the last is read.

    Then it's an active array as any other.
    """

    __slots__ = ()

    @classmethod
    def of(cls, solution: Solution, row: int | None) -> Any:
        """Return those of a solution."""
        found: Any = object.__new__(cls)
        found._values, found._slots, found.is_bool = solution, row, False
        return found

    def _record(self) -> None:
        solution: Any = self._values
        row: Any = self._slots
        found = solution._all()
        found = found if row is None else found[row]
        object.__dict__["__class__"].__set__(self, ActiveArray)
        ActiveArray.__init__(self, found.tape, found.data)

    @property
    def data(self) -> Any:  # type: ignore[override]
        """The elements."""
        self._record()
        return self.data

    @property
    def tape(self) -> Any:  # type: ignore[override]
        """The recording they belong to."""
        self._record()
        return self.tape

    def __len__(self) -> int:
        if self._slots is None:
            solution: Any = self._values
            return int(solution._terms.flow.n)
        return len(self.data)

    def __getitem__(self, key: Any) -> Any:
        solution: Any = self._values
        row = self._slots
        if row is not None and type(key) is int and key == -1:
            return solution._last()[row]
        if row is None and type(key) is int and -len(self) <= key < len(self):
            return StepStates.of(solution, key % len(self))
        if (
            row is None
            and type(key) is tuple
            and len(key) == 2
            and type(key[1]) is int
            and key[1] == -1
        ):
            return solution._last()[key[0]]
        self._record()
        return self[key]


STAND_INS.add(StepStates)


class DenseSolution:
    """What `sol.sol` is: the state as a function of time.

    Parameters
    ----------
    terms : Terms
    end : callable
        Returns the last time.
    """

    def __init__(self, terms: Terms, end: Callable[[], Any]) -> None:
        self._terms, self._end = terms, end

    def __call__(self, t: Any) -> Any:
        """Return the state at times, one column each, or at one."""
        times = join([t])
        found = self._terms.states(times, "dense")
        return found if np.ndim(t) else found[:, 0]

    def __getattr__(self, name: str) -> Any:
        if name in ("t_min", "t_max"):
            ends = self._terms.first[0], self._end()
            is_up = primal(ends[0]) <= primal(ends[1])
            return ends[is_up == (name == "t_max")]
        if name.startswith("__"):
            raise AttributeError(name)
        from tapegrad.record.scipy.recognised import no_rule

        raise no_rule(f"sol.{name} of a solution that solve_ivp found")
