"""NumPy's array-making functions as a recorded function sees them: their results hold actives.

`REPLACEMENTS` maps a NumPy function or type to what stands for it while a function is recorded.
An array of another type than float64 and complex128 is made by NumPy itself.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np

from tapegrad.errors import LostDerivativeError
from tapegrad.ops import CODE
from tapegrad.record import elementwise
from tapegrad.record.active import Active
from tapegrad.record.array import ActiveArray, as_active_data, is_boolean, objects, tapes_in
from tapegrad.record.complex_numbers.complex_types import (
    complex_array,
    complex_objects,
    paired,
)
from tapegrad.record.guards import guard_exactly
from tapegrad.record.kinds import ACTIVE, ACTIVE_SINGLE
from tapegrad.record.nesting import current, innermost, is_recording
from tapegrad.record.pairs import Pair, is_complex
from tapegrad.record.refusals import MAKERS, no_type

REPLACEMENTS: dict[Any, Any] = {}


def holding(array: Any, of_single: bool = False) -> Any:
    """Return a plain array of floats or complex numbers as one that can hold active ones.

    Others are returned as they are.

    One of float32 holds what is rounded to that, if asked for.
    """
    if type(array) is not np.ndarray:
        return array
    tape = current()
    if array.dtype == np.float64:
        return ActiveArray(tape, as_active_data(tape, array))
    if array.dtype == np.complex128:
        return complex_array(tape, array)
    if of_single and array.dtype == np.float32:
        return ActiveArray(tape, as_active_data(tape, array).astype(ACTIVE_SINGLE))
    return array


def _made_by(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def make(*args: Any, **kwargs: Any) -> Any:
        return holding(original(*args, **kwargs))

    return make


_MAKERS: tuple[Callable[..., Any], ...] = (
    np.zeros, np.ones, np.empty, np.eye, np.identity, np.tri, np.arange, np.linspace,
    np.logspace, np.geomspace, np.fromfunction,
    np.zeros_like, np.ones_like, np.empty_like,
)  # fmt: skip
REPLACEMENTS.update({function: _made_by(function) for function in _MAKERS})


def _full(shape: Any, fill_value: Any, *args: Any, **kwargs: Any) -> Any:
    if not any(True for _ in tapes_in(fill_value)):
        return holding(np.full(shape, fill_value, *args, **kwargs))
    tape = innermost([current(), *tapes_in(fill_value)])
    kind = args[0] if args else kwargs.get("dtype")
    if is_complex(fill_value):
        filled: Any = complex_array(tape, np.zeros(shape, complex))
        filled[...] = fill_value
        return filled if kind is None else filled.astype(kind)
    filling = as_active_data(tape, fill_value)
    filled = ActiveArray(tape, np.broadcast_to(filling, shape).copy())
    return filled if kind is None else filled.astype(kind)


def _full_like(a: Any, fill_value: Any, *args: Any, **kwargs: Any) -> Any:
    shape = kwargs.get("shape")
    if any(True for _ in tapes_in(fill_value)):
        dtype = args[0] if args else kwargs.get("dtype")
        dtype = complex if dtype is None and is_complex(a) else dtype
        return _full(np.shape(a) if shape is None else shape, fill_value, dtype)
    return holding(np.full_like(a, fill_value, *args, **kwargs))


REPLACEMENTS[np.full] = _full
REPLACEMENTS[np.full_like] = _full_like


_ARRAYS = (np.ndarray, np.generic, Active, ActiveArray, list, tuple, float, int, complex)


def _converter(original: Callable[..., Any], copies: bool, least_dimensions: int = 0,
               order: Literal["K", "C", "F"] = "K") -> Any:  # fmt: skip
    """Return what stands for a function that makes an array of its first argument."""

    @functools.wraps(original)
    def convert(thing: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(thing, _ARRAYS) and hasattr(type(thing), "__array__"):
            made = thing.__array__()  # by the user's code, which makes arrays of ours
            thing = made if isinstance(made, ActiveArray) else thing
        has_actives = any(True for _ in tapes_in(thing)) or isinstance(thing, ActiveArray)
        if not has_actives:
            plain = original(thing, dtype, *args, **kwargs)
            return plain if plain is thing else holding(plain)
        if dtype is not None and np.dtype(dtype) == object:
            return _objects(thing)
        if is_complex(thing) or (dtype is not None and np.dtype(dtype) == np.complex128):
            return _complex(thing, dtype, kwargs.get("copy", copies),
                            max(least_dimensions, kwargs.get("ndmin", 0)))  # fmt: skip
        if dtype is not None and np.dtype(dtype) != np.float64:
            return as_array(thing).astype(dtype)
        array = as_array(thing)
        if dtype is not None and array.dtype != np.float64:
            array = array.astype(float)
        wanted = max(least_dimensions, kwargs.get("ndmin", 0))
        if array.ndim < wanted:
            array = array.reshape((1,) * (wanted - array.ndim) + array.shape)
        copy = kwargs.get("copy", copies) and isinstance(thing, ActiveArray)
        data = np.array(array.data, order=kwargs.get("order") or order, copy=copy or None)
        return array if data is array.data else ActiveArray(array.tape, data, array.is_bool)

    return convert


def _complex(thing: Any, dtype: Any, copy: Any, least_dimensions: int) -> Any:
    """Return a complex array of what is active; one of another type if that's asked for."""
    array = complex_array(innermost(tapes_in(thing)), thing)
    if dtype is not None and np.dtype(dtype) != np.complex128:
        return array.astype(dtype)
    if array.ndim < least_dimensions:
        array = array.reshape((1,) * (least_dimensions - array.ndim) + array.shape)
    return array.copy() if copy and array is thing else array


