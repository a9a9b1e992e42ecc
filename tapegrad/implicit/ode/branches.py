"""One way through an inner function, held: what it decides stays as it was decided at a point.

Guards are left out, comparisons, signs and roundings are constants, and of a maximum, a minimum or
an absolute value one operand is left. So all is smooth, and can be evaluated on both sides of where
another way begins: a step of an integration that ends at a switch may look beyond it.
"""

from __future__ import annotations

import dataclasses
import itertools
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
_LARGER, _SMALLER = ("maximum", "fmax"), ("minimum", "fmin")
_ABSOLUTE, _POSITIVE, _NEGATIVE = CODE["absolute"], CODE["positive"], CODE["negative"]


def _codes(names: tuple[str, ...]) -> list[int]:
    return [CODE[name] for name in names]


class Branch(Inner):
    """A function of one recording, without guards.

    Attributes
    ----------
    number : int
        Its own.
    """

    is_held = True

    def __init__(self, name: str, tape: Tape) -> None:
        super().__init__(name, len(tape.inputs), len(tape.outputs))
        self.number = next(_numbers)
        self.recording = recording_of(tape, name)

    def run(self, inputs: Vector, use: Callable[[Point], T]) -> T:
        """Return what `use` makes of the recording."""
        given = np.ascontiguousarray(inputs)
        return used(Point(self.recording, given), use, is_quiet=True)


_numbers = itertools.count(1)
MOST_HELD = 64
"""Of one recording; all are forgotten beyond."""

_held: weakref.WeakKeyDictionary[Recording, dict[bytes, Branch]] = weakref.WeakKeyDictionary()


def held_at(inner: Inner, inputs: Vector) -> Branch:
    """Return the way that an inner function takes at a point."""
    if isinstance(inner, Branch):
        return inner
    found: Branch = inner.run(inputs, lambda point: _held_at(inner.name, point))
    return found


def _held_at(name: str, point: Point) -> Branch:
    recording, values = point.recording, point.replayed().value
    tape, first = recording.tape, len(point.recording.tape.constants)
    x, y, z = values[first + tape.a], values[first + tape.b], values[first:]
    deciding = np.flatnonzero(np.isin(tape.op, _codes(_DECIDING)))
    remainders = np.flatnonzero(np.isin(tape.op, _codes(_REMAINDERS)))
    is_larger, is_smaller = (np.isin(tape.op, _codes(names)) for names in (_LARGER, _SMALLER))
    is_absolute = tape.op == _ABSOLUTE
    is_first = (is_larger & (x >= y)) | (is_smaller & (x <= y)) | (is_absolute & (x >= 0.0))
    is_second = (is_larger | is_smaller | is_absolute) & ~is_first
    turns = np.rint((x[remainders] - z[remainders]) / y[remainders])
    known = _held.setdefault(recording, {})
    decided = z[deciding].copy()
    key = decided.tobytes() + turns.tobytes() + is_first.tobytes()
    if key not in known:
        op, b = tape.op.copy(), tape.b.copy()
        op[is_first | (is_second & ~is_absolute)] = _POSITIVE
        op[is_second & is_absolute] = _NEGATIVE
        a = np.where(is_second & ~is_absolute, tape.b, tape.a).astype(np.int32)
        n, none = len(tape.constants), np.empty(0, np.int32)
        op[deciding], b[deciding] = _POSITIVE, 0
        a[deciding] = ~np.arange(n, n + len(deciding), dtype=np.int32)
        b[is_first | is_second] = 0
        held = dataclasses.replace(
            tape, op=op, a=a, b=b, value=tape.value.copy(), guard_slot=none,
            constants=np.concatenate([tape.constants, decided, turns]), guard_value=np.empty(0),
            guard_site=none.copy(),
        )  # fmt: skip
        if len(remainders):
            held = _without_remainders(held, remainders, n + len(deciding))
        if len(known) >= MOST_HELD:
            known.clear()
        known[key] = Branch(name, held)
    return known[key]


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
