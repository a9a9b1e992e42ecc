"""Interpolants of scattered data: radial functions, nearest sites, and polynomials through data."""

from __future__ import annotations

import functools
import importlib
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.record.interpolation.bases import Array, Basis, Index, Orders, Table
from tapegrad.record.interpolation.interpolants import (
    adopt,
    method,
    places_of,
    plain_class,
    plainly,
    shaped,
)
from tapegrad.record.interpolation.interpolate_private import interpolate
from tapegrad.record.interpolation.linear_maps import LinearMap, mapped
from tapegrad.record.interpolation.lookups import evaluated
from tapegrad.record.interpolation.spline_data import check_places, columns_of
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import is_held, no_rule

# --- radial functions -------------------------------------------------------------------------

_KERNELS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda s: -np.sqrt(s),
    "thin_plate_spline": lambda s: 0.5 * _xlogy(s, s),
    "cubic": lambda s: s**1.5,
    "quintic": lambda s: -(s**2.5),
    "multiquadric": lambda s: -np.sqrt(s + 1.0),
    "inverse_multiquadric": lambda s: 1.0 / np.sqrt(s + 1.0),
    "inverse_quadratic": lambda s: 1.0 / (s + 1.0),
    "gaussian": lambda s: np.exp(-s),
}
"""Of squared distances, by which all but the first have derivatives at a site."""


def _xlogy(x: Any, y: Any) -> Any:
    return importlib.import_module("scipy.special").xlogy(x, y)


@method("RBFInterpolator.__call__")
def _call_radial(self: Any, x: Any) -> Any:
    x = operand(x)
    if x.ndim != 2 or x.shape[1] != self.y.shape[1]:
        raise ValueError(f"Expected the second axis of `x` to have length {self.y.shape[1]}.")
    if self.neighbors is not None:
        raise no_rule("scipy.interpolate.RBFInterpolator with neighbors=", "leave it out, or ")
    sites, coefficients = self.y, self._coeffs
    differences = (x[:, None, :] - sites[None, :, :]) * self.epsilon
    kernel = _KERNELS[self.kernel](np.sum(differences * differences, axis=-1))
    found = np.matmul(kernel, coefficients[: len(sites)])
    if len(self.powers):
        scaled = (x - self._shift) / self._scale
        columns = [
            functools.reduce(operator.mul, (scaled[:, k] ** int(p) for k, p in enumerate(powers)))
            for powers in self.powers
        ]
        found = found + np.matmul(np.stack(columns, axis=1), coefficients[len(sites) :])
    return found.reshape(len(x), *self.d_shape)


def _radial(columns: Any, y: Table, smoothing: Table, kernel: str, epsilon: float,
            degree: int) -> Any:  # fmt: skip
    made = plain_class("RBFInterpolator")(y.array, columns, None, smoothing.array, kernel, epsilon,
                                          degree)  # fmt: skip
    return made._coeffs


@method("RBFInterpolator.__init__")
def _init_radial(self: Any, y: Any, d: Any, neighbors: Any = None, smoothing: Any = 0.0,
                 kernel: Any = "thin_plate_spline", epsilon: Any = None,
                 degree: Any = None) -> None:  # fmt: skip
    check_places(y, "RBFInterpolator")
    for name, number in (("smoothing", smoothing), ("epsilon", epsilon)):
        if is_held(number):
            raise no_rule(f"scipy.interpolate.RBFInterpolator by {name}")
    expected = plainly(plain_class("RBFInterpolator"), y, d, neighbors, smoothing, kernel, epsilon,
                       degree)  # fmt: skip
    if neighbors is not None:
        raise no_rule("scipy.interpolate.RBFInterpolator with neighbors=", "leave it out, or ")
    columns, _ = columns_of(d)
    degree = int(np.max(np.sum(expected.powers, axis=1))) if len(expected.powers) else -1
    made = LinearMap(len(columns), _radial, Table(expected.y), Table(expected.smoothing),
                     expected.kernel, float(expected.epsilon), degree)  # fmt: skip
    adopt(self, expected)
    self.d, self._coeffs = columns, mapped(made, columns)


# --- nearest sites ----------------------------------------------------------------------------


class ScatteredBasis(Basis):
    """Functions that belong to sites.

    Parameters
    ----------
    sites : Table, shape (n, d)
    """

    def __init__(self, sites: Table) -> None:
        self.sites = sites
        super().__init__(sites.array.shape[1], len(sites.array), sites)


