"""Tensors that are solved and inverted as matrices, and ranks, which are read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapegrad.record.functions.operands import array_on, tape_of, truth
from tapegrad.record.functions.registry import rule

_EPS = float(np.finfo(np.float64).eps)


@rule(np.linalg.tensorinv)
def _tensorinv(a: Any, ind: int = 2) -> Any:
    if ind <= 0:
        raise ValueError("Invalid ind argument.")
    a = array_on(tape_of(a), a)
    rows, columns = a.shape[:ind], a.shape[ind:]
    inverse = np.linalg.inv(np.reshape(a, (math.prod(columns), -1)))
    return np.reshape(inverse, columns + rows)


@rule(np.linalg.tensorsolve)
def _tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    tape = tape_of(a, b)
    a, b = array_on(tape, a), array_on(tape, b)
    last = [] if axes is None else list(axes)
    a = np.transpose(a, [k for k in range(a.ndim) if k not in last] + last)
    shape = a.shape[b.ndim :]
    n = math.prod(shape)
    if a.size != n**2:
        raise np.linalg.LinAlgError(
            "Input arrays must satisfy the requirement prod(a.shape[b.ndim:]) == "
            "prod(a.shape[:b.ndim])"
        )
    return np.reshape(np.linalg.solve(np.reshape(a, (n, n)), np.ravel(b)), shape)


@rule(np.linalg.matrix_rank)
def _matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *,  # noqa: N803  # NumPy's name
                 rtol: Any = None) -> Any:  # fmt: skip
    if rtol is not None and tol is not None:
        raise ValueError("`tol` and `rtol` can't be both set.")
    a = array_on(tape_of(A), A)
    if a.ndim < 2:
        return int(truth(a != 0.0).any())
    s = np.linalg.svd(a, compute_uv=False, hermitian=hermitian)
    if tol is None:
        rtol = max(a.shape[-2:]) * _EPS if rtol is None else np.asarray(rtol)[..., np.newaxis]
        tol = np.max(s, axis=-1, keepdims=True, initial=0.0) * rtol
    else:
        tol = np.asarray(tol)[..., np.newaxis]
    return truth(s > tol).sum(axis=-1)
