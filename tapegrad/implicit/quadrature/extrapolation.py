"""Integrals that bisection doesn't find: QUADPACK's extrapolation, component by component."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tapegrad.function.vectors import Vector
from tapegrad.implicit.quadrature.adaptive import Estimate
from tapegrad.record.scipy.recognised import plain_function

MOST_INTERVALS = 200


def extrapolated(integrand: Callable[[float], Vector], n: int, parts: Sequence[tuple[float, float]],
                 tol: float) -> tuple[Estimate, bool]:  # fmt: skip
    """Return the integral over parts, of `n` components, and whether all are within the tolerance.

    The components share what is computed at a point.
    """
    quad = plain_function("scipy.integrate.quad")
    known: dict[float, Vector] = {}

    def at(t: float) -> Vector:
        if t not in known:
            known[t] = integrand(t)
        return known[t]

    total, is_well = np.zeros((3, n)), True
    for k in range(n):
        for part in parts:
            for row, function in ((0, lambda t, k=k: at(t)[k]), (2, lambda t, k=k: abs(at(t)[k]))):
                tolerance = tol if row == 0 else 1e-2
                with np.errstate(all="ignore"):
                    found = quad(function, *part, epsabs=tol * total[2, k], epsrel=tolerance,
                                 limit=MOST_INTERVALS, full_output=1)  # fmt: skip
                total[row, k] += abs(found[0]) if row == 2 else found[0]
                if row == 0:
                    total[1, k] += found[1]
                    is_well = is_well and len(found) == 3
    return Estimate(*total), is_well
