"""B-splines made of active data: `make_interp_spline`, `make_lsq_spline` and the like, `splrep`.

For given places and knots coefficients are linear in the data: SciPy computes them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapegrad.record.functions.operands import truth
from tapegrad.record.interpolation.bases import Table
from tapegrad.record.interpolation.bsplines import check_knots
from tapegrad.record.interpolation.interpolants import (
    function,
    keep,
    plain_class,
    plainly,
)
from tapegrad.record.interpolation.interpolate_private import held_by, interpolate
from tapegrad.record.interpolation.linear_maps import Collocation, LinearMap, mapped
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import is_held, no_rule


def check_places(x: Any, what: str) -> None:
    """Refuse active places of data."""
    if is_held(x):
        raise no_rule(
            f"scipy.interpolate.{what} by the places of the data",
            "use scipy.interpolate.CubicSpline, whose places may be active, or ",
        )


def columns_of(y: Any, axis: int = 0) -> tuple[Any, tuple[int, ...]]:
    """Return data as columns, and the shape of what belongs to a place."""
    y = np.moveaxis(operand(y), axis, 0)
    return y.reshape(len(y), math.prod(y.shape[1:])), y.shape[1:]


def _spline(like: Any, c: Any, more: tuple[int, ...]) -> Any:
    """Return a spline of active coefficients that is like one of SciPy's otherwise."""
    made = object.__new__(plain_class("BSpline"))
    return keep(made, {"t": held_by(like, "t"), "c": c.reshape(len(c), *more)}, k=like.k,
                extrapolate=like.extrapolate, axis=like.axis)  # fmt: skip


# --- interpolation ----------------------------------------------------------------------------


def _interpolating(rows: Any, x: Table, knots: Table, k: int, first: tuple[int, ...],
                   last: tuple[int, ...]) -> Any:  # fmt: skip
    """Return SciPy's coefficients, for end derivatives, data and end derivatives."""
    n, m = len(first), len(rows) - len(last)
    if not first and not last:
        conditions = None
    else:
        below, above = zip(first, rows[:n], strict=True), zip(last, rows[m:], strict=True)
        conditions = list(below) or None, list(above) or None
    make = interpolate().make_interp_spline
    given = None if k < 2 and conditions is None else knots.array
    found = make(x.array, rows[n:m], k, given, bc_type=conditions, check_finite=False)
    return held_by(found, "c")


def _interpolating_periodic(rows: Any, x: Table, k: int) -> Any:
    make = interpolate().make_interp_spline
    data = np.concatenate([rows, rows[:1]])
    return held_by(make(x.array, data, k, bc_type="periodic", check_finite=False), "c")


def _conditions(end: Any, n_columns: int) -> tuple[tuple[int, ...], list[Any]]:
    """Return the orders of derivatives at an end, and their values as rows."""
    if isinstance(end, str):
        end = [({"clamped": 1, "natural": 2}[end], np.zeros(n_columns))]
    pairs = list(end or ())
    return tuple(int(order) for order, _ in pairs), [
        operand(value).reshape(1, n_columns) for _, value in pairs
    ]


@function("make_interp_spline")
def make_interp_spline(x: Any, y: Any, k: Any = 3, t: Any = None, bc_type: Any = None,
                       axis: Any = 0, check_finite: Any = True) -> Any:  # fmt: skip
    """Record a spline that takes given values."""
    check_places(x, "make_interp_spline")
    if t is not None:
        check_knots(t, "scipy.interpolate.make_interp_spline")
    like = plainly(interpolate().make_interp_spline, x, y, k, t, bc_type, axis, check_finite)
    rows, more = columns_of(y, axis)
    places = Table(x)
    if k == 0 or (k == 1 and t is None and bc_type != "periodic"):
        return _spline(like, rows, more)  # the data themselves
    if bc_type == "periodic":
        truth(np.abs(rows[0] - rows[-1]) <= 1e-15 + 1e-5 * np.abs(rows[-1]))
        made: LinearMap = LinearMap(len(rows) - 1, _interpolating_periodic, places, k)
        return _spline(like, mapped(made, rows[:-1]), more)
    both = bc_type if not isinstance(bc_type, str | None) else (bc_type, bc_type)
    if bc_type == "not-a-knot":
        both = (None, None)
    (first, above), (last, below) = (_conditions(end, rows.shape[1]) for end in both)
    rows = np.concatenate([*above, rows, *below])
    made = Collocation(len(rows), _interpolating, places, Table(held_by(like, "t")), like.k,
                       first, last)  # fmt: skip
    return _spline(like, mapped(made, rows), more)


