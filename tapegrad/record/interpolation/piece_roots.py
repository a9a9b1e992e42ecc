"""Roots of piecewise polynomials, and `BPoly`, a piecewise polynomial of another basis."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.record.interpolation.bases import EXTRAPOLATED, NOWHERE, PowerBasis, Table
from tapegrad.record.interpolation.interpolants import (
    keep,
    method,
    places_of,
    plain_class,
    plainly,
    shaped,
)
from tapegrad.record.interpolation.interpolate_private import held_by
from tapegrad.record.interpolation.lookups import evaluated, scattered
from tapegrad.record.interpolation.pieces import at_pieces, check_real, integral_of, wrapped
from tapegrad.record.linear.shaped import ShapedBlock, applied, guarded, is_absent, total_of
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import is_held, no_rule

TOLERANCE = 1e-6


class _Roots(ShapedBlock):
    """Where a polynomial takes a value: operands are that, shape (1,), and coefficients (n, 1).

    Options: the breakpoints, the number of powers, what SciPy is asked for, and how many there are.
    Where there are more or fewer it has no value.
    """

    title = "roots of a piecewise polynomial"

    def shapes_of(self, operand_shapes: Any) -> Any:
        """Return the shape of the roots, and of their number."""
        return (self.options[-1],), ()

    def evaluated(self, operands: Sequence[Any]) -> list[Any]:
        """Return the roots and their number."""
        return [np.asarray(result) for result in self.value(operands)]

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return SciPy's roots and their number."""
        breaks, n, discontinuity, extrapolate, count = self.options
        level, c = operands
        found = _solved(c, breaks, n, float(level[0]), discontinuity, extrapolate)
        if len(found) != count:
            raise ValueError(f"there are {len(found)} roots, and {count} where it was recorded")
        return [found, np.array(float(count))]

    def _basis(self) -> PowerBasis:
        return PowerBasis(self.options[0], self.options[1], EXTRAPOLATED)

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints, by the implicit function theorem."""
        basis, places, c = self._basis(), results[0][:, None], operands[1]
        moved = adjoints[0][:, None] / evaluated(basis, places, c, (1,))
        of_level = np.sum(moved, axis=0) if self.is_active[0] else None
        return of_level, -scattered(basis, places, moved, (0,)) if self.is_active[1] else None

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangents, by the implicit function theorem."""
        basis, places, c = self._basis(), results[0][:, None], operands[1]
        terms: list[Any] = []
        if not is_absent(tangents[0]):
            terms.append(np.broadcast_to(tangents[0], results[0].shape))
        if not is_absent(tangents[1]):
            terms.append(-evaluated(basis, places, tangents[1], (0,))[:, 0])
        if not terms:
            return [None, None]
        return [total_of(*terms) / evaluated(basis, places, c, (1,))[:, 0], None]


def _solved(c: Any, breaks: Table, n: int, level: float, discontinuity: bool,
            extrapolate: bool) -> Any:  # fmt: skip
    """Return SciPy's roots, or refuse those that the theorem doesn't hold at."""
    made = plain_class("PPoly")(c.reshape(n, -1), breaks.array)
    found = made.solve(level, discontinuity, extrapolate)
    scale = np.max(np.abs(c), initial=0.0)
    residuals, slopes = np.abs(made(found) - level), np.abs(made(found, 1))
    if not (np.all(residuals <= TOLERANCE * scale) and np.all(slopes > TOLERANCE * scale)):
        raise no_rule("a root of a piecewise polynomial where it jumps, is flat or is zero")
    return found


@method("PPoly.solve")
def _solve(self: Any, y: Any = 0.0, discontinuity: Any = True, extrapolate: Any = None) -> Any:
    c, x = held_by(self, "c"), held_by(self, "x")
    check_real(c, self)
    if is_held(x) or c.ndim != 2:
        raise no_rule("roots of several piecewise polynomials, or by breakpoints,")
    extrapolate = bool(self.extrapolate if extrapolate is None else extrapolate)
    level, flat = operand(y).reshape(1), c.reshape(c.size, 1)
    plain = flat.primal if is_held(flat) else flat
    at = float(level.primal[0]) if is_held(level) else float(level[0])
    options = Table(x), c.shape[0], bool(discontinuity), extrapolate
    count = len(_solved(plain, options[0], options[1], at, *options[2:]))
    found, number = applied(_Roots, (level, flat), *options, count)
    guarded(number)
    return found


@method("PPoly.roots")
def _roots(self: Any, discontinuity: Any = True, extrapolate: Any = None) -> Any:
    return _solve(self, 0.0, discontinuity, extrapolate)


# --- Bernstein's basis ------------------------------------------------------------------------


def _in_powers(c: Any, x: Any) -> Any:
    """Return the coefficients of powers for those of Bernstein's polynomials."""
    k, widths = c.shape[0] - 1, np.diff(x).reshape(-1, *[1] * (c.ndim - 2))
    rows = []
    for s in range(k, -1, -1):
        terms = [
            float((-1) ** (a + s) * math.comb(k, a) * math.comb(k - a, s - a)) * c[a]
            for a in range(s + 1)
        ]
        rows.append(total_of(*terms) / widths**s)
    return np.stack(rows)


@method("BPoly.__call__")
def _call_bernstein(self: Any, x: Any, nu: Any = 0, extrapolate: Any = None) -> Any:
    extrapolate = self.extrapolate if extrapolate is None else extrapolate
    c, breaks = held_by(self, "c"), held_by(self, "x")
    check_real(c, self)
    places, shape = places_of(x)
    if extrapolate == "periodic":
        places, extrapolate = wrapped(places, breaks[0], breaks[-1]), False
    beyond = EXTRAPOLATED if extrapolate else NOWHERE
    found = at_pieces(_in_powers(c, breaks), breaks, places, operator.index(nu), beyond)
    return shaped(found, shape + c.shape[2:], self.axis, len(shape))


@method("BPoly.__init__")
def _init_bernstein(self: Any, c: Any, x: Any, extrapolate: Any = None, axis: Any = 0) -> None:
    expected = plainly(plain_class("BPoly"), c, x, extrapolate, axis)
    if is_held(x):
        raise no_rule("scipy.interpolate.BPoly of active breakpoints", "use PPoly, or ")
    c = operand(c)
    if axis:
        c = np.moveaxis(np.moveaxis(c, axis + 1, 0), axis + 1, 0)
    keep(self, {"c": c, "x": x}, extrapolate=expected.extrapolate, axis=axis)


@method("BPoly.integrate")
def _integrate_bernstein(self: Any, a: Any, b: Any, extrapolate: Any = None) -> Any:
    extrapolate = self.extrapolate if extrapolate is None else extrapolate
    c, x = held_by(self, "c"), held_by(self, "x")
    return integral_of(_in_powers(c, x), x, a, b, extrapolate)
