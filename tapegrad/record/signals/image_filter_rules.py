"""scipy.ndimage's linear filters: correlations, convolutions, Gaussians, averages, derivatives."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import is_held, is_passive, no_rule, scipy_rule
from tapegrad.record.signals.multilinear import applied
from tapegrad.record.signals.pinned import pinned
from tapegrad.record.signals.scipys import plain_of, values
from tapegrad.record.signals.stencils import Mean, Stencil


def image_of(name: str, x: Any) -> Any:
    """Return an image as an array of floats; SciPy's results have the type of what it's given."""
    found = operand(x)
    if not is_held(x) and found.dtype != np.float64:
        raise no_rule(f"{name} of an image of {found.dtype}", "write image.astype(float), or ")
    return found


def constant_of(name: str, cval: Any) -> float:
    """Return what is beyond the edges, as a plain number."""
    if is_held(cval) and not is_passive(cval):
        raise no_rule(f"{name} by cval=", "pad the image yourself, or ")
    return float(plain_of(cval))


def _stencil(x: Any, weights: Any, mode: str, cval: float, origins: Sequence[int],
             axis: int | None = None) -> Any:  # fmt: skip
    form = Stencil((x.shape, weights.shape, x.shape), mode, cval, tuple(origins), axis)
    return applied(form, x, weights)


def _sequence(thing: Any, count: int) -> list[Any]:
    """Return as many things as there are axes; one that is given counts for all."""
    is_one = isinstance(thing, str) or np.ndim(thing) == 0
    return [thing] * count if is_one else list(thing)


def _axes(axes: Any, ndim: int) -> list[int]:
    if axes is None:
        return list(range(ndim))
    return [operator.index(axis) % ndim for axis in np.atleast_1d(axes)]


# --- stencils of any dimensions -------------------------------------------------------------------


@scipy_rule("scipy.ndimage.correlate")
def correlate(input: Any, weights: Any, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0,
              *, axes: Any = None) -> Any:  # fmt: skip
    """Record a correlation with weights."""
    return _filtered("correlate", input, weights, mode, cval, origin, axes)


@scipy_rule("scipy.ndimage.convolve")
def convolve(input: Any, weights: Any, mode: Any = "reflect", cval: Any = 0.0, origin: Any = 0,
             *, axes: Any = None) -> Any:  # fmt: skip
    """Record a convolution with weights."""
    return _filtered("convolve", input, weights, mode, cval, origin, axes)


def _filtered(name: str, input: Any, weights: Any, mode: Any, cval: Any, origin: Any,
              axes: Any) -> Any:  # fmt: skip
    cval = constant_of(f"scipy.ndimage.{name}", cval)
    further = {} if axes is None else {"axes": axes}
    values(f"scipy.ndimage.{name}", input, weights, None, mode, cval, origin, **further)
    x, weights = image_of(f"scipy.ndimage.{name}", input), operand(weights)
    along = _axes(axes, x.ndim)
    others = tuple(axis for axis in range(x.ndim) if axis not in along)
    weights, origins = np.expand_dims(weights, others), [0] * x.ndim
    for axis, number in zip(along, _sequence(origin, len(along)), strict=True):
        origins[axis] = int(number)
    if name == "convolve":
        weights, origins = np.flip(weights), _turned(origins, weights.shape)
    return _stencil(x, weights, mode, cval, origins)


def _turned(origins: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """Return the origins of reversed weights."""
    return [-origin - (size % 2 == 0) for origin, size in zip(origins, sizes, strict=True)]


# --- along one axis -------------------------------------------------------------------------------


def _along(x: Any, weights: Any, axis: int, mode: str, cval: float, origin: int = 0) -> Any:
    x, weights, origins = operand(x), operand(weights), [0] * np.ndim(x)
    axis = axis % x.ndim
    origins[axis] = origin
    shape = [len(weights) if own == axis else 1 for own in range(x.ndim)]
    return _stencil(x, np.reshape(weights, shape), mode, cval, origins, axis)


@scipy_rule("scipy.ndimage.correlate1d")
def correlate1d(input: Any, weights: Any, axis: Any = -1, mode: Any = "reflect", cval: Any = 0.0,
                origin: Any = 0) -> Any:  # fmt: skip
    """Record a correlation along an axis."""
    cval = constant_of("scipy.ndimage.correlate1d", cval)
    values("scipy.ndimage.correlate1d", input, weights, axis, None, mode, cval, origin)
    input = image_of("scipy.ndimage.correlate1d", input)
    return _along(input, weights, axis, mode, cval, origin)


@scipy_rule("scipy.ndimage.convolve1d")
def convolve1d(input: Any, weights: Any, axis: Any = -1, mode: Any = "reflect", cval: Any = 0.0,
               origin: Any = 0) -> Any:  # fmt: skip
    """Record a convolution along an axis."""
    cval = constant_of("scipy.ndimage.convolve1d", cval)
    values("scipy.ndimage.convolve1d", input, weights, axis, None, mode, cval, origin)
    input, weights = image_of("scipy.ndimage.convolve1d", input), operand(weights)
    (origin,) = _turned([origin], weights.shape)
    return _along(input, weights[::-1], axis, mode, cval, origin)


# --- Gaussians ------------------------------------------------------------------------------------


@scipy_rule("scipy.ndimage.gaussian_filter1d")
def gaussian_filter1d(input: Any, sigma: Any, axis: Any = -1, order: Any = 0,
                      mode: Any = "reflect", cval: Any = 0.0, truncate: Any = 4.0, *,
                      radius: Any = None) -> Any:  # fmt: skip
    """Record a Gaussian filter along an axis, by the image and by `sigma`."""
    cval = constant_of("scipy.ndimage.gaussian_filter1d", cval)
    options = (axis, order, None, mode, cval, truncate)
    values("scipy.ndimage.gaussian_filter1d", input, sigma, *options, radius=radius)
    input = image_of("scipy.ndimage.gaussian_filter1d", input)
    # How many weights there are is a choice, which is guarded.
    radius = int(truncate * sigma + 0.5) if radius is None else radius
    found = _along(input, _gaussian(sigma, order, radius)[::-1], axis, mode, cval)
    if not is_held(sigma):
        return found
    arguments = {
        "input": input, "sigma": operand(sigma), "axis": axis, "order": order,
        "mode": mode, "cval": cval, "radius": radius,
    }  # fmt: skip
    return pinned(found, "scipy.ndimage.gaussian_filter1d", arguments)


def _gaussian(sigma: Any, order: int, radius: int) -> Any:
    """Return a Gaussian's weights, or those of a derivative of one: it, times a polynomial."""
    variance = sigma * sigma
    x = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 / variance * x**2)
    weights = weights / weights.sum()
    if order == 0:
        return weights
    powers, q = np.arange(order + 1), np.zeros(order + 1)
    q[0] = 1
    derivative = np.diag(powers[1:], 1) + np.diag(np.ones(order) / -variance, -1)
    for _ in range(order):
        q = derivative.dot(q)
    return (x[:, None] ** powers).dot(q) * weights


