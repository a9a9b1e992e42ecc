"""Interpolants of data on grids: `RegularGridInterpolator`, `interpn`, `RectBivariateSpline`."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from tapegrad.record.interpolation.bases import (
    CLAMPED,
    EXTRAPOLATED,
    Array,
    Basis,
    Index,
    Orders,
    ProductBasis,
    SplineBasis,
    Table,
    table_of,
)
from tapegrad.record.interpolation.bsplines import differentiated
from tapegrad.record.interpolation.interpolants import (
    function,
    method,
    plain_class,
    plainly,
    primal,
    shaped,
)
from tapegrad.record.interpolation.interpolate_private import held_by, hold, interpolate
from tapegrad.record.interpolation.linear_maps import Collocation, LinearMap, mapped
from tapegrad.record.interpolation.lookups import evaluated
from tapegrad.record.interpolation.spline_data import check_places, make_interp_spline
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import HOLDERS, is_held, no_rule

_DEGREES = {"slinear": 1, "cubic": 3, "quintic": 5}
_LEGACY = {"slinear_legacy": 1, "cubic_legacy": 3, "quintic_legacy": 5}

# --- bases ------------------------------------------------------------------------------------


class NearestBasis(Basis):
    """Steps in the middle between the points of a line.

    Parameters
    ----------
    points : Table
    """

    def __init__(self, points: Table) -> None:
        self.points = points
        super().__init__(1, len(points.array), points)

    def weights(self, places: Array, orders: Orders) -> tuple[Index, Array]:
        """Return 1 for the nearest point; the derivatives are 0."""
        x, points = places[:, 0], self.points.array
        before = np.clip(np.searchsorted(points, x, "right") - 1, 0, len(points) - 2)
        distance = (x - points[before]) / (points[before + 1] - points[before])
        rows = np.where(distance <= 0.5, before, before + 1)
        weights = np.where(np.isnan(x), np.nan, 1.0 if orders[0] == 0 else 0.0)
        return rows[:, None], weights[:, None]

    def __reduce__(self) -> Any:
        return NearestBasis, self.key


class GridBasis(ProductBasis):
    """A product of functions of a method of SciPy's.

    Parameters
    ----------
    how : str
    ends : Table, shape (d, 2)
    is_refused : bool
        Whether SciPy refuses places beyond the ends.
    *factors : Basis
    """

    def __init__(self, how: str, ends: Table, is_refused: bool, *factors: Basis) -> None:
        super().__init__(*factors)
        self.how, self.ends, self.is_refused = how, ends, is_refused
        self.key = (how, ends, is_refused, *factors)

    def refuse(self, places: Array) -> None:
        """Raise SciPy's error for a place beyond the ends, where that is one."""
        for k, (low, high) in enumerate(self.ends.array if self.is_refused else ()):
            if np.any((places[:, k] < low) | (places[:, k] > high)):
                raise ValueError(f"One of the requested xi is out of bounds in dimension {k}")

    def weights(self, places: Array, orders: Orders) -> tuple[Index, Array]:
        """Return the products of the factors' derivatives."""
        self.refuse(places)
        return super().weights(places, orders)

    def evaluate(self, places: Array, coefficients: Array, orders: Orders) -> Array:
        """Return SciPy's own value, where it's no derivative."""
        if any(orders) or self.how == "nearest" or not len(places):
            return super().evaluate(places, coefficients, orders)
        self.refuse(places)
        r = coefficients.shape[1]
        shape = *(basis.size for basis in self.factors), *[r] * (r != 1)
        own = np.array(coefficients).reshape(shape)  # SciPy goes another way if it's read-only
        knots = [basis.knots.array for basis in self.factors if isinstance(basis, SplineBasis)]
        if self.how == "linear":
            grid = [t[1:-1] for t in knots]
            make = plain_class("RegularGridInterpolator")
            made = make(grid, own, bounds_error=False, fill_value=None)
        else:
            made = plain_class("NdBSpline")(tuple(knots), own, _DEGREES[self.how])
        return np.asarray(made(places)).reshape(len(places), r)


def _hats(points: Any) -> SplineBasis:
    x = np.asarray(points, np.float64)
    return SplineBasis(Table(np.concatenate([x[:1], x, x[-1:]])), 1, EXTRAPOLATED)


