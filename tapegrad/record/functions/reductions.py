"""Reductions and running results: chains of one operation along axes.

A maximum is a chain of `maximum` records and needs no guard; so are `any` and `all`, which
are guarded once the program reads their result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.jit import jit
from tapegrad.numba_internals import tuple_setitem
from tapegrad.numba_protocols import Choose, Function, Implementation, Kind
from tapegrad.ops import BY_NAME, CODE
from tapegrad.record import elementwise, scans
from tapegrad.record.array import ActiveArray, as_active_data, wrap
from tapegrad.record.functions.operands import (
    NO_VALUE,
    Data,
    along,
    array_on,
    axes_of,
    is_boolean,
    kept_shape,
    lanes,
    number_data,
    selected,
    tape_of,
)
from tapegrad.record.functions.registry import check_dtype, rule, store
from tapegrad.record.kinds import Array, Operation, Shape
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.stand_ins import FUNCTIONS, cleared, is_omitted, stand_in

_INF = float("inf")
_RIGHT_NEUTRAL = {"subtract": 0.0, "divide": 1.0, "power": 1.0, "maximum": -_INF, "fmax": -_INF,
                  "minimum": _INF, "fmin": _INF}  # fmt: skip
_REORDERABLE = ("maximum", "minimum", "fmax", "fmin")
_PLAIN = ("add", "multiply", "maximum", "minimum")
_LOGICAL = ("logical_and", "logical_or", "logical_xor")


def identity(name: str) -> float | None:
    """Return what an operation's reduction of no element is, or None."""
    neutral = getattr(getattr(np, name, None), "identity", None)
    return None if neutral is None else float(neutral)


def chain_data(tape: OpenTape, name: str, a: Any, dtype: Any = None) -> tuple[Data, bool]:
    """Return the data to chain an operation over, and whether the result is boolean."""
    boolean = is_boolean(a)
    if not (boolean and dtype is not None and np.dtype(dtype).kind in "iub"):  # a count
        check_dtype(dtype, name)
    data = as_active_data(tape, a)
    if name in _LOGICAL:
        not_zero = CODE["not_equal"]
        return data if boolean else elementwise.binary(tape, not_zero, data, np.zeros(())), True
    if BY_NAME[name].boolean:
        raise UnsupportedFunctionError(f"a chain of comparisons, numpy.{name}.reduce or "
                                       "accumulate, has no rule for active arguments")  # fmt: skip
    return data, boolean and name in _REORDERABLE


def reduced(name: str, a: Any, axis: Any = None, dtype: Any = None, out: Any = None,
            keepdims: Any = False, initial: Any = None, where: Any = True) -> Any:  # fmt: skip
    """Record the reduction of a binary operation, with NumPy's arguments."""
    if (
        type(a) is ActiveArray
        and axis is dtype is out is None
        and (initial is None or initial is NO_VALUE)
        and (where is True or where is NO_VALUE)
        and (keepdims is False or keepdims is NO_VALUE)
        and a.data.size
        and not a.is_bool
        and name in _PLAIN
    ):  # the commonest call, without the general walk
        return elementwise.chain(a.tape, CODE[name], a.data)
    initial = None if initial is NO_VALUE else initial
    tape = tape_of(a, initial, out, where)
    data, boolean = chain_data(tape, name, a, dtype)
    shape = kept_shape(data.shape, axis) if keepdims is not NO_VALUE and keepdims else None
    empty = identity(name)
    if where is not True and where is not NO_VALUE:
        data = _masked(tape, name, data, where, initial)
    if empty is None and name not in _REORDERABLE and len(axes_of(data.ndim, axis)) > 1:
        raise ValueError(f"reduction operation '{name}' is not reorderable, so at most one axis "
                         "may be specified")  # fmt: skip
    if axis.__class__ is int and data.ndim > 1 and initial is None:
        (axis,) = axes_of(data.ndim, axis)
    else:
        data = lanes(data, axis)
        axis = data.ndim - 1
    if initial is not None:
        first = np.broadcast_to(as_active_data(tape, initial), (*data.shape[:-1], 1))
        data = np.concatenate([first, data], axis=-1)
    if data.shape[axis]:
        result = elementwise.reduce(tape, CODE[name], data, axis)
    elif empty is None:
        raise ValueError(f"zero-size array to reduction operation {name} which has no identity")
    else:
        result = np.full(data.shape[:axis] + data.shape[axis + 1 :], number_data(empty))
    return store(out, wrap(tape, result if shape is None else result.reshape(shape), boolean), name)


