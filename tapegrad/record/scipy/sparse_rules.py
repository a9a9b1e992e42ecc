"""The rules of scipy.sparse: its constructors, its classes' methods and functions that stack.

Constructors take active numbers as `(data, (i, j))`, `(data, indices, indptr)`, for diagonals
`(data, offsets)`, as a dense array, or as another sparse matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.errors import LostDerivativeError
from tapegrad.record.arithmetic import takes_over
from tapegrad.record.array import ActiveArray
from tapegrad.record.frames import Site
from tapegrad.record.functions.operands import integers
from tapegrad.record.functions.registry import NAMED
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import (
    SPARSE,
    is_held,
    is_made_here,
    is_sparse,
    scipy_rule,
    sparse_method,
)
from tapegrad.record.scipy.sparse_labels import check_type
from tapegrad.record.scipy.sparse_matrices import (
    ActiveSparse,
    at,
    become,
    check_product,
    of,
)
from tapegrad.record.scipy.sparse_patterns import Frozen, frozen_product, sparse

# --- constructors -----------------------------------------------------------------------------

NAMED.update(
    f"{SPARSE}.{kind}_{form}" for kind in ("bsr", "coo", "csc", "csr", "dia", "lil")
    for form in ("array", "matrix")
)  # fmt: skip


@sparse_method("__init__")
def _init(self: Any, arg1: Any, shape: Any = None, dtype: Any = None, copy: Any = False, *,
          blocksize: Any = None, maxprint: Any = None) -> None:  # fmt: skip
    """Make an object of SciPy's, which is being made, one of active numbers."""
    check_type(dtype)
    kind = next(base for base in type(self).__mro__ if base.__module__.startswith(SPARSE))
    made = _made(kind, arg1, shape, {} if blocksize is None else {"blocksize": blocksize})
    become(self, made)


def _made(kind: Any, arg1: Any, shape: Any, options: dict[str, Any]) -> ActiveSparse:
    if is_sparse(arg1):
        return of(arg1)._moved(lambda template: kind(template, **options))  # type: ignore[no-any-return]
    if isinstance(arg1, tuple) and len(arg1) == 3:
        data = operand(arg1[0])
        parts = (_labels(data), *map(integers, arg1[1:]))
        return ActiveSparse(kind(parts, shape=shape, **options), data.reshape(-1))
    if (
        isinstance(arg1, tuple)
        and len(arg1) == 2
        and issubclass(kind, (sparse().dia_array, sparse().dia_matrix))
    ):
        data = np.atleast_2d(operand(arg1[0]))
        template = kind((_labels(data), integers(arg1[1])), shape=shape)
        return ActiveSparse(template, data.reshape(-1))
    if isinstance(arg1, tuple) and len(arg1) == 2:
        coords = tuple(map(integers, arg1[1]))
        return at(kind, np.ravel(operand(arg1[0])), coords, shape)
    dense = operand(arg1)
    if issubclass(kind, sparse().spmatrix):
        dense = np.atleast_2d(dense)
    kept = (dense.data["slot"] > 0) | (dense.data["value"] != 0.0)
    coords = np.nonzero(kept)
    return at(kind, dense[coords], coords, dense.shape)


def _labels(data: Any) -> Any:
    return np.arange(1.0, data.size + 1.0).reshape(data.shape)


# --- functions that only move numbers ---------------------------------------------------------


def _labelled(thing: Any, numbers: list[Any]) -> Any:
    """Return what holds numbers with labels in their place; the numbers are appended."""
    if thing is None:
        return None
    if isinstance(thing, list | tuple) and any(
        is_sparse(part) or part is None or np.ndim(part) or is_held(part) for part in thing
    ):
        return [_labelled(part, numbers) for part in thing]
    start = sum(len(part) for part in numbers)
    if is_sparse(thing):
        matrix = of(thing)
        matrix._sum()
        labels = matrix._template.tocoo(copy=True)
        labels.data = labels.data + start
        numbers.append(matrix._numbers)
        return labels.asformat(matrix._template.format)
    values = operand(thing)
    numbers.append(np.reshape(values, -1))
    return _labels(values) + start


def _moving(name: str) -> Callable[..., Any]:
    def rule(things: Any, *args: Any, **kwargs: Any) -> Any:
        numbers: list[Any] = []
        labels = _labelled(things, numbers)
        dtype = kwargs.pop("dtype", None)
        check_type(dtype)
        made = getattr(sparse(), name)(labels, *args, **kwargs)
        return ActiveSparse(made, np.concatenate(numbers))

    return rule


@scipy_rule("scipy.sparse.diags")
def _diags(diagonals: Any, offsets: Any = 0, shape: Any = None, format: Any = None,
           dtype: Any = None) -> Any:  # fmt: skip
    return _moving("diags")(diagonals, offsets, shape, format, dtype=dtype)


@scipy_rule("scipy.sparse.diags_array")
def _diags_array(diagonals: Any, *, offsets: Any = 0, shape: Any = None, format: Any = None,
                 dtype: Any = None) -> Any:  # fmt: skip
    return _moving("diags_array")(diagonals, offsets=offsets, shape=shape, format=format,
                                  dtype=dtype)  # fmt: skip


