"""Blocks that evaluate an inner function, and blocks that solve with its Jacobian.

The derivatives of each are blocks of these two kinds with derivatives of the function, so that
they exist to every order, and none of them is more than sweeps of the function's own tapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Block, Shape, Shapes
from tapegrad.errors import OutdatedBlockError
from tapegrad.function.vectors import Vector
from tapegrad.implicit.inner import Inner, MoreCapturedError
from tapegrad.record.active import guard_all
from tapegrad.record.array import ActiveArray
from tapegrad.record.called import call, parted


def joined(operands: Sequence[Any]) -> Vector:
    """Return arrays one after another."""
    return np.concatenate([np.empty(0), *[np.ravel(operand) for operand in operands]])


def tangents_of(shapes: Sequence[Shape], tangents: Sequence[Any]) -> Vector:
    """Return tangents one after another, zeros where there are none."""
    pairs = zip(shapes, tangents, strict=True)
    return joined([np.zeros(shape) if t is None else t for shape, t in pairs])


def recordable(shapes: Sequence[Shape], tangents: Sequence[Any]) -> list[Any]:
    """Return tangents, active ones among them, zeros where there are none."""
    pairs = zip(shapes, tangents, strict=True)
    return [np.zeros(shape) if t is None else t for shape, t in pairs]


def shapes_of(operands: Sequence[Any]) -> Shapes:
    """Return the shapes of numbers and arrays."""
    return tuple([np.shape(operand) for operand in operands])


class BlockOfInner(Block):
    """A block of an inner function: equal to another if all that it's made of is the same."""

    signals = (MoreCapturedError, OutdatedBlockError)

    def __init__(self, name: str, inner: Inner, operand_shapes: Shapes, result_shapes: Shapes,
                 is_active: tuple[bool, ...], *kind: Any) -> None:  # fmt: skip
        super().__init__(name, operand_shapes, result_shapes, is_active)
        self.inner = inner
        self._kind = (operand_shapes, *kind)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, BlockOfInner)
            and type(other) is type(self)
            and other.inner is self.inner
            and (other.is_active, other._kind) == (self.is_active, self._kind)
        )

    def __hash__(self) -> int:
        return hash((type(self), id(self.inner), self.operand_shapes, self.is_active))


class Evaluation(BlockOfInner):
    """The outputs of an inner function; the operands are its inputs."""

    def __init__(self, inner: Inner, shapes: Shapes, is_active: tuple[bool, ...]) -> None:
        super().__init__(inner.name, inner, shapes, ((inner.n_outputs,),), is_active)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the results."""
        return [self.inner.values(joined(operands))]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints."""
        found = self.inner.pullback(joined(operands), np.array(adjoints[0]))
        return parted(found, self.operand_shapes)

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the result's tangent."""
        directions = tangents_of(self.operand_shapes, tangents)
        return [self.inner.pushforward(joined(operands), directions)]

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pullback, as a call."""
        found = evaluated(self.inner.pulled, [*operands, adjoints[0]])
        return parted(found, self.operand_shapes)

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pushforward, as a call."""
        directions = recordable(self.operand_shapes, tangents)
        return [evaluated(self.inner.pushed, [*operands, *directions])]


