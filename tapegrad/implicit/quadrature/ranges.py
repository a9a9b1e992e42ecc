"""From where to where an integral is, how its value is found, and the parts it's integrated in."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from tapegrad.function.vectors import Vector
from tapegrad.implicit.evaluation import joined
from tapegrad.implicit.inner import Inner
from tapegrad.implicit.switches import Crossing


class Course(NamedTuple):
    """What an integral's value found on its way, from the lower limit to the upper one.

    Attributes
    ----------
    breaks : tuple of float
        Where its interval was divided, the ends included.
    times : tuple of float
        Where the integrand was evaluated, if it may switch.
    """

    breaks: tuple[float, ...]
    times: tuple[float, ...]


class Options(Protocol):
    """How an integral's value is found; two that are equal find the same."""

    @property
    def tol(self) -> float:
        """Of derivatives, the error relative to the integral of the integrand's absolute value."""

    def course(self, inner: Inner, limits: Limits, given: Vector) -> Course:
        """Return what the value of an inner function's integral finds on its way."""


class Limits(NamedTuple):
    """From where to where, and points between that are looked at."""

    a: float
    b: float
    points: tuple[float, ...]


class Root(NamedTuple):
    """The integral that derivatives are derived of.

    Attributes
    ----------
    inner : Inner
        The integrand; the first inputs of derived ones are its.
    options : Options
    """

    inner: Inner
    options: Options

    def course(self, limits: Limits, given: Vector) -> Course:
        """Return what the value finds on its way, by inputs of an integrand derived of it."""
        return self.options.course(self.inner, limits, given[: self.inner.n_inputs - 1])


N_LIMITS = 3
"""Operands before those that the integrand is given."""


def divided(breaks: Sequence[float],
            found: Sequence[Crossing]) -> list[list[tuple[float, float]]]:  # fmt: skip
    """Return the parts of an interval between given points, from one switch to the next."""
    way = 1.0 if breaks[0] <= breaks[-1] else -1.0
    switches = sorted((c[:2] for c in found), key=lambda sides: way * sides[0])
    ends = [breaks[0]]
    for sides in switches:
        ends += sides
    ends.append(breaks[-1])
    stretches = list[list[tuple[float, float]]]()
    for begin, end in zip(ends[::2], ends[1::2], strict=True):
        inside = [t for t in breaks[1:-1] if way * begin < way * t < way * end]
        stretches.append(list(itertools.pairwise([begin, *inside, end])))
    return stretches


def at(t: float, given: Vector) -> Vector:
    """Return an integrand's inputs."""
    return np.concatenate([[t], given])


_SPREAD = np.linspace(0.0, 1.0, 22)[:-1] + 0.5 / 21.0


def spread(breaks: Sequence[float]) -> list[float]:
    """Return times between given ones, in their order."""
    found = list[float]()
    for begin, end in itertools.pairwise(breaks):
        if np.isfinite(begin) and np.isfinite(end):
            found += (begin + _SPREAD * (end - begin)).tolist()
        elif np.isfinite(begin):
            found += (begin + np.sign(end) * (1.0 / _SPREAD[::-1] - 1.0)).tolist()
        elif np.isfinite(end):
            found += (end + np.sign(begin) * (1.0 / _SPREAD - 1.0)).tolist()
        else:
            found += spread([begin, 0.0, end])
    return found


def beside(end: float, other: float) -> list[float]:
    """Return a number next to an end that is finite, where it may be singular."""
    if not np.isfinite(end):
        return []
    return [end + 1e-12 * (other - end if np.isfinite(other) else np.sign(other))]


def inside(a: float, b: float) -> float:
    """Return a number between limits."""
    if np.isfinite(a) and np.isfinite(b):
        return a + (b - a) / 2
    if np.isfinite(a) or np.isfinite(b):
        return float(a + np.sign(b) if np.isfinite(a) else b + np.sign(a))
    return 1.0


def split(operands: Sequence[Any]) -> tuple[Limits, Vector]:
    """Return an integral's limits, and what the integrand is given beside its variable."""
    a, b, points, *given = operands
    limits = Limits(float(np.ravel(a)[0]), float(np.ravel(b)[0]), tuple(points.tolist()))
    return limits, joined(given)
