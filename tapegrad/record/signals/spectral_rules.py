"""scipy.signal's detrend, hilbert, welch, periodogram and savgol_filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Shape
from tapegrad.record.complex_numbers.complex_types import joined, parts
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import is_held, is_passive, no_rule, scipy_rule
from tapegrad.record.signals.fourier_rules import transformed
from tapegrad.record.signals.image_filter_rules import constant_of, convolve1d
from tapegrad.record.signals.multilinear import Form, Numbers, applied
from tapegrad.record.signals.pinned import pinned
from tapegrad.record.signals.scipys import plain_of, scipys, values

# --- trends ---------------------------------------------------------------------------------------


class Detrended(Form):
    """Of signals and what is left of them without a trend: a projection, its own transpose."""

    name = "detrend"

    def __init__(self, shape: Shape, axis: int, kind: str, breaks: tuple[int, ...]) -> None:
        super().__init__((shape, shape), axis, kind, breaks)
        self.axis, self.kind, self.breaks = axis, kind, breaks

    def gradient(self, k: int, arguments: Sequence[Any]) -> Numbers:
        function = scipys("scipy.signal.detrend")
        return np.asarray(function(arguments[1 - k], self.axis, self.kind, list(self.breaks)))


@scipy_rule("scipy.signal.detrend")
def detrend(data: Any, axis: Any = -1, type: Any = "linear", bp: Any = 0,
            overwrite_data: Any = False) -> Any:  # fmt: skip
    """Record a signal without its mean, or without lines between breaks."""
    values("scipy.signal.detrend", data, axis, type, bp)
    x = operand(data)
    if x.size == 0:
        return x.copy()
    breaks = tuple(int(number) for number in np.atleast_1d(bp))
    return applied(Detrended(x.shape, axis % x.ndim, type, breaks), x)


# --- spectra --------------------------------------------------------------------------------------


@scipy_rule("scipy.signal.hilbert")
def hilbert(x: Any, N: Any = None, axis: Any = -1) -> Any:  # noqa: N803  # SciPy's name
    """Record the analytic signal: of the spectrum, only what turns forward."""
    values("scipy.signal.hilbert", x, N, axis)
    lines = np.moveaxis(operand(x), axis, -1)
    size = lines.shape[-1] if N is None else int(N)
    spectrum = parts(transformed("scipy.fft", "fft", lines, size))
    middle = (size + 1) // 2
    kept = [
        np.concatenate([part[..., :1], 2.0 * part[..., 1:middle], part[..., middle : size // 2 + 1],
                        np.zeros((*lines.shape[:-1], size - size // 2 - 1))], axis=-1)
        for part in spectrum
    ]  # fmt: skip
    return np.moveaxis(transformed("scipy.fft", "ifft", joined(*kept)), -1, axis)


@scipy_rule("scipy.signal.welch")
def welch(x: Any, fs: Any = 1.0, window: Any = "hann", nperseg: Any = None, noverlap: Any = None,
          nfft: Any = None, detrend: Any = "constant", return_onesided: Any = True,
          scaling: Any = "density", axis: Any = -1, average: Any = "mean") -> Any:  # fmt: skip
    """Record a spectral density, the average of those of overlapping parts."""
    _check("welch", fs, detrend)
    further = (nfft, detrend, return_onesided, scaling, axis, average)
    frequencies, _ = values("scipy.signal.welch", x, fs, window, nperseg, noverlap, *further)
    x = operand(x)
    if x.size == 0:
        return np.empty(x.shape), np.empty(x.shape)
    window, nperseg = _windowed(window, nperseg, x.shape[axis])
    parts_of = Segments(window, nperseg, noverlap, nfft, detrend, return_onesided, axis)
    re, im = parts_of.spectra(x)
    found = parts_of.averaged(re**2 + im**2, float(plain_of(fs)), scaling, average)
    arguments = {
        "x": x, "fs": fs, "window": window, "nperseg": nperseg, "noverlap": noverlap, "nfft": nfft,
        "detrend": detrend, "return_onesided": return_onesided, "scaling": scaling, "axis": axis,
        "average": average,
    }  # fmt: skip
    return frequencies, pinned(found, "scipy.signal.welch", arguments, 1)


@scipy_rule("scipy.signal.csd")
def csd(x: Any, y: Any, fs: Any = 1.0, window: Any = "hann", nperseg: Any = None,
        noverlap: Any = None, nfft: Any = None, detrend: Any = "constant",
        return_onesided: Any = True, scaling: Any = "density", axis: Any = -1,
        average: Any = "mean") -> Any:  # fmt: skip
    """Record the spectral density that two signals of one shape have in common."""
    _check("csd", fs, detrend)
    further = (nfft, detrend, return_onesided, scaling, axis, average)
    frequencies, _ = values("scipy.signal.csd", x, y, fs, window, nperseg, noverlap, *further)
    x, y = operand(x), operand(y)
    if x.shape != y.shape or x.size == 0:
        raise no_rule("scipy.signal.csd of signals of two shapes, or empty ones", "pad one, or ")
    window, nperseg = _windowed(window, nperseg, x.shape[axis])
    parts_of = Segments(window, nperseg, noverlap, nfft, detrend, return_onesided, axis)
    (re, im), (re_y, im_y) = parts_of.spectra(x), parts_of.spectra(y)
    found = np.stack([
        parts_of.averaged(part, float(plain_of(fs)), scaling, average)
        for part in (re * re_y + im * im_y, re * im_y - im * re_y)
    ])  # fmt: skip
    arguments = {
        "x": x, "y": y, "fs": fs, "window": window, "nperseg": nperseg, "noverlap": noverlap,
        "nfft": nfft, "detrend": detrend, "return_onesided": return_onesided, "scaling": scaling,
        "axis": axis, "average": average,
    }  # fmt: skip
    return frequencies, joined(*pinned(found, "scipy.signal.csd", arguments, 1))


@scipy_rule("scipy.signal.coherence")
def coherence(x: Any, y: Any, fs: Any = 1.0, window: Any = "hann", nperseg: Any = None,
              noverlap: Any = None, nfft: Any = None, detrend: Any = "constant",
              axis: Any = -1) -> Any:  # fmt: skip
    """Record how much of two signals' power they have in common."""
    values("scipy.signal.coherence", x, y, fs, window, nperseg, noverlap, nfft, detrend, axis)
    given = {
        "fs": fs, "window": window, "nperseg": nperseg, "noverlap": noverlap, "nfft": nfft,
        "detrend": detrend, "axis": axis,
    }  # fmt: skip
    x, y = operand(x), operand(y)
    frequencies, of_both = csd(x, y, **given)
    of_x, of_y = ((welch if is_held(z) else scipys("scipy.signal.welch"))(z, **given)[1]
                  for z in (x, y))  # fmt: skip
    return frequencies, np.abs(of_both) ** 2 / of_x / of_y


