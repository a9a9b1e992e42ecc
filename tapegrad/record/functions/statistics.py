"""Statistics: means, variances, and what is read from the sorted elements."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.numba_protocols import Implementation, Kind
from tapegrad.ops import CODE
from tapegrad.record import elementwise
from tapegrad.record.active import Active
from tapegrad.record.array import ActiveArray, as_active_data, wrap
from tapegrad.record.functions.operands import (
    NO_VALUE,
    Data,
    array_on,
    integers,
    is_active,
    kept_shape,
    lanes,
    number_data,
    tape_of,
)
from tapegrad.record.functions.order import is_nan, quick, ranked
from tapegrad.record.functions.reductions import any_of, sum_, total
from tapegrad.record.functions.registry import rule, store
from tapegrad.record.functions.sorting import stated_order
from tapegrad.record.kinds import Array
from tapegrad.record.labelled import check_deviation
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.stand_ins import FUNCTIONS, cleared, is_omitted, stand_in


def _divided(x: Any, count: Any) -> Any:
    """Return a quotient, without NumPy's warning where nothing was counted."""
    if isinstance(x, Active | ActiveArray) or isinstance(count, Active | ActiveArray):
        return x / count
    with np.errstate(all="ignore"):
        return np.divide(x, count)


def _count(shape: tuple[int, ...], axis: Any, keepdims: Any, where: Any) -> Any:
    """Return how many elements a reduction takes together."""
    if where is True or where is NO_VALUE:
        # Unlike a sum, a mean has no axis of a number.
        axes = range(len(shape)) if axis is None else normalize_axis_tuple(axis, len(shape))
        return math.prod([shape[k] for k in axes])
    if is_active(where):
        tape = tape_of(where)
        mask = np.broadcast_to(as_active_data(tape, where), shape)
        return total(ActiveArray(tape, mask, True), axis, None, None, keepdims)
    return np.broadcast_to(where, shape).sum(axis=axis, keepdims=keepdims is True)


@rule(np.mean, method="mean")
def mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *,
         where: Any = True) -> Any:  # fmt: skip
    """Record an arithmetic mean, with NumPy's arguments."""
    count = _count(np.shape(a), axis, keepdims, where)
    return store(out, _divided(total(a, axis, dtype, None, keepdims, None, where), count), "mean")


@rule(np.var, method="var")
def _var(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0,
         keepdims: Any = False, *, where: Any = True, mean: Any = NO_VALUE,
         correction: Any = NO_VALUE) -> Any:  # fmt: skip
    if correction is not NO_VALUE:
        if ddof != 0:
            raise ValueError("ddof and correction can't be provided simultaneously.")
        ddof = correction
    array = array_on(tape_of(a, mean, where), a)
    centre = _mean(array, axis, dtype, None, True, where=where) if mean is NO_VALUE else mean
    deviation = array - centre
    squares = total(np.square(deviation), axis, dtype, None, keepdims, None, where)
    degrees = np.maximum(_count(array.shape, axis, keepdims, where) - ddof, 0)
    return store(out, _divided(squares, degrees), "var")


_mean = mean  # which `mean=` of a variance hides


@rule(np.std, method="std")
def _std(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0,
         keepdims: Any = False, *, where: Any = True, mean: Any = NO_VALUE,
         correction: Any = NO_VALUE) -> Any:  # fmt: skip
    variance = _var(a, axis, dtype, None, ddof, keepdims, where=where, mean=mean,
                    correction=correction)  # fmt: skip
    return store(out, np.sqrt(variance), "std")


def _deviation(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        check_deviation(self.tape, name, args, kwargs)
        return function(self, *args, **kwargs)

    return method


for _name, _function in (("var", _var), ("std", _std)):
    for _owner in (Active, ActiveArray):
        setattr(_owner, _name, _deviation(_name, _function))


def _not_nan(a: Any, where: Any) -> Any:
    present = ~np.isnan(array_on(tape_of(a), a))
    return present if where is True or where is NO_VALUE else np.logical_and(present, where)


@rule(np.nanmean)
def _nanmean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
             *, where: Any = True) -> Any:  # fmt: skip
    return mean(a, axis, dtype, out, keepdims, where=_not_nan(a, where))


