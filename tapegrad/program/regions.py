"""The specification of a program's regions and tables: names, roles, sizes and parts."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator
from typing import get_args

from tapegrad.errors import InvalidProgramError
from tapegrad.program.ir import Program, Region, Role

_ROLES = get_args(Role)


def check_memory(program: Program) -> None:
    """Raise `InvalidProgramError` unless a program's regions and tables may be what they are."""
    names = [r.name for r in program.regions] + [t.name for t in program.tables]
    for name, n in collections.Counter(names).items():
        if n > 1:
            raise InvalidProgramError(f"two regions or tables have the name {name!r}")
    for region in program.regions:
        for reason, broken in _rules_of(region, program):
            if broken:
                raise InvalidProgramError(f"{reason}: {region}")
    parts = [r for r in program.regions if r.within and r.size]
    parts.sort(key=lambda part: (part.within, part.offset))
    for one, other in itertools.pairwise(parts):
        if one.within == other.within and one.offset + one.size > other.offset:
            raise InvalidProgramError(f"parts overlap: {one} and {other}")
    for table in program.tables:
        if table.values.ndim != 1:
            raise InvalidProgramError(f"the table {table.name!r} is no list of numbers")


def _rules_of(region: Region, program: Program) -> Iterator[tuple[str, bool]]:
    yield "the role is unknown", region.role not in _ROLES
    yield "the size is negative", region.size < 0
    yield "an input can't hold zeros at first", region.is_zeroed and region.role == "input"
    if not region.within:
        yield "what is no part has an offset", region.offset != 0
        return
    whole = program.region.get(region.within)
    yield "what it's a part of is no region", whole is None
    assert whole is not None
    roles = whole.role, region.role
    yield "a part is of memory or of an input", roles not in (("memory",) * 2, ("input",) * 2)
    yield "it's a part of a part", bool(whole.within)
    end = region.offset + region.size
    yield "it isn't inside of what it's a part of", region.offset < 0 or end > whole.size
