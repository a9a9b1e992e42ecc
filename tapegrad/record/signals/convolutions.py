"""scipy.signal's convolutions and correlations, of arrays of any dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shape, Shapes
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import scipy_rule
from tapegrad.record.signals.multilinear import Form, Numbers, applied
from tapegrad.record.signals.scipys import plain_of, scipys, values


class Convolution(Form):
    """Of x, w and their convolution, or correlation, as one of scipy.signal's functions has it.

    Parameters
    ----------
    shapes : tuple of tuple of int
    name : str
        The function's.
    mode, method : str
    axes : tuple of int, or None
        Those that are convolved along, of fftconvolve's; along others the operands are broadcast.
    """

    def __init__(self, shapes: Shapes, name: str, mode: str, method: str,
                 axes: tuple[int, ...] | None) -> None:  # fmt: skip
        super().__init__(shapes, mode, method, axes)
        self.name, self.mode, self.method = name, mode, method
        self.axes = tuple(range(len(shapes[0]))) if axes is None else axes

    @property
    def _is_turned(self) -> bool:
        return self.name.startswith("correlate")

    @property
    def _whole(self) -> Shape:
        """The full convolution's shape."""
        return tuple(
            n + m - 1 if axis in self.axes else max(n, m)
            for axis, (n, m) in enumerate(zip(*self.shapes[:2], strict=True))
        )

    def gradient(self, k: int, arguments: Sequence[Any]) -> Numbers:
        x, w, y = arguments
        turned = tuple(slice(None, None, -1) for _ in self.shapes[0])
        if k == 2:
            return self._value(x, w)
        given = self._placed(y)
        if k == 0:
            return self._lags(given, w[turned] if self._is_turned else w, 0)
        found = self._lags(given, x, 1)
        return found[turned] if self._is_turned else found

    def _value(self, x: Numbers, w: Numbers) -> Numbers:
        function = scipys(f"scipy.signal.{self.name}")
        if self.name in ("convolve", "correlate"):
            return np.asarray(function(x, w, self.mode, self.method))
        if self.name.endswith("2d"):
            return np.asarray(function(x, w, self.mode))
        return np.asarray(function(x, w, self.mode, self.axes))

    def _placed(self, y: Numbers) -> Numbers:
        """Return results at their places in the full convolution."""
        whole = self._whole
        if self.mode == "same" and self.name == "correlate2d":  # whose middle is another one
            starts = [m // 2 for m in self.shapes[1]]
        elif self.mode == "same":
            starts = [(n - m) // 2 for n, m in zip(whole, y.shape, strict=True)]
        elif self.mode == "valid":
            starts = [
                min(n, m) - 1 if axis in self.axes else 0
                for axis, (n, m) in enumerate(zip(*self.shapes[:2], strict=True))
            ]
        else:
            starts = [0] * len(whole)
        found = np.zeros(whole)
        found[tuple(slice(s, s + m) for s, m in zip(starts, y.shape, strict=True))] = y
        return found

    def _lags(self, whole: Numbers, by: Numbers, k: int) -> Numbers:
        """Return the sums of by[i] whole[n + i], for every n that argument `k` has."""
        if self.method == "direct":
            return np.asarray(scipys("scipy.signal.correlate")(whole, by, "valid", "direct"))
        turned = tuple(
            slice(None, None, -1) if axis in self.axes else slice(None) for axis in range(by.ndim)
        )
        convolve = scipys("scipy.signal.fftconvolve")
        found = np.asarray(convolve(whole, by[turned], "valid", self.axes))
        wanted = self.shapes[k]
        spread = tuple(axis for axis, n in enumerate(found.shape) if n != wanted[axis])
        return found.sum(axis=spread, keepdims=True) if spread else found


def _convolved(name: str, x: Any, w: Any, mode: str, method: str, axes: Any = None) -> Any:
    options: tuple[Any, ...] = (mode, method)
    if method == "fft" and name not in ("convolve", "correlate"):
        options = (mode, axes)
    elif name.endswith("2d"):
        options = (mode,)
    given = [np.asarray(plain_of(thing)) for thing in (x, w)]
    found = values(f"scipy.signal.{name}", x, w, *options)
    x, w = operand(x), operand(w)
    if x.ndim == w.ndim == 0:
        return x * w
    if x.size == 0 or w.size == 0:
        return found
    if method == "auto":
        x0, w0 = given
        if mode == "valid" and not all(n >= m for n, m in zip(x.shape, w.shape, strict=True)):
            x0, w0 = w0, x0
        method = scipys("scipy.signal.choose_conv_method")(x0, w0, mode)
    if axes is not None:
        axes = tuple(axis % x.ndim for axis in np.atleast_1d(axes).tolist())
    form = Convolution((x.shape, w.shape, np.shape(found)), name, mode, method, axes)
    return applied(form, x, w)


@scipy_rule("scipy.signal.convolve")
def convolve(in1: Any, in2: Any, mode: Any = "full", method: Any = "auto") -> Any:
    """Record a convolution."""
    return _convolved("convolve", in1, in2, mode, method)


@scipy_rule("scipy.signal.correlate")
def correlate(in1: Any, in2: Any, mode: Any = "full", method: Any = "auto") -> Any:
    """Record a correlation; SciPy's is a convolution unless it's asked to be a direct one."""
    if method == "direct" or np.ndim(in2) == 0:
        return _convolved("correlate", in1, in2, mode, method)
    values("scipy.signal.correlate", in1, in2, mode, method)
    return _convolved("convolve", in1, np.flip(operand(in2)), mode, method)


@scipy_rule("scipy.signal.fftconvolve")
def fftconvolve(in1: Any, in2: Any, mode: Any = "full", axes: Any = None) -> Any:
    """Record a convolution by Fourier's transform."""
    return _convolved("fftconvolve", in1, in2, mode, "fft", axes)


@scipy_rule("scipy.signal.oaconvolve")
def oaconvolve(in1: Any, in2: Any, mode: Any = "full", axes: Any = None) -> Any:
    """Record a convolution by Fourier's transform of overlapping parts."""
    return _convolved("oaconvolve", in1, in2, mode, "fft", axes)


@scipy_rule("scipy.signal.convolve2d")
def convolve2d(in1: Any, in2: Any, mode: Any = "full") -> Any:
    """Record a convolution of matrices, with zeros beyond their edges."""
    return _convolved("convolve2d", in1, in2, mode, "direct")


@scipy_rule("scipy.signal.correlate2d")
def correlate2d(in1: Any, in2: Any, mode: Any = "full") -> Any:
    """Record a correlation of matrices, with zeros beyond their edges."""
    return _convolved("correlate2d", in1, in2, mode, "direct")
