"""Functions that only move elements, or make arrays.

A function that moves elements needs no more than its name in a table here: NumPy moves the
elements of the structured array that holds them.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.jit import jit
from tapegrad.numba_protocols import Implementation, Kind
from tapegrad.record.array import ActiveArray, as_active_data, tapes_in, wrap
from tapegrad.record.functions.operands import (
    array_on,
    integers,
    is_boolean,
    tape_of,
    truth,
)
from tapegrad.record.functions.registry import RULES, rule, store
from tapegrad.record.kinds import ACTIVE, Array
from tapegrad.record.nesting import innermost
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.refusals import check_kind, no_store
from tapegrad.record.stand_ins import NUMBAS_OWN, cleared, stand_in

Function = Callable[..., Any]


@rule(method="view")
def _view(self: ActiveArray, dtype: Any = None, type: Any = None) -> ActiveArray:
    kind, number = (np.ndarray, dtype) if type is None else (type, dtype)
    if isinstance(number, builtins.type) and issubclass(number, np.ndarray):
        kind, number = number, None
    check_kind(np.empty(0).view(kind))
    if number is not None and np.dtype(number) != self.dtype:
        raise UnsupportedFunctionError("the bytes of active numbers can't be viewed as others")
    return ActiveArray(self.tape, self.data, self.is_bool)


OF_ONE_ARRAY: tuple[Function, ...] = (
    np.reshape, np.ravel, np.transpose, np.squeeze, np.expand_dims, np.broadcast_to, np.copy,
    np.swapaxes, np.moveaxis, np.rollaxis, np.flip, np.fliplr, np.flipud, np.rot90, np.roll,
    np.tile, np.diagonal, np.diag, np.diagflat, np.tril, np.triu, np.delete, np.resize,
    np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit,
    np.fft.fftshift, np.fft.ifftshift, np.lib.stride_tricks.sliding_window_view,
    np.matrix_transpose, np.linalg.matrix_transpose, np.linalg.diagonal,
)  # fmt: skip
OF_A_SEQUENCE: tuple[Function, ...] = (
    np.concatenate, np.stack, np.hstack, np.vstack, np.dstack, np.column_stack, np.block,
)  # fmt: skip
OF_ALL: tuple[Function, ...] = (
    np.broadcast_arrays, np.meshgrid, np.atleast_1d, np.atleast_2d, np.atleast_3d,
)  # fmt: skip


def _elements(tape: OpenTape, thing: Any) -> Any:
    """Return the data of arrays in nested lists, as `numpy.block` takes them."""
    if isinstance(thing, list | tuple):
        return [_elements(tape, part) for part in thing]
    return as_active_data(tape, thing)


def _are_boolean(thing: Any) -> bool:
    if isinstance(thing, list | tuple):
        return all(map(_are_boolean, thing))
    return is_boolean(thing)


def _wrap_all(tape: OpenTape, moved: Any, boolean: bool) -> Any:
    if isinstance(moved, list | tuple):
        return type(moved)(_wrap_all(tape, part, boolean) for part in moved)
    return wrap(tape, moved, boolean)


def _mover(function: Function, of_sequence: bool = False, of_all: bool = False) -> Function:
    def move(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        taken = args if of_all else args[:1]
        tape = innermost(tapes_in(*taken))
        convert = _elements if of_sequence else as_active_data
        data = [convert(tape, thing) for thing in taken]
        boolean = _are_boolean(list(taken))
        others = [] if of_all else args[1:]
        moved = _wrap_all(tape, function(*data, *others, **kwargs), boolean)
        return moved if out is None else store(out, moved, function.__name__)

    return move


for _function in OF_ONE_ARRAY:
    RULES[_function] = _mover(_function)
for _function in OF_A_SEQUENCE:
    RULES[_function] = _mover(_function, of_sequence=True)
for _function in OF_ALL:
    RULES[_function] = _mover(_function, of_all=True)
if hasattr(np, "unstack"):  # since NumPy 2.1
    RULES[np.unstack] = _mover(np.unstack)
rule(method="diagonal")(RULES[np.diagonal])


@rule(np.append)
def _append(arr: Any, values: Any, axis: Any = None) -> Any:
    if axis is None:
        tape = tape_of(arr, values)
        arr, values, axis = array_on(tape, arr).ravel(), array_on(tape, values).ravel(), 0
    return np.concatenate((arr, values), axis=axis)


@rule(np.insert)
def _insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    tape = tape_of(arr, values)
    parts = [as_active_data(tape, part) for part in (arr, values)]
    moved = np.insert(parts[0], obj, parts[1], axis=axis)
    return wrap(tape, moved, is_boolean(arr) and is_boolean(values))


@rule(np.repeat, method="repeat")
def _repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    tape = tape_of(a, repeats)
    return wrap(tape, np.repeat(as_active_data(tape, a), integers(repeats), axis), is_boolean(a))


@rule(np.pad)
def _pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    tape = tape_of(array, kwargs.get("constant_values", 0))
    if mode in ("linear_ramp", "maximum", "mean", "median", "minimum") or callable(mode):
        raise UnsupportedFunctionError(
            f"numpy.pad with mode={mode!r} has no rule for active arguments; make the border "
            "yourself and join it with numpy.concatenate"
        )
    source = array_on(tape, array)
    places = np.arange(source.size).reshape(source.shape)
    if mode != "constant":
        return source.ravel()[np.pad(places, pad_width, mode, **kwargs)]
    padded = ActiveArray(tape, np.empty(np.pad(places, pad_width).shape, ACTIVE), source.is_bool)
    widths = np.broadcast_to(pad_width, (source.ndim, 2)).tolist()
    fillings = array_on(tape, kwargs.get("constant_values", 0.0))
    pairs = ActiveArray(tape, np.broadcast_to(fillings.data, (source.ndim, 2)))
    inside = tuple(slice(w[0], w[0] + n) for w, n in zip(widths, source.shape, strict=True))
    # Later axes overwrite the corners of earlier ones, as in NumPy.
    for axis, ((before, after), n) in enumerate(zip(widths, source.shape, strict=True)):
        whole, rest = (slice(None),) * axis, inside[axis + 1 :]
        padded[(*whole, slice(0, before), *rest)] = pairs[axis, 0]
        padded[(*whole, slice(before + n, before + n + after), *rest)] = pairs[axis, 1]
    padded[inside] = source
    return padded


# --- by index ---------------------------------------------------------------------------------


@rule(np.take, method="take")
def _take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    tape = tape_of(a, indices, out)
    moved = np.take(as_active_data(tape, a), integers(indices), axis=axis, mode=mode)  # type: ignore[call-overload]
    return store(out, wrap(tape, moved, is_boolean(a)), "take")


@rule(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    tape = tape_of(arr, indices)
    moved = np.take_along_axis(as_active_data(tape, arr), integers(indices), axis)
    return wrap(tape, moved, is_boolean(arr))


def _destination(array: Any, name: str) -> ActiveArray:
    if isinstance(array, ActiveArray):
        return array
    raise no_store(f"numpy.{name}")


@rule(np.put, method="put")
def _put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    a = _destination(a, "put")
    places: Any = np.arange(a.size).reshape(a.shape)
    places = np.take(places, integers(ind), mode=mode)  # type: ignore[call-overload]
    values = as_active_data(a.tape, v).reshape(-1)
    if len(values):
        index = np.unravel_index(places.reshape(-1), np.atleast_1d(a.data).shape)
        target = ActiveArray(a.tape, np.atleast_1d(a.data), a.is_bool)
        target[index] = ActiveArray(a.tape, np.resize(values, places.size), is_boolean(v))


@rule(np.put_along_axis)
def _put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    arr = _destination(arr, "put_along_axis")
    np.put_along_axis(arr.data, integers(indices), as_active_data(arr.tape, values), axis)


@rule(np.copyto)
def _copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    dst = _destination(dst, "copyto")
    mask = True if where is True else truth(where)
    np.copyto(dst.data, as_active_data(dst.tape, src), where=mask)


@rule(np.fill_diagonal)
def _fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    a = _destination(a, "fill_diagonal")
    np.fill_diagonal(a.data, as_active_data(a.tape, val), wrap)


@rule(np.apply_along_axis)
def _apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    moved = np.moveaxis(arr, axis, -1)
    outer = moved.shape[:-1]
    lanes = moved.reshape(math.prod(outer), moved.shape[-1])
    results = np.stack([func1d(lanes[k], *args, **kwargs) for k in range(math.prod(outer))])
    inner = results.shape[1:]
    whole = np.reshape(results, (*outer, *inner))
    axis %= moved.ndim
    order = [*range(axis), *range(len(outer), whole.ndim), *range(axis, len(outer))]
    return np.transpose(whole, order)


# --- like another -----------------------------------------------------------------------------


@rule(np.zeros_like, np.empty_like)
def _zeros_like(a: Any, dtype: Any = None, order: Any = "K", subok: Any = True, shape: Any = None,
                **kwargs: Any) -> Any:  # fmt: skip
    shape = np.shape(a) if shape is None else shape
    dtype = getattr(a, "dtype", np.float64) if dtype is None else np.dtype(dtype)
    if dtype != np.float64:
        return np.zeros(shape, dtype)
    return ActiveArray(innermost(tapes_in(a)), np.zeros(shape, ACTIVE))


@rule(np.ones_like)
def _ones_like(a: Any, *args: Any, **kwargs: Any) -> Any:
    return _full_like(a, 1.0, *args, **kwargs)


@rule(np.full_like)
def _full_like(a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: Any = True,
               shape: Any = None, **kwargs: Any) -> Any:  # fmt: skip
    tape = innermost(tapes_in(a, fill_value))
    shape = np.shape(a) if shape is None else shape
    dtype = getattr(a, "dtype", np.float64) if dtype is None else np.dtype(dtype)
    if dtype != np.float64 and not any(True for _ in tapes_in(fill_value)):
        return np.full(shape, fill_value, dtype)
    full = ActiveArray(tape, np.zeros(shape, ACTIVE))
    full[...] = fill_value
    return full.astype(dtype)


@rule(np.may_share_memory, np.shares_memory)
def _share_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    a, b = (x.data if isinstance(x, ActiveArray) else x for x in (a, b))
    return np.may_share_memory(a, b)


# --- in compiled code -------------------------------------------------------------------------


NUMBAS_OWN.update((np.reshape, np.ravel, np.transpose, np.concatenate, np.diag))


@jit
def _part(m: Array, k: int, is_upper: bool) -> Array:
    """Return a copy in which what lies beyond a diagonal is zero."""
    out = m.copy()
    for index in np.ndindex(m.shape):
        offset = index[len(index) - 1] - index[len(index) - 2]
        if offset < k if is_upper else offset > k:
            out[index] = 0.0
    return out


@jit
def _repeated(m: Array) -> Any:
    """Return a matrix whose rows all are a vector."""
    out = cleared((len(m), len(m)), m)
    for i in range(len(m)):
        out[i] = m
    return out


def _part_in_numba(is_upper: bool) -> Function:
    def choose(m: Kind, k: Kind = 0) -> Implementation | None:
        if m.ndim == 1:
            return lambda m, k=0: _part(_repeated(m), k, is_upper)
        return lambda m, k=0: _part(m, k, is_upper)

    return choose


stand_in(np.triu)(_part_in_numba(True))
stand_in(np.tril)(_part_in_numba(False))
