"""A guard against NaN among results, which says that the sweeps must decide what holds."""

from __future__ import annotations

from dataclasses import replace

from tapegrad.program.chain import ZERO
from tapegrad.program.ir import (
    Accumulate,
    Compute,
    Counter,
    Element,
    Guard,
    Index,
    Loop,
    Program,
    Statement,
    Variable,
    statements,
)


def alarmed(program: Program) -> Program:
    """Return a program that also guards that none of its derivatives is NaN.

    The derivatives are summed, in any order. A sum of infinities of both signs is a false alarm,
    and harmless: whoever asks the sweeps then gets what they say.
    """
    number = max((s.number for s in statements(program.body) if isinstance(s, Loop)), default=0)
    total = Variable("alarm")
    found: list[Statement] = [Compute(total, ZERO)]
    for region in program.of_role("output")[1:]:
        number += 1
        element = Element(region.name, Index(terms=((Counter(number, "step"), 1),)))
        body = (Accumulate(total, element, "exact" if program.is_strict else "reordered"),)
        found.append(Loop(number, Index(region.size), body))
    found.append(Guard(total, total))
    return replace(program, body=(*program.body, *found))
