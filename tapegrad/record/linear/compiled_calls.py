"""Linear algebra that compiled functions call, recorded by Python as blocks, on tapes of Python's.

Compiled code fills a table of words: which function is called, with how many arrays and for how
many results, then where each of them is. Where a tape is compiled code's own there is no Python,
and no block.
"""

from __future__ import annotations

import ctypes
import traceback
from typing import Any

import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir
from numba import extending, float64, int64, types

from tapegrad.errors import TapeMemoryError
from tapegrad.growth import recording_at
from tapegrad.jit import Symbol, jit_inline
from tapegrad.layout import FAILED_WORD, OWNER_WORD
from tapegrad.memory import pointer
from tapegrad.numba_internals import declare
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
from tapegrad.record.array import ActiveArray, as_active_data
from tapegrad.record.kinds import ACTIVE, active, kind_in

NATIVE, FAILED, DONE, SINGULAR = -1, 0, 1, 2
"""What became of a call: `NATIVE` is of a tape that isn't Python's, `FAILED` of one in which
something was raised, which is printed, as it can't pass through compiled code."""

WORDS = 7
"""Of an array, in a table: where it is, whether its numbers are active ones, how many axes it has,
and their lengths and strides."""

_FUNCTIONS: list[Any] = [
    np.linalg.solve,
    np.linalg.inv,
    lambda a: np.reshape(np.linalg.det(a), 1),
    np.linalg.cholesky,
    np.linalg.eigh,
    np.linalg.qr,
    np.linalg.svd,
    lambda a: np.linalg.svd(a, full_matrices=False),
    lambda a, b, rcond: _least_squares(a, b, float(rcond[0])),
    np.matmul,
]
SOLVE, INV, DET, CHOLESKY, EIGH, QR, SVD, THIN_SVD, LSTSQ, MATMUL = range(len(_FUNCTIONS))


def _least_squares(a: Any, b: Any, rcond: float) -> Any:
    x, squares, rank, s = np.linalg.lstsq(a, b, rcond if rcond >= 0.0 else None)
    missing = (b.shape[1] if b.ndim == 2 else 1) - squares.size
    return x, np.append(squares, np.zeros(missing)), np.array([float(rank)]), s


def _arrays(words: list[int]) -> list[Any]:
    found: list[Any] = []
    for k in range(0, len(words), WORDS):
        address, is_active, ndim, *rest = words[k : k + WORDS]
        shape, strides = tuple(rest[:ndim]), tuple(rest[2 : 2 + ndim])
        dtype = ACTIVE if is_active else np.dtype(np.float64)
        if 0 in shape:
            found.append(np.zeros(shape, dtype))
            continue
        reaches = [(n - 1) * step for n, step in zip(shape, strides, strict=True)]
        start = address + sum(min(reach, 0) for reach in reaches)
        size = dtype.itemsize + sum(map(abs, reaches))
        memory: Any = (ctypes.c_char * size).from_address(start)
        found.append(np.ndarray(shape, dtype, memory, address - start, strides))
    return found


def _record(table: int, tape_address: int) -> int:
    """Record a call, store its results and return what became of it."""
    tape = recording_at(tape_address)
    try:
        code, n_operands, n_results = (ctypes.c_int64 * 3).from_address(table)
        size = WORDS * (n_operands + n_results)
        arrays = _arrays(list((ctypes.c_int64 * size).from_address(table + 24)))
        operands, places = arrays[:n_operands], arrays[n_operands:]
        if tape is None:
            found = _FUNCTIONS[code](*(x["value"] if x.dtype == ACTIVE else x for x in operands))
        else:
            tape.take_note()
            given = (ActiveArray(tape, x) if x.dtype == ACTIVE else x for x in operands)
            found = _FUNCTIONS[code](*given)
        for place, result in zip(places, found if n_results > 1 else [found], strict=True):
            if tape is None:
                place["value"], place["slot"] = result, 0
            else:
                place[...] = as_active_data(tape, result)
        if tape is not None:
            tape.flush()
    except np.linalg.LinAlgError:
        return SINGULAR
    except TapeMemoryError as error:
        tape.failure, tape.head[FAILED_WORD] = error, 1
        return DONE
    except BaseException:
        traceback.print_exc()
        return FAILED
    return DONE


_callback = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 2)(_record)
llvm.add_symbol("tapegrad_record_linear", ctypes.cast(_callback, ctypes.c_void_p).value)
_record_in_python = types.ExternalFunction("tapegrad_record_linear", int64(int64, int64))


def _attempt(table: int) -> int:
    """Find the tape that the operands' numbers are on; record the call there if it's Python's."""
    words, tape = pointer(table, int64), 0
    for k in range(words[1]):
        place = 3 + WORDS * k
        if words[place + 1] != 0:
            for i in range(words[place + 3]):
                for j in range(words[place + 4]):
                    address = words[place] + i * words[place + 5] + j * words[place + 6]
                    number = pointer(address, int64)
                    if number[1] > 0:
                        tape = number[2]
    if tape != 0 and pointer(tape, int64)[OWNER_WORD] != 0:
        return NATIVE
    return _record_in_python(table, tape)


_symbol = Symbol("tapegrad_attempt_linear", _attempt, int64(int64))


@extending.intrinsic
def attempt(typing_context: TypingContext, code: Kind, operands: Kind, results: Kind) -> Intrinsic:
    """Have a function of arrays recorded, its results stored; return what became of the call."""
    kinds = [*operands, *results]

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        word = ir.IntType(64)
        with builder.goto_entry_block():
            table = builder.alloca(word, 3 + WORDS * len(kinds))
        arrays = [builder.extract_value(args[1], k) for k in range(len(operands))]
        arrays += [builder.extract_value(args[2], k) for k in range(len(results))]
        words = [args[0], word(len(operands)), word(len(results))]
        for kind, value in zip(kinds, arrays, strict=True):
            array = context.make_array(kind)(context, builder, value)
            lengths, strides = (
                [builder.extract_value(x, k) for k in range(kind.ndim)]
                for x in (array.shape, array.strides)
            )
            missing = 2 - kind.ndim
            words += [builder.ptrtoint(array.data, word), word(int(kind.dtype is active)),
                      word(kind.ndim), *lengths, *[word(1)] * missing, *strides,
                      *[word(0)] * missing]  # fmt: skip
        for k, number in enumerate(words):
            builder.store(number, builder.gep(table, [word(k)]))
        _symbol.require(context.active_code_library)
        function = declare(builder.module, ir.FunctionType(word, [word]), _symbol.name)
        return builder.call(function, [builder.ptrtoint(table, word)])

    return int64(int64, operands, results), codegen


def can_attempt(*kinds: Kind) -> bool:
    """Whether a call with arrays of such types can be attempted: active numbers among floats."""
    return kind_in(*kinds) is active and all(kind.dtype in (active, float64) for kind in kinds)


@jit_inline
def is_done(status: int) -> bool:
    """Whether a call was recorded; raise if it has no value, or failed."""
    if status == SINGULAR:
        raise np.linalg.LinAlgError("Matrix is singular or not positive definite")
    if status == FAILED:
        raise RuntimeError("a function of numpy.linalg failed while it was recorded")
    return status == DONE
