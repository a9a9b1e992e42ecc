"""`tapegrad.tap` in compiled functions, where the tapped function is compiled too.

With plain numbers, and in the forms of derivatives that record afresh, it's called at once. While
a function is recorded from Python, what is tapped is noted on its tape, by Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import TypingError, objmode, types
from numba.extending import overload, register_jitable

from tapegrad.function.effects import tap
from tapegrad.numba_protocols import Implementation, Kind
from tapegrad.record.active import make
from tapegrad.record.array import ActiveArray
from tapegrad.record.kinds import ACTIVE, ActiveValue, Array, Structure, active, is_active, kind_in
from tapegrad.record.nesting import current, is_recording
from tapegrad.record.numba.rewriting import original_dispatcher
from tapegrad.record.numba_operations import as_active

__all__ = ["tap"]

_tapped: dict[int, Any] = {}
"""Compiled functions that are tapped in compiled code, by identity; they are kept."""


def _plain(x: Structure) -> Structure:
    """Return a value with plain numbers in place of active ones; for compiled code."""


def _slots(x: Structure) -> Structure:
    """Return the slots of active numbers, where they are in a value; for compiled code."""


@register_jitable
def _value_of(x: ActiveValue) -> float:
    return as_active(x).value


@register_jitable
def _slot_of(x: ActiveValue) -> int:
    return as_active(x).slot


def _each(function: str, n: int) -> Any:
    """Return a function for compiled code that applies another to each item of a tuple."""
    items = "".join(f"{function}(x[{k}])," for k in range(n))
    names: dict[str, Any] = {"_plain": _plain, "_slots": _slots}
    return eval(f"lambda x: ({items})", names)


def _have_taken(function: Any, of_active: Any, kind: type, otherwise: Implementation) -> None:
    """Have compiled code take something of the active numbers in a value, else `otherwise`."""

    @overload(function, strict=False)
    def _(x: Kind) -> Implementation | None:
        if isinstance(x, types.BaseTuple):
            return _each(function.__name__, len(x))
        if is_active(x):
            return lambda x: of_active(x)
        if isinstance(x, types.Array) and kind_in(x) is not None:

            def of_array(x: Array) -> Array:
                out: Array = np.empty(x.shape, kind)
                for i in range(x.size):
                    out.flat[i] = of_active(x.flat[i])
                return out

            return of_array
        if kind_in(x) is not None:
            raise TypingError(f"tap takes numbers, arrays and tuples in compiled code, not {x}")
        return otherwise


_have_taken(_plain, _value_of, np.float64, lambda x: x)
_have_taken(_slots, _slot_of, np.int64, lambda x: -1)


@overload(tap, strict=False)
def _(function: Kind, *values: Kind) -> Implementation | None:
    if not isinstance(function, types.Dispatcher):
        raise TypingError(
            "in a compiled function tap takes a compiled function: decorate it with numba.njit"
        )
    called = original_dispatcher(function.dispatcher)
    if kind_in(*values) is not active:

        def at_once(function: Any, *values: Any) -> None:
            called(*_plain(values))

        return at_once
    number = id(called)
    _tapped[number] = called

    def by_python(function: Any, *values: Any) -> None:
        plain, slots = _plain(values), _slots(values)
        with objmode():
            note(number, plain, slots)

    return by_python


def note(number: int, plain: tuple[Any, ...], slots: tuple[Any, ...]) -> None:
    """Tap active numbers of the tape being recorded, given as values and slots."""
    function = _tapped[number]
    if is_recording():
        tap(function, *map(_active, plain, slots))
    else:  # a form of a derivative, which records afresh
        function(*plain)


def _active(plain: Any, slots: Any) -> Any:
    if isinstance(plain, tuple):
        return tuple(map(_active, plain, slots))
    tape = current()
    if isinstance(slots, np.ndarray):
        data = np.empty(plain.shape, ACTIVE)
        data["value"], data["slot"], data["tape"] = plain, slots, tape.address
        return ActiveArray(tape, data)
    return make(tape, slots, plain) if slots > 0 else plain
