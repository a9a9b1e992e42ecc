"""Array operations recorded in one compiled loop each: elementwise and reductions.

Arrays of active numbers have dtype `ACTIVE`; an operand that is a float64 array is passive. A
loop asks for room first, in the number of its appends. In an operand, and nowhere else, a
negative slot means a constant that is on the tape already.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import float64, int64, types

from tapegrad.jit import Kernel
from tapegrad.record.active import make
from tapegrad.record.appending import (
    append,
    append_constant,
    append_unary,
    leave,
    room_for,
)
from tapegrad.record.kinds import ACTIVE, active
from tapegrad.record.numba_operations import as_active
from tapegrad.record.open_tape import OpenTape

Data = npt.NDArray[Any]


def _unary(address, code, x, out):
    tape, slot, constant = room_for(address, len(out))
    for i in range(len(out)):
        out[i], slot = append_unary(address, tape, slot, code, x[i])
    leave(address, slot, constant)


def _binary(address, code, x, y, out):
    tape, slot, constant = room_for(address, len(out))
    for i in range(len(out)):
        u, v = as_active(x[i]), as_active(y[i])
        out[i], slot, constant = append(address, tape, slot, constant, code, u, v)
    leave(address, slot, constant)


def _with_number(address, code, x, number, is_first, out):
    tape, slot, constant = room_for(address, 1 + len(out))
    other, constant = append_constant(tape, constant, number)
    for i in range(len(out)):
        u, v = (other, x[i]) if is_first else (x[i], other)
        out[i], slot, constant = append(address, tape, slot, constant, code, u, v)
    leave(address, slot, constant)


def _reduce(address, code, x, out):
    outer, count, inner = x.shape
    tape, slot, constant = room_for(address, outer * inner * (count - 1))
    for i in range(outer):
        for j in range(inner):
            result = x[i, 0, j]
            for k in range(1, count):
                result, slot, constant = append(
                    address, tape, slot, constant, code, result, x[i, k, j]
                )
            out[i, j] = result
    leave(address, slot, constant)


def _chain(address, code, x):
    tape, slot, constant = room_for(address, len(x) - 1)
    result = x[0]
    for k in range(1, len(x)):
        result, slot, constant = append(address, tape, slot, constant, code, result, x[k])
    leave(address, slot, constant)
    return result.value, result.slot


def _numbers(of: Any, ndim: int) -> Any:
    return types.Array(of, ndim, "A")


def _kernel(function: Any, *numbers: Any) -> Kernel:
    return Kernel(function, types.void(int64, int64, *numbers))


def _binary_kernel(x: Any, y: Any) -> Kernel:
    return _kernel(_binary, _numbers(x, 1), _numbers(y, 1), _numbers(active, 1))


_unary_kernel = _kernel(_unary, _numbers(active, 1), _numbers(active, 1))
_number_kernel = _kernel(
    _with_number, _numbers(active, 1), float64, types.boolean, _numbers(active, 1)
)
_reduce_kernel = _kernel(_reduce, _numbers(active, 3), _numbers(active, 2))
_chain_kernel = Kernel(_chain, types.Tuple((float64, int64))(int64, int64, _numbers(active, 1)))
_binary_kernels = {
    (True, True): _binary_kernel(active, active),
    (True, False): _binary_kernel(active, float64),
    (False, True): _binary_kernel(float64, active),
}


def is_active_data(data: Data) -> bool:
    """Whether an operand's elements may be active: its dtype is `ACTIVE`."""
    return data.dtype.names is not None


def is_single(data: Data) -> bool:
    """Whether what is stored among such elements is rounded to single precision."""
    metadata = data.dtype.metadata
    return metadata is not None and "single" in metadata


def _flat(data: Data, shape: tuple[int, ...], size: int) -> Data:
    """Return `data`, broadcast to a shape, as a 1-d array: a view wherever it can be one."""
    if data.shape == shape:
        return data if data.ndim == 1 else data.reshape(-1)
    if data.size == 1:  # a view without strides, made ten times faster than by broadcast_to
        return np.ndarray(
            (size,), data.dtype, data if data.flags.c_contiguous else data.copy(), 0, (0,)
        )
    return np.broadcast_to(data, shape).reshape(-1)


def _common_shape(x: tuple[int, ...], y: tuple[int, ...]) -> tuple[int, ...]:
    if x == y or not y:
        return x
    return np.broadcast_shapes(x, y) if x else y


def unary(tape: OpenTape, code: int, x: Data) -> Data:
    """Record a unary operation on every element."""
    out = np.empty(x.size, ACTIVE)
    tape.run(_unary_kernel, tape.address, code, _flat(x, x.shape, x.size), out)
    return out if x.ndim == 1 else out.reshape(x.shape)


def binary(tape: OpenTape, code: int, x: Data, y: Data) -> Data:
    """Record a binary operation on every pair of elements, broadcast as NumPy does.

    Raises
    ------
    ValueError
        If the shapes don't broadcast.
    """
    active_x, active_y = is_active_data(x), is_active_data(y)
    shape = _common_shape(x.shape, y.shape)
    if not active_y and y.size == 1 and x.shape == shape:
        return with_number(tape, code, x, y.item(), False)
    if not active_x and x.size == 1 and y.shape == shape:
        return with_number(tape, code, y, x.item(), True)
    out = np.empty(shape, ACTIVE)
    flat = out if out.ndim == 1 else out.reshape(-1)
    size = len(flat)
    kernel = _binary_kernels[active_x, active_y]
    tape.run(kernel, tape.address, code, _flat(x, shape, size), _flat(y, shape, size), flat)
    return out


def with_number(tape: OpenTape, code: int, x: Data, number: float, is_first: bool) -> Data:
    """Record a binary operation of every element and a number, the number as one constant."""
    out = np.empty(x.size, ACTIVE)
    flat = _flat(x, x.shape, x.size)
    tape.run(_number_kernel, tape.address, code, flat, number, is_first, out)
    return out if x.ndim == 1 else out.reshape(x.shape)


def reduce(tape: OpenTape, code: int, x: Data, axis: int) -> Data:
    """Record the chain of a binary operation along an axis that is not empty."""
    rest = x.shape[:axis] + x.shape[axis + 1 :]
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    out = np.empty((outer, inner), ACTIVE)
    tape.run(_reduce_kernel, tape.address, code, x.reshape(outer, x.shape[axis], inner), out)
    return out.reshape(rest)


def chain(tape: OpenTape, code: int, x: Data) -> Any:
    """Record the chain of a binary operation over all elements, one at least, as one number."""
    value, slot = tape.run(_chain_kernel, tape.address, code, _flat(x, x.shape, x.size))
    return make(tape, slot, value) if slot else np.float64(value)


def with_constants(tape: OpenTape, x: Data) -> Data:
    """Return an operand whose passive elements are constants on the tape, for repeated use."""
    if is_active_data(x):
        passive = x["slot"] == 0
        if not passive.any():
            return x
        operand = x.copy()
    else:
        passive = np.ones(x.shape, np.bool_)
        operand = np.zeros(x.shape, ACTIVE)
        operand["value"] = x
    operand["slot"][passive] = tape.constant_block(operand["value"][passive])
    return operand
