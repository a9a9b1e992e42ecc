"""What may flip in a recording of an inner function: comparisons, signs, roundings and guards."""

from __future__ import annotations

import dataclasses
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from numba import float64, int64

from tapegrad.blocks import CALL, RESULT, Array
from tapegrad.function.points import Point, used
from tapegrad.function.recording import Recording
from tapegrad.function.vectors import Vector
from tapegrad.implicit.inner import Inner, recording_of
from tapegrad.jit import Kernel
from tapegrad.ops import CODE
from tapegrad.replay.programs import replay
from tapegrad.tape import Tape

T = TypeVar("T")

_NAMED = {code: name for name, code in CODE.items()}

_COMPARED = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "step")
_KINKS = ("absolute", "maximum", "minimum", "fmax", "fmin")
_REMAINDERS = ("remainder", "fmod", "nearest_remainder")
_ROUNDED = ("floor", "ceil", "trunc", "rint", "floor_divide")
_KNOWN = {*_COMPARED, *_KINKS, *_REMAINDERS, *_ROUNDED, "sign", "copysign", "arctan2"}
_INDIRECT = {*_KINKS, *_REMAINDERS, "copysign", "arctan2"}
"""Those whose values don't say which way they go."""

_OPAQUE = {"isnan", "isfinite", "isinf"}


class Switch(Inner):
    """A function that vanishes at a switch, of the inputs of the inner function that switches.

    Attributes
    ----------
    code : float
        The same for the same switch of the same recording only.
    is_kink : bool
        Whether the inner function itself is continuous there.
    """

    def __init__(self, name: str, tape: Tape, code: float, is_kink: bool) -> None:
        super().__init__(name, len(tape.inputs), 1)
        self._recording = recording_of(tape, name)
        self.code, self.is_kink = code, is_kink

    def run(self, inputs: Vector, use: Callable[[Point], T]) -> T:
        """Return what `use` makes of its one recording, which has no guards."""
        return used(Point(self._recording, np.ascontiguousarray(inputs)), use, is_quiet=True)


def _look(head, inputs, value, places, operands):
    """Write operands and values of records for rows of inputs; return for how many."""
    for row in range(inputs.shape[0]):
        if replay(head, inputs[row], value) >= 0:
            return row
        for k in range(places.shape[0]):
            for j in range(3):
                operands[row, k, j] = value[places[k, j]]
    return inputs.shape[0]


_look_kernel = Kernel(
    _look,
    int64(int64[::1], float64[:, ::1], float64[::1], int64[:, ::1], float64[:, :, ::1]),
)


class Seen(NamedTuple):
    """What a recording's flips are for given inputs.

    Attributes
    ----------
    operands : ndarray, shape (n, 3)
        Of each record, and its value.
    states : ndarray, shape (n,)
        Which way each goes.
    """

    operands: Array
    states: Vector


