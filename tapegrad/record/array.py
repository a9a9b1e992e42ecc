"""Active arrays: an n-d array of slots and values that behaves like a float64 ndarray.

The elements lie in one structured NumPy array, so that indexing, views and in-place assignment
are NumPy's own; any of them may be passive. Their operators are in `arithmetic`, the rules for
NumPy's functions in `functions`.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.errors import (
    MixedTapesError,
    UnsupportedFunctionError,
)
from tapegrad.ops import CODE
from tapegrad.record import elementwise
from tapegrad.record.active import Active, ActiveBool, guard_all, make
from tapegrad.record.kinds import ACTIVE
from tapegrad.record.labelled import no_attribute
from tapegrad.record.nesting import innermost, slot_on
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.pairs import Pair, is_complex, without_imaginary_part
from tapegrad.record.refusals import check_kind, no_numbers, unhashable

Data = npt.NDArray[Any]


class ActiveArray:
    """An n-d array whose elements are active or passive numbers.

    Made by tapegrad when it records a function; behaves as the float64 array it stands for, or
    as a boolean one when it's the result of a comparison.

    Attributes
    ----------
    value : ndarray
        The plain numbers, without a derivative, under guards.
    data : ndarray
        The elements: value, slot (0 where passive) and tape address.
    tape : OpenTape
        The recording they belong to.
    is_bool : bool
        Whether they are truth values.
    """

    __slots__ = ("_slots", "_values", "data", "is_bool", "tape")

    # What `isinstance` asks: code that tests for arrays goes the way it goes unrecorded.
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return np.ndarray

    __array_priority__ = 1000.0
    value: Any
    astype: Any

    def __init__(self, tape: OpenTape, data: Data, is_bool: bool = False) -> None:
        self.tape, self.data, self.is_bool = tape, data, is_bool
        self._values: Data | None = None

    def __getattr__(self, name: str) -> Any:
        raise no_attribute(self, name)

    # --- shape --------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """What the array stands for: float64, bool, or float32, which holds rounded numbers."""
        if self.is_bool:
            return np.dtype(np.bool_)
        return np.dtype(np.float32 if elementwise.is_single(self.data) else np.float64)

    @property
    def primal(self) -> npt.NDArray[Any]:
        """The numbers at the recording's point, as a read-only plain array."""
        primal = self.data["value"] != 0.0 if self.is_bool else self.data["value"].copy()
        primal.flags.writeable = False
        return primal

    @property
    def is_passive(self) -> bool:
        """Whether no element depends on an input."""
        return not self.data["slot"].any()

    def __len__(self) -> int:
        return len(self.data)

    # --- elements -----------------------------------------------------------------------------

    def _wrap(self, data: Any) -> Any:
        return wrap(self.tape, data, self.is_bool)

    def __getitem__(self, key: Any) -> Any:
        if key.__class__ is int and self.data.ndim == 1:
            if self._values is None:  # one element's fields are read twice as fast from views
                self._values, self._slots = self.data["value"], self.data["slot"]
            slot = self._slots.item(key)
            if slot and not self.is_bool:
                number = Active()
                number.tape, number.slot, number.primal = self.tape, slot, self._values.item(key)
                return number
        return self._wrap(self.data[plain_index(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.is_bool and not is_boolean(value):
            raise UnsupportedFunctionError(
                "a number can't be assigned to an element of an active boolean array"
            )
        number = self._own(value)
        if not self.data.flags.writeable:
            raise ValueError(
                "assignment destination is read-only: this is a copy of what an object holds, "
                "which wouldn't change; store into x.copy(), and make the object anew of that"
            )
        self.data[plain_index(key)] = number

    def _own(self, value: Any) -> Any:
        """Return what to store for `value` in this array."""
        rounds = self.data.dtype is not ACTIVE and elementwise.is_single(self.data)
        if isinstance(value, Active):
            if not rounds and value.tape is self.tape:
                return (value.primal, value.slot, self.tape.address)
        elif isinstance(value, float | int) and not rounds:
            return (value, 0, 0)
        if is_complex(value):
            value = without_imaginary_part(value)
        tape = innermost([self.tape, *tapes_in(value)])
        if tape is not self.tape:
            raise MixedTapesError(
                "a number of an inner recording can't be stored in an array of the outer one: "
                "return it from the function being differentiated, or make the array inside it"
            )
        data = as_active_data(self.tape, value)
        return elementwise.unary(self.tape, CODE["single"], data) if rounds else data

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, number: Any) -> bool:
        return bool((self == number).any())

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError("the truth value of an array with more than one element is "
                             "ambiguous: use any() or all()")  # fmt: skip
        return bool(self.data.size and self.truth().all())

    def truth(self) -> npt.NDArray[np.bool_]:
        """Read the truth values, guarding every active one."""
        if not self.is_bool:
            flags = elementwise.binary(self.tape, CODE["not_equal"], self.data, np.array(0.0))
            return ActiveArray(self.tape, flags, is_bool=True).truth()
        active = self.data[self.data["slot"] > 0]
        guard_all(self.tape, active["slot"], active["value"])
        return np.asarray(self.data["value"] != 0.0)

    def item(self, *index: Any) -> Any:
        """Return one element as an active number."""
        return self.reshape(-1)[0] if not index and self.size == 1 else self[index]

    def tolist(self) -> Any:
        """Return the elements as nested lists of numbers."""
        return [part.tolist() for part in self] if self.ndim else self.item().tolist()

    # --- what would lose the derivative -------------------------------------------------------

    def __int__(self) -> int:
        return int(self.item())

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __hash__(self) -> int:
        raise unhashable("array", "x.value.tobytes()")

    def __copy__(self) -> ActiveArray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> ActiveArray:
        return self.copy()

    # --- methods of an ndarray that only move elements ----------------------------------------

    @property
    def T(self) -> ActiveArray:  # noqa: N802  # NumPy's name
        """The transpose, a view."""
        return ActiveArray(self.tape, self.data.T, self.is_bool)

    @property
    def real(self) -> ActiveArray:
        """The array itself."""
        return self

    @property
    def imag(self) -> npt.NDArray[np.float64]:
        """Zeros."""
        return np.zeros(self.shape)

    def conjugate(self) -> ActiveArray:
        """Return a copy, as the elements are real."""
        return self.copy()

    conj = conjugate

    @property
    def itemsize(self) -> int:
        """Bytes of an element of the array it stands for."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of the elements of the array it stands for."""
        return self.size * self.itemsize

    @property
    def flat(self) -> FlatElements:
        """The elements in row-major order."""
        return FlatElements(self)

    def reshape(self, *shape: Any, **kwargs: Any) -> Any:
        """Return the elements in another shape, as a view where NumPy does."""
        return ActiveArray(self.tape, self.data.reshape(*shape, **kwargs), self.is_bool)

    def transpose(self, *axes: Any) -> Any:
        """Return a view with the axes permuted."""
        return ActiveArray(self.tape, self.data.transpose(*axes), self.is_bool)

    def ravel(self, order: Any = "C") -> Any:
        """Return the elements as a 1-d array, a view where possible."""
        return ActiveArray(self.tape, self.data.ravel(order), self.is_bool)

    def flatten(self, order: Any = "C") -> Any:
        """Return a copy of the elements as a 1-d array."""
        return ActiveArray(self.tape, self.data.flatten(order), self.is_bool)

    def copy(self, order: Any = "C") -> ActiveArray:
        """Return a copy."""
        return ActiveArray(self.tape, self.data.copy(order), self.is_bool)

    def squeeze(self, axis: Any = None) -> Any:
        """Return a view without axes of length one."""
        return ActiveArray(self.tape, self.data.squeeze(axis), self.is_bool)

    def swapaxes(self, first: int, second: int) -> Any:
        """Return a view with two axes interchanged."""
        return ActiveArray(self.tape, self.data.swapaxes(first, second), self.is_bool)

    def fill(self, value: Any) -> None:
        """Assign one number to every element."""
        self[...] = value

    def __repr__(self) -> str:
        return f"ActiveArray({np.array2string(self.primal, separator=', ', prefix='ActiveArray(')})"


class FlatElements:
    """The elements of an active array in row-major order, as `ndarray.flat` has them."""

    def __init__(self, array: ActiveArray) -> None:
        self._array = array

    def __len__(self) -> int:
        return self._array.size

    def __iter__(self) -> Iterator[Any]:
        return iter(self._array.ravel())

    def __getitem__(self, key: Any) -> Any:
        array = self._array
        return wrap(array.tape, array.data.flat[plain_index(key)], array.is_bool)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._array.data.flat[plain_index(key)] = self._array._own(value)


def is_boolean(value: Any) -> bool:
    """Whether a thing is a truth value or an array of them."""
    return isinstance(value, bool | np.bool_ | ActiveBool) or (
        getattr(value, "dtype", None) == np.bool_
    )


def wrap(tape: OpenTape, data: Any, is_bool: bool = False) -> Any:
    """Return what stands for `data`: an array, a number, or a plain number where it's passive."""
    if isinstance(data, np.ndarray) and data.ndim:
        return ActiveArray(tape, data, is_bool)
    value, slot, _ = data.item()
    if slot:
        return make(tape, slot, value, is_bool)
    return np.bool_(value) if is_bool else np.float64(value)


def plain_index(key: Any) -> Any:
    """Return an index for NumPy: active masks and integers are read, under guards."""
    if isinstance(key, tuple):
        return tuple(map(plain_index, key))
    if isinstance(key, ActiveArray):
        return key.truth() if key.is_bool else np.reshape([int(k) for k in key.flat], key.shape)
    if isinstance(key, list):
        return [operator.index(k) if isinstance(k, Active) and not isinstance(k, ActiveBool)
                else plain_index(k) for k in key]  # fmt: skip
    if isinstance(key, str):
        raise IndexError("an active array has no fields: index it by integers, slices and masks")
    return bool(key) if isinstance(key, ActiveBool) else key


# --- operands ---------------------------------------------------------------------------------

# A union of types would be made anew wherever it's written in a function.
NUMBERS, SEQUENCES = (Active, ActiveArray), (list, tuple)


def tapes_in(*operands: Any) -> Iterator[OpenTape]:
    """Yield the tapes of active operands, looking into lists, tuples and object arrays."""
    for operand in operands:
        if isinstance(operand, NUMBERS):
            yield operand.tape
        elif isinstance(operand, Pair):
            yield from tapes_in(operand.re, operand.im)
        elif isinstance(operand, SEQUENCES):
            yield from tapes_in(*operand)
        elif isinstance(operand, np.ndarray) and operand.dtype == object:
            yield from tapes_in(*operand.flat)


def as_data(tape: OpenTape, operand: Any) -> Data:
    """Return an operand's elements: an `ACTIVE` array on a tape, or a plain float64 array.

    Raises
    ------
    InputTypeError
        For complex numbers and for objects that are no numbers.
    """
    if isinstance(operand, ActiveArray):
        return operand.data if operand.tape is tape else _captured(tape, operand)
    if isinstance(operand, Active):
        return np.array((operand.primal, slot_on(tape, operand), tape.address), ACTIVE)
    if is_complex(operand):
        raise no_numbers(operand, np.dtype(np.complex128))
    check_kind(operand)
    if any(True for _ in tapes_in(operand)):
        if getattr(operand, "ndim", 1) == 0:
            return as_data(tape, operand.item())
        return np.stack([as_active_data(tape, part) for part in operand])
    plain = np.asarray(operand)
    if plain.dtype.kind not in "fiub":
        raise no_numbers(operand, plain.dtype)
    return plain.astype(np.float64, copy=False)


def _captured(tape: OpenTape, array: ActiveArray) -> Data:
    data = array.data.copy()
    for index in np.argwhere(data["slot"] > 0):
        value, slot, _ = data[tuple(index)].item()
        number = make(array.tape, slot, value)
        data[tuple(index)] = (value, slot_on(tape, number), tape.address)
    return data


def objects(thing: Any) -> npt.NDArray[np.object_]:
    """Return an active number, or an active array's elements, as a plain array of objects."""
    array = np.empty(thing.shape, object)
    numbers = thing.flat if isinstance(thing, ActiveArray) else [thing]
    for position, number in zip(np.ndindex(thing.shape), numbers, strict=True):
        array[position] = number
    return array


def as_active_data(tape: OpenTape, operand: Any) -> Data:
    """Return an operand's elements as an `ACTIVE` array on a tape."""
    data = as_data(tape, operand)
    if elementwise.is_active_data(data):
        return data
    passive = np.zeros_like(data, ACTIVE)  # in the same order
    passive["value"] = data
    return passive
