"""Complex numbers that depend on the input: pairs of a real and an imaginary part.

A pair is a number or an array; its parts are active or plain. What it can do is in
`complex_numbers`; here is what the lower floors have to know: how a complex operand is told from
a real one, and where the operations are found that have a complex meaning.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.libraries import frames_to_users_code
from tapegrad.ops import OPS

BY_CODE: dict[int, Callable[..., Any]] = {}
"""What an operation of the table is for complex numbers, by its code."""


class Pair:
    """A complex number or array, as its two parts."""

    __slots__ = ("im", "re")

    def __init__(self, re: Any, im: Any) -> None:
        self.re, self.im = re, im

    def mapped(self, function: Callable[[Any], Any]) -> Any:
        """Return the pair of what a function makes of each part."""
        return type(self)(function(self.re), function(self.im))


_REAL = frozenset([float, int, bool, str, type(None), np.float64, np.bool_, slice])


def is_complex(thing: Any) -> bool:
    """Whether something is a complex number or array, or a list of some."""
    kind: Any = type(thing)
    if kind in _REAL:
        return False
    if issubclass(kind, Pair | complex | np.complexfloating):
        return True
    if issubclass(kind, list | tuple):
        return any(map(is_complex, thing))
    if issubclass(kind, np.ndarray):
        return bool(thing.dtype.kind == "c") or (
            thing.dtype.kind == "O" and any(map(is_complex, thing.flat))
        )
    return False


def of_complex(code: int, *operands: Any) -> Any:
    """Return what an operation of the table gives for operands, one of them complex.

    Raises
    ------
    TypeError
        For an operation that complex numbers don't have, such as an order.
    """
    operation = BY_CODE.get(code)
    if operation is None:
        op = OPS[code]
        raise TypeError(
            f"{op.symbol or op.name} is not supported for complex numbers: take z.real, z.imag or "
            "abs(z)"
        )
    return operation(*operands)


def without_imaginary_part(value: Any) -> Any:
    """Return what an array of floats takes of a complex value, and warn, as NumPy does."""
    if isinstance(value, list | tuple) or type(value) is complex:
        raise TypeError(
            "an array of floats can't hold complex numbers: make it with dtype=complex, or store "
            "z.real"
        )
    warnings.warn(
        "Casting complex values to real discards the imaginary part",
        np.exceptions.ComplexWarning,
        stacklevel=frames_to_users_code(),
    )
    return value.re if isinstance(value, Pair) else value.real
