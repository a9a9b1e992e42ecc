"""Functions of arrays that SciPy lacks: what the table's derivatives are made of beside its own.

`KERNELS` has them by name. Arrays are broadcast; the loops are compiled when first run.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import float64, types

from tapegrad.jit import Kernel
from tapegrad.special.densities import beta_density, gamma_density, t_density, t_score
from tapegrad.special.elementary import exponential_moment
from tapegrad.special.gamma import digamma_rise
from tapegrad.special.incomplete import betainc_by_a, gammainc_by_a, stdtr_by_df
from tapegrad.special.orders import harmonic_slope, kve_moment, zeta_by_order

Array = npt.NDArray[np.float64]

KERNELS: dict[str, Callable[..., Any]] = {}
"""By name, functions of arrays and numbers."""


def _kernel(function: Any) -> Any:
    """Register a loop that fills its last array."""
    arity = function.__code__.co_argcount - 1
    run = Kernel(function, types.void(*[float64[::1]] * (arity + 1)))

    def call(*operands: Any) -> Any:
        given: Any = [np.asarray(operand, np.float64) for operand in operands]
        shape = given[0].shape
        if any(operand.shape != shape for operand in given):
            given = np.broadcast_arrays(*given)
            shape = given[0].shape
        flat = [np.ascontiguousarray(operand).reshape(-1) for operand in given]
        out = np.empty(flat[0].size)
        run.run(*flat, out)
        return out.reshape(shape)[()]

    KERNELS[function.__name__.lstrip("_")] = call
    return function


@_kernel
def _gamma_density(a, x, out):
    for i in range(len(out)):
        out[i] = gamma_density(a[i], x[i])


@_kernel
def _beta_density(a, b, x, y, out):
    for i in range(len(out)):
        out[i] = beta_density(a[i], b[i], x[i], y[i])


@_kernel
def _t_density(df, t, out):
    for i in range(len(out)):
        out[i] = t_density(df[i], t[i])


@_kernel
def _t_score(df, t, out):
    for i in range(len(out)):
        out[i] = t_score(df[i], t[i])


@_kernel
def _gammainc_by_a(a, x, out):
    for i in range(len(out)):
        out[i] = gammainc_by_a(a[i], x[i])


@_kernel
def _betainc_by_a(a, b, x, y, out):
    for i in range(len(out)):
        out[i] = betainc_by_a(a[i], b[i], x[i], y[i])


@_kernel
def _stdtr_by_df(df, t, out):
    for i in range(len(out)):
        out[i] = stdtr_by_df(df[i], t[i])


@_kernel
def _kve_moment(n, v, x, out):
    for i in range(len(out)):
        out[i] = kve_moment(n[i], v[i], x[i])


@_kernel
def _zeta_by_order(s, q, out):
    for i in range(len(out)):
        out[i] = zeta_by_order(s[i], q[i])


@_kernel
def _harmonic_slope(first, last, a, out):
    for i in range(len(out)):
        out[i] = harmonic_slope(first[i], last[i], a[i])


@_kernel
def _digamma_rise(x, y, out):
    for i in range(len(out)):
        out[i] = digamma_rise(x[i], y[i])


@_kernel
def _exponential_moment(n, x, out):
    for i in range(len(out)):
        out[i] = exponential_moment(n[i], x[i])


# --- elliptic integrals ---------------------------------------------------------------------------

_CANCELS = 0.05


def _apart_from_zero(quotient: Callable[..., Any], m: Any, factor: float, a: float) -> Any:
    """Return a quotient by m, or near zero, where it cancels, its hypergeometric series."""
    m = np.asarray(m, np.float64)
    is_near = np.abs(m) < _CANCELS
    found = np.asarray(quotient(np.where(is_near, 0.5, m)))
    if is_near.any():
        special = importlib.import_module("scipy.special")
        found[is_near] = factor * math.pi * special.hyp2f1(a, 1.5, 2.0, m[is_near])
    return found[()]


def _ellipk_slope(m: Any) -> Any:
    """Return the derivative of the complete elliptic integral of the first kind."""
    special = importlib.import_module("scipy.special")
    return _apart_from_zero(
        lambda m: (special.ellipe(m) / (1.0 - m) - special.ellipk(m)) / (2.0 * m), m, 0.125, 1.5
    )


def _ellipe_slope(m: Any) -> Any:
    """Return the derivative of the complete elliptic integral of the second kind."""
    special = importlib.import_module("scipy.special")
    return _apart_from_zero(
        lambda m: (special.ellipe(m) - special.ellipk(m)) / (2.0 * m), m, -0.125, 0.5
    )


KERNELS["ellipk_slope"], KERNELS["ellipe_slope"] = _ellipk_slope, _ellipe_slope


# --- the Faddeeva function, by its real and its imaginary part ------------------------------------

_TWO_OVER_SQRT_PI = 2.0 / math.sqrt(math.pi)
_FAR = 8.0
_FAR_TERMS = 26


def _faddeeva_slope(x: Any, y: Any) -> Any:
    """Return the derivative of w(x + iy); far out by its series, as there the formula cancels."""
    z = np.asarray(x + 1j * np.asarray(y, np.float64))
    near = -2.0 * z * importlib.import_module("scipy.special").wofz(z) + 1j * _TWO_OVER_SQRT_PI
    is_far = np.abs(z) > _FAR
    if not is_far.any():
        return near
    is_infinite = np.isinf(np.abs(z))
    z = np.where(is_far & ~is_infinite, z, _FAR)
    inverse = 1.0 / z**2
    total = np.zeros_like(z)
    for k in range(_FAR_TERMS, 0, -1):
        total = (1.0 + total) * (k + 0.5) * inverse
    far = -0.5j * _TWO_OVER_SQRT_PI * (1.0 + total) * inverse
    # What the series leaves out matters where all the rest is imaginary.
    far = far - np.where(np.abs(z.real) > z.imag, 2.0 * z * np.exp(-(z**2)), 0.0)
    return np.where(is_infinite, 0.0, np.where(is_far, far, near))


def _of_faddeeva(name: str, is_slope: bool, part: str) -> None:
    def call(x: Any, y: Any) -> Any:
        if is_slope:
            found = _faddeeva_slope(x, y)
        else:
            found = importlib.import_module("scipy.special").wofz(x + 1j * np.asarray(y))
        return getattr(found, part)[()]

    KERNELS[name] = call


_of_faddeeva("wofz_real", False, "real")
_of_faddeeva("wofz_imaginary", False, "imag")
_of_faddeeva("wofz_slope_real", True, "real")
_of_faddeeva("wofz_slope_imaginary", True, "imag")


def _real_lambertw(x: Any, k: Any, tol: Any) -> Any:
    """Return a real branch of Lambert's function; an error where it's complex."""
    found = importlib.import_module("scipy.special").lambertw(x, np.asarray(k, int), tol)
    if np.any(found.imag != 0.0):
        raise ValueError(
            "lambertw is complex here, below -1 / e or, on the branch -1, above 0: only its real "
            "values can be differentiated"
        )
    return found.real


KERNELS["real_lambertw"] = _real_lambertw
