"""Guards of arrays' elements that hold for the same bits only, made of guards by value."""

from __future__ import annotations

import numpy as np

from tapegrad.ops import CODE
from tapegrad.record import elementwise
from tapegrad.record.active import guard_all
from tapegrad.record.elementwise import Data
from tapegrad.record.open_tape import OpenTape

_ONE = np.array(1.0)


def guard_exactly(tape: OpenTape, data: Data) -> None:
    """State active elements' values: of a NaN that it's one, of a zero its sign too."""
    active = data[data["slot"] > 0]
    is_nan = np.isnan(active["value"])
    plain, zero = active[~is_nan], active[active["value"] == 0.0]
    guard_all(tape, plain["slot"], plain["value"])
    if is_nan.any():
        found = elementwise.unary(tape, CODE["isnan"], active[is_nan])
        guard_all(tape, found["slot"], found["value"])
    if len(zero):
        found = elementwise.binary(tape, CODE["copysign"], _ONE, zero)
        guard_all(tape, found["slot"], found["value"])
