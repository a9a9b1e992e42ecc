"""Functions that sort, search, and say where an element is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.jit import jit
from tapegrad.numba_protocols import Choose, Implementation, Kind
from tapegrad.record.array import ActiveArray, as_active_data, wrap
from tapegrad.record.functions.operands import (
    Data,
    array_on,
    is_boolean,
    kept_shape,
    lanes,
    tape_of,
    truth,
)
from tapegrad.record.functions.order import (
    Indices,
    best_of_line,
    neighbours,
    numpys_order,
    quick,
    rearranged,
    sorted_order,
    stable,
    state_line,
    state_places,
    value_of,
    winners,
)
from tapegrad.record.functions.registry import rule, store
from tapegrad.record.kinds import ActiveValue, Array, Operand
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.stand_ins import (
    as_array,
    cleared,
    is_omitted,
    leaves_records,
    like_given,
    stand_in,
)


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


def _place_of(is_greatest: bool, find: Callable[..., Any], skip_nans: bool) -> Callable[..., Any]:
    def place_of(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        tape = tape_of(a)
        data = as_active_data(tape, a)
        of_lane = lanes(data, axis)
        place = np.asarray(find(of_lane["value"], axis=-1))
        if place.size:
            flat = place.reshape(-1).astype(np.int64)
            winners(tape, of_lane.reshape(place.size, -1), flat, is_greatest, skip_nans)
        shaped = place.reshape(kept_shape(data.shape, axis)) if keepdims is True else place[()]
        return store(out, shaped, find.__name__)

    return place_of


rule(np.argmax, method="argmax")(_place_of(True, np.argmax, skip_nans=False))
rule(np.argmin, method="argmin")(_place_of(False, np.argmin, skip_nans=False))
rule(np.nanargmax)(_place_of(True, np.nanargmax, skip_nans=True))
rule(np.nanargmin)(_place_of(False, np.nanargmin, skip_nans=True))


@rule(np.searchsorted, method="searchsorted")
def _searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    tape = tape_of(a, v)
    data, wanted = as_active_data(tape, a), as_active_data(tape, v)
    data = data if sorter is None else data[np.asarray(sorter)]
    place = np.searchsorted(data["value"], wanted["value"], side)  # type: ignore[call-overload]
    flat = np.ravel(np.asarray(place, np.int64))
    neighbours(tape, data, wanted.reshape(-1), flat, side == "right")
    return place


@rule(np.digitize)
def _digitize(x: Any, bins: Any, right: bool = False) -> Any:
    tape = tape_of(x, bins)
    edges = array_on(tape, bins)
    steps = np.diff(edges.primal)
    rising = bool(np.all(steps >= 0))
    if edges.ndim != 1 or not (rising or np.all(steps <= 0)):
        raise ValueError("bins must be monotonically increasing or decreasing")
    truth(edges[:-1] <= edges[1:] if rising else edges[:-1] >= edges[1:])
    place = _searchsorted(edges if rising else edges[::-1], x, "left" if right else "right")
    return place if rising else math.prod(edges.shape) - place


# --- in compiled code -------------------------------------------------------------------------


@jit
def _stated_best(x: Array, is_greatest: bool) -> Any:
    """Return the place of the best of a contiguous array's numbers, which is stated."""
    return best_of_line(x.ctypes.data, x.size, is_greatest, leaves_records(x))


def _best_in_numba(is_greatest: bool, message: str) -> Choose:
    def choose(a: Kind) -> Implementation | None:
        def implementation(a: Array) -> Any:
            if a.size == 0:
                raise ValueError(message)
            return _stated_best(a.copy(), is_greatest)

        return implementation

    return choose


for _name, _find, _is_greatest in (("argmax", np.argmax, True), ("argmin", np.argmin, False)):
    _message = f"attempt to get {_name} of an empty sequence"
    stand_in(_find, method=_name, reads=True)(_best_in_numba(_is_greatest, _message))


@jit
def stated_order(x: Array, find: Implementation) -> Indices:
    """Return the order found for a contiguous line of numbers, of which it's stated."""
    order = np.empty(len(x), np.int64)
    find(x.ctypes.data, len(x), order.ctypes.data)
    if leaves_records(x):
        state_line(x.ctypes.data, len(x), order.ctypes.data)
    return order


@stand_in(np.argsort, method="argsort", reads=True)
def _argsort_in_numba(a: Kind, kind: Kind = "quicksort") -> Implementation | None:
    name = getattr(kind, "literal_value", kind)
    if name not in ("quicksort", "mergesort"):
        return None
    find = quick if name == "quicksort" else stable
    return lambda a, kind="quicksort": stated_order(a.copy(), find)


@jit
def _sort_lanes(a: Array) -> Array:
    for index in np.ndindex(a.shape[:-1]):
        lane = a[index]
        moved = lane.copy()
        order = stated_order(moved, quick)
        for i in range(len(order)):
            lane[i] = moved[order[i]]
    return a


@stand_in(np.sort, reads=True)
def _sort_in_numba(a: Kind) -> Implementation | None:
    return lambda a: _sort_lanes(a.copy())


@stand_in(method="sort", reads=True)
def _sort_itself_in_numba(a: Kind) -> Implementation | None:
    def implementation(a: Array) -> None:
        _sort_lanes(a)

    return implementation


@jit
def place_of(x: Array, number: ActiveValue, is_right: bool) -> int:
    """Return where a number belongs in a sorted line; NaNs are last."""
    low, high = 0, len(x)
    while low < high:
        middle = (low + high) // 2
        u, v = value_of(x[middle]), value_of(number)
        before = u <= v if is_right else u < v
        if before or (v != v and (is_right or u == u)):
            low = middle + 1
        else:
            high = middle
    return low


@jit
def stated_place(x: Array, number: ActiveValue, is_right: bool) -> int:
    """Return where a number belongs in a sorted line, which is stated."""
    place = place_of(x, number, is_right)
    numbers = cleared(1, (x, number))
    numbers[0] = number
    state_places(x, numbers, np.array([place]), is_right)
    return place


@stand_in(np.searchsorted, of_numbers=True, reads=True)
def _searchsorted_in_numba(
    a: Kind, v: Kind, side: Kind = "left", sorter: Kind | None = None
) -> Implementation | None:
    if not is_omitted(sorter):
        return None

    def implementation(a: Array, v: Operand, side: str = "left", sorter: None = None) -> Any:
        numbers = as_array(v)
        places = np.empty(numbers.shape, np.int64)
        for index in np.ndindex(numbers.shape):
            places[index] = stated_place(a, numbers[index], side == "right")
        return like_given(places, v)

    return implementation
