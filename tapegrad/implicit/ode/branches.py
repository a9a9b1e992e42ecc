"""One way through an inner function, held: what it decides stays as it was decided at a point.

Guards are left out, and comparisons, signs and roundings are constants, so that what is left is
smooth and can be evaluated on both sides of where another way begins: a step of an integration that
ends at a switch may look beyond it.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import calls_of
from tapegrad.function.points import Point, used, valid_recording
from tapegrad.function.recording import Recording
from tapegrad.function.vectors import Vector
from tapegrad.implicit.inner import Inner, recording_of
from tapegrad.ops import CODE
from tapegrad.tape import Tape

T = TypeVar("T")

_DECIDING = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "step", "sign",
             "floor", "ceil", "trunc", "rint", "floor_divide", "isnan", "isfinite",
             "isinf")  # fmt: skip
_REMAINDERS = ("remainder", "fmod", "nearest_remainder")
_DECIDING_CODES = [CODE[name] for name in _DECIDING]
_REMAINDER_CODES = [CODE[name] for name in _REMAINDERS]


class Branch(Inner):
    """A function of one recording, without guards."""

    def __init__(self, name: str, tape: Tape) -> None:
        super().__init__(name, len(tape.inputs), len(tape.outputs))
        self.recording = recording_of(tape, name)

    def run(self, inputs: Vector, use: Callable[[Point], T]) -> T:
        """Return what `use` makes of the recording."""
        given = np.ascontiguousarray(inputs)
        return used(Point(self.recording, given), use, is_quiet=True)


_held: weakref.WeakKeyDictionary[Recording, dict[bytes, Branch]] = weakref.WeakKeyDictionary()


def held_at(inner: Inner, inputs: Vector) -> Branch:
    """Return the way that an inner function takes at a point."""
    if isinstance(inner, Branch):
        return inner
    found: Branch = inner.run(inputs, lambda point: _held_at(inner.name, point))
    return found


def _held_at(name: str, point: Point) -> Branch:
    recording, values = point.recording, point.replayed().value
    tape = recording.tape
    first = len(tape.constants)
    deciding, remainders = _deciding(tape)
    decided = values[first + deciding]
    x, y = values[first + tape.a[remainders]], values[first + tape.b[remainders]]
    turns = np.rint((x - values[first + remainders]) / y)
    known = _held.setdefault(recording, {})
    key = decided.tobytes() + turns.tobytes()
    if key not in known:
        known[key] = Branch(name, _holding(tape, deciding, decided, remainders, turns))
    return known[key]


def _deciding(tape: Tape) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the slots of what decides, and of remainders."""
    return (np.flatnonzero(np.isin(tape.op, _DECIDING_CODES)),
            np.flatnonzero(np.isin(tape.op, _REMAINDER_CODES)))  # fmt: skip


def _holding(tape: Tape, deciding: npt.NDArray[np.int64], decided: Vector,
             remainders: npt.NDArray[np.int64], turns: Vector) -> Tape:  # fmt: skip
    """Return a tape in which decisions are constants, and remainders x - c y."""
    op, a, b, value = tape.op.copy(), tape.a.copy(), tape.b.copy(), tape.value.copy()
    n = len(tape.constants)
    op[deciding] = CODE["positive"]
    a[deciding] = b[deciding] = ~np.arange(n, n + len(deciding), dtype=np.int32)
    constants = np.concatenate([tape.constants, decided, turns])
    none = np.empty(0, np.int32)
    held = dataclasses.replace(
        tape, op=op, a=a, b=b, value=value, constants=constants, guard_slot=none,
        guard_value=np.empty(0), guard_site=none.copy(),
    )  # fmt: skip
    if not len(remainders):
        return held
    return _without_remainders(held, remainders, n + len(deciding))


def _without_remainders(tape: Tape, slots: npt.NDArray[np.int64], first: int) -> Tape:
    """Return a tape with a product and a difference in place of each remainder."""
    count = np.zeros(len(tape), np.int32)
    count[slots] = 1
    moved = np.arange(len(tape), dtype=np.int32) + np.cumsum(count, dtype=np.int32)

    def renumbered(operands: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        return np.where(operands >= 0, moved[np.maximum(operands, 0)], operands).astype(np.int32)

    total = len(tape) + len(slots)
    op, a, b = np.empty(total, np.uint8), np.empty(total, np.int32), np.empty(total, np.int32)
    value = np.zeros(total)
    op[moved], value[moved] = tape.op, tape.value
    a[moved], b[moved] = renumbered(tape.a), renumbered(tape.b)
    calls = calls_of(tape)
    a[moved[calls]], b[moved[calls]] = tape.a[calls], tape.b[calls]  # these are no slots
    ends = moved[slots]
    op[ends - 1], op[ends] = CODE["multiply"], CODE["subtract"]
    a[ends - 1] = ~np.arange(first, first + len(slots), dtype=np.int32)
    b[ends - 1] = b[ends]
    b[ends] = ends - 1
    return dataclasses.replace(
        tape, op=op, a=a, b=b, value=value, call_operands=renumbered(tape.call_operands),
        inputs=renumbered(tape.inputs), outputs=renumbered(tape.outputs),
    )  # fmt: skip


def recording_at(inner: Inner, inputs: Vector) -> Recording:
    """Return a recording that is valid at a point."""
    found: Recording = inner.run(inputs, valid_recording)
    return found
