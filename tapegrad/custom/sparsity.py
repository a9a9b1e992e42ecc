"""Where a rule's Jacobian isn't zero, and the matrix that lies there.

A pattern saves calls where a Jacobian is made of products: columns that share no row are found by
one of them (Curtis, Powell and Reid, 1974), and so are rows that share no column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.errors import StructureError
from tapegrad.function.vectors import join
from tapegrad.record.array import ActiveArray, as_active_data, tapes_in
from tapegrad.record.nesting import innermost

Indices = npt.NDArray[np.int64]
DIAGONAL = "diagonal"


class Pattern:
    """The entries of a matrix that may be other than zero.

    Parameters
    ----------
    given : array_like, sparse matrix, pair of sequences of int, or "diagonal"
        A matrix that isn't zero there; or the entries' rows and columns.
    """

    def __init__(self, given: Any) -> None:
        self.given = given
        self._shape: tuple[int, int] | None = None
        if isinstance(given, str):
            if given != DIAGONAL:
                raise StructureError(f"sparsity={given!r} is unknown: a text can be {DIAGONAL!r}")
            return
        if isinstance(given, tuple) and len(given) == 2:
            rows, columns = (np.asarray(part, np.int64) for part in given)
        else:
            if hasattr(given, "tocoo"):
                matrix = given.tocoo()
                self._shape, (rows, columns) = matrix.shape, (matrix.row, matrix.col)
            else:
                matrix = np.asarray(given) != 0
                self._shape, (rows, columns) = matrix.shape, np.nonzero(matrix)
            rows, columns = rows.astype(np.int64), columns.astype(np.int64)
        if rows.ndim != 1 or rows.shape != columns.shape:
            raise StructureError(
                "sparsity as a pair are the entries' rows and columns, one-dimensional and of one "
                f"length, not of shapes {rows.shape} and {columns.shape}"
            )
        self._rows, self._columns = rows, columns

    def entries(self, n_rows: int, n_columns: int, name: str) -> tuple[Indices, Indices]:
        """Return the rows and columns of the entries of a matrix of some size.

        Raises
        ------
        StructureError
            If the pattern is that of a matrix of another size.
        """
        if isinstance(self.given, str):
            if n_rows != n_columns:
                raise StructureError(
                    f"the Jacobian of {name} can't be diagonal: it has {n_rows} rows and "
                    f"{n_columns} columns"
                )
            return np.arange(n_rows), np.arange(n_rows)
        is_inside = (
            self._shape in (None, (n_rows, n_columns))
            and np.all((self._rows >= 0) & (self._rows < n_rows))
            and np.all((self._columns >= 0) & (self._columns < n_columns))
        )
        if not is_inside:
            raise StructureError(
                f"the sparsity of {name} isn't that of its Jacobian, which has a row for each "
                f"number of the result, {n_rows}, and a column for each number of the arguments "
                f"that are differentiated, {n_columns}"
            )
        return self._rows, self._columns


class Matrix:
    """A matrix by its entries, plain or active numbers; where some coincide, they add up."""

    def __init__(self, shape: tuple[int, int], rows: Indices, columns: Indices,
                 entries: Any) -> None:  # fmt: skip
        self.shape, self.rows, self.columns, self.entries = shape, rows, columns, entries

    def times(self, vector: Any) -> Any:
        """Return the product with a vector."""
        return added_up(self.rows, self.entries * vector[self.columns], self.shape[0])

    def transposed_times(self, vector: Any) -> Any:
        """Return the product of the transpose with a vector."""
        return added_up(self.columns, self.entries * vector[self.rows], self.shape[1])


class DenseMatrix:
    """A matrix as an array, plain or active."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def times(self, vector: Any) -> Any:
        """Return the product with a vector."""
        return self._array @ vector

    def transposed_times(self, vector: Any) -> Any:
        """Return the product of the transpose with a vector."""
        return vector @ self._array


def added_up(places: Indices, numbers: Any, length: int) -> Any:
    """Return a vector with numbers added where they belong."""
    if not isinstance(numbers, ActiveArray):
        return np.bincount(places, weights=numbers, minlength=length) if length else np.empty(0)
    total = zeros_like(numbers, length)
    for layer in _layers(places):
        total[places[layer]] = total[places[layer]] + numbers[layer]
    return total


def _layers(places: Indices) -> list[Indices]:
    """Return the indices of places, parted so that no place comes twice in a part."""
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(order) else order
    number = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)]))
    return [order[number == k] for k in range(int(number.max(initial=-1)) + 1)]


def zeros_like(numbers: ActiveArray, length: int) -> ActiveArray:
    """Return zeros that active numbers of a tape can be stored into."""
    return ActiveArray(numbers.tape, as_active_data(numbers.tape, np.zeros(length)))


def stacked(vectors: Sequence[Any]) -> Any:
    """Return vectors as the rows of an array."""
    found = join(vectors)
    return found.reshape(len(vectors), -1) if vectors else np.zeros((0, 0))


def groups(own: Indices, other: Indices, length: int) -> list[Indices]:
    """Return lines of a matrix (rows or columns), parted so that those of a part don't overlap.

    Parameters
    ----------
    own, other : ndarray of int
        Of each entry, the line it's in, and the line across.
    length : int
        How many lines there are.
    """
    order = np.argsort(own, kind="stable")
    across = np.split(other[order], np.cumsum(np.bincount(own, minlength=length))[:-1])
    taken: list[set[int]] = []
    found: list[list[int]] = []
    for line in range(length):
        met = set(across[line].tolist())
        if not met:
            continue
        for part, used in zip(found, taken, strict=True):
            if used.isdisjoint(met):
                part.append(line)
                used |= met
                break
        else:
            found.append([line])
            taken.append(met)
    return [np.array(part) for part in found]


def tape_of(*things: Any) -> Any:
    """Return the tape of active numbers among things, None where all are plain."""
    tapes = list(tapes_in(*things))
    return innermost(tapes) if tapes else None
