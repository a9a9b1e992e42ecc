"""One recording of a function: its tape, and how to make its result from the tape's outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.core.errors import NumbaError

from tapegrad.compiled.explanation import explained, is_about_active_numbers
from tapegrad.compiled.rewriting import taking_active
from tapegrad.errors import TapegradError, UnsupportedFunctionError
from tapegrad.function.arguments import FLOAT, Call, Fixed, Spec
from tapegrad.function.content import duplicate, is_active
from tapegrad.function.foreign import foreign_error, up_to_user
from tapegrad.function.inside import holds_actives
from tapegrad.function.tiers import NEVER, Options, Tiers
from tapegrad.ops import CODE
from tapegrad.progress import progress
from tapegrad.record.active import Active, make
from tapegrad.record.array import ActiveArray, as_active_data, tapes_in, wrap
from tapegrad.record.elementwise import with_constants
from tapegrad.record.kinds import ACTIVE
from tapegrad.record.nesting import slot_on
from tapegrad.record.refusals import in_masked_arrays
from tapegrad.record.twins import Twins, while_recording
from tapegrad.replay.programs import float_workspace, workspace_length
from tapegrad.tape import Tape
from tapegrad.tree import Structure, flatten, unflatten_all

Vector = npt.NDArray[np.float64]

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
    structure : Structure
        Of the result.
    specs : list
        One a leaf of the result: `FLOAT`, a shape, or a `Fixed` object.
    captured : list of Active
        Numbers of outer recordings the function used; they are the tape's last inputs.
    branches : dict
        The recording to try when guard k finds value v, by (k, v).
    tiers : Tiers
        What its derivatives run as.
    holds_values : bool
        Whether it holds plain values or texts that were read of active numbers.
    """

    def __init__(self, tape: Tape, structure: Structure, specs: list[Spec],
                 kinds: list[type], captured: list[Active], options: Options = NEVER,
                 name: str = "a function") -> None:  # fmt: skip
        self.tape, self.structure, self.specs = tape, structure, specs
        self.kinds, self.captured = kinds, captured
        self.branches: dict[tuple[int, float], Recording] = {}
        self.tiers = Tiers(tape, options, name)
        self.holds_values = bool(np.any(tape.op[tape.guard_slot] == _SAME))
        if self.holds_values:
            self.tiers.reason = "it holds plain values of active numbers, which change"
        self._workspaces: list[Workspace] = []

    def is_value(self, guard: int) -> bool:
        """Whether a guard is of a plain value or a text."""
        return bool(self.tape.op[self.tape.guard_slot[guard]] == _SAME)

    def point(self) -> Vector:
        """Return the values of the inputs where it was recorded."""
        return self.tape.value[self.tape.inputs]

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
        """Return what a guard finds in a workspace of values."""
        slot = self.tape.guard_slot[guard]
        return float(value[len(self.tape.constants) + slot])

    def site(self, guard: int) -> str:
        """Return the user's file and line of a guard."""
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

    def result(self, outputs: Vector) -> Any:
        """Return the function's result from the values of the tape's outputs."""
        leaves: list[Any] = []
        start = 0
        for spec, kind in zip(self.specs, self.kinds, strict=True):
            if isinstance(spec, Fixed):
                leaves.append(duplicate(spec.thing))
            elif spec is FLOAT:
                leaves.append(kind(outputs[start]))
                start += 1
            else:
                stop = start + int(np.prod(spec))
                part = outputs[start:stop].reshape(spec)
                leaves.append(part != 0.0 if kind is bool else part.copy())
                start = stop
        return unflatten_all(self.structure, leaves)

    def active_result(self, tape: Tape, outputs: npt.NDArray[Any]) -> Any:
        """Return the function's result from the outputs as numbers of an outer tape."""
        leaves: list[Any] = []
        start = 0
        for spec, kind in zip(self.specs, self.kinds, strict=True):
            if isinstance(spec, Fixed):
                leaves.append(duplicate(spec.thing))
                continue
            shape = () if spec is FLOAT else spec
            stop = start + int(np.prod(shape))
            leaves.append(wrap(tape, outputs[start:stop].reshape(shape), kind is bool))
            start = stop
        return unflatten_all(self.structure, leaves)


def name_of(function: Callable[..., Any]) -> str:
    """Return what a function is called."""
    name: str = getattr(function, "__qualname__", None) or repr(function)
    return name


