"""Adjoints of what stays the same throughout a loop, summed in a variable and added after it."""

from __future__ import annotations

from dataclasses import replace

from tapegrad.program.chain import ZERO
from tapegrad.program.ir import (
    Accumulate,
    Body,
    Compute,
    Element,
    Loop,
    Program,
    Statement,
    Variable,
    regions_read,
    regions_set,
    statements,
)


def gathered(program: Program) -> Program:
    """Return a program whose loops that run backward add to memory what they can add at the end.

    A sum is taken out of the outermost loop in which its place stays the same and nothing reads or
    sets it. This changes the order of sums, and so the program must not be strict.
    """
    return replace(program, body=_Gathering(program).of(program.body, []))


class _Gathering:
    def __init__(self, program: Program) -> None:
        self._root = {r.name: r.within for r in program.regions if r.within}
        self._count = 0
        self._sums: dict[int, dict[Element, tuple[Variable, Accumulate]]] = {}
        self._touched: dict[int, set[str]] = {}

    def of(self, body: Body, around: list[Loop]) -> Body:
        found: list[Statement] = []
        for statement in body:
            if isinstance(statement, Loop) and statement.backward:
                loop = replace(statement, body=self.of(statement.body, [*around, statement]))
                sums = self._sums.pop(loop.number, {})
                found += [Compute(variable, ZERO) for variable, _ in sums.values()]
                found.append(loop)
                found += [
                    Accumulate(target, variable, first.rounding)
                    for target, (variable, first) in sums.items()
                ]
            elif isinstance(statement, Accumulate) and isinstance(statement.target, Element):
                found.append(self._moved(statement, statement.target, around))
            else:
                found.append(statement)
        return tuple(found)

    def _moved(self, statement: Accumulate, target: Element, around: list[Loop]) -> Accumulate:
        outermost = None
        counted = {counter.loop for counter in target.index.counters()}
        for loop in around[::-1]:
            if counted & self._counted_in(loop) or self._is_touched(target.region, loop):
                break
            outermost = loop
        if outermost is None:
            return statement
        sums = self._sums.setdefault(outermost.number, {})
        if target not in sums:
            sums[target] = Variable(f"{target.region}_sum{self._count}"), statement
            self._count += 1
        return replace(statement, target=sums[target][0])

    def _counted_in(self, loop: Loop) -> set[int]:
        """Return the loops whose counters change in a loop."""
        return {s.number for s in statements((loop,)) if isinstance(s, Loop)}

    def _is_touched(self, name: str, loop: Loop) -> bool:
        """Whether a loop reads or sets a region, what it's a part of, or a part of it."""
        touched = self._touched_in(loop)
        return (
            name in touched
            or self._root.get(name) in touched
            or any(self._root.get(other) == name for other in touched)
        )

    def _touched_in(self, loop: Loop) -> set[str]:
        """Return the regions that a loop reads or sets."""
        if loop.number not in self._touched:
            found: set[str] = set()
            for s in statements(loop.body):
                found.update(regions_read(s), regions_set(s))
            self._touched[loop.number] = found
        return self._touched[loop.number]
