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
import threading
import weakref
from collections.abc import Iterator
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
from tapegrad.replay.programs import workspace_length

if TYPE_CHECKING:
    from tapegrad.codegen.compiled_tape import Code

VALUES, PULLBACK, PUSHFORWARD = 0, 1, 2

# The words of a context: addresses and lengths.
(_KIND, _HEAD, _LENGTH, _VALUE, _SWEPT, _INPUTS, _N_INPUTS, _VECTOR, _N_VECTOR, _OUT, _N_OUT,
 _TAKEN, _N_TAKEN, _FAILED, _TIMES, _N_TIMES, _MOST_TIMES, _CODE, _MEMORY,
 _OUTPUTS) = range(20)  # fmt: skip

MOST_TIMES = 1 << 15
"""How many evaluations are noted, for switches to be looked for between them."""

_replay, _results = programs.replay, programs.results
_pullback, _pushforward = programs.pullback, programs.pushforward


def _numbers(t: float, results: int, context: int) -> int:
    """Write what is wanted of a recording at a time; return 0 if all is well."""
    word = pointer(context, int64)
    inputs = carray(pointer(word[_INPUTS], float64), (word[_N_INPUTS],))
    vector = carray(pointer(word[_VECTOR], float64), (word[_N_VECTOR],))
    out = carray(pointer(word[_OUT], float64), (word[_N_OUT],))
    inputs[0] = t
    if word[_N_TIMES] < word[_MOST_TIMES]:
        pointer(word[_TIMES], float64)[word[_N_TIMES]] = t
    word[_N_TIMES] += 1
    status = 1
    if word[_CODE] != 0:
        outputs = pointer(word[_OUTPUTS], float64)
        status = call_at(word[_CODE], (
            pointer(word[_INPUTS], float64), pointer(word[_VECTOR], float64),
            pointer(word[_MEMORY], float64), outputs, pointer(word[_OUT], float64),
        ))  # fmt: skip
        if status == 0 and word[_KIND] == VALUES:
            out = carray(outputs, (word[_N_OUT],))
    if status != 0:
        head = carray(pointer(word[_HEAD], int64), (HEAD_WORDS,))
        value = carray(pointer(word[_VALUE], float64), (word[_LENGTH],))
        swept = carray(pointer(word[_SWEPT], float64), (word[_LENGTH],))
        if _replay(head, inputs, value) >= 0:
            word[_FAILED] = 1
            return 1
        status = 0
        if word[_KIND] == VALUES:
            _results(head, value, out)
        elif word[_KIND] == PULLBACK:
            status = _pullback(head, vector, value, swept, out)
        else:
            status = _pushforward(head, vector, value, swept, out)
        if status != 0:
            word[_FAILED] = 1
            return 1
    taken, to = pointer(word[_TAKEN], int64), pointer(results, float64)
    for k in range(word[_N_TAKEN]):
        to[k] = out[taken[k]]
    return 0


_SIGNATURE = int64(float64, int64, int64)
_numbers_symbol = Symbol("tapegrad_integrand_numbers", _numbers, _SIGNATURE)
_numbers_of = _numbers_symbol.call


def _number(t: float, context: int) -> float:
    """Return the first output of a recording at a time; 0 once a call has failed."""
    word = pointer(context, int64)
    if word[_FAILED] != 0:
        return 0.0
    place = word[_OUTPUTS + 1]
    if _numbers_of(t, place, context) != 0:
        return 0.0
    return pointer(place, float64)[0]


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
        self.words = np.zeros(_OUTPUTS + 2, np.int64)
        self._workspace = recording.take_workspace()
        self.inputs, self.vector = np.empty(n), np.zeros(max(n_vector, m))
        self._out, self._outputs = np.empty(max(n_out, n)), np.empty(m)
        self._times = np.empty(MOST_TIMES if kind == VALUES else 0)
        self._scratch = np.empty(max(n_out, 1))
        self._taken = np.arange(n_out)
        value, swept = self._workspace
        self.address, self.context = _numbers_symbol.address(), self.words.ctypes.data
        self.words[[_KIND, _HEAD, _LENGTH, _N_INPUTS, _N_VECTOR, _N_OUT, _N_TAKEN]] = (
            kind, tape.address, workspace_length(tape), n, n_vector, n_out, n_out
        )  # fmt: skip
        arrays = (value, swept, self.inputs, self.vector, self._out, self._taken, self._times,
                  self._scratch)  # fmt: skip
        places = (_VALUE, _SWEPT, _INPUTS, _VECTOR, _OUT, _TAKEN, _TIMES, _OUTPUTS + 1)
        for place, array in zip(places, arrays, strict=True):
            self.words[place] = array.ctypes.data
        self.words[_OUTPUTS] = self._outputs.ctypes.data
        self._code: Code | None = None
        self._memory = np.empty(0)
        self._callable: Any = None

    def use(self, code: Code | None) -> None:
        """Have machine code computed, if there is some."""
        if code is not self._code and code is not None:
            self._code, self._memory = code, code.new_memory()
            self.words[_CODE], self.words[_MEMORY] = code.address, self._memory.ctypes.data

    def set(self, inputs: Vector, vector: Vector | None, taken: Any, notes: bool) -> None:
        """Have it called at given inputs, but for the first."""
        self.inputs[:] = inputs
        if vector is not None:
            self.vector[: len(vector)] = vector
        if taken is not None:
            self._taken = np.ascontiguousarray(taken, np.int64)
            self.words[_TAKEN], self.words[_N_TAKEN] = self._taken.ctypes.data, len(taken)
        self.words[_FAILED] = self.words[_N_TIMES] = 0
        self.words[_MOST_TIMES] = len(self._times) if notes else 0

    @property
    def has_failed(self) -> bool:
        """Whether a call has failed."""
        return bool(self.words[_FAILED])

    @property
    def n_calls(self) -> int:
        """How often it has been called."""
        return int(self.words[_N_TIMES])

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


@contextlib.contextmanager
def swept(recording: Recording, kind: int, inputs: Vector, vector: Vector | None = None,
          taken: Any = None, notes: bool = False) -> Iterator[Swept]:  # fmt: skip
    """Provide a recording as an integrand, which no other call is using."""
    with _lock:
        idle = _idle.setdefault(recording, {}).setdefault(kind, [])
        made = idle.pop() if idle else None
    made = Swept(recording, kind) if made is None else made
    tiers = recording.tiers
    made.use(tiers.code(_CODES[kind], 0))
    made.set(inputs, vector, taken, notes)
    try:
        yield made
    finally:
        tiers.code(_CODES[kind], made.n_calls)
        idle.append(made)
