"""Differences, integrals, interpolation, convolution and polynomials."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from tapegrad.jit import Kernel, jit
from tapegrad.numba_protocols import Implementation, Kind
from tapegrad.ops import CODE
from tapegrad.record.active import run_reading
from tapegrad.record.array import ActiveArray, as_active_data, wrap
from tapegrad.record.functions.operands import NO_VALUE, array_on, is_active, tape_of
from tapegrad.record.functions.order import is_nan, state, state_nan, value_of
from tapegrad.record.functions.reductions import sum_, total
from tapegrad.record.functions.registry import rule
from tapegrad.record.functions.sorting import stated_place
from tapegrad.record.kinds import ACTIVE, ActiveValue, Array, Index, Operand, active
from tapegrad.record.stand_ins import as_array, cleared, is_omitted, like_given, shared, stand_in


def _slices(ndim: int, axis: int, *args: Any) -> tuple[slice, ...]:
    """Return an index that slices one axis."""
    index = [slice(None)] * ndim
    index[axis] = slice(*args)
    return tuple(index)


@rule(np.diff)
def _diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = NO_VALUE,
          append: Any = NO_VALUE) -> Any:  # fmt: skip
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n!r}")
    tape = tape_of(a, *(x for x in (prepend, append) if x is not NO_VALUE))
    array = array_on(tape, a)
    axis = normalize_axis_index(axis, array.ndim)

    def border(values: Any) -> list[Any]:
        if values is NO_VALUE:
            return []
        values = array_on(tape, values)
        shape = (*array.shape[:axis], 1, *array.shape[axis + 1 :])
        return [np.broadcast_to(values, shape) if values.ndim == 0 else values]

    array = np.concatenate([*border(prepend), array, *border(append)], axis=axis)
    return np.moveaxis(_differences(np.moveaxis(array, axis, -1), n), -1, axis)


@shared
def _differences(a: Any, n: int) -> Any:
    """Return the n-th differences along the last axis; for Python and compiled code."""
    for _ in range(n):
        a = a[..., 1:] - a[..., :-1]
    return a


@stand_in(np.diff)
def _diff_in_numba(a: Kind, n: Kind = 1) -> Implementation | None:
    return lambda a, n=1: _differences(a, n)


@rule(np.ediff1d)
def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    flat = np.ravel(ary)
    parts = [np.ravel(part) for part in (to_begin,) if part is not None]
    parts.append(flat[1:] - flat[:-1])
    parts += [np.ravel(part) for part in (to_end,) if part is not None]
    return np.concatenate(parts)


@rule(np.gradient)
def _gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    tape = tape_of(f, *varargs)
    f = array_on(tape, f)
    axes = normalize_axis_tuple(range(f.ndim) if axis is None else axis, f.ndim)
    if len(varargs) not in (0, 1, len(axes)):
        raise TypeError("invalid number of arguments")
    if edge_order not in (1, 2):
        raise ValueError("'edge_order' greater than 2 not supported")
    spacings = list(varargs) if len(varargs) == len(axes) else list(varargs or (1.0,)) * len(axes)
    results = tuple(
        _gradient_along(f, spacing, axis, edge_order)
        for spacing, axis in zip(spacings, axes, strict=True)
    )
    return results[0] if len(results) == 1 else results


def _gradient_along(f: Any, spacing: Any, axis: int, edge_order: int) -> Any:
    """Return second-order central differences, and one-sided ones at the ends."""
    y = np.moveaxis(f, axis, 0)
    if len(y) < edge_order + 1:
        raise ValueError("Shape of array too small to calculate a numerical gradient, at least "
                         "(edge_order + 1) elements are required.")  # fmt: skip
    tail = (1,) * (y.ndim - 1)
    steps = np.diff(spacing) if np.ndim(spacing) else spacing + 0.0 * np.arange(len(y) - 1.0)
    if np.ndim(spacing) and len(spacing) != len(y):
        raise ValueError("when 1d, distances must match the length of the corresponding dimension")
    h = steps.reshape((-1, *tail))
    before, after = h[:-1], h[1:]
    middle = (
        -after / (before * (before + after)) * y[:-2]
        + (after - before) / (before * after) * y[1:-1]
        + before / (after * (before + after)) * y[2:]
    )
    if edge_order == 1:
        first, last = (y[1:2] - y[:1]) / h[:1], (y[-1:] - y[-2:-1]) / h[-1:]
    else:
        first = _one_sided(y[0:1], y[1:2], y[2:3], h[:1], h[1:2])
        last = -_one_sided(y[-1:], y[-2:-1], y[-3:-2], h[-1:], h[-2:-1])
    return np.moveaxis(np.concatenate([first, middle, last]), 0, axis)


def _one_sided(y0: Any, y1: Any, y2: Any, h1: Any, h2: Any) -> Any:
    return (
        -(2.0 * h1 + h2) / (h1 * (h1 + h2)) * y0
        + (h1 + h2) / (h1 * h2) * y1
        - h1 / (h2 * (h1 + h2)) * y2
    )


@rule(np.unwrap)
def _unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2.0 * np.pi) -> Any:
    tape = tape_of(p, discont, period)
    phases = array_on(tape, p)
    axis = normalize_axis_index(axis, phases.ndim)
    rises = np.diff(phases, axis=axis)
    half = period / 2
    wrapped = np.mod(rises + half, period) - half
    wrapped = np.where(np.logical_and(wrapped == -half, rises > 0.0), half, wrapped)
    is_step = abs(rises) < (half if discont is None else discont)
    corrections = np.cumsum(np.where(is_step, 0.0, wrapped - rises), axis=axis)
    unwrapped = phases.copy()
    later = _slices(phases.ndim, axis, 1, None)
    unwrapped[later] = phases[later] + corrections
    return unwrapped


@shared
def _panels(y: Any, dx: Any) -> Any:
    """Return the areas below the lines that join points; for Python and compiled code."""
    return dx * (y[..., 1:] + y[..., :-1]) / 2.0


@stand_in(np.trapezoid, of_numbers=True)
def _trapezoid_in_numba(y: Kind, x: Kind | None = None, dx: Kind = 1.0) -> Implementation | None:
    if is_omitted(x):
        return lambda y, x=None, dx=1.0: sum_(_panels(y, dx), -1)
    return lambda y, x=None, dx=1.0: sum_(_panels(y, x[..., 1:] - x[..., :-1]), -1)


@rule(np.trapezoid)
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    tape = tape_of(y, x, dx)
    y = np.moveaxis(array_on(tape, y), axis, -1)
    if x is not None:
        x = array_on(tape, x)
        dx = np.diff(x if x.ndim == 1 else np.moveaxis(x, axis, -1))
    return total(_panels(y, dx), -1)


@jit
def _interpolate(
    out: Array,
    index: Index,
    x: ActiveValue,
    xp: Array,
    fp: Array,
    left: Array,
    right: Array,
    has_right: bool,
) -> None:
    """Store what lies at `x` on the lines between knots, or beyond the last of them."""
    if is_nan(x):
        state_nan(x)
        out[index] = np.nan
        return
    after = stated_place(xp, x, True)
    if after == 0:
        out[index] = left[0]
    elif after < len(xp):
        slope = (fp[after] - fp[after - 1]) / (xp[after] - xp[after - 1])
        out[index] = slope * (x - xp[after - 1]) + fp[after - 1]
    else:
        out[index] = fp[after - 1]
        if has_right:
            state(_GREATER, x, xp[after - 1])
            if value_of(x) > value_of(xp[after - 1]):
                out[index] = right[0]


def _interpolate_all(
    x: Array, xp: Array, fp: Array, left: Array, right: Array, has_right: bool, out: Array
) -> None:
    for i in range(len(x)):
        _interpolate(out, i, x[i], xp, fp, left, right, has_right)


_GREATER = CODE["greater"]
_line = types.Array(active, 1, "A")
_interpolating = Kernel(
    _interpolate_all, types.void(*[_line] * 5, types.boolean, _line), records=True
)


def interp_stated(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    """Return `np.interp`, which knots a place is between being stated."""
    tape = tape_of(x, xp, fp, left, right)
    at, knots, values = (array_on(tape, part) for part in (x, xp, fp))
    out = np.empty(at.size, ACTIVE)
    beyond = [values[k] if number is None else number for k, number in ((0, left), (-1, right))]
    ends = [np.reshape(as_active_data(tape, number), 1) for number in beyond]
    parts = [array.data for array in (at.ravel(), knots, values)]
    run_reading(tape, _interpolating, *parts, *ends, right is not None, out)
    return wrap(tape, out.reshape(at.shape))


@rule(np.convolve)
def _convolve(a: Any, v: Any, mode: str = "full") -> Any:
    tape = tape_of(a, v)
    a, v = (np.atleast_1d(array_on(tape, part)) for part in (a, v))
    if a.ndim > 1 or v.ndim > 1:
        raise ValueError("object too deep for desired array: a and v must be 1-d")
    if not len(a) or not len(v):
        raise ValueError("a and v cannot be empty")
    if len(v) > len(a):
        a, v = v, a
    length, width = len(a), len(v)
    full = ActiveArray(tape, np.zeros(length + width - 1, ACTIVE))
    for k in range(width):
        full[k : k + length] = full[k : k + length] + a * v[k]
    if mode == "full":
        return full
    if mode == "valid":
        return full[width - 1 : length]
    if mode != "same":
        raise ValueError(f"mode must be one of 'valid', 'same', or 'full' (got {mode!r})")
    start = (width - 1) // 2
    return full[start : start + length]


@rule(np.correlate)
def _correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    if np.ndim(a) == 0 or np.ndim(v) == 0:
        raise ValueError("object of too small depth for desired array: a and v must be 1-d")
    tape = tape_of(a, v)
    first, flipped = array_on(tape, a), array_on(tape, v)[::-1]
    if mode == "same" and len(flipped) > len(first):  # NumPy swaps them, and turns the result
        start = len(first) // 2
        return _convolve(first, flipped)[start : start + len(flipped)]
    return _convolve(first, flipped, mode)


@rule(np.polyval, is_compiled=True)
def _polyval(p: Any, x: Any) -> Any:
    result: Any = x * 0.0
    for coefficient in p:
        result = result * x + coefficient
    return result


@rule(np.vander)
def _vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:  # noqa: N803
    count = len(x) if N is None else N
    powers = [np.ones_like(x)]
    for _ in range(count - 1):
        powers.append(powers[-1] * x)
    columns = powers[:count] if increasing else powers[:count][::-1]
    return np.stack(columns, axis=1) if columns else np.reshape(x[:0], (len(x), 0))


# --- evenly spaced numbers --------------------------------------------------------------------


@rule(np.linspace)
def _linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False,
              dtype: Any = None, axis: int = 0, **kwargs: Any) -> Any:  # fmt: skip
    tape = tape_of(start, stop)
    first, last = array_on(tape, start), array_on(tape, stop)
    parts = num - 1 if endpoint else num
    step = (last - first) / parts if parts > 0 else (last - first) * np.nan
    shape = np.broadcast_shapes(first.shape, last.shape)
    points = np.arange(float(num)).reshape((-1,) + (1,) * len(shape))
    spaced = points * step + first if parts > 0 else points * 0.0 + first
    if endpoint and num > 1:
        spaced[-1] = stop
    spaced = np.moveaxis(spaced, 0, axis) if axis else spaced
    return (spaced, step) if retstep else spaced


@rule(np.logspace)
def _logspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0,
              dtype: Any = None, axis: int = 0) -> Any:  # fmt: skip
    if is_active(start) or is_active(stop):
        exponents = _linspace(start, stop, num, endpoint, axis=axis)
    else:
        exponents = np.linspace(start, stop, num, endpoint, axis=axis)
    return np.power(base, exponents)


@rule(np.geomspace)
def _geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None,
               axis: int = 0) -> Any:  # fmt: skip
    tape = tape_of(start, stop)
    first, last = array_on(tape, start), array_on(tape, stop)
    exponents = _linspace(np.log(abs(first)), np.log(abs(last)), num, endpoint)
    spaced = np.sign(first) * np.exp(exponents)
    if num:
        spaced[0] = start
    if endpoint and num > 1:
        spaced[-1] = stop
    return np.moveaxis(spaced, 0, axis) if axis else spaced


# --- in compiled code -------------------------------------------------------------------------


@stand_in(np.interp, of_numbers=True, reads=True)
def _interp_in_numba(x: Kind, xp: Kind, fp: Kind) -> Implementation | None:
    def implementation(x: Operand, xp: Array, fp: Array) -> Any:
        if len(xp) != len(fp) or len(xp) == 0:
            raise ValueError("fp and xp are not of the same length, or empty")
        points = as_array(x)
        out = cleared(points.shape, (x, xp, fp))
        for index in np.ndindex(points.shape):
            _interpolate(out, index, points[index], xp, fp, fp[:1], fp[:1], False)
        return like_given(out, x)

    return implementation
