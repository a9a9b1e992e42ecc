"""Active numbers for Python: a value, a tape and a slot, with every operator of a float.

The operators that are written most are in `operators`; they and everything else record through
`unary` and `binary`. What turns an active number into a plain one is in `plain`.
"""

from __future__ import annotations

import functools
import itertools
import math
import numbers
from collections.abc import Sequence
from typing import Any, NoReturn, SupportsFloat

import numpy as np
from numba import float64, int64

from tapegrad import rules
from tapegrad.errors import LostDerivativeError
from tapegrad.jit import Kernel
from tapegrad.layout import COUNT_WORD, GUARDS
from tapegrad.ops import CODE
from tapegrad.record import exact
from tapegrad.record.frames import calling_frame
from tapegrad.record.intervals import interval_of
from tapegrad.record.nesting import innermost, slot_on
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.pairs import Pair, is_complex, of_complex
from tapegrad.record.refusals import not_repeatable, not_whole, unhashable


def _evaluate(code: int, x: float, y: float) -> float:
    return rules.evaluate_float(code, x, y)  # type: ignore[no-any-return]


evaluate = Kernel(_evaluate, float64(int64, float64, float64))
"""An operation's value as the sweeps compute it."""


_POWER, _POWI, _MULTIPLY, _NEGATIVE = (CODE[n] for n in ("power", "powi", "multiply", "negative"))


class Active:
    """An active number: a float whose operations are recorded.

    Made by tapegrad when it records a function; not to be made or kept by the user.

    Attributes
    ----------
    value : float
        The plain number, without a derivative, under a guard.
    primal : float
        The number at the recording's point, for the library's own use: it isn't guarded.
    slot : int
        Its slot on the tape.
    tape : OpenTape
        The recording it belongs to.
    """

    __slots__ = ("primal", "slot", "tape")

    # What `isinstance` asks: code that tests for floats goes the way it goes unrecorded.
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return np.float64

    primal: float
    value: Any
    slot: int
    tape: OpenTape

    shape: tuple[int, ...] = ()
    ndim = 0
    size = 1
    dtype: np.dtype[Any] = np.dtype(np.float64)

    # --- reading an integer or a truth value: guards ------------------------------------------

    def _guarded(self, name: str) -> int:
        """Record a rounding, guard its value and return it."""
        integer = int(getattr(math, name, round)(self.primal))  # raises on inf and nan, as floats
        guard(unary(CODE[name], self))
        return integer

    def __bool__(self) -> bool:
        return bool(binary(CODE["not_equal"], self, 0.0))

    def __int__(self) -> int:
        return self._guarded("trunc")

    def __trunc__(self) -> int:
        return self._guarded("trunc")

    def __floor__(self) -> int:
        return self._guarded("floor")

    def __ceil__(self) -> int:
        return self._guarded("ceil")

    def __index__(self) -> int:
        if not self.primal.is_integer():
            raise not_whole(self.primal)
        guard(self)
        return int(self.primal)

    def __round__(self, digits: int | None = None) -> Any:
        if digits is None:
            return self._guarded("rint")
        if math.isfinite(self.primal):
            lowest, highest = interval_of(self.primal, lambda x: round(x, digits))
            guard(binary(CODE["greater_equal"], self, lowest))
            guard(binary(CODE["less_equal"], self, highest))
            guard(binary(CODE["copysign"], 1.0, self))  # what is rounded to -0.0 isn't to 0.0
        else:
            guard(unary(CODE["isnan"], self))
            guard(binary(CODE["equal"], self, self.primal))
        return round(self.primal, digits)

    # --- what would lose the derivative -------------------------------------------------------

    def __hash__(self) -> int:
        raise unhashable("number", "int(x), round(x) or x.value")

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise LostDerivativeError("an active number belongs to its recording and can't be pickled")

    def __copy__(self) -> Active:
        return self

    def __deepcopy__(self, memo: Any) -> Active:
        return self

    # --- the rest of a float's interface ------------------------------------------------------

    def __neg__(self) -> Active:
        tape = self.tape
        slot = tape.append(_NEGATIVE, self.slot, 0, -self.primal)
        return make(tape, slot, -self.primal)

    def __pos__(self) -> Active:
        return self

    def __abs__(self) -> Active:
        return unary(CODE["absolute"], self)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def is_integer(self) -> bool:
        """Return whether the number is whole, as a guarded truth value."""
        return bool(unary(CODE["rint"], self) == self)

    def conjugate(self) -> Active:
        """Return the number itself."""
        return self

    @property
    def real(self) -> Active:
        """The number itself."""
        return self

    @property
    def imag(self) -> float:
        """Zero."""
        return 0.0

    T = real

    def item(self) -> Active:
        """Return the number itself, as a NumPy scalar's `item` does."""
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.primal!r})"


class ActiveBool(Active):
    """The result of a comparison: true or false, and guarded once a program reads it."""

    __slots__ = ()
    dtype: np.dtype[Any] = np.dtype(np.bool_)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return np.bool_

    def __bool__(self) -> bool:
        guard(self)
        return self.primal != 0.0

    def __invert__(self) -> Any:
        return unary(CODE["logical_not"], self)

    def __repr__(self) -> str:
        return f"ActiveBool({self.primal != 0.0})"


