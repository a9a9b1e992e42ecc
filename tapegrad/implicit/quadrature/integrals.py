"""Blocks of integrals of inner functions over their first input.

The operands are the limits and the other inputs. The derivative of an integral by those is the
integral of the integrand's derivative, itself such a block of a derived inner function, under an
error control of its own; by a limit it's the integrand there. Where the integrand jumps at a time
that moves, the jump times the time's derivative is added: Leibniz' rule.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import Array, Constant, Shapes
from tapegrad.errors import DivergentIntegralError, InaccurateSolutionWarning, SwitchError
from tapegrad.function.vectors import Vector
from tapegrad.implicit.evaluation import (
    BlockOfInner,
    evaluated,
    joined,
    recordable,
    shapes_of,
    tangents_of,
)
from tapegrad.implicit.flips import Switch
from tapegrad.implicit.inner import Inner
from tapegrad.implicit.quadrature.ranges import (
    N_LIMITS,
    Course,
    Limits,
    Root,
    at,
    beside,
    divided,
    inside,
    split,
    spread,
)
from tapegrad.implicit.quadrature.sought import Sought
from tapegrad.implicit.quadrature.swept_integrands import PULLBACK, PUSHFORWARD, VALUES
from tapegrad.implicit.solution import Bounds, Found
from tapegrad.implicit.solvers import solution
from tapegrad.implicit.switches import Crossing, crossings, may_switch, rates
from tapegrad.libraries import frames_to_users_code
from tapegrad.record.active import guard_all
from tapegrad.record.array import ActiveArray
from tapegrad.record.called import call, parted

ROUGH, FINE = 1e-3, 1e-7
"""The errors of a derivative, relative to what is integrated, that are a failure, and a warning."""

NOTHING = 1e-12
"""What is no jump, relative to what jumps."""


class Integral(BlockOfInner):
    """The integral of an inner function's outputs, from one of them on, by its first input.

    Parameters
    ----------
    root : Root
    inner : Inner
    first : int
        The first of the outputs that are integrated.
    """

    def __init__(self, root: Root, inner: Inner, first: int, shapes: Shapes,
                 is_active: tuple[bool, ...], results: Shapes = ()) -> None:  # fmt: skip
        self._n = inner.n_outputs - first
        found = ((self._n,), *results)
        super().__init__(inner.name, inner, shapes, found, is_active, root, first)
        self._root, self._first = root, first

    # --- numbers ----------------------------------------------------------------------------------

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the integral."""
        limits, given = split(operands)
        return [self._integrated(Sought(VALUES, None, self._own), limits, given)]

    @property
    def _own(self) -> npt.NDArray[np.int64]:
        return np.arange(self._first, self.inner.n_outputs)

    def _parts(self, limits: Limits, given: Vector) -> tuple[Course, list[Crossing]]:
        course = self._root.course(limits, given)
        if not may_switch(self.inner, at(inside(*limits[:2]), given), (0,)):
            return course, []
        # Where only a derivative switches, the value took no note.
        seen = course.times or spread(course.breaks)
        times = [*beside(limits.a, limits.b), *seen, *beside(limits.b, limits.a)]
        return course, crossings(self.inner, lambda t: at(t, given), times)

    def _integrated(self, sought: Sought, limits: Limits, given: Vector,
                    found: tuple[Course, list[Crossing]] | None = None) -> Vector:  # fmt: skip
        """Return an integral over the same interval, from one switch to the next."""
        total: Array = np.zeros((3, len(sought.taken)))
        if limits.a == limits.b or not len(sought.taken):
            return np.zeros(len(sought.taken))
        course, switches = self._parts(limits, given) if found is None else found
        tol, is_well = self._root.options.tol, True
        for parts in divided(course.breaks, switches):
            if parts[0][0] != parts[-1][1]:
                estimate, is_found = sought.integral(self.inner, given, parts, tol)
                total += estimate
                is_well = is_well and is_found
        value: Vector = total[0]
        error, size = total[1:]
        if is_well or np.all((error <= tol * size) & np.isfinite(size)):
            return value
        with np.errstate(invalid="ignore"):
            shares = np.where(np.isfinite(value), error / np.where(size > 0.0, size, 1.0), np.inf)
        worst = float(np.max(np.nan_to_num(shares, nan=np.inf)))
        if worst > ROUGH:
            raise DivergentIntegralError(
                f"the derivative of {self.name} isn't found: what is integrated for it has no "
                "integral that converges; substitute another variable, split the integral with "
                "points=, or take the part that diverges by hand"
            )
        if worst > FINE:
            warnings.warn(
                f"the derivative of {self.name} is integrated to {worst:.1g} of its size only: "
                "substitute another variable, or split the integral with points=",
                InaccurateSolutionWarning, stacklevel=frames_to_users_code(),
            )  # fmt: skip
        return value

    def _seeds(self, adjoint: Any) -> list[Any]:
        return [np.zeros(self._first), adjoint]

    def _jump(self, crossing: Crossing, given: Vector) -> Vector:
        before, after = (self.inner.values(at(t, given)) for t in crossing[:2])
        return before - after

    def _moving(self, found: tuple[Course, list[Crossing]],
                given: Vector) -> list[tuple[Vector, Vector]]:  # fmt: skip
        """Return the jumps there are, and how the times they're at move with the inputs."""
        moving = []
        for crossing in found[1]:
            jump = self._jump(crossing, given)[self._first :]
            size = np.abs(self.inner.values(at(crossing.before, given))[self._first :])
            if np.any(np.abs(jump) > NOTHING * size):
                moving.append((jump, self._rate(crossing, given)))
        return moving

    def _rate(self, crossing: Crossing, given: Vector) -> Vector:
        velocity = np.eye(1, 1 + len(given))[0]
        return rates(crossing, at(crossing.before, given), velocity, self.name)[1:]

    def _stays(self, crossing: Crossing, given: Vector) -> bool:
        """Whether the integrand doesn't jump at a switch that has no derivative, nor nearby."""
        before, after = (at(t, given) for t in crossing[:2])
        jumps = self.inner.values(before) - self.inner.values(after)
        slopes = self.inner.jacobian(before, len(before)) - self.inner.jacobian(after, len(after))
        size = np.max(np.abs(self.inner.jacobian(before, len(before))), initial=0.0)
        size += np.max(np.abs(self.inner.values(before)))
        largest = max(np.max(np.abs(jumps)), np.max(np.abs(slopes[:, 1:]), initial=0.0))
        return bool(largest <= NOTHING * size)

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints."""
        limits, given = split(operands)
        seeds = joined(self._seeds(np.array(adjoints[0])))
        ends = [self._end(t, given, seeds) if is_active else None
                for t, is_active in zip(limits[:2], self.is_active, strict=False)]  # fmt: skip
        ends = [None if ends[0] is None else -ends[0], ends[1], None]
        if not any(self.is_active[N_LIMITS:]):
            return [*ends, *[None] * len(operands[N_LIMITS:])]
        wanted = _wanted(self.operand_sizes[N_LIMITS:], self.is_active[N_LIMITS:])
        found = self._parts(limits, given)
        total = np.zeros(len(given))
        sought = Sought(PULLBACK, seeds, 1 + np.flatnonzero(wanted))
        total[wanted] = self._integrated(sought, limits, given, found)
        for jump, rate in self._moving(found, given):
            total += (jump @ seeds[self._first :]) * rate
        return [*ends, *parted(total, self.operand_shapes[N_LIMITS:])]

    def _end(self, t: float, given: Vector, seeds: Vector) -> Any:
        # NaN, where the integrand is, counts only if the limit moves.
        return 0.0 if np.isinf(t) else float(self.inner.values(at(t, given)) @ seeds)

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the result's tangent."""
        limits, given = split(operands)
        moved = tangents_of(self.operand_shapes[N_LIMITS:], tangents[N_LIMITS:])
        total = np.zeros(self._n)
        for t, sign, tangent in zip(limits[:2], (-1.0, 1.0), tangents, strict=False):
            if tangent is not None and tangent.any() and not np.isinf(t):
                total += sign * tangent * self.inner.values(at(t, given))[self._first :]
        if moved.any():
            found = self._parts(limits, given)
            sought = Sought(PUSHFORWARD, np.append(0.0, moved), self._own)
            total += self._integrated(sought, limits, given, found)
            for jump, rate in self._moving(found, given):
                total += jump * (rate @ moved)
        return [total, *[None] * (len(self.result_shapes) - 1)]

    # --- recorded ---------------------------------------------------------------------------------

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pullback, as calls."""
        a, b, points, *given = operands
        seeds = self._seeds(adjoints[0])
        ends = [None, None, None]
        for k, (t, sign) in enumerate(((a, -1.0), (b, 1.0))):
            if self.is_active[k] and np.isfinite(_plain(t)):
                ends[k] = sign * (evaluated(self.inner, [t, *given])[self._first :] @ adjoints[0])
        if not any(self.is_active[N_LIMITS:]):
            return [*ends, *[None] * len(given)]
        total = integral(self._root, self.inner.pulled, 1, [a, b, points, *given, *seeds])
        for switch, before, after in self._recorded_switches(operands):
            jump = self._recorded_jump(before, after, given) @ adjoints[0]
            slopes = evaluated(switch.pulled, [before, *given, np.ones(1)])
            total = total - jump * slopes[1:] / slopes[0]
        return [*ends, *parted(total, self.operand_shapes[N_LIMITS:])]

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pushforward, as calls."""
        a, b, points, *given = operands
        moved = recordable(self.operand_shapes[N_LIMITS:], tangents[N_LIMITS:])
        directions = [np.zeros(1), *moved]
        total = integral(
            self._root, self.inner.pushed, self._first, [a, b, points, *given, *directions]
        )
        for t, sign, tangent in ((a, -1.0, tangents[0]), (b, 1.0, tangents[1])):
            if tangent is not None and np.isfinite(_plain(t)):
                total = total + sign * tangent * evaluated(self.inner, [t, *given])[self._first :]
        for switch, before, after in self._recorded_switches(operands):
            slope = evaluated(
                switch.pushed,
                [before, *given, np.ones(1), *[np.zeros(shape) for shape in shapes_of(given)]],
            )
            moves = evaluated(switch.pushed, [before, *given, *directions])
            jump = self._recorded_jump(before, after, given)
            total = total - jump * moves / slope
        return [total, *[None] * (len(self.result_shapes) - 1)]

    def _recorded_jump(self, before: Any, after: Any, given: Sequence[Any]) -> Any:
        values = [evaluated(self.inner, [t, *given])[self._first :] for t in (before, after)]
        return values[0] - values[1]

    def _recorded_switches(self, operands: Sequence[Any]) -> list[tuple[Switch, Any, Any]]:
        """Return the switches at which the integrand jumps, and the times on both sides of each."""
        plain = list(map(_plain, operands))
        limits, flat = split(plain)
        if limits.a == limits.b or not may_switch(self.inner, at(inside(*limits[:2]), flat), (0,)):
            return []
        jumping, given = self.jumps_at(plain), operands[N_LIMITS:]
        shapes = shapes_of(operands)
        code, times = call(
            lambda is_active: Census(self, len(jumping), shapes, is_active), operands
        )
        if isinstance(code, ActiveArray):
            guard_all(code.tape, code.data["slot"], code.data["value"])
        recorded = []
        for k, crossing in enumerate(jumping):
            method = Located(crossing.switch)
            before = solution(method, [times[k, :1], *given])
            recorded.append((crossing.switch, before, before + (times[k, 1:] - times[k, :1])))
        return recorded

    def jumps_at(self, operands: Sequence[Any]) -> list[Crossing]:
        """Return the switches at which the integrand jumps, or would if its inputs were others."""
        limits, given = split(operands)
        if limits.a == limits.b:
            return []
        jumping = []
        for crossing in self._parts(limits, given)[1]:
            if crossing.switch.is_kink and all(other.is_kink for other in crossing.others):
                continue
            try:
                self._rate(crossing, given)
            except SwitchError:
                if self._stays(crossing, given):
                    continue
                raise
            jumping.append(crossing)
        return jumping


