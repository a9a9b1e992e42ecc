"""NumPy's functions of complex numbers that are made of others: choices, stores, reductions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.array import tapes_in
from tapegrad.record.complex_numbers.complex_by_parts import check_complex, multilinear
from tapegrad.record.complex_numbers.complex_shapes import shape_of
from tapegrad.record.complex_numbers.complex_types import (
    ComplexArray,
    complex_array,
    paired,
    parts,
)
from tapegrad.record.complex_numbers.complex_ufuncs import stored, truth_of
from tapegrad.record.functions.einsum import parsed
from tapegrad.record.functions.operands import axes_of, truth
from tapegrad.record.functions.registry import (
    COMPLEX_RULES,
    RULES,
    complex_rule,
    no_rule,
    ufunc_method,
)
from tapegrad.record.nesting import innermost
from tapegrad.record.pairs import is_complex


def _is_given(argument: Any) -> bool:
    return argument is not None and argument is not np._NoValue


# --- choices --------------------------------------------------------------------------------------


@complex_rule(np.where)
def _where(condition: Any, *branches: Any) -> Any:
    condition = truth_of(condition)
    if not branches:
        return np.where(condition)
    x, y = map(parts, branches)
    return paired(*(np.where(condition, *pair) for pair in zip(x, y, strict=True)))


@complex_rule(np.select)
def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError("list of cases must be same length as list of conditions, and not empty")
    chosen = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        chosen = _where(condition, choice, chosen)
    return chosen


def _of_truth(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, *args, **kwargs: function(truth_of(a), *args, **kwargs)


for _function in (np.any, np.all, np.nonzero, np.flatnonzero, np.argwhere, np.count_nonzero):
    COMPLEX_RULES[_function] = _of_truth(_function)


@complex_rule(np.compress)
def _compress(condition: Any, a: Any, axis: Any = None) -> Any:
    condition = truth(condition)
    return paired(*(np.compress(condition, part, axis) for part in parts(a)))


@complex_rule(np.extract)
def _extract(condition: Any, arr: Any) -> Any:
    return _compress(truth(condition).ravel(), arr)


@complex_rule(np.isclose)
def _isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    close = np.less_equal(np.absolute(np.subtract(a, b)), atol + rtol * np.absolute(b))
    close = np.logical_or(np.logical_and(close, np.isfinite(b)), np.equal(a, b))
    if equal_nan:
        close = np.logical_or(close, np.logical_and(np.isnan(a), np.isnan(b)))
    return close


@complex_rule(np.allclose)
def _allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    return bool(np.all(_isclose(a, b, rtol, atol, equal_nan)))


@complex_rule(np.array_equal)
def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    if shape_of(a1) != shape_of(a2):
        return False
    same = np.equal(a1, a2)
    if equal_nan:
        same = np.logical_or(same, np.logical_and(np.isnan(a1), np.isnan(a2)))
    return bool(np.all(same))


# --- what stores ----------------------------------------------------------------------------------


def _storing(function: Callable[..., Any], value: int) -> Callable[..., Any]:
    """Return the rule of a function that stores its argument at a place into its first one."""

    def store(array: Any, *args: Any, **kwargs: Any) -> None:
        if not isinstance(array, ComplexArray):
            raise UnsupportedFunctionError(
                f"numpy.{function.__name__} can't store complex numbers that depend on the input "
                "in this array: make it in the recorded function, with dtype=complex"
            )
        given = list(args)
        for own, part in zip((array.re, array.im), parts(args[value]), strict=True):
            given[value] = part
            RULES[function](own, *given, **kwargs)

    return store


for _function, _value in ((np.copyto, 0), (np.putmask, 1), (np.place, 1), (np.put, 1),
                          (np.put_along_axis, 1), (np.fill_diagonal, 0)):  # fmt: skip
    COMPLEX_RULES[_function] = _storing(_function, _value)


def _joining(function: Callable[..., Any], value: int) -> Callable[..., Any]:
    """Return the rule of a function that gives its first argument and another one together."""

    def join(array: Any, *args: Any, **kwargs: Any) -> Any:
        given, found = list(args), []
        for own, part in zip(map(_wide(array), (0, 1)), map(_wide(args[value]), (0, 1)),
                             strict=True):  # fmt: skip
            given[value] = part
            found.append(function(own, *given, **kwargs))
        return paired(*found)

    return join


def _wide(thing: Any) -> Callable[[int], Any]:
    """Return what gives either part of something in its whole shape."""
    both = parts(thing)
    return lambda k: both[k] if np.shape(both[k]) == np.shape(both[0]) else np.zeros(
        np.shape(both[0]))  # fmt: skip


COMPLEX_RULES[np.append] = _joining(np.append, 0)
COMPLEX_RULES[np.insert] = _joining(np.insert, 1)


# --- reductions -----------------------------------------------------------------------------------


def _chained(z: Any, axis: int) -> Any:
    """Return the product along an axis, one factor after the other."""
    moved = np.moveaxis(z, axis, 0)
    found: Any = np.ones(moved.shape[1:], np.complex128)
    for k in range(len(moved)):
        found = moved[k] if k == 0 else found * moved[k]
    return found


@complex_rule(np.prod)
def _prod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
          initial: Any = None, where: Any = True) -> Any:  # fmt: skip
    check_complex(dtype, "prod")
    z = complex_array(innermost(tapes_in(a, initial)), a)
    if where is not True and _is_given(where):
        z = _where(where, z, 1.0)
    axes = axes_of(z.ndim, axis)
    rest = [k for k in range(z.ndim) if k not in axes]
    lanes = np.transpose(z, (*rest, *axes)).reshape((*(z.shape[k] for k in rest), -1))
    found = _chained(lanes, -1)
    if _is_given(initial):
        found = initial * found
    if _is_given(keepdims) and keepdims:
        found = np.reshape(found, tuple(1 if k in axes else n for k, n in enumerate(z.shape)))
    return stored(out, found)


@complex_rule(np.cumprod)
def _cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    check_complex(dtype, "cumprod")
    z = complex_array(innermost(tapes_in(a)), a)
    z = np.ravel(z) if axis is None else z
    moved = np.moveaxis(z, 0 if axis is None else axis, 0)
    rows: list[Any] = []
    for k in range(len(moved)):
        rows.append(moved[k] if k == 0 else rows[-1] * moved[k])
    found = np.stack(rows) if rows else moved
    return stored(out, np.moveaxis(found, 0, 0 if axis is None else axis))


@complex_rule(np.var)
def _var(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0,
         keepdims: Any = False, **kwargs: Any) -> Any:  # fmt: skip
    if any(_is_given(one) and one is not True for one in kwargs.values()):
        raise no_rule(f"numpy.var with {', '.join(kwargs)}=", of_complex=True)
    apart = [np.var(part, axis, ddof=ddof, keepdims=keepdims) for part in parts(a)]
    return stored(out, apart[0] + apart[1])


@complex_rule(np.std)
def _std(a: Any, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    return stored(out, np.sqrt(_var(a, *args, **kwargs)))


@complex_rule(np.average)
def _average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *,
             keepdims: Any = np._NoValue) -> Any:  # fmt: skip
    if weights is None:
        weights = np.ones(shape_of(a))
    if is_complex(weights) or returned:
        raise no_rule("numpy.average with complex weights or returned=True", of_complex=True)
    options = {"keepdims": keepdims} if _is_given(keepdims) else {}
    return paired(*(np.average(part, axis, weights, **options) for part in
                    (_wide(a)(0), _wide(a)(1))))  # fmt: skip


# --- products, integrals and polynomials ----------------------------------------------------------


@complex_rule(np.einsum)
def _einsum(*args: Any, out: Any = None, dtype: Any = None, optimize: Any = False,
            **kwargs: Any) -> Any:  # fmt: skip
    check_complex(dtype, "einsum")
    subscripts, operands = parsed(args)
    return stored(out, multilinear(lambda *x: np.einsum(subscripts, *x), operands))


@complex_rule(np.linalg.multi_dot)
def _multi_dot(arrays: Any, *, out: Any = None) -> Any:
    found = arrays[0]
    for array in arrays[1:]:
        found = np.dot(found, array)
    return stored(out, found)


@complex_rule(np.trapezoid)
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    if x is None:
        return multilinear(lambda y, dx: np.trapezoid(y, dx=dx, axis=axis), [y, dx])
    return multilinear(lambda y, x: np.trapezoid(y, x, axis=axis), [y, x])


@complex_rule(np.interp)
def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None,
            period: Any = None) -> Any:  # fmt: skip
    if is_complex(x) or is_complex(xp):
        raise TypeError("numpy.interp needs real points: only their values fp may be complex")
    ends = [(None, None) if end is None else parts(end) for end in (left, right)]
    both = zip(parts(fp), *ends, strict=True)
    return paired(*(np.interp(x, xp, part, one, other, period) for part, one, other in both))


@complex_rule(np.linspace)
def _linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False,
              dtype: Any = None, axis: int = 0, **kwargs: Any) -> Any:  # fmt: skip
    check_complex(dtype, "linspace")
    spaced: Callable[..., Any] = np.linspace
    found = [spaced(one, other, num, endpoint, retstep, axis=axis)
             for one, other in zip(parts(start), parts(stop), strict=True)]  # fmt: skip
    return tuple(map(paired, *found)) if retstep else paired(*found)


for _function in (np.polyval, np.vander):
    COMPLEX_RULES[_function] = RULES[_function]


# --- methods of ufuncs ----------------------------------------------------------------------------

_CHAINS: dict[Any, Any] = {np.add: (np.sum, np.cumsum), np.multiply: (np.prod, np.cumprod)}


def _chain_of(ufunc: np.ufunc, method: str, place: int) -> Callable[..., Any]:
    if ufunc not in _CHAINS:
        raise no_rule(f"numpy.{ufunc.__name__}.{method}", of_complex=True)
    chain: Callable[..., Any] = _CHAINS[ufunc][place]
    return chain


@ufunc_method("complex reduce")
def _reduce(ufunc: np.ufunc, array: Any, axis: Any = 0, dtype: Any = None, out: Any = (None,),
            **kwargs: Any) -> Any:  # fmt: skip
    function = COMPLEX_RULES[_chain_of(ufunc, "reduce", 0)]
    return stored(out[0], function(array, axis, dtype=dtype, **kwargs))


@ufunc_method("complex accumulate")
def _accumulate(ufunc: np.ufunc, array: Any, axis: Any = 0, dtype: Any = None,
                out: Any = (None,)) -> Any:  # fmt: skip
    function = COMPLEX_RULES[_chain_of(ufunc, "accumulate", 1)]
    return stored(out[0], function(array, axis, dtype=dtype))


@ufunc_method("complex outer")
def _outer(ufunc: np.ufunc, a: Any, b: Any, **kwargs: Any) -> Any:
    tape = innermost(tapes_in(a, b))
    x, y = complex_array(tape, a), complex_array(tape, b)
    return ufunc(np.reshape(x, (*x.shape, *[1] * y.ndim)), y, **kwargs)


@ufunc_method("complex at")
def _at(ufunc: np.ufunc, a: Any, indices: Any, b: Any = None) -> None:
    if ufunc not in (np.add, np.subtract) or not isinstance(a, ComplexArray):
        raise no_rule(f"numpy.{ufunc.__name__}.at", of_complex=True)
    for own, part in zip((a.re, a.im), parts(b), strict=True):
        ufunc.at(own, indices, part)


@ufunc_method("complex reduceat")
def _reduceat(ufunc: np.ufunc, array: Any, indices: Any, axis: Any = 0, dtype: Any = None,
              out: Any = (None,)) -> Any:  # fmt: skip
    if ufunc is not np.add:
        raise no_rule(f"numpy.{ufunc.__name__}.reduceat", of_complex=True)
    z = complex_array(innermost(tapes_in(array)), array)
    return stored(out[0], paired(*(np.add.reduceat(part, indices, axis) for part in parts(z))))