@scipy_rule("scipy.ndimage.gaussian_filter")
def gaussian_filter(input: Any, sigma: Any, order: Any = 0, mode: Any = "reflect",
                    cval: Any = 0.0, truncate: Any = 4.0, *, radius: Any = None,
                    axes: Any = None) -> Any:  # fmt: skip
    """Record a Gaussian filter, along one axis after the other."""
    cval = constant_of("scipy.ndimage.gaussian_filter", cval)
    further = {key: x for key, x in (("radius", radius), ("axes", axes)) if x is not None}
    options = (order, None, mode, cval, truncate)
    values("scipy.ndimage.gaussian_filter", input, sigma, *options, **further)
    x = image_of("scipy.ndimage.gaussian_filter", input)
    along = _axes(axes, x.ndim)
    each = [_sequence(thing, len(along)) for thing in (sigma, order, mode, radius)]
    for axis, own, own_order, own_mode, own_radius in zip(along, *each, strict=True):
        if own > 1e-15:
            x = gaussian_filter1d(
                x, own, axis, own_order, own_mode, cval, truncate, radius=own_radius
            )
    return x if x is not input else x.copy()


# --- averages -------------------------------------------------------------------------------------


@scipy_rule("scipy.ndimage.uniform_filter1d")
def uniform_filter1d(input: Any, size: Any, axis: Any = -1, mode: Any = "reflect",
                     cval: Any = 0.0, origin: Any = 0) -> Any:  # fmt: skip
    """Record moving averages along an axis."""
    cval = constant_of("scipy.ndimage.uniform_filter1d", cval)
    values("scipy.ndimage.uniform_filter1d", input, size, axis, None, mode, cval, origin)
    x = operand(input)
    return applied(Mean((x.shape, x.shape), int(size), axis % x.ndim, mode, cval, origin), x)


