"""Integrals that bisection doesn't find: QUADPACK's extrapolation, component by component."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tapegrad.function.vectors import Vector
from tapegrad.implicit.quadrature.adaptive import Estimate
from tapegrad.implicit.solver_rules import scipys

MOST_INTERVALS = 200

_INEXACT = ("The maximum number of subdivisions", "The occurrence of roundoff error is detected")
"""What SciPy says of integrals that are as exact as it estimates."""


def extrapolated(integrand: Callable[[float], Vector], n: int, parts: Sequence[tuple[float, float]],
                 tol: float) -> tuple[Estimate, bool]:  # fmt: skip
    """Return the integral over parts, of `n` components, and whether all are within the tolerance.

    The components share what is computed at a point.
    """
    quad = scipys("scipy.integrate.quad")
    known: dict[float, Vector] = {}

    def at(t: float) -> Vector:
        if t not in known:
            known[t] = integrand(t)
        return known[t]

    total, is_well = np.zeros((3, n)), True
    for k in range(n):
        for part in parts:
            with np.errstate(all="ignore"):
                value, error, info, *said = quad(
                    lambda t, k=k: at(t)[k], *part, epsabs=0.0, epsrel=tol, limit=MOST_INTERVALS,
                    full_output=1,
                )  # fmt: skip
            if said and not said[0].startswith(_INEXACT):
                error = np.inf  # what is estimated is no integral's
            total[:, k] += value, error, np.abs(info["rlist"][: info["last"]]).sum()
            is_well = is_well and not said
    return Estimate(*total), is_well
