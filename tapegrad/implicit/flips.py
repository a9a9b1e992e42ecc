"""What may flip in a recording of an inner function: comparisons, signs, roundings and guards."""

from __future__ import annotations

import dataclasses
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import CALL, RESULT
from tapegrad.function.points import Point, used
from tapegrad.function.recording import Recording
from tapegrad.function.vectors import Vector
from tapegrad.implicit.inner import Inner, recording_of
from tapegrad.ops import CODE
from tapegrad.replay.programs import floats
from tapegrad.tape import Tape

T = TypeVar("T")

_NAMED = {code: name for name, code in CODE.items()}

_COMPARED = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "step")
_KINKS = ("absolute", "maximum", "minimum", "fmax", "fmin")
_REMAINDERS = ("remainder", "fmod", "nearest_remainder")
_ROUNDED = ("floor", "ceil", "trunc", "rint", "floor_divide")
_KNOWN = {*_COMPARED, *_KINKS, *_REMAINDERS, *_ROUNDED, "sign", "copysign", "arctan2"}
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
        self._switches: dict[tuple[int, float], Switch] = {}

    def look(self, inputs: Vector) -> tuple[Vector, Vector] | None:
        """Return the values of the tape's operands and what each state is; None if it fails."""
        workspace = self.recording.take_workspace()
        status = floats.replay.run(self.tape.head, np.ascontiguousarray(inputs), workspace.value)
        values = workspace.value.copy()
        self.recording.give_back(workspace)
        return None if status >= 0 else (values, self._state(values))

    def _state(self, values: Vector) -> Vector:
        return np.array([self._state_of(k, values) for k in range(len(self.slots))])

    def operands(self, k: int, values: Vector) -> tuple[float, float, float]:
        """Return a record's operands and its value."""
        slot, first = self.slots[k], self.first
        x, y = values[first + self.tape.a[slot]], values[first + self.tape.b[slot]]
        return float(x), float(y), float(values[first + slot])

    def _state_of(self, k: int, values: Vector) -> float:
        name = self.names[k]
        x, y, z = self.operands(k, values)
        if name == "absolute":
            return float(np.sign(x))
        if name in _KINKS:
            return float(x > y) - float(x < y)
        if name in _REMAINDERS:
            return float(np.rint((x - z) / y)) if y else np.nan
        if name == "copysign":
            return float(np.copysign(1.0, y))
        if name == "arctan2":
            return float(np.copysign(1.0, x)) if y < 0.0 else 0.0
        return z

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

    def gap(self, k: int, how: tuple[bool, float], values: Vector) -> float:
        """Return what vanishes at a switch."""
        x, y, _ = self.operands(k, values)
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
