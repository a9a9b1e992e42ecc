"""Tapes that compiled code makes, grows and uses again without Python.

Their memory is the C library's. A finished call leaves its tape in a pool, from which the next
one takes it, in whatever thread.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys

import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir
from numba import int32, int64, types, uint8
from numba.extending import intrinsic

from tapegrad.jit import Symbol, jit
from tapegrad.layout import (
    CONSTANTS,
    COUNT_WORD,
    ENTRIES,
    FAILED_WORD,
    GROUPS,
    GUARDS,
    MAX_ENTRIES,
    NATIVE_HEAD_WORDS,
    OWNER_WORD,
    RECORDS,
    STATEMENTS,
    WORK_WORD,
)
from tapegrad.memory import pointer
from tapegrad.numba_internals import variable
from tapegrad.numba_protocols import (
    Builder,
    Intrinsic,
    Kind,
    LoweringContext,
    Signature,
    TypingContext,
    Value,
    Values,
)
from tapegrad.ops import CODE

_LIBRARY = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
llvm.add_symbol("tapegrad_realloc", ctypes.cast(_LIBRARY.realloc, ctypes.c_void_p).value)
llvm.add_symbol("tapegrad_free", ctypes.cast(_LIBRARY.free, ctypes.c_void_p).value)
reallocate = types.ExternalFunction("tapegrad_realloc", int64(int64, int64))
free = types.ExternalFunction("tapegrad_free", types.void(int64))

_WIDTHS = tuple(tuple(np.dtype(dtype).itemsize for _, dtype in group) for group in GROUPS)
_COLUMNS = np.array([[*widths, 0, 0, 0][:4] for widths in _WIDTHS])
_COUNT_WORDS = np.array(COUNT_WORD)
_N, _N_CONSTANTS, _N_GUARDS = (COUNT_WORD[group] for group in (RECORDS, CONSTANTS, GUARDS))
_N_STATEMENTS, _N_ENTRIES = COUNT_WORD[STATEMENTS], COUNT_WORD[ENTRIES]
_PASSIVE = CODE["passive"]
_LEAST = 1024


@jit
def reserve(address: int, group: int, extra: int) -> None:
    """Make room for more entries in a group of columns; where there's none, note the failure."""
    head = pointer(address, int64)
    word = _COUNT_WORDS[group]
    count, capacity = head[word], head[word + 1]
    if count + extra <= capacity:
        return
    wanted = min(max(count + extra, 2 * capacity, _LEAST), MAX_ENTRIES)
    failed = wanted < count + extra
    for column in range(4):
        width = _COLUMNS[group, column]
        if width and not failed:
            memory = reallocate(head[word + 2 + column], wanted * width)
            failed = memory == 0
            if not failed:
                head[word + 2 + column] = memory
    if failed:
        head[FAILED_WORD] = count + extra
    else:
        head[word + 1] = wanted


def _grow(address: int, group: int, extra: int) -> int:
    """Make room for more entries in a group of columns, and return whether there is."""
    reserve(address, group, extra)
    return int64(pointer(address, int64)[FAILED_WORD] == 0)


grow = Symbol("tapegrad_grow_native", _grow, int64(int64, int64, int64), on_demand=False)

# --- the pool ---------------------------------------------------------------------------------

_PLACES = 64
_pool = np.zeros(_PLACES, np.int64)
llvm.add_symbol("tapegrad_pool", _pool.ctypes.data)


def _place(builder: Builder, index: Value) -> Value:
    pool = variable(builder.module, ir.ArrayType(ir.IntType(64), _PLACES), "tapegrad_pool")
    return builder.gep(pool, [ir.IntType(64)(0), index])


@intrinsic
def _exchange(typing_context: TypingContext, index: Kind, value: Kind) -> Intrinsic:
    """Put a tape in a place of the pool and return what was there."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        return builder.atomic_rmw("xchg", _place(builder, args[0]), args[1], "seq_cst")

    return int64(int64, int64), codegen


@intrinsic
def _put_if_empty(typing_context: TypingContext, index: Kind, value: Kind) -> Intrinsic:
    """Put a tape in a place of the pool if that is empty; return whether it was."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        zero = ir.IntType(64)(0)
        place = _place(builder, args[0])
        result = builder.cmpxchg(place, zero, args[1], "seq_cst", "seq_cst")
        return builder.extract_value(result, 1)

    return types.boolean(int64, int64), codegen


@jit
def _free_tape(address: int) -> None:
    head = pointer(address, int64)
    for group in range(len(_COUNT_WORDS)):
        for column in range(4):
            if _COLUMNS[group, column]:
                free(head[_COUNT_WORDS[group] + 2 + column])
    free(head[WORK_WORD])
    free(address)


@jit
def take() -> int:
    """Return an empty tape, or 0 if there is no memory for one."""
    address = 0
    for k in range(_PLACES):
        address = _exchange(k, 0)
        if address != 0:
            break
    if address == 0:
        address = reallocate(0, 8 * NATIVE_HEAD_WORDS)
        if address == 0:
            return 0
        head = pointer(address, int64)
        for k in range(NATIVE_HEAD_WORDS):
            head[k] = 0
        head[OWNER_WORD] = 1
        for group in range(len(_COUNT_WORDS)):
            reserve(address, group, _LEAST)
        if head[FAILED_WORD] != 0:
            _free_tape(address)
            return 0
    head = pointer(address, int64)
    head[_N], head[_N_CONSTANTS], head[_N_GUARDS], head[FAILED_WORD] = 1, 0, 0, 0
    head[_N_STATEMENTS], head[_N_ENTRIES] = 1, 0
    pointer(head[_N + 2], uint8)[0] = _PASSIVE
    pointer(head[_N_STATEMENTS + 2], int32)[0] = 0
    return address


def _finish(address: int) -> None:
    """Leave a tape to the next that needs one."""
    for k in range(_PLACES):
        if _put_if_empty(k, address):
            return
    _free_tape(address)


finish = Symbol("tapegrad_finish", _finish, types.void(int64))


@jit
def free_tapes() -> None:
    """Free the memory that derivatives in compiled code keep for their next calls."""
    for k in range(_PLACES):
        address = _exchange(k, 0)
        if address != 0:
            _free_tape(address)
