"""FITPACK's splines: `splev` and its like of (t, c, k), and `UnivariateSpline`."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from tapegrad.record.interpolation.bases import CLAMPED, EXTRAPOLATED, REFUSED
from tapegrad.record.interpolation.bsplines import (
    at_splines,
    check_knots,
    differentiated,
    integrated,
    spline_integral,
)
from tapegrad.record.interpolation.interpolants import (
    function,
    method,
    places_of,
    plain_class,
    plainly,
    primal,
    shaped,
)
from tapegrad.record.interpolation.interpolate_private import held_by, interpolate
from tapegrad.record.interpolation.spline_data import check_places, check_smoothing, represented
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import HOLDERS, is_held

_ZEROS, _CONSTANT = 1, 3
_BEYOND = {0: EXTRAPOLATED, _ZEROS: CLAMPED, 2: REFUSED, _CONSTANT: CLAMPED}
"""What is beyond the ends, by FITPACK's numbers."""


def _is_spline(tck: Any) -> bool:
    return isinstance(tck, plain_class("BSpline"))


def _parts(tck: Any) -> tuple[Any, Any, int]:
    t, c, k = tck
    check_knots(t, "a spline")
    return np.asarray(t, np.float64), c if is_held(c) else np.asarray(c, np.float64), int(k)


def _curves(tck: Any) -> list[Any] | None:
    """Return the splines that a parametric curve's coordinates are, or None if it's a function."""
    t, c, k = tck
    return [(t, own, k) for own in c] if np.ndim(c[0]) else None


def _evaluated(x: Any, tck: Any, der: int, ext: int) -> Any:
    t, c, k = _parts(tck)
    if not 0 <= der <= k:
        raise ValueError(f"0<=der={der}<=k={k} must hold")
    if ext not in _BEYOND:
        raise ValueError(f"ext = {ext} not in (0, 1, 2, 3) ")
    places, shape = places_of(x)
    low, high = t[k], t[len(t) - k - 1]
    beyond = _BEYOND[ext]
    if der:
        t, c, k = differentiated(t, operand(c), k, der)
        beyond = EXTRAPOLATED if ext == _CONSTANT else beyond  # as FITPACK's derivatives are
    found = at_splines(t, c, k, places, 0, beyond)
    if ext == _ZEROS:
        found = np.where((places < low) | (places > high), 0.0, found)
    return shaped(found, shape, 0, len(shape))


@function("splev")
def _splev(x: Any, tck: Any, der: Any = 0, ext: Any = 0) -> Any:
    der = operator.index(der)
    if _is_spline(tck):
        if held_by(tck, "c").ndim > 1:
            raise ValueError("Calling splev() with BSpline objects with c.ndim > 1 is not allowed. "
                             "Use BSpline.__call__(x) instead.")  # fmt: skip
        if ext != 0:
            raise ValueError(f"Extrapolation mode {ext} is not supported by BSpline.")
        return tck(x, der, extrapolate=True)
    curves = _curves(tck)
    if curves is not None:
        return [_splev(x, own, der, ext) for own in curves]
    return _evaluated(x, tck, der, ext)


@function("splint")
def _splint(a: Any, b: Any, tck: Any) -> Any:
    if _is_spline(tck):
        return tck.integrate(a, b, extrapolate=False)
    curves = _curves(tck)
    if curves is not None:
        return [_splint(a, b, own) for own in curves]
    t, c, k = _parts(tck)
    return shaped(spline_integral(t, c, k, a, b, CLAMPED), (), 0, 0)


@function("spalde")
def _spalde(x: Any, tck: Any) -> Any:
    if _is_spline(tck):
        raise TypeError("spalde does not accept BSpline instances.")
    curves = _curves(tck)
    if curves is not None:
        return [_spalde(x, own) for own in curves]
    t, c, k = _parts(tck)
    places = np.atleast_1d(operand(x)).reshape(-1, 1)
    found = np.concatenate(
        [at_splines(t, c, k, places, nu, REFUSED) for nu in range(k + 1)], axis=1
    )
    return found[0] if len(found) == 1 else list(found)


@function("splder")
def _splder(tck: Any, n: Any = 1) -> Any:
    return _other(tck, n, "splder")


@function("splantider")
def _splantider(tck: Any, n: Any = 1) -> Any:
    return _other(tck, n, "splantider")


