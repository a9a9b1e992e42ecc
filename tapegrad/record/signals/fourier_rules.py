"""numpy.fft's and scipy.fft's transforms, of real and of complex numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.record.complex_numbers.complex_types import joined, paired, parts, plain_complex
from tapegrad.record.functions.registry import complex_rule, rule
from tapegrad.record.pairs import is_complex
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import is_held, no_rule, scipy_rule
from tapegrad.record.signals.fourier_forms import (
    OF_REAL,
    OTHER_WAY,
    TO_REAL,
    Cosine,
    Fourier,
)
from tapegrad.record.signals.multilinear import applied
from tapegrad.record.signals.scipys import values

# --- Fourier's transforms -------------------------------------------------------------------------


def transformed(library: str, function: str, x: Any, sizes: Any = None, axes: Any = -1,
                norm: Any = None) -> Any:  # fmt: skip
    """Record a transform: the function of the name, with `n` and `axis` or with `s` and `axes`."""
    name = function.rstrip("n2")
    found = values(f"{library}.{function}", x, sizes, axes, norm, takes_complex=True)
    takes_parts = is_complex(x)
    re, im = map(operand, parts(x)) if takes_parts else (operand(x), 0.0)
    if name == function:
        along, given = [operator.index(axes) % re.ndim], [sizes]
    else:
        along = _axes_of(re.ndim, axes, sizes)
        given = [None] * len(along) if sizes is None else list(np.atleast_1d(sizes))
    if len(set(along)) < len(along):
        raise no_rule(f"{library}.{function} along an axis twice", "write two transforms, or ")
    if not along:
        return x
    lengths = [found.shape[axis] for axis in along]
    if name in OF_REAL:  # half a spectrum doesn't say what it's of
        lengths[-1] = re.shape[along[-1]] if given[-1] in (None, -1) else int(given[-1])
    x = np.stack([re, im]) if takes_parts else re
    shape = found.shape if name in TO_REAL else (2, *found.shape)
    form = Fourier((x.shape, shape), library, name, takes_parts, tuple(lengths),
                   tuple(along), norm or "backward", name != function)  # fmt: skip
    result = applied(form, x)
    if name in TO_REAL:
        return result
    return joined(*result) if is_held(result) else plain_complex(*result)


def _axes_of(ndim: int, axes: Any, sizes: Any) -> list[int]:
    if axes is None:
        return list(range(0 if sizes is None else ndim - np.size(sizes), ndim))
    return [operator.index(axis) % ndim for axis in np.atleast_1d(axes)]


def _numpys(name: str) -> None:
    function = getattr(np.fft, name)

    def check(out: Any) -> None:
        if out is not None:
            raise no_rule(f"numpy.fft.{name} with out=", "leave it out, or ")

    if name in OTHER_WAY:

        def of_one(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
            check(out)
            return transformed("numpy.fft", name, a, n, axis, norm)

        recorder: Callable[..., Any] = of_one
    else:
        default = (-2, -1) if name.endswith("2") else None

        def of_several(a: Any, s: Any = None, axes: Any = default, norm: Any = None,
                       out: Any = None) -> Any:  # fmt: skip
            check(out)
            return transformed("numpy.fft", name, a, s, axes, norm)

        recorder = of_several
    rule(function)(recorder)
    complex_rule(function)(recorder)


for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft", "fft2", "ifft2", "rfft2", "irfft2",
              "fftn", "ifftn", "rfftn", "irfftn"):  # fmt: skip
    _numpys(_name)


def _scipys(name: str) -> None:
    if name in OTHER_WAY:

        def of_one(x: Any, n: Any = None, axis: Any = -1, norm: Any = None,
                   overwrite_x: Any = False, workers: Any = None) -> Any:  # fmt: skip
            return transformed("scipy.fft", name, x, n, axis, norm)

        recorder: Callable[..., Any] = of_one
    else:
        default = (-2, -1) if name.endswith("2") else None

        def of_several(x: Any, s: Any = None, axes: Any = default, norm: Any = None,
                       overwrite_x: Any = False, workers: Any = None) -> Any:  # fmt: skip
            return transformed("scipy.fft", name, x, s, axes, norm)

        recorder = of_several
    # SciPy's functions are multimethods, which call its default backend's.
    scipy_rule(f"scipy.fft.{name}", found_in="scipy.fft._basic_backend")(recorder)


for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    for _kind in ("", "2", "n"):
        _scipys(_name + _kind)

# --- cosine and sine transforms -------------------------------------------------------------------


def _cosines(name: str) -> None:
    is_nd = name.endswith("n")
    base = name.removesuffix("n")

    def recorded(x: Any, kind: Any, sizes: Any, axes: Any, norm: Any, orthogonalize: Any) -> Any:
        options = {"norm": norm, "orthogonalize": orthogonalize}
        if is_complex(x):
            of_parts = [recorded(part, kind, sizes, axes, norm, orthogonalize) for part in parts(x)]
            return paired(*of_parts)
        found = values(f"scipy.fft.{name}", x, kind, sizes, axes, **options)
        x = operand(x)
        along = _axes_of(x.ndim, axes, sizes) if is_nd else [operator.index(axes) % x.ndim]
        if len(set(along)) < len(along):
            raise no_rule(f"scipy.fft.{name} along an axis twice", "write two transforms, or ")
        if not along or found.size == 0:
            return x
        norm = norm or "backward"
        is_orthogonal = norm == "ortho" if orthogonalize is None else bool(orthogonalize)
        lengths = tuple(found.shape[axis] for axis in along)
        form = Cosine((x.shape, found.shape), base, int(kind), lengths, tuple(along), norm,
                      is_orthogonal, is_nd)  # fmt: skip
        return applied(form, x)

    if is_nd:

        def of_several(x: Any, type: Any = 2, s: Any = None, axes: Any = None, norm: Any = None,
                       overwrite_x: Any = False, workers: Any = None,
                       orthogonalize: Any = None) -> Any:  # fmt: skip
            return recorded(x, type, s, axes, norm, orthogonalize)

        recorder: Callable[..., Any] = of_several
    else:

        def of_one(x: Any, type: Any = 2, n: Any = None, axis: Any = -1, norm: Any = None,
                   overwrite_x: Any = False, workers: Any = None,
                   orthogonalize: Any = None) -> Any:  # fmt: skip
            return recorded(x, type, n, axis, norm, orthogonalize)

        recorder = of_one
    scipy_rule(f"scipy.fft.{name}", found_in="scipy.fft._realtransforms_backend")(recorder)


for _name in ("dct", "idct", "dst", "idst"):
    for _kind in ("", "n"):
        _cosines(_name + _kind)
