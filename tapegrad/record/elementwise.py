"""Array operations recorded in one compiled loop each: elementwise, reductions, products.

Arrays of active numbers have dtype `ACTIVE`; an operand that is a float64 array is passive.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import float64, int64, types

from tapegrad.jit import Kernel
from tapegrad.ops import CODE
from tapegrad.record.native import ACTIVE, active, as_active
from tapegrad.rules import evaluate
from tapegrad.tape import Tape

Data = npt.NDArray[Any]

_ADD, _MULTIPLY = CODE["add"], CODE["multiply"]


def _unary(code, x, out):
    for i in range(len(out)):
        out[i] = evaluate(code, x[i], 0.0)


def _binary(code, x, y, out):
    for i in range(len(out)):
        out[i] = evaluate(code, x[i], y[i])


def _reduce(code, x, out):
    outer, count, inner = x.shape
    for i in range(outer):
        for j in range(inner):
            result = x[i, 0, j]
            for k in range(1, count):
                result = evaluate(code, result, x[i, k, j])
            out[i, j] = result


def _matmul(x, y, out):
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            result = as_active(evaluate(_MULTIPLY, x[i, 0], y[0, j]))
            for k in range(1, x.shape[1]):
                result = evaluate(_ADD, result, evaluate(_MULTIPLY, x[i, k], y[k, j]))
            out[i, j] = result


def _numbers(of: Any, ndim: int) -> Any:
    return types.Array(of, ndim, "A")


def _binary_kernel(x: Any, y: Any) -> Kernel:
    signature = types.void(int64, _numbers(x, 1), _numbers(y, 1), _numbers(active, 1))
    return Kernel(_binary, signature)


def _matmul_kernel(x: Any, y: Any) -> Kernel:
    return Kernel(_matmul, types.void(_numbers(x, 2), _numbers(y, 2), _numbers(active, 2)))


_unary_kernel = Kernel(_unary, types.void(int64, _numbers(active, 1), _numbers(active, 1)))
_reduce_kernel = Kernel(_reduce, types.void(int64, _numbers(active, 3), _numbers(active, 2)))
_OPERAND_TYPES = {(True, True): (active, active), (True, False): (active, float64),
                  (False, True): (float64, active)}  # fmt: skip
_binary_kernels = {key: _binary_kernel(*pair) for key, pair in _OPERAND_TYPES.items()}
_matmul_kernels = {key: _matmul_kernel(*pair) for key, pair in _OPERAND_TYPES.items()}


def _flat(data: Data, shape: tuple[int, ...], size: int) -> Data:
    """Return `data`, broadcast to a shape, as a 1-d array: a view wherever it can be one."""
    if data.shape == shape:
        return data if data.ndim == 1 else data.reshape(-1)
    if data.size == 1:  # a view without strides, made ten times faster than by broadcast_to
        return np.ndarray((size,), data.dtype, data.copy(), 0, (0,))
    return np.broadcast_to(data, shape).reshape(-1)


def unary(tape: Tape, code: int, x: Data) -> Data:
    """Record a unary operation on every element."""
    tape.flush()
    out = np.empty(x.size, ACTIVE)
    _unary_kernel.run(code, _flat(x, x.shape, x.size), out)
    tape.sync()
    return out if x.ndim == 1 else out.reshape(x.shape)


def binary(tape: Tape, code: int, x: Data, y: Data) -> Data:
    """Record a binary operation on every pair of elements, broadcast as NumPy does.

    Raises
    ------
    ValueError
        If the shapes don't broadcast.
    """
    shape = x.shape if x.shape == y.shape else np.broadcast_shapes(x.shape, y.shape)
    out = np.empty(shape, ACTIVE)
    flat = out if out.ndim == 1 else out.reshape(-1)
    tape.flush()
    kernel = _binary_kernels[x.dtype == ACTIVE, y.dtype == ACTIVE]
    kernel.run(code, _flat(x, shape, out.size), _flat(y, shape, out.size), flat)
    tape.sync()
    return out


def reduce(tape: Tape, code: int, x: Data, axis: int) -> Data:
    """Record the chain of a binary operation along an axis that is not empty."""
    rest = x.shape[:axis] + x.shape[axis + 1 :]
    outer, inner = int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis + 1 :]))
    out = np.empty((outer, inner), ACTIVE)
    tape.flush()
    _reduce_kernel.run(code, x.reshape(outer, x.shape[axis], inner), out)
    tape.sync()
    return out.reshape(rest)


def matmul(tape: Tape, x: Data, y: Data) -> Data:
    """Record the product of two matrices, shapes (m, k) and (k, n) with k > 0."""
    out = np.empty((x.shape[0], y.shape[1]), ACTIVE)
    tape.flush()
    _matmul_kernels[x.dtype == ACTIVE, y.dtype == ACTIVE].run(x, y, out)
    tape.sync()
    return out
