"""Blocks of a flow: states at times, and what pulls derivatives back through them.

The states are whatever a solver found; they're differentiated as the exact solution's. Of every
block the operands are times, the first time and state, and parameters, then what only the solver
reads. Higher orders are blocks of the same kinds: a tangent is the solution of an augmented flow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from tapegrad.blocks import Array, Shapes
from tapegrad.function.points import Point, used
from tapegrad.function.recording import Recording
from tapegrad.function.vectors import Vector, join
from tapegrad.implicit.evaluation import (
    BlockOfInner,
    evaluated,
    joined,
    recordable,
    shapes_of,
    tangents_of,
)
from tapegrad.implicit.inner import Inner, recording_of
from tapegrad.implicit.ode.augmented import augmented
from tapegrad.implicit.ode.flows import Flow, Start, wanted_in
from tapegrad.implicit.ode.passes_of_solutions import Control
from tapegrad.record.active import Active
from tapegrad.record.array import ActiveArray
from tapegrad.record.called import call, parted
from tapegrad.record.elementwise import with_constants
from tapegrad.record.kinds import ACTIVE
from tapegrad.record.open_tape import OpenTape

T = TypeVar("T")

TIMES, FIRST_TIME, FIRST_STATE, PARAMETERS = 0, 1, 2, 3
"""Where operands are; parameters follow one another from there."""


class Reader(Protocol):
    """What solves for the states; two that are equal find the same."""

    def read(self, operands: Sequence[Any]) -> Array:
        """Return the states for all operands of a block."""

    def check(self, operands: Sequence[Any]) -> None:
        """Raise where there's no solution, and so no derivative."""


class States(BlockOfInner):
    """States at times, one column each.

    Parameters
    ----------
    flow : Flow
    reader : Reader or None
        Without one it's the flow itself.
    n_parameters : int
        How many operands are parameters.
    shapes : tuple
    is_active : tuple of bool
    """

    def __init__(self, flow: Flow, reader: Reader | None, n_parameters: int, shapes: Shapes,
                 is_active: tuple[bool, ...]) -> None:  # fmt: skip
        result = (flow.n, shapes[TIMES][0])
        kind = (flow, reader, n_parameters)
        super().__init__(flow.inner.name, flow.inner, shapes, (result,), is_active, *kind)
        self._flow, self._reader, self._stop = flow, reader, PARAMETERS + n_parameters

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the states."""
        if self._reader is not None:
            return [self._reader.read(operands)]
        return [self._flow.states(self._start(operands), np.array(operands[TIMES]))]

    def _start(self, operands: Sequence[Any]) -> Start:
        parameters = joined(operands[PARAMETERS : self._stop])
        return Start(float(operands[FIRST_TIME]), np.array(operands[FIRST_STATE]), parameters)

    def _check_found(self, operands: Sequence[Any]) -> None:
        if self._reader is not None:
            self._reader.check(operands)

    def _rest(self) -> list[None]:
        return [None] * (len(self.operand_shapes) - self._stop)

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints."""
        self._check_found(operands)
        start, times, seeds = self._start(operands), np.array(operands[TIMES]), adjoints[0]
        chosen = self.is_active[PARAMETERS : self._stop]
        sizes = self.operand_sizes[PARAMETERS : self._stop]
        of_times = of_first = None
        if self.is_active[TIMES]:
            of_times = np.sum(seeds * self._flow.rates(start, times, results[0]), axis=0)
        by_state = any(self.is_active[FIRST_TIME : self._stop])
        if not by_state:
            return [of_times, None, None, *[None] * len(chosen), *self._rest()]
        state, found = self._flow.adjoints(start, times, seeds, wanted_in(sizes, chosen))
        if self.is_active[FIRST_TIME]:
            of_first = -state @ self._flow.inner.values(start.inputs(start.time, start.state))
        parts = self._by_parameter(found)
        return [of_times, of_first, state, *parts, *self._rest()]

    def _by_parameter(self, found: Any) -> list[Any]:
        """Return adjoints of parameters, None of those that aren't active."""
        chosen = self.is_active[PARAMETERS : self._stop]
        shapes = self.operand_shapes[PARAMETERS : self._stop]
        active = [shape for shape, is_one in zip(shapes, chosen, strict=True) if is_one]
        parts = iter(parted(found, active))
        return [next(parts) if is_one else None for is_one in chosen]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the states' tangents."""
        self._check_found(operands)
        start, times = self._start(operands), np.array(operands[TIMES])
        of_times, of_first, of_state, *rest = tangents
        moved = np.zeros(self._flow.n) if of_state is None else np.array(of_state)
        if of_first is not None:
            moved -= of_first * self._flow.inner.values(start.inputs(start.time, start.state))
        shapes = self.operand_shapes[PARAMETERS : self._stop]
        directions = tangents_of(shapes, rest[: len(shapes)])
        found = np.zeros(self.result_shapes[0])
        if moved.any() or directions.any():
            found = self._flow.tangents(start, times, moved, directions)
        if of_times is not None:
            found = found + of_times * self._flow.rates(start, times, results[0])
        return [found]

    # --- higher orders ----------------------------------------------------------------------------

    def _recorded_rates(self, times: Any, states: Any, parameters: Sequence[Any]) -> list[Any]:
        """Return dy/dt at times and states, as calls."""
        return [
            evaluated(self.inner, [times[k], states[:, k], *parameters])
            for k in range(self.result_shapes[0][1])
        ]

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pullback, as calls."""
        times, first, state, *parameters = operands[: self._stop]
        seeds, of_times, of_first = adjoints[0], None, None
        chosen = self.is_active[PARAMETERS : self._stop]
        if self.is_active[TIMES]:
            rates = self._recorded_rates(times, results[0], parameters)
            of_times = join([np.sum(seeds[:, k] * rate) for k, rate in enumerate(rates)])
        if not any(self.is_active[FIRST_TIME : self._stop]):
            return [of_times, None, None, *[None] * len(chosen), *self._rest()]
        found = pulled_back(self._flow, chosen, seeds, [times, first, state, *parameters])
        of_state = found[: self._flow.n]
        if self.is_active[FIRST_TIME]:
            of_first = -np.sum(of_state * evaluated(self.inner, [first, state, *parameters]))
        parts = self._by_parameter(found[self._flow.n :])
        return [of_times, of_first, of_state, *parts, *self._rest()]

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pushforward, as calls."""
        times, first, state, *parameters = operands[: self._stop]
        of_times, of_first, of_state, *rest = tangents
        moved = np.zeros(self._flow.n) if of_state is None else of_state
        if of_first is not None:
            moved = moved - of_first * evaluated(self.inner, [first, state, *parameters])
        shapes = self.operand_shapes[PARAMETERS : self._stop]
        directions = recordable(shapes, rest[: len(shapes)])
        n = self._flow.n
        both = Flow(augmented(self.inner, n), 2 * n, widened(self._flow.control))
        start = join([state, moved])
        found = states(both, [times, first, start, *parameters, *directions])[n:]
        if of_times is not None:
            rates = self._recorded_rates(times, results[0], parameters)
            moves = [of_times[k] * rate for k, rate in enumerate(rates)]
            found = found + np.reshape(join(moves), (len(rates), n)).T
        return [found]


