"""What is integrated of an inner function: its outputs, adjoints or tangents at each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tapegrad.function.points import valid_recording
from tapegrad.function.vectors import Vector
from tapegrad.implicit.inner import Inner
from tapegrad.implicit.quadrature.adaptive import Called, Estimate, integrated
from tapegrad.implicit.quadrature.extrapolation import extrapolated
from tapegrad.implicit.quadrature.ranges import at, inside
from tapegrad.implicit.quadrature.swept_integrands import PULLBACK, FailedError, swept


class Sought(NamedTuple):
    """Which numbers are integrated.

    Attributes
    ----------
    kind : {VALUES, PULLBACK, PUSHFORWARD}
    vector : ndarray or None
        Seeds or directions.
    taken : ndarray of int64
        Which of the numbers there are.
    """

    kind: int
    vector: Vector | None
    taken: Any

    def at(self, inner: Inner, inputs: Vector) -> Vector:
        """Return the numbers for given inputs."""
        if self.vector is None:
            found = inner.values(inputs)
        else:
            product = inner.pullback if self.kind == PULLBACK else inner.pushforward
            found = product(inputs, self.vector)
        taken: Vector = found[self.taken]
        return taken

    def integral(self, inner: Inner, given: Vector, parts: Sequence[tuple[float, float]],
                 tol: float) -> tuple[Estimate, bool]:  # fmt: skip
        """Return the numbers' integrals over parts, and whether they're within the tolerance."""
        n, inputs = len(self.taken), at(inside(*parts[0]), given)
        try:
            recording = inner.run(inputs, valid_recording)
            with swept(recording, self.kind, inputs, self.vector, self.taken) as integrand:
                found = integrated(integrand, n, parts, tol)
        except FailedError:
            called = Called(lambda t: self.at(inner, at(t, given)), n)
            found = integrated(called, n, parts, tol)
        if found[1]:
            return found
        return extrapolated(lambda t: self.at(inner, at(t, given)), n, parts, tol)
