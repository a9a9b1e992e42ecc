"""scipy.linalg's solvers of banded systems, in LAPACK's storage: ab[u + i - j, j] is A[i, j]."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.record.linear.shaped import applied
from tapegrad.record.scipy.families import (
    RECORDED,
    Family,
    check_finite_of,
    operand,
    over_stacks,
    plain,
)
from tapegrad.record.scipy.recognised import scipy_rule

Index = npt.NDArray[np.intp]


@functools.lru_cache(maxsize=256)
def _places(n: int, lower: int, upper: int) -> tuple[Index, Index, npt.NDArray[np.bool_]]:
    """Return of each entry of a band its row and column in the matrix, and whether it has some."""
    columns = np.broadcast_to(np.arange(n), (lower + upper + 1, n))
    rows = columns + np.arange(-upper, lower + 1)[:, None]
    inside = (rows >= 0) & (rows < n)
    return np.where(inside, rows, 0), columns, inside


def band_of(a: Any, lower: int, upper: int) -> Any:
    """Return a matrix's band."""
    rows, columns, inside = _places(len(a), lower, upper)
    return np.where(inside, a[rows, columns], 0.0)


def _transposed(ab: Any, lower: int, upper: int) -> Any:
    """Return the band of the transposed matrix."""
    n = ab.shape[1]
    rows, columns, inside = _places(n, upper, lower)  # of the transposed one
    return np.where(inside, ab[np.clip(upper + columns - rows, 0, lower + upper), rows], 0.0)


class SolveBanded(Family):
    """The solution of A x = b, A by its band; the other results are its factors.

    Options: the numbers of diagonals below and above, and whether A is positive definite, of
    which the whole band is given.
    """

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], lower: int, upper: int,
                 is_positive: bool) -> None:  # fmt: skip
        (rows, n), b = shapes
        factors = ((lower + 1, n),) if is_positive else ((rows + lower, n), (n,))
        super().__init__("solve_banded", shapes, (b, *factors), is_active, lower, upper,
                         is_positive)  # fmt: skip
        self.lower, self.upper, self.is_positive = lower, upper, is_positive

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the solution and the factors."""
        ab, b = operands
        lapack = plain().lapack
        if self.is_positive:
            *factors, info = lapack.dpbtrf(ab[self.upper :], lower=1)
            if info > 0:
                raise np.linalg.LinAlgError(f"{info}th leading minor not positive definite")
        else:
            room = np.vstack([np.zeros((self.lower, ab.shape[1])), ab])
            *factors, info = lapack.dgbtrf(room, self.lower, self.upper)
            if info > 0:
                raise np.linalg.LinAlgError("singular matrix")
        return [self._solved(factors, b, False), *factors]

    def _solved(self, factors: Sequence[Any], b: Any, transposed: bool) -> Any:
        lapack = plain().lapack
        right = b.reshape(len(b), -1)
        if self.is_positive:
            x, _ = lapack.dpbtrs(factors[0], right, lower=1)
        else:
            x, _ = lapack.dgbtrs(factors[0], self.lower, self.upper, right,
                                 factors[1].astype(np.int32), trans=int(transposed))  # fmt: skip
        return x.reshape(b.shape)

    def _again(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
               transposed: bool) -> Callable[[Any], Any]:  # fmt: skip
        if la is not RECORDED:
            return lambda b: self._solved(results[1:], b, transposed)
        ab, lower, upper = operands[0], self.lower, self.upper
        if transposed and not self.is_positive:
            ab, lower, upper = _transposed(ab, lower, upper), upper, lower
        return lambda b: applied(SolveBanded, (ab, b), lower, upper, self.is_positive)[0]

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints; of the matrix, in its band."""
        x, gb = results[0], self._again(la, operands, results, True)(adjoints[0])
        if not self.is_active[0]:
            return None, gb
        rows, columns, inside = _places(len(x), self.lower, self.upper)
        products = gb[rows] * x[columns]
        return -np.where(inside, products if x.ndim == 1 else products.sum(axis=-1), 0.0), gb

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        x, (dab, right) = results[0], tangents
        if dab is not None:
            moved = _product(dab, x, self.lower, self.upper)
            right = -moved if right is None else right - moved
        tangent = self._again(la, operands, results, False)(right)
        return [tangent, *[None] * (len(results) - 1)]


def _product(ab: Any, x: Any, lower: int, upper: int) -> Any:
    """Return A x, A by its band."""
    n = ab.shape[1]
    by_rows = _transposed(ab, lower, upper)  # column i has what row i of A has
    rows, _, inside = _places(n, upper, lower)
    row = np.where(inside, by_rows, 0.0)
    return np.sum((row if x.ndim == 1 else row[:, :, None]) * x[rows], axis=0)


def _checked(ab: Any, b: Any, rows: int) -> None:
    if ab.shape[-1] != b.shape[0]:
        raise ValueError("shapes of ab and b are not compatible.")
    if rows != ab.shape[0]:
        raise ValueError(
            f"invalid values for the number of lower and upper diagonals: l+u+1 ({rows}) does not "
            f"equal ab.shape[0] ({ab.shape[0]})"
        )


@scipy_rule("scipy.linalg.solve_banded")
def solve_banded(l_and_u: Any, ab: Any, b: Any, overwrite_ab: Any = False,
                 overwrite_b: Any = False, check_finite: Any = True) -> Any:  # fmt: skip
    """Record the solution of a banded system."""
    lower, upper = (int(count) for count in l_and_u)
    ab, b = operand(ab), operand(b)
    check_finite_of(check_finite, ab, b)

    def solved(ab: Any, b: Any) -> Any:
        _checked(ab, b, lower + upper + 1)
        if b.size == 0:
            return np.empty(b.shape)
        return applied(SolveBanded, (ab, b), lower, upper, False)[0]

    return over_stacks(solved, (ab, b), (2, "1|2"))


def _whole_band(ab: Any, lower: bool) -> Any:
    """Return the band of a symmetric matrix of whose band one half is given."""
    more = len(ab) - 1
    if lower:
        return np.concatenate([_transposed(ab, more, 0)[:more], ab])
    return np.concatenate([ab, _transposed(ab, 0, more)[1:]])


@scipy_rule("scipy.linalg.solveh_banded")
def solveh_banded(ab: Any, b: Any, overwrite_ab: Any = False, overwrite_b: Any = False,
                  lower: Any = False, check_finite: Any = True) -> Any:  # fmt: skip
    """Record the solution of a positive definite banded system."""
    ab, b = operand(ab), operand(b)
    check_finite_of(check_finite, ab, b)

    def solved(ab: Any, b: Any) -> Any:
        _checked(ab, b, len(ab))
        if b.size == 0:
            return np.empty(b.shape)
        more = len(ab) - 1
        return applied(SolveBanded, (_whole_band(ab, bool(lower)), b), more, more, True)[0]

    return over_stacks(solved, (ab, b), (2, "1|2"))