# --- RegularGridInterpolator ------------------------------------------------------------------


def _points_of(xi: Any, n: int) -> Any:
    """Return points as rows, whatever shape they were given in."""
    if isinstance(xi, tuple):
        return np.stack(np.broadcast_arrays(*map(operand, xi)), axis=-1)
    xi = operand(xi)
    return xi.reshape(-1, n) if xi.ndim == 1 else xi


def _on_grid(grid: Any, values: Any, c: Any, knots: Any, points: Any, how: str, bounds_error: Any,
             fill_value: Any, orders: Orders) -> Any:  # fmt: skip
    """Return values at points, of the method that is linear in the data.

    Parameters
    ----------
    grid : sequence of ndarray
    values : array_like
    c, knots : array_like, sequence of ndarray
        Coefficients and knots of splines, where the method is one of those.
    points : array_like, shape (..., d)
    how : str
    bounds_error, fill_value, orders
    """
    n, shape = len(grid), points.shape
    if shape[-1] != n:
        raise ValueError(
            f"The requested sample points xi have dimension {shape[-1]} but this "
            f"RegularGridInterpolator has dimension {n}"
        )
    factors: list[Basis]
    if how in _DEGREES:
        factors = [SplineBasis(table_of(t), _DEGREES[how], EXTRAPOLATED) for t in knots]
    else:
        c = values
        factors = [NearestBasis(table_of(x)) if how == "nearest" else _hats(x) for x in grid]
    more = c.shape[n:]
    ends = Table([[x[0], x[-1]] for x in grid])
    basis = GridBasis(how, ends, bool(bounds_error), *factors)
    flat = points.reshape(-1, n)
    c = c if is_held(c) else np.asarray(c, np.float64)
    found = evaluated(basis, flat, c.reshape(basis.size, math.prod(more)), orders)
    if not bounds_error:
        found = _filled(found, flat, grid, fill_value)
    return shaped(found, shape[:-1] + more, 0, 0)


def _filled(found: Any, points: Any, grid: Any, fill_value: Any) -> Any:
    """Return values, and what was given for where points are beyond the ends."""
    if fill_value is None:
        return found
    is_outside: Any = False
    for k, x in enumerate(grid):
        is_outside = is_outside | (points[:, k] < x[0]) | (points[:, k] > x[-1])
    return np.where(np.reshape(is_outside, (-1, *[1] * (found.ndim - 1))), fill_value, found)


@method("RegularGridInterpolator.__call__")
def _call(self: Any, xi: Any, method: Any = None, *, nu: Any = None) -> Any:
    how = self.method if method is None else method
    grid, values = held_by(self, "grid"), held_by(self, "values")
    points = _points_of(xi, len(grid))
    if how == "pchip" or how in _LEGACY:
        return _folded(grid, values, points, how, self.bounds_error, self.fill_value)
    if nu is not None and how not in _DEGREES:
        raise ValueError(f"Can only compute derivatives for methods {set(_DEGREES)}, "
                         f"got method ={how!r}.")  # fmt: skip
    orders = (0,) * len(grid) if nu is None else tuple(map(operator.index, nu))
    c = knots = None
    if how in _DEGREES:
        if how != self.method:
            raise no_rule(f"scipy.interpolate.RegularGridInterpolator with method={how!r} in the "
                          "call alone", "pass it to the constructor, or ")  # fmt: skip
        spline = self._spline
        c, knots = getattr(self, "_active_c", None), spline.t
        c = held_by(spline, "c") if c is None else c
    return _on_grid(grid, values, c, knots, points, how, self.bounds_error, self.fill_value, orders)


