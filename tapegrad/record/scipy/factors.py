"""scipy.linalg's factorisations L L', P L U and Q R, and solutions by what they return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shapes
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.active import guard_all
from tapegrad.record.linear.orthogonal import Orthogonal
from tapegrad.record.linear.positive import cholesky as lower_factor
from tapegrad.record.linear.shaped import applied
from tapegrad.record.linear.shaped import transposed as turned
from tapegrad.record.scipy import differentials
from tapegrad.record.scipy.families import (
    Family,
    asks,
    check_finite_of,
    operand,
    over_stacks,
    plain,
    square,
    symmetric,
    triangle,
)
from tapegrad.record.scipy.linear_systems import solve_triangular
from tapegrad.record.scipy.recognised import is_held, no_rule, scipy_rule

# --- L L' -----------------------------------------------------------------------------------------


def _factor(a: Any, lower: Any) -> Any:
    """Return the factors of which `lower` says whether they're L or L'."""
    if square(a).size == 0:
        return np.empty(a.shape)
    found = lower_factor(symmetric(a, lower))
    return found if lower else turned(found)


@scipy_rule("scipy.linalg.cholesky")
def cholesky(a: Any, lower: Any = False, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    """Record the factor; the triangle that SciPy reads counts."""
    a = np.atleast_2d(operand(a))
    check_finite_of(check_finite, a)
    return _factor(a, lower)


@scipy_rule("scipy.linalg.cho_factor")
def cho_factor(a: Any, lower: Any = False, overwrite_a: Any = False,
               check_finite: Any = True) -> Any:  # fmt: skip
    """Record the factor, beside which the matrix stays."""
    a = np.atleast_2d(operand(a))
    check_finite_of(check_finite, a)

    is_of_factor = triangle(np.ones(a.shape), lower) > 0.0
    return np.where(is_of_factor, _factor(a, lower), a), lower


@scipy_rule("scipy.linalg.cho_solve")
def cho_solve(c_and_lower: Any, b: Any, overwrite_b: Any = False, check_finite: Any = True) -> Any:
    """Record the solution by L and L'."""
    c, lower = c_and_lower
    c, b = operand(c), operand(b)
    check_finite_of(check_finite, c, b)

    half = solve_triangular(c, b, trans=int(not lower), lower=lower, check_finite=False)
    return solve_triangular(c, half, trans=int(bool(lower)), lower=lower, check_finite=False)


# --- P L U ----------------------------------------------------------------------------------------


class Lu(Family):
    """The packed factors L and U of a matrix, and LAPACK's pivots."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], *options: Any) -> None:
        ((m, n),) = shapes
        super().__init__("lu", shapes, ((m, n), (min(m, n),)), is_active, *options)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the factors and the pivots."""
        packed, pivots, _ = plain().lapack.dgetrf(operands[0])
        return [packed, pivots]

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        packed, pivots = results
        ga = differentials.lu_pullback(la, packed, adjoints[0])
        return [ga[np.argsort(_order(pivots, len(packed)))]]

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        packed, pivots = results
        da = tangents[0][_order(pivots, len(packed))]
        return [differentials.lu_pushforward(la, packed, da), None]


def _whole(numbers: Any) -> Any:
    """Return whole numbers among a block's results, for its formulas."""
    return (numbers.primal if is_held(numbers) else numbers).astype(np.intp)


def _plain_whole(numbers: Any) -> Any:
    """Return whole numbers among a block's results as plain ones, under guards."""
    if is_held(numbers):
        guard_all(numbers.tape, numbers.data["slot"], numbers.data["value"])
        numbers = numbers.primal
    return numbers.astype(np.int32)


def _order(pivots: Any, m: int) -> Any:
    """Return which row of the matrix each row of the product of the factors is."""
    order = np.arange(m)
    for k, other in enumerate(_whole(pivots)):
        order[[k, other]] = order[[other, k]]
    return order


