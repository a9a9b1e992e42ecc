"""Array operations recorded in one compiled loop each: elementwise, reductions, products.

Arrays of active numbers have dtype `ACTIVE`; an operand that is a float64 array is passive. A
loop appends to memory reserved before it, with its place on the tape in registers. In an
operand, and nowhere else, a negative slot means a constant that is on the tape already.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import float64, int64, types
from numba.extending import overload

from tapegrad.jit import Kernel, jit_inline
from tapegrad.memory import advance, columns, counts
from tapegrad.ops import CODE
from tapegrad.record.active import make
from tapegrad.record.kinds import ACTIVE, ActiveType, active
from tapegrad.record.native import make_active
from tapegrad.rules import evaluate_float
from tapegrad.tape import Tape

Data = npt.NDArray[Any]

_ADD, _SUBTRACT, _MULTIPLY = CODE["add"], CODE["subtract"], CODE["multiply"]


def _operand(x):
    """Return a number as an active one."""


@overload(_operand, jit_options={"forceinline": True})
def _(x):
    if isinstance(x, ActiveType):
        return lambda x: x
    return lambda x: make_active(x, 0, 0)


@jit_inline
def _value_of(code, x, y):
    # The commonest ones before the switch, which costs a jump that is hard to predict.
    if code == _MULTIPLY:
        return x * y
    if code == _ADD:
        return x + y
    if code == _SUBTRACT:
        return x - y
    return evaluate_float(code, x, y)


@jit_inline
def _append(address, tape, slot, constant, code, x, y):
    """Return an operation's result, and the next slot and constant."""
    value = _value_of(code, x.value, y.value)
    if x.slot <= 0 and y.slot <= 0:
        return make_active(value, 0, 0), slot, constant
    op, a, b, values, constants = tape
    i, j = x.slot, y.slot
    if i == 0:
        constants[constant] = x.value
        i = ~constant
        constant += 1
    if j == 0:
        constants[constant] = y.value
        j = ~constant
        constant += 1
    op[slot], a[slot], b[slot], values[slot] = code, i, j, value
    return make_active(value, slot, address), slot + 1, constant


def _unary(address, code, x, out):
    op, a, b, values, _ = columns(address)
    slot, constant = counts(address)
    for i in range(len(out)):
        number = x[i]
        value = _value_of(code, number.value, 0.0)
        if number.slot == 0:
            out[i] = make_active(value, 0, 0)
        else:
            op[slot], a[slot], b[slot], values[slot] = code, number.slot, 0, value
            out[i] = make_active(value, slot, address)
            slot += 1
    advance(address, slot, constant)


def _binary(address, code, x, y, out):
    tape = columns(address)
    slot, constant = counts(address)
    for i in range(len(out)):
        u, v = _operand(x[i]), _operand(y[i])
        out[i], slot, constant = _append(address, tape, slot, constant, code, u, v)
    advance(address, slot, constant)


def _with_number(address, code, x, number, is_first, out):
    tape = columns(address)
    slot, constant = counts(address)
    tape[4][constant] = number
    other = make_active(number, ~constant, 0)
    constant += 1
    for i in range(len(out)):
        u, v = (other, x[i]) if is_first else (x[i], other)
        out[i], slot, constant = _append(address, tape, slot, constant, code, u, v)
    advance(address, slot, constant)


def _reduce(address, code, x, out):
    tape = columns(address)
    slot, constant = counts(address)
    outer, count, inner = x.shape
    for i in range(outer):
        for j in range(inner):
            result = x[i, 0, j]
            for k in range(1, count):
                result, slot, constant = _append(
                    address, tape, slot, constant, code, result, x[i, k, j]
                )
            out[i, j] = result
    advance(address, slot, constant)


def _chain(address, code, x):
    tape = columns(address)
    slot, constant = counts(address)
    result = x[0]
    for k in range(1, len(x)):
        result, slot, constant = _append(address, tape, slot, constant, code, result, x[k])
    advance(address, slot, constant)
    return result.value, result.slot


