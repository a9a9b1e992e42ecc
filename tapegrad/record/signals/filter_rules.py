"""scipy.signal's lfilter, sosfilt, filtfilt, sosfiltfilt and their steady states."""

from __future__ import annotations

from typing import Any

import numpy as np

from tapegrad.record.functions.operands import truth
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import is_passive, no_rule, scipy_rule
from tapegrad.record.signals.pinned import pinned
from tapegrad.record.signals.recursive_filters import lfiltered, sosfiltered
from tapegrad.record.signals.scipys import scipys, values


@scipy_rule("scipy.signal.lfilter")
def lfilter(b: Any, a: Any, x: Any, axis: Any = -1, zi: Any = None) -> Any:
    """Record a recursive filter, by its coefficients, the signal and the initial state."""
    found = values("scipy.signal.lfilter", b, a, x, axis, zi)
    b, a, x = np.atleast_1d(operand(b)), np.atleast_1d(operand(a)), operand(x)
    lines = np.moveaxis(x, axis, -1)
    b, a = b / a[0], a / a[0]
    if zi is None:
        return np.moveaxis(lfiltered(b, a[1:], lines)[0], -1, axis)
    state = np.broadcast_to(operand(zi), found[1].shape)
    found = lfiltered(b, a[1:], lines, np.moveaxis(state, axis, -1))
    return tuple(np.moveaxis(part, -1, axis) for part in found)


def _sections(sos: Any) -> Any:
    """Return sections without their fourth numbers, which have to be 1."""
    sos = np.atleast_2d(operand(sos))
    truth(sos[:, 3] == 1.0)
    return np.concatenate([sos[:, :3], sos[:, 4:]], axis=1)


@scipy_rule("scipy.signal.sosfilt")
def sosfilt(sos: Any, x: Any, axis: Any = -1, zi: Any = None) -> Any:
    """Record a filter of sections, by them, the signal and the initial states."""
    values("scipy.signal.sosfilt", sos, x, axis, zi)
    lines, sections = np.moveaxis(operand(x), axis, -1), _sections(sos)
    if zi is None:
        return np.moveaxis(sosfiltered(sections, lines)[0], -1, axis)
    state = operand(zi)
    along = axis % lines.ndim + 1
    y, end = sosfiltered(sections, lines, np.moveaxis(state, along, -1))
    return np.moveaxis(y, -1, axis), np.moveaxis(end, -1, along)


# --- steady states --------------------------------------------------------------------------------


@scipy_rule("scipy.signal.lfilter_zi")
def lfilter_zi(b: Any, a: Any) -> Any:
    """Record the state of a step response that stays: of (I - A) z = B, with a companion A."""
    values("scipy.signal.lfilter_zi", b, a)
    b, a = np.atleast_1d(operand(b)), np.atleast_1d(operand(a))
    numerator, denominator = b, a
    while len(a) > 1 and bool(a[0] == 0.0):
        a = a[1:]
    b, a = b / a[0], a / a[0]
    n = max(len(a), len(b))
    a, b = (np.concatenate([part, np.zeros(n - len(part))]) for part in (a, b))
    companion = np.concatenate([-a[1:][:, None], np.eye(n - 1, n - 2)], axis=1)
    found = np.linalg.solve(np.eye(n - 1) - companion, b[1:] - a[1:] * b[0])
    return pinned(found, "scipy.signal.lfilter_zi", {"b": numerator, "a": denominator})


@scipy_rule("scipy.signal.sosfilt_zi")
def sosfilt_zi(sos: Any) -> Any:
    """Record the states of a step response that stays, of sections."""
    values("scipy.signal.sosfilt_zi", sos)
    sos, scale, found = operand(sos), 1.0, []
    for section in sos:
        found.append(scale * _zi_of(section[:3], section[3:]))
        scale = scale * (np.sum(section[:3]) / np.sum(section[3:]))
    return pinned(np.stack(found), "scipy.signal.sosfilt_zi", {"sos": sos})


def _zi_of(b: Any, a: Any) -> Any:
    if is_passive(b) and is_passive(a):
        return values("scipy.signal.lfilter_zi", b, a)
    return lfilter_zi(b, a)


