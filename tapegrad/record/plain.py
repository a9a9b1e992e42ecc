"""Plain numbers read from active ones: what `float`, `str`, `.value` and foreign code get.

What is read is guarded, so that it's right at every call. A number that comes from comparisons
and roundings is guarded as they are. Any other one by its bits, all NaNs alike, and a text by
the numbers that are written the same: by an operation `same`, which marks that a recording
holds a plain value and will be replaced, not added to, when that changes. `value` and texts may
be asked of every number; what else would drop a derivative is refused, unless there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from tapegrad.errors import LostDerivativeError
from tapegrad.ops import CODE
from tapegrad.record import elementwise
from tapegrad.record.active import Active, ActiveBool, binary, guard, guard_all
from tapegrad.record.array import ActiveArray, as_data, objects
from tapegrad.record.dependence import DIFFERENTIABLE, DISCRETE, marks_of
from tapegrad.record.elementwise import Data
from tapegrad.record.frames import writes_text
from tapegrad.record.guards import guard_exactly
from tapegrad.record.intervals import interval_of
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.pairs import Pair
from tapegrad.record.refusals import lost_number
from tapegrad.tree import flatten, unflatten_all

_SAME = CODE["same"]

F = TypeVar("F", bound=Callable[..., Any])


def has_derivative(thing: Any) -> bool:
    """Whether an active number, or an element of an active array, may have a derivative."""
    if isinstance(thing, Pair):
        return any(
            has_derivative(part)
            for part in (thing.re, thing.im)
            if isinstance(part, Active | ActiveArray)
        )
    if isinstance(thing, Active):
        return bool(marks_of(thing.tape)[thing.slot] == DIFFERENTIABLE)
    return bool(np.any(marks_of(thing.tape)[thing.data["slot"]] == DIFFERENTIABLE))


def _guard_bits(tape: OpenTape, data: Data) -> None:
    """State the bits of active elements."""
    active = data[data["slot"] > 0]
    is_discrete = marks_of(tape)[active["slot"]] == DISCRETE
    guard_exactly(tape, active[is_discrete])
    others = active[~is_discrete]
    if len(others):
        found = elementwise.binary(tape, _SAME, others, others["value"].copy())
        guard_all(tape, found["slot"], found["value"])


# --- numbers ----------------------------------------------------------------------------------


def _value(self: Active) -> float:
    """The number at the point, as a plain float, under a guard."""
    guard(binary(_SAME, self, self.primal))
    return self.primal


def _truth_value(self: ActiveBool) -> bool:
    """The truth value at the point, under a guard."""
    return bool(self)


def _float(self: Active) -> float:
    """Return the number where it has no derivative or is written; raise where that'd be lost."""
    mark = marks_of(self.tape)[self.slot]
    if mark == DIFFERENTIABLE and not writes_text():
        raise lost_number()
    if mark != DISCRETE:
        return _value(self)
    guard_exactly(self.tape, as_data(self.tape, self).reshape(1))
    return self.primal


def _complex(self: Active) -> complex:
    """Return the number where it has no derivative."""
    if has_derivative(self):
        raise lost_number("complex")
    return complex(_float(self))


def _plain(thing: Any) -> Any:
    """Return what has no derivative as a plain truth value, number or array."""
    if isinstance(thing, ActiveArray):
        return _values(thing)
    if isinstance(thing, Pair):
        return _complex_value(thing)
    return bool(thing) if isinstance(thing, ActiveBool) else _float(thing)


def _as_integer_ratio(self: Active) -> tuple[int, int]:
    """Return the number as a fraction, where it has no derivative."""
    return _float(self).as_integer_ratio()


def _text(self: Active) -> str:
    return str(_value(self))


def _format(self: Active, spec: str) -> str:
    if not spec:
        return str(self)
    text = format(self.primal, spec)
    if math.isfinite(self.primal):
        lowest, highest = interval_of(self.primal, lambda x: format(x, spec))
        nearest = binary(CODE["fmin"], binary(CODE["fmax"], self, lowest), highest)
        guard(binary(_SAME, nearest, self))
    else:
        _value(self)
    return text


def _format_truth(self: ActiveBool, spec: str) -> str:
    return format(bool(self), spec)


def _array_of_number(self: Active, dtype: Any = None, copy: Any = None) -> Any:
    """Return a plain array of no dimensions, or one that holds the active number."""
    if not has_derivative(self):
        return np.array(_plain(self), dtype)
    if dtype is not None and dtype != np.object_:
        raise lost_number()
    return objects(self)


# --- arrays -----------------------------------------------------------------------------------


def _values(self: ActiveArray) -> npt.NDArray[Any]:
    """The numbers at the point, as a plain array that is read-only, under guards."""
    if self.is_bool:
        return self.truth()
    _guard_bits(self.tape, self.data)
    return self.primal


