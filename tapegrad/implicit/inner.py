"""Functions of vectors that blocks evaluate and differentiate, by recordings of their own.

An inner function is recorded where it's first used, and again wherever none of its recordings is
valid; so its branches are no guards of the tape that calls it. Its derivatives are inner functions
again, whose tapes are made of its own by sweeping them on active numbers: every order works.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import numpy as np

from tapegrad.errors import OutdatedBlockError
from tapegrad.function.points import GuardFailedError, Point, used
from tapegrad.function.recording import Recording
from tapegrad.function.results import Result
from tapegrad.function.tiers import Options
from tapegrad.function.vectors import Vector
from tapegrad.implicit.shelf import SHELF
from tapegrad.record.active_sweeps import ActiveSweep
from tapegrad.record.elementwise import with_constants
from tapegrad.record.kinds import ACTIVE
from tapegrad.record.open_tape import OpenTape
from tapegrad.tape import Tape
from tapegrad.tree import LEAF

T = TypeVar("T")
Kind = Literal["pulled", "pushed", "gradient"]

OPTIONS = Options(strict=True)
"""Of inner functions: nothing that is solved changes when machine code takes over."""

MOST_RECORDINGS = 32
"""Of one function; the oldest are forgotten beyond."""


class MoreCapturedError(Exception):
    """Another recording captured more numbers than the first: its maker begins again.

    Attributes
    ----------
    function : Inner
    """

    def __init__(self, function: Inner) -> None:
        super().__init__(f"{function.name} captures more numbers")
        self.function = function


class Inner:
    """A function of vectors.

    Attributes
    ----------
    name : str
    n_inputs, n_outputs : int
    """

    def __init__(self, name: str, n_inputs: int, n_outputs: int) -> None:
        self.name, self.n_inputs, self.n_outputs = name, n_inputs, n_outputs
        self._derived: dict[tuple[Kind, int], Derived] = {}

    def run(self, inputs: Vector, use: Callable[[Point], T]) -> T:
        """Return what `use` makes of a recording that is valid at the inputs."""
        raise NotImplementedError

    def values(self, inputs: Vector) -> Vector:
        """Return the outputs."""
        found: Vector = self.run(inputs, Point.outputs)
        return found

    def pullback(self, inputs: Vector, seeds: Vector) -> Vector:
        """Return the inputs' adjoints."""
        found: Vector = self.run(inputs, lambda point: point.pullback(seeds))
        return found

    def pushforward(self, inputs: Vector, directions: Vector) -> Vector:
        """Return the outputs' tangents."""
        found: Vector = self.run(inputs, lambda point: point.pushforward(directions))
        return found

    def jacobian(self, inputs: Vector, n: int) -> Vector:
        """Return the Jacobian by the first `n` inputs."""
        directions = np.eye(n, self.n_inputs)

        def use(point: Point) -> list[Vector]:
            return [point.pushforward(direction) for direction in directions]

        return np.array(self.run(inputs, use)).reshape(n, self.n_outputs).T

    # --- derivatives, as functions ----------------------------------------------------------------

    @property
    def pulled(self) -> Derived:
        """The inputs' adjoints, as a function of inputs and outputs' adjoints."""
        return self._derive("pulled", self.n_inputs + self.n_outputs, self.n_inputs)

    @property
    def pushed(self) -> Derived:
        """The outputs' tangents, as a function of inputs and inputs' tangents."""
        return self._derive("pushed", 2 * self.n_inputs, self.n_outputs)

    def gradient(self, n: int) -> Derived:
        """The gradient of the first output by the first `n` inputs."""
        return self._derive("gradient", self.n_inputs, n)

    def _derive(self, kind: Kind, n_inputs: int, n_outputs: int) -> Derived:
        key = kind, n_outputs
        found = self._derived.get(key)
        if found is None:
            found = self._derived.setdefault(key, Derived(self, kind, n_inputs, n_outputs))
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_derived": {}}


