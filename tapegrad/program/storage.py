"""What a program that runs backward needs of what ran forward: kept in memory, or computed again.

At the beginning of an iteration that runs backward the values that it needs are there again: those
that are in memory anyway, or cost more than a load, are loaded, the others are computed from what
they were computed from. Values carried from one iteration to the next, and what an inner loop left,
are kept.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tapegrad.program.ir import (
    Apply,
    Body,
    Compute,
    Counter,
    Element,
    Index,
    Loop,
    Past,
    Program,
    Region,
    Statement,
    Store,
    Value,
    Variable,
    leaves,
    mapped,
    statements,
    values_of,
    with_values,
)
from tapegrad.program.iterations import Iterations
from tapegrad.program.scope import Scope
from tapegrad.rows import ROW


def stored(program: Program) -> Program:
    """Return a program whose values of the past have been given a place.

    Parameters
    ----------
    program : Program
        One that reads `Past` where it runs backward.

    Returns
    -------
    Program
        The same with memory, and statements that fill and read it.
    """
    if not any(isinstance(leaf, Past) for s in statements(program.body) for v in values_of(s)
               for leaf in leaves(v)):  # fmt: skip
        return program
    return _Storage(program).program()


@dataclass(eq=False)
class _Made:
    """A statement that sets a variable: where it stands, and where it's stored to anyway."""

    statement: Compute
    scope: Scope
    around: tuple[int, ...]
    place: Element | None = None


