"""What derivatives go through: variables and regions that depend on inputs, and results on them.

It's found by names alone, so that a variable is varied if it ever is. What lies in a part of a
region is told apart by the part, also where an element is found by a table.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tapegrad.program.chain import sources
from tapegrad.program.ir import (
    Accumulate,
    Compute,
    Element,
    Past,
    Program,
    Store,
    Value,
    Variable,
    statements,
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
        self._touched: dict[Element, tuple[str, ...]] = {}
        ways = list(self._ways())
        self.names = _closure(set(inputs), ways)
        if results is not None:
            self.names &= _closure(set(results), [(read, target) for target, read in ways])
        # A region is active where a part is.
        self.names |= {r for r, parts in self._parts.items() if self.names & set(parts)}

    def _ways(self) -> Iterable[tuple[Name, Name]]:
        """Yield what is set, and what it's set from."""
        for statement in statements(self._program.body):
            if isinstance(statement, Compute | Store | Accumulate):
                reads = [name for s in sources(statement.value) for name in self._names_of(s)]
                for target in self._names_of(statement.target):
                    yield from ((target, read) for read in reads)

    def _names_of(self, leaf: Value) -> tuple[Name, ...]:
        match leaf:
            case Variable():
                return (leaf,)
            case Past():
                return (Variable(leaf.name),)
            case Element():
                return self.touched(leaf)
            case _:
                return ()

    def touched(self, element: Element) -> tuple[str, ...]:
        """Return the region, or the parts of it, that an element may be in."""
        if element.region in self._program.table:
            return ()
        if element.region not in self._parts:
            return (element.region,)
        found = self._touched.get(element)
        if found is None:
            found = self._touched[element] = tuple(self._parts_at(element))
        return found

    def _parts_at(self, element: Element) -> Iterable[str]:
        index = element.index
        every = self._parts[element.region]
        if not index.table or index.terms:
            return every
        places = np.unique(self._program.table[index.table].values) + index.base
        return [
            part
            for part in every
            if _lies_in(places, self._program.region[part].offset, self._program.region[part].size)
        ]

    def has(self, leaf: Value) -> bool:
        """Whether a leaf of a value has a derivative."""
        return any(name in self.names for name in self._names_of(leaf))


def _lies_in(places: np.typing.NDArray[np.int64], start: int, size: int) -> bool:
    first, after = np.searchsorted(places, (start, start + size))
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
