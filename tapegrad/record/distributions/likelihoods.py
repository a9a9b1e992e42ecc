"""Log-densities of much data in few operations an element: what is of parameters alone is in front.

`DENSITIES` has for some of SciPy's classes the density's logarithm as a function of the distance
from `loc`, of `scale` and of the shape parameters, with support and all. None where it can't say.
None ends in a sum: that and the sum over the data would be one loop, of numbers found by a table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.record.distributions.case_formulas import special
from tapegrad.record.functions.operands import is_active

DENSITIES: dict[str, Callable[..., Any]] = {}


def _density(kind: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        DENSITIES[kind] = function
        return function

    return register


@_density("norm_gen")
def _norm(distance: Any, scale: Any) -> Any:
    constant = -0.5 * math.log(2.0 * math.pi) - np.log(scale)
    return constant - np.square(distance * (math.sqrt(0.5) / scale))


@_density("t_gen")
def _student(distance: Any, scale: Any, df: Any) -> Any:
    if not is_active(df) or bool(np.any(np.isinf(df.primal))):
        return None
    constant = -special().betaln(0.5 * df, 0.5) - 0.5 * np.log(df) - np.log(scale)
    return constant - 0.5 * (df + 1.0) * np.log1p(np.square(distance * (1.0 / scale)) / df)


@_density("gamma_gen")
def _gamma(distance: Any, scale: Any, a: Any) -> Any:
    if is_active(distance) or not np.all(distance > 0.0) or np.any(np.isinf(distance)):
        return None
    constant = -special().gammaln(a) - a * np.log(scale)
    return (constant + (a - 1.0) * np.log(distance)) - distance * (1.0 / scale)
