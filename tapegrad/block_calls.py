"""What the sweeps do at a call of a block: gather what it reads, run it, and hand on what it wrote.

Each function takes a tape's head, pointers to the entries of slot 0, and which call it is; it
returns 0 if all is well. They are called by address, through the head, so that a tape without
blocks doesn't wait for their compilation.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from numba import float64, int64, types

from tapegrad.blocks import ARRAYS_WORD, CONTEXT_WORD, KINDS, NUMBERS_WORD, SIZES_WORD, calls_of
from tapegrad.jit import Symbol, jit_inline
from tapegrad.layout import CALLS_WORD
from tapegrad.memory import address, call_at, call_operands, pointer, shift

if TYPE_CHECKING:
    from tapegrad.tape import Tape

_WORDS = 3
"""Of a call, in the table of calls: its slot, its first operand, and the address of its block's."""

_VALUE, _PULLBACK, _PUSHFORWARD = range(3)


@jit_inline
def _call(head: Any, k: int) -> Any:
    """Return a call's slot, a pointer to its operands, and its block's words."""
    table = pointer(head[CALLS_WORD + 1], int64)
    (operands,) = call_operands(head)
    slot, first, words = table[3 * k], table[3 * k + 1], table[3 * k + 2]
    return slot, address(shift(operands, first)), pointer(words, int64)


@jit_inline
def _point(pointers: Any, place: int, base: int, words: Any, first: int, count: int) -> int:
    """Put the addresses of arrays that follow one another from `base` on; return the next place."""
    offset = int64(0)
    for j in range(count):
        pointers[place + j] = base + 8 * offset
        offset += words[SIZES_WORD + first + j]
    return place + count


@jit_inline
def _gathered(operands: Any, values: Any, n: int) -> Any:
    numbers = np.empty(n)
    for j in range(n):
        numbers[j] = values[operands[j]]
    return numbers


@jit_inline
def _kept(status: int, pointers: Any, numbers: Any) -> int:
    """Return a status. Arrays are freed after what names them last, which must not be a pointer."""
    return status + 0 * (len(pointers) + len(numbers))


def _value(head: Any, values: Any, unused: Any, k: int) -> Any:
    slot, place, words = _call(head, k)
    n, m = words[ARRAYS_WORD], words[ARRAYS_WORD + 1]
    numbers = _gathered(pointer(place, types.int32), values, words[NUMBERS_WORD])
    pointers = np.empty(n + m, np.int64)
    at = _point(pointers, 0, numbers.ctypes.data, words, 0, n)
    _point(pointers, at, address(shift(values, slot + 1)), words, n, m)
    base = pointers.ctypes.data
    status = call_at(words[_VALUE], (base, base + 8 * n, words[CONTEXT_WORD]))
    return _kept(status, pointers, numbers)


def _pullback(head: Any, values: Any, adjoints: Any, k: int) -> Any:
    slot, place, words = _call(head, k)
    n, m = words[ARRAYS_WORD], words[ARRAYS_WORD + 1]
    n_numbers, n_results = words[NUMBERS_WORD], words[NUMBERS_WORD + 1]
    is_zero, is_passive = True, True
    for j in range(slot + 1, slot + 1 + n_results):
        is_zero = is_zero and adjoints[j] == 0.0
    for array in range(n):
        is_passive = is_passive and words[SIZES_WORD + n + m + array] == 0
    if is_zero or is_passive:
        return int64(0)
    operands = pointer(place, types.int32)
    numbers, added = _gathered(operands, values, n_numbers), np.zeros(n_numbers)
    pointers = np.empty(2 * n + 2 * m, np.int64)
    at = _point(pointers, 0, numbers.ctypes.data, words, 0, n)
    at = _point(pointers, at, address(shift(values, slot + 1)), words, n, m)
    at = _point(pointers, at, address(shift(adjoints, slot + 1)), words, n, m)
    _point(pointers, at, added.ctypes.data, words, 0, n)
    base = pointers.ctypes.data
    status = call_at(words[_PULLBACK], (base, base + 8 * at, words[CONTEXT_WORD]))
    if _kept(status, pointers, numbers) != 0:
        return status
    # From the last to the first, as the operands would be swept if they were records.
    j = n_numbers
    for array in range(n - 1, -1, -1):
        stop = j - words[SIZES_WORD + array]
        if words[SIZES_WORD + n + m + array] == 0:
            j = stop
        while j > stop:
            j -= 1
            if added[j] != 0.0 and operands[j] > 0:
                adjoints[operands[j]] += added[j]
    return status


def _pushforward(head: Any, values: Any, tangents: Any, k: int) -> Any:
    slot, place, words = _call(head, k)
    n, m = words[ARRAYS_WORD], words[ARRAYS_WORD + 1]
    n_numbers, n_results = words[NUMBERS_WORD], words[NUMBERS_WORD + 1]
    operands = pointer(place, types.int32)
    moved = np.zeros(n_numbers)
    is_zero = True
    for j in range(n_numbers):
        if operands[j] > 0:
            moved[j] = tangents[operands[j]]
            is_zero = is_zero and moved[j] == 0.0
    if is_zero:
        for j in range(slot + 1, slot + 1 + n_results):
            tangents[j] = 0.0
        return int64(0)
    numbers = _gathered(operands, values, n_numbers)
    pointers = np.empty(2 * n + 2 * m, np.int64)
    at = _point(pointers, 0, numbers.ctypes.data, words, 0, n)
    at = _point(pointers, at, address(shift(values, slot + 1)), words, n, m)
    at = _point(pointers, at, moved.ctypes.data, words, 0, n)
    _point(pointers, at, address(shift(tangents, slot + 1)), words, n, m)
    base = pointers.ctypes.data
    status = call_at(words[_PUSHFORWARD], (base, base + 8 * at, words[CONTEXT_WORD]))
    return _kept(_kept(status, pointers, numbers), pointers, moved)


_SLOTS = types.CPointer(float64)
_SIGNATURE = int64(types.CPointer(int64), _SLOTS, _SLOTS, int64)
_symbols = [
    Symbol(f"tapegrad_block{function.__name__}", function, _SIGNATURE)
    for function in (_value, _pullback, _pushforward)
]


@functools.cache
def _functions() -> tuple[int, ...]:
    return tuple(symbol.address() for symbol in _symbols)


def head_words(tape: Tape) -> tuple[npt.NDArray[np.int64], tuple[int, ...]]:
    """Return a tape's table of calls, and the words of its head that tell of it."""
    calls = calls_of(tape)
    is_known = (tape.a[calls] >= 0) & (tape.a[calls] < len(tape.blocks))
    calls = calls[is_known]  # of another one `check` tells
    table = np.empty((len(calls), _WORDS), np.int64)
    blocks = np.array([block.words.ctypes.data for block in tape.blocks], np.int64)
    table[:, 0], table[:, 1], table[:, 2] = calls, tape.b[calls], blocks[tape.a[calls]]
    assert len(_symbols) == len(KINDS)
    return table, (len(calls), table.ctypes.data, *_functions())
