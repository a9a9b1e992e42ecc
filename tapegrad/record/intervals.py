"""The interval of floats around one for which something comes out the same: a text, a rounding.

Floats are searched in their total order, in which -0.0 comes right before 0.0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

_MAGNITUDE = 2**63 - 1
_INFINITE = 0x7FF0000000000000


def _rank(x: float) -> int:
    """Return a float's place in the total order, 0 for 0.0."""
    bits: int = struct.unpack("<q", struct.pack("<d", x))[0]
    return bits if bits >= 0 else ~(bits & _MAGNITUDE)


def _float(rank: int) -> float:
    bits = rank if rank >= 0 else ~rank - _MAGNITUDE - 1
    number: float = struct.unpack("<d", struct.pack("<q", bits))[0]
    return number


def interval_of(x: float, outcome: Callable[[float], Any]) -> tuple[float, float]:
    """Return the least and the greatest float whose outcome is that of `x`, a finite one.

    The floats of one outcome follow each other, as those that round to one number do.
    """
    wanted = outcome(x)

    def is_same(rank: int) -> bool:
        return ~_INFINITE < rank < _INFINITE and outcome(_float(rank)) == wanted

    bounds = []
    for sign in (-1, 1):
        inside, step = _rank(x), 1
        while is_same(inside + sign * step):
            inside, step = inside + sign * step, 2 * step
        while step := step // 2:
            if is_same(inside + sign * step):
                inside += sign * step
        bounds.append(_float(inside))
    return bounds[0], bounds[1]
