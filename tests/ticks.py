"""Counts of how often a function's body really ran.

`ticks.release()` counts a run: a semaphore is a lock, which counts as unchanged, so that counting
doesn't disturb what is counted.
"""

from __future__ import annotations

import threading


def new_ticks():
    return threading.Semaphore(0)


def ran(ticks):
    return ticks._value


def counted(function):
    """Return the function, counting, and its ticks."""
    ticks = new_ticks()

    def f(*args, **kwargs):
        ticks.release()
        return function(*args, **kwargs)

    return f, ticks
