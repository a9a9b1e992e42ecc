"""Sums of products: vectors, matrices, stacks of them, and what is made of those."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types
from numpy.lib.array_utils import normalize_axis_index

from tapegrad.jit import Kernel, jit, jit_inline
from tapegrad.memory import Columns
from tapegrad.numba_protocols import Implementation, Kind
from tapegrad.ops import CODE
from tapegrad.record import elementwise
from tapegrad.record.appending import append, append_constant, leave, room_for
from tapegrad.record.array import as_data, wrap
from tapegrad.record.elementwise import is_active_data
from tapegrad.record.functions.operands import array_on, tape_of
from tapegrad.record.functions.reductions import total
from tapegrad.record.functions.registry import RULES, rule, store
from tapegrad.record.kinds import ACTIVE, Array, active
from tapegrad.record.linear import large_products as products
from tapegrad.record.linear.compiled_calls import MATMUL, attempt, can_attempt, is_done
from tapegrad.record.linear.large_products import is_worth
from tapegrad.record.numba_operations import as_active
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.stand_ins import cleared, holds_actives, is_operand, stand_in

Data = npt.NDArray[Any]

_ADD, _MULTIPLY = CODE["add"], CODE["multiply"]


@jit
def _inner_product(x: Array, y: Array) -> Any:
    if len(x) != len(y):
        raise ValueError("incompatible array sizes for a product of vectors")
    result = 0.0
    for i in range(len(x)):
        result = x[i] * y[i] if i == 0 else result + x[i] * y[i]
    return result


@jit
def _multiply(a: Array, b: Array, out: Array) -> None:
    """Store the product of two matrices."""
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            out[i, j] = _inner_product(a[i], b[:, j])


@jit_inline
def _operands(tape: Columns, constant: int, x: Array, operands: Array) -> int:
    """Fill a matrix of which no element is passive: those are constants on a tape."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            number = as_active(x[i, j])
            if number.slot == 0:
                number, constant = append_constant(tape, constant, number.value)
            operands[i, j] = number
    return constant


def _multiply_all(address: int, x: Array, y: Array, out: Array, left: Array,
                  right: Array) -> None:  # fmt: skip
    """Store the products of two stacks of matrices."""
    n, rows, columns = out.shape
    length = x.shape[2]
    read = length * (rows + columns)
    for m in range(n):
        tape, slot, constant = room_for(address, 2 * rows * columns * length + read)
        constant = _operands(tape, constant, x[m], left)
        constant = _operands(tape, constant, y[m], right)
        for i in range(rows):
            for j in range(columns):
                result, slot, constant = append(
                    address, tape, slot, constant, _MULTIPLY, left[i, 0], right[0, j]
                )
                for k in range(1, length):
                    term, slot, constant = append(
                        address, tape, slot, constant, _MULTIPLY, left[i, k], right[k, j]
                    )
                    result, slot, constant = append(
                        address, tape, slot, constant, _ADD, result, term
                    )
                out[m, i, j] = result
        leave(address, slot, constant)


_OPERANDS = types.Array(active, 2, "C")


def _kernel(x: Any, y: Any) -> Kernel:
    arrays = (types.Array(kind, 3, "A") for kind in (x, y, active))
    return Kernel(_multiply_all, types.void(types.int64, *arrays, _OPERANDS, _OPERANDS))


_product_kernels = {
    (True, True): _kernel(active, active),
    (True, False): _kernel(active, types.float64),
    (False, True): _kernel(types.float64, active),
}


@rule(np.matmul)
def matmul(a: Any, b: Any) -> Any:
    """Record `a @ b` with NumPy's rules for vectors and stacks of matrices."""
    tape = tape_of(a, b)
    x, y = as_data(tape, a), as_data(tape, b)
    if not (is_active_data(x) or is_active_data(y)):  # a block's results, of passive operands
        return np.matmul(x, y)
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError("matmul needs arrays of one dimension at least, not numbers")
    vector_x, vector_y = x.ndim == 1, y.ndim == 1
    x = x[np.newaxis, :] if vector_x else x
    y = y[:, np.newaxis] if vector_y else y
    if x.shape[-1] != y.shape[-2]:
        raise ValueError(f"matmul: shapes {np.shape(a)} and {np.shape(b)} don't fit")
    stack = x.shape[:-2]
    if stack != y.shape[:-2]:
        stack = np.broadcast_shapes(stack, y.shape[:-2])
    if products.is_large(x, y, stack):
        result = products.product(tape, x, y, stack)
    else:
        result = _recorded(tape, x, y, stack)
    rows, columns = () if vector_x else (x.shape[-2],), () if vector_y else (y.shape[-1],)
    return wrap(tape, result.reshape(stack + rows + columns))


