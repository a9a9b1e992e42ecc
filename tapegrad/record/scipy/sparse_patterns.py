"""Sparse patterns and matrices that blocks own, and the products that they're in.

Two blocks are closed under differentiation: A x, by A's stored numbers and x, and the sampled
product, of which number k is the sum over j of u[rows[k], j] v[columns[k], j]. One more is A x
where A's numbers are the block's own.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.record.linear.shaped import applied, total_of
from tapegrad.record.refusals import no_numbers
from tapegrad.record.scipy.families import Family, have_same_bits
from tapegrad.record.scipy.recognised import STAND_INS

Index = npt.NDArray[np.intp]


def sparse() -> Any:
    """Return scipy.sparse."""
    return importlib.import_module("scipy.sparse")


class Pattern:
    """Where the stored numbers of a sparse matrix are; some may be in one place, and add up.

    Parameters
    ----------
    shape : pair of int
    rows, columns : ndarray of int, shape (n_stored,)
    """

    def __init__(self, shape: tuple[int, int], rows: Index, columns: Index) -> None:
        self.shape, self.rows, self.columns = shape, rows, columns
        self.kept: tuple[Any, ...] = ()  # what solvers keep of the latest matrices
        self._hash = hash((shape, rows.size, rows[:64].tobytes(), columns[-64:].tobytes()))

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Pattern)
            and self.shape == other.shape
            and np.array_equal(self.rows, other.rows)
            and np.array_equal(self.columns, other.columns)
        )

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> Any:
        return Pattern, (self.shape, self.rows, self.columns)

    @functools.cached_property
    def transposed(self) -> Pattern:
        """The pattern of the transposed matrix, whose numbers are stored in the same order."""
        found = Pattern(self.shape[::-1], self.columns, self.rows)
        found.__dict__["transposed"] = self
        return found

    @functools.cached_property
    def _by_rows(self) -> tuple[Index, Index, Index]:
        order = np.argsort(self.rows, kind="stable")
        starts = np.searchsorted(self.rows[order], np.arange(self.shape[0] + 1))
        return order, self.columns[order], starts

    def matrix(self, numbers: Any) -> Any:
        """Return SciPy's matrix of plain numbers, in rows."""
        order, columns, starts = self._by_rows
        return sparse().csr_array((numbers[order], columns, starts), shape=self.shape)


def _arrays(matrix: Any) -> list[Any]:
    """Return the arrays that a sparse matrix is made of, its numbers first."""
    matrix = matrix.tocsr() if matrix.format in ("lil", "dok") else matrix
    names = ("data", "indices", "indptr", "offsets", "coords")
    return [np.asarray(vars(matrix)[name]) for name in names if name in vars(matrix)]


def same_matrix(x: Any, y: Any) -> bool:
    """Whether two sparse matrices of plain numbers are the same, stored in the same way."""
    if type(x) in STAND_INS or type(y) in STAND_INS:
        return x is y
    if (type(x), x.shape, x.dtype) != (type(y), y.shape, y.dtype):
        return False
    return all(map(have_same_bits, _arrays(x), _arrays(y)))


class Frozen:
    """A sparse matrix of plain numbers, which nobody changes.

    Parameters
    ----------
    matrix : sparse array or matrix
        Is copied, in its own format, whose products have their own order of summation.
    """

    def __init__(self, matrix: Any) -> None:
        if matrix.dtype.kind not in "fiub":
            raise no_numbers(matrix, matrix.dtype)
        self.matrix = matrix.astype(np.float64, copy=True)
        data = _arrays(self.matrix)[0].reshape(-1)
        self._hash = hash((matrix.format, matrix.shape, data.size, data[:64].tobytes()))

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Frozen) and same_matrix(self.matrix, other.matrix)
        )

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> Any:
        return Frozen, (self.matrix,)

    @functools.cached_property
    def transposed(self) -> Frozen:
        """The transposed matrix."""
        found = Frozen(self.matrix.T)
        found.__dict__["transposed"] = self
        return found


# --- products ---------------------------------------------------------------------------------


class FrozenProduct(Family):
    """A x of a matrix that the block owns."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], frozen: Frozen) -> None:
        ((_, *rest),) = shapes
        m, _ = frozen.matrix.shape
        super().__init__("sparse @", shapes, ((m, *rest),), is_active, frozen)
        self.frozen = frozen

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the product."""
        return [self.frozen.matrix.dot(operands[0])]

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        return [frozen_product(self.frozen.transposed, adjoints[0])]

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        return [frozen_product(self.frozen, tangents[0])]


def frozen_product(frozen: Frozen, x: Any) -> Any:
    """Return A x, recorded if x is active."""
    if type(x) is np.ndarray:
        return frozen.matrix.dot(x)
    return applied(FrozenProduct, (x,), frozen)[0]


class StoredProduct(Family):
    """A x by A's stored numbers and x."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], pattern: Pattern) -> None:
        _, (_, *rest) = shapes
        super().__init__("sparse @", shapes, ((pattern.shape[0], *rest),), is_active, pattern)
        self.pattern = pattern

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the product."""
        return [self.pattern.matrix(operands[0]).dot(operands[1])]

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints."""
        (numbers, x), (g,) = operands, adjoints
        by_numbers, by_x = self.is_active
        return (
            sampled_product(self.pattern, g, x) if by_numbers else None,
            stored_product(self.pattern.transposed, numbers, g) if by_x else None,
        )

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        (numbers, x), (moved, dx) = operands, tangents
        return [total_of(
            None if moved is None else stored_product(self.pattern, moved, x),
            None if dx is None else stored_product(self.pattern, numbers, dx),
        )]  # fmt: skip


def stored_product(pattern: Pattern, numbers: Any, x: Any) -> Any:
    """Return A x by A's stored numbers, recorded if something is active."""
    if type(numbers) is np.ndarray and type(x) is np.ndarray:
        return pattern.matrix(numbers).dot(x)
    return applied(StoredProduct, (numbers, x), pattern)[0]


class SampledProduct(Family):
    """The products of rows of u and v that a pattern asks for."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], pattern: Pattern) -> None:
        super().__init__("sampled @", shapes, (pattern.rows.shape,), is_active, pattern)
        self.pattern = pattern

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the products."""
        return [_sampled(self.pattern, *operands)]

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints."""
        (u, v), (g,) = operands, adjoints
        by_u, by_v = self.is_active
        return (
            stored_product(self.pattern, g, v) if by_u else None,
            stored_product(self.pattern.transposed, g, u) if by_v else None,
        )

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        (u, v), (du, dv) = operands, tangents
        return [total_of(
            None if du is None else sampled_product(self.pattern, du, v),
            None if dv is None else sampled_product(self.pattern, u, dv),
        )]  # fmt: skip


def sampled_product(pattern: Pattern, u: Any, v: Any) -> Any:
    """Return the sampled product, recorded if something is active."""
    if type(u) is np.ndarray and type(v) is np.ndarray:
        return _sampled(pattern, u, v)
    return applied(SampledProduct, (u, v), pattern)[0]


def _sampled(pattern: Pattern, u: Any, v: Any) -> Any:
    products = u[pattern.rows] * v[pattern.columns]
    return products if u.ndim == 1 else products.sum(axis=1)