class Anatomy:
    """What of a recording may flip while given inputs vary.

    Attributes
    ----------
    slots : list of int
        The records, in order.
    """

    def __init__(self, recording: Recording, varying: Sequence[int]) -> None:
        self.number = next(_numbers)
        tape = recording.tape
        self.tape = _without_guards(tape)
        self.recording = recording_of(self.tape, f"the ways of {recording.function.__qualname__}")
        self.first = len(tape.constants)
        depends = _dependent(tape, varying)
        codes = tape.op.tolist()
        # A plain number that was read is another one anywhere else, which is no switch.
        guarded = set(tape.guard_slot[tape.op[tape.guard_slot] != CODE["same"]].tolist())
        self.slots = [
            slot for slot in np.flatnonzero(depends).tolist()
            if (name := _NAMED[codes[slot]]) in _KNOWN or name in _OPAQUE or slot in guarded
        ]  # fmt: skip
        self.names = [_NAMED[codes[slot]] for slot in self.slots]
        places = [self.first + column[self.slots] for column in (tape.a, tape.b)]
        self._places = np.array([*places, self.first + np.array(self.slots)], np.int64).T.copy()
        self._groups = [
            (name, [k for k, other in enumerate(self.names) if other == name])
            for name in dict.fromkeys(self.names)
            if name in _INDIRECT
        ]
        self._switches: dict[tuple[int, float], Switch] = {}

    def look(self, inputs: Vector) -> Seen | None:
        """Return what is seen for given inputs; None if the recording fails there."""
        operands, states = self.looks(np.ascontiguousarray(inputs)[None])
        return Seen(operands[0], states[0]) if len(states) else None

    def looks(self, inputs: Array) -> tuple[Array, Array]:
        """Return what is seen for rows of inputs, of the first of them: until it fails."""
        operands = np.empty((len(inputs), len(self.slots), 3))
        workspace = self.recording.take_workspace()
        count = _look_kernel.run(self.tape.head, inputs, workspace.value, self._places, operands)
        self.recording.give_back(workspace)
        return operands[:count], self._states(operands[:count])

    def _states(self, operands: Array) -> Array:
        """Return what flips, of operands and values."""
        x, y, z = operands[..., 0], operands[..., 1], operands[..., 2]
        states = z.copy()
        with np.errstate(all="ignore"):
            for name, k in self._groups:
                if name == "absolute":
                    states[:, k] = np.sign(x[:, k])
                elif name in _KINKS:
                    states[:, k] = 1.0 * (x[:, k] > y[:, k]) - (x[:, k] < y[:, k])
                elif name in _REMAINDERS:
                    states[:, k] = np.rint((x[:, k] - z[:, k]) / y[:, k])
                elif name == "copysign":
                    states[:, k] = np.copysign(1.0, y[:, k])
                else:
                    states[:, k] = np.where(y[:, k] < 0.0, np.copysign(1.0, x[:, k]), 0.0)
        return states

    def vanishing(self, k: int, before: float, after: float) -> tuple[bool, float] | None:
        """Return which g vanishes where a state flips: by which operand, and with what constant.

        It's `x - c y`, or `x - c` with `(False, c)`; for operand y alone, NaN stands for c.
        """
        name = self.names[k]
        if name in _COMPARED or name in ("maximum", "minimum", "fmax", "fmin"):
            return True, 1.0
        if name in ("sign", "absolute"):
            return False, 0.0
        if name == "copysign" or (name == "arctan2" and not (before and after)):
            return False, np.nan
        if name == "arctan2":
            return False, 0.0
        if name in ("floor", "floor_divide", "remainder"):
            return name != "floor", max(before, after)
        if name == "ceil":
            return False, min(before, after)
        if name in ("trunc", "fmod"):
            return name == "fmod", max(before, after, key=abs)
        if name in ("rint", "nearest_remainder"):
            return name != "rint", (before + after) / 2
        return None

    def gap(self, k: int, how: tuple[bool, float], seen: Seen) -> float:
        """Return what vanishes at a switch."""
        x, y, _ = seen.operands[k].tolist()
        is_by_both, c = how
        return y if np.isnan(c) else x - (c * y if is_by_both else c)

    def switch(self, k: int, how: tuple[bool, float]) -> Switch:
        """Return the function that vanishes at a switch."""
        slot, (is_by_both, c) = self.slots[k], how
        key = slot, c
        if key not in self._switches:
            tape = self.tape
            n, m = len(tape), len(tape.constants)
            x, y = int(tape.a[slot]), int(tape.b[slot])
            if np.isnan(c):
                added = [("positive", y, y)]
            elif is_by_both:
                added = [("multiply", ~m, y), ("subtract", x, n)]
            else:
                added = [("subtract", x, ~m)]
            made = dataclasses.replace(
                tape,
                op=np.append(tape.op, [CODE[name] for name, *_ in added]).astype(np.uint8),
                a=np.append(tape.a, [a for _, a, _ in added]).astype(np.int32),
                b=np.append(tape.b, [b for *_, b in added]).astype(np.int32),
                value=np.append(tape.value, np.zeros(len(added))),
                constants=np.append(tape.constants, c),
                outputs=np.array([n + len(added) - 1], np.int32),
            )
            name = f"a switch of {self.recording.function.__qualname__}"
            code = float(hash((self.number, *key)) % 2**52)
            self._switches[key] = Switch(name, made, code, self.names[k] in _KINKS)
        return self._switches[key]


_numbers = itertools.count(1)
_anatomies: weakref.WeakKeyDictionary[Recording, dict[tuple[int, ...], Anatomy]]
_anatomies = weakref.WeakKeyDictionary()


def anatomy_of(recording: Recording, varying: Sequence[int]) -> Anatomy:
    """Return what may flip in a recording while given inputs vary."""
    known = _anatomies.setdefault(recording, {})
    key = tuple(varying)
    if key not in known:
        known[key] = Anatomy(recording, varying)
    return known[key]


def _without_guards(tape: Tape) -> Tape:
    none = np.empty(0, np.int32)
    return dataclasses.replace(tape, guard_slot=none, guard_value=np.empty(0),
                               guard_site=none.copy())  # fmt: skip


def _dependent(tape: Tape, varying: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Return which slots depend on some of the inputs."""
    found = [False] * len(tape)
    for k in varying:
        found[tape.inputs[k]] = True
    columns = tape.op.tolist(), tape.a.tolist(), tape.b.tolist()
    still = {CODE["input"], CODE["passive"]}
    for slot, (op, a, b) in enumerate(zip(*columns, strict=True)):
        if op == CALL:
            run = tape.call_operands[b : b + tape.blocks[a].n_operands]
            found[slot] = any(found[operand] for operand in run[run > 0].tolist())
        elif op == RESULT:
            found[slot] = found[a]
        elif op not in still:
            found[slot] = (a > 0 and found[a]) or (b > 0 and found[b])
    return np.array(found)