# --- forward and backward -------------------------------------------------------------------------


@scipy_rule("scipy.signal.filtfilt")
def filtfilt(b: Any, a: Any, x: Any, axis: Any = -1, padtype: Any = "odd", padlen: Any = None,
             method: Any = "pad") -> Any:  # fmt: skip
    """Record a filter forward and backward, with SciPy's padding."""
    if method == "gust":
        raise no_rule("scipy.signal.filtfilt with method='gust'", "use method='pad', or ")
    values("scipy.signal.filtfilt", b, a, x, axis, padtype, padlen, method)
    b, a, x = np.atleast_1d(operand(b)), np.atleast_1d(operand(a)), operand(x)
    lines = np.moveaxis(x, axis, -1)
    edge = _edge(padtype, padlen, 3 * max(len(a), len(b)))
    zi = _zi_of(b, a)
    found = _both_ways(lambda lines, zi: lfilter(b, a, lines, zi=zi)[0], zi, lines, padtype, edge)
    return np.moveaxis(found, -1, axis)


@scipy_rule("scipy.signal.sosfiltfilt")
def sosfiltfilt(sos: Any, x: Any, axis: Any = -1, padtype: Any = "odd",
                padlen: Any = None) -> Any:  # fmt: skip
    """Record a filter of sections forward and backward, with SciPy's padding."""
    values("scipy.signal.sosfiltfilt", sos, x, axis, padtype, padlen)
    sos, lines = np.atleast_2d(operand(sos)), np.moveaxis(operand(x), axis, -1)
    zeros = [int(np.sum(truth(sos[:, k] == 0.0))) for k in (2, 5)]
    edge = _edge(padtype, padlen, 3 * (2 * len(sos) + 1 - min(zeros)))
    zi = values("scipy.signal.sosfilt_zi", sos) if is_passive(sos) else sosfilt_zi(sos)
    zi = np.reshape(zi, (len(sos), *[1] * (lines.ndim - 1), 2))
    found = _both_ways(lambda lines, zi: sosfilt(sos, lines, zi=zi)[0], zi, lines, padtype, edge)
    return np.moveaxis(found, -1, axis)


def _edge(padtype: Any, padlen: Any, default: int) -> int:
    if padtype is None:
        return 0
    return default if padlen is None else int(padlen)


def _both_ways(run: Any, zi: Any, lines: Any, padtype: Any, edge: int) -> Any:
    """Filter lines forward and backward, each from the state that their first number would keep."""
    lines = _extended(lines, padtype, edge)
    y = run(lines, zi * lines[..., :1])
    y = run(y[..., ::-1], zi * y[..., -1:])[..., ::-1]
    return y[..., edge : y.shape[-1] - edge]


def _extended(x: Any, padtype: Any, edge: int) -> Any:
    if edge == 0:
        return x
    before, after = x[..., edge:0:-1], x[..., -2 : -(edge + 2) : -1]
    first, last = x[..., :1], x[..., -1:]
    if padtype == "odd":
        before, after = 2 * first - before, 2 * last - after
    elif padtype == "constant":
        shape = (*x.shape[:-1], edge)
        before, after = np.broadcast_to(first, shape), np.broadcast_to(last, shape)
    return np.concatenate([before, x, after], axis=-1)


@scipy_rule("scipy.signal.decimate")
def decimate(x: Any, q: Any, n: Any = None, ftype: Any = "iir", axis: Any = -1,
             zero_phase: Any = True) -> Any:  # fmt: skip
    """Record a signal's every q-th number after a filter of Chebyshev's."""
    if ftype != "iir":
        raise no_rule(f"scipy.signal.decimate with ftype={ftype!r}", "use ftype='iir', or ")
    values("scipy.signal.decimate", x, q, n, ftype, axis, zero_phase)
    sos = scipys("scipy.signal.cheby1")(8 if n is None else n, 0.05, 0.8 / q, output="sos")
    y = (sosfiltfilt if zero_phase else sosfilt)(sos, x, axis=axis)
    return np.moveaxis(np.moveaxis(y, axis, -1)[..., ::q], -1, axis)
