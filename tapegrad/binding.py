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

from tapegrad.jit import Symbol
from tapegrad.numba_internals import variable
from tapegrad.numba_protocols import Builder, Value

_NAME = "tapegrad_rows"
_ROWS = 256
_addresses = np.zeros(_ROWS, np.int64)
llvm.add_symbol(_NAME, _addresses.ctypes.data)

_F64, _I64 = ir.DoubleType(), ir.IntType(64)


class _Row(NamedTuple):
    symbol: Symbol
    kind: Any
    until_compiled: Any
    in_partials: tuple[int, ...]


_rows: dict[int, _Row] = {}
_with_derivatives = False


def _function_type(arity: int) -> Any:
    return ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_double] * arity)


def register(code: int, name: str, function: Callable[..., float], arity: int,
             in_partials: tuple[int, ...]) -> None:  # fmt: skip
    """Let compiled code compute a row by a function that is not compiled yet.

    `in_partials` are the rows of this kind that its partial derivatives call.
    """
    symbol = Symbol(f"tapegrad_row_{name}", function, float64(*[float64] * arity))
    kind = _function_type(arity)
    late = kind(functools.partial(_compute, code))
    _rows[code] = _Row(symbol, kind, late, in_partials)
    _addresses[code] = ctypes.cast(late, ctypes.c_void_p).value or 0


def is_bound(code: int) -> bool:
    """Whether such a row is compiled."""
    return bool(_addresses[code] != ctypes.cast(_rows[code].until_compiled, ctypes.c_void_p).value)


def bind(code: int) -> Symbol:
    """Compile a row, or load it from the cache; return what machine code calls."""
    for needed in _with_partials(code) if _with_derivatives else (code,):
        if address := _rows[needed].symbol.address():
            _addresses[needed] = address
    return _rows[code].symbol


def bind_derivatives() -> None:
    """Bind, with each row that is or will be, those that its derivatives of any order call.

    For code that sweeps and can't wait for Python: whatever is on a tape was bound where the code
    that records it was compiled or loaded.
    """
    global _with_derivatives
    if not _with_derivatives:
        _with_derivatives = True
        for code in filter(is_bound, _rows):
            bind(code)


@functools.cache
def _with_partials(code: int) -> tuple[int, ...]:
    """Return a row and those that its derivatives of any order call."""
    found = [code]
    for row in found:  # which grows
        found += [other for other in _rows[row].in_partials if other not in found]
    return tuple(found)


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


def call(builder: Builder, code: int, operands: list[Value]) -> Value:
    """Emit a call of a row's function, wherever it is by then."""
    table = variable(builder.module, ir.ArrayType(_I64, _ROWS), _NAME)
    place = builder.gep(table, [_I64(0), _I64(code)])
    address = builder.load_atomic(place, "monotonic", 8)
    kind = ir.FunctionType(_F64, [_F64] * len(operands))
    return builder.call(builder.inttoptr(address, kind.as_pointer()), operands)
