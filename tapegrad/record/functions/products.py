"""Sums of products: vectors, matrices and stacks of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record import elementwise
from tapegrad.record.array import as_data, tapes_in, wrap
from tapegrad.record.functions.registry import rule, store
from tapegrad.record.native import ACTIVE
from tapegrad.record.nesting import innermost


@rule(np.dot, method="dot")
def _dot(a: Any, b: Any, out: Any = None) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        product = np.multiply(a, b)
    elif np.ndim(b) > 2 or np.ndim(a) > 2:
        raise UnsupportedFunctionError("numpy.dot has a rule for at most two dimensions; use "
                                       "numpy.matmul for stacks of matrices")  # fmt: skip
    else:
        product = matmul(a, b)
    return store(out, product, "dot")


@rule(np.matmul, method="__matmul__")
def matmul(a: Any, b: Any) -> Any:
    """Record `a @ b` with NumPy's rules for vectors and stacks of matrices."""
    tape = innermost(tapes_in(a, b))
    x, y = as_data(tape, a), as_data(tape, b)
    if x.ndim == 0 or y.ndim == 0:
        raise ValueError("matmul needs arrays of one dimension at least, not numbers")
    vector_x, vector_y = x.ndim == 1, y.ndim == 1
    x = x[np.newaxis, :] if vector_x else x
    y = y[:, np.newaxis] if vector_y else y
    if x.shape[-1] != y.shape[-2]:
        raise ValueError(f"matmul: shapes {np.shape(a)} and {np.shape(b)} don't fit")
    stack = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    result = np.zeros((*stack, x.shape[-2], y.shape[-1]), ACTIVE)
    if x.shape[-1]:
        x = np.broadcast_to(x, stack + x.shape[-2:])
        y = np.broadcast_to(y, stack + y.shape[-2:])
        for index in np.ndindex(*stack):
            result[index] = elementwise.matmul(tape, x[index], y[index])
    result = result[..., 0, :] if vector_x else result
    return wrap(tape, result[..., 0] if vector_y else result)


@rule(method="__rmatmul__")
def _reflected_matmul(self: Any, other: Any) -> Any:
    return matmul(other, self)


@rule(np.divmod)
def _divmod(a: Any, b: Any) -> Any:
    return np.floor_divide(a, b), np.remainder(a, b)
