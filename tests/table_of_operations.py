"""What the tests of the table share."""

from __future__ import annotations

import math

from ops_oracles import OPERATIONS

from tapegrad.ops import BY_NAME, CODE
from tapegrad.record.active import binary, unary

inf, nan = math.inf, math.nan
TINY = 5e-324
EDGES = (0.0, -0.0, inf, -inf, nan, TINY, -TINY, 1e-310, 1.0, -1.0, 0.5, -1.5, 2.0, 3.0, -3.0,
         750.0, -750.0, 1e16, 1e308, -1e308)  # fmt: skip
NAMES = [op.name for op in OPERATIONS]


def calls(name):
    """The operation as a function of numbers, active ones or others."""
    code = CODE[name]
    if BY_NAME[name].arity == 1:
        return lambda x: unary(code, x)
    return lambda x, y: binary(code, x, y)


def same(found, wanted, rtol=4e-15, atol=2 * TINY):
    """Equal as IEEE numbers are, with the sign of zero, or nearly so."""
    if wanted != wanted or abs(wanted) == inf or wanted == 0.0:
        return repr(float(found)) == repr(float(wanted)) or 0.0 < abs(found - wanted) <= atol
    return abs(found - wanted) <= rtol * abs(wanted) + atol
