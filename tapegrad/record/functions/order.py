"""The order of elements, certified by guards.

Plain values are sorted by NumPy, or by Numba in compiled code; the comparisons that certify the
order are recorded and guarded, few of them, by the same loops, and elements are then moved by
index. Where a sort is stable equal elements keep their order; where it isn't, what it does depends
on how all elements compare, so that is stated, ties included. NaNs come last; where a lane has
NaNs, which elements are is guarded. A replay whose guards hold would find the same order. Arrays
are 2-d here, a lane a row.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import carray, int64, types

from tapegrad.jit import Kernel, Symbol, jit
from tapegrad.memory import pointer
from tapegrad.ops import CODE
from tapegrad.record.active import run_reading
from tapegrad.record.functions.operands import Data
from tapegrad.record.kinds import ActiveValue, Array, active
from tapegrad.record.numba_operations import as_active, read
from tapegrad.record.open_tape import OpenTape

Indices = npt.NDArray[np.intp]

_LESS, _LESS_EQUAL, _GREATER, _GREATER_EQUAL, _EQUAL, _ISNAN = (
    CODE[name] for name in ("less", "less_equal", "greater", "greater_equal", "equal", "isnan")
)

# --- what is stated: loops that Python runs and compiled code contains ------------------------


@jit
def value_of(x: ActiveValue) -> Any:
    """Return a number's value, which isn't read."""
    return as_active(x).value


@jit
def is_nan(x: ActiveValue) -> Any:
    """Whether a number is NaN, which isn't read."""
    return value_of(x) != value_of(x)


@jit
def values_of(x: Array) -> Array:
    """Return the values of a line of numbers, which aren't read."""
    values = np.empty(len(x))
    for i in range(len(x)):
        values[i] = value_of(x[i])
    return values


@jit
def state_nan(x: ActiveValue) -> None:
    """State whether a number is NaN."""
    read(_ISNAN, x, None, 1.0 if is_nan(x) else 0.0)


@jit
def state(code: int, x: ActiveValue, y: ActiveValue) -> None:
    """State how a number compares with another."""
    u, v = value_of(x), value_of(y)
    if code == _LESS:
        holds = u < v
    elif code == _LESS_EQUAL:
        holds = u <= v
    elif code == _GREATER:
        holds = u > v
    elif code == _GREATER_EQUAL:
        holds = u >= v
    else:
        holds = u == v
    read(code, x, y, 1.0 if holds else 0.0)


@jit
def state_order(
    x: Array, first: Indices, second: Indices, undecided: Array, is_exact: bool
) -> None:
    """State that in each lane the elements at `first` come before those at `second`.

    Of pairs that are undecided, and the position decides where they tie. With `is_exact` which
    tie is stated too, and those stay undecided.
    """
    lanes, pairs = first.shape
    for i in range(lanes):
        if undecided[i].any() and np.isnan(values_of(x[i])).any():
            for k in range(x.shape[1]):
                state_nan(x[i, k])
    for is_second_kind in (False, True):
        for i in range(lanes):
            for j in range(pairs):
                u, v = x[i, first[i, j]], x[i, second[i, j]]
                if not undecided[i, j] or is_nan(u) or is_nan(v):
                    continue
                if is_exact:
                    if (value_of(u) == value_of(v)) == is_second_kind:
                        state(_EQUAL if is_second_kind else _LESS, u, v)
                elif (first[i, j] > second[i, j]) == is_second_kind:
                    state(_LESS if is_second_kind else _LESS_EQUAL, u, v)
    for i in range(lanes):
        for j in range(pairs):
            u, v = x[i, first[i, j]], x[i, second[i, j]]
            undecided[i, j] &= value_of(u) == value_of(v) or (is_nan(u) and is_nan(v))


@jit
def state_best(x: Array, places: Indices, is_greatest: bool, skips_nans: bool) -> None:
    """State that the element at its place is each lane's best, the first of equal ones.

    A NaN is better than any number unless NaNs are skipped.
    """
    lanes, length = x.shape
    better = _GREATER if is_greatest else _LESS
    as_good = _GREATER_EQUAL if is_greatest else _LESS_EQUAL
    for i in range(lanes):
        if skips_nans:
            state_nan(x[i, places[i]])
    for i in range(lanes):
        best = x[i, places[i]]
        for j in range(places[i]):
            if skips_nans:  # what is NaN isn't better
                state(as_good, x[i, j], best)
            elif not is_nan(best):
                state(better, best, x[i, j])
    for i in range(lanes):
        best = x[i, places[i]]
        for j in range(places[i] + 1, length):
            if skips_nans:
                state(better, x[i, j], best)
            elif not is_nan(best):
                state(as_good, best, x[i, j])
    for i in range(lanes):
        if not skips_nans and is_nan(x[i, places[i]]):
            for j in range(places[i] + 1):
                state_nan(x[i, j])


def _quick_order(x: int, n: int, order: int) -> None:
    """Write the order that Numba's quicksort finds for a line of numbers in memory."""
    carray(pointer(order, int64), n)[:] = np.argsort(values_of(carray(pointer(x, active), n)))


def _stable_order(x: int, n: int, order: int) -> None:
    """Write the order that a stable sort finds for a line of numbers in memory."""
    values = values_of(carray(pointer(x, active), n))
    carray(pointer(order, int64), n)[:] = np.argsort(values, kind="mergesort")


def _state_line(x: int, n: int, order: int) -> None:
    """State the order of a line of numbers in memory."""
    lane, row = carray(pointer(x, active), (1, n)), carray(pointer(order, int64), (1, n))
    undecided = np.ones((1, max(n - 1, 0)), np.bool_)
    state_order(lane, row[:, :-1], row[:, 1:], undecided, True)