@scipy_rule("scipy.linalg.lu_factor")
def lu_factor(a: Any, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    """Record the packed factors; the pivots are guarded."""
    a = operand(a)
    check_finite_of(check_finite, a)

    def factored(a: Any) -> Any:
        if a.size == 0:
            return np.empty(a.shape), np.arange(0, dtype=np.int32)
        packed, pivots = applied(Lu, (a,))
        return packed, _plain_whole(pivots)

    return over_stacks(factored, (a,), (2,))


@scipy_rule("scipy.linalg.lu_solve")
def lu_solve(lu_and_piv: Any, b: Any, trans: Any = 0, overwrite_b: Any = False,
             check_finite: Any = True) -> Any:  # fmt: skip
    """Record the solution by L and U."""
    packed, pivots = lu_and_piv
    packed, pivots, b = operand(packed), operand(pivots), operand(b)
    check_finite_of(check_finite, packed, b)

    def solved(packed: Any, pivots: Any, b: Any) -> Any:
        if len(square(packed)) != len(b):
            raise ValueError(f"Shapes of lu {packed.shape} and b {b.shape} are incompatible")
        order = _order(pivots, len(b))
        lower = {"lower": True, "unit_diagonal": True, "check_finite": False}
        if not trans:
            half = solve_triangular(packed, b[order], **lower)
            return solve_triangular(packed, half, check_finite=False)
        half = solve_triangular(packed, b, trans=1, check_finite=False)
        return solve_triangular(packed, half, trans=1, **lower)[np.argsort(order)]

    return over_stacks(solved, (packed, pivots, b), (2, 1, "1|2"))


@scipy_rule("scipy.linalg.lu")
def lu(a: Any, permute_l: Any = False, overwrite_a: Any = False, check_finite: Any = True,
       p_indices: Any = False) -> Any:  # fmt: skip
    """Record the factors; the permutation is guarded."""
    a = operand(a)
    if a.ndim < 2:
        raise ValueError("The input array must be at least two-dimensional.")
    check_finite_of(check_finite, a)
    return over_stacks(lambda a: _unpacked(a, permute_l, p_indices), (a,), (2,))


def _unpacked(a: Any, permute_l: Any, p_indices: Any) -> tuple[Any, ...]:
    m, n = a.shape
    k = min(m, n)
    if k == 0:
        lower, upper, rows = np.empty((m, k)), np.empty((k, n)), np.arange(0)
    else:
        packed, pivots = applied(Lu, (a,))
        lower = np.where(np.eye(m, k, dtype=bool), 1.0, triangle(packed[:, :k], True))
        upper = triangle(packed[:k], False)
        rows = np.argsort(_order(_plain_whole(pivots), m))  # of L U, which A's rows are
    if permute_l:
        return lower[rows] if k else lower, upper
    return rows.astype(np.int32) if p_indices else np.eye(len(rows))[rows], lower, upper


# --- Q R ------------------------------------------------------------------------------------------


class Qr(Orthogonal):
    """Q and R of a matrix that isn't wide, as SciPy finds them, and the pivots.

    The other option is whether there are some.
    """

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        """Return the shapes of Q, R and the pivots."""
        n_pivots = operand_shapes[0][1] if self.options[1] else 0
        return (*super().shapes_of(operand_shapes), (n_pivots,))

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the factors and the pivots."""
        is_full, pivoting = self.options
        mode = "full" if is_full else "economic"
        q, r, *pivots = plain().qr(operands[0], mode=mode, pivoting=pivoting, check_finite=False)
        return [q, r[: operands[0].shape[1]], pivots[0] if pivots else np.empty(0)]

    def _order(self, results: Sequence[Any]) -> Any:
        return _whole(results[2]) if self.options[1] else np.arange(len(results[1]))

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoint."""
        if asks(adjoints[0][:, len(results[1]) :]):
            raise UnsupportedFunctionError(
                "the columns of Q beyond those of the matrix have no derivative, they may be any "
                "that complete it: write scipy.linalg.qr(a, mode='economic')"
            )
        (found,) = super().pullback(operands, results[:2], adjoints[:2])
        return [found[:, np.argsort(self._order(results))]]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangents; of what has none, NaN."""
        da = tangents[0][:, self._order(results)]
        return [*super().pushforward(operands, results[:2], [da]), None]


@scipy_rule("scipy.linalg.qr")
def qr(a: Any, overwrite_a: Any = False, lwork: Any = None, mode: Any = "full",
       pivoting: Any = False, check_finite: Any = True) -> Any:  # fmt: skip
    """Record Q and R; the pivots are guarded."""
    if mode == "raw":
        raise no_rule("scipy.linalg.qr with mode='raw'", "write mode='economic', or ")
    if mode not in ("full", "r", "economic"):
        raise ValueError("Mode argument should be one of ['full', 'r', 'economic', 'raw']")
    a = operand(a)
    check_finite_of(check_finite, a)
    return over_stacks(lambda a: _q_and_r(a, mode, bool(pivoting)), (a,), (2,))


def _q_and_r(a: Any, mode: str, pivoting: bool) -> Any:
    m, n = a.shape
    k = min(m, n)
    if k == 0:
        return plain().qr(np.empty(a.shape), mode=mode, pivoting=pivoting)
    if pivoting and m < n:  # which columns come first is asked of the whole matrix
        raise no_rule("scipy.linalg.qr of a wide matrix with pivoting=True", "leave it out, or ")
    is_full = mode == "full" and m > n
    q, r, pivots = applied(Qr, [a[:, :k]], is_full, pivoting)
    if n > k:
        r = np.concatenate([r, q.T @ a[:, k:]], axis=1)
    if m > n and mode != "economic":
        r = np.concatenate([r, np.zeros((m - n, n))])
    found = (r,) if mode == "r" else (q, r)
    return (*found, _plain_whole(pivots)) if pivoting else found
