"""The Numba types of numbers that are recorded.

An `active` is a value, the slot that holds it and the address of its tape; slot 0 is passive,
so zero-filled memory is an array of passive zeros. In NumPy's memory an active is one `ACTIVE`
element. `linearised` is laid out the same, on a tape that holds partial derivatives instead of
operations and values; what is computed from such numbers is an `ExpressionType`, which is
recorded when it's converted to a number.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import make_attribute_wrapper, models, register_model

from tapegrad.jit import source_stamp
from tapegrad.numba_internals import Conversion
from tapegrad.numba_protocols import Kind, TypingContext

ACTIVE = np.dtype([("value", np.float64), ("slot", np.int64), ("tape", np.int64)])
"""An active number in NumPy's memory, laid out as the compiled type is."""

ACTIVE_SINGLE = np.dtype(ACTIVE, metadata={"single": True})
"""The same in an array whose elements are rounded to single precision when they're stored."""

MOST_TERMS = 8
"""How many terms an expression may have."""


class ActiveValue(float):
    """What an active number is in the annotations of compiled code; there is no such object.

    Where no slot is read, Numba compiles the same code for floats.
    """

    value: float
    slot: int
    tape: int


Array: TypeAlias = npt.NDArray[Any]
"""An array in compiled code, of numbers of any kind."""

Index: TypeAlias = Any
"""What an array can be indexed with: an integer or a tuple of them."""

Operand: TypeAlias = ActiveValue | Array

Structure: TypeAlias = Any
"""Numbers, arrays, and tuples of such in compiled code."""

Shape: TypeAlias = tuple[int, ...]

Operation: TypeAlias = Callable[[Any, Any], Any]
"""A compiled function of two numbers."""

_PLAIN = types.Float | types.Integer | types.Boolean


class _NumberType(types.Type):  # type: ignore[misc]  # numba is untyped
    """A type whose numbers are recorded.

    Two of them are one type only where the library's sources are the same: what a user's cache
    holds was compiled for the tapes of one version.
    """

    def __init__(self, name: str) -> None:
        self._stamp = source_stamp("tapegrad.record", "tapegrad.embed")
        super().__init__(name=name)

    @property
    def key(self) -> Any:
        """What types are compared by."""
        return self.name, self._stamp

    @property
    def is_internal(self) -> bool:
        """Whether Numba may fuse it into loops over arrays."""
        return True


class ActiveType(_NumberType):
    """The type of an active number; floats and integers convert to passive ones."""

    def can_convert_from(self, typing_context: TypingContext, other: Kind) -> Any:
        """Say how a type converts to this one, or None."""
        if isinstance(other, _PLAIN) or (self is linearised and isinstance(other, ExpressionType)):
            return Conversion.promote
        return None

    def unify(self, typing_context: TypingContext, other: Kind) -> Kind | None:
        """Return the type that holds this and another, or None."""
        return self if self.can_convert_from(typing_context, other) else None


class ExpressionType(_NumberType):
    """A value and its partial derivatives by the slots it depends on, not yet on the tape."""

    def __init__(self, n_terms: int) -> None:
        self.n_terms = n_terms
        super().__init__(name=f"expression of {n_terms} active numbers")

    def unify(self, typing_context: TypingContext, other: Kind) -> Kind | None:
        """Return the type that holds this and another, or None."""
        return linearised if isinstance(other, _PLAIN | ExpressionType) else None


active = ActiveType("active")
linearised = ActiveType("active, linearised")
expressions = {n: ExpressionType(n) for n in range(1, MOST_TERMS + 1)}


@register_model(ActiveType)
class _ActiveModel(models.StructModel):  # type: ignore[misc]
    def __init__(self, manager: Any, numba_type: Kind) -> None:
        members = [("value", types.float64), ("slot", types.int64), ("tape", types.int64)]
        super().__init__(manager, numba_type, members)


for _name in ACTIVE.names or ():
    make_attribute_wrapper(ActiveType, _name, _name)


@register_model(ExpressionType)
class _ExpressionModel(models.StructModel):  # type: ignore[misc]
    def __init__(self, manager: Any, numba_type: Kind) -> None:
        members = [("value", types.float64), ("tape", types.int64)]
        for k in range(numba_type.n_terms):
            members += [(f"slot{k}", types.int64), (f"partial{k}", types.float64)]
        super().__init__(manager, numba_type, members)


def is_active(*arguments: Kind) -> bool:
    """Whether a Numba type among these is an active number's."""
    return any(isinstance(argument, ActiveType | ExpressionType) for argument in arguments)


def is_number(argument: Kind) -> bool:
    """Whether a Numba type is that of a real number, active or not."""
    return is_active(argument) or isinstance(argument, _PLAIN)


def kind_in(*arguments: Kind) -> Kind | None:
    """Return the type of the active numbers in values of these types, or None."""
    for argument in arguments:
        if isinstance(argument, ExpressionType):
            return linearised
        if isinstance(argument, ActiveType):
            return argument
        if isinstance(argument, types.BaseTuple):
            found = kind_in(*argument.types)
        else:
            inner = (getattr(argument, name, None) for name in ("dtype", "type", "value_type"))
            found = kind_in(*(kind for kind in inner if isinstance(kind, types.Type)))
        if found is not None:
            return found
    return None
