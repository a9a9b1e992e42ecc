"""One recording of a function: its tape, and how to make its result from the tape's outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.core.errors import NumbaError

from tapegrad.compiled.explanation import explained, is_about_active_numbers
from tapegrad.compiled.rewriting import taking_active
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.function.arguments import FLOAT, Call, Fixed, Spec
from tapegrad.function.content import duplicate
from tapegrad.function.inside import holds_actives
from tapegrad.function.tiers import NEVER, Options, Tiers
from tapegrad.ops import CODE
from tapegrad.record.active import Active, make
from tapegrad.record.array import ActiveArray, as_active_data, tapes_in, wrap
from tapegrad.record.elementwise import with_constants
from tapegrad.record.interception import Place, intercepting
from tapegrad.record.kinds import ACTIVE
from tapegrad.record.nesting import recording, slot_on
from tapegrad.record.refusals import in_masked_arrays
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
                 booleans: list[bool], captured: list[Active],
                 options: Options = NEVER) -> None:  # fmt: skip
        self.tape, self.structure, self.specs = tape, structure, specs
        self.booleans, self.captured = booleans, captured
        self.branches: dict[tuple[int, float], Recording] = {}
        self.tiers = Tiers(tape, options)
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
        for spec, boolean in zip(self.specs, self.booleans, strict=True):
            if isinstance(spec, Fixed):
                leaves.append(duplicate(spec.thing))
            elif spec is FLOAT:
                leaves.append(bool(outputs[start]) if boolean else float(outputs[start]))
                start += 1
            else:
                stop = start + int(np.prod(spec))
                part = outputs[start:stop].reshape(spec)
                leaves.append(part != 0.0 if boolean else part.copy())
                start = stop
        return unflatten_all(self.structure, leaves)

    def active_result(self, tape: Tape, outputs: npt.NDArray[Any]) -> Any:
        """Return the function's result from the outputs as numbers of an outer tape."""
        leaves: list[Any] = []
        start = 0
        for spec, boolean in zip(self.specs, self.booleans, strict=True):
            if isinstance(spec, Fixed):
                leaves.append(duplicate(spec.thing))
                continue
            shape = () if spec is FLOAT else spec
            stop = start + int(np.prod(shape))
            leaves.append(wrap(tape, outputs[start:stop].reshape(shape), boolean))
            start = stop
        return unflatten_all(self.structure, leaves)


def record(function: Callable[..., Any], call: Call, places: Sequence[Place] = (),
           options: Options = NEVER) -> Recording:  # fmt: skip
    """Call a function with active numbers for its inputs and return what it did.

    `places` are where its code bound names that mean something else meanwhile; `options` say
    whether it may be compiled.
    """
    with recording() as tape, intercepting(places):
        leaves = [
            leaf if isinstance(spec, Fixed) else _activate(tape, _primal(leaf))
            for leaf, spec in zip(call.leaves, call.specs, strict=True)
        ]
        args, kwargs = unflatten_all(call.structure, leaves)
        try:
            result = taking_active(function)(*args, **kwargs)
        except (NumbaError, TypeError) as error:
            if is_about_active_numbers(error):
                raise explained(error) from error
            masked = in_masked_arrays(error) if isinstance(error, TypeError) else None
            if masked is not None:
                raise masked from error
            raise
        results: list[Any] = []
        structure = flatten(result, results)
        specs: list[Spec] = []
        operands: list[int] = []
        booleans: list[bool] = []
        for leaf in results:
            specs.append(_append_operands(tape, leaf, operands))
            booleans.append(getattr(leaf, "dtype", None) == np.bool_)
        captured = [number for number, _ in tape.captured.values()]
        tape.end(operands)
    return Recording(tape, structure, specs, booleans, captured, options)


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
