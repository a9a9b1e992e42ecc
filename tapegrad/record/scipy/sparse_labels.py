"""Sparse matrices that hold active numbers by labels.

What stands for one has a *template*: a matrix of SciPy's, of the class it stands for, that stores
labels, 1 to n, in place of the numbers. Whatever only moves stored numbers (indexing, a change of
format, stacking) is done by SciPy to the labels, which say afterwards which number is where.
Results that are computed take their class and format from what SciPy makes of ones.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.record.array import ActiveArray
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import STAND_INS, is_sparse, no_rule
from tapegrad.record.scipy.sparse_patterns import (
    Frozen,
    Pattern,
    frozen_product,
    sparse,
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


def check_type(dtype: Any) -> None:
    """Raise for a type that active numbers can't have."""
    if dtype is not None and np.dtype(dtype) != np.float64:
        raise no_rule(f"scipy.sparse with dtype={np.dtype(dtype)}", "leave it out, or ")


class LabelledSparse:
    """A sparse matrix or array whose stored numbers are active, and move.

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
        """The stored numbers, which can't be written into."""
        found = self._labelled(np.asarray(self._template.data))
        (found.data if isinstance(found, ActiveArray) else found).flags.writeable = False
        return found

    @data.setter
    def data(self, numbers: Any) -> None:
        kind = type(self._template).__name__
        raise no_rule(
            f"storing into the data of an active {kind}",
            f"make another one, as in `{kind}((numbers, A.indices, A.indptr), A.shape)`, or ",
        )

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
            return type(self)(made, self._numbers)
        return self._labelled(np.asarray(made))

    def _stored(self, value: Any) -> Any:
        """Store numbers and return what to store for them in the template."""
        if is_sparse(value):
            other = self._of(value)
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
            found = self._gathered(self._ones(), pattern, self._in_order())
            LabelledSparse.__init__(self, found._template, found._numbers)

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

    def _filled(self, numbers: Any) -> Any:
        """Return the matrix with other numbers, in the order of the pattern."""
        places = np.zeros(len(self._numbers), np.intp)
        places[self._places()[1]] = np.arange(1, numbers.size + 1)
        return type(self)(self._template, np.concatenate([np.zeros(1), numbers])[places])

    def _mapped(self, function: Callable[[Any], Any]) -> Any:
        """Return the matrix of a function of the stored numbers."""
        self._sum()
        return type(self)(self._template.copy(), function(self._numbers))

    # --- what is computed ---------------------------------------------------------------------

    def _ones(self) -> Any:
        """Return the matrix with ones for its numbers."""
        ones = self._template.copy()
        if ones.format in ("lil", "dok"):
            ones = ones.tocsr()
        ones.data = np.ones_like(ones.data)
        return ones

    def _placed(self, ones: Any) -> Any:
        """Return a matrix whose numbers are to come, with labels where ones are."""
        ones = ones.tocsr() if ones.format in ("lil", "dok") else ones
        template = ones.copy()
        size = template.data.size
        template.data = np.arange(1.0, size + 1.0).reshape(template.data.shape)
        return type(self)(template, np.zeros(size))

    def _gathered(self, ones: Any, pattern: Pattern, numbers: Any) -> Any:
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
        placed = self._placed(ones)
        own, _ = placed._places()
        keys = own.rows * own.shape[1] + own.columns
        order = np.argsort(keys)
        wanted = pattern.rows * own.shape[1] + pattern.columns
        places = order[np.searchsorted(keys, wanted, sorter=order)]
        adding = sparse().csr_array(
            (np.ones(len(places)), (places, np.arange(len(places)))), shape=(len(keys), len(places))
        )
        return placed._filled(frozen_product(Frozen(adding), numbers))

    @classmethod
    def _of(cls, matrix: Any) -> Any:
        """Return a sparse matrix in this form, whether its numbers are active or not."""
        if type(matrix) in STAND_INS:
            return matrix
        if matrix.format in ("lil", "dok"):
            matrix = matrix.tocsr()
        data = matrix.data
        template = copy.copy(matrix)
        template.data = np.arange(1.0, data.size + 1.0).reshape(data.shape)
        return cls(template, operand(data).reshape(-1))
