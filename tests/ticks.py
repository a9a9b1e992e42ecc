"""Counts of how often a function's body really ran.

`next(ticks)` counts a run: an iterator has no content that could be remembered, so that counting
doesn't disturb what is counted.
"""

from __future__ import annotations

import operator

MANY = 10**6


def new_ticks():
    return iter(range(MANY))


def ran(ticks):
    return MANY - operator.length_hint(ticks)


def counted(function):
    """Return the function, counting, and its ticks."""
    ticks = new_ticks()

    def f(*args, **kwargs):
        next(ticks)
        return function(*args, **kwargs)

    return f, ticks
