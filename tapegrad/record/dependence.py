"""How numbers on a tape that is being recorded depend on its inputs: what a derivative sees.

A number is `DISCRETE` if it's made of comparisons and roundings alone, `STOPPED` if it's made
of what `stop_gradient` returned as well, and `DIFFERENTIABLE` if a path of partial derivatives
leads from it to an input. A tape is marked from its beginning, once, when that is first asked,
and further at later questions. What an inner recording captured depends as it does outside.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from numba import int8, int64, types

from tapegrad.blocks import CALL, RESULT
from tapegrad.jit import Kernel
from tapegrad.memory import call_operands, columns
from tapegrad.ops import CODE
from tapegrad.record.open_tape import OpenTape
from tapegrad.rows import ROWS
from tapegrad.tape import INPUT

DISCRETE, STOPPED, DIFFERENTIABLE = 0, 1, 2

Marks = npt.NDArray[np.int8]

_STOP = CODE["stop"]
_FIRST, _SECOND = 1, 2
_MATTERING = np.array(
    [sum((_FIRST, _SECOND)[k] for k in row.differentiable) for row in ROWS], np.int8
)
"""Which operands' derivatives an operation passes on."""


def _mark(address: int, mattering: Any, sizes: Any, start: int, stop: int, marks: Any) -> None:
    op, a, b, _, _ = columns(address)
    (operands,) = call_operands(address)
    for i in range(start, stop):
        if op[i] == INPUT:
            continue
        if op[i] == CALL:
            marks[i] = DISCRETE
            for k in range(b[i], b[i] + sizes[a[i]]):
                if operands[k] > 0:
                    marks[i] = max(marks[i], marks[operands[k]])
            continue
        x = marks[a[i]] if a[i] > 0 else DISCRETE
        if op[i] == RESULT:
            marks[i] = x
            continue
        if op[i] == _STOP:
            marks[i] = min(x, STOPPED)
            continue
        y = marks[b[i]] if b[i] > 0 else DISCRETE
        x = x if mattering[op[i]] & _FIRST else DISCRETE
        y = y if mattering[op[i]] & _SECOND else DISCRETE
        marks[i] = max(x, y)


_vector = types.Array(int8, 1, "C")
_mark_kernel = Kernel(_mark, types.void(int64, _vector, int64[::1], int64, int64, _vector))

_marked: WeakKeyDictionary[OpenTape, tuple[int, Marks]] = WeakKeyDictionary()


def marks_of(tape: OpenTape) -> Marks:
    """Return what each slot of an open tape is: one of this module's three marks."""
    tape.enter()
    start, marks = _marked.get(tape, (1, np.zeros(1, np.int8)))
    tape.flush()
    stop = len(tape)
    if start < stop:
        if stop > len(marks):
            longer = np.full(2 * stop, DIFFERENTIABLE, np.int8)
            longer[:start] = marks[:start]
            marks = longer
        for number, slot in tape.captured.values():
            if slot >= start:
                marks[slot] = marks_of(number.tape)[number.slot]
        sizes = np.array([block.n_operands for block in tape.blocks], np.int64)
        _mark_kernel.run(tape.address, _MATTERING, sizes, start, stop, marks)
        _marked[tape] = (stop, marks)
    return marks
