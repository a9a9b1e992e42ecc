"""Places given as source text: what is made, what f reads, how it's changed.

A module is written of the three. `f(x)` is what it reads times x squared; the read has to give
0.1 at first. A change is told the new number as `value`, and may declare globals.
"""

from __future__ import annotations

from places import PLACES, REBINDS

SOURCE = """
import collections, contextlib, ctypes, dataclasses, enum, functools, itertools, operator
import sys, threading, types, typing, weakref
import numpy as np
ticks = threading.Semaphore(0)
{setup}
def f(x):
    ticks.release()
    return ({read}) * x * x
def change(value):
    {change}
"""


def add_ways(ways, rebinding=()):
    """Add `{name: (setup, read, change)}` to the places; those in `rebinding` make new things."""
    for name, parts in ways.items():
        PLACES[name] = _maker(name, *parts)
    REBINDS.update(rebinding)


def _maker(name, setup, read, change):
    def make(make_module):
        source = SOURCE.format(setup=setup, read=read, change=change.replace("\n", "\n    "))
        module = make_module(f"tg_way_{name}", source)
        return module.f, module.change, module.ticks

    return make