@scipy_rule("scipy.sparse.spdiags")
def _spdiags(data: Any, diags: Any, m: Any = None, n: Any = None, format: Any = None) -> Any:
    return _moving("spdiags")(data, diags, m, n, format)


@scipy_rule("scipy.sparse.hstack")
def _hstack(blocks: Any, format: Any = None, dtype: Any = None) -> Any:
    return _moving("hstack")(blocks, format=format, dtype=dtype)


@scipy_rule("scipy.sparse.vstack")
def _vstack(blocks: Any, format: Any = None, dtype: Any = None) -> Any:
    return _moving("vstack")(blocks, format=format, dtype=dtype)


@scipy_rule("scipy.sparse.bmat")
def _bmat(blocks: Any, format: Any = None, dtype: Any = None) -> Any:
    return _moving("bmat")(blocks, format=format, dtype=dtype)


@scipy_rule("scipy.sparse.block_array")
def _block_array(blocks: Any, *, format: Any = None, dtype: Any = None) -> Any:
    return _moving("block_array")(blocks, format=format, dtype=dtype)


@scipy_rule("scipy.sparse.block_diag")
def _block_diag(mats: Any, format: Any = None, dtype: Any = None) -> Any:
    return _moving("block_diag")(mats, format=format, dtype=dtype)


@scipy_rule("scipy.sparse.tril")
def _tril(A: Any, k: Any = 0, format: Any = None) -> Any:  # noqa: N803  # SciPy's name
    return _moving("tril")(A, k, format)


@scipy_rule("scipy.sparse.triu")
def _triu(A: Any, k: Any = 0, format: Any = None) -> Any:  # noqa: N803  # SciPy's name
    return _moving("triu")(A, k, format)


@scipy_rule("scipy.sparse.linalg.norm")
def _norm(x: Any, ord: Any = None, axis: Any = None) -> Any:
    if axis is None and ord in (None, "f", "fro"):
        matrix = of(x)
        matrix._sum()
        return np.linalg.norm(matrix._in_order())
    return np.linalg.norm(of(x).toarray(), "fro" if ord == "f" else ord, axis)


# --- methods of matrices whose numbers are passive --------------------------------------------


def _times(matrix: Any, x: Any) -> Any:
    """Return the product of a passive matrix and active numbers."""
    x = operand(x)
    check_product((1, *matrix.shape)[-2:], x.shape)
    if matrix.ndim == 1:
        return np.dot(matrix.toarray(), x)
    return frozen_product(Frozen(matrix), x)


@sparse_method("__matmul__")
def _matmul(self: Any, other: Any) -> Any:
    return of(self) @ other if is_sparse(other) or is_held(self) else _times(self, other)


@sparse_method("__rmatmul__")
def _rmatmul(self: Any, other: Any) -> Any:
    if is_sparse(other) or is_held(self):
        return other @ of(self)
    return np.transpose(_times(self.T, np.transpose(operand(other))))


@sparse_method("dot")
def _dot(self: Any, other: Any) -> Any:
    return _matmul(self, other) if is_sparse(other) or np.ndim(other) else of(self).dot(other)


@sparse_method("__mul__")
def _mul(self: Any, other: Any) -> Any:
    is_product = isinstance(self, sparse().spmatrix)
    return _dot(self, other) if is_product else of(self).multiply(other)


@sparse_method("__rmul__")
def _rmul(self: Any, other: Any) -> Any:
    if isinstance(self, sparse().spmatrix) and (is_sparse(other) or np.ndim(other)):
        return _rmatmul(self, other)
    return of(self).multiply(other)


@sparse_method("__imul__", "__itruediv__", "__iadd__", "__isub__")
def _in_place(self: Any, other: Any) -> Any:
    return NotImplemented  # so that a new matrix is made


def _as_active(name: str) -> None:
    @sparse_method(name)
    def method(self: Any, other: Any) -> Any:
        return getattr(of(self), name)(other)


for _name in ("multiply", "__add__", "__radd__", "__sub__", "__rsub__", "__truediv__"):
    _as_active(_name)


def _becomes_active(self: Any) -> ActiveSparse:
    """Make a matrix of SciPy's one that may hold active numbers, in place."""
    if not is_made_here(self):
        raise LostDerivativeError(
            "a sparse matrix that was made outside the recorded function can't hold active "
            f"numbers, at {Site().place}write A = A.copy() in it, and store into that"
        )
    labels = self.tocoo()
    numbers = labels.data.astype(np.float64)
    labels.data = np.arange(1.0, numbers.size + 1.0)
    become(self, ActiveSparse(labels.asformat(self.format), numbers))
    return self  # type: ignore[no-any-return]


@sparse_method("__setitem__")
def _setitem(self: Any, key: Any, x: Any) -> None:
    _becomes_active(self)[key] = x


@sparse_method("setdiag")
def _setdiag(self: Any, values: Any, k: Any = 0) -> None:
    _becomes_active(self).setdiag(values, k)


# --- operators of active arrays ---------------------------------------------------------------


def _leaving(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a product of active arrays that leaves matrices' to their own class."""

    def product(self: ActiveArray, other: Any) -> Any:
        kind: Any = type(other)
        return NotImplemented if takes_over(kind) else method(self, other)

    return product


_arrays: Any = ActiveArray
_arrays.__matmul__ = _leaving(_arrays.__matmul__)
