"""Switches of an inner function: where, along a path through its inputs, it takes another way.

A guard, comparison, sign or rounding of its recordings flips there. The switch is the root of a
function g of the same inputs, the difference of the comparison's operands, which is an inner
function itself: so a change of the inputs moves the time of the switch by -g_p / (dg/dt), to any
order. `crossings` finds switches between given times, `rates` what moves them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tapegrad.blocks import Array
from tapegrad.errors import SwitchError
from tapegrad.function.points import valid_recording
from tapegrad.function.vectors import Vector
from tapegrad.implicit.flips import Anatomy, Seen, Switch, anatomy_of
from tapegrad.implicit.inner import Inner

Path = Callable[[float], Vector]
"""Returns an inner function's inputs at a time."""

MOST_CROSSINGS = 1_000
"""Between two times; beyond, they're taken for noise."""


class Crossing(NamedTuple):
    """Where an inner function switches.

    Attributes
    ----------
    before, after : float
        The last time on one side and the first on the other: neighbouring numbers.
    switch : Switch
    others : sequence of Switch
        What else flips there.
    secant : float
        The mean slope of the switch between the times it was looked for.
    """

    before: float
    after: float
    switch: Switch
    others: Sequence[Switch]
    secant: float


# --- finding them ---------------------------------------------------------------------------------


def may_switch(inner: Inner, inputs: Vector, varying: Sequence[int]) -> bool:
    """Whether an inner function may take other ways where given inputs are others."""
    return bool(anatomy_of(inner.run(inputs, valid_recording), varying).slots)


_FIRST = 64
"""How many times are looked at together, to begin with."""


def crossings(inner: Inner, path: Path, times: Sequence[float],
              varying: Sequence[int] = (0,)) -> list[Crossing]:  # fmt: skip
    """Return where an inner function switches along a path.

    Parameters
    ----------
    inner : Inner
    path : callable
        Returns the inputs at a time.
    times : sequence of float
        In order, up or down. A switch is seen if the function is on another side of it at the
        next of them.
    varying : sequence of int
        Which inputs aren't the same all along the path.

    Raises
    ------
    SwitchError
        If a switch can't be located.
    """
    found: list[Crossing] = []
    if not len(times) or not may_switch(inner, path(times[0]), varying):
        return found
    inputs = np.array([path(time) for time in times])
    at, count = 0, _FIRST
    while at < len(times) - 1:
        anatomy = anatomy_of(inner.run(inputs[at], valid_recording), varying)
        _, states = anatomy.looks(inputs[at : at + count])
        if not len(states):
            raise SwitchError(f"{inner.name} fails at {times[at]:.17g}, where it was computed")
        stays = _staying(states)
        if stays == len(inputs[at : at + count]):
            at, count = at + stays - 1, 2 * count
            continue
        begin, end = float(times[at + stays - 1]), float(times[at + stays])
        found += _between(inner, path, begin, end, varying)
        at, count = at + stays, _FIRST
    return found


def first_crossing(inner: Inner, path: Path, times: Sequence[float],
                   varying: Sequence[int]) -> Crossing | None:  # fmt: skip
    """Return the first of them that moves time on, or None; the path needn't be right beyond it."""
    anatomy = anatomy_of(inner.run(path(times[0]), valid_recording), varying)
    if not anatomy.slots:
        return None
    at, count = 0, _FIRST
    while at < len(times) - 1:
        some = times[at : at + count]
        operands, states = anatomy.looks(np.array([path(time) for time in some]))
        if not len(states):
            raise SwitchError(f"{inner.name} fails at {some[0]:.17g}, where it was computed before")
        stays = _staying(states)
        if stays < len(some):
            here = Seen(operands[stays - 1], states[stays - 1])
            there = Seen(operands[stays], states[stays]) if stays < len(states) else None
            return _located(inner, anatomy, path, (some[stays - 1], here), (some[stays], there))
        at, count = at + stays - 1, 2 * count
    return None


def _staying(states: Array) -> int:
    """Return how many of states are the first one's, until another is met."""
    same = _alike(states, states[0])
    return len(states) if same.all() else int(np.argmin(same))


def _between(inner: Inner, path: Path, begin: float, end: float,
             varying: Sequence[int]) -> list[Crossing]:  # fmt: skip
    found: list[Crossing] = []
    first = begin
    while len(found) <= MOST_CROSSINGS:
        anatomy = anatomy_of(inner.run(path(begin), valid_recording), varying)
        here = anatomy.look(path(begin))
        there = anatomy.look(path(end))
        if here is None:
            raise SwitchError(f"{inner.name} fails at {begin:.17g}, where it was computed before")
        if there is not None and _alike(here.states, there.states):
            return found
        crossing = _located(inner, anatomy, path, (begin, here), (end, there))
        found.append(crossing)
        begin = crossing.after
        if begin == end:
            return found
    raise SwitchError(
        f"{inner.name} takes more than {MOST_CROSSINGS:,} other ways between {first:.6g} and "
        f"{end:.6g}: that many switches can't be located; write it without comparisons of what "
        "is noise, or integrate it in parts"
    )


