"""Pseudo-inverses and least squares, where the rank stays (Golub, Pereyra 1973).

A cutoff that leaves out singular values which aren't zero, to rounding, makes another function:
that's written with the singular values and vectors that are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shapes
from tapegrad.record.functions.operands import array_on, tape_of, truth
from tapegrad.record.functions.registry import rule
from tapegrad.record.linear.gaps import ROUNDING
from tapegrad.record.linear.shaped import (
    ShapedBlock,
    applied,
    guarded,
    is_absent,
    matrices,
    mirrored,
    on_diagonal,
    total_of,
    transposed,
)

_EPS = float(np.finfo(np.float64).eps)


def _is_cut(s: Any, rank: Any, order: int) -> Any:
    """Whether more singular values than a rank aren't zero."""
    largest = np.max(s, axis=-1, keepdims=True, initial=0.0)
    return np.sum(s > ROUNDING * order * largest, axis=-1) > rank


def _kept(a: Any, cutoffs: Any, is_symmetric: bool = False,
          least: float = 0.0) -> tuple[Any, Any]:  # fmt: skip
    """Return pseudo-inverses made of what singular values are kept, which is read, and ranks."""
    left, s, right = np.linalg.svd(a, full_matrices=False, hermitian=is_symmetric)
    is_kept = truth(s > least + cutoffs[..., np.newaxis] * s[..., :1])
    inverse = np.where(is_kept, 1.0 / s, 0.0)
    found = transposed(right) @ (inverse[..., np.newaxis] * transposed(left))
    return found, np.sum(is_kept, axis=-1)


def _inverted(a: Any, cutoff: Any, rank: Any, is_symmetric: bool,
              least: float = 0.0) -> tuple[Any, Any, Any]:  # fmt: skip
    """Return pseudo-inverses and ranks; a rank that's given is kept, and the cutoff not asked."""
    left, s, right = np.linalg.svd(a, full_matrices=False, hermitian=is_symmetric)
    if rank is None:
        largest = np.max(s, axis=-1, keepdims=True, initial=0.0)
        is_kept = s > least + cutoff[..., np.newaxis] * largest
    else:
        is_kept = np.arange(s.shape[-1]) < np.reshape(rank, (*s.shape[:-1], 1))
    inverse = np.divide(1.0, s, where=is_kept, out=np.zeros_like(s))
    found = transposed(right) @ (inverse[..., np.newaxis] * transposed(left))
    rank = np.sum(is_kept, axis=-1)
    return found, rank, _is_cut(s, rank, max(a.shape[-2:]))


class PseudoInverse(ShapedBlock):
    """Pseudo-inverses of matrices, their ranks, and whether a cutoff leaves more out than zeros.

    The options are the cutoffs, relative to the largest singular values, or None; ranks to keep, or
    None; whether the matrices are symmetric; and what is added to the cutoffs.
    """

    title = "pinv"

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        *stack, m, n = operand_shapes[0]
        return (*stack, n, m), tuple(stack), tuple(stack)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        cutoffs, ranks, is_symmetric, least = self.options
        if ranks is None:
            cutoffs = np.reshape(cutoffs, self.result_shapes[1])
        return _inverted(operands[0], cutoffs, ranks, is_symmetric, least)

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        p, by = results[0], adjoints[0]
        columns, rows = transposed(p), transposed(by)
        found = -(columns @ by @ columns)
        m, n = self.operand_shapes[0][-2:]
        if _misses(m, self.options[1]):
            outside = rows - operands[0] @ (p @ rows)
            found = found + outside @ p @ columns
        if _misses(n, self.options[1]):
            outside = rows - (rows @ p) @ operands[0]
            found = found + columns @ p @ outside
        return [found]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        p, columns, by = results[0], transposed(results[0]), transposed(tangents[0])
        found = -(p @ tangents[0] @ p)
        m, n = self.operand_shapes[0][-2:]
        if _misses(m, self.options[1]):
            found = found + p @ columns @ (by - (by @ operands[0]) @ p)
        if _misses(n, self.options[1]):
            found = found + (by - p @ (operands[0] @ by)) @ columns @ p
        return [found, None, None]


def _misses(n: int, ranks: Any) -> bool:
    """Whether matrices of known ranks may miss a part of a space of n dimensions."""
    return ranks is None or any(rank < n for rank in ranks)