def _folded(grid: Any, values: Any, points: Any, how: str, bounds_error: Any,
            fill_value: Any) -> Any:  # fmt: skip
    """Return values that are interpolated along one axis after the other, as SciPy's."""
    n = len(grid)
    flat = points.reshape(-1, n)
    # Zeros, and NaN or an error where SciPy has one.
    checked = _on_grid(grid, np.zeros([len(x) for x in grid]), None, None, flat, "linear",
                       bounds_error, None, (0,) * n)  # fmt: skip

    def along(x: Any, y: Any, place: Any) -> Any:
        if how == "pchip":
            return plain_class("PchipInterpolator")(x, y, axis=0)(place)
        make = make_interp_spline if is_held(y) else interpolate().make_interp_spline
        return make(x, y, k=_LEGACY[how], axis=0)(place)

    own = values.transpose(*range(n)[::-1], *range(n, values.ndim))
    first = along(grid[-1], own, flat[:, -1])
    rows = []
    for j in range(len(flat)):
        folded = first[j]
        for k in range(n - 2, -1, -1):
            folded = along(grid[k], folded, flat[j, k])
        rows.append(operand(folded))
    found = np.stack(rows) if rows else np.zeros((0, *values.shape[n:]))
    found = found + checked.reshape(-1, *[1] * (found.ndim - 1))
    found = found if bounds_error else _filled(found, flat, grid, fill_value)
    return shaped(found, points.shape[:-1] + values.shape[n:], 0, 0)


def _gridded(columns: Any, grid: tuple[Table, ...], k: int) -> Any:
    """Return SciPy's coefficients of a spline on a grid."""
    shape = tuple(len(x.array) for x in grid)
    made = plain_class("RegularGridInterpolator")(
        [x.array for x in grid], columns.reshape(*shape, columns.shape[1]),
        method={degree: how for how, degree in _DEGREES.items()}[k],
    )  # fmt: skip
    return held_by(made._spline, "c").reshape(-1, columns.shape[1])


class GridCollocation(LinearMap):
    """The coefficients of a spline on a grid, whose transpose is one along each axis.

    Parameters
    ----------
    size : int
    apply : callable
    lines : tuple of Collocation
    *more : hashable
    """

    def __init__(self, size: int, apply: Any, lines: tuple[Collocation, ...], *more: Any) -> None:
        super().__init__(size, apply, *more)
        self.lines, self._arguments = lines, (lines, *more)
        self.n_results = size

    def _along(self, columns: Array, how: str) -> Array:
        found = columns.reshape(*(line.size for line in self.lines), columns.shape[1])
        for k, line in enumerate(self.lines):
            turned = np.moveaxis(found, k, 0)
            solved = getattr(line, how)(turned.reshape(line.size, -1)).reshape(turned.shape)
            found = np.moveaxis(solved, 0, k)
        return np.ascontiguousarray(found).reshape(columns.shape)

    def move(self, columns: Array) -> Array:
        """Return the solution of the equations, which SciPy may find by iteration."""
        return self._along(columns, "solve")

    def transpose(self, columns: Array) -> Array:
        """Return the solution of the transposed equations."""
        return self._along(columns, "transpose")

    def __reduce__(self) -> Any:
        return type(self), (self.size, self._apply, *self._arguments)


def _line(x: Table, knots: Any, k: int) -> Collocation:
    return Collocation(len(x.array), _no_value, x, Table(knots), k)


def _no_value(columns: Array, *key: Any) -> Array:
    raise NotImplementedError("lines of a grid are solved along by their transposes only")


@method("RegularGridInterpolator.__init__")
def _init(self: Any, points: Any, values: Any, method: Any = "linear", bounds_error: Any = True,
          fill_value: Any = np.nan) -> None:  # fmt: skip
    for x in points:
        check_places(x, "RegularGridInterpolator")
    kind = plain_class("RegularGridInterpolator")
    expected = plainly(kind, points, values, method, bounds_error, fill_value)
    values = operand(values)
    descending = [k for k, x in enumerate(points) if np.asarray(x)[0] > np.asarray(x)[-1]]
    values = np.flip(values, tuple(descending)) if descending else values
    HOLDERS.add(type(self))
    vars(self).update(vars(expected))
    hold(self, values=values)
    self.fill_value = fill_value
    if method in _DEGREES:
        grid = [np.asarray(x, np.float64) for x in held_by(expected, "grid")]
        k, knots = _DEGREES[method], expected._spline.t
        tables = tuple(map(Table, grid))
        lines = tuple(_line(x, t, k) for x, t in zip(tables, knots, strict=True))
        n, more = math.prod(map(len, grid)), values.shape[len(grid) :]
        made = GridCollocation(n, _gridded, lines, tables, k)
        c = mapped(made, values.reshape(n, math.prod(more)))
        self._active_c = c.reshape(values.shape)


