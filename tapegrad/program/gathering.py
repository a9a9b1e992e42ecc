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
    return replace(program, body=_Gathering().of(program.body, []))


class _Gathering:
    def __init__(self) -> None:
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
        for loop in around[::-1]:
            counters = {counter.loop for counter in target.index.counters()}
            if loop.number in counters or target.region in self._touched_in(loop):
                break
            outermost = loop
        if outermost is None:
            return statement
        sums = self._sums.setdefault(outermost.number, {})
        if target not in sums:
            sums[target] = Variable(f"{target.region}_sum{self._count}"), statement
            self._count += 1
        return replace(statement, target=sums[target][0])

    def _touched_in(self, loop: Loop) -> set[str]:
        """Return the regions that a loop reads or sets."""
        if loop.number not in self._touched:
            found: set[str] = set()
            for s in statements(loop.body):
                found.update(regions_read(s), regions_set(s))
            self._touched[loop.number] = found
        return self._touched[loop.number]
