"""NumPy's array-making functions in compiled code that is given active numbers.

What would be an array of floats can hold active numbers. All memory is cleared: an active number
left as it was found would name a tape that isn't there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from tapegrad.compiled.stand_ins import cleared, maker, stand_in
from tapegrad.numba_protocols import Choose, Implementation, Kind
from tapegrad.record.kinds import (
    ActiveValue,
    Array,
    Structure,
    active,
    is_active,
    is_number,
    linearised,
)

_FLOATS = (types.float64, active, linearised)


def is_omitted(kind: Kind | None) -> bool:
    """Whether an argument of a Numba type was not given."""
    return kind is None or isinstance(kind, types.NoneType | types.Omitted)


def _is_float(dtype: Kind | None) -> bool:
    """Whether an array of a `dtype=` argument holds floats or active numbers."""
    if is_omitted(dtype):
        return True
    if isinstance(dtype, types.Function):
        return dtype.typing_key is float
    if isinstance(dtype, types.StringLiteral):
        return np.dtype(dtype.literal_value) == np.float64
    return getattr(dtype, "dtype", getattr(dtype, "instance_type", None)) in (
        types.float64,
        active,
        linearised,
    )


@maker(np.zeros, np.empty)
def _zeros(kind: Kind) -> Choose:
    def choose(shape: Kind, dtype: Kind | None = None) -> Implementation | None:
        if _is_float(dtype):
            return lambda shape, dtype=None: np.zeros(shape, kind)
        return lambda shape, dtype=None: np.zeros(shape, dtype)

    return choose


@register_jitable
def _filled(array: Array, value: ActiveValue) -> Array:
    array[...] = value
    return array


@maker(np.ones)
def _ones(kind: Kind) -> Choose:
    def choose(shape: Kind, dtype: Kind | None = None) -> Implementation | None:
        if _is_float(dtype):
            return lambda shape, dtype=None: _filled(np.zeros(shape, kind), 1.0)
        return lambda shape, dtype=None: np.ones(shape, dtype)

    return choose


@maker(np.full)
def _full(kind: Kind) -> Choose:
    def choose(shape: Kind, fill_value: Kind, dtype: Kind | None = None) -> Implementation | None:
        is_whole = isinstance(fill_value, types.Integer | types.Boolean)
        if _is_float(dtype) and not (is_omitted(dtype) and is_whole):
            return lambda shape, fill_value, dtype=None: _filled(np.zeros(shape, kind), fill_value)
        if is_omitted(dtype):
            return lambda shape, fill_value, dtype=None: np.full(shape, fill_value)
        return lambda shape, fill_value, dtype=None: np.full(shape, fill_value, dtype)

    return choose


@maker(np.eye)
def _eye(kind: Kind) -> Choose:
    def choose(
        N: Kind, M: Kind | None = None, k: Kind = 0, dtype: Kind | None = None  # noqa: N803
    ) -> Implementation:  # fmt: skip
        if not _is_float(dtype):
            return lambda N, M=None, k=0, dtype=None: np.eye(N, M, k, dtype)  # noqa: N803

        def implementation(N: int, M: int | None = None, k: int = 0, dtype: None = None) -> Array:  # noqa: N803
            array = np.zeros((N, N if M is None else M), kind)
            for i in range(max(0, -k), N):
                if i + k < array.shape[1]:
                    array[i, i + k] = 1.0
            return array

        return implementation

    return choose


@maker(np.identity)
def _identity(kind: Kind) -> Choose:
    def choose(n: Kind, dtype: Kind | None = None) -> Implementation | None:
        if not _is_float(dtype):
            return lambda n, dtype=None: np.identity(n, dtype)

        def implementation(n: int, dtype: None = None) -> Array:
            array = np.zeros((n, n), kind)
            for i in range(n):
                array[i, i] = 1.0
            return array

        return implementation

    return choose


@maker(np.linspace)
def _linspace(kind: Kind) -> Choose:
    def choose(start: Kind, stop: Kind, num: Kind = 50) -> Implementation | None:
        def implementation(start: float, stop: float, num: int = 50) -> Array:
            array = np.zeros(num, kind)
            rise = cleared(1, array)
            if num > 1:
                rise[0] = (stop - start) / (num - 1)
            for i in range(num):
                array[i] = i * rise[0] + start
            if num > 1:
                array[num - 1] = stop
            return array

        return implementation

    return choose


# --- like another -----------------------------------------------------------------------------


def _is_float_like(a: Kind, dtype: Kind | None) -> bool:
    if not is_omitted(dtype):
        return _is_float(dtype)
    return getattr(a, "dtype", a) in _FLOATS


@maker(np.zeros_like, np.empty_like)
def _zeros_like(kind: Kind) -> Choose:
    def choose(a: Kind, dtype: Kind | None = None) -> Implementation | None:
        if _is_float_like(a, dtype):
            return lambda a, dtype=None: np.zeros(np.shape(a), kind)
        if is_omitted(dtype):
            return lambda a, dtype=None: np.zeros_like(a)
        return lambda a, dtype=None: np.zeros_like(a, dtype)

    return choose


@maker(np.ones_like)
def _ones_like(kind: Kind) -> Choose:
    def choose(a: Kind, dtype: Kind | None = None) -> Implementation | None:
        if _is_float_like(a, dtype):
            return lambda a, dtype=None: _filled(np.zeros(np.shape(a), kind), 1.0)
        if is_omitted(dtype):
            return lambda a, dtype=None: np.ones_like(a)
        return lambda a, dtype=None: np.ones_like(a, dtype)

    return choose


@maker(np.full_like)
def _full_like(kind: Kind) -> Choose:
    def choose(a: Kind, fill_value: Kind, dtype: Kind | None = None) -> Implementation | None:
        if _is_float_like(a, dtype):
            return lambda a, fill_value, dtype=None: _filled(
                np.zeros(np.shape(a), kind), fill_value
            )
        if is_omitted(dtype):
            return lambda a, fill_value, dtype=None: np.full_like(a, fill_value)
        return lambda a, fill_value, dtype=None: np.full_like(a, fill_value, dtype)

    return choose


# --- of other things --------------------------------------------------------------------------


def _holds_floats(kind: Kind) -> bool:
    """Whether what `numpy.array` makes of a type's values can hold active numbers."""
    if isinstance(kind, types.BaseTuple):
        return any(map(_holds_floats, kind.types))
    if isinstance(kind, types.List | types.Array):
        return _holds_floats(kind.dtype)
    return is_active(kind) or isinstance(kind, types.Float)


