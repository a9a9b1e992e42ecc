"""Integrals of integrands that take one way only, with no more Python than SciPy's own.

The value is SciPy's of a swept integrand. The pullback is compiled: it integrates the adjoints in
the parts that the value divided its interval in. Where anything is out of the ordinary, as a guard
that fails or a singularity, it calls the block's function in Python instead.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numba import carray, float64, int64, types

from tapegrad.blocks import Shapes
from tapegrad.function.recording import Recording
from tapegrad.implicit.quadrature.adaptive import MOST_INTERVALS, adapt
from tapegrad.implicit.quadrature.swept_integrands import (
    FAILED_WORD,
    HEAD_WORD,
    INPUTS_WORD,
    KIND_WORD,
    LENGTH_WORD,
    MOST_TIMES_WORD,
    N_INPUTS_WORD,
    N_OUT_WORD,
    N_TAKEN_WORD,
    N_TIMES_WORD,
    N_VECTOR_WORD,
    NEXT_WORD,
    OUT_WORD,
    PLACE_WORD,
    PULLBACK,
    SWEPT_WORD,
    TAKEN_WORD,
    VALUE_WORD,
    VALUES,
    VECTOR_WORD,
    WORDS,
    numbers_address,
    numbers_of,
)
from tapegrad.jit import Kernel, Symbol, jit, jit_inline
from tapegrad.memory import call_at, pointer
from tapegrad.replay.programs import workspace_length

MOST_MARKS = 32
"""How many parts' beginnings the pullback is told of."""

# The words of a block's context, after its number.
(_CALLBACK, _HEAD, _LENGTH, _N_CONSTANTS, _CONSTANTS, _N_INPUTS, _N_OPERANDS, _N_RESULTS, _MARKS,
 _TOL, _NUMBERS, _SIZES, _WANTED, _IS_WANTED) = range(1, 15)  # fmt: skip


@jit_inline
def _gather(reads, n_operands, sizes, inputs):
    """Copy what an integrand is given to its inputs, after the first."""
    k = 1
    for j in range(3, n_operands):
        source = pointer(reads[j], float64)
        for i in range(sizes[j]):
            inputs[k] = source[i]
            k += 1


def _load(reads_at, n_operands, sizes, inputs, words):
    """Set what an integrand is called with; return the limits."""
    reads = pointer(reads_at, int64)
    _gather(reads, n_operands, sizes, inputs)
    words[FAILED_WORD] = words[N_TIMES_WORD] = words[NEXT_WORD] = words[MOST_TIMES_WORD] = 0
    return pointer(reads[0], float64)[0], pointer(reads[1], float64)[0]


_COUNTS = types.Array(int64, 1, "C")
load = Kernel(_load, types.UniTuple(float64, 2)(int64, int64, _COUNTS, float64[::1], _COUNTS))


def _store(writes_at, value, error, said, marks, last, place):
    """Write the results: the parts' beginnings are their number, and then they."""
    writes = pointer(writes_at, int64)
    pointer(writes[0], float64)[0] = value
    pointer(writes[1], float64)[0] = error
    pointer(writes[2], float64)[0] = said
    to = pointer(writes[place], float64)
    n = min(last, MOST_MARKS)
    to[0] = n
    for k in range(MOST_MARKS):
        to[1 + k] = marks[k] if k < n else 0.0


store = Kernel(
    _store,
    types.void(int64, float64, float64, float64, float64[::1], int64, int64),
)


@jit
def _parts(a, b, marks, n):
    """Return the parts that QUADPACK divided an interval in, as it maps them."""
    low, high = min(a, b), max(a, b)
    is_low, is_high = np.isfinite(low), np.isfinite(high)
    first, last = (low, high) if is_low and is_high else (0.0, 1.0)
    ends = np.empty(n + 2)
    count = 0
    for k in range(n):
        if first < marks[k] < last:
            ends[count] = marks[k]
            count += 1
    ends[count], ends[count + 1] = first, last
    ends = np.sort(ends[: count + 2])
    n_ways = 1 if is_low or is_high else 2
    parts = np.empty((n_ways * (count + 1), 5))
    for way in range(n_ways):
        for k in range(count + 1):
            part = parts[way * (count + 1) + k]
            part[0], part[1], part[2], part[3], part[4] = ends[k], ends[k + 1], 0.0, 0.0, 1.0
            if not (is_low and is_high):
                part[2] = low if is_low else high if is_high else 0.0
                part[3] = 1.0 if is_low or (n_ways == 2 and way == 0) else -1.0
    return parts


