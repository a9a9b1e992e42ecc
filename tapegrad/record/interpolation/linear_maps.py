"""Coefficients as linear functions of data: SciPy's own constructor has the value.

A map is applied by SciPy's code, which is also what tangents go through. Its transpose, which
adjoints go through, solves with the collocation matrix, or multiplies by the matrix that the
constructor makes of unit vectors.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapegrad.record.interpolation.bases import Array, SplineBasis, Table
from tapegrad.record.linear.shaped import ShapedBlock, applied


class LinearMap:
    """A linear function of the columns of a matrix.

    Parameters
    ----------
    size : int
        How many numbers a column has.
    apply : callable
        A function of a module, called with a matrix and the key's parts.
    *key : hashable
    """

    def __init__(self, size: int, apply: Callable[..., Any], *key: Any) -> None:
        self.size, self._apply, self._key = size, apply, key

    def apply(self, columns: Array) -> Array:
        """Return the results, a column each."""
        return np.asarray(self._apply(columns, *self._key), np.float64)

    @functools.cached_property
    def n_results(self) -> int:
        """How many numbers a result has."""
        return len(self.apply(np.zeros((self.size, 1))))

    @functools.cached_property
    def _matrix(self) -> Array:
        return self.apply(np.eye(self.size))

    def move(self, columns: Array) -> Array:
        """Return the results' tangents, which the results for the tangents are."""
        return self.apply(columns)

    def transpose(self, columns: Array) -> Array:
        """Return the transposed map of results."""
        return np.asarray(self._matrix.T @ columns)

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self)
            and isinstance(other, LinearMap)
            and ((self.size, self._apply, self._key) == (other.size, other._apply, other._key))
        )

    def __hash__(self) -> int:
        return hash((self.size, self._apply, self._key))

    def __reduce__(self) -> Any:
        return type(self), (self.size, self._apply, *self._key)


class Collocation(LinearMap):
    """The coefficients of a spline that takes values, and derivatives at the ends.

    Parameters
    ----------
    size : int
    apply : callable
    x, knots : Table
    degree : int
    first, last : tuple of int
        The orders of the derivatives that are given before the values and after them.
    *more : hashable
    """

    def __init__(
        self, size: int, apply: Callable[..., Any], x: Table, knots: Table, degree: int,
        first: tuple[int, ...] = (), last: tuple[int, ...] = (), *more: Any,
    ) -> None:  # fmt: skip
        super().__init__(size, apply, x, knots, degree, first, last, *more)

    @functools.cached_property
    def _factors(self) -> Any:
        x, knots, degree, first, last, *_ = self._key
        basis = SplineBasis(knots, degree, 1)
        parts = [(x.array[:1], order) for order in first]
        parts += [(x.array, 0), *((x.array[-1:], order) for order in last)]
        found = [basis.weights(places[:, None], (order,)) for places, order in parts]
        columns, weights = (np.concatenate(part) for part in zip(*found, strict=True))
        rows = np.repeat(np.arange(len(columns)), degree + 1)
        sparse = importlib.import_module("scipy.sparse")
        matrix = sparse.csc_array((weights.ravel(), (rows, columns.ravel())),
                                  shape=(self.size, self.size))  # fmt: skip
        return importlib.import_module("scipy.sparse.linalg").splu(matrix)

    @property
    def n_results(self) -> int:
        """How many numbers a result has."""
        return self.size

    def solve(self, columns: Array) -> Array:
        """Return the solution of the equations."""
        return np.asarray(self._factors.solve(np.ascontiguousarray(columns)))

    def transpose(self, columns: Array) -> Array:
        """Return the solution of the transposed equations."""
        return np.asarray(self._factors.solve(np.ascontiguousarray(columns), "T"))


class _Mapped(ShapedBlock):
    """A method of a map, for the columns of a matrix."""

    title = "linear map"

    def shapes_of(self, operand_shapes: Any) -> Any:
        """Return the shape of the results."""
        made, how = self.options
        return ((made.size if how == "transpose" else made.n_results, operand_shapes[0][1]),)

    def evaluated(self, operands: Sequence[Any]) -> list[Any]:
        """Return the results."""
        return [np.asarray(self.value(operands)[0])]

    def _mapped(self, columns: Any, how: str) -> Any:
        made = self.options[0]
        if type(columns) is not np.ndarray:
            return applied(_Mapped, (columns,), made, how)[0]
        return getattr(made, how)(columns)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the results."""
        return [self._mapped(operands[0], self.options[1])]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        how = "move" if self.options[1] == "transpose" else "transpose"
        return [self._mapped(adjoints[0], how)]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        how = "transpose" if self.options[1] == "transpose" else "move"
        return [self._mapped(tangents[0], how)]


def mapped(made: LinearMap, columns: Any) -> Any:
    """Return a map of a matrix's columns, recorded if they're active."""
    return applied(_Mapped, (columns,), made, "apply")[0]
