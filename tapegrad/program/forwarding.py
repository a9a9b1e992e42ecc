"""Calls that read memory where it is: no copies for what lies there as a block wants it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tapegrad.program.ir import (
    Body,
    Call,
    Counter,
    Element,
    Index,
    Loop,
    Program,
    Span,
    Statement,
    Store,
    Variable,
    regions_read,
    statements,
    targets_of,
)
from tapegrad.program.iterations import counted_outside


def forwarded(program: Program) -> Program:
    """Return a program in which calls read what loops only copy for them from where it is.

    A copy goes if its elements are what one operand of a call after it in the same body reads, all
    and in order, and nothing else reads them. What is copied must be set once, as memory of calls.

    Parameters
    ----------
    program : Program
        One without loops that run backward.
    """
    calls = [s for s in statements(program.body) if isinstance(s, Call)]
    if not calls:
        return program
    found = replace(program, body=_Forwarding(program).of(program.body))
    left = set(_regions_in(program)) - set(_regions_in(found))
    return replace(found, regions=tuple(r for r in found.regions if r.name not in left))


def _regions_in(program: Program) -> Iterator[str]:
    """Yield the regions that statements name, and those that they are parts of."""
    for statement in statements(program.body):
        yield from regions_read(statement)
        for target in targets_of(statement):
            if not isinstance(target, Variable):
                yield target.region
                yield program.region[target.region].within


class _Forwarding:
    def __init__(self, program: Program) -> None:
        self._program = program
        every = list(statements(program.body))
        self._counted = set(counted_outside(program.body))
        self._read_apart = {
            name for s in every if not isinstance(s, Call) for name in regions_read(s)
        }
        self._n_spans: dict[tuple[str, Index], int] = {}
        for s in every:
            for span in s.reads if isinstance(s, Call) else ():
                key = span.region, span.start
                self._n_spans[key] = self._n_spans.get(key, 0) + 1

    def of(self, body: Body) -> Body:
        found: list[Statement] = []
        copies: dict[Span, tuple[Loop, Span]] = {}
        for statement in body:
            if isinstance(statement, Call):
                used = [copies[span] for span in statement.reads if span in copies]
                gone = {id(loop) for loop, _ in used}
                found = [s for s in found if id(s) not in gone]
                reads = (copies[s][1] if s in copies else s for s in statement.reads)
                found.append(replace(statement, reads=tuple(reads)))
                continue
            if not isinstance(statement, Loop):
                found.append(statement)
                continue
            copied = self._copied(statement)
            if copied is None:
                found.append(replace(statement, body=self.of(statement.body)))
            else:
                copies[copied[0]] = statement, copied[1]
                found.append(statement)
        return tuple(found)

    def _copied(self, loop: Loop) -> tuple[Span, Span] | None:
        """Return what a loop copies to and from, if it does nothing else and may be left out."""
        match loop.body:
            case (Store(Element(target, to), Element(source, at)),):
                pass
            case _:
                return None
        step = Counter(loop.number, "step")
        is_plain = not loop.count.terms and loop.count.at is None
        if not is_plain or loop.backward or loop.number in self._counted:
            return None
        if source not in self._program.region or target in self._read_apart:
            return None
        begin, source_begin = _begin(to, step), _begin(at, step)
        if begin is None or source_begin is None or self._n_spans.get((target, begin), 0) != 1:
            return None
        size = loop.count.base
        return Span(target, begin, size), Span(source, source_begin, size)


def _begin(index: Index, step: Counter) -> Index | None:
    """Return where a place is at first that moves on by one with a counter, and else stays."""
    rest = replace(index, terms=tuple(term for term in index.terms if term != (step, 1)))
    is_one_step = len(rest.terms) == len(index.terms) - 1
    stays = all(counter.loop != step.loop for counter in rest.counters())
    return rest if is_one_step and stays else None
