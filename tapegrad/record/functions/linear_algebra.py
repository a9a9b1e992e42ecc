"""`numpy.linalg`: norms, and what Gaussian elimination gives."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.jit import jit
from tapegrad.numba_protocols import Implementation, Kind
from tapegrad.record.array import ActiveArray
from tapegrad.record.functions.dot import matmul
from tapegrad.record.functions.operands import array_on, axes_of, kept_shape, lanes, tape_of
from tapegrad.record.functions.reductions import chain, maximum, minimum, total
from tapegrad.record.functions.registry import rule, store
from tapegrad.record.kinds import Array
from tapegrad.record.stand_ins import cleared, stand_in, store_elements

_SLOGDET = type(np.linalg.slogdet(np.eye(1)))


@rule(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    array = array_on(tape_of(x), x)
    frobenius = ord in ("fro", "f") and array.ndim == 2
    if axis is None and (ord is None or frobenius or (ord == 2 and array.ndim == 1)):
        root = np.sqrt(total(np.square(array.ravel())))
        return np.reshape(root, (1,) * array.ndim) if keepdims else root
    axes = normalize_axis_tuple(range(array.ndim) if axis is None else axis, array.ndim)
    if len(axes) == 1:
        return _vector_norm(array, ord, axes[0], keepdims)
    if len(axes) != 2:
        raise ValueError("Improper number of dimensions to norm.")
    return _matrix_norm(array, ord, axes, keepdims)


def _of_none(sizes: Any) -> Any:
    """Return what the greatest size is to start from: the norm of no elements is zero."""
    return None if sizes.size else 0.0


def _vector_norm(x: Any, order: Any, axis: int, keepdims: bool) -> Any:
    if order is None or order == 2:
        return np.sqrt(total(np.square(x), axis, keepdims=keepdims))
    if isinstance(order, str):
        raise ValueError(f"Invalid norm order {order!r} for vectors")
    size = abs(x)
    if order == np.inf:
        return maximum(size, axis, keepdims=keepdims, initial=_of_none(size))
    if order == -np.inf:
        return minimum(size, axis, keepdims=keepdims)
    if order == 0:
        return total(x != 0.0, axis, keepdims=keepdims) * 1.0
    if order == 1:
        return total(size, axis, keepdims=keepdims)
    return total(size**order, axis, keepdims=keepdims) ** (1.0 / order)


@rule(np.linalg.vector_norm)
def _norm_of_vectors(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    array = array_on(tape_of(x), x)
    axes = axes_of(array.ndim, axis)
    norm = _vector_norm(ActiveArray(array.tape, lanes(array.data, axes)), ord, -1, False)
    return np.reshape(norm, kept_shape(array.shape, axes)) if keepdims else norm


@rule(np.linalg.matrix_norm)
def _norm_of_matrices(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return _norm(x, ord, (-2, -1), keepdims)


def _matrix_norm(x: Any, order: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if order in (None, "fro", "f"):
        return np.sqrt(total(np.square(x), axes, keepdims=keepdims))
    if order in (2, -2, "nuc"):
        raise UnsupportedFunctionError(
            f"numpy.linalg.norm of a matrix with ord={order!r} needs singular values, which have "
            "no rule for active arguments; use ord='fro', 1 or inf"
        )
    if order not in (1, -1, np.inf, -np.inf):
        raise ValueError("Invalid norm order for matrices.")
    summed, kept = axes if abs(order) == 1 else axes[::-1]
    extremum = maximum if order > 0 else minimum
    sums = total(abs(x), summed, keepdims=True)
    initial = _of_none(sums) if order > 0 else None
    norms = extremum(sums, axes_of(sums.ndim, kept), keepdims=True, initial=initial)
    return norms if keepdims else np.squeeze(norms, axes)


def _square(a: Any) -> Any:
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square")
    return a


def _eliminated(a: Any, b: Any) -> tuple[Any, Any, float]:
    """Return a matrix made upper triangular, right-hand sides with it, and the sign of the swaps.

    Rows are swapped so that the largest number is the pivot; the choice is guarded.
    """
    a, b, sign = a.copy(), b.copy(), 1.0
    for k in range(len(a)):
        pivot = k + int(np.argmax(abs(a[k:, k])))
        if pivot != k:
            order = [pivot, k]
            a[[k, pivot]], b[[k, pivot]], sign = a[order], b[order], -sign
        if k + 1 < len(a) and bool(a[k, k] != 0.0):
            factor = a[k + 1 :, k : k + 1] / a[k, k]
            a[k + 1 :, k + 1 :] = a[k + 1 :, k + 1 :] - factor * a[k, k + 1 :]
            b[k + 1 :] = b[k + 1 :] - factor * b[k]
    return a, b, sign


def _solved(a: Any, b: Any) -> Any:
    upper, x, _ = _eliminated(a, b)
    for k in range(len(a) - 1, -1, -1):
        if bool(upper[k, k] == 0.0):
            raise np.linalg.LinAlgError("Singular matrix")
        later = matmul(upper[k, k + 1 :], x[k + 1 :]) if k + 1 < len(a) else 0.0
        x[k] = (x[k] - later) / upper[k, k]
    return x


def _each(function: Any, a: Any, *others: Any) -> Any:
    """Apply a function to every matrix of a stack."""
    if a.ndim == 2:
        return function(a, *others)
    parts = [_each(function, a[k], *(x[k] for x in others)) for k in range(len(a))]
    return np.stack(parts)


@rule(np.linalg.solve)
def _solve(a: Any, b: Any) -> Any:
    tape = tape_of(a, b)
    a, b = _square(array_on(tape, a)), array_on(tape, b)
    is_vector = b.ndim == 1
    b = b[:, np.newaxis] if is_vector else b
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = np.broadcast_to(a, stack + a.shape[-2:])
    b = np.broadcast_to(b, stack + b.shape[-2:])
    x = _each(_solved, a, b)
    return x[..., 0] if is_vector else x


@rule(np.linalg.inv)
def _inv(a: Any) -> Any:
    tape = tape_of(a)
    a = _square(array_on(tape, a))
    return _each(lambda matrix: _solved(matrix, array_on(tape, np.eye(len(matrix)))), a)


@rule(np.linalg.slogdet)
def _slogdet(a: Any) -> Any:
    tape = tape_of(a)
    array = _square(array_on(tape, a))

    def parts(matrix: Any) -> Any:
        upper, _, sign = _eliminated(matrix, array_on(tape, np.zeros((len(matrix), 0))))
        pivots = np.diagonal(upper)
        return np.stack([np.prod(np.sign(pivots)) * sign, total(np.log(abs(pivots)))])

    found = _each(parts, array)
    return _SLOGDET(found[..., 0], found[..., 1])


@rule(np.linalg.matrix_power)
def _matrix_power(a: Any, n: Any) -> Any:
    tape = tape_of(a)
    matrix, n = _square(array_on(tape, a)), operator.index(n)
    if n == 0:
        return np.broadcast_to(array_on(tape, np.eye(matrix.shape[-1])), matrix.shape).copy()
    base = _inv(matrix) if n < 0 else matrix
    result, n = None, abs(n)
    while True:
        if n & 1:
            result = base if result is None else matmul(result, base)
        n >>= 1
        if not n:
            return result
        base = matmul(base, base)


@rule(np.linalg.multi_dot)
def _multi_dot(arrays: Any, *, out: Any = None) -> Any:
    if len(arrays) < 2:
        raise ValueError("Expecting at least two arrays.")
    if len(arrays) == 2:
        return np.dot(arrays[0], arrays[1], out=out)
    tape = tape_of(list(arrays))
    factors = [array_on(tape, part) for part in arrays]
    is_row, is_column = factors[0].ndim == 1, factors[-1].ndim == 1
    factors[0] = np.atleast_2d(factors[0])
    factors[-1] = factors[-1][:, np.newaxis] if is_column else factors[-1]
    if any(part.ndim != 2 for part in factors):
        raise np.linalg.LinAlgError("all factors but the first and the last must be matrices")
    product = _product_of(
        factors, _cheapest_order([len(factors[0]), *(f.shape[1] for f in factors)])
    )
    product = product[0] if is_row else product
    product = product[..., 0] if is_column else product
    return store(out, product, "multi_dot")


def _cheapest_order(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Return where to split each run of factors (Cormen et al., Introduction to Algorithms, 14.2).

    `sizes` are the numbers of rows of all matrices, and of columns of the last.
    """
    count = len(sizes) - 1
    cost: dict[tuple[int, int], int] = {(i, i): 0 for i in range(count)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            costs = [
                cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1]
                for k in range(i, j)
            ]
            cost[i, j] = min(costs)
            split[i, j] = i + costs.index(cost[i, j])
    return split


