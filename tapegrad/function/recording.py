"""One recording of a function: its tape, and how to make its result from the tape's outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from types import FunctionType, TracebackType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import NumbaError

from tapegrad.errors import TapegradError
from tapegrad.function.arguments import Fixed
from tapegrad.function.effects import Effect
from tapegrad.function.foreign import foreign_error, up_to_user
from tapegrad.function.left import Left
from tapegrad.function.places import Places, Route, primal_of, searching
from tapegrad.function.plan import Plan
from tapegrad.function.results import Result, append_result
from tapegrad.function.returns import ending_at, returned_in
from tapegrad.function.tiers import NEVER, Options, Tiers
from tapegrad.ops import CODE
from tapegrad.passes.focus import focused
from tapegrad.progress import progress
from tapegrad.record.active import Active, make
from tapegrad.record.array import ActiveArray
from tapegrad.record.kinds import ACTIVE
from tapegrad.record.nesting import unsettle
from tapegrad.record.numba.explanation import explained, is_about_active_numbers, place_of
from tapegrad.record.numba.rewriting import taking_active
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.refusals import forget_refused, in_masked_arrays
from tapegrad.record.twins import Twins, while_recording
from tapegrad.replay.programs import float_workspace, workspace_length
from tapegrad.tape import NONE, Tape

Vector = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_SAME = CODE["same"]


class Workspace(NamedTuple):
    """Arrays for the values of a tape's operands and for a sweep over them."""

    value: Vector
    swept: Vector


class Recording:
    """A function's operations at one point, and the structure of its result.

    Attributes
    ----------
    tape : Tape
    focused : Tape
        The same, of which derivatives are taken: they aren't by its data.
    result : Result
        How to make the function's result of the tape's outputs.
    effects : list of Effect
        What else is done at each call.
    routes : sequence of Route
        Where the objects are that its effects change.
    left : Left, optional
        Which plain things it leaves, and for which places as they begin.
    captured : list of Active
        Numbers of outer recordings the function used; they are the tape's last inputs.
    branches : dict
        The recording to try when guard k finds value v, by (k, v).
    tiers : Tiers
        What its derivatives run as.
    is_unsettled : bool
        Whether it holds for this call only, as an error was caught that nothing guards.
    is_bare : bool
        Whether the function returns one float and does nothing beside.
    holds_values : bool
        Whether it holds plain values or texts that were read of active numbers.
    """

    def __init__(self, tape: Tape, result: Result, effects: Sequence[Effect],
                 captured: list[Active], function: Callable[..., Any],
                 options: Options = NEVER, data_inputs: Indices = NONE) -> None:  # fmt: skip
        self.tape, self.result, self.effects = tape, result, effects
        self.focused = focused(tape, data_inputs)
        self.captured, self.function = captured, function
        self.is_bare = result.is_scalar and not effects
        self.routes: Sequence[Route] = ()
        self.left: Left | None = None
        self.is_unsettled = False
        self.branches: dict[tuple[int, float], Recording] = {}
        self.tiers = Tiers(self.focused, options, name_of(function))
        self.holds_values = bool(np.any(tape.op[tape.guard_slot] == _SAME))
        if self.holds_values:
            self.tiers.reason = "it holds plain values of active numbers, which change"
        self._workspaces: list[Workspace] = []

    @property
    def has_taps(self) -> bool:
        """Whether the function taps values."""
        return any(effect.is_tap for effect in self.effects)

    def leave(self, left: Left, effects: Sequence[Effect]) -> None:
        """Note what it leaves, and its effects with that."""
        self.left, self.effects, self.is_bare = left, effects, False
        if left.depends:
            self.tiers.reason = "it changes something by what was there before"

    def moved(self) -> str | None:
        """Return the name of a place that it changes and that isn't as it has to be for that."""
        return None if self.left is None else self.left.moved()

    def is_guard(self, number: int) -> bool:
        """Whether a number is a guard's, and not that of a call, which are counted on from them."""
        return number < len(self.tape.guard_slot)

    def is_value(self, guard: int) -> bool:
        """Whether a guard is of a plain value or a text."""
        return self.is_guard(guard) and bool(self.tape.op[self.tape.guard_slot[guard]] == _SAME)

    def point(self) -> Vector:
        """Return the values of the inputs where it was recorded."""
        return self.tape.value[self.tape.inputs]

    def values(self) -> Vector:
        """Return the values of the tape's operands where it was recorded."""
        return np.concatenate([self.tape.constants[::-1], self.tape.value])

    def take_workspace(self) -> Workspace:
        """Return a workspace that no other call is using."""
        try:
            return self._workspaces.pop()
        except IndexError:
            swept = np.empty(workspace_length(self.tape))
            return Workspace(float_workspace(self.tape), swept)

    def give_back(self, workspace: Workspace) -> None:
        """Let another call use a workspace."""
        self._workspaces.append(workspace)

    def value_read(self, guard: int, value: Vector) -> float:
        """Return what a guard finds in a workspace of values; NaN for a call that failed."""
        if not self.is_guard(guard):
            return math.nan
        slot = self.tape.guard_slot[guard]
        return float(value[len(self.tape.constants) + slot])

    def site(self, guard: int) -> str:
        """Return the user's file and line of a guard; of a call that failed there is none."""
        if not self.is_guard(guard):
            return "a block that fails"
        file, line = self.tape.sites[self.tape.guard_site[guard]]
        return f"{file}:{line}"

    def link(self, other: Recording) -> None:
        """Note, in both, at which guard the two recordings part."""
        mine, theirs = self.tape.guard_value, other.tape.guard_value
        common = min(len(mine), len(theirs))
        different = np.flatnonzero(mine[:common] != theirs[:common])
        if len(different):
            guard = int(different[0])
            self.branches.setdefault((guard, float(theirs[guard])), other)
            other.branches.setdefault((guard, float(mine[guard])), self)

    def unlink(self, others: Sequence[Recording]) -> None:
        """Forget that recordings part from this one anywhere."""
        self.branches = {way: r for way, r in self.branches.items() if r not in others}


