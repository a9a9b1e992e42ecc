"""Functions that sort, search, and say where an element is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.array import ActiveArray, as_active_data, wrap
from tapegrad.record.functions.operands import (
    Data,
    is_boolean,
    kept_shape,
    lanes,
    tape_of,
)
from tapegrad.record.functions.order import (
    Indices,
    numpys_order,
    rearranged,
    sorted_order,
    state,
    state_nans,
    winners,
)
from tapegrad.record.functions.registry import rule, store
from tapegrad.record.open_tape import OpenTape


def _order(data: Data, axis: int, order_of: Callable[[Data], Indices]) -> Indices:
    """Return the indices along an axis that `order_of` gives for the lanes of a matrix."""
    axis = normalize_axis_index(axis, data.ndim)
    moved = np.moveaxis(data, axis, -1)
    if not data.size:
        return np.zeros(data.shape, np.intp)
    order = order_of(moved.reshape(-1, moved.shape[-1])).reshape(moved.shape)
    return np.moveaxis(order, -1, axis)


def _check_order(order: Any, name: str) -> None:
    if order is not None:
        raise UnsupportedFunctionError(f"order= of numpy.{name} is for structured arrays; an "
                                       "active array has no fields")  # fmt: skip


def _sort_order(a: Any, tape: OpenTape, data: Data, axis: int, kind: Any, stable: Any) -> Indices:
    number = np.bool_ if is_boolean(a) else np.float64  # NumPy sorts each type in its own way

    def find(value: Data) -> Indices:
        return np.argsort(value.astype(number), axis=-1, kind=kind, stable=stable)

    is_stable = bool(stable) or kind in ("stable", "mergesort")
    return _order(data, axis, lambda lane: numpys_order(tape, lane, find, is_stable))


def _partition_order(a: Any, tape: OpenTape, data: Data, axis: int,
                     find: Callable[[Data], Indices]) -> Indices:  # fmt: skip
    number = np.bool_ if is_boolean(a) else np.float64
    return _order(
        data, axis, lambda lane: numpys_order(tape, lane, lambda v: find(v.astype(number)))
    )


def _flattened(tape: OpenTape, a: Any, axis: Any) -> tuple[Data, int]:
    data = as_active_data(tape, a)
    return (data.reshape(-1), -1) if axis is None else (data, axis)


@rule(np.sort)
def _sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *,
          stable: Any = None) -> Any:  # fmt: skip
    _check_order(order, "sort")
    tape = tape_of(a)
    data, axis = _flattened(tape, a, axis)
    moved = np.take_along_axis(data, _sort_order(a, tape, data, axis, kind, stable), axis)
    return wrap(tape, moved, is_boolean(a))


@rule(method="sort")
def _sort_in_place(self: ActiveArray, axis: Any = -1, kind: Any = None, order: Any = None, *,
                   stable: Any = None) -> None:  # fmt: skip
    self.data[...] = _sort(self, axis, kind, order, stable=stable).data


@rule(np.argsort, method="argsort")
def _argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *,
             stable: Any = None) -> Any:  # fmt: skip
    _check_order(order, "argsort")
    tape = tape_of(a)
    data, axis = _flattened(tape, a, axis)
    if data.ndim == 0:
        data = data.reshape(1)
    return _sort_order(a, tape, data, axis, kind, stable)


@rule(np.partition)
def _partition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect",
               order: Any = None) -> Any:  # fmt: skip
    _check_order(order, "partition")
    tape = tape_of(a)
    data, axis = _flattened(tape, a, axis)
    order = _partition_order(
        a, tape, data, axis,
        lambda value: rearranged(value, np.partition(value, kth, axis=-1, kind=kind)),
    )  # fmt: skip
    return wrap(tape, np.take_along_axis(data, order, axis), is_boolean(a))


@rule(method="partition")
def _partition_in_place(self: ActiveArray, kth: Any, axis: Any = -1, kind: Any = "introselect",
                        order: Any = None) -> None:  # fmt: skip
    self.data[...] = _partition(self, kth, axis, kind, order).data


@rule(np.argpartition, method="argpartition")
def _argpartition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect",
                  order: Any = None) -> Any:  # fmt: skip
    _check_order(order, "argpartition")
    tape = tape_of(a)
    data, axis = _flattened(tape, a, axis)
    return _partition_order(
        a, tape, data, axis, lambda value: np.argpartition(value, kth, axis=-1, kind=kind)
    )


@rule(np.lexsort)
def _lexsort(keys: Any, axis: Any = -1) -> Any:
    tape = tape_of(keys)
    columns = [as_active_data(tape, key) for key in keys]
    axis = normalize_axis_index(axis, columns[0].ndim)
    stacked = np.moveaxis(np.stack(columns[::-1]), axis + 1, -1)  # the deciding key first
    if not stacked.size:
        return np.zeros(columns[0].shape, np.intp)
    order = sorted_order(tape, list(stacked.reshape(len(columns), -1, stacked.shape[-1])))
    return np.moveaxis(order.reshape(stacked.shape[1:]), -1, axis)


@rule(np.unique)
def _unique(ar: Any, return_index: bool = False, return_inverse: bool = False,
            return_counts: bool = False, axis: Any = None, *, equal_nan: bool = True,
            sorted: bool = True) -> Any:  # fmt: skip
    if axis is not None:
        raise UnsupportedFunctionError("axis= of numpy.unique has no rule for active numbers")
    tape = tape_of(ar)
    shaped = as_active_data(tape, ar)
    data = shaped.reshape(-1)
    order = sorted_order(tape, [data.reshape(1, -1)], exact=True)[0] if data.size else np.arange(0)
    value = data["value"][order]
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = value[1:] != value[:-1]
    if equal_nan:
        is_new[1:] &= ~(np.isnan(value[1:]) & np.isnan(value[:-1]))
    starts = np.flatnonzero(is_new)
    results = [wrap(tape, data[order[starts]], is_boolean(ar))]
    if return_index:
        results.append(order[starts])
    if return_inverse:
        inverse = np.empty(len(order), np.intp)
        inverse[order] = np.cumsum(is_new) - 1
        results.append(inverse.reshape(shaped.shape))
    if return_counts:
        results.append(np.diff(np.append(starts, len(order))))
    return tuple(results) if len(results) > 1 else results[0]


# --- places -----------------------------------------------------------------------------------


def _place_of(better: str, find: Callable[..., Any], skip_nans: bool) -> Callable[..., Any]:
    def place_of(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        tape = tape_of(a)
        data = as_active_data(tape, a)
        of_lane = lanes(data, axis)
        place = np.asarray(find(of_lane["value"], axis=-1))
        if place.size:
            winners(tape, of_lane.reshape(place.size, -1), place.reshape(-1), better, skip_nans)
        shaped = place.reshape(kept_shape(data.shape, axis)) if keepdims is True else place[()]
        return store(out, shaped, find.__name__)

    return place_of


rule(np.argmax, method="argmax")(_place_of("greater", np.argmax, skip_nans=False))
rule(np.argmin, method="argmin")(_place_of("less", np.argmin, skip_nans=False))
rule(np.nanargmax)(_place_of("greater", np.nanargmax, skip_nans=True))
rule(np.nanargmin)(_place_of("less", np.nanargmin, skip_nans=True))


@rule(np.searchsorted, method="searchsorted")
def _searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    tape = tape_of(a, v)
    data, wanted = as_active_data(tape, a), as_active_data(tape, v)
    data = data if sorter is None else data[np.asarray(sorter)]
    place = np.searchsorted(data["value"], wanted["value"], side)  # type: ignore[call-overload]
    flat, where = wanted.reshape(-1), np.ravel(place)
    for neighbour, name in ((where - 1, "less"), (where, "greater")):
        exists = (neighbour >= 0) & (neighbour < len(data))
        x, y = data[neighbour[exists]], flat[exists]
        x_nan, y_nan = np.isnan(x["value"]), np.isnan(y["value"])
        state_nans(tape, x_nan | y_nan, x)
        state_nans(tape, x_nan | y_nan, y)
        included = "_equal" if (name == "less") == (side == "right") else ""
        state(tape, name + included, ~(x_nan | y_nan), x, y)
    return place


@rule(np.digitize)
def _digitize(x: Any, bins: Any, right: bool = False) -> Any:
    tape = tape_of(x, bins)
    edges = as_active_data(tape, bins)
    steps = np.diff(edges["value"])
    rising = bool(np.all(steps >= 0))
    if edges.ndim != 1 or not (rising or np.all(steps <= 0)):
        raise ValueError("bins must be monotonically increasing or decreasing")
    state(tape, "less_equal" if rising else "greater_equal", np.ones(len(steps), np.bool_),
          edges[:-1], edges[1:])  # fmt: skip
    side = "left" if right else "right"
    ordered = ActiveArray(tape, edges if rising else edges[::-1])
    place = _searchsorted(ordered, x, side)
    return place if rising else math.prod(edges.shape) - place
