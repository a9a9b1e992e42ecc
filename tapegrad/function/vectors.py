"""Vectors of inputs and outputs: float64 arrays, or active arrays, of one dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.errors import InputTypeError, StructureError
from tapegrad.record.array import ActiveArray, as_active_data, tapes_in, wrap
from tapegrad.record.nesting import innermost

Vector = npt.NDArray[np.float64]

AnyVector = Any
"""A float64 array or an `ActiveArray`, of one dimension."""


def join(parts: Sequence[Any]) -> AnyVector:
    """Return floats and arrays, active or not, one after another as a vector."""
    tapes = list(tapes_in(*parts))
    if not tapes:
        flat = [np.ravel(np.asarray(part, np.float64)) for part in parts]
        return np.concatenate([np.empty(0), *flat])
    tape = innermost(tapes)
    return ActiveArray(tape, np.concatenate([as_active_data(tape, p).reshape(-1) for p in parts]))


def in_a_row(array: Vector) -> Vector:
    """Return an array as compiled code takes it: contiguous, aligned, and not marked read-only."""
    return array if array.flags.carray else np.array(array, order="C")


def leaf(part: Any) -> Any:
    """Return part of a vector, in its shape, as the caller gets it: a number if it has none."""
    if isinstance(part, ActiveArray):
        return wrap(part.tape, part.data)
    return part if np.ndim(part) else float(part)


def check_shape(number: Any, shape: tuple[int, ...], what: str) -> None:
    """Raise an error unless a number or an array is real and has a shape."""
    if isinstance(number, complex) or getattr(number, "dtype", np.dtype(float)).kind == "c":
        raise InputTypeError(
            f"the {what} is complex; complex numbers are not supported: pass the real and the "
            "imaginary part one after the other"
        )
    if np.shape(number) != shape:
        raise StructureError(f"the {what} has shape {np.shape(number)} where {shape} is needed")
