"""Errors of blocks that are raised only where what they're about is used.

A forward sweep asks each block for its tangents, whether a result depends on them or not. One
that has no derivative at a point gives NaN there and leaves its error here: it's raised if NaN
reaches a result.
"""

from __future__ import annotations

import threading

import numpy as np

from tapegrad.function.vectors import Vector


class _Postponed(threading.local):
    error: Exception | None = None


_postponed = _Postponed()


def postpone(error: Exception | None) -> None:
    """Leave an error, or none: what was left before is forgotten."""
    _postponed.error = error


def raise_postponed(results: Vector) -> None:
    """Raise the error that was left, if results are NaN."""
    error = _postponed.error
    if error is not None:
        _postponed.error = None
        if np.isnan(results).any():
            raise error
