"""Sparse matrices and arrays whose stored numbers are active.

What stands for one has a *template*: a matrix of SciPy's, of the class it stands for, that stores
labels, 1 to n, in place of the numbers. Whatever only moves stored numbers (indexing, a change of
format, stacking) is done by SciPy to the labels, which say afterwards which number is where.
Results that are computed take their class and format from what SciPy makes of ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognition import STAND_INS, is_held, is_sparse, no_rule
from tapegrad.record.scipy.sparse_patterns import (
    Frozen,
    Pattern,
    frozen_product,
    sparse,
    stored_product,
)

MOVES = frozenset(
    ["asformat", "copy", "diagonal", "getcol", "getrow", "reshape", "sorted_indices", "swapaxes",
     "toarray", "tobsr", "tocoo", "tocsc", "tocsr", "todense", "todia", "todok", "tolil",
     "transpose"]
)  # fmt: skip
"""The methods that only move stored numbers."""

ELEMENTWISE = ("sin", "tan", "arcsin", "arctan", "sinh", "tanh", "arcsinh", "arctanh", "sqrt",
               "expm1", "log1p", "deg2rad", "rad2deg")  # fmt: skip
"""The methods that are functions of NumPy's, of the stored numbers."""

_IN_PLACE = frozenset(["sort_indices", "sum_duplicates"])

_ABOUT_PLACES = frozenset(
    ["blocksize", "col", "coords", "format", "get_shape", "getformat", "getnnz",
     "has_canonical_format", "has_sorted_indices", "indices", "indptr", "maxprint", "ndim", "nnz",
     "offsets", "row", "rows", "shape", "size"]
)  # fmt: skip
"""What tells where numbers are, and not which."""


