"""Cubic interpolants made of active data: `CubicSpline`, Hermite's, `Pchip...` and Akima's.

Their formulas are recorded, SciPy's operation by operation: the slopes at the breakpoints from the
data, and the coefficients from both. SciPy's own constructor checks the data, and what it makes of
the numbers at the point is what must come out: a version that has other formulas is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.record.functions.operands import truth
from tapegrad.record.interpolation.interpolants import (
    function,
    keep,
    method,
    plain_class,
    plainly,
    primal,
)
from tapegrad.record.interpolation.interpolate_private import held_by
from tapegrad.record.scipy.banded_systems import solve_banded
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.linear_systems import solve
from tapegrad.record.scipy.recognised import is_held, no_rule

TOLERANCE = 1e-9

Slopes = Callable[[Any, Any], Any]


def _constructed(self: Any, name: str, x: Any, y: Any, axis: int, slopes_of: Slopes,
                 *args: Any, **kwargs: Any) -> None:  # fmt: skip
    """Have an interpolant hold its coefficients, from the slopes that a formula finds.

    Parameters
    ----------
    self : PPoly
    name : str
        Of SciPy's class, which has the other arguments.
    x, y : array_like
    axis : int
    slopes_of : callable
        Given breakpoints and data, each column for itself.
    """
    expected = plainly(plain_class(name), x, y, *args, axis=axis, **kwargs)
    x, y = operand(x), operand(y)
    if is_held(x):
        truth(np.diff(x) > 0.0)
    axis = axis % y.ndim
    y = np.moveaxis(y, axis, 0)
    columns = y.reshape(len(x), math.prod(y.shape[1:]))
    c = _coefficients(x, columns, slopes_of(x, columns))
    c = c.reshape(4, len(x) - 1, *y.shape[1:])
    plain = held_by(expected, "c")
    scale = np.max(np.abs(plain), axis=1, initial=0.0, keepdims=True)
    with np.errstate(invalid="ignore"):
        if np.any(np.abs(primal(c) - plain) > TOLERANCE * scale):
            raise no_rule(f"scipy.interpolate.{name}, whose formula this SciPy changed,")
    keep(self, {"c": c, "x": x}, extrapolate=expected.extrapolate, axis=axis)


def _coefficients(x: Any, y: Any, slopes: Any) -> Any:
    widths = np.diff(x)[:, None]
    secants = np.diff(y, axis=0) / widths
    t = (slopes[:-1] + slopes[1:] - 2.0 * secants) / widths
    return np.stack([t / widths, (secants - slopes[:-1]) / widths - t, slopes[:-1], y[:-1]])


@method("CubicHermiteSpline.__init__")
def _hermite(self: Any, x: Any, y: Any, dydx: Any, axis: Any = 0,
             extrapolate: Any = None) -> None:  # fmt: skip
    slopes = np.moveaxis(operand(dydx), axis, 0)
    _constructed(self, "CubicHermiteSpline", x, y, axis, lambda x, y: slopes.reshape(y.shape),
                 dydx, extrapolate=extrapolate)  # fmt: skip


# --- cubic splines ----------------------------------------------------------------------------


@method("CubicSpline.__init__")
def _cubic(self: Any, x: Any, y: Any, axis: Any = 0, bc_type: Any = "not-a-knot",
           extrapolate: Any = None) -> None:  # fmt: skip
    if isinstance(bc_type, str):
        bc_type = (bc_type, bc_type)
    if "periodic" in bc_type[:1]:
        ends = np.moveaxis(operand(y), axis, 0)[[0, -1]]
        truth(np.abs(ends[0] - ends[1]) <= 1e-15 + 1e-15 * np.abs(ends[1]))
        bc_type = "periodic"
    _constructed(self, "CubicSpline", x, y, axis, lambda x, y: _spline_slopes(x, y, bc_type),
                 bc_type=bc_type, extrapolate=extrapolate)  # fmt: skip


def _end(condition: Any, n_columns: int) -> Any:
    """Return a condition at an end as the order and the value of a derivative, or a name."""
    if isinstance(condition, str):
        known = {"clamped": (1, np.zeros(n_columns)), "natural": (2, np.zeros(n_columns))}
        return known.get(condition, condition)
    order, value = condition
    return order, operand(value).reshape(n_columns)


def _spline_slopes(x: Any, y: Any, bc_type: Any) -> Any:
    n, dx = len(x), np.diff(x)
    widths = dx[:, None]
    secants = np.diff(y, axis=0) / widths
    if y.size == 0:
        return np.zeros(y.shape)
    both = (bc_type, bc_type) if isinstance(bc_type, str) else bc_type
    ends = [_end(condition, y.shape[1]) for condition in both]
    if n == 2:
        ends = [(1, secants[0]) if isinstance(end, str) else end for end in ends]
    first, last = ends
    is_free = [isinstance(end, str) and end == "not-a-knot" for end in ends]
    if n == 3 and all(is_free):
        return _parabola(dx, widths, secants)
    if first == "periodic":
        return _periodic_slopes(dx, widths, secants)
    inner = 3.0 * (widths[1:] * secants[:-1] + widths[:-1] * secants[1:])
    top = _row_of_end(first, x[:3], dx[:2], y[:2], secants[:2], widths[:2], False)
    bottom = _row_of_end(last, x[-3:][::-1], dx[::-1][:2], y[-2:][::-1], secants[::-1][:2],
                         widths[::-1][:2], True)  # fmt: skip
    sides = np.concatenate([top[2][None], inner, bottom[2][None]])
    diagonal = _joined(top[0], 2.0 * (dx[:-1] + dx[1:]), bottom[0])
    above = _joined(0.0, top[1], dx[:-1])
    below = _joined(dx[1:], bottom[1], 0.0)
    band = np.stack([above, diagonal, below])
    return _solved(band, sides)


def _row_of_end(end: Any, x: Any, dx: Any, y: Any, secants: Any, widths: Any,
                is_last: bool) -> tuple[Any, Any, Any]:  # fmt: skip
    """Return an end's diagonal entry, the one beside it, and its right-hand side.

    What lies there is given from the end inwards.
    """
    if isinstance(end, str):
        d = abs(x[2] - x[0])
        side = ((widths[0] + 2.0 * d) * widths[1] * secants[0] + widths[0] ** 2 * secants[1]) / d
        return dx[1], d, side
    order, value = end
    if order == 1:
        return 1.0, 0.0, value
    rise = 3.0 * (y[0] - y[1] if is_last else y[1] - y[0])
    bend = 0.5 * value * dx[0] ** 2
    return 2.0 * dx[0], dx[0], rise + bend if is_last else rise - bend


def _joined(*parts: Any) -> Any:
    return np.concatenate([np.atleast_1d(operand(part)) for part in parts])


def _solved(band: Any, sides: Any) -> Any:
    """Return the solution for a tridiagonal matrix."""
    return solve_banded((1, 1), band, sides, check_finite=False)


def _parabola(dx: Any, widths: Any, secants: Any) -> Any:
    matrix = np.stack([
        _joined(1.0, 1.0, 0.0), _joined(dx[1], 2.0 * (dx[0] + dx[1]), dx[0]), _joined(0.0, 1.0, 1.0)
    ])  # fmt: skip
    middle = 3.0 * (widths[0] * secants[1] + widths[1] * secants[0])
    sides = np.stack([2.0 * secants[0], middle, 2.0 * secants[1]])
    return solve(matrix, sides, check_finite=False)


def _periodic_slopes(dx: Any, widths: Any, secants: Any) -> Any:
    n = len(dx) + 1
    if n == 3:
        slope = np.sum(secants / widths, axis=0) / np.sum(1.0 / widths, axis=0)
        return np.stack([slope] * 3)
    before = np.concatenate([dx[-1:], dx[:-1]])
    diagonal = 2.0 * (before + dx)
    around, rises = before[:, None], np.concatenate([secants[-1:], secants[:-1]])
    sides = 3.0 * (widths * rises + around * secants)
    # All unknowns but the last are a solution of a tridiagonal system, linear in the last one.
    band = np.stack([
        _joined(0.0, before[: n - 3]), diagonal[: n - 2], _joined(dx[1 : n - 2], 0.0)
    ])  # fmt: skip
    ends = _joined(-dx[0], np.zeros(n - 4), -dx[n - 4])
    one = _solved(band, sides[:-1])
    other = _solved(band, ends[:, None])
    first, before_last, own = before[n - 2], dx[n - 2], diagonal[n - 2]
    last = (sides[-1] - first * one[0] - before_last * one[-1]) / (
        own + first * other[0] + before_last * other[-1]
    )
    return np.concatenate([one + last * other, last[None], (one + last * other)[:1]])


# --- local slopes -----------------------------------------------------------------------------


@method("PchipInterpolator.__init__")
def _pchip(self: Any, x: Any, y: Any, axis: Any = 0, extrapolate: Any = None) -> None:
    _constructed(self, "PchipInterpolator", x, y, axis, _monotone_slopes, extrapolate=extrapolate)


def _monotone_slopes(x: Any, y: Any) -> Any:
    widths = np.diff(x)[:, None]
    secants = np.diff(y, axis=0) / widths
    if len(x) == 2:
        return np.concatenate([secants, secants])
    before, after = secants[:-1], secants[1:]
    w1 = 2.0 * widths[1:] + widths[:-1]
    w2 = widths[1:] + 2.0 * widths[:-1]
    turns = (np.sign(after) != np.sign(before)) | (after == 0.0) | (before == 0.0)
    with np.errstate(all="ignore"):
        inner = np.where(turns, 0.0, 1.0 / ((w1 / before + w2 / after) / (w1 + w2)))
    first = _end_slope(widths[0], widths[1], secants[0], secants[1])
    last = _end_slope(widths[-1], widths[-2], secants[-1], secants[-2])
    return np.concatenate([first[None], inner, last[None]])


def _end_slope(h0: Any, h1: Any, m0: Any, m1: Any) -> Any:
    slope = ((2.0 * h0 + h1) * m0 - h0 * m1) / (h0 + h1)
    is_steep = (np.sign(m0) != np.sign(m1)) & (np.abs(slope) > 3.0 * np.abs(m0))
    kept = np.where(is_steep, 3.0 * m0, slope)
    return np.where(np.sign(slope) != np.sign(m0), 0.0, kept)


@method("Akima1DInterpolator.__init__")
def _akima(self: Any, x: Any, y: Any, axis: Any = 0, *, method: Any = "akima",
           extrapolate: Any = None) -> None:  # fmt: skip
    options = {} if method == "akima" else {"method": method}
    _constructed(self, "Akima1DInterpolator", x, y, axis,
                 lambda x, y: _akima_slopes(x, y, method == "makima"),
                 extrapolate=extrapolate, **options)  # fmt: skip


def _akima_slopes(x: Any, y: Any, is_modified: bool) -> Any:
    secants = np.diff(y, axis=0) / np.diff(x)[:, None]
    if len(x) == 2:
        return np.concatenate([secants, secants])
    left = 2.0 * secants[0] - secants[1]
    right = 2.0 * secants[-1] - secants[-2]
    ends = (2.0 * left - secants[0])[None], left[None], right[None]
    m = np.concatenate([*ends[:2], secants, ends[2], (2.0 * right - secants[-1])[None]])
    changes = np.abs(np.diff(m, axis=0))
    if is_modified:
        changes = changes + 0.5 * np.abs(m[1:] + m[:-1])
    f1, f2 = changes[2:], changes[:-2]
    both = f1 + f2
    plain = 0.5 * (m[3:] + m[:-3])
    if y.size == 0:
        return plain
    with np.errstate(all="ignore"):
        weighted = m[1:-2] + f2 / both * (m[2:-1] - m[1:-2])
    return np.where(both > 1e-9 * np.max(both), weighted, plain)


@function("pchip_interpolate")
def _pchip_interpolate(xi: Any, yi: Any, x: Any, der: Any = 0, axis: Any = 0) -> Any:
    made = plain_class("PchipInterpolator")(xi, yi, axis=axis)
    if np.ndim(der) == 0:
        return made(x) if der == 0 else made.derivative(der)(x)
    return [made.derivative(nu)(x) for nu in der]
