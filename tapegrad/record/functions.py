"""NumPy's functions on active numbers and arrays: one rule a function.

`RULES` maps a NumPy function to the function that records it; a function that only moves
elements needs no more than its name in `_MOVES`. Ufuncs are looked up in the table of
elementary operations by NumPy's and scipy.special's own names.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.ops import CODE, OPS
from tapegrad.record import elementwise, operators
from tapegrad.record.active import Active, binary, power, unary
from tapegrad.record.array import (
    ActiveArray,
    apply,
    as_active_data,
    as_data,
    tapes_in,
    wrap,
)
from tapegrad.record.native import ACTIVE
from tapegrad.record.nesting import innermost

F = TypeVar("F", bound=Callable[..., Any])
RULES: dict[Callable[..., Any], Callable[..., Any]] = {}


def rule(*functions: Callable[..., Any]) -> Callable[[F], F]:
    """Register the decorated function as the rule of NumPy's `functions`."""

    def register(recorder: F) -> F:
        RULES.update(dict.fromkeys(functions, recorder))
        return recorder

    return register


# --- ufuncs -----------------------------------------------------------------------------------


def _resolve(ufunc: np.ufunc) -> int | None:
    """Return the operation that a ufunc of NumPy or scipy.special is."""
    name = ufunc.__name__
    for op in OPS:
        if name in op.ufuncs and getattr(np, name, None) is ufunc:
            return op.code
        special = sys.modules.get("scipy.special")
        if name == op.special and getattr(special, name, None) is ufunc:
            return op.code
    return None


_codes: dict[np.ufunc, int | None] = {}


def _code_of(ufunc: np.ufunc) -> int:
    if ufunc not in _codes:
        _codes[ufunc] = _resolve(ufunc)
    code = _codes[ufunc]
    if code is None:
        raise UnsupportedFunctionError(
            f"{ufunc.__name__} has no rule for active arguments; write it with functions that "
            "have one (tapegrad.supported() lists them), or apply it to stop_gradient(x) if its "
            "derivative is not wanted"
        )
    return code


_REDUCERS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
}


_COMPOSITE: dict[np.ufunc, Callable[..., Any]] = {
    np.matmul: lambda a, b: matmul(a, b),
    np.divmod: lambda a, b: (np.floor_divide(a, b), np.remainder(a, b)),
}