# --- recording --------------------------------------------------------------------------------


def make(tape: OpenTape, slot: int, value: float, boolean: bool = False) -> Active:
    """Return the active number that a slot of a tape holds."""
    number = ActiveBool() if boolean else Active()
    number.tape, number.slot, number.primal = tape, slot, value
    return number


def guard(number: Active) -> None:
    """State that the program read `number`, so that a replay must find the same value."""
    frame = calling_frame()
    number.tape.guard(number.slot, number.primal, frame.f_code, frame.f_lasti)


def guard_all(tape: OpenTape, slots: Any, values: Any) -> None:
    """State that the program read many slots at once."""
    if len(slots):
        tape.enter()
        frame = calling_frame()
        site = tape.site(frame.f_code, frame.f_lasti)
        tape.new_guard_slot.extend(slots.tolist())
        tape.new_guard_value.extend(values.tolist())
        tape.new_guard_site.extend([site] * len(slots))


def run_reading(tape: OpenTape, kernel: Kernel, *args: Any) -> Any:
    """Run a kernel that reads active numbers; its guards are the calling program's."""
    tape.flush()
    n_guards = tape.head[COUNT_WORD[GUARDS]]
    frame = calling_frame()
    result = tape.run(kernel, *args)
    if tape.head[COUNT_WORD[GUARDS]] > n_guards:
        tape.place_guards(n_guards, tape.site(frame.f_code, frame.f_lasti))
    return result


def unary(code: int, x: Active) -> Active:
    """Record a unary operation."""
    tape = x.tape
    value = evaluate.run(code, x.primal, 0.0)
    return make(tape, tape.append(code, x.slot, 0, value), value, rules.IS_BOOLEAN[code])


def binary(code: int, x: Any, y: Any) -> Any:
    """Record a binary operation of two numbers, one of them active at least.

    Returns `NotImplemented` for an operand that is no number.
    """
    code, x, y = at_whole(code, x, y)
    tape = x.tape if isinstance(x, Active) else None
    if isinstance(y, Active) and y.tape is not tape:
        tape = y.tape if tape is None else innermost([tape, y.tape])
    assert tape is not None, "one operand must be active"
    values = []
    operands = []
    for number in (x, y):
        if isinstance(number, Active):
            operands.append(slot_on(tape, number))
            values.append(number.primal)
        elif code in exact.COMPARISONS and isinstance(number, exact.Exact):
            code, value = exact.as_float(code, number, number is x)
            values.append(value)
            operands.append(tape.constant(value))
        elif _is_scalar(number):
            values.append(float(number))
            operands.append(tape.constant(values[-1]))
        elif isinstance(number, list | tuple) or not is_complex(number):
            return NotImplemented
        else:
            return of_complex(code, x, y)
    value = evaluate.run(code, values[0], values[1])
    slot = tape.append(code, operands[0], operands[1], value)
    return make(tape, slot, value, rules.IS_BOOLEAN[code])


def product(x: Any, y: Any) -> Any:
    """Record `x * y`, one of them active; a float repeats no list, not even a whole one."""
    result = binary(CODE["multiply"], x, y)
    if result is NotImplemented:
        for operand in (x, y):
            if isinstance(operand, Sequence) and hasattr(operand, "__rmul__"):
                raise not_repeatable(operand)
    return result


_NUMBERS = (float, int, bool, np.bool_, np.float64)
_REFLECTED = frozenset(
    [f"__r{name}__" for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")]
)


@functools.cache
def _takes_over(kind: Any) -> bool:
    """Whether a class of somebody's has operators of its own, which a float would leave it to."""
    own = itertools.takewhile(lambda base: base not in (*_NUMBERS, object), kind.__mro__)
    return any(not _REFLECTED.isdisjoint(vars(base)) for base in own) and not issubclass(
        kind, Active | np.generic | numbers.Rational | complex
    )


def _is_scalar(number: Any) -> bool:
    kind: Any = type(number)
    if _takes_over(kind):
        return False
    if isinstance(number, Active | float | int | np.bool_ | np.floating | np.integer):
        return True
    if isinstance(number, complex | np.complexfloating):
        return False
    return isinstance(number, SupportsFloat) and not hasattr(number, "__array_function__")


def at_whole(code: int, x: Any, y: Any) -> tuple[int, Any, Any]:
    """Return what is recorded for an operation: with a whole constant exponent a power is exact.

    It's a product for a square, and `powi` for the others.
    """
    if code != _POWER or not _is_whole(y):
        return code, x, y
    return (_MULTIPLY, x, x) if y == 2 else (_POWI, x, y)


def _is_whole(number: Any) -> bool:
    """Whether a number is a whole constant."""
    kind = type(number)
    if kind is int or kind is float:
        return kind is int or number.is_integer()
    if issubclass(kind, Active | Pair) or np.ndim(number) or not _is_scalar(number):
        return False
    return float(number).is_integer()
