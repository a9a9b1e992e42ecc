"""The right-hand side of a solution and its tangent together: an inner function again."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from tapegrad.function.points import Point, used, valid_recording
from tapegrad.function.recording import Recording
from tapegrad.function.vectors import Vector
from tapegrad.implicit.inner import Inner, recording_of
from tapegrad.record.active_sweeps import ActiveSweep
from tapegrad.record.elementwise import with_constants
from tapegrad.record.kinds import ACTIVE
from tapegrad.record.open_tape import OpenTape
from tapegrad.tape import Tape

T = TypeVar("T")


class Augmented(Inner):
    """The rates of y and of its tangent u, as a function of t, y, u, parameters and their tangents.

    Parameters
    ----------
    base : Inner
        dy/dt, of t, y and parameters.
    n : int
        How many numbers y has.
    """

    def __init__(self, base: Inner, n: int) -> None:
        n_parameters = base.n_inputs - 1 - n
        super().__init__(base.name, 1 + 2 * n + 2 * n_parameters, 2 * n)
        self.base, self._n, self._n_parameters = base, n, n_parameters
        self.is_held = getattr(base, "is_held", False)
        self._made: weakref.WeakKeyDictionary[Recording, Recording] = weakref.WeakKeyDictionary()

    def _split(self, inputs: Any) -> tuple[Any, Any]:
        """Return the base's inputs, and their tangents."""
        n, stop = self._n, 1 + 2 * self._n + self._n_parameters
        given = np.concatenate([inputs[: 1 + n], inputs[1 + 2 * n : stop]])
        moved = [np.zeros(1, inputs.dtype), inputs[1 + n : 1 + 2 * n], inputs[stop:]]
        return given, np.concatenate(moved)

    def run(self, inputs: Vector, use: Callable[[Point], T]) -> T:
        """Return what `use` makes of a recording that is valid at the inputs."""
        recording = self.base.run(self._split(inputs)[0], valid_recording)
        found = self._made.get(recording)
        if found is None:
            found = self._made[recording] = recording_of(self._tape(recording, inputs), self.name)
        return used(Point(found, np.ascontiguousarray(inputs)), use, is_quiet=True)

    def _tape(self, recording: Recording, inputs: Vector) -> Tape:
        outer = OpenTape()
        numbers = np.zeros(len(inputs), ACTIVE)
        numbers["value"] = inputs
        numbers["slot"], numbers["tape"] = outer.input_block(inputs.copy()), outer.address
        given, moved = self._split(numbers)
        sweep = ActiveSweep(recording.tape, outer, given)
        found = np.concatenate([sweep.results(), sweep.pushforward(moved)])
        return outer.end(with_constants(outer, found)["slot"].astype(np.int32))

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_made": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _made=weakref.WeakKeyDictionary())


_known: weakref.WeakKeyDictionary[Inner, dict[int, Augmented]] = weakref.WeakKeyDictionary()


def augmented(base: Inner, n: int) -> Augmented:
    """Return the augmented function of another, always the same."""
    known = _known.setdefault(base, {})
    return known.setdefault(n, Augmented(base, n)) if n not in known else known[n]
