"""What images are beyond their edges, by scipy.ndimage's modes, and the transposes of that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tapegrad.record.signals.multilinear import Numbers

Widths = Sequence[tuple[int, int]]

OF_NUMPY = {
    "reflect": "symmetric", "grid-mirror": "symmetric", "mirror": "reflect", "nearest": "edge",
    "wrap": "wrap", "grid-wrap": "wrap", "constant": "constant", "grid-constant": "constant",
}  # fmt: skip
"""What NumPy's `pad` calls the modes."""


def padded(x: Numbers, widths: Widths, mode: str, cval: float) -> Numbers:
    """Return an image with what is beyond its edges."""
    given = {"constant_values": cval} if OF_NUMPY[mode] == "constant" else {}
    return np.pad(x, widths, OF_NUMPY[mode], **given)  # type: ignore[call-overload, no-any-return]


def folded(x: Numbers, widths: Widths, mode: str) -> Numbers:
    """Return the transpose of `padded`: what lies beyond the edges is added where it's from."""
    for axis, (before, after) in enumerate(widths):
        if before or after:
            size = x.shape[axis] - before - after
            lines = np.moveaxis(x, axis, 0)
            found = lines[before : before + size].copy()
            if OF_NUMPY[mode] != "constant":
                origins = padded(np.arange(size), [(before, after)], mode, 0.0)
                for place in (*range(before), *range(before + size, len(lines))):
                    found[origins[place]] += lines[place]
            x = np.moveaxis(found, 0, axis)
    return x
