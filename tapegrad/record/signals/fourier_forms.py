"""Fourier's transforms as linear forms of real arrays, and their exact transposes.

A complex array is a real one whose first axis has the real and the imaginary part. The transpose of
a transform is the other way's, scaled as the first is; beside it stands what a transform does
to lengths: it cuts or pads, and a real array's has half of a spectrum only, of which the inner
numbers stand for two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import Shape, Shapes
from tapegrad.record.signals.multilinear import Form, Numbers
from tapegrad.record.signals.scipys import scipys

OTHER_WAY = {"fft": "ifft", "ifft": "fft", "rfft": "irfft", "irfft": "rfft", "ihfft": "hfft",
             "hfft": "ihfft"}  # fmt: skip
NORMS = {"backward": "forward", "forward": "backward", "ortho": "ortho"}
"""The scaling of the transform that is another one's transpose."""

OF_REAL, TO_REAL = ("rfft", "ihfft"), ("irfft", "hfft")


def as_complex(x: Numbers, factor: float = 1.0) -> npt.NDArray[np.complex128]:
    """Return parts, times a number, as one complex array."""
    found = np.empty(x.shape[1:], np.complex128)
    if factor == 1.0:
        found.real, found.imag = x
    else:
        np.multiply(x[0], factor, out=found.real)
        np.multiply(x[1], factor, out=found.imag)
    return found


def as_parts(z: Any) -> Numbers:
    """Return a complex array as its parts, a view if it's in one piece."""
    if not z.flags.c_contiguous:
        return np.stack([z.real, z.imag])
    return np.moveaxis(z.view(np.float64).reshape(*z.shape, 2), -1, 0)


def resized(x: npt.NDArray[Any], shape: Shape) -> npt.NDArray[Any]:
    """Return an array cut, or with zeros at the ends, to a shape."""
    if x.shape == shape:
        return x
    common = tuple(slice(min(n, m)) for n, m in zip(x.shape, shape, strict=True))
    found = np.zeros(shape, x.dtype)
    found[common] = x[common]
    return found


class Fourier(Form):
    """Of an array and its transform.

    Parameters
    ----------
    shapes : tuple of tuple of int
        Of the array and of the result, with the axes of parts if they're complex.
    library : str
        "numpy.fft" or "scipy.fft".
    name : str
        The function's, of one axis: "fft", ...
    takes_parts : bool
        Whether the array is complex.
    lengths, axes : tuple of int
        The transforms'; along the last axis that of the real array, if one of the two is real.
    norm : str
    is_nd : bool
        Whether it's the library's function of several axes.
    """

    def __init__(self, shapes: Shapes, library: str, name: str, takes_parts: bool,
                 lengths: tuple[int, ...], axes: tuple[int, ...], norm: str,
                 is_nd: bool) -> None:  # fmt: skip
        super().__init__(shapes, library, name, takes_parts, lengths, axes, norm, is_nd)
        self.library, self.name, self.takes_parts = library, name, takes_parts
        self.lengths, self.axes, self.norm, self.is_nd = lengths, axes, norm, is_nd

    def _transformed(self, name: str, x: Any, norm: str) -> Any:
        if self.is_nd:
            return scipys(f"{self.library}.{name}n")(x, self.lengths, self.axes, norm)
        return scipys(f"{self.library}.{name}")(x, self.lengths[0], self.axes[0], norm)

    def gradient(self, k: int, arguments: Sequence[Any]) -> Numbers:
        x, y = arguments
        if k == 1:
            found = self._transformed(
                self.name, as_complex(x) if self.takes_parts else x, self.norm
            )
            return np.asarray(found if self.name in TO_REAL else as_parts(found))
        if self.name in OF_REAL:  # numbers that have a mirror image count twice on the way back
            spectrum = self._ends_times(2.0, as_complex(y, 0.5))
        else:
            spectrum = y if self.name in TO_REAL else as_complex(y)
        found = self._transformed(OTHER_WAY[self.name], spectrum, NORMS[self.norm])
        if self.name in TO_REAL:
            found *= 2.0
            self._ends_times(0.5, found)
        if not self.takes_parts:
            return resized(found.real, self.shapes[0])
        return as_parts(resized(found, self.shapes[0][1:]))

    def _ends_times(self, factor: float, spectrum: Any) -> Any:
        """Multiply what has no mirror image in half a spectrum, in place."""
        axis, size = self.axes[-1], self.lengths[-1]
        for end in (0, size // 2) if size % 2 == 0 else (0,):
            place = (*[slice(None)] * axis, end)
            spectrum[place] *= factor
        return spectrum


# --- cosine and sine transforms -------------------------------------------------------------------


_INVERSE_TYPES = {1: 1, 2: 3, 3: 2, 4: 4}


class Cosine(Form):
    """Of an array and its cosine or sine transform along some axes.

    Parameters
    ----------
    shapes : tuple of tuple of int
    name : {"dct", "idct", "dst", "idst"}
    kind : {1, 2, 3, 4}
    lengths, axes : tuple of int
    norm : str
    is_orthogonal : bool
        Whether the matrix is an orthogonal one, but for its scale.
    is_nd : bool
    """

    def __init__(self, shapes: Shapes, name: str, kind: int, lengths: tuple[int, ...],
                 axes: tuple[int, ...], norm: str, is_orthogonal: bool,
                 is_nd: bool) -> None:  # fmt: skip
        super().__init__(shapes, name, kind, lengths, axes, norm, is_orthogonal, is_nd)
        self.name, self.kind, self.lengths, self.axes = name, kind, lengths, axes
        self.norm, self.is_orthogonal, self.is_nd = norm, is_orthogonal, is_nd

    def _transformed(self, name: str, x: Numbers, norm: str) -> Numbers:
        options = {"norm": norm, "orthogonalize": self.is_orthogonal}
        if self.is_nd:
            found = scipys(f"scipy.fft.{name}n")(x, self.kind, self.lengths, self.axes, **options)
        else:
            lengths, axes = self.lengths[0], self.axes[0]
            found = scipys(f"scipy.fft.{name}")(x, self.kind, lengths, axes, **options)
        return np.asarray(found)

    def gradient(self, k: int, arguments: Sequence[Any]) -> Numbers:
        x, y = arguments
        if k == 1:
            return self._transformed(self.name, x, self.norm)
        other = self.name.removeprefix("i") if self.name[0] == "i" else f"i{self.name}"
        before, after = (np.ones([1] * y.ndim),) * 2 if self.is_orthogonal else self._weights()
        return resized(
            after * self._transformed(other, before * y, NORMS[self.norm]), self.shapes[0]
        )

    def _weights(self) -> tuple[Numbers, Numbers]:
        """Return the diagonals between which the other transform is the transpose."""
        kind = self.kind if self.name[0] != "i" else _INVERSE_TYPES[self.kind]
        ends = {1: (0, -1), 2: (0,), 3: (0,)} if "dct" in self.name else {2: (-1,), 3: (-1,)}
        found = [np.ones([1] * len(self.shapes[1])), np.ones([1] * len(self.shapes[1]))]
        for axis, length in zip(self.axes, self.lengths, strict=True):
            before, after = np.ones(length), np.ones(length)
            for end in ends.get(kind, ()):
                before[end], after[end] = (
                    (1.0, 0.5) if kind == 3 else (2.0, 0.5 if kind == 1 else 1)
                )
            shape = [1] * len(self.shapes[1])
            shape[axis] = length
            found = [
                old * new.reshape(shape) for old, new in zip(found, (before, after), strict=True)
            ]
        return found[0], found[1]
