"""States of a solution whose right-hand side takes one way after another, recorded.

Where a way ends is found again at each call, and moves by the implicit function theorem; the ways
themselves are guarded. The values are a solver's, the derivatives those of the chain of flows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import Array, Block, Constant, Shapes
from tapegrad.errors import BlockFailedError
from tapegrad.function.vectors import join
from tapegrad.implicit.evaluation import joined, shapes_of
from tapegrad.implicit.ode.crossing_times import CrossingTimes
from tapegrad.implicit.ode.flows import Flow, Start
from tapegrad.implicit.ode.states_of_flows import (
    FIRST_TIME,
    PARAMETERS,
    TIMES,
    Reader,
    primal,
    states,
)
from tapegrad.implicit.ode.ways_taken import (
    Way,
    may_branch,
    next_way,
    pattern,
    placed,
    ways_of,
)
from tapegrad.record.active import guard_all
from tapegrad.record.array import ActiveArray
from tapegrad.record.called import call


class Link(NamedTuple):
    """A way's flow, and what it begins with: operands of blocks.

    Attributes
    ----------
    flow : Flow
    first : list
        The first time and state, and parameters.
    """

    flow: Flow
    first: list[Any]


class Chain(NamedTuple):
    """A solution's ways, recorded.

    Attributes
    ----------
    links : list of Link
    placed : ndarray of int
        In which of them each time is.
    """

    links: list[Link]
    placed: npt.NDArray[np.int64]


class Ways(Constant):
    """Which ways a right-hand side takes: a number, to be guarded."""

    def __init__(self, flow: Flow, shapes: Shapes, is_active: tuple[bool, ...]) -> None:
        super().__init__(f"ways of {flow.inner.name}", shapes, ((1,),), is_active)
        self._flow = flow

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the number."""
        start, times = started(operands), np.array(operands[TIMES])
        ways = ways_of(self._flow, start, self._flow.end(start, times))
        return [np.array([pattern(ways, start.time, times)])]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ways) and (
            (other._flow, other.operand_shapes, other.is_active)
            == (self._flow, self.operand_shapes, self.is_active)
        )

    def __hash__(self) -> int:
        return hash((Ways, self._flow))


class SwitchTimes(CrossingTimes):
    """The time at which a way ends.

    Parameters
    ----------
    whole : Flow
        That of all ways.
    way : Way
    """

    def __init__(self, whole: Flow, way: Way, shapes: Shapes,
                 is_active: tuple[bool, ...]) -> None:  # fmt: skip
        assert way.switch is not None
        own = slice(2, len(shapes) - 1)
        super().__init__(way.switch, way.flow, own.stop, own, 1, shapes, is_active, whole)
        self._whole, self._code = whole, way.code

    def times(self, operands: Sequence[Any]) -> Array:
        """Return the time."""
        *first, horizon = operands
        start, end = started([None, *first]), float(horizon)
        _, crossing, held = next_way(self._whole, self._flow, start, end)
        if crossing is None or Way(held, end, crossing.switch).code != self._code:
            raise BlockFailedError(f"{self._whole.inner.name} takes another way")
        return np.array([crossing.after])


class Given(Block):
    """Values that a solver found, with the derivatives of what they are exactly."""

    def __init__(self, reader: Reader, shapes: Shapes, is_active: tuple[bool, ...]) -> None:
        super().__init__("a solver's values", shapes, (shapes[0],), is_active)
        self._reader = reader

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the solver's."""
        return [self._reader.read(operands[1:])]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Pass the adjoint on."""
        self._reader.check(operands[1:])
        return self.recorded_pullback(operands, results, adjoints)

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Pass the tangent on."""
        self._reader.check(operands[1:])
        return self.recorded_pushforward(operands, results, tangents)

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Pass the adjoint on."""
        return [adjoints[0], *[None] * (len(operands) - 1)]

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Pass the tangent on."""
        return [tangents[0]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Given) and (
            (other._reader, other.operand_shapes, other.is_active)
            == (self._reader, self.operand_shapes, self.is_active)
        )

    def __hash__(self) -> int:
        return hash((Given, self._reader))


def started(operands: Sequence[Any]) -> Start:
    """Return what a solution begins with, of plain operands, without others behind."""
    first, state, *parameters = operands[FIRST_TIME:]
    return Start(float(first), np.array(state, np.float64), joined(parameters))


def chain_of(flow: Flow, first: Sequence[Any], times: Any) -> Chain:
    """Return the ways that a solution takes up to times, guarded.

    Parameters
    ----------
    flow : Flow
    first : sequence
        The first time and state, and parameters.
    times : array_like
    """
    plain = [np.asarray(primal(operand), np.float64) for operand in first]
    start = started([None, *plain])
    moments = np.asarray(primal(times), np.float64)
    if not may_branch(flow, start):
        return Chain([Link(flow, list(first))], np.zeros(len(moments), np.int64))
    horizon = flow.end(start, moments)
    ways = ways_of(flow, start, horizon)
    operands = [times, *first]
    shapes = shapes_of(operands)
    found = call(lambda is_active: Ways(flow, shapes, is_active), operands)[0]
    if isinstance(found, ActiveArray):
        guard_all(found.tape, found.data["slot"], found.data["value"])
    links, begin = [], list(first)
    for way in ways:
        links.append(Link(way.flow, begin))
        if way.switch is not None:
            time = _switch_time(flow, way, [*begin, horizon])
            state = states(way.flow, [time, *begin])[:, 0]
            begin = [time[0], state, *begin[2:]]
    return Chain(links, placed(ways, start.time, moments))


def _switch_time(whole: Flow, way: Way, operands: list[Any]) -> Any:
    shapes = shapes_of(operands)
    known = [np.array([way.end])]
    return call(lambda is_active: SwitchTimes(whole, way, shapes, is_active), operands,
                results=known)[0]  # fmt: skip


def states_through(flow: Flow, operands: Sequence[Any], reader: Reader,
                   n_parameters: int) -> Any:  # fmt: skip
    """Return a solver's states at times, one column each, recorded as a call, or several."""
    stop = PARAMETERS + n_parameters
    times, *first = operands[:stop]
    chain = chain_of(flow, first, times)
    if len(chain.links) == 1:
        return states(chain.links[0].flow, operands, reader, n_parameters)
    places, parts = chain.placed, list[Any]()
    for k, link in enumerate(chain.links):
        own = np.flatnonzero(places == k)
        if len(own):
            parts += list(states(link.flow, [times[own], *link.first]).T)
    exact = np.reshape(join(parts), (-1, flow.n))[np.argsort(np.argsort(places, kind="stable"))].T
    given = [exact, *operands]
    shapes = shapes_of(given)
    return call(lambda is_active: Given(reader, shapes, is_active), given)[0]
