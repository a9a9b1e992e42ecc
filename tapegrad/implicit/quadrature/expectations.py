"""Expectations under SciPy's continuous distributions: integrals, in the parts that SciPy takes."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np

from tapegrad.implicit.quadrature.quad_rule import integral_of
from tapegrad.implicit.solver_rules import solver_row
from tapegrad.record.distributions.methods import method
from tapegrad.record.distributions.scipy_code import recorded
from tapegrad.record.functions.operands import is_active
from tapegrad.record.stopping import stop_gradient

_TAIL = 0.05
"""The probability of each of the parts beside the body."""


def _weighted(func: Any, dist: Any, loc: Any, scale: Any, x: Any, *shapes: Any) -> Any:
    density = dist.pdf(x, *shapes, loc=loc, scale=scale)
    return (x if func is None else func(x)) * density


def _end(of_standard: Any, loc: Any, scale: Any) -> Any:
    """Return an end of the support: one that isn't at a scale's distance doesn't depend on it."""
    if is_active(of_standard):
        return loc + of_standard * scale
    if np.isinf(of_standard):
        return float(of_standard)
    return loc + of_standard * scale if of_standard else loc


@method("rv_continuous.expect", row=solver_row("func"))
def expect(self: Any, func: Any = None, args: Any = (), loc: Any = 0, scale: Any = 1,
           lb: Any = None, ub: Any = None, conditional: Any = False,
           **kwds: Any) -> Any:  # fmt: skip
    """Record an expectation."""
    twin = recorded(self)
    low, high = twin._get_support(*args)
    lb = _end(low, loc, scale) if lb is None else lb
    ub = _end(high, loc, scale) if ub is None else ub
    places = {"loc": loc, "scale": scale}
    below, above = (self.cdf(x, *args, **places) for x in (lb, ub))
    mass = above - below
    # Between parts the integrand is the same on both sides: it doesn't matter how they move.
    between = [
        loc + self.ppf(stop_gradient(below + mass * q), *args) * scale for q in (_TAIL, 1.0 - _TAIL)
    ]
    ends = [lb, *map(stop_gradient, between), ub]
    integrand = functools.partial(_weighted, func, self, loc, scale)
    found = [
        integral_of(integrand, one, other, tuple(args), func or self.pdf, False, **kwds)[0]
        for one, other in itertools.pairwise(ends)
    ]
    total = found[0] + found[1] + found[2]
    return total / mass if conditional else total
