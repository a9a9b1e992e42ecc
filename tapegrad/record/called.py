"""Calls of blocks, recorded: active arrays in, active arrays out."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import Block, Failing, Shape
from tapegrad.record.active import guard_all
from tapegrad.record.array import ActiveArray, as_data, tapes_in
from tapegrad.record.elementwise import is_active_data
from tapegrad.record.kinds import ACTIVE
from tapegrad.record.nesting import innermost
from tapegrad.record.open_tape import OpenTape

Data = npt.NDArray[Any]


def call(block: Block | Callable[[tuple[bool, ...]], Block], operands: Sequence[Any],
         tape: OpenTape | None = None,
         results: Sequence[Data] | None = None) -> list[Any]:  # fmt: skip
    """Record a call and return the results: active arrays, or plain ones if no operand is active.

    Parameters
    ----------
    block : Block or callable
        A callable makes it, from whether each operand is active.
    operands : sequence of array_like
        Arrays of numbers, some of them active.
    tape : OpenTape, optional
        By default the innermost one of the operands'.
    results : sequence of ndarray, optional
        What the block's value is there, where that is known.

    Raises
    ------
    Exception
        Whatever the block raises; that it does is guarded, as the program may go on.
    """
    if tape is None:
        tapes = list(tapes_in(*operands))
        if not tapes:
            made = block if isinstance(block, Block) else block((True,) * len(operands))
            return list(made.evaluated([np.asarray(x, np.float64) for x in operands]))
        tape = innermost(tapes)
    data = [as_data(tape, operand) for operand in operands]
    is_active = tuple(is_active_data(d) and bool(np.any(d["slot"] > 0)) for d in data)
    made = block if isinstance(block, Block) else block(is_active)
    by = tuple(map(operator.and_, made.is_active, is_active))
    made = tape.own(made.narrowed(by, is_active))
    if results is None:
        try:
            results = made.evaluated([_values(d) for d in data])
        except Exception as error:  # which the program may catch
            if any(is_active) and not isinstance(error, made.signals):
                (fails,) = call(Failing(made), operands, tape)
                guard_all(tape, fails.data["slot"].reshape(1), fails.data["value"].reshape(1))
            raise
    if not any(is_active):
        return list(results)
    tape.enter()
    slots = np.concatenate([_slots(tape, d.reshape(-1)) for d in data])
    values = np.concatenate([result.reshape(-1) for result in results])
    found = np.empty(len(values), ACTIVE)
    found["value"], found["slot"] = values, tape.call(made, slots, values)
    found["tape"] = tape.address
    return [ActiveArray(tape, part) for part in parted(found, made.result_shapes)]


def _values(data: Data) -> npt.NDArray[np.float64]:
    return np.asarray(data["value"] if is_active_data(data) else data, order="C")


def _slots(tape: OpenTape, data: Data) -> npt.NDArray[np.int32]:
    """Return operands for data: slots, and constants for what is passive."""
    if not is_active_data(data):
        return tape.constant_block(np.ascontiguousarray(data)).astype(np.int32)
    slots = data["slot"].astype(np.int32)
    passive = slots == 0
    if passive.any():
        slots[passive] = tape.constant_block(data["value"][passive])
    return slots


def parted(data: Data, shapes: Sequence[Shape]) -> list[Data]:
    """Return consecutive numbers as arrays."""
    found, start = [], 0
    for shape in shapes:
        stop = start + int(np.prod(shape, dtype=np.int64))
        found.append(data[start:stop].reshape(shape))
        start = stop
    return found


def held(tape: OpenTape, data: Data, shapes: Sequence[Shape]) -> list[Any]:
    """Return consecutive active numbers as arrays, plain ones where all are passive."""
    return [
        ActiveArray(tape, part) if np.any(part["slot"] > 0) else part["value"].copy()
        for part in parted(data, shapes)
    ]
