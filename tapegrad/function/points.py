"""A function at a point: machine code of its recording if there is, else the sweeps.

Whoever asks a point for values or derivatives doesn't know what computes them. That the recording
is valid there is found out by whatever runs first: where a guard fails, `GuardFailedError` asks for
another recording. Inside another recording an argument, a captured number, a seed or a direction
may be active: then the sweeps run on the outer tape, which so receives the derivative's operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from tapegrad.blocks import check_interrupt, raise_failure
from tapegrad.errors import TapegradError
from tapegrad.function.postponed import postpone, raise_postponed
from tapegrad.function.recording import Recording, Workspace
from tapegrad.function.returns import returned_in
from tapegrad.function.tiers import Kind
from tapegrad.function.vectors import AnyVector, Vector
from tapegrad.record.active_sweeps import ActiveSweep
from tapegrad.record.array import ActiveArray, as_active_data, tapes_in
from tapegrad.record.nesting import innermost
from tapegrad.record.open_tape import OpenTape
from tapegrad.replay.programs import floats

T = TypeVar("T")

_ONE = np.ones(1)


class GuardFailedError(TapegradError, AssertionError):
    """A recording isn't valid at a point: a guard finds another value there, or a block fails.

    Attributes
    ----------
    guard : int
        Of a call that fails it's counted on after the guards.
    found : float
    """

    def __init__(self, recording: Recording, guard: int, found: float) -> None:
        is_guard = recording.is_guard(guard)
        what = f"the guard at {recording.site(guard)}" if is_guard else "the call of a block"
        super().__init__(f"{what} fails where it was recorded")
        self.guard, self.found = guard, found


class Point:
    """A recording, and the numbers it's used at.

    Parameters
    ----------
    recording : Recording
    inputs : ndarray
        The values of the tape's inputs.
    outer : sequence
        What the inputs stand for, where some may be numbers of an outer tape.
    is_new : bool
        Whether it was recorded here: then it's valid, and not compiled yet.
    """

    def __init__(self, recording: Recording, inputs: Vector, outer: Sequence[Any] = (),
                 is_new: bool = False) -> None:  # fmt: skip
        self.recording, self._inputs, self._outer = recording, inputs, outer
        self._is_new = self._is_valid = is_new
        self._is_kept = False
        self._outputs: Vector | None = None
        self._workspace: Workspace | None = None
        self._active: ActiveSweep | None = None

    def replayed(self) -> Workspace:
        """Return the values of the tape's operands, replayed when they are first asked for."""
        if self._workspace is None:
            self._workspace = workspace = self.recording.take_workspace()
            postpone(None)
            guard = floats.replay.run(self.recording.tape.head, self._inputs, workspace.value)
            if guard >= 0:
                if self._is_new:  # a block that did what it does while it was recorded, only
                    raise_failure(self.recording.tape)
                check_interrupt()
                found = self.recording.value_read(guard, workspace.value)
                raise GuardFailedError(self.recording, guard, found)
            self._is_valid = True
        return self._workspace

    def keep(self) -> None:
        """Keep the numbers for sweeps after the call, in any thread."""
        self._is_kept = True
        self._inputs = self._inputs.copy()  # the caller may change an array
        self._outer = [p.copy() if type(p) is np.ndarray else p for p in self._outer]

    def finish(self) -> None:
        """Make sure that the recording is valid here, and do what the function does beside."""
        if not self._is_valid:
            self.replayed()
        if self.recording.effects:
            self.run_effects()

    def give_back(self) -> None:
        """Let another call use the memory, unless it's kept."""
        if self._workspace is not None and not self._is_kept:
            self.recording.give_back(self._workspace)
            self._workspace = None

    def outputs(self) -> AnyVector:
        """Return the values of the tape's outputs."""
        outer = self._outer_tape()
        if outer is not None:
            return ActiveArray(outer, self._sweep(outer).results())
        if self._outputs is None:
            tape, values = self.recording.tape, self.replayed().value
            self._outputs = np.empty(len(tape.outputs))
            floats.results.run(tape.head, values, self._outputs)
            raise_postponed(self._outputs)
        return self._outputs

    def result(self) -> Any:
        """Return the function's result."""
        outputs, result = self.outputs(), self.recording.result
        if isinstance(outputs, ActiveArray):
            return result.active(outputs.tape, outputs.data)
        return result.plain(outputs)

    def run_effects(self) -> None:
        """Do what the function does beside its result; on an outer tape, have it done there."""
        effects, outer = self.recording.effects, self._outer_tape()
        if outer is not None:
            sweep = self._sweep(outer)
            trees = [e.result.active(outer, sweep.values(e.operands)) for e in effects]
        else:
            values, first = self.replayed().value, len(self.recording.tape.constants)
            trees = [e.result.plain(values[first + e.operands]) for e in effects]
        for effect, tree in zip(effects, trees, strict=True):
            effect.run(tree)

    def gradient(self) -> tuple[Any, AnyVector]:
        """Return the function's value and gradient.

        Raises
        ------
        NotScalarError
            If its result is not one number.
        """
        self.check_scalar()
        adjoints = self.pullback(_ONE)
        return self.outputs().item(), adjoints

    def check_scalar(self, has_aux: bool = False) -> None:
        """Raise NotScalarError if the function's value here is not one float."""
        if self.recording.is_bare and not has_aux:
            return
        try:
            self.recording.result.check_scalar(has_aux)
        except TapegradError as error:
            self.replayed()  # another recording is asked, if this one isn't valid here
            raise error.with_traceback(returned_in(self.recording.function))  # noqa: B904

    def pullback(self, seeds: AnyVector) -> AnyVector:
        """Return the inputs' adjoints for the outputs' adjoints `seeds`."""
        outer = self._outer_tape(seeds)
        if outer is not None:
            data = self._sweep(outer).pullback(as_active_data(outer, seeds))
            return ActiveArray(outer, data)
        return self._product("reverse", floats.pullback.run, seeds, len(self._inputs))

    def pushforward(self, directions: AnyVector) -> AnyVector:
        """Return the outputs' tangents for the inputs' tangents `directions`."""
        outer = self._outer_tape(directions)
        if outer is not None:
            data = self._sweep(outer).pushforward(as_active_data(outer, directions))
            return ActiveArray(outer, data)
        n_outputs = len(self.recording.tape.outputs)
        return self._product("tangent", floats.pushforward.run, directions, n_outputs)

    def hessian_product(self, directions: Vector) -> Vector | None:
        """Return the Hessian times the directions by machine code; None where it won't do."""
        length = len(self._inputs)
        found = self._by_machine_code("product", directions, 2 * length)
        return None if found is None else found[length:]

    def _by_machine_code(self, kind: Kind, vector: Vector, length: int) -> Vector | None:
        """Return what machine code computes; None where there is none or it won't do."""
        code = None if self._is_new else self.recording.tiers.code(kind)
        if code is None:
            return None
        out = np.empty(length)
        is_well, outputs = code.run(self._inputs, vector, out)
        if is_well:
            self._is_valid, self._outputs = True, outputs
            return out
        check_interrupt()
        self.recording.tiers.hand_over()
        self.replayed()  # a guard may have failed
        return None

    def _product(self, kind: Kind, sweep: Any, vector: Vector, length: int) -> Vector:
        """Return what machine code computes, or the sweep where it doesn't."""
        found = self._by_machine_code(kind, vector, length)
        if found is not None:
            return found
        here, out = self.replayed(), np.empty(length)
        # Another thread may be sweeping a point that is kept.
        workspace = self.recording.take_workspace() if self._is_kept else here
        tape = self.recording.focused
        status = sweep(tape.head, vector, here.value, workspace.swept, out)
        if self._is_kept:
            self.recording.give_back(workspace)
        if status:
            raise_failure(tape)
        raise_postponed(out)
        return out

    def _outer_tape(self, vector: AnyVector = None) -> OpenTape | None:
        """Return the tape that an operation with a vector is recorded on, if it is."""
        if not self._outer and not isinstance(vector, ActiveArray):
            return None
        tapes = list(tapes_in(*self._outer, vector))
        return innermost(tapes) if tapes else None

    def _sweep(self, outer: OpenTape) -> ActiveSweep:
        """Return the sweep on an outer tape: the last one, if that was on the same tape."""
        sweep = self._active
        if sweep is None or sweep.outer is not outer:
            bound = self._outer or [self._inputs]
            parts = [as_active_data(outer, part).reshape(-1) for part in [*bound, []]]
            recording, inputs = self.recording, np.concatenate(parts)
            sweep = ActiveSweep(recording.tape, outer, inputs, recording.focused)
            self._active = sweep
        return sweep


Use = Callable[[Point], T]
"""What a derivative makes of a function at a point. It may be tried with a recording that turns
out not to be valid there, and is called again with another one."""


def used(point: Point, use: Use[T], is_quiet: bool = False) -> T:
    """Return what a derivative makes of a point, and do what the function does beside.

    A quiet use leaves that to the derivative, and to see that the recording is valid if it asked
    the point for nothing.

    Raises
    ------
    GuardFailedError
        If the recording isn't valid there.
    """
    try:
        found = use(point)
        if not is_quiet:
            point.finish()
        return found
    finally:
        point.give_back()


def valid_recording(point: Point) -> Recording:
    """Return the recording, of which nothing is needed but that it's valid; a quiet use."""
    point.replayed()
    return point.recording