class Derived(Inner):
    """A derivative of an inner function.

    Parameters
    ----------
    base : Inner
    kind : {'pulled', 'pushed', 'gradient'}
    """

    def __init__(self, base: Inner, kind: Kind, n_inputs: int, n_outputs: int) -> None:
        super().__init__(f"{base.name} {kind}", n_inputs, n_outputs)
        self.base, self.kind = base, kind
        self._made: weakref.WeakKeyDictionary[Recording, list[Recording]]
        self._made = weakref.WeakKeyDictionary()

    def run(self, inputs: Vector, use: Callable[[Point], T]) -> T:
        """Return what `use` makes of a recording that is valid at the inputs."""
        given = np.ascontiguousarray(inputs[: self.base.n_inputs])
        recording = self.base.run(given, _replayed)
        known = self._made.setdefault(recording, [])
        for found in known[::-1]:  # several if derivatives of blocks take ways of their own
            try:
                return used(Point(found, inputs), use, is_quiet=True)
            except GuardFailedError:
                continue
        found = recording_of(self._tape(recording, inputs), self.name)
        self._made[recording] = [*known, found][-MOST_RECORDINGS:]
        return used(Point(found, inputs), use, is_quiet=True)

    def _tape(self, recording: Recording, inputs: Vector) -> Tape:
        outer, n = OpenTape(), self.base.n_inputs
        given = np.zeros(len(inputs), ACTIVE)
        given["value"] = inputs
        given["slot"], given["tape"] = outer.input_block(inputs.copy()), outer.address
        sweep = ActiveSweep(recording.tape, outer, given[:n])
        if self.kind == "pushed":
            found = sweep.pushforward(given[n:])
        elif self.kind == "pulled":
            found = sweep.pullback(given[n:])
        else:
            seeds = np.zeros(self.base.n_outputs, ACTIVE)
            seeds["value"][0] = 1.0
            found = sweep.pullback(seeds)[: self.n_outputs]
        return outer.end(with_constants(outer, found)["slot"].astype(np.int32))

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_made": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _made=weakref.WeakKeyDictionary())


def _replayed(point: Point) -> Recording:
    point.replayed()
    return point.recording


def recording_of(tape: Tape, name: str) -> Recording:
    """Return a recording that returns a tape's outputs as one array."""

    def function() -> None:
        raise AssertionError("a tape that was made of another is never recorded")

    function.__qualname__ = name
    result = Result(LEAF, [(len(tape.outputs),)], [float])
    return Recording(tape, result, [], [], function, OPTIONS)


class Recorded(Inner):
    """A function of the user's.

    Parameters
    ----------
    name : str
    first : Recording
        The recording it begins with.
    is_repeatable : bool
        Whether recordings can be made again, and so may be forgotten.
    is_kept : bool
        Whether they are forgotten only where there are too many, not for the room they take.
    """

    def __init__(self, name: str, first: Recording, is_repeatable: bool,
                 is_kept: bool) -> None:  # fmt: skip
        super().__init__(name, len(first.tape.inputs), len(first.tape.outputs))
        self._is_repeatable = is_repeatable
        self._is_kept = is_kept or not is_repeatable
        self._first = first.point()
        self._recordings: list[Recording] = []
        self._lock = threading.RLock()
        self._keep(first)

    def run(self, inputs: Vector, use: Callable[[Point], T]) -> T:
        """Return what `use` makes of a recording that is valid at the inputs."""
        for recording in self._recordings[::-1]:
            try:
                found = used(Point(recording, inputs), use, is_quiet=True)
            except GuardFailedError:
                continue
            if not self._is_kept:
                SHELF.touch(recording)
            return found
        recording = self._record(inputs)
        self._keep(recording)
        return used(Point(recording, inputs, is_new=True), use, is_quiet=True)

    def _keep(self, recording: Recording) -> None:
        with self._lock:
            self._recordings = [*self._recordings, recording]
            if len(self._recordings) > MOST_RECORDINGS and self._is_repeatable:
                del self._recordings[0]
        if not self._is_kept:
            SHELF.put(self, recording)

    def forget(self, recording: Recording) -> None:
        """Let go of a recording."""
        with self._lock:
            self._recordings = [other for other in self._recordings if other is not recording]

    @property
    def recordings(self) -> Sequence[Recording]:
        """Those there are."""
        return self._recordings

    # --- in other processes: its recordings alone -------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        if not self._recordings:
            self.values(self._first)
        state = super().__getstate__()
        for name in ("_lock", "_recordings"):
            del state[name]
        return {**state, "tapes": [recording.tape for recording in self._recordings]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        tapes = state.pop("tapes")
        vars(self).update(state, _lock=threading.RLock(), _is_kept=True, _is_repeatable=False)
        self._recordings = [recording_of(tape, self.name) for tape in tapes]

    def _record(self, inputs: Vector) -> Recording:
        """Record the function at the inputs, or raise where that can't be done any more."""
        raise OutdatedBlockError(
            f"{self.name} takes a way that it didn't take before it was pickled, and can't be "
            "recorded again from its tapes: call the derivative of your function in this process"
        )