def as_array(thing: Any) -> Any:
    """Return an active array of an active number, or of nested lists that hold some."""
    if isinstance(thing, ActiveArray):
        return thing
    if is_complex(thing):
        return complex_array(innermost(tapes_in(thing)), thing)
    tape = innermost(tapes_in(thing))
    return ActiveArray(tape, as_active_data(tape, thing), _holds_booleans(thing))


def _holds_booleans(thing: Any) -> bool:
    """Whether all that is in nested lists are truth values."""
    if isinstance(thing, list | tuple):
        return all(map(_holds_booleans, thing))
    return is_boolean(thing)


def _array_astype(self: ActiveArray, dtype: Any, **kwargs: Any) -> Any:
    """Return a float64 copy; what is cut to another type is read, or has no derivative."""
    if np.dtype(dtype) in (np.float64, self.dtype):
        if not kwargs.get("copy", True) and self.dtype == dtype:
            return self
        kind = ACTIVE if np.dtype(dtype) == np.float64 else self.data.dtype
        data = self.data.astype(kind, order=kwargs.get("order", "K"))
        return ActiveArray(self.tape, data, np.dtype(dtype) == np.bool_)
    if np.dtype(dtype) == np.bool_:
        return self.truth()
    if np.dtype(dtype).kind in "iu":
        whole = elementwise.unary(self.tape, CODE["trunc"], self.data)
        guard_exactly(self.tape, whole.reshape(-1))
        return whole["value"].astype(dtype)
    if np.dtype(dtype) == np.object_:
        return objects(self)
    if np.dtype(dtype) == np.complex128:
        return paired(self, 0.0)
    plain = np.asarray(self)  # of objects where there are derivatives
    if plain.dtype == np.object_:
        raise LostDerivativeError(no_type("an array", dtype))
    return plain.astype(dtype)


def _astype(self: Active, dtype: Any, **kwargs: Any) -> Any:
    """Return the number as one of another type, as an array's elements are converted."""
    return as_array(self).astype(dtype, **kwargs)[()]


Active.astype = _astype  # type: ignore[attr-defined]
ActiveArray.astype = _array_astype


def _objects(thing: Any) -> Any:
    if isinstance(thing, Active | ActiveArray):
        return objects(thing)
    if isinstance(thing, Pair):
        return complex_objects(thing)
    items = list(thing)
    nested = [
        _objects(item) if isinstance(item, list | tuple | ActiveArray) else item for item in items
    ]
    shape = next((np.shape(item) for item in nested if isinstance(item, np.ndarray)), ())
    array = np.empty((len(items), *shape), object)
    for position, item in enumerate(nested):
        array[position] = item
    return array


REPLACEMENTS[np.array] = _converter(np.array, copies=True)
REPLACEMENTS[np.asarray] = _converter(np.asarray, copies=False)
REPLACEMENTS[np.asanyarray] = _converter(np.asanyarray, copies=False)
REPLACEMENTS[np.ascontiguousarray] = _converter(np.ascontiguousarray, False, 1, "C")
REPLACEMENTS[np.asfortranarray] = _converter(np.asfortranarray, False, 1, "F")


def _at_least(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def convert(*things: Any) -> Any:
        return original(*map(REPLACEMENTS[np.asanyarray], things))

    return convert


for _function in (np.atleast_1d, np.atleast_2d, np.atleast_3d):
    REPLACEMENTS[_function] = _at_least(_function)


def _fromiter(iterable: Iterable[Any], dtype: Any, *args: Any, **kwargs: Any) -> Any:
    """Make an array of an iterator's items, some of which may be active."""
    items = list(itertools.islice(iterable, *args) if args and args[0] >= 0 else iterable)
    if any(True for _ in tapes_in(items)):
        return REPLACEMENTS[np.array](items, dtype)
    return holding(np.fromiter(items, dtype, *args, **kwargs))


REPLACEMENTS[np.fromiter] = _fromiter


class _Float64Type(type):
    """Makes a type that is NumPy's float64 to all who ask, and leaves active numbers active."""

    def __call__(cls, number: Any = 0.0, *args: Any) -> Any:
        if isinstance(number, Active | ActiveArray):
            return number
        if any(True for _ in tapes_in(number)):
            return as_array(number)
        return _float64(number, *args)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _float64)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, _float64)

    def __eq__(cls, other: object) -> bool:
        return other is cls or other == _float64

    def __hash__(cls) -> int:
        return hash(_float64)


_float64 = np.float64
REPLACEMENTS[np.float64] = _Float64Type("float64", (np.float64,), {"__module__": "numpy"})
MAKERS.update(REPLACEMENTS)


def _ndarray(*args: Any, **kwargs: Any) -> Any:
    array = np.ndarray(*args, **kwargs)
    return holding(array) if array.base is None and is_recording() else array


WHERE_CALLED: dict[Any, Any] = {np.ndarray: _ndarray}
"""The same for types that are meant themselves wherever they aren't called."""
