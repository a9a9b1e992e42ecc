"""Tables: `np.interp` and `interp1d`, lines and steps between data, found again each time."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tapegrad.record.active import Active
from tapegrad.record.functions.calculus import interp_stated
from tapegrad.record.functions.operands import truth
from tapegrad.record.functions.registry import rule
from tapegrad.record.interpolation.bases import (
    CLAMPED,
    EXTRAPOLATED,
    NOWHERE,
    REFUSED,
    Beyond,
    PowerBasis,
    Table,
    table_of,
)
from tapegrad.record.interpolation.interpolants import (
    method,
    places_of,
    plain_class,
    plainly,
    primal,
    shaped,
)
from tapegrad.record.interpolation.lookups import evaluated, evaluated_at
from tapegrad.record.interpolation.pieces import at_pieces
from tapegrad.record.interpolation.spline_data import make_interp_spline
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import HOLDERS, is_held, no_rule

# --- lines ------------------------------------------------------------------------------------


def _at_lines(x: Any, y: Any, places: Any, beyond: Beyond, has_end: bool) -> Any:
    """Return what lies on the lines between data.

    Parameters
    ----------
    x : ndarray, shape (n,)
    y : array_like, shape (n, r); (n,) if it's plain
    places : array_like, shape (m, 1)
    beyond : {NOWHERE, EXTRAPOLATED, CLAMPED, REFUSED}
    has_end : bool
        As NumPy's: a place of a datum belongs to the line that begins there, the last one to none.
        Otherwise it belongs to the line that ends there.
    """
    if is_held(y):
        basis, coefficients = _lines(x, y, beyond, has_end)
        return evaluated(basis, places, coefficients, (0,))
    basis, coefficients = _plain_lines(table_of(x), table_of(y), beyond, has_end)
    return evaluated(basis, places, coefficients, (0,))


def _lines(x: Any, y: Any, beyond: Beyond, has_end: bool) -> tuple[PowerBasis, Any]:
    with np.errstate(all="ignore"):
        slopes = np.diff(y, axis=0) / np.diff(x)[:, None]
    if has_end:
        x = np.append(x, x[-1])
        slopes, starts = np.concatenate([slopes, np.zeros((1, y.shape[1]))]), y
    else:
        starts = y[:-1]
    basis = PowerBasis(Table(x), 2, beyond, is_left=not has_end)
    return basis, np.concatenate([slopes, starts])


@functools.lru_cache(maxsize=256)
def _plain_lines(x: Table, y: Table, beyond: Beyond, has_end: bool) -> tuple[PowerBasis, Table]:
    """Return lines between plain data, which loops ask for over and over."""
    basis, coefficients = _lines(x.array, y.array.reshape(len(x.array), -1), beyond, has_end)
    return basis, Table(coefficients)


def _are_lines(x: Any, y: Any) -> bool:
    """Whether places and data are plain arrays that lines go between."""
    return type(x) is type(y) is np.ndarray and (
        x.dtype == y.dtype == np.float64 and x.shape == y.shape and x.ndim == 1 and x.size > 1
    )


@rule(np.interp)
def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None,
            period: Any = None) -> Any:  # fmt: skip
    if type(x) is Active and left is right is period is None and _are_lines(xp, fp):
        basis, table = _plain_lines(table_of(xp), table_of(fp), CLAMPED, True)
        if basis.is_ascending and table.is_finite:
            return evaluated_at(basis, x, table, 0)
    places, knots, values = operand(x), operand(xp), operand(fp)
    if knots.ndim != 1 or knots.shape != values.shape or not len(knots):
        raise ValueError("fp and xp are not of the same length, or empty")
    if period is not None:
        left = right = None
        places, knots = np.remainder(places, period), np.remainder(knots, period)
        order = np.argsort(knots)
        knots, values = knots[order], values[order]
        knots = np.concatenate([knots[-1:] - period, knots, knots[:1] + period])
        values = np.concatenate([values[-1:], values, values[:1]])
    is_finite = bool(np.isfinite(primal(knots)).all() and np.isfinite(primal(values)).all())
    # Whoever asks for nothing that moves gets the records of one line.
    is_still = not is_held(places) and not is_held(knots)
    if is_still or not is_finite or len(knots) < 2 or not np.all(np.diff(primal(knots)) >= 0.0):
        return interp_stated(places, knots, values, left, right)
    column = places.reshape(-1, 1)
    if is_held(knots):
        left = values[0] if left is None else left
        right = values[-1] if right is None else right
        slopes = np.diff(values) / np.diff(knots)
        found = at_pieces(np.stack([slopes, values[:-1]]), knots, column)[:, 0]
        found = np.where(places.ravel() == knots[-1], values[-1], found)
    else:
        values = values[:, None] if is_held(values) else values
        found = _at_lines(knots, values, column, CLAMPED, has_end=True)[:, 0]
    places = places.ravel()
    found = found if left is None else np.where(places < knots[0], left, found)
    found = found if right is None else np.where(places > knots[-1], right, found)
    return shaped(found, np.shape(x), 0, 0)


# --- interp1d ---------------------------------------------------------------------------------


@method("interp1d.__init__")
def _init(self: Any, x: Any, y: Any, kind: Any = "linear", axis: Any = -1, copy: Any = True,
          bounds_error: Any = None, fill_value: Any = np.nan,
          assume_sorted: Any = False) -> None:  # fmt: skip
    expected = plainly(plain_class("interp1d"), x, y, kind, axis, copy, bounds_error, fill_value,
                       assume_sorted)  # fmt: skip
    x, y = operand(x), operand(y)
    if not assume_sorted:
        order = np.argsort(x, kind="mergesort")
        x, y = x[order], np.take(y, order, axis=axis)
    if is_held(x) and kind not in ("linear", "slinear", 1):
        raise no_rule(f"scipy.interpolate.interp1d with kind={kind!r} by the places of the data",
                      "use scipy.interpolate.CubicSpline, or ")  # fmt: skip
    HOLDERS.add(type(self))
    vars(self).update(vars(expected))
    self.x, self.y = (x, y) if is_held(x) else (expected.x, y)
    own = np.moveaxis(y, axis, 0)
    self._y = own.reshape(len(own), math.prod(own.shape[1:]))
    if hasattr(expected, "_spline") and not is_held(x):
        self._spline = make_interp_spline(expected.x, self._y, expected._spline.k,
                                          check_finite=False)  # fmt: skip
    if is_held(fill_value):
        both = fill_value if isinstance(fill_value, tuple) else (fill_value, fill_value)
        n = self._y.shape[1]
        self._fill_value_below, self._fill_value_above = (
            np.broadcast_to(operand(fill), own.shape[1:] or (1,)).reshape(n) for fill in both
        )
        self._fill_value_orig = fill_value


@method("interp1d.__call__")
def _call(self: Any, x: Any) -> Any:
    places, shape = places_of(x)
    if not self.bounds_error and self._extrapolate:
        found = _between(self, places, EXTRAPOLATED)
    elif self.bounds_error:
        found = _between(self, places, REFUSED)
    else:
        found = _filled(self, places)
    axis = self.axis
    own = self.y.shape[:axis] + self.y.shape[axis + 1 :]
    return shaped(found, shape + own, axis, len(shape))


def _filled(self: Any, places: Any) -> Any:
    """Return values, and beyond the ends what was given for there."""
    fills = self._fill_value_below, self._fill_value_above
    if all(not is_held(fill) and np.all(np.isnan(fill)) for fill in fills):
        return _between(self, places, NOWHERE)
    found = _between(self, places, CLAMPED)
    for fill, is_beyond in zip(fills, (places < self.x[0], places > self.x[-1]), strict=True):
        found = np.where(is_beyond, fill, found)
    return found


def _between(self: Any, places: Any, beyond: Beyond) -> Any:
    x, y = self.x, self._y
    y = y if is_held(y) else np.asarray(y, np.float64)
    if self._kind == "spline" and not is_held(x):
        return _of_spline(self, places, beyond)
    if self._kind in ("linear", "spline"):
        if is_held(x):
            return _at_active_lines(x, y, places, beyond)
        x = np.asarray(x, np.float64)
        by_numpy = getattr(type(self), "_call_linear_np", None)
        has_end = self._call is by_numpy
        if len(x) < 2:
            return _at_steps(np.append(x, x[-1]), y, places, CLAMPED, False)
        return _at_lines(x, y, places, beyond, has_end)
    x = np.asarray(x, np.float64)
    beyond = CLAMPED if beyond == EXTRAPOLATED else beyond
    if self._kind in ("nearest", "nearest-up"):
        bounds = x / 2.0
        edges = np.concatenate([x[:1], bounds[1:] + bounds[:-1], x[-1:]])
        return _at_steps(edges, y, places, beyond, self._kind == "nearest")
    if self._kind == "previous":
        return _at_steps(np.append(x, x[-1]), y, places, beyond, False)
    return _at_steps(np.append(x[0], x), y, places, beyond, True)


def _at_steps(edges: Any, y: Any, places: Any, beyond: Beyond, is_left: bool) -> Any:
    """Return the data of the pieces that places are in."""
    table = y if is_held(y) else table_of(y)
    places = np.where(places != places, edges[-1], places)  # which SciPy's search puts last
    return evaluated(PowerBasis(Table(edges), 1, beyond, is_left), places, table, (0,))


def _of_spline(self: Any, places: Any, beyond: Beyond) -> Any:
    if self._call is getattr(type(self), "_call_nan_spline", None):
        return places * np.nan + np.full((1, self._y.shape[1]), np.nan)
    if beyond in (NOWHERE, REFUSED):
        x = np.asarray(self.x, np.float64)
        checked = PowerBasis(Table([x[0], x[-1]]), 1, beyond)
        places = places + evaluated(checked, places, Table([[0.0]]), (0,))
    return self._spline(places[:, 0])


def _at_active_lines(x: Any, y: Any, places: Any, beyond: Beyond) -> Any:
    if beyond == REFUSED:
        is_inside = (places >= x[0]) & (places <= x[-1])
        if not np.all(truth(is_inside | np.isnan(places))):
            raise ValueError("A value in x_new is beyond the interpolation range.")
        beyond = EXTRAPOLATED
    slopes = np.diff(y, axis=0) / np.diff(x)[:, None]
    beyond = EXTRAPOLATED if beyond == CLAMPED else beyond
    return at_pieces(np.stack([slopes, y[:-1]]), x, places, 0, beyond)
