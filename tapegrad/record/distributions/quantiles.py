"""Distribution functions and their inverses, where SciPy's code is no formula that can be recorded.

A quantile's value is SciPy's. Its derivatives are those of a root of `F(z) = q`: two of Newton's
steps from it, of which each doubles the order up to which they're right, are recorded, without
changing the value. A distribution function's derivative by its point is the density.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Constant, Shapes
from tapegrad.record.called import call
from tapegrad.record.distributions.scipy_code import NO_FORMULA, recorded
from tapegrad.record.functions.operands import is_active
from tapegrad.record.plain import has_derivative
from tapegrad.record.stopping import stop_gradient


class Value(Constant):
    """What a method of a distribution returns, which has no derivative, or is given one elsewhere.

    Parameters
    ----------
    dist : rv_generic
    method : str
    operand_shapes : tuple of tuple of int
        Of the point and of the shape parameters.
    is_active : tuple of bool
    """

    def __init__(self, dist: Any, method: str, operand_shapes: Shapes,
                 is_active: tuple[bool, ...]) -> None:  # fmt: skip
        self.dist, self.method = dist, method
        shape = np.broadcast_shapes(*operand_shapes)
        super().__init__(f"{dist.name}.{method}", operand_shapes, (shape,), is_active)

    @property
    def _identity(self) -> Any:
        return type(self), id(self.dist), self.method, self.operand_shapes, self.is_active

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return SciPy's value."""
        return [np.asarray(getattr(self.dist, self.method)(*operands), np.float64)]


_SIGNS = {"cdf": 1.0, "logcdf": 1.0, "sf": -1.0, "logsf": -1.0}


class Cumulative(Value):
    """A distribution function of its point, whose derivative is the density."""

    def _slope(self, dist: Any, operands: Sequence[Any], results: Sequence[Any]) -> Any:
        density = dist(*operands)
        sign = _SIGNS[self.method]
        return sign * (density / np.exp(results[0]) if "log" in self.method else density)

    def _pulled(self, dist: Any, operands: Any, results: Any, adjoints: Any) -> Sequence[Any]:
        slope = self._slope(dist, operands, results)
        return [slope * adjoints[0], *[None] * (len(operands) - 1)]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the point's adjoint."""
        return self._pulled(self.dist.pdf, operands, results, adjoints)

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the result's tangent."""
        return [self._slope(self.dist.pdf, operands, results) * tangents[0]]

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the point's adjoint, recorded."""
        return self._pulled(recorded(self.dist)._pdf, operands, results, adjoints)

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the result's tangent, recorded."""
        return [self._slope(recorded(self.dist)._pdf, operands, results) * tangents[0]]


def _called(kind: type[Value], dist: Any, method: str, operands: Sequence[Any]) -> Any:
    shapes = tuple(tuple(np.shape(operand)) for operand in operands)
    found = call(lambda active: kind(dist, method, shapes, active), operands)
    return found[0]


def steps(dist: Any, method: str, operands: Sequence[Any]) -> Any:
    """Record a method of a point and shape parameters as one without derivative."""
    return _called(Value, dist, method, operands)


def cumulative(dist: Any, twin: Any, method: str, point: Any, shapes: Sequence[Any],
               is_discrete: bool = False) -> Any:  # fmt: skip
    """Record a distribution function, or its complement, or the logarithm of one."""
    try:
        return getattr(twin, f"_{method}")(point, *shapes)
    except NO_FORMULA:
        if any(is_active(shape) and has_derivative(shape) for shape in shapes):
            raise
    if is_discrete:
        return steps(dist, method, [point, *shapes])
    size = np.broadcast_shapes(*map(np.shape, (point, *shapes)))
    return _called(Cumulative, dist, method, [np.broadcast_to(point, size), *shapes])


def inverse(dist: Any, twin: Any, method: str, q: Any, shapes: Sequence[Any]) -> Any:
    """Record a quantile of the standard distribution, of a cdf or of its complement."""
    try:
        return getattr(twin, f"_{method}")(q, *shapes)
    except NO_FORMULA:
        value = stop_gradient(steps(dist, method, [q, *shapes]))
    rising, sign = ("cdf", 1.0) if method == "ppf" else ("sf", -1.0)
    z = value
    for _ in range(2):
        residual = cumulative(dist, twin, rising, z, shapes) - q
        z = z - sign * residual / twin._pdf(z, *shapes)
    return value + (z - stop_gradient(z))