def primal(number: Any) -> Any:
    """Return an operand's plain value."""
    if isinstance(number, ActiveArray):
        return number.primal
    return number.primal if isinstance(number, Active) else number


def widened(control: Control) -> Control:
    """Return the control of a flow and its tangent, which is asked for the same."""
    return control._replace(atol=control.atol * 2)


def states(flow: Flow, operands: Sequence[Any], reader: Reader | None = None,
           n_parameters: int | None = None) -> Any:  # fmt: skip
    """Return states at times, recorded as a call."""
    shapes = shapes_of(operands)
    count = len(operands) - PARAMETERS if n_parameters is None else n_parameters
    return call(lambda is_active: States(flow, reader, count, shapes, is_active), operands)[0]


class StatesFunction(Inner):
    """The states of a flow as a function of all operands, for its derivatives as functions.

    Parameters
    ----------
    flow : Flow
    chosen : tuple of bool
        Which parameters are differentiated by.
    shapes : tuple
    """

    def __init__(self, flow: Flow, chosen: tuple[bool, ...], shapes: Shapes) -> None:
        n_outputs = flow.n * shapes[TIMES][0]
        super().__init__(flow.inner.name, int(sum(map(np.prod, shapes))), n_outputs)
        self._flow, self._chosen, self._shapes = flow, chosen, shapes
        self._recording: Recording | None = None

    def run(self, inputs: Vector, use: Callable[[Point], T]) -> T:
        """Return what `use` makes of its recording, one call."""
        if self._recording is None:
            self._recording = self._made(inputs)
        given = np.ascontiguousarray(inputs)
        return used(Point(self._recording, given), use, is_quiet=True)

    def _made(self, inputs: Vector) -> Recording:
        tape = OpenTape()
        numbers = np.zeros(len(inputs), ACTIVE)
        numbers["value"] = inputs
        numbers["slot"], numbers["tape"] = tape.input_block(inputs.copy()), tape.address
        operands = [ActiveArray(tape, part) for part in parted(numbers, self._shapes)]
        is_active = (True, True, True, *self._chosen)
        block = States(self._flow, None, len(self._chosen), self._shapes, is_active)
        found = call(block, operands, tape)[0]
        outputs = with_constants(tape, found.data.reshape(-1))["slot"].astype(np.int32)
        return recording_of(tape.end(outputs), self.name)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_recording": None}


