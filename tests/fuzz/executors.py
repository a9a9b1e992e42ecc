"""Every way to run a program: each gives value and gradient, or a product, at a point.

What is recorded for one executor can't be used by another: each gets a function of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import tapegrad as tg
from tapegrad.passes import simplified

Vector = npt.NDArray[np.float64]
Found = tuple[float, Vector]
Function = Callable[[Any], Any]


def fresh(function: Function) -> Function:
    """Return a function of its own that does the same."""
    return lambda x: function(x)


def recorded_at(function: Function, x: Vector) -> Found:
    """Return value and gradient of a recording made at the point."""
    return tg.value_and_grad(fresh(function), compile="never")(x)


def replayed(function: Function) -> Callable[[Vector], Found]:
    """Return what replays one function's recordings."""
    return tg.value_and_grad(fresh(function), compile="never")


def machine(function: Function, strict: bool) -> Callable[[Vector], Found]:
    """Return what runs as machine code wherever it has been recorded."""
    derivative = tg.value_and_grad(fresh(function), compile="now", strict=strict)

    def call(x: Vector) -> Found:
        derivative(x)
        return derivative(x)

    return call


def pulled(function: Function, x: Vector) -> Found:
    """Return value and gradient by a vector-Jacobian product."""
    value, pull = tg.vjp(fresh(function), x)
    return value, pull(1.0)[0]


def by_columns(function: Function, x: Vector) -> Vector:
    """Return the gradient by forward sweeps."""
    return tg.jacobian(fresh(function), mode="forward", compile="never")(x)


def tangent(function: Function, x: Vector, direction: Vector) -> tuple[float, float]:
    """Return the value and its derivative in a direction."""
    return tg.jvp(fresh(function), (x,), (direction,))


HESSIAN_PRODUCTS: dict[str, Callable[[Function, Vector, Vector], Vector]] = {
    "hvp": lambda f, x, v: tg.hvp(fresh(f), compile="never")(x, v),
    "hvp in machine code": lambda f, x, v: _twice(tg.hvp(fresh(f), compile="now"), x, v),
    "rows of the Hessian": lambda f, x, v: v @ tg.hessian(fresh(f), compile="never")(x),
    "columns of the Hessian": lambda f, x, v: tg.hessian(fresh(f), compile="never")(x) @ v,
    "gradient of a product": lambda f, x, v: tg.grad(lambda y: tg.grad(fresh(f))(y) @ v)(x),
    "tangent of the gradient": lambda f, x, v: tg.jvp(tg.grad(fresh(f)), (x,), (v,))[1],
    "gradient of a tangent": lambda f, x, v: tg.grad(
        lambda y: tg.jvp(fresh(f), (y,), (v,))[1]
    )(x),
}  # fmt: skip
"""A Hessian times a direction, in every order of the sweeps."""


def _twice(product: Any, x: Vector, v: Vector) -> Vector:
    product(x, v)
    return product(x, v)


def form(compiled: Any) -> Callable[[Vector], Found]:
    """Return the form for compiled code of a Numba function's gradient."""
    derivative = tg.value_and_grad(compiled)

    def call(x: Vector) -> Found:
        out = np.full(len(x), np.nan)
        return derivative.njit(x, out), out

    return call


def tapes(function: Function, x: Vector) -> list[tg.Tape]:
    """Return the recording made at a point, and its simplified form."""
    derivative = tg.value_and_grad(fresh(function), compile="never")
    derivative(x)
    (recording,) = derivative.recorded.recordings
    return [recording.tape, simplified(recording.tape)]
