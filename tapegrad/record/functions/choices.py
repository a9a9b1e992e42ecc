"""Functions that choose among elements or read truth values.

`where`, `select`, `clip` and the like choose without a guard; what selects how many elements
there are, or what is computed, reads the truth values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.numba_protocols import Implementation, Kind
from tapegrad.record.active import Active
from tapegrad.record.array import ActiveArray, as_active_data, wrap
from tapegrad.record.functions.operands import (
    array_on,
    integers,
    is_active,
    is_boolean,
    selected,
    tape_of,
    truth,
)
from tapegrad.record.functions.reductions import all_of
from tapegrad.record.functions.registry import rule, store
from tapegrad.record.kinds import Operand
from tapegrad.record.refusals import no_store
from tapegrad.record.stand_ins import as_array, cleared, is_omitted, shared, stand_in


@rule(np.where)
def where(condition: Any, *branches: Any) -> Any:
    """Record a choice between two branches, or read where a condition holds."""
    if not branches:
        return np.where(truth(condition))
    x, y = branches
    tape = tape_of(condition, x, y)
    boolean = is_boolean(x) and is_boolean(y)
    chosen = selected(tape, condition, as_active_data(tape, x), as_active_data(tape, y))
    return wrap(tape, chosen, boolean)


@rule(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None,
          max: Any = None, **kwargs: Any) -> Any:  # fmt: skip
    lower, upper = (a_min if min is None else min), (a_max if max is None else max)
    if (a_min is not None and min is not None) or (a_max is not None and max is not None):
        raise ValueError("Passing `min` or `max` keyword argument when `a_min` and `a_max` are "
                         "provided is forbidden.")  # fmt: skip
    tape = tape_of(a, lower, upper, out)
    clipped: Any = wrap(tape, as_active_data(tape, a).copy())
    clipped = clipped if lower is None else np.maximum(clipped, lower)
    clipped = clipped if upper is None else np.minimum(clipped, upper)
    kept = kwargs.pop("where", True)
    if kwargs:
        raise UnsupportedFunctionError(f"{', '.join(kwargs)}= of numpy.clip has no rule")
    return store(out, clipped, "clip", kept)


@rule(method="clip")
def _clip_method(self: Any, min: Any = None, max: Any = None, out: Any = None,
                 **kwargs: Any) -> Any:  # fmt: skip
    return _clip(self, min, max, out, **kwargs)


@rule(np.select)
def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError("list of cases must be same length as list of conditions, and not empty")
    chosen = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        if not (is_boolean(condition) or is_boolean(np.asarray(condition))):
            raise TypeError("invalid entry in condlist: should be boolean ndarray")
        chosen = np.where(condition, choice, chosen)
    return chosen


@rule(np.piecewise)
def _piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    tape = tape_of(x, condlist)
    array = array_on(tape, x)
    several = isinstance(condlist, list | tuple) or np.ndim(condlist) > 0
    if not several or (np.ndim(condlist[0]) == 0 and array.ndim):
        condlist = [condlist]
    conditions = [truth(condition) for condition in condlist]
    if len(funclist) == len(conditions) + 1:
        conditions.append(~np.any(conditions, axis=0))
    elif len(funclist) != len(conditions):
        raise ValueError(f"with {len(conditions)} condition(s), either {len(conditions)} or "
                         f"{len(conditions) + 1} functions are expected")  # fmt: skip
    result = ActiveArray(tape, np.zeros_like(array.data))
    for condition, function in zip(conditions, funclist, strict=True):
        if not callable(function):
            result[condition] = function
        elif np.any(condition):
            result[condition] = function(array[condition], *args, **kw)
    return wrap(tape, result.data)


@rule(np.choose, method="choose")
def _choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    tape = tape_of(a, choices, out)
    index = integers(a)
    if index.dtype.kind not in "iub":
        raise TypeError("numpy.choose needs an array of integers to choose by")
    parts = [as_active_data(tape, choice) for choice in choices]
    index, *parts = np.broadcast_arrays(index, *parts)
    count = len(parts)
    if mode == "raise" and np.any((index < 0) | (index >= count)):
        raise ValueError("invalid entry in choice array")
    index = index % count if mode == "wrap" else np.clip(index, 0, count - 1)
    chosen = np.take_along_axis(np.stack(parts), index[np.newaxis].astype(np.intp), 0)[0]
    return store(out, wrap(tape, chosen, all(map(is_boolean, choices))), "choose")


# --- by masks ---------------------------------------------------------------------------------


@rule(np.compress)
def _compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    tape = tape_of(condition, a, out)
    chosen = np.compress(truth(condition), as_active_data(tape, a), axis)
    return store(out, wrap(tape, chosen, is_boolean(a)), "compress")


@rule(method="compress")
def _compress_method(self: Any, condition: Any, axis: Any = None, out: Any = None) -> Any:
    return _compress(condition, self, axis, out)


@rule(np.extract)
def _extract(condition: Any, arr: Any) -> Any:
    return _compress(truth(condition).ravel(), arr)


def _target(a: Any, name: str) -> ActiveArray:
    if not isinstance(a, ActiveArray):
        raise no_store(f"numpy.{name}")
    return a


@rule(np.place)
def _place(arr: Any, mask: Any, vals: Any) -> None:
    array = _target(arr, "place")
    chosen = truth(mask).reshape(array.shape)
    count = np.count_nonzero(chosen)
    values = as_active_data(tape_of(array, vals), vals).reshape(-1)
    if count:
        if not len(values):
            raise ValueError("Cannot insert from an empty array!")
        array[chosen] = ActiveArray(array.tape, np.resize(values, count))


@rule(np.putmask)
def _putmask(a: Any, mask: Any, values: Any) -> None:
    array = _target(a, "putmask")
    tape = tape_of(array, mask, values)
    flat = as_active_data(tape, values).reshape(-1)
    if len(flat):
        repeated = ActiveArray(tape, np.resize(flat, array.shape))
        array[...] = where(mask if is_active(mask) else truth(mask), repeated, array)


@rule(np.nonzero, method="nonzero")
def _nonzero(a: Any) -> Any:
    return np.nonzero(truth(a))


@rule(np.flatnonzero)
def _flatnonzero(a: Any) -> Any:
    return np.flatnonzero(truth(a))


@rule(np.argwhere)
def _argwhere(a: Any) -> Any:
    return np.argwhere(truth(a))


# --- comparisons ------------------------------------------------------------------------------


@rule(np.isclose)
def _isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    tape = tape_of(a, b, rtol, atol)
    x, y = array_on(tape, a), array_on(tape, b)
    close: Any = abs(x - y) <= atol + rtol * abs(y)
    close = np.logical_or(np.logical_and(close, np.isfinite(y)), x == y)
    if equal_nan:
        close = np.logical_or(close, np.logical_and(np.isnan(x), np.isnan(y)))
    return close


@rule(np.allclose)
def _allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    return all_of(array_on(tape_of(a, b, rtol, atol), _isclose(a, b, rtol, atol, equal_nan)))


@rule(np.array_equal)
def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    tape = tape_of(a1, a2)
    x, y = array_on(tape, a1), array_on(tape, a2)
    if x.shape != y.shape:
        return False
    same: Any = x == y
    if equal_nan:
        same = np.logical_or(same, np.logical_and(np.isnan(x), np.isnan(y)))
    return all_of(array_on(tape, same))


@rule(np.array_equiv)
def _array_equiv(a1: Any, a2: Any) -> Any:
    tape = tape_of(a1, a2)
    try:
        return all_of(array_on(tape, array_on(tape, a1) == array_on(tape, a2)))
    except ValueError:  # the shapes don't broadcast
        return False


def _is_infinity(infinity: float) -> Callable[..., Any]:
    def is_infinity(x: Any, out: Any = None) -> Any:
        return store(out, np.equal(x, infinity), "isposinf" if infinity > 0 else "isneginf")

    return is_infinity


rule(np.isposinf)(_is_infinity(math.inf))
rule(np.isneginf)(_is_infinity(-math.inf))


# --- made of choices --------------------------------------------------------------------------


@rule(np.heaviside)
def _heaviside(x1: Any, x2: Any) -> Any:
    tape = tape_of(x1, x2)
    x = array_on(tape, x1)
    return where(x == 0.0, x2, 0.5 + 0.5 * np.sign(x))


@rule(np.nan_to_num)
def _nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None,
                neginf: Any = None) -> Any:  # fmt: skip
    tape = tape_of(x, nan, posinf, neginf)
    largest = float(np.finfo(np.float64).max)
    array = array_on(tape, x)
    result: Any = where(np.isnan(array), nan, array)
    result = where(array == math.inf, largest if posinf is None else posinf, result)
    result = where(array == -math.inf, -largest if neginf is None else neginf, result)
    if copy or isinstance(x, Active):
        return result
    return store(x, result, "nan_to_num")


@shared
def _rounded(a: Any, decimals: Any) -> Any:
    """Return numbers rounded to so many digits; for Python and compiled code."""
    if decimals == 0:
        return np.rint(a)
    scale = 10.0 ** abs(decimals)
    return np.rint(a * scale) / scale if decimals > 0 else np.rint(a / scale) * scale


@stand_in(np.round, np.around, method="round", of_numbers=True)
def _round_in_numba(a: Kind, decimals: Kind = 0) -> Implementation | None:
    return lambda a, decimals=0: _rounded(a, decimals)


@rule(np.round, np.around, method="round")
def _round(a: Any, decimals: int = 0, out: Any = None) -> Any:
    return store(out, _rounded(array_on(tape_of(a, out), a), decimals), "round")


@rule(np.fix)
def _fix(x: Any, out: Any = None) -> Any:
    return store(out, np.trunc(x), "fix")


# --- in compiled code -------------------------------------------------------------------------


@stand_in(np.where, of_numbers=True, reads=True)
def _where_in_numba(
    condition: Kind, x: Kind | None = None, y: Kind | None = None
) -> Implementation | None:
    if is_omitted(x):
        return lambda condition, x=None, y=None: np.where(condition)
    if not any(isinstance(kind, types.Array) for kind in (condition, x, y)):
        return lambda condition, x=None, y=None: x if condition else y

    def implementation(condition: Operand, x: Any = None, y: Any = None) -> Any:
        test, u, v = as_array(condition), as_array(x), as_array(y)
        shape = np.broadcast_shapes(test.shape, u.shape, v.shape)
        test, u, v = (np.broadcast_to(test, shape), np.broadcast_to(u, shape),
                      np.broadcast_to(v, shape))  # fmt: skip
        out = cleared(shape, (u, v))
        for index in np.ndindex(shape):
            out[index] = u[index] if bool(test[index]) else v[index]
        return out

    return implementation


@stand_in(np.clip, of_numbers=True)
def _clip_in_numba(a: Kind, a_min: Kind, a_max: Kind) -> Implementation | None:
    if isinstance(a_min, types.NoneType):
        return lambda a, a_min, a_max: np.minimum(a, a_max)
    if isinstance(a_max, types.NoneType):
        return lambda a, a_min, a_max: np.maximum(a, a_min)
    return lambda a, a_min, a_max: np.minimum(np.maximum(a, a_min), a_max)
