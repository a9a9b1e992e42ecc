"""scipy.integrate.quad_vec and fixed_quad: integrals of functions that return arrays."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tapegrad.blocks import Shapes
from tapegrad.function.arguments import shape_of
from tapegrad.function.vectors import Vector
from tapegrad.implicit.evaluation import shapes_of
from tapegrad.implicit.functions import Function, Use, with_inner
from tapegrad.implicit.inner import Inner
from tapegrad.implicit.quadrature.courses import note, noted
from tapegrad.implicit.quadrature.integrals import Integral
from tapegrad.implicit.quadrature.quad_rule import MOST_TOL, primal
from tapegrad.implicit.quadrature.ranges import Course, Limits, Root, at, inside, split
from tapegrad.implicit.solver_rules import scipy_solver_rule, scipys
from tapegrad.implicit.switches import may_switch
from tapegrad.record.active import Active
from tapegrad.record.array import ActiveArray
from tapegrad.record.called import call
from tapegrad.record.functions.operands import is_active

MOST_BREAKS = 64
"""How many of the value's parts a derivative begins with."""


class QuadVec(NamedTuple):
    """The options of `scipy.integrate.quad_vec`, and the shape of what is integrated."""

    epsabs: float
    epsrel: float
    norm: Any
    cache_size: float
    limit: float
    points: tuple[float, ...] | None
    quadrature: str | None
    shape: tuple[int, ...]

    @property
    def tol(self) -> float:
        """The relative error of derivatives."""
        return float(min(max(self.epsrel, 1e-13), MOST_TOL))

    def found(self, integrand: Callable[[float], Any], limits: Limits) -> Any:
        """Return what SciPy does, with all that it tells."""
        options = self._asdict()
        del options["shape"]
        return scipys("scipy.integrate.quad_vec")(
            integrand, limits.a, limits.b, full_output=True, **options
        )

    def course(self, inner: Inner, limits: Limits, given: Vector) -> Course:
        """Return what the value found on its way, of the last integral if it's the same."""
        return noted(self, inner, limits, given, lambda: self.value(inner, limits, given))

    def value(self, inner: Inner, limits: Limits, given: Vector) -> Any:
        """Return what SciPy does for an inner function, and note its course."""
        inputs, times = at(inside(*limits[:2]), given), list[float]()
        switches = may_switch(inner, inputs, (0,))

        def integrand(t: float) -> Any:
            times.append(t)
            inputs[0] = t
            values = inner.values(inputs).reshape(self.shape)
            return values if self.shape else float(values)

        found = self.found(integrand, limits)
        a, b = limits[:2]
        low, high = min(a, b), max(a, b)
        breaks = {x for x in self.points or () if low < x < high}
        if np.isfinite(low) and np.isfinite(high) and len(found[2].intervals) < MOST_BREAKS:
            breaks |= {x for x in np.ravel(found[2].intervals).tolist() if low < x < high}
        is_down = a > b
        ends = [a, *sorted(breaks, reverse=is_down), b]
        # At infinite ends and none beyond.
        seen = {t for t in times if np.isfinite(t)} if switches else ()
        note(self, inner, limits, given, Course(tuple(ends), tuple(sorted(seen, reverse=is_down))))
        return found


class VectorQuadrature(Integral):
    """Integrals as SciPy finds them together, and its estimate of the error."""

    def __init__(self, inner: Inner, options: QuadVec, shapes: Shapes,
                 is_active: tuple[bool, ...]) -> None:  # fmt: skip
        super().__init__(Root(inner, options), inner, 0, shapes, is_active, ((),))
        self._options = options

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the results."""
        limits, given = split(operands)
        value, error, _ = self._options.value(self.inner, limits, given)
        return [np.ravel(value), error]


def _array(unknowns: Any, result: Any) -> Any:
    if isinstance(result, ActiveArray | Active):
        return result
    return np.asarray(result, np.float64) if np.ndim(result) else float(result)


_USE = Use("the integral", _array)


@scipy_solver_rule("scipy.integrate.quad_vec", functions="f")
def quad_vec(f: Any, a: Any, b: Any, epsabs: Any = 1e-200, epsrel: Any = 1e-8, norm: Any = "2",
             cache_size: Any = 100e6, limit: Any = 10000, points: Any = None,
             quadrature: Any = None, *, args: Any = ()) -> Any:  # fmt: skip
    """Record the integrals of an array's elements; the error has no derivative."""
    args = args if isinstance(args, tuple) else (args,)
    known = None if points is None else tuple([float(primal(x)) for x in points])

    def body(function: Function, operands: list[Any]) -> Any:
        (spec,) = function.result.specs
        shape = shape_of(spec)
        options = QuadVec(epsabs, epsrel, norm, cache_size, limit, known, quadrature, shape)
        given = [a, b, np.empty(0), *operands[1:]]
        shapes = shapes_of(given)
        value, error = call(
            lambda active: VectorQuadrature(function, options, shapes, active), given
        )
        return (value.reshape(shape) if shape else value[0]), error[()]

    found: Any = with_inner(f, _USE, (inside(primal(a), primal(b)),), args, {}, body)
    return found


@scipy_solver_rule("scipy.integrate.fixed_quad", functions="func")
def fixed_quad(func: Any, a: Any, b: Any, args: Any = (), n: Any = 5) -> Any:
    """Record a sum at Gauss' nodes: the function is called as it stands."""
    nodes, weights = importlib.import_module("scipy.special").roots_legendre(n)
    if np.isinf(primal(a)) or np.isinf(primal(b)):
        raise ValueError("Gaussian quadrature is only available for finite limits.")
    y = (b - a) * (np.real(nodes) + 1) / 2.0 + a
    values = func(y, *args)
    found = np.sum(weights * (values if is_active(values) else np.asarray(values)), axis=-1)
    return (b - a) / 2.0 * found, None
