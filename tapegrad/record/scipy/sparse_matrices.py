"""Sparse matrices and arrays whose stored numbers are active: their products and sums."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import STAND_INS, is_held, is_sparse, no_rule
from tapegrad.record.scipy.sparse_labels import LabelledSparse, check_type
from tapegrad.record.scipy.sparse_patterns import Pattern, sparse, stored_product


class ActiveSparse(LabelledSparse):
    """A sparse matrix or array whose stored numbers are active, as SciPy's compute."""

    # --- products -----------------------------------------------------------------------------

    def dot(self, other: Any) -> Any:
        """Return the product with a matrix, a vector or a number."""
        return self._scaled(other) if np.ndim(other) == 0 else self @ other

    def __matmul__(self, other: Any) -> Any:
        if is_sparse(other):
            return _product(self, of(other))
        x = operand(other)
        pattern, _ = self._places()
        check_product(pattern.shape, x.shape)
        found = stored_product(pattern, self._in_order(), x)
        return found[0] if self._template.ndim == 1 else found

    def __rmatmul__(self, other: Any) -> Any:
        if is_sparse(other):
            return _product(of(other), self)
        return np.transpose(self.T @ np.transpose(operand(other)))

    def _scaled(self, number: Any) -> Any:
        return self._mapped(lambda numbers: numbers * number)

    def multiply(self, other: Any) -> Any:
        """Return the product element by element."""
        if is_sparse(other):
            return _by_elements(self, of(other))
        if np.ndim(other) == 0:
            return self._scaled(other)
        dense = operand(other)
        self._sum()
        ones = self._ones().multiply(np.ones(dense.shape))
        spread = np.broadcast_to(dense, ones.shape)
        placed = self._placed(ones)
        pattern, _ = placed._places()
        index = (pattern.rows, pattern.columns)[2 - ones.ndim :]
        return placed._filled(self._at(pattern) * spread[index])

    def _at(self, pattern: Pattern) -> Any:
        """Return the elements in given places."""
        own, shape = self._places()[0], pattern.shape
        keys = own.rows * own.shape[1] + own.columns
        order = np.argsort(keys)
        rows = pattern.rows if own.shape[0] == shape[0] else np.zeros_like(pattern.rows)
        columns = pattern.columns if own.shape[1] == shape[1] else np.zeros_like(pattern.columns)
        found = np.searchsorted(keys, rows * own.shape[1] + columns, sorter=order)
        return self._in_order()[order[found]]

    def _is_matrix(self) -> bool:
        return isinstance(self._template, sparse().spmatrix)

    def __mul__(self, other: Any) -> Any:
        return self.dot(other) if self._is_matrix() else self.multiply(other)

    def __rmul__(self, other: Any) -> Any:
        if not self._is_matrix() or np.ndim(other) == 0:
            return self.multiply(other)
        return other @ self

    def __truediv__(self, other: Any) -> Any:
        if is_sparse(other):
            raise no_rule("the quotient of sparse matrices", "write A.toarray(), or ")
        return self.multiply(1.0 / operand(other)) if np.ndim(other) else self._mapped(
            lambda numbers: numbers / other
        )  # fmt: skip

    def __pow__(self, exponent: Any) -> Any:
        if not self._is_matrix():
            return self.power(exponent)
        raise no_rule("a power of a sparse matrix", "write A @ A, or ")

    def power(self, n: Any, dtype: Any = None) -> Any:
        """Return the powers of the elements."""
        check_type(dtype)
        if np.ndim(n) or not n > 0:
            raise no_rule("scipy.sparse's power of that exponent", "apply it to A.toarray(), or ")
        return self._mapped(lambda numbers: numbers**n)

    def _compared(self, other: object) -> Any:
        raise no_rule("a comparison of sparse matrices", "compare A.toarray(), or ")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _compared
    __hash__ = None  # type: ignore[assignment]

    # --- sums ---------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        if is_sparse(other):
            return _total(self, of(other))
        if np.ndim(other):
            return self.toarray() + operand(other)
        if not is_held(other) and other == 0.0:
            return self.copy()
        raise NotImplementedError("adding a nonzero scalar to a sparse array is not supported")

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self + (-other)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __neg__(self) -> Any:
        return self._mapped(lambda numbers: -numbers)

    def __pos__(self) -> Any:
        return self.copy()

    def __abs__(self) -> Any:
        return self._mapped(abs)

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Return sums of elements."""
        check_type(dtype)
        if out is not None:
            raise no_rule("scipy.sparse's sum with out=", "leave it out, or ")
        if axis is None or self._template.ndim == 1:
            return np.sum(self._in_order())
        axis = range(2)[axis]
        matrix = self if axis == 1 else self.T
        found = matrix @ np.ones(self._template.shape[axis])
        if self._is_matrix():
            return found[:, None] if axis == 1 else found[None]
        return found

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Return means of elements."""
        shape = self._template.shape
        count = int(np.prod(shape)) if axis is None else shape[axis]
        return self.sum(axis, dtype, out) / count

    def trace(self, offset: int = 0) -> Any:
        """Return the sum of a diagonal."""
        return np.sum(self.diagonal(offset))