def _recorded(tape: OpenTape, x: Data, y: Data, stack: tuple[int, ...]) -> Data:
    """Record products operation by operation."""
    n, (rows, length), columns = math.prod(stack), x.shape[-2:], y.shape[-1]
    result = np.zeros((n, rows, columns), ACTIVE)
    if result.size and length:
        if stack:
            x, y = (np.broadcast_to(part, stack + part.shape[-2:]) for part in (x, y))
        x, y = x.reshape(n, rows, length), y.reshape(n, length, columns)
        kernel = _product_kernels[is_active_data(x), is_active_data(y)]
        work = np.empty((rows, length), ACTIVE), np.empty((length, columns), ACTIVE)
        tape.run(kernel, tape.address, x, y, result, *work)
    return result


rule(method="__matmul__")(lambda self, other: matmul(self, other))
rule(method="__rmatmul__")(lambda self, other: matmul(other, self))


@rule(np.dot, method="dot")
def _dot(a: Any, b: Any, out: Any = None) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        product = np.multiply(a, b)
    elif np.ndim(b) <= 2 and np.ndim(a) <= 2:
        product = matmul(a, b)
    else:
        product = _tensordot(a, b, (np.ndim(a) - 1, max(np.ndim(b) - 2, 0)))
    return store(out, product, "dot")


