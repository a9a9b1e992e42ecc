"""Errors of blocks that are raised only where what they're about is used.

A forward sweep asks each block for its tangents, whether a result depends on them or not. One
that has no derivative at a point gives NaN there and leaves its error here: whoever runs the
sweep takes it, and raises it if NaN reaches a result.
"""

from __future__ import annotations

import threading

import numpy as np

from tapegrad.function.vectors import Vector


class _Postponed(threading.local):
    error: Exception | None = None


_postponed = _Postponed()


def postpone(error: Exception | None) -> None:
    """Leave an error, or none."""
    _postponed.error = error


def take_postponed() -> Exception | None:
    """Return what was left since this was asked last, in this thread."""
    error, _postponed.error = _postponed.error, None
    return error


def raise_if_used(error: Exception | None, results: Vector) -> None:
    """Raise an error that was left, if results are NaN."""
    if error is not None and np.isnan(results).any():
        raise error