class BranchingEvaluation(Evaluation):
    """The same, with one more result, to be guarded: then it's never left out.

    What isn't a number of what a function returns, and its shape, may hang on the way that it
    takes; where it takes another one, evaluating it fails.
    """

    def __init__(self, inner: Inner, shapes: Shapes, is_active: tuple[bool, ...]) -> None:
        results = ((inner.n_outputs,), (1,))
        BlockOfInner.__init__(self, inner.name, inner, shapes, results, is_active)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the results."""
        return [*super().value(operands), np.zeros(1)]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the results' tangents."""
        return [*super().pushforward(operands, results, tangents), None]

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pushforward, as a call."""
        return [*super().recorded_pushforward(operands, results, tangents), None]


def evaluated(inner: Inner, operands: Sequence[Any]) -> Any:
    """Return the outputs of an inner function, recorded as a call."""
    shapes = shapes_of(operands)
    return call(lambda is_active: Evaluation(inner, shapes, is_active), operands)[0]


def evaluated_guarded(inner: Inner, operands: Sequence[Any]) -> Any:
    """Return the same, under a guard that the function takes a way that returns the like."""
    shapes = shapes_of(operands)
    found, way = call(lambda is_active: BranchingEvaluation(inner, shapes, is_active), operands)
    if isinstance(way, ActiveArray):
        guard_all(way.tape, way.data["slot"], way.data["value"])
    return found


class LinearSolution(BlockOfInner):
    """The solution of a linear system with the Jacobian of an inner function by its unknowns.

    Its operands are the function's inputs, the inverse of the Jacobian there, which is only looked
    at, and the right-hand side.

    Parameters
    ----------
    inner : Inner
        Its first outputs are the equations, as many as unknowns.
    is_transposed : bool
        Whether the system has the Jacobian's transpose.
    """

    def __init__(self, inner: Inner, is_transposed: bool, shapes: Shapes,
                 is_active: tuple[bool, ...]) -> None:  # fmt: skip
        name = f"solution with the Jacobian of {inner.name}"
        super().__init__(name, inner, shapes, (shapes[-1],), is_active, is_transposed)
        self._is_transposed = is_transposed
        self._n = shapes[-1][0]

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the solution."""
        *_, inverse, right = operands
        return [(inverse.T if self._is_transposed else inverse) @ right]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints.

        With J u = b and J' v = (the adjoint of u), that of b is v, and that of what J depends on
        the gradient of -v' J u; with J' u = b and J v = ..., of -u' J v.
        """
        *given, inverse, _ = operands
        u = np.array(results[0])
        v = (inverse if self._is_transposed else inverse.T) @ adjoints[0]
        left, right = (u, v) if self._is_transposed else (v, u)
        inner = self.inner
        seeds = joined([-right, np.zeros(inner.n_inputs - self._n)])
        found = inner.pulled.pullback(joined([*given, left]), seeds)
        parts = parted(found[: inner.n_inputs], self.operand_shapes[:-2])
        return [*parts, None, v]

    def _product(self, u: Any) -> tuple[Inner, Any]:
        """Return what computes the product with the solution, and what it's given for that."""
        if self._is_transposed:
            return self.inner.pulled, u
        return self.inner.pushed, np.concatenate([u, np.zeros(self.inner.n_inputs - self._n)])

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the solution's tangent."""
        *given, inverse, _ = operands
        *moved, _, right = tangents
        derivative, of_u = self._product(results[0])
        directions = joined([tangents_of(self.operand_shapes[:-2], moved), np.zeros(len(of_u))])
        change = -derivative.pushforward(joined([*given, of_u]), directions)[: self._n]
        if right is not None:
            change += right
        return [(inverse.T if self._is_transposed else inverse) @ change]

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pullback, as calls."""
        *given, inverse, _ = operands
        inner = self.inner
        v = solved(inner, not self._is_transposed, given, inverse, adjoints[0])
        left, right = (results[0], v) if self._is_transposed else (v, results[0])
        seeds = [-right, np.zeros(inner.n_inputs - self._n)]
        found = evaluated(inner.pulled.pulled, [*given, left, *seeds])
        return [*parted(found[: inner.n_inputs], self.operand_shapes[:-2]), None, v]

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pushforward, as calls."""
        *given, inverse, _ = operands
        *moved, _, right = tangents
        derivative, of_u = self._product(results[0])
        directions = [*recordable(self.operand_shapes[:-2], moved), np.zeros(len(of_u))]
        change = -evaluated(derivative.pushed, [*given, of_u, *directions])[: self._n]
        if right is not None:
            change = change + right
        return [solved(self.inner, self._is_transposed, given, inverse, change)]


def solved(inner: Inner, is_transposed: bool, given: Sequence[Any], inverse: Any,
           right: Any) -> Any:  # fmt: skip
    """Return the solution of a linear system with an inner function's Jacobian, as a call."""
    operands = [*given, inverse, right]
    shapes = shapes_of(operands)
    return call(lambda is_active: LinearSolution(inner, is_transposed, shapes, is_active),
                operands)[0]  # fmt: skip
