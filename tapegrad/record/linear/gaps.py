"""Quotients by the gaps of a spectrum, in which the derivatives of its vectors are written.

Where a gap vanishes vectors are arbitrary within their cluster, so whatever reaches them there has
no derivative: a quotient of something is NaN, one of nothing zero. A difference's numerator is
something wherever its column has a number: what is asked of a vector is asked of its cluster. What
derives from it does the same, in every order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import Shapes
from tapegrad.record.linear.shaped import ShapedBlock, applied, is_absent, total_of

DIFFERENCES, SUMS, ITSELF = -1.0, 1.0, 0.0
"""How often `w[i]` counts in the divisor of element `i, j`, beside `w[j]`."""

ROUNDING = 8 * np.finfo(np.float64).eps
"""Numbers that lie closer than that, times the order of the matrix and their size, are tied."""


def _divisors(w: Any, first: float) -> tuple[Any, Any]:
    """Return the divisors, and which of them vanish."""
    divisors = (
        w[..., np.newaxis, :] + first * w[..., np.newaxis] if first else w[..., np.newaxis, :]
    )
    size = np.max(np.abs(w), axis=-1, initial=0.0)[..., np.newaxis, np.newaxis]
    return divisors, np.abs(divisors) <= ROUNDING * w.shape[-1] * size


def _times(x: Any, y: Any) -> Any:
    """Return the product of an adjoint and a factor, zero where the adjoint is."""
    with np.errstate(all="ignore"):
        return np.where(x == 0.0, 0.0, x * y)


class Quotients(ShapedBlock):
    """Matrices divided element by element by sums or differences of `w[j]` and `w[i]`.

    With either, the diagonal is left out, and is zero.
    """

    title = "gaps"

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        return (operand_shapes[1],)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        w, m = operands
        (first,) = self.options
        divisors, vanishes = _divisors(w, first)
        found: npt.NDArray[np.float64] = m / divisors
        asks = m != 0.0
        if first == DIFFERENCES:
            asks = np.any(asks, axis=-2, keepdims=True)
        found = np.where(vanishes, np.where(asks, np.nan, 0.0), found)
        return [np.where(np.eye(w.shape[-1], dtype=bool), 0.0, found) if first else found]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        (first,) = self.options
        of_m = quotients(operands[0], adjoints[0], first)
        if not self.is_active[0]:
            return [None, of_m]
        moved = _times(of_m, results[0])
        of_w = -np.sum(moved, axis=-2)
        return [of_w - first * np.sum(moved, axis=-1) if first else of_w, of_m]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        (first,) = self.options
        w_dot, moved = tangents
        if w_dot is not None:
            by = w_dot[..., np.newaxis, :]
            by = by + first * w_dot[..., np.newaxis] if first else by
            moved = total_of(moved, -_times(by, results[0]))
        return [quotients(operands[0], moved, first)]


def quotients(w: Any, m: Any, first: float) -> Any:
    """Return matrices divided by gaps."""
    if is_absent(m):
        return m
    return applied(Quotients, [w, m], first)[0]