@scipy_rule("scipy.signal.periodogram")
def periodogram(x: Any, fs: Any = 1.0, window: Any = "boxcar", nfft: Any = None,
                detrend: Any = "constant", return_onesided: Any = True, scaling: Any = "density",
                axis: Any = -1) -> Any:  # fmt: skip
    """Record the spectral density of a whole signal."""
    _check("periodogram", fs, detrend)
    further = (nfft, detrend, return_onesided, scaling, axis)
    frequencies, _ = values("scipy.signal.periodogram", x, fs, window, *further)
    x = operand(x)
    if x.size == 0:
        return np.empty(x.shape), np.empty(x.shape)
    if not isinstance(window, str | tuple | None):
        window = operand(window)
    arguments = {
        "x": x, "fs": fs, "window": window, "nfft": nfft, "detrend": detrend,
        "return_onesided": return_onesided, "scaling": scaling, "axis": axis,
    }  # fmt: skip
    size = x.shape[axis]
    if nfft is not None and nfft < size:
        x, size = np.moveaxis(np.moveaxis(x, axis, -1)[..., :nfft], -1, axis), int(nfft)
    window = "boxcar" if window is None else window
    parts_of = Segments(window, size, 0, nfft, detrend, return_onesided, axis)
    re, im = parts_of.spectra(x)
    found = parts_of.averaged(re**2 + im**2, float(plain_of(fs)), scaling, "mean")
    return frequencies, pinned(found, "scipy.signal.periodogram", arguments, 1)


def _check(name: str, fs: Any, detrend: Any) -> None:
    if is_held(fs) and not is_passive(fs):
        raise no_rule(f"scipy.signal.{name} by fs=", "scale its results yourself, or ")
    if callable(detrend):
        raise no_rule(f"scipy.signal.{name} with a function for detrend=", "name a kind, or ")


def _windowed(window: Any, nperseg: Any, size: int) -> tuple[Any, int]:
    """Return a window and how long parts are: a window that's named is no longer than a signal."""
    if isinstance(window, str | tuple):
        return window, min(256 if nperseg is None else int(nperseg), size)
    window = operand(window)
    return window, len(window)


