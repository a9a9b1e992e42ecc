"""Norms of vectors and matrices, and condition numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tapegrad.record.array import ActiveArray
from tapegrad.record.functions.operands import array_on, axes_of, kept_shape, lanes, tape_of
from tapegrad.record.functions.reductions import maximum, minimum, total
from tapegrad.record.functions.registry import rule
from tapegrad.record.linear.shaped import matrices
from tapegrad.record.linear.singular import singular


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
        return _norm_of_singular_values(x, order, axes, keepdims)
    if order not in (1, -1, np.inf, -np.inf):
        raise ValueError("Invalid norm order for matrices.")
    summed, kept = axes if abs(order) == 1 else axes[::-1]
    extremum = maximum if order > 0 else minimum
    sums = total(abs(x), summed, keepdims=True)
    initial = _of_none(sums) if order > 0 else None
    norms = extremum(sums, axes_of(sums.ndim, kept), keepdims=True, initial=initial)
    return norms if keepdims else np.squeeze(norms, axes)


def _norm_of_singular_values(x: Any, order: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if not x.size:
        return np.linalg.norm(x.primal, order, axes, keepdims)
    s = singular(np.moveaxis(x, axes, (-2, -1)))[1]
    norms = total(s, -1) if order == "nuc" else s[..., 0 if order > 0 else -1]
    return np.reshape(norms, kept_shape(x.shape, axes)) if keepdims else norms


@rule(np.linalg.cond)
def _cond(x: Any, p: Any = None) -> Any:
    x = matrices(x)
    if not x.size:
        raise np.linalg.LinAlgError("cond is not defined on empty arrays")
    if p in (None, 2, -2):
        s = singular(x)[1]
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    try:
        inverse = np.linalg.inv(x)
    except np.linalg.LinAlgError:
        if x.ndim > 2 or x.shape[0] != x.shape[1]:
            raise
        return np.float64(np.inf)
    return _norm(x, p, (-2, -1)) * _norm(inverse, p, (-2, -1))