def _alike(states: Array, others: Array) -> Any:
    """Whether states are the same, by the last axis."""
    return np.all((states == others) | (np.isnan(states) & np.isnan(others)), axis=-1)


def _flipped(one: Seen, other: Seen) -> list[int]:
    differ = (one.states != other.states) & ~(np.isnan(one.states) & np.isnan(other.states))
    return np.flatnonzero(differ).tolist()


def _located(inner: Inner, anatomy: Anatomy, path: Path, first: tuple[float, Seen],
             last: tuple[float, Seen | None]) -> Crossing:  # fmt: skip
    """Return the first switch that is found between two times, by bisection and secants."""
    (low, here), (high, there) = first, last
    secant = np.nan
    for step in range(400):
        middle = low + (high - low) / 2
        if middle in (low, high):
            break
        if there is not None and step % 3:
            near, slope = _secant(anatomy, low, here, high, there)
            secant = slope if np.isnan(secant) else secant
            middle = near if min(low, high) < near < max(low, high) else middle
        seen = anatomy.look(path(middle))
        if seen is not None and _alike(seen.states, here.states):
            low, here = middle, seen
        else:
            high, there = middle, seen
    if there is None:
        raise _not_located(inner, low, "it fails beyond")
    ways = [(k, here.states[k], there.states[k]) for k in _flipped(here, there)]
    known = [(k, how) for k, *states in ways if (how := anatomy.vanishing(k, *states)) is not None]
    if not known:
        raise _not_located(inner, low, "what changes is no comparison, sign or rounding")
    switch, *others = [anatomy.switch(k, how) for k, how in known]
    return Crossing(low, high, switch, others, secant)


def _not_located(inner: Inner, time: float, why: str) -> SwitchError:
    return SwitchError(
        f"{inner.name} takes another way at {time:.17g}, and {why}: how that time moves can't be "
        "told; decide by comparing numbers there, as in `if t < tau`"
    )


def _secant(anatomy: Anatomy, low: float, here: Seen, high: float,
            there: Seen) -> tuple[float, float]:  # fmt: skip
    """Return a time next to where the secant of what vanishes does, and its slope."""
    for k in _flipped(here, there):
        how = anatomy.vanishing(k, here.states[k], there.states[k])
        if how is not None:
            break
    else:
        return np.nan, np.nan
    at_low, at_high = (anatomy.gap(k, how, seen) for seen in (here, there))
    if not np.isfinite(at_low - at_high) or at_low == at_high:
        return np.nan, np.nan
    share = min(max(at_low / (at_low - at_high), 0.0), 1.0)
    near, beside = low + share * (high - low), 4 * np.spacing(max(abs(low), abs(high)))
    towards = np.copysign(beside, high - low) * (1.0 if share < 0.5 else -1.0)
    return near + towards, (at_high - at_low) / (high - low)


# --- how they move --------------------------------------------------------------------------------

_ONE = np.ones(1)
_FLAT, _ALIKE = 1e-7, 1e-6


def rates(crossing: Crossing, inputs: Vector, velocity: Vector, name: str) -> Vector:
    """Return by how much a switch's time moves with each of the inputs, at given velocity.

    Parameters
    ----------
    crossing : Crossing
    inputs : ndarray
        There.
    velocity : ndarray
        The inputs' derivative by time, along the path.
    name : str
        Of what switches, for messages.

    Raises
    ------
    SwitchError
        If the switch is touched rather than crossed, or another one that moves otherwise is there.
    """
    found = _rates(crossing.switch, inputs, velocity, crossing.secant)
    if found is None:
        raise SwitchError(
            f"{name} switches at {crossing.before:.17g} where what decides is flat: that time has "
            "no derivative; compare what crosses with a slope, or move the parameters"
        )
    for other in crossing.others:
        theirs = _rates(other, inputs, velocity, np.nan)
        if theirs is not None and not np.allclose(theirs, found, _ALIKE, _ALIKE):
            raise SwitchError(
                f"{name} switches at {crossing.before:.17g} for two reasons at once, which move "
                "apart: there is no derivative; move the parameters"
            )
    return found


def _rates(switch: Switch, inputs: Vector, velocity: Vector, secant: float) -> Vector | None:
    gradient = switch.pullback(inputs, _ONE)
    slope = float(gradient @ velocity)
    is_flat = slope == 0.0 or abs(slope) < _FLAT * abs(secant)
    return None if is_flat or not np.isfinite(slope) else -gradient / slope
