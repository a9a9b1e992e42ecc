"""Every place a number can hide in: the registry that the modules `places_of_...` fill.

Each place makes f(x) = lam * x * x, starting from lam = 0.1, a way to change lam, and the ticks.
`REBINDS`: the change makes a new function or object, so that an equal one records again too.
"""

from __future__ import annotations

PLACES = {}
REBINDS = set()


def place(function):
    PLACES[function.__name__] = function
    return function


def place_that_rebinds(function):
    REBINDS.add(function.__name__)
    return place(function)