def array_ufunc(self: Any, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Record a ufunc; NumPy's `__array_ufunc__` protocol."""
    if method == "__call__" and not kwargs:
        return _call(ufunc, inputs)
    _check_dtype(kwargs.pop("dtype", None), ufunc.__name__)
    if method == "reduce" and ufunc in _REDUCERS:
        kwargs.setdefault("axis", 0)
        if "out" in kwargs:
            kwargs["out"] = kwargs["out"][0]
        return RULES[_REDUCERS[ufunc]](*inputs, **kwargs)
    out = kwargs.pop("out", None)
    if method != "__call__" or kwargs:
        detail = f".{method}" if method != "__call__" else f" with {', '.join(kwargs)}="
        raise UnsupportedFunctionError(
            f"numpy.{ufunc.__name__}{detail} has no rule for active arguments"
        )
    result = _call(ufunc, inputs)
    return result if out is None else _store(out[0], result, ufunc.__name__)


def _call(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Any:
    composite = _COMPOSITE.get(ufunc)
    if composite is not None:
        return composite(*inputs)
    code = _code_of(ufunc)
    if len(inputs) == 1 and isinstance(inputs[0], Active):
        return unary(code, inputs[0])
    if len(inputs) == 2 and not any(isinstance(x, ActiveArray | np.ndarray) for x in inputs):
        recorded = power(*inputs) if code == CODE["power"] else binary(code, *inputs)
        if recorded is not NotImplemented:
            return recorded
    return apply(code, *inputs)


def _check_dtype(dtype: Any, name: str) -> None:
    if dtype is not None and np.dtype(dtype) != np.float64:
        raise UnsupportedFunctionError(f"{name} of active numbers is float64, not {dtype}")


def _store(out: Any, result: Any, name: str) -> Any:
    if not isinstance(out, ActiveArray):
        raise UnsupportedFunctionError(
            f"{name} can't store active numbers in a plain array (`out=` or an in-place operator): "
            "make that array with np.zeros_like of an active one, or write x = x + y for x += y"
        )
    out[...] = result
    return out


def array_function(self: Any, function: Any, kinds: Any, args: Any, kwargs: Any) -> Any:
    """Record a NumPy function; NumPy's `__array_function__` protocol."""
    recorder = RULES.get(function)
    if recorder is None:
        module = getattr(function, "__module__", "numpy")
        raise UnsupportedFunctionError(
            f"{module}.{function.__name__} has no rule for active arguments; write it with "
            "functions that have one (tapegrad.supported() lists them), or apply it to "
            "stop_gradient(x) if its derivative is not wanted"
        )
    return recorder(*args, **kwargs)


operators.install()
for _kind in (Active, ActiveArray):
    _kind.__array_ufunc__ = array_ufunc  # type: ignore[union-attr]
    _kind.__array_function__ = array_function  # type: ignore[union-attr]


def supported() -> list[str]:
    """Return the names of the NumPy and scipy.special functions that can be recorded."""
    names = {f"numpy.{name}" for op in OPS for name in op.ufuncs}
    names |= {f"scipy.special.{op.special}" for op in OPS if op.special}
    names |= {f"numpy.{function.__name__}" for function in RULES}
    return sorted(names)


# --- functions that only move elements --------------------------------------------------------

_MOVES: tuple[Callable[..., Any], ...] = (
    np.reshape, np.ravel, np.transpose, np.squeeze, np.expand_dims, np.broadcast_to, np.copy,
    np.swapaxes, np.moveaxis, np.concatenate, np.stack, np.hstack, np.vstack, np.column_stack,
    np.atleast_1d, np.atleast_2d, np.flip, np.roll, np.tile, np.repeat, np.diagonal,
)  # fmt: skip


def _mover(function: Callable[..., Any]) -> Callable[..., Any]:
    def move(first: Any, *args: Any, **kwargs: Any) -> Any:
        tape = innermost(tapes_in(first))
        is_sequence = isinstance(first, list | tuple)
        parts = [as_active_data(tape, part) for part in (first if is_sequence else [first])]
        moved = function(parts if is_sequence else parts[0], *args, **kwargs)
        kinds = [getattr(part, "dtype", None) for part in (first if is_sequence else [first])]
        return wrap(tape, moved, all(kind == np.bool_ for kind in kinds))

    return move


for _function in _MOVES:
    RULES[_function] = _mover(_function)


# --- making arrays ----------------------------------------------------------------------------


@rule(np.zeros_like, np.empty_like)
def _zeros_like(a: Any, dtype: Any = None, order: Any = "K", subok: Any = True, shape: Any = None,
                **kwargs: Any) -> Any:  # fmt: skip
    tape = innermost(tapes_in(a))
    return ActiveArray(tape, np.zeros(np.shape(a) if shape is None else shape, ACTIVE))


@rule(np.ones_like)
def _ones_like(a: Any, *args: Any, **kwargs: Any) -> Any:
    return _full_like(a, 1.0)


@rule(np.full_like)
def _full_like(a: Any, fill_value: Any, *args: Any, **kwargs: Any) -> Any:
    tape = innermost(tapes_in(a, fill_value))
    full = ActiveArray(tape, np.zeros(np.shape(a), ACTIVE))
    full[...] = fill_value
    return full


@rule(np.shape)
def _shape(a: Any) -> tuple[int, ...]:
    return a.shape  # type: ignore[no-any-return]


@rule(np.ndim)
def _ndim(a: Any) -> int:
    return len(a.shape)


@rule(np.size)
def _size(a: Any, axis: int | None = None) -> int:
    return int(np.prod(a.shape)) if axis is None else int(a.shape[axis])


# --- choices ----------------------------------------------------------------------------------


@rule(np.where)
def _where(condition: Any, *branches: Any) -> Any:
    if len(branches) != 2:
        truth = condition.truth() if isinstance(condition, ActiveArray) else condition
        return np.where(np.asarray(truth))
    x, y = branches
    tape = innermost(tapes_in(condition, x, y))
    if isinstance(condition, Active | ActiveArray):
        return apply(CODE["add"], apply(CODE["keep"], condition, x),
                     apply(CODE["drop"], condition, y))  # fmt: skip
    chosen = np.where(condition, as_active_data(tape, x), as_active_data(tape, y))
    return wrap(tape, chosen)


@rule(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None,
          max: Any = None) -> Any:  # fmt: skip
    lower, upper = (a_min if min is None else min), (a_max if max is None else max)
    clipped = a if lower is None else np.maximum(a, lower)
    clipped = clipped if upper is None else np.minimum(clipped, upper)
    return clipped if out is None else _store(out, clipped, "clip")


@rule(np.any)
def _any(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return a.truth().any(axis=axis, keepdims=keepdims)


@rule(np.all)
def _all(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return a.truth().all(axis=axis, keepdims=keepdims)


# --- reductions -------------------------------------------------------------------------------


def _reduced(name: str, identity: float | None) -> Callable[..., Any]:
    code = CODE[name]

    def reduce(a: Any, axis: Any = None, dtype: Any = None, out: Any = None,
               keepdims: Any = False, initial: Any = None, **kwargs: Any) -> Any:  # fmt: skip
        _check_dtype(dtype, name)
        if any(value is not True and value is not np._NoValue for value in kwargs.values()):
            raise UnsupportedFunctionError(f"where= of a reduction ({name}) has no rule")
        tape = innermost(tapes_in(a, initial))
        data = as_active_data(tape, a)
        named = range(data.ndim) if axis is None else np.atleast_1d(axis).tolist()
        axes = sorted(k % data.ndim for k in named) if data.ndim else []
        kept = tuple(1 if k in axes else n for k, n in enumerate(data.shape))
        if initial in (None, np._NoValue):
            initial = None
        for k in reversed(axes):
            if data.shape[k] == 0:
                if identity is None and initial is None:
                    raise ValueError(f"zero-size array to reduction operation {name} which has "
                                     "no identity")  # fmt: skip
                empty = np.zeros(data.shape[:k] + data.shape[k + 1 :], ACTIVE)
                empty["value"] = identity if initial is None else initial
                data = empty
            else:
                data = elementwise.reduce(tape, code, data, k)
        result = wrap(tape, data.reshape(kept) if keepdims is True else data)
        result = result if initial is None else apply(code, initial, result)
        return result if out is None else _store(out, result, name)

    return reduce


_sum = rule(np.sum)(_reduced("add", 0.0))
_prod = rule(np.prod)(_reduced("multiply", 1.0))


def _extremum(name: str) -> Callable[..., Any]:
    reduce = _reduced(name, None)

    def extremum(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False,
                 initial: Any = None, **kwargs: Any) -> Any:  # fmt: skip
        return reduce(a, axis, None, out, keepdims, initial, **kwargs)

    return extremum


_max = rule(np.max, np.amax)(_extremum("maximum"))
_min = rule(np.min, np.amin)(_extremum("minimum"))


@rule(np.mean)
def _mean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
          **kwargs: Any) -> Any:  # fmt: skip
    total = _sum(a, axis, dtype, None, keepdims, **kwargs)
    count = a.size / max(getattr(total, "size", 1), 1)
    mean = total / count if count else total * np.nan
    return mean if out is None else _store(out, mean, "mean")


# --- products ---------------------------------------------------------------------------------


@rule(np.dot)
def _dot(a: Any, b: Any, out: Any = None) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        product = np.multiply(a, b)
    elif np.ndim(b) > 2 or np.ndim(a) > 2:
        raise UnsupportedFunctionError("numpy.dot has a rule for at most two dimensions; use "
                                       "numpy.matmul for stacks of matrices")  # fmt: skip
    else:
        product = matmul(a, b)
    return product if out is None else _store(out, product, "dot")


def matmul(a: Any, b: Any) -> Any:
    """Record `a @ b` with NumPy's rules for vectors and stacks of matrices."""
    tape = innermost(tapes_in(a, b))
    x, y = as_data(tape, a), as_data(tape, b)
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError("matmul needs arrays of one dimension at least, not numbers")
    vector_x, vector_y = x.ndim == 1, y.ndim == 1
    x = x[np.newaxis, :] if vector_x else x
    y = y[:, np.newaxis] if vector_y else y
    if x.shape[-1] != y.shape[-2]:
        raise ValueError(f"matmul: shapes {np.shape(a)} and {np.shape(b)} don't fit")
    stack = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    result = np.zeros((*stack, x.shape[-2], y.shape[-1]), ACTIVE)
    if x.shape[-1]:
        x = np.broadcast_to(x, stack + x.shape[-2:])
        y = np.broadcast_to(y, stack + y.shape[-2:])
        for index in np.ndindex(*stack):
            result[index] = elementwise.matmul(tape, x[index], y[index])
    result = result[..., 0, :] if vector_x else result
    return wrap(tape, result[..., 0] if vector_y else result)


_METHODS = {"__matmul__": matmul, "__rmatmul__": lambda self, other: matmul(other, self),
            "sum": _sum, "prod": _prod, "mean": _mean, "max": _max, "min": _min, "dot": _dot,
            "clip": _clip, "any": _any, "all": _all}  # fmt: skip
for _name, _rule in _METHODS.items():
    setattr(ActiveArray, _name, _rule)