class Segments:
    """How a signal is parted, each part windowed and transformed."""

    def __init__(self, window: Any, nperseg: int, noverlap: Any, nfft: Any, detrend: Any,
                 return_onesided: Any, axis: int) -> None:  # fmt: skip
        is_named = isinstance(window, str | tuple)
        self.window = scipys("scipy.signal.get_window")(window, nperseg) if is_named else window
        self.size, self.detrend, self.is_onesided = nperseg, detrend, return_onesided
        self.transform_size = nperseg if nfft is None else int(nfft)
        self.overlap, self.axis = nperseg // 2 if noverlap is None else int(noverlap), axis

    def spectra(self, x: Any) -> tuple[Any, Any]:
        """Return the parts of each segment's spectrum."""
        lines, step = np.moveaxis(x, self.axis, -1), self.size - self.overlap
        starts = step * np.arange((lines.shape[-1] - self.overlap) // step)
        segments = lines[..., starts[:, None] + np.arange(self.size)]
        if self.detrend:
            form = Detrended(segments.shape, segments.ndim - 1, self.detrend, (0,))
            segments = applied(form, segments)
        name, windowed = "rfft" if self.is_onesided else "fft", segments * self.window
        if not is_held(windowed):
            spectrum = scipys(f"scipy.fft.{name}")(windowed, self.transform_size)
            return spectrum.real, spectrum.imag
        re, im = parts(transformed("scipy.fft", name, windowed, self.transform_size))
        return re, im

    def averaged(self, products: Any, fs: float, scaling: str, average: str) -> Any:
        """Return products of spectra, scaled and averaged."""
        # The negative frequencies that aren't there, which the first and the middle one don't have.
        doubled = np.ones(products.shape[-1])
        if self.is_onesided:
            doubled[1 : -1 if self.transform_size % 2 == 0 else None] = 2.0
        window, count = self.window, products.shape[-2]
        scale = fs * np.sum(window**2) if scaling == "density" else np.sum(window) ** 2
        products = products * (doubled / scale)
        if count == 1:
            found = products[..., 0, :]
        elif average == "median":
            odd = 2.0 * np.arange(1.0, (count - 1) // 2 + 1)
            found = np.median(products, axis=-2) / (1.0 + np.sum(1.0 / (odd + 1.0) - 1.0 / odd))
        else:
            found = np.mean(products, axis=-2)
        return np.moveaxis(found, -1, self.axis)


# --- smoothing ------------------------------------------------------------------------------------


@scipy_rule("scipy.signal.savgol_filter")
def savgol_filter(x: Any, window_length: Any, polyorder: Any, deriv: Any = 0, delta: Any = 1.0,
                  axis: Any = -1, mode: Any = "interp", cval: Any = 0.0) -> Any:  # fmt: skip
    """Record polynomials fitted to parts of a signal, or derivatives of them."""
    cval = constant_of("scipy.signal.savgol_filter", cval)
    if is_held(delta) and not is_passive(delta):
        raise no_rule("scipy.signal.savgol_filter by delta=", "divide its result yourself, or ")
    delta = float(plain_of(delta))
    options = (window_length, polyorder, deriv, delta)
    values("scipy.signal.savgol_filter", x, *options, axis, mode, cval)
    lines = np.moveaxis(operand(x), axis, -1)
    weights = scipys("scipy.signal.savgol_coeffs")(*options)
    if mode != "interp":
        found = convolve1d(lines, weights, mode=mode, cval=cval)
        return np.moveaxis(found, -1, axis)
    found = convolve1d(lines, weights, mode="constant")
    half, size = window_length // 2, lines.shape[-1]
    # At both ends the numbers of one polynomial, of the first and of the last part.
    fit = scipys("scipy.signal.savgol_coeffs")
    at = [fit(*options, pos=place, use="dot") for place in range(window_length)]
    before, after = np.array(at[:half]), np.array(at[window_length - half :])
    first = lines[..., :window_length] @ before.reshape(-1, window_length).T
    last = lines[..., size - window_length :] @ after.reshape(-1, window_length).T
    composed = np.concatenate([first, found[..., half : size - half], last], axis=-1)
    arguments = {
        "x": lines, "window_length": window_length, "polyorder": polyorder, "deriv": deriv,
        "delta": delta,
    }  # fmt: skip
    return np.moveaxis(pinned(composed, "scipy.signal.savgol_filter", arguments), -1, axis)
