"""Complex active numbers and arrays, as pairs of real ones.

`paired` makes them, and plain ones where nothing depends on an input; `parts` takes anything
apart. What is made is in memory of its own; what moves elements as a view makes a `ComplexArray`
of the views of both parts itself, so that stores are seen where NumPy's are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from tapegrad.errors import LostDerivativeError
from tapegrad.record.active import Active
from tapegrad.record.array import (
    ActiveArray,
    as_active_data,
    objects,
    plain_index,
    tapes_in,
)
from tapegrad.record.kinds import ACTIVE
from tapegrad.record.nesting import innermost
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.pairs import Pair, without_imaginary_part
from tapegrad.record.refusals import unhashable

PART_TYPES: frozenset[Any] = frozenset([Active, ActiveArray])
"""The types of parts that depend on the input."""


_NUMBERS: frozenset[Any] = frozenset([Active, float])


def is_part_active(part: Any) -> bool:
    """Whether a part of a complex number is an active number or array."""
    return type(part) in PART_TYPES or isinstance(part, Active)


def _missing(self: Any, name: str) -> NoReturn:
    """Raise the error for an attribute of NumPy's that complex numbers have no rule for."""
    raise AttributeError(
        f"{name} has no rule for complex numbers that depend on the input: write it with z.real "
        "and z.imag"
        if hasattr(np.ndarray, name)
        else f"a complex number has no attribute {name!r}"
    )


class ComplexNumber(Pair):
    """A complex number one part of which is active at least; the other may be a float."""

    __slots__ = ()

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return np.complex128

    __getattr__ = _missing
    shape: tuple[int, ...] = ()
    ndim, size, itemsize, nbytes = 0, 1, 16, 16
    dtype: np.dtype[Any] = np.dtype(np.complex128)

    @property
    def tape(self) -> OpenTape:
        """The recording it belongs to."""
        return innermost(tapes_in(self.re, self.im))

    @property
    def real(self) -> Any:
        """The real part."""
        return self.re if is_part_active(self.re) else np.float64(self.re)

    @property
    def imag(self) -> Any:
        """The imaginary part."""
        return self.im if is_part_active(self.im) else np.float64(self.im)

    @property
    def primal(self) -> np.complex128:
        """The number at the recording's point, unguarded."""
        re, im = (part.primal if is_part_active(part) else part for part in (self.re, self.im))
        return np.complex128(complex(re, im))

    def __bool__(self) -> bool:
        return bool(self.re != 0.0) or bool(self.im != 0.0)

    def item(self) -> ComplexNumber:
        """Return the number itself, as a NumPy scalar's `item` does."""
        return self

    T = property(item)
    tolist = copy = __copy__ = item

    def __deepcopy__(self, memo: Any) -> ComplexNumber:
        return self

    def __getitem__(self, key: Any) -> Any:
        return _zero_dimensional(self)[key]

    def astype(self, dtype: Any, **kwargs: Any) -> Any:
        """Return the number as one of another type."""
        return _zero_dimensional(self).astype(dtype, **kwargs)[()]

    def __hash__(self) -> int:
        raise unhashable("number", "z.value")

    def __repr__(self) -> str:
        return f"ComplexNumber({self.primal!r})"