def _other(tck: Any, n: int, name: str) -> Any:
    """Return the derivative or the antiderivative, by the same means as the spline was given."""
    if _is_spline(tck):
        return tck.derivative(n) if name == "splder" else tck.antiderivative(n)
    t, c, k = _parts(tck)
    plainly(getattr(interpolate(), name), (t, primal(c), k), n)
    order = n if name == "splder" else -n
    return (differentiated if order >= 0 else integrated)(t, operand(c), k, abs(order))


# --- UnivariateSpline -------------------------------------------------------------------------

_DATA, _COEFFICIENTS = 1, 9
"""Where an object's record of FITPACK's arguments has the data and the coefficients."""


def _made(self: Any, expected: Any, x: Any, y: Any, bbox: Any) -> None:
    """Have an object be as the one that SciPy made of the plain numbers, but for coefficients."""
    t, c, k = expected._eval_args
    coefficients = represented(x, y, (t, c, k), *bbox)
    own = list(expected._data)
    own[_DATA] = operand(y)
    n_more = len(own[_COEFFICIENTS]) - len(c)
    own[_COEFFICIENTS] = np.concatenate([coefficients, np.zeros(n_more)])
    if type(self).__module__.startswith("scipy."):
        self.__class__ = type(expected)
    HOLDERS.add(type(self))
    vars(self).update(vars(expected))
    self._data, self._eval_args = tuple(own), (t, coefficients, k)


@method("UnivariateSpline.__init__")
def _init(self: Any, x: Any, y: Any, w: Any = None, bbox: Any = (None, None), k: Any = 3,
          s: Any = None, ext: Any = 0, check_finite: Any = False) -> None:  # fmt: skip
    name = "UnivariateSpline"
    check_places(x, name)
    check_smoothing(name, 1 if s is None else s, None)
    expected = plainly(plain_class(name), x, y, w, list(bbox), k, s, ext, check_finite)
    _made(self, expected, x, y, bbox)


@method("InterpolatedUnivariateSpline.__init__")
def _init_interpolated(self: Any, x: Any, y: Any, w: Any = None, bbox: Any = (None, None),
                       k: Any = 3, ext: Any = 0, check_finite: Any = False) -> None:  # fmt: skip
    name = "InterpolatedUnivariateSpline"
    check_places(x, name)
    expected = plainly(plain_class(name), x, y, w, list(bbox), k, ext, check_finite)
    _made(self, expected, x, y, bbox)


_MODES = {"extrapolate": 0, "zeros": 1, "raise": 2, "const": 3}


@method("UnivariateSpline.__call__")
def _call(self: Any, x: Any, nu: Any = 0, ext: Any = None) -> Any:
    if math.prod(np.shape(x)) == 0:
        return np.array([])
    ext = self.ext if ext is None else _MODES.get(ext, ext)
    if ext not in _BEYOND:
        raise ValueError(f"Unknown extrapolation mode {ext}.")
    return _evaluated(x, self._eval_args, operator.index(nu), ext)


@method("UnivariateSpline.derivative")
def _derivative(self: Any, n: Any = 1) -> Any:
    ext = 1 if self.ext == 3 else self.ext
    return plain_class("UnivariateSpline")._from_tck(_held(_splder(self._eval_args, n)), ext)


@method("UnivariateSpline.antiderivative")
def _antiderivative(self: Any, n: Any = 1) -> Any:
    return plain_class("UnivariateSpline")._from_tck(
        _held(_splantider(self._eval_args, n)), self.ext
    )


def _held(tck: Any) -> Any:
    HOLDERS.add(plain_class("UnivariateSpline"))
    return tck


@method("UnivariateSpline.integral")
def _integral(self: Any, a: Any, b: Any) -> Any:
    return _splint(a, b, self._eval_args)


@method("UnivariateSpline.derivatives")
def _derivatives(self: Any, x: Any) -> Any:
    return _spalde(x, self._eval_args)


@method("UnivariateSpline.get_knots")
def _get_knots(self: Any) -> Any:
    t, _, k = self._eval_args
    return t[k : len(t) - k]


@method("UnivariateSpline.get_coeffs")
def _get_coeffs(self: Any) -> Any:
    t, c, k = self._eval_args
    return c[: len(t) - k - 1]