def record(function: Callable[..., Any], call: Call, methods: Sequence[FunctionType] = (),
           options: Options = NEVER) -> Recording:  # fmt: skip
    """Call a function with active numbers for its inputs and return what it did.

    `methods` are functions of the user's that it may reach through objects; `options` say
    whether it may be compiled.
    """
    return while_recording(partial(_record, function, call, options), methods)


def _record(function: Callable[..., Any], call: Call, options: Options, tape: Tape,
            twins: Twins) -> Recording:  # fmt: skip
    leaves = [
        leaf if isinstance(spec, Fixed) else _activate(tape, _primal(leaf))
        for leaf, spec in zip(call.leaves, call.specs, strict=True)
    ]
    args, kwargs = unflatten_all(call.structure, leaves)
    name = name_of(function)
    try:
        with progress.of(lambda: f"recording {name}, {len(tape):,} operations so far"):
            result = taking_active(twins.of(function))(*args, **kwargs)
    except Exception as error:
        found = _ours(error, tape)
        if found is None:
            raise
        trace = up_to_user(error.__traceback__)
        if found is not error:
            raise found.with_traceback(trace) from error
        raise error if trace is None else error.with_traceback(trace)  # noqa: B904
    results: list[Any] = []
    structure = flatten(result, results)
    specs: list[Spec] = []
    operands: list[int] = []
    kinds: list[type] = []
    for number, leaf in enumerate(results):
        kind = _kind_of(leaf)
        # The value of a branch that returns a penalty: a number as any other.
        if number == 0 and kind is not float and not is_active(leaf) and np.ndim(leaf) == 0:
            leaf = float(leaf)
        specs.append(_append_operands(tape, leaf, operands))
        kinds.append(kind)
    captured = [number for number, _ in tape.captured.values()]
    tape.end(operands)
    return Recording(tape, structure, specs, kinds, captured, options, name)


def _ours(error: Exception, tape: Tape) -> Exception | None:
    """Return the error to raise for one that left the user's function because of active numbers."""
    if isinstance(error, TapegradError):
        return error
    if isinstance(error, NumbaError | TypeError) and is_about_active_numbers(error):
        return explained(error)
    masked = in_masked_arrays(error) if isinstance(error, TypeError) else None
    return masked or foreign_error(error, tape)


def _kind_of(leaf: Any) -> type:
    """Return what a leaf of the result is made again as: a float, a truth value, an integer."""
    if getattr(leaf, "dtype", None) == np.bool_ or isinstance(leaf, bool):
        return bool
    is_exact = isinstance(leaf, int | np.integer) and abs(int(leaf)) <= 2**53
    return int if is_exact else float


def _primal(leaf: Any) -> Any:
    if isinstance(leaf, Active):
        return leaf.primal
    return leaf.data["value"] if isinstance(leaf, ActiveArray) else leaf


def _activate(tape: Tape, leaf: Any) -> Any:
    if isinstance(leaf, float):
        return make(tape, tape.input(leaf), leaf)
    data = np.empty(leaf.shape, ACTIVE)
    flat = data.reshape(-1)
    flat["value"] = leaf.reshape(-1)
    flat["slot"] = tape.input_block(np.ravel(leaf))
    flat["tape"] = tape.address
    return ActiveArray(tape, data)


def _append_operands(tape: Tape, leaf: Any, operands: list[int]) -> Spec:
    """Append the operands that mean a leaf of the result, and return what it is."""
    if isinstance(leaf, Active):
        operands.append(slot_on(tape, leaf))
        return FLOAT
    if isinstance(leaf, ActiveArray):
        data = with_constants(tape, as_active_data(tape, leaf))
        operands.extend(data["slot"].reshape(-1).tolist())
        return leaf.shape
    if isinstance(leaf, float | np.floating):
        operands.append(tape.constant(float(leaf)))
        return FLOAT
    if isinstance(leaf, np.ndarray) and leaf.dtype == object and any(tapes_in(leaf)):
        return _append_operands(tape, ActiveArray(tape, as_active_data(tape, leaf)), operands)
    if type(leaf) is np.ndarray and leaf.dtype.kind == "f":
        operands.extend(tape.constant_block(np.ravel(leaf).astype(np.float64)).tolist())
        return leaf.shape
    if holds_actives(leaf, tape):
        raise UnsupportedFunctionError(
            f"the result holds an object of type {type(leaf).__name__} in which there are active "
            "numbers: it can't be made again for another point; return its numbers themselves, "
            "in a tuple, list, deque, dict or dataclass"
        )
    return Fixed(duplicate(leaf))
