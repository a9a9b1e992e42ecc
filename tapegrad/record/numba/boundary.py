"""The types that Numba sees where active numbers and arrays are passed to compiled functions.

`conversion` has what then takes them in and out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import binding as llvm
from numba import types
from numba.extending import typeof_impl

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.jit import Symbol
from tapegrad.numba_protocols import Kind, TypingContext
from tapegrad.record.active import Active, ActiveBool
from tapegrad.record.array import ActiveArray
from tapegrad.record.complex_numbers import ComplexArray, ComplexNumber
from tapegrad.record.kinds import active
from tapegrad.record.numba import loading
from tapegrad.record.pairs import Pair


def _prepare() -> None:
    """Make ready for compiling code with active numbers, or loading it from a cache."""
    loading.load()
    Symbol.provide()


def _type_of_number(number: Active, context: TypingContext) -> Kind:
    _prepare()
    return types.boolean if isinstance(number, ActiveBool) else active


def _type_of_array(array: ActiveArray, context: TypingContext) -> Kind:
    if array.is_bool:
        raise UnsupportedFunctionError(
            "an active boolean array can't be passed to a Numba function; pass np.asarray(mask)"
        )
    _prepare()
    layout = "C" if array.data.flags.c_contiguous else "A"
    return types.Array(active, array.ndim, layout)


def _no_complex(number: Pair, context: TypingContext) -> Kind:
    raise UnsupportedFunctionError(
        "complex numbers that depend on the input can't be passed to a Numba function: pass "
        "z.real and z.imag, and compute with the two real parts there, or z.value if it depends on "
        "no input"
    )


def _register(kind: type, stands_for: type, type_of: Callable[[Any, TypingContext], Kind]) -> None:
    """Have Numba, which asks what `isinstance` asks, find the type of what says it's another."""
    plain = typeof_impl.dispatch(stands_for)
    typeof_impl.register(stands_for)(
        lambda thing, context: (
            type_of(thing, context) if isinstance(thing, kind) else plain(thing, context)
        )
    )


_register(Active, np.float64, _type_of_number)
_register(ActiveBool, np.bool_, _type_of_number)
_register(ActiveArray, np.ndarray, _type_of_array)
_register(ComplexNumber, np.complex128, _no_complex)
_register(ComplexArray, np.ndarray, _no_complex)

# What the code that unboxes arrays compares with; it may come from a cache.
llvm.add_symbol("tapegrad_ndarray", id(np.ndarray))
