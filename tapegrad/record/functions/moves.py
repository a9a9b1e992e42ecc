"""Functions that only move elements, make arrays, or ask for a shape.

A function that moves elements needs no more than its name in `_MOVES`: NumPy moves the elements
of the structured array that holds them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.record.array import ActiveArray, as_active_data, tapes_in, wrap
from tapegrad.record.functions.registry import RULES, rule
from tapegrad.record.native import ACTIVE
from tapegrad.record.nesting import innermost

_MOVES: tuple[Callable[..., Any], ...] = (
    np.reshape, np.ravel, np.transpose, np.squeeze, np.expand_dims, np.broadcast_to, np.copy,
    np.swapaxes, np.moveaxis, np.concatenate, np.stack, np.hstack, np.vstack, np.column_stack,
    np.atleast_1d, np.atleast_2d, np.flip, np.roll, np.tile, np.repeat, np.diagonal,
)  # fmt: skip


def _mover(function: Callable[..., Any]) -> Callable[..., Any]:
    def move(first: Any, *args: Any, **kwargs: Any) -> Any:
        tape = innermost(tapes_in(first))
        is_sequence = isinstance(first, list | tuple)
        parts = [as_active_data(tape, part) for part in (first if is_sequence else [first])]
        moved = function(parts if is_sequence else parts[0], *args, **kwargs)
        kinds = [getattr(part, "dtype", None) for part in (first if is_sequence else [first])]
        return wrap(tape, moved, all(kind == np.bool_ for kind in kinds))

    return move


for _function in _MOVES:
    RULES[_function] = _mover(_function)


@rule(np.zeros_like, np.empty_like)
def _zeros_like(a: Any, dtype: Any = None, order: Any = "K", subok: Any = True, shape: Any = None,
                **kwargs: Any) -> Any:  # fmt: skip
    tape = innermost(tapes_in(a))
    return ActiveArray(tape, np.zeros(np.shape(a) if shape is None else shape, ACTIVE))


@rule(np.ones_like)
def _ones_like(a: Any, *args: Any, **kwargs: Any) -> Any:
    return _full_like(a, 1.0)


@rule(np.full_like)
def _full_like(a: Any, fill_value: Any, *args: Any, **kwargs: Any) -> Any:
    tape = innermost(tapes_in(a, fill_value))
    full = ActiveArray(tape, np.zeros(np.shape(a), ACTIVE))
    full[...] = fill_value
    return full


@rule(np.shape)
def _shape(a: Any) -> tuple[int, ...]:
    return a.shape  # type: ignore[no-any-return]


@rule(np.ndim)
def _ndim(a: Any) -> int:
    return len(a.shape)


@rule(np.size)
def _size(a: Any, axis: int | None = None) -> int:
    return int(np.prod(a.shape)) if axis is None else int(a.shape[axis])