def _best_of_line(x: int, n: int, is_greatest: bool, is_stated: bool) -> int:
    """Return the place of the best of a line of numbers in memory; state it if it's to be."""
    lane = carray(pointer(x, active), (1, n))
    values = values_of(lane[0])
    place = int(values.argmax() if is_greatest else values.argmin())
    if is_stated:
        state_best(lane, np.array([place]), is_greatest, False)
    return place


@jit
def state_places(x: Array, numbers: Array, places: Indices, is_right: bool) -> None:
    """State that numbers belong at their places among sorted ones, after equal ones or before."""
    before, after = _LESS, _GREATER_EQUAL
    if is_right:
        before, after = _LESS_EQUAL, _GREATER
    for side in range(2):
        for what in range(3):
            for i in range(len(numbers)):
                k = places[i] - 1 + side
                if k < 0 or k >= len(x):
                    continue
                if is_nan(x[k]) or is_nan(numbers[i]):
                    if what == 0:
                        state_nan(x[k])
                    elif what == 1:
                        state_nan(numbers[i])
                elif what == 2:
                    state(before if side == 0 else after, x[k], numbers[i])


_lanes, _line = types.Array(active, 2, "A"), types.Array(active, 1, "A")
_indices, _places = types.Array(int64, 2, "A"), types.Array(int64, 1, "A")
_order_kernel = Kernel(
    state_order,
    types.void(_lanes, _indices, _indices, types.Array(types.boolean, 2, "A"), types.boolean),
    records=True,
)
_best_kernel = Kernel(
    state_best, types.void(_lanes, _places, types.boolean, types.boolean), records=True
)
_places_kernel = Kernel(
    state_places, types.void(_line, _line, _places, types.boolean), records=True
)

# What compiled code calls, and doesn't contain.
_of_line = types.void(int64, int64, int64)
quick = Symbol("tapegrad_quick_order", _quick_order, _of_line).call
stable = Symbol("tapegrad_stable_order", _stable_order, _of_line).call
state_line = Symbol("tapegrad_state_line", _state_line, _of_line, records=True).call
best_of_line = Symbol(
    "tapegrad_best",
    _best_of_line,
    int64(int64, int64, types.boolean, types.boolean),
    records=True,
).call


def winners(tape: OpenTape, x: Data, places: Indices, is_greatest: bool, skips_nans: bool) -> None:
    """State that the element at its place is each lane's best."""
    run_reading(tape, _best_kernel, x, places, is_greatest, skips_nans)


def neighbours(tape: OpenTape, x: Data, numbers: Data, places: Indices, is_right: bool) -> None:
    """State that numbers belong at their places among sorted ones."""
    run_reading(tape, _places_kernel, x, numbers, places, is_right)


def certify(tape: OpenTape, keys: Sequence[Data], first: Indices, second: Indices,
            exact: bool = False) -> None:  # fmt: skip
    """State that in each lane the elements at `first` come before those at `second`.

    The first key decides, the next one where it ties, and the position where all do. With
    `exact`, which elements are equal is stated too.
    """
    undecided = np.ones(first.shape, np.bool_)
    for k, key in enumerate(keys):
        is_exact = exact or k < len(keys) - 1
        run_reading(tape, _order_kernel, key, first, second, undecided, is_exact)


# --- orders -----------------------------------------------------------------------------------


def sorted_order(tape: OpenTape, keys: Sequence[Data], exact: bool = False) -> Indices:
    """Return the indices that sort each lane by the first key, then by the next, ..."""
    order = np.lexsort([key["value"] for key in reversed(keys)], axis=-1)
    certify(tape, keys, order[:, :-1], order[:, 1:], exact)
    return order


def numpys_order(tape: OpenTape, x: Data, find: Callable[[Data], Indices],
                 is_stable: bool = False) -> Indices:  # fmt: skip
    """Return the order that a function of NumPy finds for plain values, a sort if it's stable."""
    order = find(x["value"])
    sorts = order if is_stable else np.argsort(x["value"], axis=-1, kind="stable")
    certify(tape, [x], sorts[:, :-1], sorts[:, 1:], exact=not is_stable)
    return order


def rearranged(value: Data, moved: Data) -> Indices:
    """Return indices that make of each lane's elements what NumPy made of them."""
    order = np.empty(value.shape, np.intp)
    sources, places = (np.argsort(lane, axis=-1, kind="stable") for lane in (value, moved))
    np.put_along_axis(order, places, sources, -1)
    return order


def partitioned_order(tape: OpenTape, x: Data, ranks: Any) -> Indices:
    """Return the indices that put the elements of some ranks where sorting would.

    Those between two ranks lie between them, in their original order.
    """
    length = x.shape[-1]
    order = np.argsort(x["value"], axis=-1, kind="stable")
    pivots = np.unique(ranks)
    bounds = [-1, *pivots.tolist(), length]
    before: list[int] = []
    after: list[int] = []
    for low, high in itertools.pairwise(bounds):
        order[:, low + 1 : high].sort(axis=-1)
        between = range(low + 1, high)
        if low >= 0:  # each follows the lower pivot, and so does the upper one if none is between
            after += between or range(high, min(high + 1, length))
            before += [low] * (len(after) - len(before))
        if high < length:
            before += between
            after += [high] * (len(before) - len(after))
    certify(tape, [x], order[:, before], order[:, after])
    return order


def ranked(tape: OpenTape, x: Data, ranks: Any) -> Data:
    """Return the elements of some ranks, a column a rank."""
    order = partitioned_order(tape, x, ranks)
    return np.take_along_axis(x, order[:, ranks], -1)