def _masked(tape: OpenTape, name: str, data: Data, where: Any, initial: Any) -> Data:
    """Return data with what the operation leaves out replaced by what changes nothing."""
    neutral = identity(name)
    if neutral is None:
        if initial is None:
            raise ValueError(f"reduction operation '{name}' does not have an identity, so to use "
                             "a where mask one has to specify 'initial'")  # fmt: skip
        if name not in _RIGHT_NEUTRAL:
            raise UnsupportedFunctionError(f"where= of numpy.{name}.reduce has no rule")
        neutral = _RIGHT_NEUTRAL[name]
    return selected(tape, where, data, number_data(neutral))


def _reduction(name: str) -> Callable[..., Any]:
    def reduction(a: Any, axis: Any = None, dtype: Any = None, out: Any = None,
                  keepdims: Any = False, initial: Any = None,
                  where: Any = True) -> Any:  # fmt: skip
        return reduced(name, a, axis, dtype, out, keepdims, initial, where)

    return reduction


def _extremum(name: str) -> Callable[..., Any]:
    def extremum(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False,
                 initial: Any = None, where: Any = True) -> Any:  # fmt: skip
        return reduced(name, a, axis, None, out, keepdims, initial, where)

    return extremum


def _truth(name: str) -> Callable[..., Any]:
    def truth(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *,
              where: Any = True) -> Any:  # fmt: skip
        return reduced(name, a, axis, None, out, keepdims, None, where)

    return truth


any_of = rule(np.any, method="any")(_truth("logical_or"))
all_of = rule(np.all, method="all")(_truth("logical_and"))


@rule(np.ptp)
def _ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    spread = maximum(a, axis, None, keepdims) - minimum(a, axis, None, keepdims)
    return store(out, spread, "ptp")


