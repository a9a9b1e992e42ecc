"""scipy.ndimage's shift, affine_transform and rotate: images between their numbers, moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import is_held, is_passive, no_rule, scipy_rule
from tapegrad.record.signals.image_filter_rules import image_of
from tapegrad.record.signals.interpolation_rules import map_coordinates
from tapegrad.record.signals.scipys import plain_of, scipys, values


@scipy_rule("scipy.ndimage.shift")
def shift(input: Any, shift: Any, order: Any = 3, mode: Any = "constant", cval: Any = 0.0,
          prefilter: Any = True) -> Any:  # fmt: skip
    """Record an image that is moved, by the image and by how far."""
    values("scipy.ndimage.shift", input, shift, None, order, mode, cval, prefilter)
    x = image_of("scipy.ndimage.shift", input)
    by = np.broadcast_to(operand(shift), (x.ndim,))
    places = [numbers - by[axis] for axis, numbers in enumerate(_grid(x.shape))]
    return map_coordinates(x, np.stack(places), order, mode, cval, prefilter)


@scipy_rule("scipy.ndimage.affine_transform")
def affine_transform(input: Any, matrix: Any, offset: Any = 0.0, output_shape: Any = None,
                     order: Any = 3, mode: Any = "constant", cval: Any = 0.0,
                     prefilter: Any = True) -> Any:  # fmt: skip
    """Record an image read at the places M i + c, by the image, the matrix and the offset."""
    matrix, x = operand(matrix), image_of("scipy.ndimage.affine_transform", input)
    if matrix.ndim == 1:
        raise no_rule("scipy.ndimage.affine_transform with a 1-d matrix", "write np.diag(it), or ")
    options = (output_shape, None, order, mode, cval, prefilter)
    values("scipy.ndimage.affine_transform", x, matrix, offset, *options)
    if matrix.shape[1] == x.ndim + 1:  # of homogeneous coordinates, whose last row is constant
        matrix, offset = matrix[: x.ndim, : x.ndim], matrix[: x.ndim, x.ndim]
    shape = x.shape if output_shape is None else tuple(map(int, output_shape))
    return _read(x, matrix, offset, shape, (order, mode, cval, prefilter))


@scipy_rule("scipy.ndimage.rotate")
def rotate(input: Any, angle: Any, axes: Any = (1, 0), reshape: Any = True, order: Any = 3,
           mode: Any = "constant", cval: Any = 0.0, prefilter: Any = True) -> Any:  # fmt: skip
    """Record images that are turned."""
    options = (axes, reshape, None, order, mode, cval, prefilter)
    found = values("scipy.ndimage.rotate", input, angle, *options)
    if is_held(angle) and not is_passive(angle):
        raise no_rule(
            "scipy.ndimage.rotate by its angle", "write affine_transform with a matrix of it, or "
        )
    x, (first, second) = operand(input), sorted(axis % np.ndim(input) for axis in axes)
    turn = [float(scipys(f"scipy.special.{name}")(plain_of(angle))) for name in ("cosdg", "sindg")]
    matrix = np.array([[turn[0], turn[1]], [-turn[1], turn[0]]])
    planes = np.moveaxis(x, (first, second), (-2, -1))
    shape = (found.shape[first], found.shape[second])
    center, before = (np.array(shape) - 1) / 2, (np.array(planes.shape[-2:]) - 1) / 2
    offset = before - matrix @ center
    further = (order, mode, cval, prefilter)
    read = [
        _read(planes[index], matrix, offset, shape, further)
        for index in np.ndindex(*planes.shape[:-2])
    ]
    whole = np.reshape(np.stack(read), (*planes.shape[:-2], *shape))
    return np.moveaxis(whole, (-2, -1), (first, second))


def _grid(shape: Sequence[int]) -> list[Any]:
    return list(np.meshgrid(*(np.arange(float(n)) for n in shape), indexing="ij"))


def _read(x: Any, matrix: Any, offset: Any, shape: tuple[int, ...], options: Any) -> Any:
    """Return an image's numbers at affine images of a grid's, added up in SciPy's order."""
    offset = np.broadcast_to(operand(offset), (x.ndim,))
    places = []
    for axis in range(x.ndim):
        place = offset[axis]
        for other, numbers in enumerate(_grid(shape)):
            place = place + numbers * matrix[axis, other]
        places.append(place)
    return map_coordinates(x, np.stack(places), *options)
