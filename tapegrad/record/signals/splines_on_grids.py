"""B-splines through the numbers of an image: their coefficients, and their values at places.

A value is a sum over the few coefficients about a place, each times a weight for each axis; which
ones those are, and what is beyond the edges, is as scipy.ndimage has it (P. Thevenaz, T. Blu,
M. Unser, "Interpolation Revisited", 2000). Derivatives by places have the splines' derivatives
for weights; where those of straight lines jump, half of either side's counts.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import Shape, Shapes
from tapegrad.record.signals.multilinear import Form, Numbers
from tapegrad.record.signals.scipys import scipys

Indices = npt.NDArray[np.intp]

MIRRORED = ("mirror", "constant", "wrap", "grid-constant")
"""The modes whose splines' coefficients go on as in a mirror at the last number."""


LONGEST_AS_MATRIX = 64
"""Lines so long are filtered as if they went on for ever: what their ends see of each other, a
power of at most 0.43 with twice the length for exponent, is less than a rounding error."""


class Coefficients(Form):
    """Of an image and the coefficients of the splines through it, along some axes."""

    name = "spline_filter"

    def __init__(self, shapes: Shapes, order: int, mode: str, axes: tuple[int, ...]) -> None:
        super().__init__(shapes, order, mode, axes)
        self.order, self.mode, self.axes = order, mode, axes

    def gradient(self, k: int, arguments: Sequence[Any]) -> Numbers:
        found = np.asarray(arguments[1 - k])
        for axis in self.axes:
            found = self._filtered(found, axis) if k else self._transposed(found, axis)
        return found

    def _filtered(self, x: Numbers, axis: int) -> Numbers:
        function = scipys("scipy.ndimage.spline_filter1d")
        return np.asarray(function(x, self.order, axis, mode=self.mode))

    def _transposed(self, x: Numbers, axis: int) -> Numbers:
        size = x.shape[axis]
        if size <= LONGEST_AS_MATRIX:
            matrix = self._filtered(np.eye(size), 0)
            return np.moveaxis(np.tensordot(matrix, x, (0, axis)), 0, axis)
        # The matrix is symmetric, but that numbers at the ends of a mirrored line count once.
        halved = np.ones(size)
        if self.mode in MIRRORED:
            halved[[0, -1]] = 0.5
        halved = halved.reshape([-1 if other == axis else 1 for other in range(x.ndim)])
        return halved * self._filtered(x / halved, axis)


# --- where places are ---------------------------------------------------------------------------


def _inside(x: Any, size: int, mode: str) -> tuple[Any, Any]:
    """Return places moved into an axis as a mode has it, -1 outside, and their slopes."""
    if mode == "constant":
        return np.where((x < 0) | (x > size - 1), -1.0, x), np.ones(x.shape)
    if size <= 1:
        is_beside = (x < 0) | (x > size - 1)
        return np.where(is_beside, 0.0, x), np.where(is_beside, 0.0, 1.0)
    below, above = x < 0, x > size - 1
    if mode in ("wrap", "grid-wrap"):
        period = size - 1 if mode == "wrap" else size
        lifted = x + period * (np.trunc(((-1 if period == size else 0) - x) / period) + 1)
        lowered = x - period * np.trunc(x / period)
        return np.where(below, lifted, np.where(above, lowered, x)), np.ones(x.shape)
    mirrors_at_ends = mode == "mirror"
    period = 2 * size - 2 if mirrors_at_ends else 2 * size
    last = 0 if mirrors_at_ends else 1
    y = np.where(below, -x - last, x)
    y = y - period * np.trunc(y / period)
    is_turned = y >= size if not mirrors_at_ends else y > size - 1
    found = np.where(is_turned & (below | above), period - y - last, y)
    slope = np.where(below, -1.0, 1.0) * np.where(is_turned & (below | above), -1.0, 1.0)
    return found, slope


