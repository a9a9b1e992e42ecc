"""Systems of linear equations: `solve`, `inv`, and triangular ones for other formulas."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shapes
from tapegrad.record.array import ActiveArray
from tapegrad.record.functions.operands import array_on, tape_of
from tapegrad.record.functions.registry import rule
from tapegrad.record.linear.compiled_forms import SOLVE, SOLVE_KNOWN, TRIANGULAR
from tapegrad.record.linear.shaped import (
    ShapedBlock,
    applied,
    lower,
    square,
    stack_size,
    total_of,
    transposed,
)


class Solve(ShapedBlock):
    """Solutions of stacks of systems of equations, and what their matrices were factored into."""

    title = "solve"
    forms = SOLVE
    functions = ("dgetrf", "dgetrs", "dgemm")
    is_positive = False

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        a, b = operand_shapes
        return b, a, a[:-1]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many systems there are, of what order, with how many sides; what A is."""
        b = self.operand_shapes[1]
        return stack_size(b), *b[-2:], int(self.is_active[0]), int(self.is_positive)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        _, factors, pivots = self.result_shapes
        return [np.linalg.solve(*operands), np.zeros(factors), np.zeros(pivots)]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        of_b = np.linalg.solve(transposed(operands[0]), adjoints[0])
        return [-of_b @ transposed(results[0]) if self.is_active[0] else None, of_b]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        of_a, of_b = tangents
        moved = None if of_a is None else -of_a @ results[0]
        return [np.linalg.solve(operands[0], total_of(of_b, moved)), None, None]


class SolvePositive(Solve):
    """Solutions for symmetric matrices that have to be positive definite, given whole."""

    functions = ("dpotrf", "dtrsm", "dgemm")
    is_positive = True

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        np.linalg.cholesky(operands[0])
        return super().value(operands)


class SolveKnown(ShapedBlock):
    """Solutions of stacks of systems of equations whose matrices never change.

    They belong to the block, as the options' bytes, and are factored once in a process.
    """

    title = "solve"
    forms = SOLVE_KNOWN
    functions = ("dgetrs",)

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        return operand_shapes

    @property
    def is_small(self) -> bool:
        return False

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many systems there are, of what order, with how many sides; where the factors are."""
        (b,) = self.operand_shapes
        addresses = [x.ctypes.data for x in self._factors] if all(self.addresses) else [0, 0]
        return stack_size(b), *b[-2:], *addresses

    @functools.cached_property
    def _factors(self) -> list[Any]:
        b = np.zeros(self.operand_shapes[0])
        return Solve((self._a.shape, b.shape), (True, True)).evaluated([self._a, b])[1:]

    @property
    def _a(self) -> Any:
        b = self.operand_shapes[0]
        return np.frombuffer(self.options[0]).reshape(*b[:-1], b[-2])

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        return [np.linalg.solve(self._a, operands[0])]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        return [np.linalg.solve(transposed(self._a), adjoints[0])]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        return [np.linalg.solve(self._a, tangents[0])]

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state.pop("_factors", None)
        return state


LEAST_KNOWN = 32
"""From that order on a matrix that never changes belongs to the block."""


class TriangularSolve(ShapedBlock):
    """Solutions of systems of equations of which only one triangle is read.

    The options are whether that is the upper one, and whether its diagonal is taken as ones.
    """

    title = "solve_triangular"
    forms = TRIANGULAR
    functions = ("dtrsm", "dgemm")

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        return operand_shapes[1:]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many systems there are, of what order, with how many sides; flags and options."""
        b = self.operand_shapes[1]
        return stack_size(b), *b[-2:], int(self.is_active[0]), *map(int, self.options)

    def _read(self, a: Any) -> Any:
        is_upper, has_ones = self.options
        a = transposed(a) if is_upper else a
        read = lower(a, 0.0) + np.eye(a.shape[-1]) if has_ones else lower(a)
        return transposed(read) if is_upper else read

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        a, b = operands
        return [np.linalg.solve(self._read(a), b)]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        is_upper, has_ones = self.options
        of_b = triangular(transposed(operands[0]), adjoints[0], not is_upper, has_ones)
        if not self.is_active[0]:
            return [None, of_b]
        return [self._of_read(-of_b @ transposed(results[0])), of_b]

    def _of_read(self, a: Any) -> Any:
        """Return the part of an adjoint or a tangent that counts."""
        is_upper, has_ones = self.options
        weight = 0.0 if has_ones else 1.0
        return transposed(lower(transposed(a), weight)) if is_upper else lower(a, weight)

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        of_a, of_b = tangents
        moved = None if of_a is None else -self._of_read(of_a) @ results[0]
        return [triangular(operands[0], total_of(of_b, moved), *self.options)]


def triangular(a: Any, b: Any, is_upper: bool, has_ones: bool = False) -> Any:
    """Return solutions of triangular systems for stacks of as many right-hand sides."""
    return applied(TriangularSolve, [a, b], is_upper, has_ones)[0]


def solved(a: Any, b: Any, kind: type[Solve] = Solve) -> Any:
    """Return solutions of systems of equations for stacks of as many right-hand sides."""
    is_known = not isinstance(a, ActiveArray) or a.is_passive
    if is_known and kind is Solve and a.shape[-1] >= LEAST_KNOWN:
        known = np.asarray(a.primal if isinstance(a, ActiveArray) else a, np.float64)
        return applied(SolveKnown, [b], known.tobytes())[0]
    return applied(kind, [a, b])[0]


def over_sides(solve: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """Return what solves systems for right-hand sides that may be one vector, or fewer or more."""
    is_vector = b.ndim == 1
    b = b[:, np.newaxis] if is_vector else b
    if a.shape[:-2] != b.shape[:-2]:
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = (np.broadcast_to(x, stack + x.shape[-2:]) for x in (a, b))
    x = solve(a, b)
    return x[..., 0] if is_vector else x


def inverse(a: Any) -> Any:
    """Return inverses."""
    return applied(Solve, [a, np.broadcast_to(np.eye(a.shape[-1]), a.shape)])[0]


# --- NumPy's names --------------------------------------------------------------------------------


@rule(np.linalg.solve)
def _solve(a: Any, b: Any) -> Any:
    tape = tape_of(a, b)
    a, b = square(array_on(tape, a)), array_on(tape, b)
    if b.ndim == 0 or b.shape[-2 if b.ndim > 1 else 0] != a.shape[-1]:
        raise ValueError(f"solve: shapes {a.shape} and {b.shape} don't fit")
    return over_sides(solved, a, b)


@rule(np.linalg.inv)
def _inv(a: Any) -> Any:
    return inverse(square(a))
