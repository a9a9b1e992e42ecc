"""What derivatives go through: variables and regions that depend on inputs, and results on them.

It's found by names alone, so that a variable is varied if it ever is. What lies in a part of a
region is told apart by the part, also where an element is found by a table. What a call sets
depends on all that it reads.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tapegrad.program.chain import sources
from tapegrad.program.ir import (
    Accumulate,
    Call,
    Compute,
    Element,
    Index,
    Past,
    Program,
    Region,
    Span,
    Store,
    Value,
    Variable,
    statements,
    targets_of,
)

Name = Variable | str
"""A variable, or the name of a region."""


class Activity:
    """Which variables and regions have derivatives.

    Parameters
    ----------
    program : Program
    inputs : iterable of str
        The regions that derivatives are by.
    results : iterable of str, optional
        The regions that they're of; if given, what no result depends on has none.
    """

    def __init__(self, program: Program, inputs: Iterable[str],
                 results: Iterable[str] | None = None) -> None:  # fmt: skip
        self._program = program
        self._parts: dict[str, list[str]] = {}
        for region in program.regions:
            if region.within:
                self._parts.setdefault(region.within, []).append(region.name)
        for name, parts in self._parts.items():
            if sum(program.region[part].size for part in parts) < program.region[name].size:
                parts.append(name)  # for what is in none of the others
        self._touched: dict[Element | Span, tuple[str, ...]] = {}
        ways = list(self._ways())
        self.names = _closure(set(inputs), ways)
        if results is not None:
            self.names &= _closure(set(results), [(read, target) for target, read in ways])
        # A region is active where a part is.
        self.names |= {r for r, parts in self._parts.items() if self.names & set(parts)}

    def _ways(self) -> Iterable[tuple[Name, Name]]:
        """Yield what is set, and what it's set from."""
        for statement in statements(self._program.body):
            read: Iterable[Value | Span] = ()
            if isinstance(statement, Compute | Store | Accumulate):
                read = sources(statement.value)
            elif isinstance(statement, Call):
                read = statement.reads
            reads = [name for leaf in read for name in self._names_of(leaf)]
            for target in targets_of(statement):
                for name in self._names_of(target):
                    yield from ((name, read) for read in reads)

    def _names_of(self, leaf: Value | Span) -> tuple[Name, ...]:
        match leaf:
            case Variable():
                return (leaf,)
            case Past():
                return (Variable(leaf.name),)
            case Element() | Span():
                return self.touched(leaf)
            case _:
                return ()

    def touched(self, place: Element | Span) -> tuple[str, ...]:
        """Return the region, or the parts of it, that an element or a span may be in."""
        if place.region in self._program.table:
            return ()
        if place.region not in self._parts:
            return (place.region,)
        found = self._touched.get(place)
        if found is None:
            start, size = (place.start, place.size) if isinstance(place, Span) else (place.index, 1)
            found = self._touched[place] = tuple(self._parts_at(place.region, start, size))
        return found

    def _parts_at(self, region: str, start: Index, size: int) -> Iterable[str]:
        every = self._parts[region]
        if not start.table or start.terms:
            return every
        starts = np.unique(self._program.table[start.table].values) + start.base
        parts = ((part, self._program.region[part]) for part in every)
        return [name for name, part in parts if _lies_in(starts, size, part)]

    def has(self, leaf: Value | Span) -> bool:
        """Whether a leaf of a value, or a span, has a derivative."""
        return any(name in self.names for name in self._names_of(leaf))


def _lies_in(starts: np.typing.NDArray[np.int64], size: int, part: Region) -> bool:
    """Whether any of what begins there, in order, and is as long has to do with a part."""
    between = (part.offset - size + 1, part.offset + part.size)
    first, after = np.searchsorted(starts, between)
    return bool(after > first)


def _closure(known: set[Name], ways: list[tuple[Name, Name]]) -> set[Name]:
    """Return what is reached: the first of a way from the second."""
    onward: dict[Name, list[Name]] = {}
    for target, read in ways:
        onward.setdefault(read, []).append(target)
    found, pending = set(known), list(known)
    while pending:
        for target in onward.get(pending.pop(), ()):
            if target not in found:
                found.add(target)
                pending.append(target)
    return found