@function("interpn")
def _interpn(points: Any, values: Any, xi: Any, method: Any = "linear", bounds_error: Any = True,
             fill_value: Any = np.nan) -> Any:  # fmt: skip
    if method == "splinef2d":
        raise no_rule("scipy.interpolate.interpn with method='splinef2d'",
                      "use scipy.interpolate.RectBivariateSpline, or ")  # fmt: skip
    made = plain_class("RegularGridInterpolator")(points, values, method, bounds_error, fill_value)
    return made(xi)


# --- splines of two numbers -------------------------------------------------------------------


def _turned(make: Any, t: Any, c: Any, k: int, order: int) -> tuple[Any, Any, int]:
    """Return what is made along the second axis."""
    t, c, k = make(t, np.swapaxes(c, 0, 1), k, order)
    return t, np.swapaxes(c, 0, 1), k


@method("_BivariateSplineBase.__call__")
def _call_spline(self: Any, x: Any, y: Any, dx: Any = 0, dy: Any = 0, grid: Any = True) -> Any:
    (tx, ty, c), (kx, ky) = self.tck[:3], self.degrees
    if is_held([tx, ty]):
        raise no_rule("a bivariate spline of active knots")
    x, y = operand(x), operand(y)
    if grid:
        for name, line in (("x", x), ("y", y)):
            if line.size >= 2 and not np.all(np.diff(primal(line)) >= 0.0):
                raise ValueError(f"{name} must be strictly increasing when `grid` is True")
        shape = (x.size, y.size)
        x, y = np.broadcast_arrays(x.reshape(-1, 1), y.reshape(1, -1))
    else:
        x, y = np.broadcast_arrays(x, y)
        shape = x.shape
    nx, ny = len(tx) - kx - 1, len(ty) - ky - 1
    c = c.reshape(nx, ny)
    if dx:
        tx, c, kx = differentiated(tx, c, kx, dx)
    if dy:
        ty, c, ky = _turned(differentiated, ty, c, ky, dy)
    nx, ny = len(tx) - kx - 1, len(ty) - ky - 1
    basis = ProductBasis(
        SplineBasis(table_of(tx), kx, CLAMPED), SplineBasis(table_of(ty), ky, CLAMPED)
    )
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    found = evaluated(basis, points, c[:nx, :ny].reshape(nx * ny, 1), (0, 0))
    return shaped(found, shape, 0, 0)


@method("BivariateSpline.ev")
def _ev(self: Any, xi: Any, yi: Any, dx: Any = 0, dy: Any = 0) -> Any:
    return _call_spline(self, xi, yi, dx, dy, grid=False)


def _rectangular(columns: Any, x: Table, y: Table, bbox: Any, kx: int, ky: int) -> Any:
    shape = len(x.array), len(y.array)
    make = plain_class("RectBivariateSpline")
    found = [make(x.array, y.array, column.reshape(shape), list(bbox), kx, ky, 0).tck[2]
             for column in columns.T]  # fmt: skip
    return np.stack(found, axis=1)


@method("RectBivariateSpline.__init__")
def _init_spline(self: Any, x: Any, y: Any, z: Any, bbox: Any = (None,) * 4, kx: Any = 3,
                 ky: Any = 3, s: Any = 0) -> None:  # fmt: skip
    for places in (x, y):
        check_places(places, "RectBivariateSpline")
    if s != 0:
        raise no_rule("scipy.interpolate.RectBivariateSpline of active data with s=",
                      "pass s=0, or ")  # fmt: skip
    expected = plainly(plain_class("RectBivariateSpline"), x, y, z, list(bbox), kx, ky, s)
    tx, ty, _ = expected.tck
    x, y, z = np.ravel(x), np.ravel(y), operand(z)
    tables = Table(x), Table(y)
    lines = _line(tables[0], tx, kx), _line(tables[1], ty, ky)
    made = GridCollocation(z.size, _rectangular, lines, *tables, tuple(bbox), kx, ky)
    HOLDERS.add(type(self))
    vars(self).update(vars(expected))
    self.tck = tx, ty, mapped(made, z.reshape(-1, 1))[:, 0]
