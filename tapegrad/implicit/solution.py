"""The block of an implicit function: what a solver finds, differentiated as the solution it is.

Where r(x, p) = 0, a change of p moves x by -J^-1 r_p, with J = r_x, however x was found: the
implicit function theorem. Unknowns on a bound move with it, and the others solve their own
equations; then the inverse of J is zero in the rows and columns of those on bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from tapegrad.blocks import Array, Shapes
from tapegrad.function.vectors import Vector
from tapegrad.implicit.evaluation import (
    BlockOfInner,
    evaluated,
    joined,
    recordable,
    solved,
    tangents_of,
)
from tapegrad.implicit.inner import Inner
from tapegrad.record.called import parted


class Bounds(NamedTuple):
    """What unknowns may be, from one number to another."""

    lower: Vector
    upper: Vector


class Found(NamedTuple):
    """A solution.

    Attributes
    ----------
    x : ndarray
    inverse : ndarray
        Of the equations' Jacobian there.
    at_lower, at_upper : ndarray
        1.0 for the unknowns on a bound, which is what decides them, and 0.0 for others.
    """

    x: Vector
    inverse: Array
    at_lower: Vector
    at_upper: Vector


class Method(Protocol):
    """What finds solutions; two that are equal find the same."""

    @property
    def equations(self) -> Inner:
        """What vanishes, by unknowns and parameters."""

    def solve(self, start: Vector, parameters: Vector, bounds: Bounds | None) -> Found:
        """Return the solution."""


class Solution(BlockOfInner):
    """A solution and the inverse of the Jacobian there; with bounds, also which hold.

    Its operands are the start, the parameters, and the bounds if there are any.
    """

    def __init__(self, method: Method, is_bounded: bool, shapes: Shapes,
                 is_active: tuple[bool, ...]) -> None:  # fmt: skip
        (n,) = shapes[0]
        inner = method.equations
        results = ((n,), (n, n), *[(n,), (n,)][: 2 * is_bounded])
        super().__init__(f"solution of {inner.name}", inner, shapes, results, is_active, method)
        self._method, self._is_bounded = method, is_bounded

    def _split(self, operands: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """Return what of the operands is for parameters, and what for bounds."""
        stop = len(operands) - 2 * self._is_bounded
        return operands[1:stop], operands[stop:]

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the results."""
        parameters, bounds = self._split(operands)
        given = Bounds(*map(np.array, bounds)) if bounds else None
        return self._method.solve(np.array(operands[0]), joined(parameters), given)[
            : len(self.result_shapes)
        ]

    def _parts(self, found: Any) -> list[Any]:
        """Return adjoints of the equations' inputs, but for the unknowns, as the operands are."""
        shapes = self._split(self.operand_shapes)[0]
        return parted(found[self.operand_sizes[0] :], shapes)

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints."""
        parameters, _ = self._split(operands)
        x, inverse, *masks = results
        multipliers = inverse.T @ adjoints[0]
        found = self.inner.pullback(joined([x, *parameters]), -multipliers)
        moved = adjoints[0] + found[: len(x)]
        return [None, *self._parts(found), *[mask * moved for mask in masks]]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the results' tangents."""
        parameters, _ = self._split(operands)
        of_parameters, of_bounds = self._split(tangents)
        x, inverse, *masks = results
        moved = np.zeros(len(x))
        for mask, tangent in zip(masks, of_bounds, strict=True):
            moved += 0.0 if tangent is None else mask * tangent
        directions = [moved, tangents_of(self._split(self.operand_shapes)[0], of_parameters)]
        change = self.inner.pushforward(joined([x, *parameters]), joined(directions))
        return [moved - inverse @ change, *[None] * (1 + len(masks))]

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pullback, as calls."""
        parameters, _ = self._split(operands)
        x, inverse, *masks = results
        given = [x, *parameters]
        multipliers = solved(self.inner, True, given, inverse, adjoints[0])
        found = evaluated(self.inner.pulled, [*given, -multipliers])
        moved = adjoints[0] + found[: len(x)]
        return [None, *self._parts(found), *[mask * moved for mask in masks]]

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pushforward, as calls."""
        parameters, _ = self._split(operands)
        of_parameters, of_bounds = self._split(tangents)
        x, inverse, *masks = results
        given = [x, *parameters]
        moved = np.zeros(len(x))
        for mask, tangent in zip(masks, of_bounds, strict=True):
            moved = moved if tangent is None else moved + mask * tangent
        directions = [moved, *recordable(self._split(self.operand_shapes)[0], of_parameters)]
        change = evaluated(self.inner.pushed, [*given, *directions])
        step = solved(self.inner, False, given, inverse, change)
        return [moved - step, *[None] * (1 + len(masks))]
