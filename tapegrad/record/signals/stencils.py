"""scipy.ndimage's filters of images by weights: correlations with a stencil, and means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shapes
from tapegrad.record.signals.image_edges import Widths, folded, padded
from tapegrad.record.signals.multilinear import Form, Numbers
from tapegrad.record.signals.scipys import scipys


class Stencil(Form):
    """Of an image, weights of as many dimensions and scipy.ndimage's correlation of the two.

    Parameters
    ----------
    shapes : tuple of tuple of int
    mode : str
    cval : float
        What is beyond the edges, in the modes that are constant there.
    origins : tuple of int
    axis : int or None
        Along which `correlate1d` does it; None: `correlate` does.
    """

    name = "correlate"

    def __init__(self, shapes: Shapes, mode: str, cval: float, origins: tuple[int, ...],
                 axis: int | None) -> None:  # fmt: skip
        super().__init__(shapes, mode, cval, origins, axis)
        self.mode, self.cval, self.origins, self.axis = mode, cval, origins, axis

    @property
    def homogeneous(self) -> Form:
        return Stencil(self.shapes, self.mode, 0.0, self.origins, self.axis)

    @property
    def _widths(self) -> Widths:
        """How far the stencil reaches beyond the edges."""
        found = []
        for size, origin in zip(self.shapes[1], self.origins, strict=True):
            before = size // 2 + origin
            found.append((before, size - 1 - before))
        return found

    def gradient(self, k: int, arguments: Sequence[Any]) -> Numbers:
        x, weights, y = arguments
        if k == 2:
            return self._value(x, weights)
        if k == 0:
            return folded(_spread(y, weights), self._widths, self.mode)
        whole = padded(x, self._widths, self.mode, self.cval)
        found = np.empty(self.shapes[1])
        for place in np.ndindex(*found.shape):
            found[place] = np.sum(
                whole[tuple(slice(p, p + n) for p, n in zip(place, y.shape, strict=True))] * y
            )
        return found

    def _value(self, x: Numbers, weights: Numbers) -> Numbers:
        options = {"mode": self.mode, "cval": self.cval}
        if self.axis is None:
            function = scipys("scipy.ndimage.correlate")
            return np.asarray(function(x, weights, origin=self.origins, **options))
        function, origin = scipys("scipy.ndimage.correlate1d"), self.origins[self.axis]
        return np.asarray(function(x, weights.reshape(-1), self.axis, origin=origin, **options))


def _spread(y: Numbers, weights: Numbers) -> Numbers:
    """Return the full convolution of results and weights."""
    starts = [(size - 1) // 2 for size in weights.shape]
    whole = np.zeros([n + m - 1 for n, m in zip(y.shape, weights.shape, strict=True)])
    whole[tuple(slice(s, s + n) for s, n in zip(starts, y.shape, strict=True))] = y
    turned = np.flip(weights)
    return np.asarray(scipys("scipy.ndimage.correlate")(whole, turned, mode="constant"))


class Mean(Form):
    """Of an image and its moving averages along an axis, of so many numbers each."""

    name = "uniform_filter1d"

    def __init__(self, shapes: Shapes, size: int, axis: int, mode: str, cval: float,
                 origin: int) -> None:  # fmt: skip
        super().__init__(shapes, size, axis, mode, cval, origin)
        self.size, self.axis, self.mode, self.cval, self.origin = size, axis, mode, cval, origin

    @property
    def homogeneous(self) -> Form:
        return Mean(self.shapes, self.size, self.axis, self.mode, 0.0, self.origin)

    def gradient(self, k: int, arguments: Sequence[Any]) -> Numbers:
        x, y = arguments
        if k == 1:
            function = scipys("scipy.ndimage.uniform_filter1d")
            return np.asarray(
                function(x, self.size, self.axis, None, self.mode, self.cval, self.origin)
            )
        along = [int(axis == self.axis) for axis in range(y.ndim)]
        weights = np.full([self.size if own else 1 for own in along], 1.0 / self.size)
        shapes = (self.shapes[0], weights.shape, self.shapes[1])
        origins = tuple(self.origin * own for own in along)
        form = Stencil(shapes, self.mode, 0.0, origins, self.axis)
        return form.gradient(0, (None, weights, y))
