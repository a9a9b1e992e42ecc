"""Times at which something vanishes along a solution, by the implicit function theorem.

Where g(t, y(t), q) = 0, a change of what the solution begins with, and of q, moves t by minus that
of g at this time, divided by the slope of g along the solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Array, Shapes
from tapegrad.errors import BlockFailedError, SwitchError
from tapegrad.function.vectors import join
from tapegrad.implicit.evaluation import BlockOfInner, evaluated, recordable, shapes_of
from tapegrad.implicit.inner import Inner
from tapegrad.implicit.ode.flows import Flow, Start
from tapegrad.implicit.ode.states_of_flows import States, primal, states

_FLAT = 0.3
"""The slope that is none, beside the square root of the tolerance and the event's typical one."""


class CrossingTimes(BlockOfInner):
    """Times of crossings of zero; operands are a flow's, without times, and others.

    Parameters
    ----------
    event : Inner
        What vanishes, of t, y and parameters of its own.
    flow : Flow
    stop : int
        Where the flow's operands end.
    own : slice
        Where the event's parameters are; they may be the flow's.
    count : int
        How many crossings there are.
    """

    def __init__(self, event: Inner, flow: Flow, stop: int, own: slice, count: int, shapes: Shapes,
                 is_active: tuple[bool, ...], *kind: Any) -> None:  # fmt: skip
        super().__init__(event.name, event, shapes, ((count,),), is_active, flow, stop, own.start,
                         own.stop, count, *kind)  # fmt: skip
        self._event, self._flow, self._stop, self._own = event, flow, stop, own

    def times(self, operands: Sequence[Any]) -> Array:
        """Return the times."""
        raise NotImplementedError

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the times."""
        found = self.times(operands)
        if len(found) != self.result_sizes[0]:
            raise BlockFailedError(f"{self.name} happens {len(found)} times here")
        return [found]

    # On plain numbers the recorded forms compute.
    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints."""
        return self.recorded_pullback(operands, results, adjoints)

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the times' tangents."""
        return self.recorded_pushforward(operands, results, tangents)

    def _at(self, operands: Sequence[Any], times: Any) -> tuple[States, Any, list[Any], list[Any]]:
        """Return the block of the states there, these, the event's inputs, and its slopes."""
        first = operands[: self._stop]
        own = operands[self._own]
        found = states(self._flow, [times, *first])
        shapes = shapes_of([times, *first])
        is_active = (True, *self.is_active[: self._stop])
        block = States(self._flow, None, len(first) - 2, shapes, is_active)
        inputs, slopes = [], []
        for k in range(self.result_sizes[0]):
            state = found[:, k]
            rate = evaluated(self._flow.inner, [times[k], state, *first[2:]])
            given = [times[k], state, *own]
            along = [1.0, rate, *recordable(shapes_of(own), [None] * len(own))]
            inputs.append(given)
            slopes.append(evaluated(self._event.pushed, [*given, *along])[0])
        self._check_slopes(operands, times, slopes)
        return block, found, inputs, slopes

    def _check_slopes(self, operands: Sequence[Any], times: Any, slopes: list[Any]) -> None:
        """Raise where an event is touched rather than crossed."""
        plain = [np.asarray(primal(operand), np.float64) for operand in operands]
        parameters = np.concatenate([np.empty(0), *map(np.ravel, plain[2 : self._stop])])
        start = Start(float(plain[0]), np.array(plain[1]), parameters)
        end = float(primal(times[-1]))
        path, _ = self._flow.path(start, end)
        own = [np.ravel(operand) for operand in plain[self._own]]
        values = [
            abs(self._event.values(np.concatenate([[t], y, *own]))[0])
            for t, y in zip(path.ts[: path.n_steps + 1], path.zs, strict=False)
        ]
        typical = max(values) / max(abs(end - start.time), 1e-300)
        for k, slope in enumerate(slopes):
            if not abs(primal(slope)) > _FLAT * np.sqrt(self._flow.control.rtol) * typical:
                raise SwitchError(
                    f"{self.name} is touched, rather than crossed, at "
                    f"{float(primal(times[k])):.6g}: its time has no derivative there; choose an "
                    "event that crosses zero with a slope, or move the parameters"
                )

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pullback, as calls."""
        times = results[0]
        block, found, inputs, slopes = self._at(operands, times)
        seeds, of_own = list[Any](), np.zeros(sum(self.operand_sizes[self._own]))
        n = self._flow.n
        for k, (given, slope) in enumerate(zip(inputs, slopes, strict=True)):
            weight = -adjoints[0][k] / slope
            pulled = evaluated(self._event.pulled, [*given, np.reshape(weight, 1)])
            seeds.append(pulled[1 : 1 + n])
            of_own = of_own + pulled[1 + n :]
        seed = np.reshape(join(seeds), (len(seeds), n)).T
        first = [times, *operands[: self._stop]]
        back = block.recorded_pullback(first, [found], [seed])[1:]
        result: list[Any] = [*back, *[None] * (len(operands) - self._stop)]
        begin = 0
        for k in range(self._own.start, self._own.stop):
            end = begin + self.operand_sizes[k]
            more = np.reshape(of_own[begin:end], self.operand_shapes[k])
            result[k] = more if result[k] is None else result[k] + more
            begin = end
        return [x if is_one else None for x, is_one in zip(result, self.is_active, strict=True)]

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pushforward, as calls."""
        times = results[0]
        block, found, inputs, slopes = self._at(operands, times)
        moved = block.recorded_pushforward(
            [times, *operands[: self._stop]], [found], [None, *tangents[: self._stop]]
        )[0]
        own = recordable(self.operand_shapes[self._own], tangents[self._own])
        changes = [
            -evaluated(self._event.pushed, [*given, 0.0, moved[:, k], *own])[0] / slope
            for k, (given, slope) in enumerate(zip(inputs, slopes, strict=True))
        ]
        return [join(changes)]
