"""Times of events, as SciPy finds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Array, Shapes
from tapegrad.function.vectors import join
from tapegrad.implicit.evaluation import shapes_of
from tapegrad.implicit.ode.chained_ways import chain_of
from tapegrad.implicit.ode.crossing_times import CrossingTimes
from tapegrad.implicit.ode.flows import Flow
from tapegrad.implicit.ode.problems import Problem
from tapegrad.record.called import call


class EventTimes(CrossingTimes):
    """Some times of an event, of a flow's operands and those of a problem.

    Parameters
    ----------
    problem : Problem
    number : int
        Which event.
    chosen : tuple of int
        Which times of it.
    total : int
        How many there are.
    """

    def __init__(self, problem: Problem, flow: Flow, number: int, chosen: tuple[int, ...],
                 total: int, shapes: Shapes, is_active: tuple[bool, ...]) -> None:  # fmt: skip
        called = problem.events[number]
        self._stop = 2 + problem.rate.n_parameters
        before = [problem.jacobian, *problem.events[:number]]
        begin = 2 * self._stop + 2 + sum(other.n_parameters for other in before if other)
        own = slice(begin, begin + called.n_parameters)
        super().__init__(called.inner, flow, self._stop, own, len(chosen), shapes, is_active,
                         problem, number, chosen, total)  # fmt: skip
        self._problem, self._number = problem, number
        self._chosen, self._total = list(chosen), total

    def times(self, operands: Sequence[Any]) -> Array:
        """Return the times."""
        found = self._problem.solved([None, *operands[self._stop :]]).t_events[self._number]
        return np.asarray(found[self._chosen] if len(found) == self._total else found)


def event_times(terms: Any, number: int, plain: Array) -> Any:
    """Return the times of an event, recorded as a call for each way that they're in."""
    problem, total = terms.problem, len(plain)
    chain = chain_of(terms.flow, terms.first, plain)
    parts = []
    for k, link in enumerate(chain.links):
        chosen = tuple(np.flatnonzero(chain.placed == k).tolist())
        if chosen:
            operands = [*link.first, *terms.operands]
            shapes = shapes_of(operands)

            def block(is_active: tuple[bool, ...], flow: Flow = link.flow, shapes: Shapes = shapes,
                      chosen: tuple[int, ...] = chosen) -> EventTimes:  # fmt: skip
                return EventTimes(problem, flow, number, chosen, total, shapes, is_active)

            parts.append(call(block, operands)[0])
    return join(parts)
