"""The blocks of what SciPy's solvers find, and what they tell of how they found it.

What has no derivative is an error only where that is asked for: a program may look at `success`,
and do without.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tapegrad.blocks import Block
from tapegrad.errors import NoConvergenceError
from tapegrad.function.postponed import postpone
from tapegrad.implicit.evaluation import shapes_of
from tapegrad.implicit.optimize.given_functions import Given, primal
from tapegrad.implicit.optimize.scipy_methods import (
    FAILED,
    HAVE_NONE,
    LATEST,
    TOLD,
    Outcome,
    SciPyMethod,
)
from tapegrad.implicit.solution import Layout, Solution
from tapegrad.record.active import guard_all
from tapegrad.record.array import ActiveArray
from tapegrad.record.called import call
from tapegrad.record.scipy.families import asks, operand
from tapegrad.record.stopping import stop_gradient


class SciPySolution(Solution):
    """A solution that SciPy finds; if it has no derivative, using one is an error."""

    method: SciPyMethod

    def has_none(self, results: Sequence[Any]) -> bool:
        """Whether there's no derivative here; that is guarded where it's recorded."""
        more = results[-1]
        if isinstance(more, ActiveArray):
            guard_all(more.tape, more.data["slot"][FAILED:], more.data["value"][FAILED:])
        return bool(primal(more)[FAILED])

    def why(self, operands: Sequence[Any]) -> Exception:
        """Return the error that says why there's no derivative, which is found again."""
        try:
            self.solved(operands, functools.partial(self.method.solve, is_strict=True))
        except HAVE_NONE as error:
            return error
        return NoConvergenceError(f"{self.method.equations_name} has no derivative here", (),
                                  np.array(operands[0]))  # fmt: skip

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints."""
        if not asks(adjoints[0]):
            return [None] * len(operands)
        if self.has_none(results):
            raise self.why(operands)
        return super().pullback(operands, results, adjoints)

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pullback, as calls."""
        if not asks(adjoints[0]):
            return [None] * len(operands)
        if self.has_none(results):
            raise self.why([*map(primal, operands)])
        return super().recorded_pullback(operands, results, adjoints)

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the results' tangents."""
        if self.has_none(results):
            postpone(self.why(operands))
            return self._of_results(np.full(self.layout.n, np.nan))
        return super().pushforward(operands, results, tangents)

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pushforward, as calls."""
        if self.has_none(results):
            why = call(lambda is_active: NoTangent(self, is_active), operands)[0]
            return self._of_results(why)
        return super().recorded_pushforward(operands, results, tangents)


class NoTangent(Block):
    """NaN where a solution has no derivative, which is an error if it's used."""

    def __init__(self, solution: SciPySolution, is_active: tuple[bool, ...]) -> None:
        results = ((solution.layout.n,),)
        super().__init__("no tangent", solution.operand_shapes, results, is_active)
        self._solution = solution

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return NaN."""
        postpone(self._solution.why(operands))
        return [np.full(self._solution.layout.n, np.nan)]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return nothing, or raise."""
        if not asks(adjoints[0]):
            return [None] * len(operands)
        raise self._solution.why([*map(primal, operands)])

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return NaN."""
        return [results[0]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NoTangent) and (
            (other.is_active, other._solution) == (self.is_active, self._solution)
        )

    def __hash__(self) -> int:
        return hash((NoTangent, self._solution))


class Told(NamedTuple):
    """What SciPy's function tells of how it went.

    Attributes
    ----------
    more : array
        Its numbers, which may be others at other points: what is read is guarded.
    run : Outcome
        SciPy's own where it was recorded.
    """

    more: Any
    run: Outcome

    def tells(self, key: str) -> bool:
        """Whether it's a number, a truth value or a text of SciPy's result."""
        return key in TOLD and key in self.run.items

    def read(self, key: str) -> Any:
        """Return one of these."""
        if isinstance(self.more, ActiveArray):
            data = self.more.data[TOLD.index(key) :][:1]
            guard_all(self.more.tape, data["slot"], data["value"])
        return self.run.items[key]


def solved(method: SciPyMethod, n: int, starts: Sequence[Any], given: Sequence[Given],
           bounds: Sequence[Any] = ()) -> tuple[Any, Told]:  # fmt: skip
    """Return what a method finds, recorded as a call, and what else SciPy tells.

    Parameters
    ----------
    method : SciPyMethod
    n : int
        How many unknowns there are.
    starts : sequence
        What the method's roles are given.
    given : sequence of Given
        Its functions.
    bounds : sequence, optional
        The lower and the upper ones.
    """
    first, *others = given
    aside = [stop_gradient(x) for function in others for x in function.parameters]
    before = [*map(as_start, starts), *aside]
    operands = [*before, *first.parameters, *bounds]
    layout = Layout(n, bool(bounds), len(before), FAILED + 1)
    shapes = shapes_of(operands)
    found = call(lambda is_active: SciPySolution(method, layout, shapes, is_active), operands)
    run, LATEST.run = LATEST.run, None
    assert run is not None, "a call was recorded"
    return found[0], Told(found[-1], run)


def as_start(x: Any) -> Any:
    """Return numbers to start from as an operand; they have derivative zero."""
    return stop_gradient(operand(x)) if np.ndim(x) else stop_gradient(operand(x)) * 1.0
