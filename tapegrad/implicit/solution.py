"""The block of an implicit function: what a solver finds, differentiated as the solution it is.

Where r(x, p) = 0, a change of p moves x by -J^-1 r_p, with J = r_x, however x was found: the
implicit function theorem. Unknowns on a bound move with it, and the others solve their own
equations; then the inverse of J is zero in the rows and columns of those on bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

NOTHING = np.empty(0)


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
    more : ndarray
        What else the method tells, as numbers without derivative.
    """

    x: Vector
    inverse: Array
    at_lower: Vector
    at_upper: Vector
    more: Vector = NOTHING


class Method(Protocol):
    """What finds solutions; two that are equal find the same."""

    @property
    def equations(self) -> Inner:
        """What vanishes, by unknowns and parameters."""

    def solve(self, start: Sequence[Vector], parameters: Vector, bounds: Bounds | None) -> Found:
        """Return the solution."""


class Layout(NamedTuple):
    """What the operands and results of a solution are.

    Attributes
    ----------
    n : int
        How many unknowns there are.
    is_bounded : bool
        Whether the last two operands are bounds.
    n_before : int
        How many operands come before the parameters: the start and what else has no derivative.
    n_more : int
        How many numbers the method tells beside.
    """

    n: int
    is_bounded: bool = False
    n_before: int = 1
    n_more: int = 0


class Solution(BlockOfInner):
    """A solution and the inverse of the Jacobian there; with bounds, also which hold.

    Its operands are the start, the parameters, and the bounds if there are any.
    """

    def __init__(self, method: Method, layout: Layout, shapes: Shapes,
                 is_active: tuple[bool, ...]) -> None:  # fmt: skip
        n, inner = layout.n, method.equations
        masks, more = [(n,), (n,)][: 2 * layout.is_bounded], [(layout.n_more,)]
        results = ((n,), (n, n), *masks, *more[: bool(layout.n_more)])
        kind = method, layout
        super().__init__(f"solution of {inner.name}", inner, shapes, results, is_active, *kind)
        self.method, self.layout = method, layout

    def _split(self, operands: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """Return what of the operands is for parameters, and what for bounds."""
        stop = len(operands) - 2 * self.layout.is_bounded
        return operands[self.layout.n_before : stop], operands[stop:]

    def solved(self, operands: Sequence[Any], solve: Callable[..., Found]) -> Found:
        """Return what a method's function finds."""
        parameters, bounds = self._split(operands)
        given = Bounds(*map(np.array, bounds)) if bounds else None
        start = [*map(np.array, operands[: self.layout.n_before])]
        return solve(start, joined(parameters), given)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the results."""
        x, inverse, *masks, more = self.solved(operands, self.method.solve)
        return [x, inverse, *masks[: 2 * self.layout.is_bounded], more][: len(self.result_shapes)]

    def _masks(self, results: Sequence[Any]) -> Sequence[Any]:
        return results[2 : 2 + 2 * self.layout.is_bounded]

    def _of_operands(self, found: Any, masks: Sequence[Any]) -> list[Any]:
        """Return the operands' adjoints of those of the equations' inputs, and of bounds."""
        shapes = self._split(self.operand_shapes)[0]
        parts = parted(found[self.layout.n :], shapes)
        return [*[None] * self.layout.n_before, *parts, *masks]

    def _of_results(self, tangent: Any) -> list[Any]:
        """Return the results' tangents: that of the solution is all."""
        return [tangent, *[None] * (len(self.result_shapes) - 1)]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints."""
        parameters, _ = self._split(operands)
        x, inverse = results[:2]
        multipliers = inverse.T @ adjoints[0]
        found = self.inner.pullback(joined([x, *parameters]), -multipliers)
        moved = adjoints[0] + found[: len(x)]
        return self._of_operands(found, [mask * moved for mask in self._masks(results)])

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the results' tangents."""
        parameters, _ = self._split(operands)
        of_parameters, of_bounds = self._split(tangents)
        x, inverse = results[:2]
        moved = np.zeros(len(x))
        for mask, tangent in zip(self._masks(results), of_bounds, strict=True):
            moved += 0.0 if tangent is None else mask * tangent
        directions = [moved, tangents_of(self._split(self.operand_shapes)[0], of_parameters)]
        change = self.inner.pushforward(joined([x, *parameters]), joined(directions))
        return self._of_results(moved - inverse @ change)

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pullback, as calls."""
        parameters, _ = self._split(operands)
        x, inverse = results[:2]
        given = [x, *parameters]
        multipliers = solved(self.inner, True, given, inverse, adjoints[0])
        found = evaluated(self.inner.pulled, [*given, -multipliers])
        moved = adjoints[0] + found[: len(x)]
        return self._of_operands(found, [mask * moved for mask in self._masks(results)])

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pushforward, as calls."""
        parameters, _ = self._split(operands)
        of_parameters, of_bounds = self._split(tangents)
        x, inverse = results[:2]
        given = [x, *parameters]
        moved = np.zeros(len(x))
        for mask, tangent in zip(self._masks(results), of_bounds, strict=True):
            moved = moved if tangent is None else moved + mask * tangent
        directions = [moved, *recordable(self._split(self.operand_shapes)[0], of_parameters)]
        change = evaluated(self.inner.pushed, [*given, *directions])
        step = solved(self.inner, False, given, inverse, change)
        return self._of_results(moved - step)
