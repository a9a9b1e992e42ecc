"""NumPy's choices and linear equations in compiled code, of arrays with active numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from tapegrad.compiled.arrays import holds_actives, store
from tapegrad.compiled.stand_ins import cleared, stand_in
from tapegrad.numba_protocols import Implementation, Kind
from tapegrad.record.kinds import ActiveValue, Array, Index, Operand, Shape, is_active
from tapegrad.record.native import register
from tapegrad.record.stopping import stop_gradient


def _element(x: Operand, index: Index) -> Any:
    """Return an array's element, or a number itself; for compiled code."""


@overload(_element, strict=False)
def _(x: Kind, index: Kind) -> Implementation | None:
    if isinstance(x, types.Array):
        return lambda x, index: x[index]
    return lambda x, index: x


def _shape(x: Operand) -> Any:
    """Return a number's or an array's shape; for compiled code."""


@overload(_shape, strict=False)
def _(x: Kind) -> Implementation | None:
    return (lambda x: x.shape) if isinstance(x, types.Array) else lambda x: ()


def _broadcast(x: Operand, shape: Shape) -> Any:
    """Return an array in another shape, or a number itself; for compiled code."""


@overload(_broadcast, strict=False)
def _(x: Kind, shape: Kind) -> Implementation | None:
    if isinstance(x, types.Array):
        return lambda x, shape: np.broadcast_to(x, shape)
    return lambda x, shape: x


@stand_in(np.where)
def _where(condition: Kind, x: Kind | None = None, y: Kind | None = None) -> Implementation | None:
    if x is None or isinstance(x, types.Omitted):
        return lambda condition, x=None, y=None: np.where(condition)
    operands = (condition, x, y)
    if not any(is_active(kind) or holds_actives(kind) for kind in operands):
        return lambda condition, x=None, y=None: np.where(condition, x, y)
    if not any(isinstance(kind, types.Array) for kind in operands):
        return lambda condition, x=None, y=None: x if condition else y

    def implementation(condition: Operand, x: Any = None, y: Any = None) -> Array:
        shape = np.broadcast_shapes(_shape(condition), _shape(x), _shape(y))
        test, u, v = (_broadcast(condition, shape), _broadcast(x, shape), _broadcast(y, shape))
        out = cleared(shape, (u, v))
        for index in np.ndindex(shape):
            holds = _truth(test, index)
            out[index] = _element(u, index) if holds else _element(v, index)
        return out

    return implementation


def _truth(x: Operand, index: Index) -> Any:
    """Read an element of a condition, or one truth value; for compiled code."""


@overload(_truth, strict=False)
def _(x: Kind, index: Kind) -> Implementation | None:
    if isinstance(x, types.Array):
        return lambda x, index: bool(x[index])
    return lambda x, index: bool(x)


@stand_in(np.clip)
def _clip(a: Kind, a_min: Kind, a_max: Kind) -> Implementation | None:
    if not any(is_active(kind) or holds_actives(kind) for kind in (a, a_min, a_max)):
        return lambda a, a_min, a_max: np.clip(a, a_min, a_max)
    if isinstance(a_min, types.NoneType):
        return lambda a, a_min, a_max: np.minimum(a, a_max)
    if isinstance(a_max, types.NoneType):
        return lambda a, a_min, a_max: np.maximum(a, a_min)
    return lambda a, a_min, a_max: np.minimum(np.maximum(a, a_min), a_max)


@stand_in(np.round, np.around, method="round")
def _round(a: Kind, decimals: Kind = 0) -> Implementation | None:
    if not is_active(a) and not holds_actives(a):
        return lambda a, decimals=0: np.round(a, decimals)
    if not isinstance(a, types.Array):

        def of_number(a: ActiveValue, decimals: int = 0) -> Any:
            out = cleared(1, a)
            _round_into(out, 0, a, decimals)
            return out[0]

        return of_number

    def of_array(a: Array, decimals: int = 0) -> Array:
        out = cleared(a.shape, a)
        for index in np.ndindex(a.shape):
            _round_into(out, index, a[index], decimals)
        return out

    return of_array


@register_jitable
def _round_into(out: Array, index: Index, x: ActiveValue, decimals: int) -> None:
    scale = 10.0 ** abs(decimals)
    if decimals == 0:
        out[index] = np.rint(x)
    elif decimals > 0:
        out[index] = np.rint(x * scale) / scale
    else:
        out[index] = np.rint(x / scale) * scale


register(stop_gradient, "stop")


@overload(stop_gradient, strict=False)
def _(x: Kind) -> Implementation | None:
    if is_active(x):
        return None
    if not holds_actives(x):
        return lambda x: x

    def implementation(x: Array) -> Array:
        stopped = x.copy()
        for index in np.ndindex(x.shape):
            stopped[index] = stop_gradient(x[index])
        return stopped

    return implementation


# --- linear equations -------------------------------------------------------------------------


@register_jitable
def _eliminate(a: Array, b: Array) -> float:
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


@register_jitable
def _solve(a: Array, b: Array) -> Array:
    n = len(a)
    upper, x = cleared(a.shape, (a, b)), cleared(b.shape, (a, b))
    store(upper, a)
    store(x, b)
    _eliminate(upper, x)
    for k in range(n - 1, -1, -1):
        for j in range(x.shape[1]):
            for i in range(k + 1, n):
                x[k, j] -= upper[k, i] * x[i, j]
            x[k, j] /= upper[k, k]
    return x


@stand_in(np.linalg.solve)
def _solve_choice(a: Kind, b: Kind) -> Implementation | None:
    if not holds_actives(a) and not holds_actives(b):
        return lambda a, b: np.linalg.solve(a, b)
    if b.ndim == 1:
        return lambda a, b: _solve(a, b.reshape((-1, 1)))[:, 0].copy()
    return lambda a, b: _solve(a, b)


@stand_in(np.linalg.inv)
def _inv(a: Kind) -> Implementation | None:
    if not holds_actives(a):
        return lambda a: np.linalg.inv(a)
    return lambda a: _solve(a, np.eye(len(a)))


@stand_in(np.linalg.det)
def _det(a: Kind) -> Implementation | None:
    if not holds_actives(a):
        return lambda a: np.linalg.det(a)

    def implementation(a: Array) -> Any:
        upper = a.copy()
        result = _eliminate(upper, cleared((len(a), 0), a))
        for k in range(len(a)):
            result = result * upper[k, k]
        return result

    return implementation