@dataclass(frozen=True)
class Grid:
    """How an image is interpolated: the splines' order, the mode, what is beside, the shape."""

    order: int
    mode: str
    cval: float
    shape: Shape

    @property
    def homogeneous(self) -> Grid:
        """The same with zeros beyond the edges."""
        return Grid(self.order, self.mode, 0.0, self.shape)

    def value(self, coefficients: Numbers, places: Numbers) -> Numbers:
        """Return what SciPy gives at places."""
        options = {"order": self.order, "mode": self.mode, "cval": self.cval, "prefilter": False}
        return np.asarray(scipys("scipy.ndimage.map_coordinates")(coefficients, places, **options))

    def sampled(self, coefficients: Numbers, places: Numbers, by: tuple[int, ...]) -> Numbers:
        """Return a derivative at places, so many times by each axis."""
        flat, found = coefficients.reshape(-1), np.zeros(places.shape[1:])
        is_plain = bool(np.isfinite(flat).all())
        for indices, weights in self._terms(places, by):
            numbers = flat[indices]
            if self.mode == "grid-constant":
                numbers = np.where(indices < 0, self.cval, numbers)
            terms = weights * numbers
            found += terms if is_plain else np.where(weights == 0.0, 0.0, terms)
        return self._spoiled(found, places)

    def spread(self, by_values: Numbers, places: Numbers, by: tuple[int, ...]) -> Numbers:
        """Return the transpose of `sampled`: what is added to each coefficient."""
        found = np.zeros(int(np.prod(self.shape)))
        for indices, weights in self._terms(places, by):
            is_inside = (indices >= 0) & (by_values != 0.0)
            found += np.bincount(
                indices[is_inside], (weights * by_values)[is_inside], minlength=len(found)
            )
        return found.reshape(self.shape)

    @staticmethod
    def _spoiled(found: Numbers, places: Numbers) -> Numbers:
        return np.where(np.isfinite(places).all(axis=0), found, np.nan)

    def _terms(self, places: Numbers, by: tuple[int, ...]) -> Iterator[tuple[Indices, Numbers]]:
        """Yield the flat index of a coefficient, -1 for what is beside, and its weight."""
        along = [self._along(x, axis, by[axis]) for axis, x in enumerate(places)]
        for terms in itertools.product(*along):
            flat: Any = 0
            for (index, _), size in zip(terms, self.shape, strict=True):
                flat = flat * size + index
            if self.mode == "grid-constant":
                flat = np.where(np.any([index < 0 for index, _ in terms], axis=0), -1, flat)
            yield flat, functools.reduce(np.multiply, [weight for _, weight in terms])

    def _along(self, x: Numbers, axis: int, by: int) -> list[tuple[Indices, Numbers]]:
        """Return indices along an axis and weights; zeros where the value is constant."""
        size = self.shape[axis]
        x = np.where(np.isfinite(x), x, 0.0)
        is_free = self.mode in ("nearest", "grid-constant")
        y, slope = (x, np.ones(x.shape)) if is_free else _inside(x, size, self.mode)
        is_outside = np.zeros(x.shape, bool) if is_free else y <= -1.0
        y = np.where(is_outside, 0.0, y)
        sign = np.where(is_outside, 0.0, slope**by)
        if self.order == 1 and by == 1:
            left, right = np.ceil(y) - 1, np.floor(y)
            if self.mode == "constant":  # only what is inside counts
                left, right = (
                    np.where(left < 0, right, left),
                    np.where(right >= size - 1, left, right),
                )
            halves = [self._at(start, y - start, size, by) for start in (left, right)]
            return [(index, 0.5 * sign * weight) for half in halves for index, weight in half]
        shifted = y if self.order % 2 else y + 0.5
        start = np.floor(shifted)
        found = self._at(start - self.order // 2, shifted - start, size, by)
        return [(index, sign * weight) for index, weight in found]

    def _at(self, start: Numbers, fraction: Numbers, size: int,
            by: int) -> list[tuple[Indices, Numbers]]:  # fmt: skip
        first = start.astype(np.intp)
        weights = _weights(fraction, self.order, by)
        return [(self._index(first + k, size), weight) for k, weight in enumerate(weights)]

    def _index(self, index: Indices, size: int) -> Indices:
        """Return indices of coefficients for indices that may be beyond the edges."""
        is_beside = (index < 0) | (index >= size)
        if self.mode == "grid-constant":
            return np.where(is_beside, -1, index)
        if self.mode == "nearest":
            return np.clip(index, 0, size - 1)
        mode = "mirror" if self.mode in MIRRORED else self.mode
        return np.where(is_beside, _inside(index.astype(float), size, mode)[0], index).astype(
            np.intp
        )


def _weights(fraction: Numbers, order: int, by: int) -> list[Numbers]:
    """Return the derivatives of the splines that aren't zero between two knots."""
    if by > order:
        return [np.zeros(fraction.shape)] * (order + 1)
    found = [np.ones(fraction.shape)]
    for degree in range(1, order - by + 1):
        passed, raised = np.zeros(fraction.shape), []
        for k, value in enumerate(found):
            raised.append(passed + (k + 1 - fraction) * value / degree)
            passed = (fraction + degree - 1 - k) * value / degree
        found = [*raised, passed]
    for _ in range(by):
        none = np.zeros(fraction.shape)
        found = [before - after for before, after in itertools.pairwise([none, *found, none])]
    return found