def _product_of(factors: list[Any], split: dict[tuple[int, int], int]) -> Any:
    def product(i: int, j: int) -> Any:
        if i == j:
            return factors[i]
        k = split[i, j]
        return matmul(product(i, k), product(k + 1, j))

    return product(0, len(factors) - 1)


@rule(np.linalg.det)
def _det(a: Any) -> Any:
    tape = tape_of(a)

    def determinant(matrix: Any) -> Any:
        upper, _, sign = _eliminated(matrix, array_on(tape, np.zeros((len(matrix), 0))))
        return np.prod(np.diagonal(upper)) * sign

    return _each(determinant, _square(array_on(tape, a)))


# --- in compiled code -------------------------------------------------------------------------


@jit
def _eliminate_in_numba(a: Array, b: Array) -> float:
    """Make a matrix upper triangular, right-hand sides with it; return the sign of the swaps."""
    n = len(a)
    sign = 1.0
    for k in range(n):
        pivot = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[pivot, k]):
                pivot = i
        if pivot != k:
            sign = -sign
            for j in range(n):
                a[k, j], a[pivot, j] = a[pivot, j], a[k, j]
            for j in range(b.shape[1]):
                b[k, j], b[pivot, j] = b[pivot, j], b[k, j]
        for i in range(k + 1, n):
            factor = a[i, k] / a[k, k]
            for j in range(k + 1, n):
                a[i, j] -= factor * a[k, j]
            for j in range(b.shape[1]):
                b[i, j] -= factor * b[k, j]
    return sign


