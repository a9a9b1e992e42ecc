"""Linear interpolants of scattered data: `LinearNDInterpolator`, and `griddata`.

SciPy's class is C's: its methods are replaced in it, once and for good, by functions that ask
whether something is being recorded. Sites are passive: which simplex a place is in is found again
at every call.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tapegrad.record.functions.registry import NAMED
from tapegrad.record.interpolation.bases import Array, Index, Orders, Table
from tapegrad.record.interpolation.interpolants import adopt, function, plain_class, plainly, shaped
from tapegrad.record.interpolation.interpolate_private import MODULE
from tapegrad.record.interpolation.lookups import evaluated
from tapegrad.record.interpolation.scattered_sites import ScatteredBasis, points_of
from tapegrad.record.interpolation.spline_data import check_places
from tapegrad.record.nesting import is_recording
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import Row, no_rule, on_import

_COMPILED = f"{MODULE}._interpnd"


class SimplexBasis(ScatteredBasis):
    """Barycentric coordinates in the simplex that a place is in; NaN outside of all."""

    @functools.cached_property
    def _triangles(self) -> Any:
        return importlib.import_module("scipy.spatial").Delaunay(self.sites.array)

    def weights(self, places: Array, orders: Orders) -> tuple[Index, Array]:
        """Return the coordinates' derivatives."""
        triangles, d = self._triangles, self.n_dimensions
        found = triangles.find_simplex(np.where(np.isnan(places), np.inf, places))
        rows, maps = triangles.simplices[found], triangles.transform[found]
        if sum(orders) == 0:
            first = np.einsum("mij,mj->mi", maps[:, :d], places - maps[:, d])
            last = 1.0 - first.sum(axis=1)
        else:
            first = maps[:, :d, orders.index(max(orders))] * (sum(orders) == 1)
            last = -first.sum(axis=1)
        weights = np.concatenate([first, last[:, None]], axis=1)
        weights[found < 0] = np.nan
        return np.asarray(rows, np.intp), weights

    def evaluate(self, places: Array, coefficients: Array, orders: Orders) -> Array:
        """Return SciPy's own value, where it's no derivative."""
        if any(orders):
            return super().evaluate(places, coefficients, orders)
        made = plain_class("LinearNDInterpolator")(self._triangles, coefficients)
        return np.asarray(made(places))

    def __reduce__(self) -> Any:
        return SimplexBasis, self.key


# --- the class --------------------------------------------------------------------------------


def _call(self: Any, *args: Any) -> Any:
    if not isinstance(self, plain_class("LinearNDInterpolator")):
        raise no_rule(f"scipy.interpolate.{type(self).__name__}",
                      "use scipy.interpolate.LinearNDInterpolator, or ")  # fmt: skip
    points = points_of(args)
    scaled = points if self.scale is None else (points - self.offset) / self.scale
    basis = SimplexBasis(Table(self.tri.points))
    values, more = self.values, tuple(self.values_shape)
    places = scaled.reshape(-1, basis.n_dimensions)
    flat = values.reshape(basis.size, math.prod(more))
    found = evaluated(basis, places, flat, (0,) * basis.n_dimensions)
    if not np.isnan(self.fill_value):
        found = np.where(found != found, self.fill_value, found)
    return shaped(found, points.shape[:-1] + more, 0, 0)


def _init(
    self: Any, points: Any, values: Any, fill_value: Any = np.nan, rescale: Any = False
) -> None:
    if not isinstance(self, plain_class("LinearNDInterpolator")):
        raise no_rule(f"scipy.interpolate.{type(self).__name__} of active data",
                      "use scipy.interpolate.LinearNDInterpolator, or ")  # fmt: skip
    check_places(points, "LinearNDInterpolator")
    expected = plainly(plain_class("LinearNDInterpolator"), points, values, fill_value, rescale)
    values = operand(values)
    adopt(self, expected)
    self.values = values.reshape(len(values), math.prod(values.shape[1:]))


NAMED.add(f"{MODULE}.LinearNDInterpolator")


@on_import(_COMPILED)
def _replace(module: ModuleType) -> None:
    """Have the methods of compiled classes ask for their rules."""
    for name in ("NDInterpolatorBase", "LinearNDInterpolator", "CloughTocher2DInterpolator"):
        kind = vars(module).get(name)
        for own, rule in (("__call__", _call), ("__init__", _init)):
            if (
                isinstance(kind, type)
                and own in vars(kind)
                and not inspect.isfunction(vars(kind)[own])
            ):
                _stand_in(kind, own, f"{MODULE}.{name}.{own}", rule)


def _stand_in(kind: type, name: str, full: str, rule: Callable[..., Any]) -> None:
    original = vars(kind)[name]
    recorded = Row(full, rule, rule).neutral(original)

    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return (recorded if is_recording() else original)(self, *args, **kwargs)

    setattr(kind, name, method)


# --- griddata ---------------------------------------------------------------------------------


@function("griddata")
def _griddata(points: Any, values: Any, xi: Any, method: Any = "linear", fill_value: Any = np.nan,
              rescale: Any = False) -> Any:  # fmt: skip
    check_places(points, "griddata")
    points = np.stack(np.broadcast_arrays(*points), axis=-1) if isinstance(points, tuple) else (
        np.asarray(points)
    )  # fmt: skip
    values = operand(values)
    if points.ndim < 2 or points.shape[-1] == 1:
        places = xi[0] if isinstance(xi, tuple) else xi
        order = np.argsort(points.ravel())
        fill_value = "extrapolate" if method == "nearest" else fill_value
        table = plain_class("interp1d")(points.ravel()[order], values[order], method, axis=0,
                                        bounds_error=False, fill_value=fill_value)  # fmt: skip
        return table(places)
    if method == "nearest":
        return plain_class("NearestNDInterpolator")(points, values, rescale=rescale)(xi)
    if method == "linear":
        make = plain_class("LinearNDInterpolator")
        return make(points, values, fill_value=fill_value, rescale=rescale)(xi)
    raise no_rule(f"scipy.interpolate.griddata with method={method!r}", "pass 'linear', or ")
