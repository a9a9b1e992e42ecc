"""Comparisons with numbers that are no floats: large integers, fractions, decimals.

Python compares them exactly. Between a float and such a number lies the float nearest to it, so
that a comparison with that one says the same.
"""

from __future__ import annotations

import decimal
import math
import numbers
from typing import Any

from tapegrad.ops import CODE

_LESS, _LESS_EQUAL = CODE["less"], CODE["less_equal"]
_GREATER, _GREATER_EQUAL = CODE["greater"], CODE["greater_equal"]
_ORDERS = {_LESS: _LESS_EQUAL, _LESS_EQUAL: _LESS_EQUAL, _GREATER: _GREATER_EQUAL,
           _GREATER_EQUAL: _GREATER_EQUAL}  # fmt: skip
COMPARISONS = frozenset([*_ORDERS, CODE["equal"], CODE["not_equal"]])

Exact = int | numbers.Rational | decimal.Decimal


def nearest(number: Any) -> float:
    """Return the float nearest to a number."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def as_float(code: int, number: Any, is_first: bool) -> tuple[int, float]:
    """Return the comparison with a float that says what one with a number does, for any float.

    `is_first` tells which side of the comparison the number is on.
    """
    value = nearest(number)
    if value == number or math.isnan(value):
        return code, value
    if code not in _ORDERS:
        return code, math.nan  # no float is equal to it
    wants_below = (code in (_LESS, _LESS_EQUAL)) != is_first
    includes = wants_below != (value > number)
    strict = _LESS if code in (_LESS, _LESS_EQUAL) else _GREATER
    return (_ORDERS[strict] if includes else strict), value