class ComplexArray(Pair):
    """An n-d array of complex numbers: two active arrays of one shape, on one tape.

    Attributes
    ----------
    re, im : ActiveArray
    """

    __slots__ = ()
    re: Any
    im: Any

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return np.ndarray

    __array_priority__ = 1000.0
    __getattr__ = _missing
    dtype: np.dtype[Any] = np.dtype(np.complex128)
    itemsize = 16

    @property
    def tape(self) -> OpenTape:
        """The recording it belongs to."""
        found: OpenTape = self.re.tape
        return found

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        found: tuple[int, ...] = self.re.shape
        return found

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements of the array it stands for."""
        return 16 * self.size

    @property
    def real(self) -> Any:
        """The real parts, a view."""
        return self.re

    @real.setter
    def real(self, value: Any) -> None:
        self.re[...] = value

    @property
    def imag(self) -> Any:
        """The imaginary parts, a view."""
        return self.im

    @imag.setter
    def imag(self, value: Any) -> None:
        self.im[...] = value

    @property
    def primal(self) -> Any:
        """The numbers at the recording's point, as a read-only plain array."""
        primal = plain_complex(self.re.primal, self.im.primal)
        primal.flags.writeable = False
        return primal

    @property
    def is_passive(self) -> bool:
        """Whether no element depends on an input."""
        return bool(self.re.is_passive and self.im.is_passive)

    def __len__(self) -> int:
        return len(self.re)

    # --- elements ---------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        key = plain_index(key)
        return joined(self.re[key], self.im[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        key, (re, im) = plain_index(key), parts(value)
        self.re[key] = re
        self.im[key] = im

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, number: Any) -> bool:
        return bool((self == number).any())

    def __bool__(self) -> bool:
        return bool((self.re != 0.0) | (self.im != 0.0))

    def truth(self) -> Any:
        """Read which elements are other than zero, guarding them."""
        return ((self.re != 0.0) | (self.im != 0.0)).truth()

    def item(self, *index: Any) -> Any:
        """Return one element."""
        return joined(self.re.item(*index), self.im.item(*index))

    def tolist(self) -> Any:
        """Return the elements as nested lists of numbers."""
        return [part.tolist() for part in self] if self.ndim else self.item()

    def fill(self, value: Any) -> None:
        """Assign one number to every element."""
        self[...] = value

    def copy(self, order: Any = "C") -> ComplexArray:
        """Return a copy."""
        return ComplexArray(self.re.copy(order), self.im.copy(order))

    def __copy__(self) -> ComplexArray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> ComplexArray:
        return self.copy()

    def astype(self, dtype: Any, copy: bool = True, **kwargs: Any) -> Any:
        """Return the elements as numbers of another type; floats are the real parts."""
        kind = np.dtype(dtype)
        if kind == np.complex128:
            return self.copy() if copy else self
        if kind == np.bool_:
            return self.truth()
        if kind == np.object_:
            return complex_objects(self)
        if kind.kind == "c":
            raise LostDerivativeError(
                f"complex numbers that depend on the input are complex128, not {kind}: write "
                "complex, or no type at all"
            )
        return without_imaginary_part(self).astype(kind, **kwargs)

    def __hash__(self) -> int:
        raise unhashable("array", "z.value.tobytes()")

    def __repr__(self) -> str:
        return f"ComplexArray({np.array2string(self.primal, separator=', ')})"


def complex_objects(thing: Any) -> Any:
    """Return a complex number, or an array's elements, as a plain array of objects."""
    array = np.empty(thing.shape, object)
    numbers = [thing] if isinstance(thing, ComplexNumber) else map(
        joined, objects(thing.re).flat, objects(thing.im).flat
    )  # fmt: skip
    for position, number in zip(np.ndindex(thing.shape), numbers, strict=True):
        array[position] = number
    return array


# --- made and taken apart -------------------------------------------------------------------------


def plain_complex(re: Any, im: Any) -> Any:
    """Return plain complex numbers of plain parts: infinities and signs of zeros stay."""
    shape = np.broadcast_shapes(np.shape(re), np.shape(im))
    array = np.empty(shape, np.complex128)
    array.real, array.imag = re, im
    return array


def joined(re: Any, im: Any) -> Any:
    """Return a number of two numbers, or an array of two active arrays, whose memory it shares."""
    if type(re) is ActiveArray:
        return ComplexArray(re, im)
    if is_part_active(re) or is_part_active(im):
        return ComplexNumber(*(part if is_part_active(part) else float(part) for part in (re, im)))
    return np.complex128(complex(re, im))


def paired(real: Any, imag: Any) -> Any:
    """Return complex numbers of real and imaginary parts, in memory of their own.

    Parameters
    ----------
    real, imag : number or array, active or plain
        Of shapes that broadcast.

    Returns
    -------
    ComplexNumber, ComplexArray, complex128 or ndarray
        Plain if both parts are.
    """
    if (
        type(real) in _NUMBERS
        and type(imag) in _NUMBERS
        and (type(real) is Active or type(imag) is Active)
    ):  # the commonest, without the general walk
        return ComplexNumber(real, imag)
    if not is_part_active(real) and not is_part_active(imag):
        return plain_complex(real, imag)[()]
    shape = np.broadcast_shapes(np.shape(real), np.shape(imag))
    if shape == ():
        return joined(*(part[()] if type(part) in (ActiveArray, np.ndarray) else part
                        for part in (real, imag)))  # fmt: skip
    tape = innermost(tapes_in(real, imag))
    return ComplexArray(*(_own_part(tape, part, shape) for part in (real, imag)))


def _own_part(tape: OpenTape, part: Any, shape: tuple[int, ...]) -> ActiveArray:
    data = np.empty(shape, ACTIVE)
    data[...] = as_active_data(tape, part)
    return ActiveArray(tape, data)


def complex_array(tape: OpenTape, thing: Any) -> Any:
    """Return anything as a complex array of a tape; one that's on it already stays itself."""
    if type(thing) is ComplexArray and thing.tape is tape:
        return thing
    re, im = parts(thing)
    return ComplexArray(*(_own_part(tape, part, np.shape(re)) for part in (re, im)))


def parts(x: Any) -> tuple[Any, Any]:
    """Return the real and the imaginary part of anything: numbers, arrays, lists of them.

    Of what is real the imaginary part is the number 0. Parts of complex arrays are views.
    """
    if isinstance(x, Pair):
        return x.re, x.im
    if isinstance(x, Active | ActiveArray):
        numbers: Any = x
        return (numbers.astype(float) if x.dtype == np.bool_ else x), 0.0
    if isinstance(x, float | int):
        return float(x), 0.0
    if isinstance(x, complex):
        return float(x.real), float(x.imag)
    tapes = list(tapes_in(x))
    if tapes:
        return _parts_of_list(innermost(tapes), x)
    plain = np.asarray(x)
    if plain.dtype.kind not in "fiubc":
        raise TypeError(f"a number was expected, not {plain.dtype}")
    if plain.dtype.kind != "c":
        return plain.astype(np.float64), 0.0
    return plain.real.astype(np.float64), plain.imag.astype(np.float64)


def _parts_of_list(tape: OpenTape, things: Any) -> tuple[Any, Any]:
    if getattr(things, "ndim", 1) == 0:
        return parts(things.item())
    found = [complex_array(tape, thing) for thing in things]
    return tuple(  # type: ignore[return-value]
        ActiveArray(tape, np.stack([getattr(one, name).data for one in found]))
        for name in ("re", "im")
    )


def _zero_dimensional(number: ComplexNumber) -> Any:
    return complex_array(number.tape, number)
