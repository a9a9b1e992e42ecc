"""Piecewise polynomials, `PPoly` and what derives from it: values, derivatives and integrals."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from tapegrad.record.active import Active
from tapegrad.record.functions.operands import truth
from tapegrad.record.interpolation.bases import (
    CLAMPED,
    EXTRAPOLATED,
    NOWHERE,
    PowerBasis,
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
from tapegrad.record.interpolation.lookups import evaluated, evaluated_at
from tapegrad.record.interpolation.table_rows import rows_at
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import is_held, no_rule

# --- values -----------------------------------------------------------------------------------


def at_pieces(c: Any, x: Any, places: Any, nu: int = 0, beyond: int = EXTRAPOLATED) -> Any:
    """Return derivatives of a piecewise polynomial at places.

    Parameters
    ----------
    c : array_like, shape (n_powers, n_pieces, ...)
    x : array_like, shape (n_pieces + 1,)
    places : array_like, shape (m, 1)
    nu : int
    beyond : {NOWHERE, EXTRAPOLATED, CLAMPED}

    Returns
    -------
    array_like, shape (m, r)
    """
    n, pieces, *more = c.shape
    r = math.prod(more)
    if not is_held(x):
        flat = (n * pieces, r)
        table = c.reshape(flat) if is_held(c) else table_of(c, flat)
        return evaluated(PowerBasis(table_of(x), n, beyond), places, table, (nu,))
    if beyond == CLAMPED or primal(x)[0] > primal(x)[-1]:
        raise no_rule("a piecewise polynomial of active breakpoints that descend")
    places = operand(places)[:, 0]
    rows = np.concatenate([x[:-1, None], np.moveaxis(c, 1, 0).reshape(pieces, n * r)], axis=1)
    rows = rows_at(places, x, rows)
    s, own = (places - rows[:, 0])[:, None], rows[:, 1:].reshape(len(places), n, r)
    found = own[:, 0] * 0.0 if nu >= n else own[:, 0] * math.perm(n - 1, nu)
    for k in range(n - 2, nu - 1, -1):
        found = found * s + own[:, n - 1 - k] * math.perm(k, nu)
    if beyond == NOWHERE:
        is_inside = (x[0] <= places) & (places <= x[-1])
        found = np.where(is_inside[:, None], found, np.nan)
    return found


def wrapped(places: Any, low: Any, high: Any) -> Any:
    """Return places moved by periods to where a function is known."""
    return low + (places - low) % (high - low)


@method("PPoly.__call__")
def _call(self: Any, x: Any, nu: Any = 0, extrapolate: Any = None) -> Any:
    nu = operator.index(nu)
    if nu < 0:
        raise ValueError("Order of derivative cannot be negative")
    extrapolate = self.extrapolate if extrapolate is None else extrapolate
    c, breaks = held_by(self, "c"), held_by(self, "x")
    check_real(c, self)
    if type(x) is Active and type(c) is type(breaks) is np.ndarray and c.ndim == 2:
        x, beyond = (wrapped(x, breaks[0], breaks[-1]), NOWHERE) if extrapolate == "periodic" else (
            x, EXTRAPOLATED if extrapolate else NOWHERE)  # fmt: skip
        basis = PowerBasis(table_of(breaks), c.shape[0], beyond)
        return evaluated_at(basis, x, table_of(c, (c.size, 1)), nu)
    places, shape = places_of(x)
    if extrapolate == "periodic":
        places, extrapolate = wrapped(places, breaks[0], breaks[-1]), False
    found = at_pieces(c, breaks, places, nu, EXTRAPOLATED if extrapolate else NOWHERE)
    return shaped(found, shape + c.shape[2:], self.axis, len(shape))


def check_real(c: Any, thing: Any) -> None:
    """Refuse complex coefficients."""
    if np.iscomplexobj(c):
        raise no_rule(f"{type(thing).__name__} of complex numbers")


# --- other polynomials of it ------------------------------------------------------------------


def _made(kind: type, c: Any, x: Any, extrapolate: Any, axis: int) -> Any:
    """Return a polynomial of a class, as SciPy's own methods make them."""
    extrapolate = True if extrapolate is None else extrapolate
    return keep(object.__new__(kind), {"c": c, "x": x}, extrapolate=extrapolate, axis=axis)


