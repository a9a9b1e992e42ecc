"""One workload: a point, data, the function compiled by Numba, and a reference derivative."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Workload:
    """What a peer is given.

    `compiled(x, *data)` is the function on floats. `reference(x, *data)` returns its value and its
    derivative: the gradient in the shape of `x`, or for a vector-valued function the derivative of
    each output, stacked in front.
    """

    family: str
    x: Array
    data: tuple[Array, ...]
    compiled: Callable[..., Any]
    reference: Callable[..., tuple[Any, Array]]


def complex_step(function: Callable[..., Any], x: Array, *data: Array) -> tuple[Any, Array]:
    """Value and derivative of `function` along each x[i] (a number or a row), exact to rounding.

    The imaginary part of f(x + 1e-200 i e) is 1e-200 times the derivative along e: no difference
    is taken (Squire and Trapp, SIAM Review 40, 1998).
    """
    columns = []
    for i in range(len(x)):
        point = x.astype(complex)
        point[i] += 1e-200j
        columns.append(np.imag(function(point, *data)) / 1e-200)
    return np.real(function(x.astype(complex), *data)), np.stack(columns, axis=-x.ndim)