def name_of(function: Callable[..., Any]) -> str:
    """Return what a function is called."""
    name: str = getattr(function, "__qualname__", None) or repr(function)
    return name


def record(function: Callable[..., Any], plan: Plan, leaves: Sequence[Any],
           methods: Sequence[FunctionType] = (), options: Options = NEVER,
           places: Places | None = None) -> Recording:  # fmt: skip
    """Call a function with active numbers for its inputs and return what it did.

    `methods` are functions of the user's that it may reach through objects; `options` say
    whether it may be compiled; `places` are those where it may leave numbers, or the outer
    recording's.
    """
    with searching(places) as searched:
        make = partial(_record, function, plan, leaves, options, searched)
        return while_recording(make, methods)


def _record(function: Callable[..., Any], plan: Plan, leaves: Sequence[Any], options: Options,
            places: Places | None, tape: OpenTape, twins: Twins) -> Recording:  # fmt: skip
    active = [
        leaf if isinstance(spec, Fixed) else _activate(tape, leaf)
        for leaf, spec in zip(leaves, plan.specs, strict=True)
    ]
    args, kwargs = plan.arguments(active)
    name = name_of(function)
    forget_refused()
    try:
        result = _call(twins.of(function), args, kwargs, name, tape)
        try:
            return _ended(tape, result, options, places, function, plan)
        except TapegradError as error:  # what it returned, or left, can't be
            raise error.with_traceback(returned_in(function))  # noqa: B904
    except BaseException as error:
        if places is not None:
            places.clear(tape)
        if isinstance(error, Exception):
            unsettle()
        raise


def _call(function: Any, args: Any, kwargs: Any, name: str, tape: OpenTape) -> Any:
    try:
        with progress.of(lambda: f"recording {name}, {len(tape):,} operations so far"):
            return taking_active(function)(*args, **kwargs)
    except Exception as error:
        found = _ours(error, tape)
        if found is None:
            raise
        if isinstance(error, NumbaError):  # whose text is in our words in the one made of it
            raise found.with_traceback(up_to_user(error.__traceback__, _end(error))) from None
        trace = up_to_user(error.__traceback__)
        if found is not error:
            raise found.with_traceback(trace) from error
        raise error if trace is None else error.with_traceback(trace)  # noqa: B904


def _end(error: NumbaError) -> TracebackType | None:
    """Return the end of a traceback, in the compiled code that Numba refused."""
    place = place_of(error)
    return place and ending_at(place.file, (place.line, place.line, *place.columns), place.function)


def _ours(error: Exception, tape: OpenTape) -> Exception | None:
    """Return the error to raise for one that left the user's function because of active numbers."""
    if isinstance(error, TapegradError):
        return error
    if isinstance(error, NumbaError | TypeError) and is_about_active_numbers(error):
        return explained(error)
    masked = in_masked_arrays(error) if isinstance(error, TypeError) else None
    return masked or foreign_error(error, tape)


def _ended(tape: OpenTape, result: Any, options: Options, places: Places | None,
           function: Callable[..., Any], plan: Plan) -> Recording:  # fmt: skip
    """End a tape, and return the recording of what a function did and returned."""
    operands: list[int] = []
    made = append_result(tape, result, operands)
    left, routes = ([], []) if places is None else places.left(tape)
    effects = [*left, *tape.taps]
    captured = [number for number, _ in tape.captured.values()]
    ended = tape.end(operands)
    data_inputs = plan.data_inputs(len(ended.inputs))
    recording = Recording(ended, made, effects, captured, function, options, data_inputs)
    recording.routes, recording.is_unsettled = routes, tape.is_unsettled
    if left:  # at once, for whoever looks at places while an outer function runs
        values, first = recording.values(), len(recording.tape.constants)
        for effect in left:
            effect.run(effect.result.plain(values[first + effect.operands]))
    return recording


def _primal(leaf: Any) -> Any:
    return leaf.data["value"] if isinstance(leaf, ActiveArray) else primal_of(leaf)


def _activate(tape: OpenTape, leaf: Any) -> Any:
    number = _input(tape, _primal(leaf))
    return number != 0.0 if is_truth(leaf) else number


def is_truth(leaf: Any) -> bool:
    """Whether a number or array, active or not, is of truth values."""
    return getattr(leaf, "dtype", None) == np.bool_


def _input(tape: OpenTape, leaf: Any) -> Any:
    if isinstance(leaf, float | np.bool_):
        return make(tape, tape.input(float(leaf)), float(leaf))
    data = np.empty(leaf.shape, ACTIVE)
    flat = data.reshape(-1)
    flat["value"] = leaf.reshape(-1)
    flat["slot"] = tape.input_block(flat["value"].copy())
    flat["tape"] = tape.address
    return ActiveArray(tape, data)