class LeastSquares(ShapedBlock):
    """Least-squares solutions, sums of squared residuals, the rank, and the singular values.

    The last result is whether the cutoff leaves out singular values that aren't zero.

    The options are the cutoff and the rank that the derivative takes it to have.
    """

    title = "lstsq"

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        (m, n), (_, k) = operand_shapes
        return (n, k), (k,), (), (min(m, n),), ()

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        a, b = operands
        x, squares, rank, s = np.linalg.lstsq(a, b, rcond=self.options[0])
        squares = squares if squares.size else np.zeros(self.result_shapes[1])
        return [x, squares, rank, s, _is_cut(s, rank, max(a.shape))]

    def _inverse(self, a: Any) -> Any:
        return applied(PseudoInverse, [a], None, (self.options[1],), False, 0.0)[0]

    def _residual(self, operands: Sequence[Any], results: Sequence[Any]) -> Any:
        return operands[1] - operands[0] @ results[0]

    @property
    def _has_squares(self) -> bool:
        m, n = self.operand_shapes[0]
        return bool(m > n == self.options[1])

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        (a, _), x = operands, results[0]
        of_x, of_squares, _, of_s, _ = adjoints
        p, residual = self._inverse(a), self._residual(operands, results)
        of_b, of_a = None, None
        if not is_absent(of_x):
            of_b = transposed(p) @ of_x
            of_a = residual @ transposed(p @ of_b) - of_b @ transposed(x)
            if _misses(a.shape[1], self.options[1:]):
                outside = of_x - p @ (a @ of_x)
                of_a = of_a + transposed(p) @ x @ transposed(outside)
        if self._has_squares and not is_absent(of_squares):
            pulled = 2.0 * residual * of_squares
            of_b = total_of(of_b, pulled)
            of_a = total_of(of_a, -pulled @ transposed(x))
        if not is_absent(of_s):
            left, _, right = np.linalg.svd(a, full_matrices=False)
            of_a = total_of(of_a, left @ on_diagonal(of_s) @ right)
        return [of_a if self.is_active[0] else None, of_b if self.is_active[1] else None]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        (a, _), x = operands, results[0]
        of_a, of_b = tangents
        p, residual = self._inverse(a), self._residual(operands, results)
        moved = total_of(of_b, None if of_a is None else -of_a @ x)
        of_x, of_s = p @ moved, None
        if of_a is not None:
            of_x = of_x + p @ (transposed(p) @ (transposed(of_a) @ residual))
            if _misses(a.shape[1], self.options[1:]):
                rest = transposed(of_a) @ (transposed(p) @ x)
                of_x = of_x + rest - p @ (a @ rest)
            left, _, right = np.linalg.svd(a, full_matrices=False)
            of_s = np.sum(left * (of_a @ transposed(right)), axis=0)
        of_squares = 2.0 * np.sum(residual * moved, axis=0) if self._has_squares else None
        return [of_x, of_squares, None, of_s, None]


def pseudo_inverse(a: Any, cutoffs: Any, is_symmetric: bool = False,
                   least: float = 0.0) -> tuple[Any, Any]:  # fmt: skip
    """Return pseudo-inverses and their ranks, which are read.

    Singular values are kept that are above a number, plus cutoffs times the largest ones.
    """
    cutoffs = np.broadcast_to(np.asarray(cutoffs, float), a.shape[:-2])
    if np.any(_inverted(a.primal, cutoffs, None, is_symmetric, least)[2]):
        return _kept(a, cutoffs, is_symmetric, least)
    given = tuple(cutoffs.ravel().tolist())
    found, rank, is_cut = applied(PseudoInverse, [a], given, None, is_symmetric, least)
    guarded(is_cut)
    return found, guarded(rank)


# --- NumPy's names --------------------------------------------------------------------------------


@rule(np.linalg.pinv)
def _pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = np._NoValue) -> Any:
    a = mirrored(a, False) if hermitian else matrices(a)
    *stack, m, n = a.shape
    if not a.size:
        return np.zeros((*stack, n, m))
    if rcond is not None and rtol is not np._NoValue:
        raise ValueError("`rtol` and `rcond` can't be both set.")
    if rcond is None:
        is_precise = rtol is None
        rcond = max(m, n) * _EPS if is_precise else 1e-15 if rtol is np._NoValue else rtol
    return pseudo_inverse(a, rcond, bool(hermitian))[0]


@rule(np.linalg.lstsq)
def _lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    tape = tape_of(a, b)
    a, b = array_on(tape, a), array_on(tape, b)
    is_vector = b.ndim == 1
    b = b[:, np.newaxis] if is_vector else b
    if a.ndim != 2 or b.ndim != 2:
        given = a if a.ndim != 2 else b
        raise np.linalg.LinAlgError(
            f"{given.ndim}-dimensional array given. Array must be two-dimensional"
        )
    if len(a) != len(b):
        raise np.linalg.LinAlgError("Incompatible dimensions")
    m, n = a.shape
    cutoff = _EPS * max(m, n) if rcond is None else float(rcond)
    _, _, rank, s = np.linalg.lstsq(a.primal, b.primal, rcond=cutoff)
    rank = int(rank)
    if _is_cut(s, rank, max(m, n)):
        x, squares, s = _kept(a, np.array(cutoff))[0] @ b, np.zeros(0), np.linalg.svdvals(a)
    else:
        x, squares, found, s, is_cut = applied(LeastSquares, [a, b], cutoff, rank)
        guarded(found)
        guarded(is_cut)
        squares = squares if m > n == rank else np.zeros(0)
    return (x[:, 0] if is_vector else x), squares, rank, s
