"""A right-hand side as a flow: where it takes a state, and how that moves with what it begins with.

Numbers here are plain. The flow's error control is its own, finer than that of the solver whose
values are differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import Array
from tapegrad.errors import BlockFailedError, SwitchError
from tapegrad.function.vectors import Vector
from tapegrad.implicit.inner import Inner
from tapegrad.implicit.ode.branches import held_at
from tapegrad.implicit.ode.passes_of_solutions import Control, Field, Path
from tapegrad.implicit.switches import first_crossing


class Start(NamedTuple):
    """What a solution begins with.

    Attributes
    ----------
    time : float
    state : ndarray
    parameters : ndarray
    """

    time: float
    state: Vector
    parameters: Vector

    def inputs(self, time: float, state: Vector) -> Vector:
        """Return the inputs of a right-hand side with these parameters."""
        return np.concatenate([[time], state, self.parameters])

    def key(self) -> bytes:
        """Return the bits of it all."""
        return self.inputs(self.time, self.state).tobytes()


class Flow:
    """A right-hand side, and how exactly it's integrated.

    Parameters
    ----------
    inner : Inner
        dy/dt, of t, y and parameters.
    n : int
        How many numbers y has.
    control : Control

    Attributes
    ----------
    is_held : bool
        Whether it takes one way only.
    """

    def __init__(self, inner: Inner, n: int, control: Control) -> None:
        self.inner, self.n, self.control = inner, n, control
        self.is_held = getattr(inner, "is_held", False)
        self._last: tuple[bytes, float, Path, Field] | None = None

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Flow)
            and other.inner is self.inner
            and (other.n, other.control) == (self.n, self.control)
        )

    def __hash__(self) -> int:
        return hash((id(self.inner), self.n, self.control))

    def __getstate__(self) -> tuple[Inner, int, Control]:
        return self.inner, self.n, self.control

    def __setstate__(self, state: tuple[Inner, int, Control]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def _field(self, start: Start) -> Field:
        inputs = start.inputs(start.time, start.state)
        branch = held_at(self.inner, inputs)
        return Field(branch.recording, inputs, self.n, self.control)

    def path(self, start: Start, end: float) -> tuple[Path, Field]:
        """Return the path up to a time, and the right-hand side along it; the last is known."""
        key, last = start.key(), self._last
        if last is not None and last[0] == key:
            sign = np.sign(last[1] - start.time)
            if sign == np.sign(end - start.time) and sign * (last[1] - end) >= 0.0:
                return last[2], last[3]
        field = self._field(start)
        path = field.path(start.time, end, start.state)
        if not self.is_held:
            self._check(path, start)
        self._last = key, end, path, field
        return path, field

    def _check(self, path: Path, start: Start) -> None:
        """Raise where the right-hand side jumps on the way."""
        ts, varying = path.ts[: path.n_steps + 1], range(1 + self.n)

        def inputs(t: float) -> Vector:
            return start.inputs(t, path.at(np.array([t]))[0])

        crossing = first_crossing(self.inner, inputs, ts.tolist(), varying)
        if crossing is not None and not crossing.switch.is_kink:
            raise SwitchError(
                f"the right-hand side of {self.inner.name} jumps at {crossing.before:.6g}"
            )

    def end(self, start: Start, times: Vector) -> float:
        """Return the last of times, on either side of the start."""
        if not len(times):
            return start.time
        first, last = float(times.min()), float(times.max())
        if min(first, start.time) == start.time:
            return max(last, start.time)
        if max(last, start.time) == start.time:
            return first
        raise BlockFailedError(
            f"{self.inner.name} is differentiated at times before and after its begin: take one "
            "side at a time"
        )

    def states(self, start: Start, times: Vector) -> Array:
        """Return the states at times, one column each."""
        path, _ = self.path(start, self.end(start, times))
        return path.at(times).T.copy()

    def tangents(self, start: Start, times: Vector, moved: Vector, directions: Vector) -> Array:
        """Return how states at fixed times move, one column each.

        Parameters
        ----------
        start : Start
        times, moved : ndarray
            How the first state moves.
        directions : ndarray
            How the parameters do.
        """
        end = self.end(start, times)
        path, field = self.path(start, end)
        given = np.concatenate([np.zeros(1 + self.n), directions])
        both = field.path(start.time, end, np.concatenate([start.state, moved]), given, path)
        return both.at(times)[:, self.n :].T.copy()

    def adjoints(self, start: Start, times: Vector, seeds: Array,
                 wanted: npt.NDArray[np.int64]) -> tuple[Vector, Vector]:  # fmt: skip
        """Return the derivatives by the first state, and by parameters.

        Parameters
        ----------
        start : Start
        times : ndarray
        seeds : ndarray
            The derivatives by the states at these times, one column each.
        wanted : ndarray of int
            Which parameters.
        """
        end = self.end(start, times)
        if not len(times):
            return np.zeros(self.n), np.zeros(len(wanted))
        path, field = self.path(start, end)
        order = np.argsort(times if end >= start.time else -times, kind="stable")
        if not path.n_steps:
            return seeds.sum(axis=1), np.zeros(len(wanted))
        return field.adjoint(path, np.ascontiguousarray(times[order]), seeds.T[order],
                             wanted + (1 + self.n), start.time)  # fmt: skip

    def rates(self, start: Start, times: Vector, states: Array) -> Array:
        """Return dy/dt at times and states, one column each."""
        found = [
            self.inner.values(start.inputs(time, state))
            for time, state in zip(times, states.T, strict=True)
        ]
        return np.array(found).reshape(len(times), self.n).T


def wanted_in(sizes: Sequence[int], chosen: Sequence[bool]) -> npt.NDArray[np.int64]:
    """Return the places of the chosen ones among numbers that lie one after another."""
    return np.flatnonzero(np.repeat(np.asarray(chosen, bool), sizes)).astype(np.int64)