class Pulled(BlockOfInner):
    """The derivatives by the first state and by parameters, for derivatives by states.

    With the operands a, the derivatives by states, and x it's J(x)' a, so that its own derivatives
    are those of J(x) v, the tangent, where v is what moves x.

    Parameters
    ----------
    flow : Flow
    chosen : tuple of bool
        Which parameters.
    shapes : tuple
    is_active : tuple of bool
    """

    def __init__(self, flow: Flow, chosen: tuple[bool, ...], shapes: Shapes,
                 is_active: tuple[bool, ...]) -> None:  # fmt: skip
        sizes = [int(np.prod(shape)) for shape in shapes[1 + PARAMETERS :]]
        self._wanted = wanted_in(sizes, chosen)
        super().__init__(f"adjoint of {flow.inner.name}", flow.inner, shapes,
                         ((flow.n + len(self._wanted),),), is_active, flow, chosen)  # fmt: skip
        self._flow, self._chosen = flow, chosen
        self._states = StatesFunction(flow, chosen, shapes[1:])
        self._first = sum(self.operand_sizes[1 : 1 + FIRST_STATE])

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the derivatives."""
        seeds, times, first, state, *parameters = operands
        start = Start(float(first), np.array(state), joined(parameters))
        return [joined(self._flow.adjoints(start, np.array(times), np.array(seeds), self._wanted))]

    def _places(self) -> Any:
        """Return where the state and the chosen parameters are among the inputs."""
        n = self._flow.n
        return np.concatenate([np.arange(n), n + self._wanted]) + self._first

    def _direction(self, adjoint: Any) -> Any:
        """Return the direction in which what's differentiated by moves."""
        places, total = self._places(), sum(self.operand_sizes[1:])
        if not isinstance(adjoint, ActiveArray):
            direction = np.zeros(total)
            direction[places] = adjoint
            return direction
        data = np.zeros(total, ACTIVE)
        data[places] = adjoint.data
        return ActiveArray(adjoint.tape, data)

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints."""
        return self._pulled(operands, adjoints[0], lambda f, x: f.values(joined(x)),
                            lambda f, x, seed: f.pullback(joined(x), joined([seed])))  # fmt: skip

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pullback, as calls."""
        return self._pulled(operands, adjoints[0], evaluated,
                            lambda f, x, seed: evaluated(f.pulled, [*x, seed]))  # fmt: skip

    def _pulled(self, operands: Sequence[Any], adjoint: Any, values: Any,
                back: Any) -> Sequence[Any]:  # fmt: skip
        seeds, *x = operands
        given = [*x, self._direction(adjoint)]
        of_seeds, found = None, list[Any]([None] * len(x))
        if self.is_active[0]:
            of_seeds = np.reshape(values(self._states.pushed, given), self.operand_shapes[0])
        if any(self.is_active[1:]):
            by_all = back(self._states.pushed, given, np.reshape(seeds, -1))
            found = parted(by_all[: sum(self.operand_sizes[1:])], self.operand_shapes[1:])
        return [of_seeds, *found]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the result's tangent."""
        directions = [tangents_of(self.operand_shapes[1:], tangents[1:])]
        return self._pushed(operands, tangents, directions,
                            lambda f, x, seed: f.pullback(joined(x), joined([seed])))  # fmt: skip

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pushforward, as calls."""
        directions = recordable(self.operand_shapes[1:], tangents[1:])
        return self._pushed(operands, tangents, directions,
                            lambda f, x, seed: evaluated(f.pulled, [*x, seed]))  # fmt: skip

    def _pushed(self, operands: Sequence[Any], tangents: Sequence[Any],
                directions: Sequence[Any], back: Any) -> Sequence[Any]:  # fmt: skip
        seeds, *x = operands
        found: Any = np.zeros(self.result_shapes[0])
        if tangents[0] is not None:
            found = found + pulled_back(self._flow, self._chosen, tangents[0], x)
        if any(tangent is not None for tangent in tangents[1:]):
            by_all = back(self._states.pushed, [*x, *directions], np.reshape(seeds, -1))
            found = found + by_all[self._places()]
        return [found]


def pulled_back(flow: Flow, chosen: tuple[bool, ...], seeds: Any, operands: Sequence[Any]) -> Any:
    """Return the derivatives by the first state and the chosen parameters, as a call."""
    given = [seeds, *operands]
    shapes = shapes_of(given)
    return call(lambda is_active: Pulled(flow, chosen, shapes, is_active), given)[0]
