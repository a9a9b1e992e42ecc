"""`BSpline` of active coefficients or at active places: values, derivatives and integrals."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from tapegrad.record.interpolation.bases import (
    CLAMPED,
    EXTRAPOLATED,
    NOWHERE,
    SplineBasis,
    table_of,
)
from tapegrad.record.interpolation.interpolants import (
    keep,
    method,
    places_of,
    plain_class,
    plainly,
    primal,
    settled,
    shaped,
)
from tapegrad.record.interpolation.interpolate_private import held_by
from tapegrad.record.interpolation.lookups import evaluated
from tapegrad.record.interpolation.pieces import check_real, integral_between, wrapped
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import is_held, no_rule


def at_splines(t: Any, c: Any, k: int, places: Any, nu: int = 0, beyond: int = EXTRAPOLATED) -> Any:
    """Return derivatives of a spline at places.

    Parameters
    ----------
    t : array_like, shape (n + k + 1,)
    c : array_like, shape (n, ...) or longer
    k : int
    places : array_like, shape (m, 1)
    nu : int
    beyond : {NOWHERE, EXTRAPOLATED, CLAMPED, REFUSED}

    Returns
    -------
    array_like, shape (m, r)
    """
    check_knots(t)
    n, flat = len(t) - k - 1, (len(c), math.prod(c.shape[1:]))
    if is_held(c):
        table = c[:n].reshape(n, flat[1])
    else:
        table = table_of(c, flat) if len(c) == n else c[:n].reshape(n, flat[1])
    return evaluated(SplineBasis(table_of(t), k, beyond), places, table, (nu,))


def check_knots(t: Any, what: str = "a B-spline") -> None:
    """Refuse active knots."""
    if is_held(t):
        raise no_rule(f"{what} of active knots", "use scipy.interpolate.CubicSpline, whose "
                      "breakpoints may be active, or ")  # fmt: skip


@method("BSpline.__call__")
def _call(self: Any, x: Any, nu: Any = 0, extrapolate: Any = None) -> Any:
    nu = operator.index(nu)
    if nu < 0:
        raise ValueError(f"Cannot do derivative order {nu}.")
    extrapolate = self.extrapolate if extrapolate is None else extrapolate
    t, c, k = held_by(self, "t"), held_by(self, "c"), self.k
    check_real(c, self)
    places, shape = places_of(x)
    if extrapolate == "periodic":
        places, extrapolate = wrapped(places, t[k], t[len(t) - k - 1]), False
    found = at_splines(t, c, k, places, nu, EXTRAPOLATED if extrapolate else NOWHERE)
    return shaped(found, shape + c.shape[1:], self.axis, len(shape))


def _made(kind: type, t: Any, c: Any, k: int, extrapolate: Any, axis: int) -> Any:
    """Return a spline of a class, as SciPy's own methods make them."""
    check_knots(t)
    return keep(object.__new__(kind), {"t": t, "c": c}, k=k, extrapolate=extrapolate, axis=axis)


@method("BSpline.construct_fast")
def _construct_fast(cls: Any, t: Any, c: Any, k: Any, extrapolate: Any = True,
                    axis: Any = 0) -> Any:  # fmt: skip
    return _made(cls, operand(t), operand(c), k, extrapolate, axis)


@method("BSpline.__init__")
def _init(self: Any, t: Any, c: Any, k: Any, extrapolate: Any = True, axis: Any = 0) -> None:
    check_knots(t)
    expected = plainly(plain_class("BSpline"), t, c, k, extrapolate, axis)
    c = np.moveaxis(operand(c), axis, 0)
    keep(self, {"t": held_by(expected, "t"), "c": c}, k=expected.k,
         extrapolate=expected.extrapolate, axis=expected.axis)  # fmt: skip


# --- other splines of it ----------------------------------------------------------------------


def padded(t: Any, c: Any) -> Any:
    """Return coefficients with zeros after them, as many as there are knots."""
    missing = len(t) - len(c)
    return c if missing <= 0 else np.concatenate([c, np.zeros((missing, *c.shape[1:]))])


def differentiated(t: Any, c: Any, k: int, order: int) -> tuple[Any, Any, int]:
    """Return a spline's derivative, by knots, padded coefficients and degree."""
    c = padded(t, c)
    for _ in range(order):
        widths = (t[k + 1 : -1] - t[1 : -k - 1]).reshape(-1, *[1] * (c.ndim - 1))
        c = (c[1 : -1 - k] - c[: -2 - k]) * float(k) / widths
        c = np.concatenate([c, np.zeros((k, *c.shape[1:]))])
        t, k = t[1:-1], k - 1
    return t, c, k


def integrated(t: Any, c: Any, k: int, order: int) -> tuple[Any, Any, int]:
    """Return a spline's antiderivative, by knots, padded coefficients and degree."""
    c = padded(t, c)
    for _ in range(order):
        widths = (t[k + 1 :] - t[: -k - 1]).reshape(-1, *[1] * (c.ndim - 1))
        c = np.cumsum(c[: -k - 1] * widths, axis=0) / float(k + 1)
        last = np.stack([operand(c[-1])] * (k + 2))
        c = np.concatenate([np.zeros((1, *c.shape[1:])), c, last])
        t, k = np.concatenate([t[:1], t, t[-1:]]), k + 1
    return t, c, k


def _check_order(self: Any, name: str, order: int) -> None:
    """Have SciPy raise if it has no such spline."""
    kind = plain_class("BSpline")
    plain = kind.construct_fast(held_by(self, "t"), primal(held_by(self, "c")), self.k)
    getattr(plain, name)(order)


@method("BSpline.derivative")
def _derivative(self: Any, nu: Any = 1) -> Any:
    _check_order(self, "derivative", nu)
    make = differentiated if nu >= 0 else integrated
    t, c, k = make(held_by(self, "t"), held_by(self, "c"), self.k, abs(nu))
    return _made(type(self), t, c, k, self.extrapolate, self.axis)


@method("BSpline.antiderivative")
def _antiderivative(self: Any, nu: Any = 1) -> Any:
    _check_order(self, "antiderivative", nu)
    make = integrated if nu >= 0 else differentiated
    t, c, k = make(held_by(self, "t"), held_by(self, "c"), self.k, abs(nu))
    extrapolate = False if self.extrapolate == "periodic" else self.extrapolate
    return _made(type(self), t, c, k, extrapolate, self.axis)


@method("BSpline.integrate")
def _integrate(self: Any, a: Any, b: Any, extrapolate: Any = None) -> Any:
    extrapolate = self.extrapolate if extrapolate is None else extrapolate
    check_real(held_by(self, "c"), self)
    is_periodic = extrapolate == "periodic"
    beyond = EXTRAPOLATED if extrapolate and not is_periodic else CLAMPED
    t, c, k = held_by(self, "t"), held_by(self, "c"), self.k
    found = spline_integral(t, settled(c), k, a, b, beyond, is_periodic)
    return shaped(found, c.shape[1:], 0, 0)


def spline_integral(t: Any, c: Any, k: int, a: Any, b: Any, beyond: int,
                    is_periodic: bool = False) -> Any:  # fmt: skip
    """Return the integral of a spline, shape (1, r)."""
    check_knots(t)
    whole = integrated(t, c, k, 1)

    def until(place: Any) -> Any:
        return at_splines(*whole, operand(place).reshape(1, 1), 0, beyond)

    return integral_between(until, a, b, t[k], t[len(t) - k - 1], is_periodic)