def _depth(kind: Kind) -> int:
    if isinstance(kind, types.Array):
        return int(kind.ndim)
    if isinstance(kind, types.BaseTuple):
        return 1 + max((_depth(part) for part in kind.types), default=0)
    return 1 + _depth(kind.dtype) if isinstance(kind, types.List) else 0


def _shape_of(thing: Structure) -> Any:
    """Return the shape that `numpy.array` would give something; for compiled code."""


@overload(_shape_of, strict=False)
def _(thing: Kind) -> Implementation | None:
    if isinstance(thing, types.Array):
        return lambda thing: thing.shape
    if is_number(thing):
        return lambda thing: ()
    return lambda thing: (len(thing), *_shape_of(thing[0]))


def _copy_into(array: Array, thing: Structure) -> None:
    """Copy a structure's numbers into an array of its shape; for compiled code."""


@overload(_copy_into, strict=False)
def _(array: Kind, thing: Kind) -> Implementation | None:
    if isinstance(thing, types.Array) or is_number(thing):

        def whole(array: Array, thing: Structure) -> None:
            array[...] = thing

        return whole
    if isinstance(thing, types.BaseTuple) and not isinstance(thing, types.UniTuple):
        return lambda array, thing: _copy_rest(array, 0, thing)
    if _depth(thing) == 1:

        def numbers(array: Array, thing: Structure) -> None:
            for i in range(len(thing)):
                array[i] = thing[i]

        return numbers

    def nested(array: Array, thing: Structure) -> None:
        for i in range(len(thing)):
            _copy_into(array[i], thing[i])

    return nested


def _copy_rest(array: Array, i: int, things: tuple[Structure, ...]) -> None:
    """Copy the elements of a tuple of unequal types into those of an array from `i` on."""


@overload(_copy_rest, strict=False)
def _(array: Kind, i: Kind, things: Kind) -> Implementation | None:
    if len(things) == 0:
        return lambda array, i, things: None
    if is_number(things[0]):

        def number_first(array: Array, i: int, things: tuple[Structure, ...]) -> None:
            array[i] = things[0]
            _copy_rest(array, i + 1, things[1:])

        return number_first

    def nested_first(array: Array, i: int, things: tuple[Structure, ...]) -> None:
        _copy_into(array[i], things[0])
        _copy_rest(array, i + 1, things[1:])

    return nested_first


@register_jitable
def _filled_from(array: Array, thing: Structure) -> Array:
    _copy_into(array, thing)
    return array


@maker(np.array)
def _array(kind: Kind) -> Choose:
    def choose(object: Kind, dtype: Kind | None = None) -> Implementation | None:
        if _holds_floats(object) if is_omitted(dtype) else _is_float(dtype):
            return lambda object, dtype=None: _filled_from(
                np.zeros(_shape_of(object), kind), object
            )
        if is_omitted(dtype):
            return lambda object, dtype=None: np.array(object)
        return lambda object, dtype=None: np.array(object, dtype)

    return choose


def _as_array(kind: Kind, layouts: str) -> Choose:
    """Return what converts to an array, and returns one of these layouts as it is."""

    def choose(a: Kind, dtype: Kind | None = None) -> Implementation | None:
        if isinstance(a, types.Array) and is_active(a.dtype):
            if a.layout in layouts:
                return lambda a, dtype=None: a
            return lambda a, dtype=None: a.copy()
        if _holds_floats(a) if is_omitted(dtype) else _is_float(dtype):
            return lambda a, dtype=None: _filled_from(np.zeros(_shape_of(a), kind), a)
        if is_omitted(dtype):
            return lambda a, dtype=None: np.asarray(a)
        return lambda a, dtype=None: np.asarray(a, dtype)

    return choose


@maker(np.asarray)
def _asarray(kind: Kind) -> Choose:
    return _as_array(kind, "CFA")


@maker(np.ascontiguousarray)
def _ascontiguousarray(kind: Kind) -> Choose:
    return _as_array(kind, "C")


@stand_in(np.float64, only_called=True)
def _float64(x: Kind = 0.0) -> Implementation | None:
    if is_active(x) or isinstance(x, types.Array):
        return lambda x=0.0: x
    return lambda x=0.0: np.float64(x)


@stand_in(method="astype")
def _astype(a: Kind, dtype: Kind) -> Implementation | None:
    if isinstance(a, types.Array) and is_active(a.dtype) and _is_float(dtype):
        return lambda a, dtype: a.copy()
    return lambda a, dtype: a.astype(dtype)