# --- least squares and smoothing --------------------------------------------------------------


def _weights_of(w: Any) -> Table | None:
    if is_held(w):
        raise no_rule("a spline by the weights of its data")
    return None if w is None else Table(w)


def _fitted(rows: Any, x: Table, t: Table, k: int, w: Table | None) -> Any:
    weights = None if w is None else w.array
    make = interpolate().make_lsq_spline
    return held_by(make(x.array, rows, t.array, k, weights, check_finite=False), "c")


@function("make_lsq_spline")
def _make_lsq_spline(x: Any, y: Any, t: Any, k: Any = 3, w: Any = None, axis: Any = 0,
                     check_finite: Any = True) -> Any:  # fmt: skip
    check_places(x, "make_lsq_spline")
    check_knots(t, "scipy.interpolate.make_lsq_spline")
    weights = _weights_of(w)
    like = plainly(interpolate().make_lsq_spline, x, y, t, k, w, axis, check_finite)
    rows, more = columns_of(y, axis)
    made = LinearMap(len(rows), _fitted, Table(x), Table(t), like.k, weights)
    return _spline(like, mapped(made, rows), more)


def _smoothed(rows: Any, x: Table, w: Table | None, lam: float) -> Any:
    weights = None if w is None else w.array
    made = [interpolate().make_smoothing_spline(x.array, row, weights, lam) for row in rows.T]
    return np.stack([held_by(spline, "c") for spline in made], axis=1)


@function("make_smoothing_spline")
def _make_smoothing_spline(x: Any, y: Any, w: Any = None, lam: Any = None) -> Any:
    check_places(x, "make_smoothing_spline")
    if lam is None or is_held(lam):
        raise no_rule("scipy.interpolate.make_smoothing_spline with a lam that depends on data",
                      "pass lam, or ")  # fmt: skip
    weights = _weights_of(w)
    like = plainly(interpolate().make_smoothing_spline, x, y, w, lam)
    rows, more = columns_of(y)
    made = LinearMap(len(rows), _smoothed, Table(x), weights, float(lam))
    return _spline(like, mapped(made, rows), more)


# --- FITPACK ----------------------------------------------------------------------------------


def _represented(rows: Any, x: Table, knots: Table, k: int, first: Any, last: Any,
                 xb: float, xe: float) -> Any:  # fmt: skip
    n = len(knots.array) - k - 1
    splrep = interpolate().splrep
    found = [splrep(x.array, row, xb=xb, xe=xe, k=k, s=0)[1][:n] for row in rows.T]
    return np.stack(found, axis=1)


def represented(x: Any, y: Any, like: tuple[Any, Any, int], xb: Any, xe: Any) -> Any:
    """Return FITPACK's coefficients of the spline through active data, padded with zeros."""
    t, c, k = like
    x, y = np.atleast_1d(x), operand(y).reshape(-1)
    low, high = x[0] if xb is None else xb, x[-1] if xe is None else xe
    made = Collocation(len(x), _represented, Table(x), Table(t), k, (), (), float(low), float(high))
    found = mapped(made, y[:, None])[:, 0]
    return np.concatenate([found, np.zeros(len(c) - len(found))])


def check_smoothing(what: str, s: Any, w: Any) -> None:
    """Refuse data of which not only coefficients depend."""
    if s != 0 and (s is not None or w is not None):
        raise no_rule(
            f"scipy.interpolate.{what} of active data, whose knots depend on them unless s=0,",
            "pass s=0, or use scipy.interpolate.make_lsq_spline or make_smoothing_spline(lam=...), "
            "or ",
        )


@function("splrep")
def _splrep(x: Any, y: Any, w: Any = None, xb: Any = None, xe: Any = None, k: Any = 3,
            s: Any = None, quiet: Any = 1) -> Any:  # fmt: skip
    check_places(x, "splrep")
    check_smoothing("splrep", s, w)
    _weights_of(w)
    t, c, k = plainly(interpolate().splrep, x, y, w, xb, xe, k, s=s, quiet=quiet)
    return t, represented(x, y, (t, c, k), xb, xe), k