@rule(np.nanvar)
def _nanvar(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0,
            keepdims: Any = False, *, where: Any = True, mean: Any = NO_VALUE,
            correction: Any = NO_VALUE) -> Any:  # fmt: skip
    return _var(a, axis, dtype, out, ddof, keepdims, where=_not_nan(a, where), mean=mean,
                correction=correction)  # fmt: skip


@rule(np.nanstd)
def _nanstd(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0,
            keepdims: Any = False, *, where: Any = True, mean: Any = NO_VALUE,
            correction: Any = NO_VALUE) -> Any:  # fmt: skip
    return _std(a, axis, dtype, out, ddof, keepdims, where=_not_nan(a, where), mean=mean,
                correction=correction)  # fmt: skip


@rule(np.average)
def _average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *,
             keepdims: Any = False) -> Any:  # fmt: skip
    tape = tape_of(a, weights)
    array = array_on(tape, a)
    axis = None if axis is None else normalize_axis_tuple(axis, array.ndim)
    if weights is None:
        average = mean(array, axis, keepdims=keepdims)
        scale: Any = np.float64(array.size / np.size(average))
    else:
        spread = _spread_weights(array, axis, weights)
        scale = np.sum(spread, axis=axis, keepdims=keepdims)
        if any_of(scale == 0.0) if is_active(scale) else np.any(scale == 0.0):
            raise ZeroDivisionError("Weights sum to zero, can't be normalized")
        average = _divided(total(array * spread, axis, keepdims=keepdims), scale)
    if not returned:
        return average
    full = np.zeros(np.shape(average))
    return average, full + scale if full.ndim else scale


def _spread_weights(array: ActiveArray, axis: Any, weights: Any) -> Any:
    """Return weights in the shape of the array they belong to."""
    weights = array_on(tape_of(weights), weights) if is_active(weights) else np.asarray(weights)
    if weights.shape == array.shape:
        return weights
    if axis is None:
        raise TypeError("Axis must be specified when shapes of a and weights differ.")
    axes = normalize_axis_tuple(axis, array.ndim)
    if weights.shape != tuple(array.shape[k] for k in axes):
        raise ValueError("Shape of weights must be consistent with shape of a along specified "
                         "axis.")  # fmt: skip
    shape = tuple(n if k in axes else 1 for k, n in enumerate(array.shape))
    weights = weights.transpose(np.argsort(axes)).reshape(shape)
    return weights + np.zeros(array.shape)


# --- read from the sorted elements ------------------------------------------------------------