def _pullback(reads_at, writes_at, context):
    """Add the adjoints of an integral's operands; return 0 if all is well."""
    word = pointer(context, int64)
    reads, writes = pointer(reads_at, int64), pointer(writes_at, int64)
    n_operands, n_inputs = word[_N_OPERANDS], word[_N_INPUTS]
    sizes = carray(pointer(word[_SIZES], int64), (n_operands,))
    is_wanted = carray(pointer(word[_IS_WANTED], int64), (n_operands,))
    length, n_constants = word[_LENGTH], word[_N_CONSTANTS]
    # One array, since Numba lets go of each when it isn't named any more, whoever has its address.
    room = np.empty(2 * length + 2 * n_inputs + 2)
    value, inputs = room[:length], room[2 * length : 2 * length + n_inputs]
    seed, one = room[room.size - 2 : room.size - 1], room[room.size - 1 :]
    constants = pointer(word[_CONSTANTS], float64)
    for k in range(n_constants):
        value[k] = constants[k]
    value[n_constants] = 0.0
    seed[0] = pointer(reads[n_operands + word[_N_RESULTS]], float64)[0]
    _gather(reads, n_operands, sizes, inputs)
    n_taken, first = 0, np.zeros(1, np.int64)
    for j in range(3, n_operands):
        n_taken += sizes[j] * is_wanted[j]
    words = np.zeros(WORDS, np.int64)
    base = room.ctypes.data
    words[HEAD_WORD], words[LENGTH_WORD], words[N_INPUTS_WORD] = word[_HEAD], length, n_inputs
    words[VALUE_WORD], words[SWEPT_WORD] = base, base + 8 * length
    words[INPUTS_WORD], words[OUT_WORD] = base + 16 * length, base + 8 * (2 * length + n_inputs)
    words[VECTOR_WORD], words[PLACE_WORD] = base + 8 * (room.size - 2), base + 8 * (room.size - 1)
    words[TAKEN_WORD], words[N_VECTOR_WORD] = word[_WANTED], 1
    words[KIND_WORD], words[N_OUT_WORD], words[N_TAKEN_WORD] = PULLBACK, n_inputs, n_taken
    address = words.ctypes.data
    a, b = pointer(reads[0], float64)[0], pointer(reads[1], float64)[0]
    found = np.zeros((3, n_taken))
    if n_taken > 0 and a != b:
        marks = pointer(reads[n_operands + word[_MARKS]], float64)
        parts = _parts(a, b, carray(marks, (MOST_MARKS + 1,))[1:], int64(marks[0]))
        tol = pointer(context + 8 * _TOL, float64)[0]
        status = adapt(word[_NUMBERS], address, parts, tol, MOST_INTERVALS, found)
        if status != 0:
            return call_at(word[_CALLBACK], (reads_at, writes_at, context))
    ends = np.zeros(2)
    words[KIND_WORD], words[N_OUT_WORD], words[N_TAKEN_WORD] = VALUES, 1, 1
    words[TAKEN_WORD] = first.ctypes.data
    for j in range(2):
        end = a if j == 0 else b
        if is_wanted[j] != 0 and np.isfinite(end):
            if numbers_of(end, words[PLACE_WORD], address) != 0:
                return call_at(word[_CALLBACK], (reads_at, writes_at, context))
            ends[j] = one[0] * seed[0] * (2 * j - 1)
    for j in range(2):
        if is_wanted[j] != 0:
            pointer(writes[j], float64)[0] += ends[j]
    sign = -1.0 if b < a else 1.0
    k = 0
    for j in range(3, n_operands):
        if is_wanted[j] != 0:
            to = pointer(writes[j], float64)
            for i in range(sizes[j]):
                to[i] += sign * found[0, k]
                k += 1
    first[0], room[0], words[0] = 0, 0.0, 0  # so far they're needed
    return 0


pullback = Symbol("tapegrad_integral_pullback", _pullback, int64(int64, int64, int64))


class Layout:
    """What compiled code is told of an integral, and what must live as long as it's used.

    Attributes
    ----------
    recording : Recording
    sizes : ndarray of int64
        Of the operands.
    words : tuple of int
        A context.
    """

    def __init__(self, recording: Recording, shapes: Shapes, is_active: tuple[bool, ...],
                 n_results: int, place: int, tol: float, callback: int) -> None:  # fmt: skip
        tape = recording.tape
        n = len(shapes)
        self.sizes = np.array([int(np.prod(shape)) for shape in shapes], np.int64)
        self._is_wanted = np.array(is_active, np.int64)
        of_inputs = np.repeat(self._is_wanted[3:], self.sizes[3:])
        wanted = np.zeros(len(tape.inputs), np.int64)
        found = 1 + np.flatnonzero(of_inputs)
        wanted[: len(found)] = found
        self._wanted, self._constants = wanted, np.ascontiguousarray(tape.constants[::-1])
        self.recording = recording
        (bits,) = struct.unpack("q", struct.pack("d", tol))
        at: Any = lambda array: array.ctypes.data  # noqa: E731
        self.words = (
            callback, tape.address, workspace_length(tape), len(tape.constants),
            at(self._constants), len(tape.inputs), n, n_results, place, bits,
            numbers_address(), at(self.sizes), at(self._wanted), at(self._is_wanted),
        )  # fmt: skip
