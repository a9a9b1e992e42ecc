"""scipy.signal's frequency responses of filters, by their coefficients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tapegrad.record.complex_numbers.complex_types import joined
from tapegrad.record.functions.operands import truth
from tapegrad.record.scipy.families import operand
from tapegrad.record.scipy.recognised import is_held, is_passive, no_rule, scipy_rule
from tapegrad.record.signals.pinned import pinned
from tapegrad.record.signals.scipys import plain_of, values


@scipy_rule("scipy.signal.freqz")
def freqz(b: Any, a: Any = 1, worN: Any = 512, whole: Any = False,  # noqa: N803  # SciPy's name
          fs: Any = 2 * math.pi, include_nyquist: Any = False) -> Any:  # fmt: skip
    """Record the response at given frequencies, a quotient of polynomials."""
    _check("freqz", worN, fs)
    frequencies, _ = values("scipy.signal.freqz", b, a, worN, whole, None, fs, include_nyquist)
    b, a = np.atleast_1d(operand(b)), np.atleast_1d(operand(a))
    if b.ndim > 1 or a.ndim > 1:
        raise no_rule("scipy.signal.freqz of several filters", "call it for each, or ")
    arguments = {
        "b": b, "a": a, "worN": _points(worN), "whole": whole, "fs": float(plain_of(fs)),
        "include_nyquist": include_nyquist,
    }  # fmt: skip
    found = _quotient(b, a, frequencies, fs)
    return frequencies, joined(*pinned(found, "scipy.signal.freqz", arguments, 1))


@scipy_rule("scipy.signal.freqz_sos", "scipy.signal.sosfreqz")
def freqz_sos(sos: Any, worN: Any = 512, whole: Any = False,  # noqa: N803  # SciPy's name
              fs: Any = 2 * math.pi) -> Any:  # fmt: skip
    """Record the response of sections, the product of theirs."""
    _check("freqz_sos", worN, fs)
    frequencies, _ = values("scipy.signal.sosfreqz", sos, worN, whole, fs)
    sos = np.atleast_2d(operand(sos))
    truth(sos[:, 3] == 1.0)
    re, im = 1.0, 0.0
    for section in sos:
        own_re, own_im = _quotient(section[:3], section[3:], frequencies, fs)
        re, im = re * own_re - im * own_im, re * own_im + im * own_re
    arguments = {"sos": sos, "worN": _points(worN), "whole": whole, "fs": float(plain_of(fs))}
    return frequencies, joined(*pinned(np.stack([re, im]), "scipy.signal.sosfreqz", arguments, 1))


def _check(name: str, frequencies: Any, fs: Any) -> None:
    for thing, called in ((frequencies, "worN"), (fs, "fs")):
        if is_held(thing) and not is_passive(thing):
            raise no_rule(f"scipy.signal.{name} by {called}=", "write the quotient yourself, or ")


def _points(worN: Any) -> Any:  # noqa: N803  # SciPy's name
    """Return how many frequencies are asked for, or an array of them."""
    return worN if np.ndim(worN) == 0 else np.asarray(plain_of(worN), float)


def _quotient(b: Any, a: Any, frequencies: Any, fs: Any) -> Any:
    """Return the two parts of a response."""
    angles = 2.0 * math.pi * frequencies / float(plain_of(fs))
    (re_b, im_b), (re_a, im_a) = (
        (np.cos(turns) @ taps, -(np.sin(turns) @ taps))
        for taps in (b, a)
        for turns in [np.outer(angles, np.arange(len(taps)))]
    )
    size = re_a * re_a + im_a * im_a
    return np.stack([(re_b * re_a + im_b * im_a) / size, (im_b * re_a - re_b * im_a) / size])
