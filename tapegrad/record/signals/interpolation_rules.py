"""scipy.ndimage's map_coordinates, by the image and by the coordinates, and its spline filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Block
from tapegrad.record.called import call
from tapegrad.record.linear.shaped import ShapedBlock, total_of
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import scipy_rule
from tapegrad.record.signals.image_filter_rules import constant_of, image_of
from tapegrad.record.signals.multilinear import applied
from tapegrad.record.signals.scipys import values
from tapegrad.record.signals.splines_on_grids import Coefficients, Grid

PADDING = 12
"""How many numbers SciPy adds before it filters an image whose edges it has no formula for."""


class Sampled(ShapedBlock):
    """Values at places of splines with given coefficients, or of derivatives of them."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], grid: Grid,
                 by: tuple[int, ...]) -> None:  # fmt: skip
        self.options = grid, by
        self.grid, self.by = grid, by
        Block.__init__(self, "map_coordinates", shapes, (shapes[1][1:],), is_active)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        if not any(self.by):
            return [self.grid.value(*operands)]
        coefficients, places = operands
        return [self.grid.sampled(coefficients, places, self.by)]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        (coefficients, places), (adjoint,) = operands, adjoints
        of_image, of_places = self.is_active
        return [
            _spread(adjoint, places, self.grid.homogeneous, self.by) if of_image else None,
            _by_places(adjoint, coefficients, places, self.grid, self.by) if of_places else None,
        ]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        (coefficients, places), (of_image, of_places) = operands, tangents
        terms = []
        if of_image is not None:
            terms.append(_sampled(of_image, places, self.grid.homogeneous, self.by))
        if of_places is not None:
            for axis, tangent in enumerate(of_places):
                slope = _sampled(coefficients, places, self.grid, _once_more(self.by, axis))
                terms.append(_product(tangent, slope))
        return [total_of(*terms)]


class Spread(ShapedBlock):
    """What values at places, or derivatives there, add to each coefficient."""

    def __init__(self, shapes: Any, is_active: tuple[bool, ...], grid: Grid,
                 by: tuple[int, ...]) -> None:  # fmt: skip
        self.options = grid, by
        self.grid, self.by = grid, by
        Block.__init__(self, "map_coordinates.0", shapes, (grid.shape,), is_active)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        numbers, places = operands
        return [self.grid.spread(numbers, places, self.by)]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        (numbers, places), (adjoint,) = operands, adjoints
        of_numbers, of_places = self.is_active
        return [
            _sampled(adjoint, places, self.grid, self.by) if of_numbers else None,
            _by_places(numbers, adjoint, places, self.grid, self.by) if of_places else None,
        ]

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        (numbers, places), (of_numbers, of_places) = operands, tangents
        terms = []
        if of_numbers is not None:
            terms.append(_spread(of_numbers, places, self.grid, self.by))
        if of_places is not None:
            for axis, tangent in enumerate(of_places):
                by = _once_more(self.by, axis)
                terms.append(_spread(_product(tangent, numbers), places, self.grid, by))
        return [total_of(*terms)]


def _once_more(by: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return tuple(times + (k == axis) for k, times in enumerate(by))


def _by_places(adjoint: Any, coefficients: Any, places: Any, grid: Grid,
               by: tuple[int, ...]) -> Any:  # fmt: skip
    """Return adjoints of places from those of values there."""
    return np.stack([
        _product(adjoint, _sampled(coefficients, places, grid, _once_more(by, axis)))
        for axis in range(len(by))
    ])  # fmt: skip


def _product(by: Any, x: Any) -> Any:
    """Return adjoints or tangents times numbers, a zero of the first being nothing."""
    if type(by) is not np.ndarray or type(x) is not np.ndarray:
        return by * x
    return np.where(by == 0.0, 0.0, by * x)


def _called(kind: Any, grid: Grid, by: tuple[int, ...], *operands: Any) -> Any:
    shapes = tuple(np.shape(x) for x in operands)
    return call(lambda is_active: kind(shapes, is_active, grid, by), operands)[0]


def _sampled(coefficients: Any, places: Any, grid: Grid, by: tuple[int, ...]) -> Any:
    return _called(Sampled, grid, by, coefficients, places)


def _spread(numbers: Any, places: Any, grid: Grid, by: tuple[int, ...]) -> Any:
    return _called(Spread, grid, by, numbers, places)


# --- rules ----------------------------------------------------------------------------------------


@scipy_rule("scipy.ndimage.map_coordinates")
def map_coordinates(input: Any, coordinates: Any, order: Any = 3, mode: Any = "constant",
                    cval: Any = 0.0, prefilter: Any = True) -> Any:  # fmt: skip
    """Record values of an image between its numbers, by those and by where they are asked."""
    cval = constant_of("scipy.ndimage.map_coordinates", cval)
    values("scipy.ndimage.map_coordinates", input, coordinates, None, order, mode, cval, prefilter)
    x, places = image_of("scipy.ndimage.map_coordinates", input), operand(coordinates)
    mode = "reflect" if mode == "grid-mirror" else mode
    if prefilter and order > 1:
        if mode in ("nearest", "grid-constant"):
            further = {"constant_values": cval} if mode == "grid-constant" else {}
            x = np.pad(x, PADDING, "edge" if mode == "nearest" else "constant", **further)
            places = places + float(PADDING)
        x = _coefficients(x, order, mode, tuple(range(x.ndim)))
    grid = Grid(int(order), mode, cval, x.shape)
    return _sampled(x, places, grid, (0,) * x.ndim)


def _coefficients(x: Any, order: Any, mode: str, axes: tuple[int, ...]) -> Any:
    return applied(Coefficients((x.shape, x.shape), int(order), mode, axes), x)


@scipy_rule("scipy.ndimage.spline_filter")
def spline_filter(input: Any, order: Any = 3, mode: Any = "mirror") -> Any:
    """Record the coefficients of splines."""
    values("scipy.ndimage.spline_filter", input, order, mode=mode)
    x = operand(input)
    return _coefficients(x, order, mode, tuple(range(x.ndim)))


@scipy_rule("scipy.ndimage.spline_filter1d")
def spline_filter1d(input: Any, order: Any = 3, axis: Any = -1, mode: Any = "mirror") -> Any:
    """Record the coefficients of splines along an axis."""
    values("scipy.ndimage.spline_filter1d", input, order, axis, mode=mode)
    x = operand(input)
    return _coefficients(x, order, mode, (axis % x.ndim,)) if order > 1 else x.copy()