@rule(np.count_nonzero)
def _count_nonzero(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    array = array_on(tape_of(a), a)
    return total(array if array.is_bool else array != 0.0, axis, None, None, keepdims)


# --- without the NaNs -------------------------------------------------------------------------


def without_nans(a: Any, replacement: float) -> ActiveArray:
    """Return an array with another number for every NaN."""
    tape = tape_of(a)
    data = as_active_data(tape, a)
    missing = ActiveArray(tape, elementwise.unary(tape, CODE["isnan"], data), True)
    return ActiveArray(tape, selected(tape, missing, number_data(replacement), data))


def _nan_reduction(name: str) -> Callable[..., Any]:
    neutral = identity(name)
    assert neutral is not None

    def reduction(a: Any, axis: Any = None, dtype: Any = None, out: Any = None,
                  keepdims: Any = False, initial: Any = None,
                  where: Any = True) -> Any:  # fmt: skip
        whole = without_nans(a, neutral)
        return reduced(name, whole, axis, dtype, out, keepdims, initial, where)

    return reduction


rule(np.nansum)(_nan_reduction("add"))
rule(np.nanprod)(_nan_reduction("multiply"))


# --- running results --------------------------------------------------------------------------


def accumulated(name: str, a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Record the running results of a binary operation, with NumPy's arguments."""
    tape = tape_of(a, out)
    data, boolean = chain_data(tape, name, a, dtype)
    data, axis = along(data, axis)
    return store(out, wrap(tape, scans.accumulate(tape, CODE[name], data, axis), boolean), name)


def _running(name: str, skip_nans: bool = False) -> Callable[..., Any]:
    def running(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        whole = without_nans(a, identity(name) or 0.0) if skip_nans else a
        return accumulated(name, whole, axis, dtype, out)

    return running


rule(np.nancumsum)(_running("add", skip_nans=True))
rule(np.nancumprod)(_running("multiply", skip_nans=True))


def _cumulative(name: str) -> Callable[..., Any]:
    def cumulative(x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None,
                   include_initial: bool = False) -> Any:  # fmt: skip
        tape = tape_of(x, out)
        data = as_active_data(tape, x)
        data = np.atleast_1d(data)
        if axis is None and data.ndim > 1:
            raise ValueError("for an array of several axes, `axis` must be given")
        if include_initial:
            axis = axes_of(data.ndim, 0 if axis is None else axis)[0]
            first = data.shape[:axis] + (1,) + data.shape[axis + 1 :]
            data = np.concatenate([np.full(first, number_data(identity(name) or 0.0)), data], axis)
        return accumulated(name, ActiveArray(tape, data, is_boolean(x)), axis, dtype, out)

    return cumulative


for _name, _of in (("cumulative_sum", "add"), ("cumulative_prod", "multiply")):
    if hasattr(np, _name):  # since NumPy 2.1
        rule(getattr(np, _name))(_cumulative(_of))


# --- in compiled code -------------------------------------------------------------------------


@jit
def chain(operation: Operation, a: Array, start: float) -> Any:
    """Return the chain of an operation over all elements; `start` if there are none.

    Where that is NaN, there must be some.
    """
    if a.size == 0 and start != start:
        raise ValueError("zero-size array to reduction operation not possible")
    result = start
    first = True
    for number in a.flat:
        result = number if first else operation(result, number)
        first = False
    return result


@jit
def _along(operation: Operation, a: Array, axis: int, start: float) -> Any:
    """Return the chains along an axis, flattened."""
    axis = axis % a.ndim
    outer = inner = 1
    for k in range(axis):
        outer *= a.shape[k]
    for k in range(axis + 1, a.ndim):
        inner *= a.shape[k]
    parts = a.copy().reshape((outer, a.shape[axis], inner))
    out = cleared(outer * inner, a)
    for i in range(outer):
        for j in range(inner):
            out[i * inner + j] = chain(operation, parts[i, :, j], start)
    return out


@jit
def _others(shape: Shape, axis: int) -> Shape:
    """Return a shape without the length of one axis."""
    axis = axis % len(shape)
    rest = shape[1:]
    for k in range(axis):
        rest = tuple_setitem(rest, k, shape[k])
    return rest


def _in_numba(name: str) -> Choose:
    """Return what chooses the implementation of a reduction by an operation."""
    operation, neutral = getattr(np, name), identity(name)
    start = np.nan if neutral is None else neutral

    def choose(a: Kind, axis: Kind | None = None) -> Implementation | None:
        if is_omitted(axis) or a.ndim == 1:
            return lambda a, axis=None: chain(operation, a, start)
        if a.ndim == 2:
            return lambda a, axis=None: _along(operation, a, axis, start)
        return lambda a, axis=None: _along(operation, a, axis, start).reshape(
            _others(a.shape, axis)
        )

    return choose


@stand_in(np.ptp)
def _ptp_of_all(a: Kind) -> Implementation | None:
    return lambda a: chain(np.maximum, a, np.nan) - chain(np.minimum, a, np.nan)


@stand_in(np.nansum, reads=True)
def _nansum(a: Kind) -> Implementation | None:
    def implementation(a: Array) -> Any:
        out = cleared(1, a)
        for number in a.flat:
            if not np.isnan(number):
                out[0] += number
        return out[0]

    return implementation


@jit
def _running_chain(operation: Operation, a: Array) -> Array:
    out = a.ravel().copy()
    for i in range(1, len(out)):
        out[i] = operation(out[i - 1], out[i])
    return out


def _running_in_numba(name: str) -> Choose:
    operation = getattr(np, name)

    def choose(a: Kind) -> Implementation | None:
        return lambda a: _running_chain(operation, a)

    return choose


# --- in Python and in compiled code -----------------------------------------------------------


def _everywhere(recorder: Callable[[str], Function], name: str, *functions: Function,
                method: str = "") -> Function:  # fmt: skip
    """Register reductions by an operation as NumPy's functions, in compiled code too."""
    stand_in(*functions, method=method)(_in_numba(name))
    return rule(*functions, method=method)(recorder(name))


total = _everywhere(_reduction, "add", np.sum, method="sum")
product = _everywhere(_reduction, "multiply", np.prod, method="prod")
maximum = _everywhere(_extremum, "maximum", np.max, np.amax, method="max")
minimum = _everywhere(_extremum, "minimum", np.min, np.amin, method="min")
_everywhere(_extremum, "fmax", np.nanmax)
_everywhere(_extremum, "fmin", np.nanmin)
sum_ = FUNCTIONS[np.sum]

for _name, _function in (("add", np.cumsum), ("multiply", np.cumprod)):
    rule(_function, method=_function.__name__)(_running(_name))
    stand_in(_function, method=_function.__name__)(_running_in_numba(_name))