@method("PPoly.construct_fast")
def _construct_fast(cls: Any, c: Any, x: Any, extrapolate: Any = None, axis: Any = 0) -> Any:
    return _made(cls, operand(c), operand(x), extrapolate, axis)


@method("PPoly.__init__")
def _init(self: Any, c: Any, x: Any, extrapolate: Any = None, axis: Any = 0) -> None:
    plainly(plain_class("PPoly"), c, x, extrapolate, axis)
    c, x = operand(c), operand(x)
    if is_held(x):
        truth(np.diff(x) >= 0.0)
    if axis:
        c = np.moveaxis(np.moveaxis(c, axis + 1, 0), axis + 1, 0)
    extrapolate = True if extrapolate is None else extrapolate
    if extrapolate != "periodic":
        extrapolate = bool(extrapolate)
    keep(self, {"c": c, "x": x}, extrapolate=extrapolate, axis=axis)


@method("PPoly.derivative")
def _derivative(self: Any, nu: Any = 1) -> Any:
    nu = operator.index(nu)
    c, x = held_by(self, "c"), held_by(self, "x")
    if nu < 0:
        return _antiderivative(self, -nu)
    n = c.shape[0]
    if n <= nu:
        reduced = np.zeros((1, *c.shape[1:]))
    else:
        factors = np.array([float(math.perm(k, nu)) for k in range(n - 1, nu - 1, -1)])
        reduced = c[: n - nu] * factors.reshape(-1, *[1] * (c.ndim - 1))
    return _made(type(self), reduced, x, self.extrapolate, self.axis)


def integrals(c: Any, x: Any) -> Any:
    """Return the coefficients of the antiderivative that is 0 at the first breakpoint."""
    n = c.shape[0]
    powers = np.arange(n, 0.0, -1.0).reshape(-1, *[1] * (c.ndim - 1))
    raised = c / powers
    widths = np.diff(x).reshape(-1, *[1] * (c.ndim - 2))
    whole = raised[0] * widths
    for k in range(1, n):
        whole = (whole + raised[k]) * widths
    before = np.cumsum(whole, axis=0)[:-1]
    start = np.concatenate([np.zeros((1, *c.shape[2:])), before])
    return np.concatenate([raised, start[None]])


@method("PPoly.antiderivative")
def _antiderivative(self: Any, nu: Any = 1) -> Any:
    nu = operator.index(nu)
    if nu <= 0:
        return _derivative(self, -nu)
    c, x = held_by(self, "c"), held_by(self, "x")
    for _ in range(nu):
        c = integrals(c, x)
    extrapolate = False if self.extrapolate == "periodic" else self.extrapolate
    return _made(type(self), c, x, extrapolate, self.axis)


# --- integrals --------------------------------------------------------------------------------


@method("PPoly.integrate")
def _integrate(self: Any, a: Any, b: Any, extrapolate: Any = None) -> Any:
    extrapolate = self.extrapolate if extrapolate is None else extrapolate
    c, x = held_by(self, "c"), held_by(self, "x")
    check_real(c, self)
    return integral_of(settled(c), settled(x), a, b, extrapolate)


def integral_of(c: Any, x: Any, a: Any, b: Any, extrapolate: Any) -> Any:
    """Return the integral of a piecewise polynomial."""
    whole = integrals(c, x)

    def until(place: Any) -> Any:
        beyond = EXTRAPOLATED if extrapolate else NOWHERE
        return at_pieces(whole, x, operand(place).reshape(1, 1), 0, beyond)

    found = integral_between(until, a, b, x[0], x[-1], extrapolate == "periodic")
    return shaped(found, c.shape[2:], 0, 0)


def integral_between(until: Any, a: Any, b: Any, low: Any, high: Any, is_periodic: bool) -> Any:
    """Return an integral, by the one from a fixed place on, which is known between two."""
    if not is_periodic:
        return until(b) - until(a)
    period, start = high - low, until(low)

    def beyond(place: Any) -> Any:
        turns = np.floor((place - low) / period)
        return turns * (until(high) - start) + until(place - turns * period) - start

    return beyond(b) - beyond(a)
