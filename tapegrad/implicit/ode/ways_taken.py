"""The ways that a right-hand side takes along a solution, one after another.

Where a comparison, sign, rounding, maximum or absolute value of it flips, another way begins: at a
time that moves with the parameters. Each way is smooth beyond its ends, so a solution is a chain of
smooth flows, and its derivatives, to any order, are the chain's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tapegrad.errors import BlockFailedError, SwitchError
from tapegrad.function.vectors import Vector
from tapegrad.implicit.flips import Switch, anatomy_of
from tapegrad.implicit.ode.branches import Branch, held_at, recording_at
from tapegrad.implicit.ode.flows import Flow, Start
from tapegrad.implicit.ode.passes_of_solutions import Path
from tapegrad.implicit.switches import Crossing, first_crossing

MOST_WAYS = 500
"""Of one solution; beyond, they're taken for noise."""

_POINTS, _POINTS_A_STEP = 256, 8
"""Where a path is looked at for other ways: at least so often in all, and in each step."""

_HALVES = 12
"""How often the span is halved in which a way is followed, where it can't be beyond its end."""

_BESIDE = 8
"""Spacings of numbers that a switch is away from a begin, at most, if it's there."""


class Way(NamedTuple):
    """One way, and where it ends.

    Attributes
    ----------
    flow : Flow
        Of this way alone.
    end : float
        The first time at which another way is taken, or where all ends.
    switch : Switch or None
        What vanishes there.
    """

    flow: Flow
    end: float
    switch: Switch | None

    @property
    def code(self) -> tuple[float, float]:
        """What it's told from others by."""
        branch, switch = self.flow.inner, self.switch
        assert isinstance(branch, Branch)
        return branch.number, 0.0 if switch is None else switch.code


def held_flow(flow: Flow, start: Start) -> Flow:
    """Return the flow of the way that is taken at a start."""
    branch = held_at(flow.inner, start.inputs(start.time, start.state))
    return Flow(branch, flow.n, flow.control)


def may_branch(flow: Flow, start: Start) -> bool:
    """Whether a right-hand side may take more than one way."""
    if flow.is_held:
        return False
    recording = recording_at(flow.inner, start.inputs(start.time, start.state))
    return bool(anatomy_of(recording, range(1 + flow.n)).slots)


def grid(path: Path, end: float, flow: Flow) -> list[float]:
    """Return times along a path at which it's looked at."""
    ts = path.ts[: path.n_steps + 1]
    beyond = np.searchsorted(ts, end) if ts[-1] >= ts[0] else np.searchsorted(-ts, -end)
    ts = np.append(ts[:beyond], end)
    span = abs(ts[-1] - ts[0])
    between = np.linspace(0.0, 1.0, _POINTS_A_STEP + 1)[1:]
    fine = (ts[:-1, None] + np.diff(ts)[:, None] * between).reshape(-1)
    count = int(min(max(_POINTS, span / flow.control.longest), 100_000))
    even = np.linspace(ts[0], ts[-1], count + 1)
    times = np.unique(np.concatenate([ts[:1], fine, even]))
    found: list[float] = (times if ts[-1] >= ts[0] else times[::-1]).tolist()
    return found


def next_way(flow: Flow, held: Flow, start: Start,
             end: float) -> tuple[Path, Crossing | None, Flow]:  # fmt: skip
    """Return a way's path, where another begins, and the way itself, which may be another at once.

    Parameters
    ----------
    flow, held : Flow
        Of all ways, and of that which is taken at the start.
    start : Start
    end : float
    """
    seen_from, reached = start.time, end
    for _ in range(4):
        path, reached = _as_far_as_it_goes(held, start, reached)
        if not path.n_steps:
            return path, None, held
        done = abs(seen_from - start.time)
        times = [seen_from, *[t for t in grid(path, reached, held) if abs(t - start.time) > done]]
        known = dict(zip(times, path.at(np.array(times)), strict=True))

        def inputs(t: float, path: Path = path, known: dict[float, Vector] = known) -> Vector:
            state = known.get(t)
            return start.inputs(t, path.at(np.array([t]))[0] if state is None else state)

        crossing = first_crossing(flow.inner, inputs, times, range(1 + flow.n))
        beside = _BESIDE * np.spacing(max(abs(start.time), abs(end)))
        if crossing is None and reached != end:
            held.path(start, end)  # it fails on the way itself
        if crossing is None or abs(crossing.after - start.time) > beside:
            return path, crossing, held
        seen_from = crossing.after
        branch = held_at(flow.inner, inputs(seen_from))
        held = Flow(branch, flow.n, flow.control)
    raise SwitchError(
        f"the right-hand side of {flow.inner.name} takes one way and another at {start.time:.6g}: "
        "there it has no derivative; let it begin elsewhere"
    )


def _as_far_as_it_goes(held: Flow, start: Start, end: float) -> tuple[Path, float]:
    """Return a way's path, and up to where: beyond its end there may be none."""
    for _ in range(_HALVES):
        try:
            return held.path(start, end)[0], end
        except BlockFailedError:
            end = start.time + 0.5 * (end - start.time)
    return held.path(start, end)[0], end


def ways_of(flow: Flow, start: Start, end: float) -> list[Way]:
    """Return the ways from a start to a time.

    Raises
    ------
    SwitchError
        If they're too many to be told from noise.
    """
    found: list[Way] = []
    while len(found) < MOST_WAYS:
        begun = held_flow(flow, start)
        path, crossing, held = next_way(flow, begun, start, end)
        if held is not begun and found and held.inner is found[-1].flow.inner:
            raise SwitchError(
                f"the right-hand side of {flow.inner.name} leads back where it switches, at "
                f"{start.time:.6g}, so that the solution slides along the switch, and no way has a "
                "derivative there; write it smoothly"
            )
        if crossing is None or crossing.after == end:
            return [*found, Way(held, end, None)]
        found.append(Way(held, crossing.after, crossing.switch))
        state = path.at(np.array([crossing.after]))[0]
        start = Start(crossing.after, state, start.parameters)
    last = [way.end for way in found[-2:]]
    raise SwitchError(
        f"the right-hand side of {flow.inner.name} takes more than {MOST_WAYS} other ways, at last "
        f"at {last[0]:.9g} and {last[1]:.9g}: they can't be told from noise, as where a solution "
        "slides along a switch; write it smoothly, or solve it in parts"
    )


def pattern(ways: list[Way], begin: float, times: Vector) -> float:
    """Return a number for the ways taken, and which times are in which."""
    codes = tuple([way.code for way in ways])
    return float(hash((codes, tuple(placed(ways, begin, times).tolist()))) % 2**52)


def placed(ways: list[Way], begin: float, times: Vector) -> npt.NDArray[np.int64]:
    """Return in which way each time is; at a switch, in the one before."""
    ends = np.array([way.end for way in ways[:-1]])
    is_up = ways[-1].end >= begin
    return np.searchsorted(ends if is_up else -ends, times if is_up else -times)
