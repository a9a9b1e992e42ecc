"""A function replayed at a point, ready to be swept: with plain numbers, or with active ones.

`at` finds or makes the recording and replays it. Inside another recording, an argument or a
captured number may be active: then the sweeps run on the outer tape, which so receives the
derivative's operations.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tapegrad.function.arguments import Call, Fixed
from tapegrad.function.recorded import RecordedFunction
from tapegrad.function.recording import Recording, Workspace, record
from tapegrad.record.array import as_active_data, tapes_in, wrap
from tapegrad.record.native import ACTIVE
from tapegrad.record.nesting import innermost, is_recording
from tapegrad.record.sweeping import ActiveSweep
from tapegrad.replay.programs import floats
from tapegrad.tape import Tape

Data = npt.NDArray[Any]


class Point(Protocol):
    """A recording whose values have been computed."""

    recording: Recording

    def result(self) -> Any:
        """Return the function's result."""

    def pullback(self, seeds: Data) -> Data:
        """Return the inputs' adjoints for the outputs' adjoints `seeds`."""

    def pushforward(self, directions: Data) -> Data:
        """Return the outputs' tangents for the inputs' tangents `directions`."""

    def vector(self, part: Any) -> Data:
        """Return a leaf of a seed or direction as a vector for the sweeps."""

    def leaf(self, part: Data) -> Any:
        """Return a part of a vector, in its shape, as what the caller should get."""


def float_leaf(part: Data) -> Any:
    """Return an array, or a float for a scalar."""
    return part if part.ndim else float(part)


class FloatPoint:
    """A point of plain numbers."""

    def __init__(self, recording: Recording, workspace: Workspace) -> None:
        self.recording, self._tape = recording, recording.tape
        self._value, self._work = workspace

    def result(self) -> Any:
        """Return the function's result."""
        out = np.empty(len(self._tape.outputs))
        floats.results.run(self._tape.head, self._value, out)
        return self.recording.result(out)

    def pullback(self, seeds: Data) -> Data:
        """Return the inputs' adjoints for the outputs' adjoints `seeds`."""
        out = np.empty(len(self._tape.inputs))
        floats.pullback.run(self._tape.head, seeds, self._value, self._work, out)
        return out

    def pushforward(self, directions: Data) -> Data:
        """Return the outputs' tangents for the inputs' tangents `directions`."""
        out = np.empty(len(self._tape.outputs))
        floats.pushforward.run(self._tape.head, directions, self._value, self._work, out)
        return out

    def vector(self, part: Any) -> Data:
        """Return a leaf of a seed or direction as a contiguous float64 vector."""
        return np.ascontiguousarray(part, np.float64).reshape(-1)

    leaf = staticmethod(float_leaf)


class ActivePoint:
    """A point of active numbers of an outer recording."""

    def __init__(self, recording: Recording, outer: Tape, inputs: Data) -> None:
        self.recording, self._outer = recording, outer
        self._sweep = ActiveSweep(recording.tape, outer, inputs)
        self.pullback = self._sweep.pullback
        self.pushforward = self._sweep.pushforward

    def result(self) -> Any:
        """Return the function's result."""
        return self.recording.active_result(self._outer, self._sweep.results())

    def vector(self, part: Any) -> Data:
        """Return a leaf of a seed or direction as a vector of active numbers."""
        return as_active_data(self._outer, part).reshape(-1)

    def leaf(self, part: Data) -> Any:
        """Return an active array, or a number for a scalar."""
        return wrap(self._outer, part)


def at(function: RecordedFunction, call: Call) -> Point:
    """Return the function replayed at a call's arguments."""
    if call.is_active or is_recording():
        return _nested(function, call)

    inputs = call.inputs()

    def attempt(recording: Recording, workspace: Workspace) -> int:
        return floats.replay.run(recording.tape.head, inputs, workspace.value)  # type: ignore[no-any-return]

    recording, workspace = function.run(call, attempt)
    return FloatPoint(recording, workspace)


def _nested(function: RecordedFunction, call: Call) -> Point:
    recording = record(function.function, call)
    leaves = [leaf for leaf, spec in zip(call.leaves, call.specs, strict=True)
              if not isinstance(spec, Fixed)]  # fmt: skip
    bound = [*leaves, *recording.captured]
    tapes = list(tapes_in(*bound))
    if not tapes:
        inputs = call.inputs()
        workspace = recording.take_workspace()
        floats.replay.run(recording.tape.head, inputs, workspace.value)
        return FloatPoint(recording, workspace)
    outer = innermost(tapes)
    parts = [as_active_data(outer, leaf).reshape(-1) for leaf in bound]
    return ActivePoint(recording, outer, np.concatenate([np.empty(0, ACTIVE), *parts]))