# --- making them ------------------------------------------------------------------------------


STAND_INS.add(ActiveSparse)


@functools.cache
def _laid_out_as(kind: Any) -> type | None:
    """Return the class of active matrices that objects of a class of SciPy's can be made ones of.

    Python asks that both be laid out alike: their objects get dictionaries beside what the same
    class has. None where that class has items of its own.
    """
    base = kind
    while base.__dictoffset__ == kind.__dictoffset__:
        base = base.__base__
    if base.__basicsize__ > object.__basicsize__:
        return None
    own = {**vars(LabelledSparse), **vars(ActiveSparse)}
    names = {key: x for key, x in own.items()
             if key not in ("__dict__", "__weakref__")}  # fmt: skip
    found: type = type(base)(ActiveSparse.__name__, (base,), names)
    STAND_INS.add(found)
    return found


def become(matrix: Any, other: ActiveSparse) -> None:
    """Make an object of SciPy's what an active matrix is."""
    own: Any = type(matrix)
    kind = _laid_out_as(own)
    if kind is None:
        raise no_rule(f"scipy.sparse.{own.__name__}", "write a lil_array and A.tocsr(), or ")
    matrix.__class__ = kind
    ActiveSparse.__init__(matrix, other._template, other._numbers)


def of(matrix: Any) -> Any:
    """Return a sparse matrix in this form, whether its numbers are active or not."""
    return ActiveSparse._of(matrix)


def at(kind: Any, numbers: Any, coords: Sequence[Any], shape: Any) -> ActiveSparse:
    """Return a matrix of a class with numbers in given places, where there may be several."""
    coo = sparse().coo_matrix if issubclass(kind, sparse().spmatrix) else sparse().coo_array
    found = ActiveSparse(coo((np.arange(1.0, numbers.size + 1.0), coords), shape=shape), numbers)
    if issubclass(kind, coo):
        return found
    return found._moved(kind)  # type: ignore[no-any-return]


def check_product(shape: Sequence[int], other: Sequence[int]) -> None:
    """Raise SciPy's error for a product of shapes that don't fit."""
    if len(other) not in (1, 2):
        raise ValueError("could not interpret dimensions")
    if shape[1] != other[0]:
        raise ValueError(
            f"matmul: dimension mismatch with signature (n,k={shape[1]}),(k={other[0]},m)->(n,m)"
        )


def _total(x: ActiveSparse, y: ActiveSparse) -> Any:
    first, second = x._places()[0], y._places()[0]
    ones = x._ones() + y._ones()
    pattern = Pattern(first.shape, np.concatenate([first.rows, second.rows]),
                      np.concatenate([first.columns, second.columns]))  # fmt: skip
    numbers = np.concatenate([x._in_order(), y._in_order()])
    return x._gathered(ones, pattern, numbers)


def _by_elements(x: ActiveSparse, y: ActiveSparse) -> Any:
    x._sum()
    y._sum()
    placed = x._placed(x._ones().multiply(y._ones()))
    pattern, _ = placed._places()
    return placed._filled(x._at(pattern) * y._at(pattern))


def _product(x: ActiveSparse, y: ActiveSparse) -> Any:
    """Return the product, whose numbers are sums of products of pairs."""
    first, second = x._places()[0], y._places()[0]
    ones = x._ones() @ y._ones()
    order = np.argsort(second.rows, kind="stable")
    starts = np.searchsorted(second.rows[order], np.arange(second.shape[0] + 1))
    counts = np.diff(starts)[first.columns]
    left = np.repeat(np.arange(len(first.columns)), counts)
    ends = np.cumsum(counts)
    within = np.arange(len(left)) - np.repeat(ends - counts, counts)
    right = order[starts[first.columns][left] + within]
    numbers = x._in_order()[left] * y._in_order()[right]
    shape = (first.shape[0], second.shape[1])
    pattern = Pattern(shape, first.rows[left], second.columns[right])
    return x._gathered(ones, pattern, numbers)
