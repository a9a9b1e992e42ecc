"""Methods of ufuncs, and their keyword arguments, for every binary operation of the table."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.ops import CODE, OPS
from tapegrad.record import scans
from tapegrad.record.array import ActiveArray, as_active_data, plain_index, wrap
from tapegrad.record.functions.operands import along, array_on, is_active, is_boolean, tape_of
from tapegrad.record.functions.reductions import accumulated, chain_data, reduced
from tapegrad.record.functions.registry import (
    RULES,
    call_ufunc,
    check_dtype,
    code_of,
    store,
    ufunc_method,
)
from tapegrad.record.refusals import no_store

_LAYOUT = ("casting", "order", "subok")  # nothing a float64 result depends on


def _operation(ufunc: np.ufunc, method: str, arity: int = 2) -> str:
    """Return the operation of the table that a method chains."""
    if arity == 2 and ufunc.nin != 2:
        raise ValueError(f"{method} only supported for binary functions")
    if ufunc in RULES or ufunc.nout != 1:
        raise UnsupportedFunctionError(
            f"numpy.{ufunc.__name__}.{method} has no rule for active arguments"
        )
    return OPS[code_of(ufunc)].name


@ufunc_method("__call__")
def _call(ufunc: np.ufunc, *inputs: Any, out: Any = None, where: Any = True, dtype: Any = None,
          **kwargs: Any) -> Any:  # fmt: skip
    if ufunc.signature is not None and "axis" in kwargs:  # the rule of a generalized ufunc
        return store(out and out[0], RULES[ufunc](*inputs, axis=kwargs["axis"]), ufunc.__name__)
    unknown = [name for name in kwargs if name not in _LAYOUT]
    if unknown:
        raise UnsupportedFunctionError(
            f"numpy.{ufunc.__name__} with {', '.join(unknown)}= has no rule for active arguments"
        )
    result = call_ufunc(ufunc, inputs) if is_active(list(inputs)) else ufunc(*inputs)
    if not (dtype is not None and is_boolean(result) and np.dtype(dtype) == np.bool_):
        check_dtype(dtype, ufunc.__name__)
    if not isinstance(result, tuple):
        return store(out and out[0], result, ufunc.__name__, where)
    outs = out or (None,) * len(result)
    return tuple(store(one, part, ufunc.__name__, where)
                 for one, part in zip(outs, result, strict=True))  # fmt: skip


@ufunc_method("reduce")
def _reduce(ufunc: np.ufunc, array: Any, axis: Any = 0, dtype: Any = None, out: Any = (None,),
            keepdims: Any = False, initial: Any = None, where: Any = True) -> Any:  # fmt: skip
    name = _operation(ufunc, "reduce")
    return reduced(name, array, axis, dtype, out[0], keepdims, initial, where)


@ufunc_method("accumulate")
def _accumulate(ufunc: np.ufunc, array: Any, axis: Any = 0, dtype: Any = None,
                out: Any = (None,)) -> Any:  # fmt: skip
    name = _operation(ufunc, "accumulate")
    if np.ndim(array) == 0:
        raise TypeError("cannot accumulate on a scalar")
    return accumulated(name, array, axis, dtype, out[0])


@ufunc_method("outer")
def _outer(ufunc: np.ufunc, a: Any, b: Any, **kwargs: Any) -> Any:
    tape = tape_of(a, b)
    x, y = array_on(tape, a), array_on(tape, b)
    return ufunc(x.reshape((*x.shape, *[1] * y.ndim)), y, **kwargs)


@ufunc_method("reduceat")
def _reduceat(ufunc: np.ufunc, array: Any, indices: Any, axis: Any = 0, dtype: Any = None,
              out: Any = (None,)) -> Any:  # fmt: skip
    name = _operation(ufunc, "reduceat")
    if np.ndim(array) == 0:
        raise TypeError("cannot reduceat on a scalar")
    tape = tape_of(array, out[0])
    data, boolean = chain_data(tape, name, array, dtype)
    data, axis = along(data, axis)
    moved = np.moveaxis(data, axis, 0)
    starts = np.asarray(indices, np.intp)
    if np.any((starts < 0) | (starts >= len(moved))):
        raise IndexError(f"an index of {name}.reduceat is out of bounds for an axis of length "
                         f"{len(moved)}")  # fmt: skip
    stops = np.append(starts[1:], len(moved))
    later = [np.arange(start + 1, max(stop, start + 1))
             for start, stop in zip(starts, stops, strict=True)]  # fmt: skip
    width = moved[:1].size
    result = np.ascontiguousarray(moved[starts])
    segments = np.repeat(np.arange(len(starts)), [len(part) for part in later])
    positions = (segments[:, np.newaxis] * width + np.arange(width)).reshape(-1)
    operands = moved[np.concatenate([np.arange(0), *later])].reshape(-1)
    scans.update(tape, CODE[name], result.reshape(-1), positions, operands)
    return store(out[0], wrap(tape, np.moveaxis(result, 0, axis), boolean), name)


@ufunc_method("at")
def _at(ufunc: np.ufunc, a: Any, indices: Any, b: Any = None) -> None:
    name = _operation(ufunc, "at", ufunc.nin)
    if not isinstance(a, ActiveArray):
        raise no_store(f"numpy.{ufunc.__name__}.at")
    tape = tape_of(a, b)
    index = np.arange(a.size).reshape(a.shape)[plain_index(indices)]
    operands = as_active_data(tape, 0.0 if ufunc.nin == 1 else b)
    operands = np.ascontiguousarray(np.broadcast_to(operands, np.shape(index))).reshape(-1)
    result = as_active_data(tape, a).copy()
    scans.update(tape, CODE[name], result.reshape(-1), np.ravel(index), operands)
    a[...] = ActiveArray(tape, result)