@scipy_rule("scipy.ndimage.uniform_filter")
def uniform_filter(input: Any, size: Any = 3, mode: Any = "reflect", cval: Any = 0.0,
                   origin: Any = 0, *, axes: Any = None) -> Any:  # fmt: skip
    """Record averages of boxes."""
    cval = constant_of("scipy.ndimage.uniform_filter", cval)
    further = {} if axes is None else {"axes": axes}
    values("scipy.ndimage.uniform_filter", input, size, None, mode, cval, origin, **further)
    x = operand(input)
    along = _axes(axes, x.ndim)
    each = [_sequence(thing, len(along)) for thing in (size, mode, origin)]
    for axis, own, own_mode, own_origin in zip(along, *each, strict=True):
        if own > 1:
            x = uniform_filter1d(x, int(own), axis, own_mode, cval, own_origin)
    return x if x is not input else x.copy()


# --- derivatives ----------------------------------------------------------------------------------


def _edges_of(name: str, beside: Sequence[int]) -> None:
    def rule(input: Any, axis: Any = -1, mode: Any = "reflect", cval: Any = 0.0) -> Any:
        """Record differences along an axis, smoothed along the others."""
        cval = constant_of(f"scipy.ndimage.{name}", cval)
        values(f"scipy.ndimage.{name}", input, axis, None, mode, cval)
        x = operand(input)
        axis, modes = axis % x.ndim, _sequence(mode, x.ndim)
        found = _along(x, np.array([-1.0, 0.0, 1.0]), axis, modes[axis], cval)
        for other in range(x.ndim):
            if other != axis:
                found = _along(found, np.array(beside, float), other, modes[other], cval)
        return found

    scipy_rule(f"scipy.ndimage.{name}")(rule)


_edges_of("prewitt", (1, 1, 1))
_edges_of("sobel", (1, 2, 1))


@scipy_rule("scipy.ndimage.laplace")
def laplace(input: Any, mode: Any = "reflect", cval: Any = 0.0, *, axes: Any = None) -> Any:
    """Record sums of second differences."""
    further = {} if axes is None else {"axes": axes}
    cval = constant_of("scipy.ndimage.laplace", cval)
    values("scipy.ndimage.laplace", input, None, mode, cval, **further)
    weights = np.array([1.0, -2.0, 1.0])
    return _summed(
        input, mode, axes, lambda x, axis, own, along, modes: _along(x, weights, axis, own, cval)
    )


@scipy_rule("scipy.ndimage.gaussian_laplace")
def gaussian_laplace(input: Any, sigma: Any, mode: Any = "reflect", cval: Any = 0.0, *,
                     axes: Any = None) -> Any:  # fmt: skip
    """Record sums of second derivatives of a Gaussian filter."""
    further = {} if axes is None else {"axes": axes}
    values("scipy.ndimage.gaussian_laplace", input, sigma, None, mode, cval, **further)
    input = image_of("scipy.ndimage.gaussian_laplace", input)

    def second(x: Any, axis: int, mode: Any, along: list[int], modes: list[Any]) -> Any:
        order = [2 * (other == axis) for other in along]
        return gaussian_filter(x, sigma, order, modes, cval, axes=tuple(along))

    return _summed(input, mode, axes, second)


@scipy_rule("scipy.ndimage.gaussian_gradient_magnitude")
def gaussian_gradient_magnitude(input: Any, sigma: Any, mode: Any = "reflect", cval: Any = 0.0, *,
                                axes: Any = None) -> Any:  # fmt: skip
    """Record the lengths of gradients of a Gaussian filter."""
    further = {} if axes is None else {"axes": axes}
    values("scipy.ndimage.gaussian_gradient_magnitude", input, sigma, None, mode, cval, **further)
    input = image_of("scipy.ndimage.gaussian_gradient_magnitude", input)

    def squared(x: Any, axis: int, mode: Any, along: list[int], modes: list[Any]) -> Any:
        order = [int(other == axis) for other in along]
        slope = gaussian_filter(x, sigma, order, modes, cval, axes=tuple(along))
        return slope * slope

    return np.sqrt(_summed(input, mode, axes, squared))


def _summed(input: Any, mode: Any, axes: Any, part: Any) -> Any:
    """Return the sum of what a function makes of an image along each axis."""
    x = operand(input)
    along = _axes(axes, x.ndim)
    modes = _sequence(mode, len(along))
    parts = [part(x, axis, own, along, modes) for axis, own in zip(along, modes, strict=True)]
    total = parts[0]
    for other in parts[1:]:
        total = total + other
    return total