class SitesBasis(ScatteredBasis):
    """Steps: 1 for the site that SciPy's tree finds nearest."""

    @functools.cached_property
    def _tree(self) -> Any:
        return importlib.import_module("scipy.spatial").cKDTree(self.sites.array)

    def weights(self, places: Array, orders: Orders) -> tuple[Index, Array]:
        """Return 1 for the nearest site; the derivatives are 0."""
        is_lost = np.isnan(places).any(axis=1)
        _, rows = self._tree.query(np.where(np.reshape(is_lost, (-1, 1)), 0.0, places))
        weights = np.where(is_lost, np.nan, 0.0 if any(orders) else 1.0)
        return rows[:, None], weights[:, None]

    def __reduce__(self) -> Any:
        return SitesBasis, self.key


def points_of(args: tuple[Any, ...]) -> Any:
    """Return points as rows, given as one array or as one of each coordinate."""
    parts = args[0] if len(args) == 1 else args
    if not isinstance(parts, tuple):
        return operand(parts)
    return np.stack(np.broadcast_arrays(*map(operand, parts)), axis=-1)


@method("NearestNDInterpolator.__call__")
def _call_nearest(self: Any, *args: Any, **query_options: Any) -> Any:
    if query_options:
        raise no_rule("scipy.interpolate.NearestNDInterpolator with options of the query",
                      "leave them out, or ")  # fmt: skip
    points = points_of(args)
    scaled = points if self.scale is None else (points - self.offset) / self.scale
    basis = SitesBasis(Table(self.tree.data))
    values = self.values
    flat = values.reshape(len(values), math.prod(values.shape[1:]))
    found = evaluated(
        basis, scaled.reshape(-1, basis.n_dimensions), flat, (0,) * basis.n_dimensions
    )
    return shaped(found, points.shape[:-1] + values.shape[1:], 0, 0)


@method("NearestNDInterpolator.__init__")
def _init_nearest(
    self: Any, x: Any, y: Any, rescale: Any = False, tree_options: Any = None
) -> None:
    check_places(x, "NearestNDInterpolator")
    expected = plainly(plain_class("NearestNDInterpolator"), x, y, rescale, tree_options)
    adopt(self, expected)
    self.values = operand(y)


# --- polynomials through data -----------------------------------------------------------------


class PolynomialBasis(Basis):
    """The polynomials that SciPy's interpolator makes of unit vectors.

    Parameters
    ----------
    kind : str
        ``"BarycentricInterpolator"`` or ``"KroghInterpolator"``.
    sites : Table, shape (n,)
    weights : Table, optional
        The barycentric ones.
    """

    def __init__(self, kind: str, sites: Table, weights: Table | None) -> None:
        self.kind, self.sites, self._weights = kind, sites, weights
        super().__init__(1, len(sites.array), kind, sites, weights)

    @functools.cached_property
    def _units(self) -> Any:
        return plain_class("KroghInterpolator")(self.sites.array, np.eye(self.size))

    def weights(self, places: Array, orders: Orders) -> tuple[Index, Array]:
        """Return the polynomials' derivatives; all of them count everywhere."""
        (order,), x = orders, places[:, 0]
        if order >= self.size:
            found = np.zeros((len(x), self.size)) * x[:, None]
        else:
            found = self._units.derivatives(x, order + 1)[order]
        return np.broadcast_to(np.arange(self.size), found.shape), np.asarray(found)

    def evaluate(self, places: Array, coefficients: Array, orders: Orders) -> Array:
        """Return SciPy's own value, where it's no derivative."""
        if any(orders):
            return super().evaluate(places, coefficients, orders)
        options = {} if self._weights is None else {"wi": self._weights.array}
        made = getattr(interpolate(), self.kind)(self.sites.array, coefficients, **options)
        return np.asarray(made(places[:, 0]))

    def __reduce__(self) -> Any:
        return PolynomialBasis, self.key


def _polynomial(self: Any, x: Any, order: int, kind: str) -> Any:
    places, shape = places_of(x)
    y = self.yi
    data = y if is_held(y) else np.asarray(y, np.float64)
    weights = Table(self.wi) if hasattr(self, "wi") else None
    basis = PolynomialBasis(kind, Table(self.xi), weights)
    found = evaluated(basis, places, data, (order,))
    own = tuple(self._y_extra_shape)
    return shaped(found, shape + own, self._y_axis, len(shape))


def _polynomials(kind: str) -> None:
    @method(f"{kind}.__call__")
    def call(self: Any, x: Any) -> Any:
        return _polynomial(self, x, 0, kind)

    @method(f"{kind}.derivative")
    def derivative(self: Any, x: Any, der: Any = 1) -> Any:
        return _polynomial(self, x, operator.index(der), kind)

    @method(f"{kind}.derivatives")
    def derivatives(self: Any, x: Any, der: Any = None) -> Any:
        count = len(self.xi) if der is None else operator.index(der)
        return np.stack([operand(_polynomial(self, x, k, kind)) for k in range(count)])


for _kind in ("BarycentricInterpolator", "KroghInterpolator"):
    _polynomials(_kind)
