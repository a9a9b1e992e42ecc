"""NumPy's searches and sorts in compiled code, of arrays with active numbers."""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import register_jitable

from tapegrad.compiled.arrays import holds_actives, is_operand
from tapegrad.compiled.creation import is_omitted
from tapegrad.compiled.stand_ins import stand_in
from tapegrad.numba_internals import replace_order
from tapegrad.numba_protocols import Implementation, Kind
from tapegrad.record.kinds import ActiveValue, Array, Operation, is_active


def _place_of_best(is_better: Operation, is_no_worse: Operation, message: str) -> Implementation:
    """Return a search for the best element, of which the first NaN is one.

    What is recorded is how the best compares with each other, which holds for no NaN.
    """

    def implementation(a: Array) -> int:
        flat = a.ravel()
        if len(flat) == 0:
            raise ValueError(message)
        best = 0
        for i in range(len(flat)):
            if flat[i].value != flat[i].value:
                best = i
                break
            if is_better(flat[i].value, flat[best].value):
                best = i
        if flat[best].value != flat[best].value:
            for i in range(best + 1):
                np.isnan(flat[i])
            return best
        for i in range(best):
            is_better(flat[best], flat[i])
        for i in range(best + 1, len(flat)):
            is_no_worse(flat[best], flat[i])
        return best

    return implementation


@register_jitable
def _is_greater(x: ActiveValue, y: ActiveValue) -> bool:
    return x > y


@register_jitable
def _is_at_least(x: ActiveValue, y: ActiveValue) -> bool:
    return x >= y


@register_jitable
def _is_less(x: ActiveValue, y: ActiveValue) -> bool:
    return x < y


@register_jitable
def _is_at_most(x: ActiveValue, y: ActiveValue) -> bool:
    return x <= y


@stand_in(np.argmax, method="argmax")
def _argmax(a: Kind) -> Implementation | None:
    if not holds_actives(a):
        return lambda a: a.argmax()
    message = "attempt to get argmax of an empty sequence"
    return _place_of_best(_is_greater, _is_at_least, message)


@stand_in(np.argmin, method="argmin")
def _argmin(a: Kind) -> Implementation | None:
    if not holds_actives(a):
        return lambda a: a.argmin()
    message = "attempt to get argmin of an empty sequence"
    return _place_of_best(_is_less, _is_at_most, message)


# --- sorting ----------------------------------------------------------------------------------


def _comes_before(x: ActiveValue, y: ActiveValue) -> bool:
    """Whether a number comes before another: NaNs are last. Each way is one record, or two."""
    if x.value == x.value and y.value == y.value:
        return x < y if x.value < y.value else not y <= x
    return not np.isnan(x) and bool(np.isnan(y))


replace_order(lambda plain, dtype: _comes_before if is_active(dtype) else plain(dtype))


@register_jitable
def place(a: Array, number: ActiveValue, side: str) -> int:
    """Return where a number belongs in a sorted array; NaNs are last. Each step is compared."""
    low, high = 0, len(a)
    while low < high:
        middle = (low + high) // 2
        before = a[middle] <= number if side == "right" else a[middle] < number
        if before or (np.isnan(number) and (side == "right" or not np.isnan(a[middle]))):
            low = middle + 1
        else:
            high = middle
    return low


@stand_in(np.searchsorted)
def _searchsorted(
    a: Kind, v: Kind, side: Kind = "left", sorter: Kind | None = None
) -> Implementation | None:
    if not (holds_actives(a) or is_operand(v)):
        return lambda a, v, side="left", sorter=None: np.searchsorted(a, v, side, sorter)
    if not is_omitted(sorter):
        return None
    if not isinstance(v, types.Array):
        return lambda a, v, side="left", sorter=None: place(a, v, side)

    def implementation(a: Array, v: Array, side: str = "left", sorter: None = None) -> Array:
        places = np.empty(v.shape, np.int64)
        for index in np.ndindex(v.shape):
            places[index] = place(a, v[index], side)
        return places

    return implementation