def _matmul(address, x, y, out):
    tape = columns(address)
    slot, constant = counts(address)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            result, slot, constant = _append(
                address, tape, slot, constant, _MULTIPLY, x[i, 0], y[0, j]
            )
            for k in range(1, x.shape[1]):
                term, slot, constant = _append(
                    address, tape, slot, constant, _MULTIPLY, x[i, k], y[k, j]
                )
                result, slot, constant = _append(address, tape, slot, constant, _ADD, result, term)
            out[i, j] = result
    advance(address, slot, constant)


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
_matmul_kernel = Kernel(_matmul, types.void(int64, *[_numbers(active, 2)] * 3))
_binary_kernels = {
    (True, True): _binary_kernel(active, active),
    (True, False): _binary_kernel(active, float64),
    (False, True): _binary_kernel(float64, active),
}


def is_active_data(data: Data) -> bool:
    """Whether an operand's elements may be active: its dtype is `ACTIVE`."""
    return data.dtype.names is not None


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


def unary(tape: Tape, code: int, x: Data) -> Data:
    """Record a unary operation on every element."""
    out = np.empty(x.size, ACTIVE)
    tape.prepare(x.size, 0)
    _unary_kernel.run(tape.address, code, _flat(x, x.shape, x.size), out)
    tape.sync()
    return out if x.ndim == 1 else out.reshape(x.shape)


def binary(tape: Tape, code: int, x: Data, y: Data) -> Data:
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
    tape.prepare(size, 2 * size)
    kernel = _binary_kernels[active_x, active_y]
    kernel.run(tape.address, code, _flat(x, shape, size), _flat(y, shape, size), flat)
    tape.sync()
    return out


def with_number(tape: Tape, code: int, x: Data, number: float, is_first: bool) -> Data:
    """Record a binary operation of every element and a number, the number as one constant."""
    out = np.empty(x.size, ACTIVE)
    tape.prepare(x.size, 1)
    _number_kernel.run(tape.address, code, _flat(x, x.shape, x.size), number, is_first, out)
    tape.sync()
    return out if x.ndim == 1 else out.reshape(x.shape)


def reduce(tape: Tape, code: int, x: Data, axis: int) -> Data:
    """Record the chain of a binary operation along an axis that is not empty."""
    rest = x.shape[:axis] + x.shape[axis + 1 :]
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    out = np.empty((outer, inner), ACTIVE)
    tape.prepare(x.size, 2 * x.size)
    _reduce_kernel.run(tape.address, code, x.reshape(outer, x.shape[axis], inner), out)
    tape.sync()
    return out.reshape(rest)


def chain(tape: Tape, code: int, x: Data) -> Any:
    """Record the chain of a binary operation over all elements, one at least, as one number."""
    tape.prepare(x.size, 2 * x.size)
    value, slot = _chain_kernel.run(tape.address, code, _flat(x, x.shape, x.size))
    tape.sync()
    return make(tape, slot, value) if slot else np.float64(value)


def matmul(tape: Tape, x: Data, y: Data) -> Data:
    """Record the product of two matrices, shapes (m, k) and (k, n) with k > 0."""
    out = np.empty((x.shape[0], y.shape[1]), ACTIVE)
    x, y = with_constants(tape, x), with_constants(tape, y)
    tape.prepare(2 * out.size * x.shape[1], 0)
    _matmul_kernel.run(tape.address, x, y, out)
    tape.sync()
    return out


def with_constants(tape: Tape, x: Data) -> Data:
    """Return an operand whose passive elements are constants on the tape, for repeated use."""
    if is_active_data(x):
        passive = x["slot"] == 0
        if not passive.any():
            return x
        operand = x.copy()
    else:
        passive = np.ones(x.shape, np.bool_)
        operand = np.empty(x.shape, ACTIVE)
        operand["value"] = x
    operand["slot"][passive] = tape.constant_block(operand["value"][passive])
    return operand
