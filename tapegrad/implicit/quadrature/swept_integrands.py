"""Recordings as integrands that compiled code calls: functions of their first input.

A context holds what a sweep needs: the tape, its inputs, of which the first is set at each call,
and memory. Machine code of the recording takes the sweeps' place when there is some. A guard that
fails, or NaN from machine code, is reported, and whoever integrates does so in Python then, where
other recordings are tried.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import itertools
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import carray, float64, int64

from tapegrad.function.recording import Recording
from tapegrad.function.tiers import Kind
from tapegrad.function.vectors import Vector
from tapegrad.jit import Symbol
from tapegrad.layout import HEAD_WORDS
from tapegrad.memory import call_at, pointer
from tapegrad.replay import programs

if TYPE_CHECKING:
    from tapegrad.codegen.compiled_tape import Code

VALUES, PULLBACK, PUSHFORWARD = 0, 1, 2

# The words of a context: addresses and lengths.
(KIND_WORD, HEAD_WORD, LENGTH_WORD, VALUE_WORD, SWEPT_WORD, INPUTS_WORD, N_INPUTS_WORD, VECTOR_WORD,
 N_VECTOR_WORD, OUT_WORD, N_OUT_WORD, TAKEN_WORD, N_TAKEN_WORD, FAILED_WORD, TIMES_WORD,
 N_TIMES_WORD, MOST_TIMES_WORD, CODE_WORD, MEMORY_WORD, OUTPUTS_WORD,
 PLACE_WORD, NEXT_WORD) = range(22)  # fmt: skip

WORDS = 22

MOST_TIMES = 1 << 15
"""How many evaluations are noted, for switches to be looked for between them."""

_replay, _results = programs.replay, programs.results
_pullback, _pushforward = programs.pullback, programs.pushforward


def _numbers(t: float, results: int, context: int) -> int:
    """Write what is wanted of a recording at a time; return 0 if all is well."""
    word = pointer(context, int64)
    inputs = carray(pointer(word[INPUTS_WORD], float64), (word[N_INPUTS_WORD],))
    vector = carray(pointer(word[VECTOR_WORD], float64), (word[N_VECTOR_WORD],))
    out = carray(pointer(word[OUT_WORD], float64), (word[N_OUT_WORD],))
    inputs[0] = t
    word[N_TIMES_WORD] += 1
    status = 1
    if word[CODE_WORD] != 0:
        outputs = pointer(word[OUTPUTS_WORD], float64)
        status = call_at(word[CODE_WORD], (
            pointer(word[INPUTS_WORD], float64), pointer(word[VECTOR_WORD], float64),
            pointer(word[MEMORY_WORD], float64), outputs, pointer(word[OUT_WORD], float64),
        ))  # fmt: skip
        if status == 0 and word[KIND_WORD] == VALUES:
            out = carray(outputs, (word[N_OUT_WORD],))
    if status != 0:
        head = carray(pointer(word[HEAD_WORD], int64), (HEAD_WORDS,))
        value = carray(pointer(word[VALUE_WORD], float64), (word[LENGTH_WORD],))
        swept = carray(pointer(word[SWEPT_WORD], float64), (word[LENGTH_WORD],))
        if _replay(head, inputs, value) >= 0:
            return 1
        status = 0
        if word[KIND_WORD] == VALUES:
            _results(head, value, out)
        elif word[KIND_WORD] == PULLBACK:
            status = _pullback(head, vector, value, swept, out)
        else:
            status = _pushforward(head, vector, value, swept, out)
        if status != 0:
            return 1
    taken, to = pointer(word[TAKEN_WORD], int64), pointer(results, float64)
    for k in range(word[N_TAKEN_WORD]):
        to[k] = out[taken[k]]
    return 0


_SIGNATURE = int64(float64, int64, int64)
_numbers_symbol = Symbol("tapegrad_integrand_numbers", _numbers, _SIGNATURE)
numbers_of = _numbers_symbol.call


def numbers_address() -> int:
    """Return where the function is that writes a recording's numbers."""
    return _numbers_symbol.address()


def _number(t: float, context: int) -> float:
    """Return the first output at a time of the first recording that is valid; 0 once none is."""
    word, at, place = pointer(context, int64), context, pointer(context, int64)[PLACE_WORD]
    if word[FAILED_WORD] != 0:
        return 0.0
    if word[N_TIMES_WORD] < word[MOST_TIMES_WORD]:
        pointer(word[TIMES_WORD], float64)[word[N_TIMES_WORD]] = t
    while at != 0:
        if numbers_of(t, place, at) == 0:
            return pointer(place, float64)[0]
        at = pointer(at, int64)[NEXT_WORD]
    word[FAILED_WORD] = 1
    pointer(place, float64)[0] = t
    return 0.0


_number_symbol = Symbol("tapegrad_integrand_number", _number, float64(float64, int64))
_C_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_void_p)


class FailedError(Exception):
    """A recording isn't valid somewhere, or has no derivative there."""