@rule(np.median)
def _median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
            keepdims: Any = False) -> Any:  # fmt: skip
    tape = tape_of(a, out)
    data = as_active_data(tape, a)
    flat, shape = _flat_lanes(data, axis, keepdims)
    length = flat.shape[-1]
    if length:
        middle = ranked(tape, flat, np.array([(length - 1) // 2, length // 2]))
        result = middle[:, 0]
        if length % 2 == 0:
            both = elementwise.binary(tape, CODE["add"], middle[:, 0], middle[:, 1])
            result = elementwise.binary(tape, CODE["divide"], both, np.array(2.0))
        result[np.isnan(flat["value"]).any(-1)] = number_data(np.nan)
    else:
        result = np.full(len(flat), number_data(np.nan))
    return store(out, wrap(tape, result.reshape(shape)), "median")


@rule(np.quantile)
def _quantile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
              method: str = "linear", keepdims: Any = False, *,
              weights: Any = None) -> Any:  # fmt: skip
    if weights is not None:
        raise UnsupportedFunctionError("weights= of numpy.quantile has no rule for active numbers")
    return store(out, _quantiles(a, axis, q, method, keepdims), "quantile")


@rule(np.percentile)
def _percentile(a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False,
                method: str = "linear", keepdims: Any = False, *,
                weights: Any = None) -> Any:  # fmt: skip
    fraction = np.true_divide(q, 100.0)
    return _quantile(a, fraction, axis, out, overwrite_input, method, keepdims, weights=weights)


def _quantiles(a: Any, axis: Any, q: Any, method: str, keepdims: Any) -> Any:
    tape = tape_of(a, q)
    data = as_active_data(tape, a)
    flat, rest = _flat_lanes(data, axis, keepdims)
    length, shape = flat.shape[-1], np.shape(q)
    if length:
        place, beyond = _places(tape, q, length, method)
        elements = ranked(tape, flat, np.concatenate([place, np.minimum(place + 1, length - 1)]))
        lower, upper = elements[:, : len(place)], elements[:, len(place) :]
        result = _interpolated(tape, lower, upper, beyond)
        result[np.isnan(flat["value"]).any(-1)] = number_data(np.nan)
    else:
        result = np.full((len(flat), math.prod(shape)), number_data(np.nan))
    return wrap(tape, result.T.reshape((*shape, *rest)))


def _flat_lanes(data: Data, axis: Any, keepdims: Any) -> tuple[Data, tuple[int, ...]]:
    """Return what to take together as the rows of a matrix, and the shape of the result."""
    if axis is not None:
        axis = normalize_axis_tuple(axis, data.ndim)
    of_lane = lanes(data, axis)
    shape = kept_shape(data.shape, axis) if keepdims is True else of_lane.shape[:-1]
    return of_lane.reshape(math.prod(of_lane.shape[:-1]), of_lane.shape[-1]), shape


def _places(tape: OpenTape, q: Any, length: int, method: Any) -> tuple[Any, Data]:
    """Return the ranks the quantiles lie at or beyond, and by how much they lie beyond.

    A quantile is an interpolation between neighbours in the sorted elements, so it's known from
    that of 0, 1, 2, ...
    """
    if not is_active(q):
        positions = np.ravel(np.quantile(np.arange(float(length)), q, method=method))
        place = np.floor(positions).astype(np.intp)
        return place, positions - place
    if method != "linear":
        raise UnsupportedFunctionError("numpy.quantile by an active q has a rule for method="
                                       f"'linear' only, not {method!r}")  # fmt: skip
    fractions = array_on(tape, q).ravel()
    if not np.all(np.logical_and(fractions >= 0.0, fractions <= 1.0)):
        raise ValueError("Quantiles must be in the range [0, 1]")
    active_positions = fractions * float(length - 1)
    place = np.minimum(integers(np.floor(active_positions)), max(length - 2, 0))
    return place, (active_positions - place).data


def _interpolated(tape: OpenTape, lower: Data, upper: Data, beyond: Data) -> Data:
    """Return what lies between, for the columns that don't lie at an element exactly."""
    result = lower.copy()
    between = np.flatnonzero(np.ones(len(beyond)) if beyond.dtype.names else beyond)
    low, high, part = lower[:, between], upper[:, between], beyond[between]
    rise = elementwise.binary(tape, CODE["subtract"], high, low)
    rise = elementwise.binary(tape, CODE["multiply"], rise, part)
    result[:, between] = elementwise.binary(tape, CODE["add"], low, rise)
    return result


# --- in compiled code -------------------------------------------------------------------------


@stand_in(np.mean, method="mean")
def _mean_in_numba(a: Kind, axis: Kind | None = None) -> Implementation | None:
    if is_omitted(axis):
        return lambda a, axis=None: sum_(a) / a.size
    return lambda a, axis=None: sum_(a, axis) / a.shape[axis]


@stand_in(np.var, method="var")
def _var_in_numba(a: Kind) -> Implementation | None:
    return lambda a: sum_(np.square(a - sum_(a) / a.size)) / a.size


@stand_in(np.std, method="std")
def _std_in_numba(a: Kind) -> Implementation | None:
    variance = FUNCTIONS[np.var]
    return lambda a: np.sqrt(variance(a))


@stand_in(np.median, reads=True)
def _median_in_numba(a: Kind) -> Implementation | None:
    def implementation(a: Array) -> Any:
        out, x = cleared(1, a), a.copy().reshape(a.size)
        order, middle = stated_order(x, quick), a.size // 2
        if a.size == 0:
            out[0] = np.nan
        elif is_nan(x[order[-1]]):
            out[0] = x[order[-1]]
        elif a.size % 2 == 1:
            out[0] = x[order[middle]]
        else:
            out[0] = (x[order[middle - 1]] + x[order[middle]]) / 2.0
        return out[0]

    return implementation
