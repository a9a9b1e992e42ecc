"""A client of the library as a type checker sees it; it runs, too."""

from typing import assert_type

import numpy as np
import numpy.typing as npt

import tapegrad as tg

Vector = npt.NDArray[np.float64]


def loss(x: Vector, k: float = 2.0) -> float:
    total: float = k * np.sum(x**2)
    return total


def residuals(x: Vector) -> Vector:
    return x * x


@tg.grad
def slope(x: float) -> float:
    return x * x


def fit(x: Vector) -> Vector:
    value, gradient = tg.value_and_grad(loss)(x, 3.0)
    assert_type(value, float)
    assert_type(gradient, Vector)
    assert_type(slope(2.0), float)
    assert_type(tg.jacobian(residuals)(x), Vector)
    return gradient


def curvature(x: Vector) -> Vector:
    return tg.hessian(loss)(x)


def product(x: Vector, v: Vector) -> Vector:
    return tg.hvp(loss)(x, v)


def by_k(x: Vector, k: float) -> float:
    derivative: float = tg.grad(loss, argnums="k")(x, k=k)
    return derivative


@tg.custom_rule(vjp=lambda cotangent, result, x: 2.0 * cotangent * x)
def square(x: Vector) -> Vector:
    return x * x


def by_rule(x: Vector) -> Vector:
    assert_type(square(x), Vector)
    derivative: Vector = tg.jacobian(square)(x)
    return derivative