class _Storage:
    def __init__(self, program: Program) -> None:
        self._program = program
        body = program.body
        n_forward = next((k for k, s in enumerate(body) if _looks_back(s)), len(body))
        self._forward, self._backward = body[:n_forward], body[n_forward:]
        self._iterations = Iterations(program)
        self._made: dict[tuple[str, int], _Made] = {}
        self._times_set: Counts[str] = Counts()
        self._around: dict[int, int] = {}
        self._look(self._forward, Scope(self._forward), ())
        # What an iteration of a loop begins with when it runs backward, in order.
        self._again: dict[int, dict[Variable, Value]] = {}
        # What is kept: at the beginning of iterations, by the loop; after loops; after statements.
        self._at_begin: dict[int, list[Statement]] = {}
        self._after_loop: dict[int, list[Statement]] = {}
        self._after: dict[int, list[Statement]] = {}
        self._regions: list[Region] = []

    def program(self) -> Program:
        """Return the program with its memory."""
        backward = self._resolved(self._backward, ())
        return replace(
            self._program,
            body=(*self._keeping(self._forward), *self._beginning(backward)),
            regions=(*self._program.regions, *self._regions),
        )

    def _look(self, body: Body, scope: Scope, around: tuple[int, ...]) -> None:
        here = around[-1] if around else -1
        for k, statement in enumerate(body):
            if isinstance(statement, Loop):
                self._around[statement.number] = here
                inside = scope.at(k).inside(statement)
                self._look(statement.body, inside, (*around, statement.number))
            elif isinstance(statement, Compute):
                name = statement.target.name
                self._times_set[name] += 1
                self._made[name, here] = _Made(statement, scope.at(k), around)
            elif isinstance(statement, Store) and isinstance(statement.value, Variable):
                made = self._made.get((statement.value.name, here))
                if made is not None:
                    made.place = statement.target

    # --- what is read -----------------------------------------------------------------------------

    def _resolved(self, body: Body, around: tuple[int, ...]) -> Body:
        found: list[Statement] = []
        for statement in body:
            if isinstance(statement, Loop):
                inner = self._resolved(statement.body, (*around, statement.number))
                found.append(replace(statement, body=inner))
            else:
                found.append(
                    with_values(statement, lambda v: mapped(v, lambda o: self._now(o, around)))
                )
        return tuple(found)

    def _now(self, leaf: Value, around: tuple[int, ...]) -> Value:
        """Return what a leaf of a value is read from, in loops that run backward."""
        if not isinstance(leaf, Past):
            return leaf
        if leaf.when == "made":
            return self._now_made(leaf.name, around)
        if leaf.when == "begun":
            return self._now_begun(leaf.name, leaf.loop)
        return self._now_ended(leaf.name, leaf.loop)

    def _now_made(self, name: str, around: tuple[int, ...]) -> Value:
        loop = next(k for k in (*around[::-1], -1) if (name, k) in self._made)
        made = self._made[name, loop]
        if loop < 0:
            if self._times_set[name] == 1:
                return made.statement.target
            outside = Variable(f"{name}_outside")
            self._after.setdefault(id(made.statement), []).append(
                Compute(outside, made.statement.target)
            )
            return outside
        again = Variable(f"{name}_again")
        if again not in self._again.get(loop, {}):
            value = self._again_of(made)
            self._again.setdefault(loop, {})[again] = value
        return again

    def _again_of(self, made: _Made) -> Value:
        statement, loop = made.statement, made.around[-1]
        if made.place is not None:
            return made.place
        if _is_costly(statement.value):
            kept = self._kept(f"{statement.target.name}_kept", loop)
            self._after[id(statement)] = [Store(kept, statement.target)]
            return kept
        return mapped(statement.value, lambda o: self._now(made.scope.past(o), made.around))

    def _now_begun(self, name: str, loop: int) -> Value:
        again = Variable(f"{name}_begun{loop}")
        if again not in self._again.get(loop, {}):
            kept = self._kept(again.name, loop)
            self._at_begin.setdefault(loop, []).append(Store(kept, Variable(name)))
            self._again.setdefault(loop, {})[again] = kept
        return again

    def _now_ended(self, name: str, loop: int) -> Value:
        ended = Variable(f"{name}_ended{loop}")
        outer = self._around[loop]
        known = self._again.setdefault(outer, {})
        if ended not in known:
            after = self._after_loop.setdefault(loop, [])
            if outer < 0:
                known[ended] = ended
                after.append(Compute(ended, Variable(name)))
            else:
                known[ended] = kept = self._kept(ended.name, outer)
                after.append(Store(kept, Variable(name)))
        return ended

    def _kept(self, name: str, loop: int) -> Element:
        """Return the element of new memory that an iteration of a loop has."""
        (block, *_) = self._iterations.of_number[loop]
        self._regions.append(Region(name, self._iterations.total(block)))
        return Element(name, Index(terms=((Counter(loop, "total"), 1),)))

    # --- statements -------------------------------------------------------------------------------

    def _keeping(self, body: Body) -> Iterator[Statement]:
        """Yield what runs forward, joined by what keeps values."""
        for statement in body:
            if isinstance(statement, Loop):
                first = self._at_begin.get(statement.number, [])
                yield replace(statement, body=(*first, *self._keeping(statement.body)))
                yield from self._after_loop.get(statement.number, ())
            else:
                yield statement
                yield from self._after.get(id(statement), ())

    def _beginning(self, body: Body) -> Iterator[Statement]:
        """Yield what runs backward, iterations begun by what they have again."""
        for statement in body:
            if isinstance(statement, Loop):
                again = self._again.get(statement.number, {}) if statement.backward else {}
                first = (Compute(variable, value) for variable, value in again.items())
                yield replace(statement, body=(*first, *self._beginning(statement.body)))
            else:
                yield statement


def _looks_back(statement: Statement) -> bool:
    """Whether a statement reads what was, or runs backward."""
    every = [statement, *(statements(statement.body) if isinstance(statement, Loop) else ())]
    return any(
        (isinstance(s, Loop) and s.backward)
        or any(isinstance(leaf, Past) for value in values_of(s) for leaf in leaves(value))
        for s in every
    )


def _is_costly(value: Value) -> bool:
    return isinstance(value, Apply) and (
        ROW[value.op].is_costly or any(map(_is_costly, value.operands))
    )