@rule(np.inner)
def _inner(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    return _tensordot(a, b, (-1, -1))


@rule(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    return matmul(np.ravel(a), np.ravel(b))


@rule(np.outer)
def _outer(a: Any, b: Any, out: Any = None) -> Any:
    tape = tape_of(a, b)
    x, y = as_data(tape, a).reshape(-1, 1), as_data(tape, b).reshape(1, -1)
    if not (is_active_data(x) or is_active_data(y)):
        return store(out, x * y, "outer")
    return store(out, wrap(tape, elementwise.binary(tape, _MULTIPLY, x, y)), "outer")


@rule(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    tape = tape_of(a, b)
    a, b = array_on(tape, a), array_on(tape, b)
    if np.ndim(axes) == 0:
        count = int(axes)
        axes = (range(a.ndim - count, a.ndim), range(count))
    of_a, of_b = (
        [normalize_axis_index(k, array.ndim) for k in np.atleast_1d(np.asarray(own, np.intp))]
        for own, array in zip(axes, (a, b), strict=True)
    )
    if [a.shape[k] for k in of_a] != [b.shape[k] for k in of_b]:
        raise ValueError("shape-mismatch for sum")
    free_a = [k for k in range(a.ndim) if k not in of_a]
    free_b = [k for k in range(b.ndim) if k not in of_b]
    length = math.prod(a.shape[k] for k in of_a)
    rows = [a.shape[k] for k in free_a]
    columns = [b.shape[k] for k in free_b]
    left = a.transpose([*free_a, *of_a]).reshape((math.prod(rows), length))
    right = b.transpose([*of_b, *free_b]).reshape((length, math.prod(columns)))
    product = matmul(left, right).data.reshape((*rows, *columns))
    return wrap(tape, product)


@rule(np.kron)
def _kron(a: Any, b: Any) -> Any:
    tape = tape_of(a, b)
    a, b = array_on(tape, a), array_on(tape, b)
    ndim = max(a.ndim, b.ndim)
    a = a.reshape((1,) * (ndim - a.ndim) + a.shape)
    b = b.reshape((1,) * (ndim - b.ndim) + b.shape)
    apart_a = a.reshape(tuple(n for pair in zip(a.shape, [1] * ndim, strict=True) for n in pair))
    apart_b = b.reshape(tuple(n for pair in zip([1] * ndim, b.shape, strict=True) for n in pair))
    shape = tuple(m * n for m, n in zip(a.shape, b.shape, strict=True))
    return np.reshape(apart_a * apart_b, shape)


@rule(np.cross)
def _cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1,
           axis: int | None = None) -> Any:  # fmt: skip
    if axis is not None:
        axisa = axisb = axisc = axis
    tape = tape_of(a, b)
    x = np.moveaxis(array_on(tape, a), axisa, -1)
    y = np.moveaxis(array_on(tape, b), axisb, -1)
    if x.shape[-1] != 3 or y.shape[-1] != 3:
        raise ValueError(f"cross needs vectors of three elements, not {x.shape} and {y.shape}")
    ahead, behind = [1, 2, 0], [2, 0, 1]
    product = x[..., ahead] * y[..., behind] - x[..., behind] * y[..., ahead]
    return np.moveaxis(product, -1, axisc)


@rule(np.trace, method="trace")
def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None,
           out: Any = None) -> Any:  # fmt: skip
    return total(np.diagonal(a, offset, axis1, axis2), -1, dtype, out)


# --- by the names of the array standard -------------------------------------------------------

RULES[np.linalg.matmul] = matmul


@rule(np.linalg.tensordot)
def _tensordot_of(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    return _tensordot(x1, x2, axes)


@rule(np.linalg.outer)
def _outer_of(x1: Any, x2: Any, /) -> Any:
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ValueError("linalg.outer needs vectors: arrays of one dimension")
    return _outer(x1, x2)


@rule(np.linalg.cross)
def _cross_of(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return _cross(x1, x2, axis=axis)


@rule(np.linalg.trace)
def _trace_of(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    return _trace(x, offset, -2, -1, dtype)


def _vecdot(x1: Any, x2: Any, axis: int = -1) -> Any:
    if np.ndim(x1) == 0 or np.ndim(x2) == 0:
        raise ValueError("vecdot needs arrays of one dimension at least, not numbers")
    if np.shape(x1)[axis] != np.shape(x2)[axis]:
        raise ValueError(f"vecdot: shapes {np.shape(x1)} and {np.shape(x2)} don't fit")
    return total(np.moveaxis(np.multiply(x1, x2), axis, -1), -1)


for _owner in (np, np.linalg):
    if hasattr(_owner, "vecdot"):  # since NumPy 2.0 or 2.1
        RULES[_owner.vecdot] = _vecdot


@rule(np.divmod)
def _divmod(a: Any, b: Any) -> Any:
    return np.floor_divide(a, b), np.remainder(a, b)


# --- in compiled code -------------------------------------------------------------------------


def _vector_by_vector(a: Array, b: Array) -> Any:
    return _inner_product(a, b)


def _matrix_by_vector(a: Array, b: Array) -> Any:
    out = cleared(a.shape[0], (a, b))
    for i in range(a.shape[0]):
        out[i] = _inner_product(a[i], b)
    return out


def _vector_by_matrix(a: Array, b: Array) -> Any:
    out = cleared(b.shape[1], (a, b))
    for j in range(b.shape[1]):
        out[j] = _inner_product(a, b[:, j])
    return out


def _matrix_by_matrix(a: Array, b: Array) -> Any:
    out = cleared((a.shape[0], b.shape[1]), (a, b))
    _multiply(a, b, out)
    return out


def _large_matrix_by_matrix(a: Array, b: Array) -> Any:
    results = a.shape[0] * b.shape[1]
    if a.shape[1] == b.shape[0] and is_worth(results * len(b), a.size + b.size + results):
        out = cleared((a.shape[0], b.shape[1]), (a, b))
        if is_done(attempt(MATMUL, (a, b), (out,))):
            return out
    return _recorded_product(a, b)


_recorded_product = jit(_matrix_by_matrix)
_PRODUCTS = {(1, 1): _vector_by_vector, (2, 1): _matrix_by_vector, (1, 2): _vector_by_matrix,
             (2, 2): _matrix_by_matrix}  # fmt: skip


def product_in_numba(a: Kind, b: Kind) -> Implementation | None:
    """Return the implementation of a product of arrays of which one holds actives."""
    are_arrays = isinstance(a, types.Array) and isinstance(b, types.Array)
    if not are_arrays or not (holds_actives(a) or holds_actives(b)):
        return None
    if (a.ndim, b.ndim) == (2, 2) and can_attempt(a, b):
        return _large_matrix_by_matrix
    return _PRODUCTS.get((a.ndim, b.ndim)) if is_operand(a) and is_operand(b) else None


@stand_in(np.dot, method="dot")
def _dot_in_numba(a: Kind, b: Kind) -> Implementation | None:
    return product_in_numba(a, b) or (lambda a, b: np.dot(a, b))


@stand_in(np.vdot, np.inner)
def _vdot_in_numba(a: Kind, b: Kind) -> Implementation | None:
    return product_in_numba(a, b) or (lambda a, b: np.vdot(a, b))


@stand_in(np.outer)
def _outer_in_numba(a: Kind, b: Kind) -> Implementation | None:
    return lambda a, b: a.ravel().reshape((-1, 1)) * b.ravel().reshape((1, -1))


@stand_in(np.trace)
def _trace_in_numba(a: Kind) -> Implementation | None:
    def implementation(a: Array) -> Any:
        result = 0.0
        for i in range(min(a.shape)):
            result = a[i, i] if i == 0 else result + a[i, i]
        return result

    return implementation


@stand_in(np.cross)
def _cross_in_numba(a: Kind, b: Kind) -> Implementation | None:
    if not isinstance(a, types.Array) or not isinstance(b, types.Array):
        return None

    def implementation(a: Array, b: Array) -> Any:
        if a.shape[-1] != 3 or b.shape[-1] != 3:
            raise ValueError("cross needs vectors of three elements")
        shape = np.broadcast_shapes(a.shape, b.shape)
        x, y, out = np.broadcast_to(a, shape), np.broadcast_to(b, shape), cleared(shape, (a, b))
        for index in np.ndindex(shape[:-1]):
            u, v = x[index], y[index]
            for k in range(3):
                i, j = (k + 1) % 3, (k + 2) % 3
                out[(*index, k)] = u[i] * v[j] - u[j] * v[i]
        return out

    return implementation