def _array(self: ActiveArray, dtype: Any = None, copy: Any = None) -> Any:
    """Return a plain array where no element has a derivative, or one of active numbers.

    It's read-only, unless a copy is asked for: what is stored there wouldn't be seen here.
    """
    if not has_derivative(self):
        plain = np.array(_values(self), dtype)
        plain.flags.writeable = bool(copy)
        return plain
    if dtype is not None and dtype != np.object_:
        raise lost_number()
    return objects(self)


def _bytes_of_array(self: ActiveArray, order: Any = "C") -> bytes:
    """Return the bytes of the plain numbers, where none has a derivative."""
    return np.asarray(_array(self, np.float64)).tobytes(order)


def _reduced_array(self: ActiveArray, protocol: Any) -> Any:
    """Pickle plain numbers, where none has a derivative."""
    if has_derivative(self):
        raise LostDerivativeError("an active array belongs to its recording and can't be pickled")
    return np.array(_values(self)).__reduce_ex__(protocol)


def _float_of_array(self: ActiveArray) -> float:
    if self.size == 1:
        return float(self.item())
    if has_derivative(self):
        raise LostDerivativeError("float() of an active array would drop its derivative")
    return float(_values(self))  # NumPy's error


def _text_of_array(self: ActiveArray) -> str:
    return str(_values(self))


# --- complex numbers ----------------------------------------------------------------------------


def _complex_value(self: Pair) -> Any:
    """The complex numbers at the point, as plain ones, under guards."""
    parts = [part.value if isinstance(part, Active | ActiveArray) else part
             for part in (self.re, self.im)]  # fmt: skip
    array = np.empty(np.shape(parts[0]), np.complex128)
    array.real, array.imag = parts
    array.flags.writeable = False
    return array[()]


def _plain_complex(self: Pair) -> complex:
    if has_derivative(self):
        raise lost_number("complex")
    return complex(_complex_value(self))


def _no_float(self: Pair) -> NoReturn:
    raise TypeError("a complex number has no float: write z.real, or abs(z)")


def _array_of_complex(self: Any, dtype: Any = None, copy: Any = None) -> Any:
    """Return a plain array where nothing has a derivative, or one of complex active numbers."""
    if not has_derivative(self):
        plain = np.array(_complex_value(self), dtype)
        plain.flags.writeable = bool(copy)
        return plain
    if dtype is not None and dtype != np.object_:
        raise lost_number()
    array = np.empty(np.shape(self), np.object_)
    for position in np.ndindex(array.shape):
        array[position] = self[position] if array.shape else self
    return array


def _reduced_complex(self: Pair, protocol: Any) -> Any:
    """Pickle plain numbers, where none has a derivative."""
    if has_derivative(self):
        raise LostDerivativeError(
            "complex active numbers belong to their recording and can't be pickled"
        )
    return np.array(_complex_value(self))[()].__reduce_ex__(protocol)


# --- arguments of functions that have no rule -------------------------------------------------


def plain_arguments(tree: Any) -> Any:
    """Return arguments with active numbers as plain ones, or None if one has a derivative.

    Arrays become read-only: a function that would store into one has no effect on its original.
    """
    leaves: list[Any] = []
    structure = flatten(tree, leaves)
    active = [isinstance(leaf, Active | ActiveArray | Pair) for leaf in leaves]
    if any(is_one and has_derivative(leaf) for is_one, leaf in zip(active, leaves, strict=True)):
        return None
    plain = [_plain(leaf) if is_one else leaf for is_one, leaf in zip(active, leaves, strict=True)]
    return unflatten_all(structure, plain)


def _install() -> None:
    """Give active numbers and arrays the methods that read them."""
    methods: dict[Any, dict[str, Any]] = {
        Active: {
            "value": property(_value), "__float__": _float, "__complex__": _complex,
            "as_integer_ratio": _as_integer_ratio, "__str__": _text, "__format__": _format,
            "__array__": _array_of_number,
        },
        ActiveBool: {
            "value": property(_truth_value), "__str__": lambda self: str(bool(self)),
            "__format__": _format_truth,
        },
        ActiveArray: {
            "value": property(_values), "__array__": _array, "__float__": _float_of_array,
            "__str__": _text_of_array, "tobytes": _bytes_of_array,
            "__reduce_ex__": _reduced_array,
        },
        Pair: {
            "value": property(_complex_value), "__complex__": _plain_complex,
            "__float__": _no_float, "__int__": _no_float, "__array__": _array_of_complex,
            "__reduce_ex__": _reduced_complex, "__str__": lambda self: str(_complex_value(self)),
            "__format__": lambda self, spec: format(_complex_value(self), spec),
            "tobytes": lambda self, order="C": np.asarray(_array_of_complex(self, complex)).tobytes(
                order),
        },
    }  # fmt: skip
    for kind, named in methods.items():
        for name, method in named.items():
            setattr(kind, name, method)


_install()
