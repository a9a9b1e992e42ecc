"""Rows of the table whose functions are large: compiled when they're first computed.

Compiled code finds them in a table of addresses. Until a row is compiled, its place holds a
function that has Python compile it, puts the address there and goes on, as dynamic linkers do.
"""

from __future__ import annotations

import _thread
import ctypes
import functools
import math
import sys
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir
from numba import float64
from numba.core import cgutils

from tapegrad.jit import Symbol

_NAME = "tapegrad_rows"
_ROWS = 256
_addresses = np.zeros(_ROWS, np.int64)
llvm.add_symbol(_NAME, _addresses.ctypes.data)

_F64, _I64 = ir.DoubleType(), ir.IntType(64)


class _Row(NamedTuple):
    symbol: Symbol
    kind: Any
    until_compiled: Any


_rows: dict[int, _Row] = {}


def _function_type(arity: int) -> Any:
    return ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_double] * arity)


def register(code: int, name: str, function: Callable[..., float], arity: int) -> None:
    """Let compiled code compute a row by a function that is not compiled yet."""
    symbol = Symbol(f"tapegrad_row_{name}", function, float64(*[float64] * arity))
    kind = _function_type(arity)
    late = kind(functools.partial(_compute, code))
    _rows[code] = _Row(symbol, kind, late)
    _addresses[code] = ctypes.cast(late, ctypes.c_void_p).value or 0


def is_bound(code: int) -> bool:
    """Whether such a row is compiled."""
    return bool(_addresses[code] != ctypes.cast(_rows[code].until_compiled, ctypes.c_void_p).value)


def bind(code: int) -> Symbol:
    """Compile a row, or load it from the cache; return what machine code calls."""
    symbol = _rows[code].symbol
    if address := symbol.address():
        _addresses[code] = address
    return symbol


def bind_all() -> None:
    """Compile every row, or load it, for code that can't wait for Python."""
    for code in _rows:
        bind(code)


def _compute(code: int, *operands: float) -> float:
    """Compile a row in the middle of a loop that computes it, and compute it.

    No exception passes through compiled code: an interrupt comes when the loop has ended, and
    what can't be compiled is NaN.
    """
    was_interrupted = False
    while True:
        try:
            address = bind(code).address()
            break
        except KeyboardInterrupt:
            was_interrupted = True
        except Exception:  # there is nobody to raise it to
            traceback.print_exc(file=sys.stderr)
            return math.nan
    if was_interrupted:
        _thread.interrupt_main()
    return float(_rows[code].kind(address)(*operands))


def call(builder: ir.IRBuilder, code: int, operands: list[Any]) -> Any:
    """Emit a call of a row's function, wherever it is by then."""
    table = builder.module.globals.get(_NAME) or cgutils.add_global_variable(
        builder.module, ir.ArrayType(_I64, _ROWS), _NAME
    )
    place = builder.gep(table, [_I64(0), _I64(code)])
    address = builder.load_atomic(place, "monotonic", 8)
    kind = ir.FunctionType(_F64, [_F64] * len(operands))
    return builder.call(builder.inttoptr(address, kind.as_pointer()), operands)
