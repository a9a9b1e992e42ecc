"""NumPy's integrals, interpolation, cross products and parts of matrices in compiled code.

What NumPy does by masks and sorted copies is loops here, over arrays that hold active numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from tapegrad.compiled.arrays import holds_actives, is_operand
from tapegrad.compiled.creation import is_omitted
from tapegrad.compiled.ordering import place
from tapegrad.compiled.reductions import sum_
from tapegrad.compiled.stand_ins import cleared, stand_in
from tapegrad.numba_protocols import Implementation, Kind
from tapegrad.record.kinds import ActiveValue, Array, Index, is_active


def _are_recorded(*operands: Kind) -> bool:
    """Whether operands are numbers and arrays, one of them active."""
    return all(map(is_operand, operands)) and any(
        is_active(kind) or holds_actives(kind) for kind in operands
    )


@stand_in(np.median)
def _median(a: Kind) -> Implementation | None:
    if not holds_actives(a):
        return lambda a: np.median(a)

    def implementation(a: Array) -> Any:
        out = cleared(1, a)
        ordered = np.sort(a.copy().reshape(a.size))
        middle = a.size // 2
        if a.size == 0:
            out[0] = np.nan
        elif np.isnan(ordered[a.size - 1]) or a.size % 2 == 1:
            out[0] = ordered[a.size - 1 if np.isnan(ordered[a.size - 1]) else middle]
        else:
            out[0] = (ordered[middle - 1] + ordered[middle]) / 2.0
        return out[0]

    return implementation


@stand_in(np.trapezoid)
def _trapezoid(y: Kind, x: Kind | None = None, dx: Kind = 1.0) -> Implementation | None:
    if not _are_recorded(*(kind for kind in (y, x, dx) if not is_omitted(kind) and kind != 1.0)):
        return lambda y, x=None, dx=1.0: np.trapezoid(y, x, dx)
    if is_omitted(x):
        return lambda y, x=None, dx=1.0: sum_(dx * (y[..., 1:] + y[..., :-1]) / 2.0, -1)
    return lambda y, x=None, dx=1.0: sum_(
        (x[..., 1:] - x[..., :-1]) * (y[..., 1:] + y[..., :-1]) / 2.0, -1
    )


# --- interpolation ----------------------------------------------------------------------------


@register_jitable
def _interpolate(out: Array, index: Index, x: ActiveValue, xp: Array, fp: Array) -> None:
    """Store what lies at `x` on the lines between knots, or beyond the last of them."""
    after = place(xp, x, "right")
    if np.isnan(x):
        out[index] = x
    elif after == 0:
        out[index] = fp[0]
    elif after == len(xp):
        out[index] = fp[after - 1]
    else:
        slope = (fp[after] - fp[after - 1]) / (xp[after] - xp[after - 1])
        out[index] = slope * (x - xp[after - 1]) + fp[after - 1]


@stand_in(np.interp)
def _interp(x: Kind, xp: Kind, fp: Kind) -> Implementation | None:
    if not _are_recorded(x, xp, fp):
        return lambda x, xp, fp: np.interp(x, xp, fp)
    message = "fp and xp are not of the same length, or empty"
    if not isinstance(x, types.Array):

        def of_number(x: ActiveValue, xp: Array, fp: Array) -> Any:
            if len(xp) != len(fp) or len(xp) == 0:
                raise ValueError(message)
            out = cleared(1, (x, xp, fp))
            _interpolate(out, 0, x, xp, fp)
            return out[0]

        return of_number

    def of_array(x: Array, xp: Array, fp: Array) -> Array:
        if len(xp) != len(fp) or len(xp) == 0:
            raise ValueError(message)
        out = cleared(x.shape, (x, xp, fp))
        for index in np.ndindex(x.shape):
            _interpolate(out, index, x[index], xp, fp)
        return out

    return of_array


# --- products of vectors ----------------------------------------------------------------------


def _component(a: Array, k: int) -> Any:
    """Return the k-th components of the vectors that lie along the last axis."""


@overload(_component, strict=False)
def _(a: Kind, k: Kind) -> Implementation | None:
    return (lambda a, k: a[k]) if a.ndim == 1 else lambda a, k: a[..., k]


@stand_in(np.cross)
def _cross(a: Kind, b: Kind) -> Implementation | None:
    if not isinstance(a, types.Array) or not isinstance(b, types.Array):
        return None
    if not _are_recorded(a, b):
        return lambda a, b: np.cross(a, b)
    if a.ndim == b.ndim == 1:

        def of_vectors(a: Array, b: Array) -> Array:
            if len(a) != 3 or len(b) != 3:
                raise ValueError("cross needs vectors of three elements")
            out = cleared(3, (a, b))
            out[0] = a[1] * b[2] - a[2] * b[1]
            out[1] = a[2] * b[0] - a[0] * b[2]
            out[2] = a[0] * b[1] - a[1] * b[0]
            return out

        return of_vectors

    def of_arrays(a: Array, b: Array) -> Array:
        if a.shape[-1] != 3 or b.shape[-1] != 3:
            raise ValueError("cross needs vectors of three elements")
        first = _component(a, 1) * _component(b, 2) - _component(a, 2) * _component(b, 1)
        out = cleared((*first.shape, 3), (a, b))
        out[..., 0] = first
        out[..., 1] = _component(a, 2) * _component(b, 0) - _component(a, 0) * _component(b, 2)
        out[..., 2] = _component(a, 0) * _component(b, 1) - _component(a, 1) * _component(b, 0)
        return out

    return of_arrays


# --- parts of matrices ------------------------------------------------------------------------


@register_jitable
def _part(m: Array, k: int, is_upper: bool) -> Array:
    """Return a copy in which what lies beyond a diagonal is zero."""
    out = m.copy()
    for index in np.ndindex(m.shape):
        offset = index[len(index) - 1] - index[len(index) - 2]
        if offset < k if is_upper else offset > k:
            out[index] = 0.0
    return out


@register_jitable
def _rows(m: Array) -> Array:
    """Return a matrix whose rows all are a vector."""
    out = cleared((len(m), len(m)), m)
    for i in range(len(m)):
        out[i] = m
    return out


@stand_in(np.triu)
def _triu(m: Kind, k: Kind = 0) -> Implementation | None:
    if not holds_actives(m):
        return lambda m, k=0: np.triu(m, k)
    if m.ndim == 1:
        return lambda m, k=0: _part(_rows(m), k, True)
    return lambda m, k=0: _part(m, k, True)


@stand_in(np.tril)
def _tril(m: Kind, k: Kind = 0) -> Implementation | None:
    if not holds_actives(m):
        return lambda m, k=0: np.tril(m, k)
    if m.ndim == 1:
        return lambda m, k=0: _part(_rows(m), k, False)
    return lambda m, k=0: _part(m, k, False)