class Census(Constant, BlockOfInner):
    """Which switches there are, as a number to be guarded, and where: none has a derivative."""

    def __init__(self, of: Integral, count: int, shapes: Shapes,
                 is_active: tuple[bool, ...]) -> None:  # fmt: skip
        super().__init__(f"switches of {of.inner.name}", of.inner, shapes, ((1,), (count, 2)),
                         is_active, of._root, of._first, count)  # fmt: skip
        self._of, self._count = of, count

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return a number that is the same for the same switches, and the times on their sides."""
        found = self._of.jumps_at(operands)
        code = float(hash(tuple(c.switch.code for c in found)) % 2**52)
        times = np.full((self._count, 2), np.nan)
        for k, crossing in enumerate(found[: self._count]):
            times[k] = crossing.before, crossing.after
        return [np.array([code]), times]


class Located(NamedTuple):
    """A method that is given the root of a switch."""

    equations: Switch

    def solve(self, start: Sequence[Vector], parameters: Vector, bounds: Bounds | None) -> Found:
        """Return the root."""
        (root,), none = start, np.zeros(1)
        slope = self.equations.jacobian(np.concatenate([root, parameters]), 1)
        return Found(root, 1.0 / slope, none, none)


def integral(root: Root, inner: Inner, first: int, operands: Sequence[Any]) -> Any:
    """Return the integral of an inner function derived of the root's, as a call."""
    shapes = shapes_of(operands)
    return call(lambda is_active: Integral(root, inner, first, shapes, is_active), operands)[0]


# --- operands ---------------------------------------------------------------------------------


def _plain(operand: Any) -> Any:
    return operand.primal if isinstance(operand, ActiveArray) else np.asarray(operand, np.float64)


@functools.cache
def _wanted(sizes: tuple[int, ...], is_active: tuple[bool, ...]) -> Any:
    return np.repeat(is_active, sizes)
