"""The order of active elements, read under guards: what sorting and searching rest on.

Plain values are sorted by NumPy; the comparisons that certify the order are recorded and
guarded, few of them, and elements are then moved by index. Where a sort is stable equal elements
keep their order; where it isn't, what NumPy does depends on how all elements compare, so that is
stated, ties included. NaNs come last, as NumPy places them; where a lane has NaNs, which elements
are is guarded. A replay whose guards hold would find the same order. Arrays are 2-d here, a lane
a row.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.ops import CODE
from tapegrad.record import elementwise
from tapegrad.record.array import ActiveArray
from tapegrad.record.functions.operands import Data
from tapegrad.record.open_tape import OpenTape

Indices = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


def state(tape: OpenTape, name: str, where: Any, x: Data, y: Data) -> None:
    """Record and guard the comparison of two arrays' elements, where a mask holds."""
    x, y = np.broadcast_to(x, where.shape)[where], np.broadcast_to(y, where.shape)[where]
    if x.size:
        ActiveArray(tape, elementwise.binary(tape, CODE[name], x, y), True).truth()


def state_nans(tape: OpenTape, where: Any, x: Data) -> None:
    """Record and guard which elements are NaN, where a mask holds."""
    if np.any(where):
        chosen = np.broadcast_to(x, where.shape)[where]
        ActiveArray(tape, elementwise.unary(tape, CODE["isnan"], chosen), True).truth()


def certify(tape: OpenTape, keys: Sequence[Data], first: Indices, second: Indices,
            exact: bool = False) -> None:  # fmt: skip
    """State that in each lane the elements at `first` come before those at `second`.

    The first key decides, the next one where it ties, and the position where all do. With
    `exact`, which elements are equal is stated too.
    """
    undecided = np.ones(first.shape, np.bool_)
    for k, key in enumerate(keys):
        x, y = np.take_along_axis(key, first, -1), np.take_along_axis(key, second, -1)
        is_nan = np.isnan(key["value"])
        with_nans = is_nan.any(-1, keepdims=True) & undecided.any(-1, keepdims=True)
        state_nans(tape, np.broadcast_to(with_nans, key.shape), key)
        x_nan, y_nan = np.isnan(x["value"]), np.isnan(y["value"])
        equal = x["value"] == y["value"]
        compared = undecided & ~x_nan & ~y_nan
        if exact or k < len(keys) - 1:
            state(tape, "less", compared & ~equal, x, y)
            state(tape, "equal", compared & equal, x, y)
            undecided &= equal | (x_nan & y_nan)
        else:
            state(tape, "less_equal", compared & (first < second), x, y)
            state(tape, "less", compared & (first > second), x, y)


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


def winners(tape: OpenTape, x: Data, winner: Indices, better: str, skip_nans: bool) -> None:
    """State that the element at `winner` is each lane's best, the first of equal ones.

    `better` is 'greater' for the greatest and 'less' for the least. A NaN is better than any
    number unless NaNs are skipped.
    """
    position, winner = np.arange(x.shape[-1]), winner[:, np.newaxis]
    best = np.take_along_axis(x, winner, -1)
    best_nan = np.isnan(best["value"])
    earlier, later = position < winner, position > winner
    if skip_nans:  # what is NaN isn't better
        state_nans(tape, np.ones(best.shape, np.bool_), best)
        state(tape, f"{better}_equal", earlier, x, best)
        state(tape, better, later, x, best)
    else:
        state(tape, better, earlier & ~best_nan, best, x)
        state(tape, f"{better}_equal", later & ~best_nan, best, x)
        state_nans(tape, (position <= winner) & best_nan, x)
