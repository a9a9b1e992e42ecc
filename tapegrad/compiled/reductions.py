"""NumPy's reductions, running results and products in compiled code, of arrays with actives."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numba import types
from numba.extending import lower_builtin, register_jitable

from tapegrad.compiled.arrays import holds_actives, is_operand
from tapegrad.compiled.creation import is_omitted
from tapegrad.compiled.stand_ins import cleared, stand_in
from tapegrad.numba_internals import signature, tuple_setitem, type_calls
from tapegrad.numba_protocols import (
    Builder,
    Implementation,
    Kind,
    LoweringContext,
    Signature,
    Value,
    Values,
)
from tapegrad.record.kinds import ActiveValue, Array, Operation, Shape, kind_in


@register_jitable
def _add(x: ActiveValue, y: ActiveValue) -> float:
    return x + y


@register_jitable
def _multiply(x: ActiveValue, y: ActiveValue) -> float:
    return x * y


@register_jitable
def _greater(x: ActiveValue, y: ActiveValue) -> Any:
    return np.maximum(x, y)


@register_jitable
def _less(x: ActiveValue, y: ActiveValue) -> Any:
    return np.minimum(x, y)


@register_jitable
def _chain(operation: Operation, a: Array, start: float) -> Any:
    """Return the chain of an operation over all elements; `start` if there are none.

    Where that is NaN, there must be some.
    """
    if a.size == 0 and start != start:
        raise ValueError("zero-size array to reduction operation not possible")
    result = start
    first = True
    for number in a.flat:
        result = number if first else operation(result, number)
        first = False
    return result


@register_jitable
def _along(operation: Operation, a: Array, axis: int, start: float) -> Any:
    """Return the chains along an axis, flattened."""
    axis = axis % a.ndim
    outer = inner = 1
    for k in range(axis):
        outer *= a.shape[k]
    for k in range(axis + 1, a.ndim):
        inner *= a.shape[k]
    parts = a.copy().reshape((outer, a.shape[axis], inner))
    out = cleared(outer * inner, a)
    for i in range(outer):
        for j in range(inner):
            out[i * inner + j] = _chain(operation, parts[i, :, j], start)
    return out


@register_jitable
def _others(shape: Shape, axis: int) -> Shape:
    """Return a shape without the length of one axis."""
    axis = axis % len(shape)
    rest = shape[1:]
    for k in range(axis):
        rest = tuple_setitem(rest, k, shape[k])
    return rest


def _reduction(operation: Operation, start: float, a: Kind, axis: Kind | None) -> Implementation:
    """Return the implementation of a reduction of an array with actives."""
    if is_omitted(axis) or a.ndim == 1:
        return lambda a, axis=None: _chain(operation, a, start)
    if a.ndim == 2:
        return lambda a, axis=None: _along(operation, a, axis, start)
    return lambda a, axis=None: _along(operation, a, axis, start).reshape(_others(a.shape, axis))


@stand_in(np.sum, method="sum")
def sum_(a: Kind, axis: Kind | None = None) -> Implementation | None:
    """Choose a sum, of all elements or along an axis."""
    if holds_actives(a):
        return _reduction(_add, 0.0, a, axis)
    if is_omitted(axis):
        return lambda a, axis=None: a.sum()
    return lambda a, axis=None: a.sum(axis)


@stand_in(np.nansum)
def _nansum(a: Kind) -> Implementation | None:
    if not holds_actives(a):
        return lambda a: np.nansum(a)

    def implementation(a: Array) -> Any:
        out = cleared(1, a)
        for number in a.flat:
            if not np.isnan(number):
                out[0] += number
        return out[0]

    return implementation


@stand_in(np.prod, method="prod")
def _prod(a: Kind, axis: Kind | None = None) -> Implementation | None:
    if holds_actives(a):
        return _reduction(_multiply, 1.0, a, axis)
    return lambda a, axis=None: a.prod()


@stand_in(np.max, np.amax, method="max")
def _max(a: Kind, axis: Kind | None = None) -> Implementation | None:
    if holds_actives(a):
        return _reduction(_greater, np.nan, a, axis)
    return lambda a, axis=None: a.max()


@stand_in(np.min, np.amin, method="min")
def _min(a: Kind, axis: Kind | None = None) -> Implementation | None:
    if holds_actives(a):
        return _reduction(_less, np.nan, a, axis)
    return lambda a, axis=None: a.min()


@stand_in(np.mean, method="mean")
def _mean(a: Kind, axis: Kind | None = None) -> Implementation | None:
    if not holds_actives(a):
        return lambda a, axis=None: a.mean()
    if is_omitted(axis):
        return lambda a, axis=None: sum_(a) / a.size
    return lambda a, axis=None: sum_(a, axis) / a.shape[axis]


@stand_in(np.var, method="var")
def _var(a: Kind) -> Implementation | None:
    if not holds_actives(a):
        return lambda a: a.var()
    return lambda a: sum_((a - sum_(a) / a.size) ** 2) / a.size


@stand_in(np.std, method="std")
def _std(a: Kind) -> Implementation | None:
    if not holds_actives(a):
        return lambda a: a.std()
    return lambda a: np.sqrt(sum_((a - sum_(a) / a.size) ** 2) / a.size)


@stand_in(np.ptp)
def _ptp(a: Kind) -> Implementation | None:
    if not holds_actives(a):
        return lambda a: np.ptp(a)
    return lambda a: _chain(_greater, a, np.nan) - _chain(_less, a, np.nan)


# --- running results --------------------------------------------------------------------------


@register_jitable
def _running(operation: Operation, a: Array) -> Array:
    out = a.ravel().copy()
    for i in range(1, len(out)):
        out[i] = operation(out[i - 1], out[i])
    return out


@stand_in(np.cumsum, method="cumsum")
def _cumsum(a: Kind) -> Implementation | None:
    return (lambda a: _running(_add, a)) if holds_actives(a) else lambda a: a.cumsum()


@stand_in(np.cumprod, method="cumprod")
def _cumprod(a: Kind) -> Implementation | None:
    return (lambda a: _running(_multiply, a)) if holds_actives(a) else lambda a: a.cumprod()


@stand_in(np.diff)
def _diff(a: Kind, n: Kind = 1) -> Implementation | None:
    if not holds_actives(a):
        return lambda a, n=1: np.diff(a, n)

    def implementation(a: Array, n: int = 1) -> Array:
        for _ in range(n):
            a = a[..., 1:] - a[..., :-1]
        return a

    return implementation


# --- products ---------------------------------------------------------------------------------


@register_jitable
def _inner(x: Array, y: Array) -> Any:
    if len(x) != len(y):
        raise ValueError("incompatible array sizes for a product of vectors")
    result = 0.0
    for i in range(len(x)):
        result = x[i] * y[i] if i == 0 else result + x[i] * y[i]
    return result


def _vector_by_vector(a: Array, b: Array) -> Any:
    return _inner(a, b)


def _matrix_by_vector(a: Array, b: Array) -> Array:
    out = cleared(a.shape[0], (a, b))
    for i in range(a.shape[0]):
        out[i] = _inner(a[i], b)
    return out


def _vector_by_matrix(a: Array, b: Array) -> Array:
    out = cleared(b.shape[1], (a, b))
    for j in range(b.shape[1]):
        out[j] = _inner(a, b[:, j])
    return out


def _matrix_by_matrix(a: Array, b: Array) -> Array:
    out = cleared((a.shape[0], b.shape[1]), (a, b))
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            out[i, j] = _inner(a[i], b[:, j])
    return out


_PRODUCTS = {(1, 1): _vector_by_vector, (2, 1): _matrix_by_vector, (1, 2): _vector_by_matrix,
             (2, 2): _matrix_by_matrix}  # fmt: skip


def _product(a: Kind, b: Kind) -> Implementation | None:
    """Return the implementation of a product of arrays of which one holds actives."""
    are_arrays = isinstance(a, types.Array) and isinstance(b, types.Array)
    if not are_arrays or not (holds_actives(a) or holds_actives(b)):
        return None
    return _PRODUCTS.get((a.ndim, b.ndim)) if is_operand(a) and is_operand(b) else None


@stand_in(np.dot, method="dot")
def _dot(a: Kind, b: Kind) -> Implementation | None:
    return _product(a, b) or (lambda a, b: np.dot(a, b))


@stand_in(np.vdot, np.inner)
def _vdot(a: Kind, b: Kind) -> Implementation | None:
    return _product(a, b) or (lambda a, b: np.vdot(a, b))


@stand_in(np.outer)
def _outer(a: Kind, b: Kind) -> Implementation | None:
    if not holds_actives(a) and not holds_actives(b):
        return lambda a, b: np.outer(a, b)
    return lambda a, b: a.ravel().reshape((-1, 1)) * b.ravel().reshape((1, -1))


@stand_in(np.trace)
def _trace(a: Kind) -> Implementation | None:
    if not holds_actives(a):
        return lambda a: np.trace(a)

    def implementation(a: Array) -> Any:
        result = 0.0
        for i in range(min(a.shape)):
            result = a[i, i] if i == 0 else result + a[i, i]
        return result

    return implementation


@stand_in(np.linalg.norm)
def _norm(x: Kind) -> Implementation | None:
    if not holds_actives(x):
        return lambda x: np.linalg.norm(x)
    return lambda x: np.sqrt(_chain(_add, x * x, 0.0))


_MATMUL = "tapegrad.matmul"


def _matmul_type(*args: Kind) -> Signature | None:
    if len(args) != 2 or _product(*args) is None:
        return None
    ndim, kind = args[0].ndim + args[1].ndim - 2, kind_in(*args)
    return signature(types.Array(kind, ndim, "C") if ndim else kind, *args)


def _lower_matmul(
    context: LoweringContext, builder: Builder, sig: Signature, args: Values
) -> Value:
    product = _product(*sig.args)
    assert product is not None
    return context.compile_internal(builder, product, sig, args)


lower_builtin(_MATMUL, types.Array, types.Array)(_lower_matmul)
for _key in (operator.matmul, np.matmul):
    type_calls(_key, _matmul_type, _MATMUL)