class Swept:
    """A recording as an integrand.

    Parameters
    ----------
    recording : Recording
    kind : {VALUES, PULLBACK, PUSHFORWARD}
    """

    def __init__(self, recording: Recording, kind: int) -> None:
        tape = recording.tape
        n, m = len(tape.inputs), len(tape.outputs)
        n_vector, n_out = {VALUES: (0, m), PULLBACK: (m, n), PUSHFORWARD: (n, m)}[kind]
        self.kind, self._tape = kind, tape
        self.words = np.zeros(WORDS, np.int64)
        self._workspace = recording.take_workspace()
        self.inputs, self.vector = np.empty(n), np.zeros(max(n_vector, m))
        self._out, self._outputs = np.empty(max(n_out, n)), np.empty(m)
        self._times = np.empty(MOST_TIMES if kind == VALUES else 0)
        self._scratch = np.empty(max(n_out, 1))
        self._taken = np.arange(n_out)
        value, swept = self._workspace
        self.address, self.context = _numbers_symbol.address(), self.words.ctypes.data
        words = self.words
        words[KIND_WORD], words[HEAD_WORD], words[LENGTH_WORD] = kind, tape.address, len(value)
        words[N_INPUTS_WORD], words[N_VECTOR_WORD] = n, n_vector
        words[N_OUT_WORD] = words[N_TAKEN_WORD] = n_out
        arrays = (value, swept, self.inputs, self.vector, self._out, self._taken, self._times,
                  self._scratch)  # fmt: skip
        places = (
            VALUE_WORD,
            SWEPT_WORD,
            INPUTS_WORD,
            VECTOR_WORD,
            OUT_WORD,
            TAKEN_WORD,
            TIMES_WORD,
            PLACE_WORD,
        )
        for place, array in zip(places, arrays, strict=True):
            self.words[place] = array.ctypes.data
        self.words[OUTPUTS_WORD] = self._outputs.ctypes.data
        self._code: Code | None = None
        self._memory = np.empty(0)
        self._callable: Any = None

    def use(self, code: Code | None) -> None:
        """Have machine code computed, if there is some."""
        if code is not self._code and code is not None:
            self._code, self._memory = code, code.new_memory()
            self.words[CODE_WORD], self.words[MEMORY_WORD] = code.address, self._memory.ctypes.data

    def set(self, inputs: Vector, vector: Vector | None, taken: Any, notes: bool) -> None:
        """Have it called at given inputs, but for the first."""
        self.inputs[:] = inputs
        if vector is not None:
            self.vector[: len(vector)] = vector
        if taken is not None:
            self._taken = np.ascontiguousarray(taken, np.int64)
            self.words[TAKEN_WORD], self.words[N_TAKEN_WORD] = self._taken.ctypes.data, len(taken)
        self.words[FAILED_WORD] = self.words[N_TIMES_WORD] = self.words[NEXT_WORD] = 0
        self.words[MOST_TIMES_WORD] = len(self._times) if notes else 0

    @property
    def has_failed(self) -> bool:
        """Whether a call has failed."""
        return bool(self.words[FAILED_WORD])

    @property
    def failed_at(self) -> float:
        """When a call failed."""
        return float(self._scratch[0])

    @property
    def n_calls(self) -> int:
        """How often it has been called."""
        return int(self.words[N_TIMES_WORD])

    @property
    def times(self) -> Vector:
        """When it was called, the calls that were noted."""
        return self._times[: min(self.n_calls, len(self._times))]

    def raise_failure(self) -> None:
        """Raise what has it integrated otherwise."""
        raise FailedError

    def low_level(self) -> Any:
        """Return SciPy's callable of it."""
        if self._callable is None:
            kind = importlib.import_module("scipy").LowLevelCallable
            self._function = _C_FUNCTION(_number_symbol.address())
            self._callable = kind(self._function, ctypes.c_void_p(self.context))
        return self._callable


_CODES: dict[int, Kind] = {VALUES: "reverse", PULLBACK: "reverse", PUSHFORWARD: "tangent"}
_idle: weakref.WeakKeyDictionary[Recording, dict[int, list[Swept]]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def take(recording: Recording, kind: int) -> Swept:
    """Return a recording as an integrand, which no other call is using."""
    with _lock:
        idle = _idle.setdefault(recording, {}).setdefault(kind, [])
        made = idle.pop() if idle else None
    made = Swept(recording, kind) if made is None else made
    made.use(recording.tiers.codes.get(_CODES[kind]))
    return made


def give_back(recording: Recording, made: Swept) -> None:
    """Let another call use it, and count what it was used for."""
    recording.tiers.code(_CODES[made.kind], made.n_calls)
    _idle[recording][made.kind].append(made)


@contextlib.contextmanager
def swept(recording: Recording, kind: int, inputs: Vector, vector: Vector | None = None,
          taken: Any = None, notes: bool = False) -> Iterator[Swept]:  # fmt: skip
    """Provide a recording as an integrand, which no other call is using."""
    made = take(recording, kind)
    made.set(inputs, vector, taken, notes)
    try:
        yield made
    finally:
        give_back(recording, made)


@contextlib.contextmanager
def chained(recordings: Sequence[Recording], inputs: Vector, notes: bool) -> Iterator[Swept]:
    """Provide the first output of whichever recording is valid as an integrand."""
    made = [take(recording, VALUES) for recording in recordings]
    try:
        for k, one in enumerate(made):
            one.set(inputs, None, None, notes and k == 0)
        for one, other in itertools.pairwise(made):
            one.words[NEXT_WORD] = other.context
        yield made[0]
    finally:
        for recording, one in zip(recordings, made, strict=True):
            give_back(recording, one)