@jit
def _solve_in_numba(a: Array, b: Array) -> Any:
    n = len(a)
    upper, x = cleared(a.shape, (a, b)), cleared(b.shape, (a, b))
    store_elements(upper, a)
    store_elements(x, b)
    _eliminate_in_numba(upper, x)
    for k in range(n - 1, -1, -1):
        for j in range(x.shape[1]):
            for i in range(k + 1, n):
                x[k, j] -= upper[k, i] * x[i, j]
            x[k, j] /= upper[k, k]
    return x


@stand_in(np.linalg.solve)
def _solve_choice(a: Kind, b: Kind) -> Implementation | None:
    if b.ndim == 1:
        return lambda a, b: _solve_in_numba(a, b.reshape((-1, 1)))[:, 0].copy()
    return lambda a, b: _solve_in_numba(a, b)


@stand_in(np.linalg.inv)
def _inv_in_numba(a: Kind) -> Implementation | None:
    return lambda a: _solve_in_numba(a, np.eye(len(a)))


@stand_in(np.linalg.det)
def _det_in_numba(a: Kind) -> Implementation | None:
    def implementation(a: Array) -> Any:
        upper = a.copy()
        result = _eliminate_in_numba(upper, cleared((len(a), 0), a))
        for k in range(len(a)):
            result = result * upper[k, k]
        return result

    return implementation


@stand_in(np.linalg.norm)
def _norm_in_numba(x: Kind) -> Implementation | None:
    return lambda x: np.sqrt(chain(operator.add, x * x, 0.0))
