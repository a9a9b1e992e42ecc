"""A function replayed at a point, ready to be swept: with plain numbers, or with active ones.

`at` finds or makes the recording and replays it. Inside another recording an argument, a
captured number, a seed or a direction may be active: then the sweeps run on the outer tape,
which so receives the derivative's operations. Vectors are float64 arrays, or active arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.function.arguments import Call, Fixed
from tapegrad.function.recorded import RecordedFunction
from tapegrad.function.recording import Recording, Vector, Workspace, record
from tapegrad.function.tiers import Kind
from tapegrad.record.array import ActiveArray, as_active_data, tapes_in, wrap
from tapegrad.record.nesting import innermost, is_recording
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.sweeping import ActiveSweep
from tapegrad.replay.programs import floats

AnyVector = Any
"""A float64 array or an `ActiveArray`, of one dimension."""


class Point:
    """A recording, and the numbers it's replayed at.

    Parameters
    ----------
    recording : Recording
    bound : list
        What each input stands for: floats, arrays, or active ones.
    value : ndarray
        The values of the tape's operands at this point.
    inputs : ndarray, optional
        The inputs, where none is active.
    """

    def __init__(self, recording: Recording, bound: list[Any], value: Vector,
                 inputs: Vector | None = None) -> None:  # fmt: skip
        self.recording, self._bound, self._value = recording, bound, value
        self._inputs = inputs
        self._tape = recording.tape
        self._sweeps: dict[int, ActiveSweep] = {}

    def result(self) -> Any:
        """Return the function's result."""
        outer = self._outer_tape()
        if outer is not None:
            return self.recording.result.active(outer, self._sweep(outer).results())
        out = np.empty(len(self._tape.outputs))
        floats.results.run(self._tape.head, self._value, out)
        return self.recording.result.plain(out)

    def run_effects(self) -> None:
        """Do what the function does beside its result; on an outer tape, have it done there."""
        effects = self.recording.effects
        outer = self._outer_tape() if effects else None
        if outer is None:
            self.recording.run_effects(self._value)
            return
        sweep = self._sweep(outer)
        trees = [e.result.active(outer, sweep.values(e.operands)) for e in effects]
        for effect, tree in zip(effects, trees, strict=True):
            effect.run(tree)

    def pullback(self, seeds: AnyVector) -> AnyVector:
        """Return the inputs' adjoints for the outputs' adjoints `seeds`."""
        outer = self._outer_tape(seeds)
        if outer is not None:
            data = self._sweep(outer).pullback(as_active_data(outer, seeds))
            return ActiveArray(outer, data)
        return self._with_floats("reverse", floats.pullback.run, seeds, len(self._tape.inputs))

    def pushforward(self, directions: AnyVector) -> AnyVector:
        """Return the outputs' tangents for the inputs' tangents `directions`."""
        outer = self._outer_tape(directions)
        if outer is not None:
            data = self._sweep(outer).pushforward(as_active_data(outer, directions))
            return ActiveArray(outer, data)
        return self._with_floats(
            "tangent", floats.pushforward.run, directions, len(self._tape.outputs)
        )

    def _with_floats(self, kind: Kind, run: Any, vector: Vector, length: int) -> Vector:
        """Run machine code if there is, and the sweep where there is none or it won't do."""
        out = np.empty(length)
        inputs = self._inputs
        code = None if inputs is None else self.recording.tiers.code(kind)
        if inputs is not None and code is not None and code.run(inputs, vector, out)[0]:
            return out
        workspace = self.recording.take_workspace()  # another thread may be sweeping this point
        run(self._tape.head, vector, self._value, workspace.swept, out)
        self.recording.give_back(workspace)
        return out

    def _outer_tape(self, *vectors: AnyVector) -> OpenTape | None:
        tapes = list(tapes_in(*self._bound, *vectors))
        return innermost(tapes) if tapes else None

    def _sweep(self, outer: OpenTape) -> ActiveSweep:
        if outer.level not in self._sweeps:
            parts = [as_active_data(outer, leaf).reshape(-1) for leaf in [*self._bound, []]]
            self._sweeps[outer.level] = ActiveSweep(self._tape, outer, np.concatenate(parts))
        return self._sweeps[outer.level]


def join(parts: Sequence[Any]) -> AnyVector:
    """Return floats and arrays, active or not, one after another as a vector."""
    tapes = list(tapes_in(*parts))
    if not tapes:
        flat = [np.ravel(np.asarray(part, np.float64)) for part in parts]
        return np.concatenate([np.empty(0), *flat])
    tape = innermost(tapes)
    return ActiveArray(tape, np.concatenate([as_active_data(tape, p).reshape(-1) for p in parts]))


def leaf(part: Any) -> Any:
    """Return part of a vector, in its shape, as the caller gets it: a number if it has none."""
    if isinstance(part, ActiveArray):
        return wrap(part.tape, part.data)
    return part if np.ndim(part) else float(part)


def at(function: RecordedFunction, call: Call) -> Point:
    """Return the function replayed at a call's arguments."""
    inputs = call.inputs() if not call.is_active else np.empty(0)
    bound = [leaf for leaf, spec in zip(call.leaves, call.specs, strict=True)
             if not isinstance(spec, Fixed)]  # fmt: skip
    if call.is_active or is_recording():
        recording = record(function.function, call)
        value = recording.take_workspace().value
        floats.replay.run(recording.tape.head, recording.point(), value)
        return Point(recording, [*bound, *recording.captured], value)

    def attempt(recording: Recording, workspace: Workspace) -> int:
        return floats.replay.run(recording.tape.head, inputs, workspace.value)  # type: ignore[no-any-return]

    recording, workspace = function.run(call, attempt)
    return Point(recording, _copies(bound), workspace.value, inputs)


def _copies(bound: list[Any]) -> list[Any]:
    # The caller may change an array before a pullback is called.
    return [leaf.copy() if isinstance(leaf, np.ndarray) else leaf for leaf in bound]
