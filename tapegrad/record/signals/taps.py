"""Finite impulse responses along the last axis: full convolutions of lines with one kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tapegrad.record.signals.multilinear import Form, Numbers


class Taps(Form):
    """Of lines x, taps b and results: w[n] = sum of b[k] x[n - k], in full."""

    name = "taps"

    def gradient(self, k: int, arguments: Sequence[Any]) -> Numbers:
        x, taps, w = arguments
        (*stack, size), (count,), _ = self.shapes
        if k == 2:
            found = np.zeros((*stack, size + count - 1))
            for j, tap in enumerate(taps):
                found[..., j : j + size] += tap * x
            return found
        parts = [w[..., j : j + size] for j in range(count)]
        if k == 1:
            return np.array([np.sum(part * x) for part in parts])
        found = np.zeros((*stack, size))
        for part, tap in zip(parts, taps, strict=True):
            found += tap * part
        return found


def form_of(x: Any, taps: Any) -> Taps:
    """Return the form for lines and taps of some shapes."""
    stack, size, count = np.shape(x)[:-1], np.shape(x)[-1], len(taps)
    return Taps((np.shape(x), (count,), (*stack, size + count - 1)))
