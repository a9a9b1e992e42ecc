"""What rules do with their arguments: find the tape, read truth values, select, lay out axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from tapegrad.ops import CODE
from tapegrad.record import elementwise
from tapegrad.record.active import guard_all
from tapegrad.record.array import ActiveArray, as_active_data, tapes_in
from tapegrad.record.kinds import ACTIVE
from tapegrad.record.nesting import current, innermost
from tapegrad.record.open_tape import OpenTape

Data = npt.NDArray[Any]
NO_VALUE: Any = np._NoValue


def tape_of(*operands: Any) -> OpenTape:
    """Return the tape that an operation on these operands is recorded on.

    Where rules are made of rules, a passive number in between is a plain one.
    """
    tapes = list(tapes_in(*operands))
    return innermost(tapes) if tapes else current()


def is_active(operand: Any) -> bool:
    """Whether an operand is an active number, or may contain one."""
    return any(True for _ in tapes_in(operand))


def is_boolean(operand: Any) -> bool:
    """Whether an operand is an array of truth values, or one of them."""
    return isinstance(operand, bool) or getattr(operand, "dtype", None) == np.bool_


def array_on(tape: OpenTape, operand: Any) -> Any:  # an ActiveArray, with its operators
    """Return an operand as an active array of a tape, 0-d for a number."""
    return ActiveArray(tape, as_active_data(tape, operand), is_boolean(operand))


def number_data(number: float) -> Data:
    """Return a passive number as data."""
    return np.array((number, 0, 0), ACTIVE)


def truth(condition: Any) -> npt.NDArray[np.bool_]:
    """Read truth values, guarding every active one."""
    if not is_active(condition):
        return np.asarray(condition, np.bool_)
    return array_on(tape_of(condition), condition).truth()  # type: ignore[no-any-return]


def integers(index: Any) -> npt.NDArray[np.intp]:
    """Read whole numbers, guarding every active one.

    Raises
    ------
    TypeError
        If a number isn't whole.
    """
    if not is_active(index):
        return np.asarray(index)
    tape = tape_of(index)
    data = as_active_data(tape, index)
    if not np.all(np.rint(data["value"]) == data["value"]):
        raise TypeError("active numbers used as indices must be whole")
    active = data[data["slot"] > 0]
    guard_all(tape, active["slot"], active["value"])
    return np.asarray(data["value"].astype(np.intp))


def selected(tape: OpenTape, condition: Any, x: Data, y: Data) -> Data:
    """Return `x` where a condition holds and `y` elsewhere; an active condition isn't read."""
    if not is_active(condition):
        return np.where(condition, x, y)
    chosen = as_active_data(tape, condition)
    kept = elementwise.binary(tape, CODE["keep"], chosen, x)
    dropped = elementwise.binary(tape, CODE["drop"], chosen, y)
    return elementwise.binary(tape, CODE["add"], kept, dropped)


# --- axes -------------------------------------------------------------------------------------


def axes_of(ndim: int, axis: Any) -> tuple[int, ...]:
    """Return the axes that `axis=` names, none of them negative."""
    if axis is None:
        return tuple(range(ndim))
    if ndim == 0 and axis in (0, -1):
        return ()
    return normalize_axis_tuple(axis, ndim)


def kept_shape(shape: tuple[int, ...], axis: Any) -> tuple[int, ...]:
    """Return the shape a reduction has with `keepdims=True`."""
    axes = axes_of(len(shape), axis)
    return tuple(1 if k in axes else n for k, n in enumerate(shape))


def lanes(data: Data, axis: Any) -> Data:
    """Return the elements with the axes that `axis=` names put last and made one."""
    if axis is None:
        return data.reshape(-1)
    axes = axes_of(data.ndim, axis)
    rest = [k for k in range(data.ndim) if k not in axes]
    length = math.prod([data.shape[k] for k in axes])
    return data.transpose(*rest, *axes).reshape([*(data.shape[k] for k in rest), length])


def along(data: Data, axis: Any) -> tuple[Data, int]:
    """Return data and the axis to work along: of the flattened data if it's None."""
    if axis is None or (data.ndim == 0 and axis in (0, -1)):
        return data.reshape(-1), 0
    return data, normalize_axis_index(axis, data.ndim)