class ActiveSparse:
    """A sparse matrix or array whose stored numbers are active.

    Parameters
    ----------
    template : sparse array or matrix
        The same of labels of the numbers, from 1.
    numbers : ActiveArray or ndarray, shape (n,)
    """

    __array_priority__ = 2000.0
    __array_ufunc__ = None  # the operators of arrays are left to this

    def __init__(self, template: Any, numbers: Any) -> None:
        vars(self).clear()  # of what it was, if it was one of SciPy's
        self._template, self._numbers = template, numbers
        self._known: tuple[Pattern, Any] | None = None

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._template)

    # --- what SciPy's have --------------------------------------------------------------------

    @property
    def data(self) -> Any:
        """The stored numbers."""
        return self._labelled(np.asarray(self._template.data))

    @property
    def T(self) -> Any:  # noqa: N802  # SciPy's name
        """The transposed matrix."""
        return self._moved(lambda template: template.T)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the stored numbers."""
        return np.dtype(np.float64)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in MOVES:
            return lambda *args, **kwargs: self._moved(
                lambda template: getattr(template, name)(*args, **kwargs)
            )
        if name in ELEMENTWISE:
            return lambda: self._mapped(getattr(np, name))
        kind = type(self._template)
        if name in _ABOUT_PLACES or not hasattr(kind, name):
            return getattr(self._template, name)
        if name in _IN_PLACE:
            self._sum()
            self._known = None
            return getattr(self._template, name)
        raise no_rule(f"scipy.sparse.{kind.__name__}.{name}", "apply it to A.toarray(), or ")

    def __getitem__(self, key: Any) -> Any:
        return self._moved(lambda template: template[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._sum()
        self._known = None
        self._template[key] = self._stored(value)

    def setdiag(self, values: Any, k: int = 0) -> None:
        """Store a diagonal."""
        self._sum()
        self._known = None
        self._template.setdiag(self._stored(values), k)

    def __len__(self) -> int:
        return len(self._template)

    def __iter__(self) -> Any:
        return (self[i] for i in range(self._template.shape[0]))

    def __repr__(self) -> str:
        return f"ActiveSparse({self._template!r})"

    def astype(self, dtype: Any, casting: Any = "unsafe", copy: Any = True) -> Any:
        """Return a copy, of float64."""
        check_type(dtype)
        return self.copy()

    @property
    def real(self) -> Any:
        """A copy."""
        return self.copy()

    def conjugate(self, copy: Any = True) -> Any:
        """Return a copy."""
        return self.copy()

    conj = conjugate

    # --- labels -------------------------------------------------------------------------------

    def _labelled(self, labels: Any) -> Any:
        """Return the numbers of an array of labels, zero for none."""
        if labels.dtype == object:  # lists of rows
            found = np.empty(labels.shape, object)
            for k, row in np.ndenumerate(labels):
                found[k] = [self._numbers[int(label) - 1] for label in row]
            return found
        return np.concatenate([np.zeros(1), self._numbers])[labels.astype(np.intp)]

    def _moved(self, move: Callable[[Any], Any]) -> Any:
        """Return what a move makes: a matrix, an array or a number."""
        self._sum()
        made = move(self._template)
        if is_sparse(made):
            return ActiveSparse(made, self._numbers)
        return self._labelled(np.asarray(made))

    def _stored(self, value: Any) -> Any:
        """Store numbers and return what to store for them in the template."""
        if is_sparse(value):
            other = of(value)
            labels = other._template.copy()
            labels.data = labels.data + len(self._numbers)
            numbers = other._numbers
        else:
            numbers = operand(value)
            labels = np.arange(numbers.size).reshape(numbers.shape) + len(self._numbers) + 1.0
        self._numbers = np.concatenate([self._numbers, np.ravel(numbers)])
        return labels

    def _sum(self) -> None:
        """Store one number where there are several in one place, for labels don't add up."""
        pattern, _ = self._places()
        n = pattern.shape[1]
        if len(np.unique(pattern.rows * n + pattern.columns)) < len(pattern.rows):
            ones = _ones(self)
            found = _gathered(ones, pattern, self._in_order())
            ActiveSparse.__init__(self, found._template, found._numbers)

    def _places(self) -> tuple[Pattern, Any]:
        """Return where numbers are, and which ones."""
        if self._known is None:
            found = self._template.tocoo()
            columns = found.coords[-1].astype(np.intp)
            rows = found.coords[0].astype(np.intp) if found.ndim == 2 else np.zeros_like(columns)
            shape = (1, *found.shape)[-2:]
            self._known = Pattern(shape, rows, columns), found.data.astype(np.intp) - 1
        return self._known

    def _in_order(self) -> Any:
        """Return the stored numbers in the order of the pattern."""
        return self._numbers[self._places()[1]]

    def _filled(self, numbers: Any) -> ActiveSparse:
        """Return the matrix with other numbers, in the order of the pattern."""
        places = np.zeros(len(self._numbers), np.intp)
        places[self._places()[1]] = np.arange(1, numbers.size + 1)
        return ActiveSparse(self._template, np.concatenate([np.zeros(1), numbers])[places])

    def _mapped(self, function: Callable[[Any], Any]) -> ActiveSparse:
        """Return the matrix of a function of the stored numbers."""
        self._sum()
        return ActiveSparse(self._template.copy(), function(self._numbers))

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
        ones = _ones(self).multiply(np.ones(dense.shape))
        spread = np.broadcast_to(dense, ones.shape)
        placed = _placed(ones)
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
    names = {key: x for key, x in vars(ActiveSparse).items()
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
    if type(matrix) in STAND_INS:
        return matrix
    if matrix.format in ("lil", "dok"):
        matrix = matrix.tocsr()
    data = matrix.data
    template = matrix.copy()
    template.data = np.arange(1.0, data.size + 1.0).reshape(data.shape)
    return ActiveSparse(template, operand(data).reshape(-1))


def at(kind: Any, numbers: Any, coords: Sequence[Any], shape: Any) -> ActiveSparse:
    """Return a matrix of a class with numbers in given places, where there may be several."""
    coo = sparse().coo_matrix if issubclass(kind, sparse().spmatrix) else sparse().coo_array
    found = ActiveSparse(coo((np.arange(1.0, numbers.size + 1.0), coords), shape=shape), numbers)
    if issubclass(kind, coo):
        return found
    return found._moved(kind)  # type: ignore[no-any-return]


def check_type(dtype: Any) -> None:
    """Raise for a type that active numbers can't have."""
    if dtype is not None and np.dtype(dtype) != np.float64:
        raise no_rule(f"scipy.sparse with dtype={np.dtype(dtype)}", "leave it out, or ")


def check_product(shape: Sequence[int], other: Sequence[int]) -> None:
    """Raise SciPy's error for a product of shapes that don't fit."""
    if len(other) not in (1, 2):
        raise ValueError("could not interpret dimensions")
    if shape[1] != other[0]:
        raise ValueError(
            f"matmul: dimension mismatch with signature (n,k={shape[1]}),(k={other[0]},m)->(n,m)"
        )


def _ones(matrix: ActiveSparse) -> Any:
    ones = matrix._template.copy()
    if ones.format in ("lil", "dok"):
        ones = ones.tocsr()
    ones.data = np.ones_like(ones.data)
    return ones


def _placed(ones: Any) -> ActiveSparse:
    """Return a matrix whose numbers are to come, with labels where ones are."""
    ones = ones.tocsr() if ones.format in ("lil", "dok") else ones
    template = ones.copy()
    size = template.data.size
    template.data = np.arange(1.0, size + 1.0).reshape(template.data.shape)
    return ActiveSparse(template, np.zeros(size))


def _gathered(ones: Any, pattern: Pattern, numbers: Any) -> ActiveSparse:
    """Return the matrix of sums of what's in a place.

    Parameters
    ----------
    ones : sparse array or matrix
        Has ones where there are numbers, and is of the class and format wanted.
    pattern : Pattern
        Where the numbers are.
    numbers : ActiveArray or ndarray
    """
    ones = ones.copy()
    if hasattr(ones, "sum_duplicates"):
        ones.sum_duplicates()
    placed = _placed(ones)
    own, _ = placed._places()
    keys = own.rows * own.shape[1] + own.columns
    order = np.argsort(keys)
    wanted = pattern.rows * own.shape[1] + pattern.columns
    places = order[np.searchsorted(keys, wanted, sorter=order)]
    adding = sparse().csr_array(
        (np.ones(len(places)), (places, np.arange(len(places)))), shape=(len(keys), len(places))
    )
    return placed._filled(frozen_product(Frozen(adding), numbers))


def _total(x: ActiveSparse, y: ActiveSparse) -> ActiveSparse:
    first, second = x._places()[0], y._places()[0]
    ones = _ones(x) + _ones(y)
    pattern = Pattern(first.shape, np.concatenate([first.rows, second.rows]),
                      np.concatenate([first.columns, second.columns]))  # fmt: skip
    numbers = np.concatenate([x._in_order(), y._in_order()])
    return _gathered(ones, pattern, numbers)


def _by_elements(x: ActiveSparse, y: ActiveSparse) -> ActiveSparse:
    x._sum()
    y._sum()
    placed = _placed(_ones(x).multiply(_ones(y)))
    pattern, _ = placed._places()
    return placed._filled(x._at(pattern) * y._at(pattern))


def _product(x: ActiveSparse, y: ActiveSparse) -> ActiveSparse:
    """Return the product, whose numbers are sums of products of pairs."""
    first, second = x._places()[0], y._places()[0]
    ones = _ones(x) @ _ones(y)
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
    return _gathered(ones, pattern, numbers)
