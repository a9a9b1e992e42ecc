"""Fusion: loops over arrays, one after another, as one loop that keeps no array between them.

An operation on an array is rolled into a loop of its own, whose results are in memory for the
next one. Where a loop reads in each iteration what another one stored in the same iteration, both
run as one, and the value stays in a variable; what nobody reads then is not stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from tapegrad.program.ir import (
    Accumulate,
    Apply,
    Body,
    Call,
    Compute,
    Counter,
    Element,
    Index,
    Loop,
    Program,
    Statement,
    Store,
    Value,
    Variable,
    leaves,
    mapped,
    regions_read,
    statements,
    targets_of,
    values_of,
    with_values,
)
from tapegrad.program.iterations import counted_outside
from tapegrad.program.reverse import renumbered

MOST_STATEMENTS = 120
"""In one loop: for more the machine has no registers."""

FURTHEST = 400
"""How many statements before it are looked at for what a loop reads."""

Name = Variable | str


def fused(program: Program) -> Program:
    """Return a program whose loops over arrays are fused where they stand in no other loop.

    A loop is fused with the one that stores what it reads, of as many iterations: what stands
    between them is moved before or after both. For a sum, which begins with the first element, the
    first iteration of that loop is put before it. Sums that may be reordered are fused with what is
    independent in each iteration, recurrences with recurrences.

    Preserves results and guards to the bit, but for sums that may be taken in another order.

    Parameters
    ----------
    program : Program
        One without loops that run backward.
    """
    if program.is_strict or sum(isinstance(s, Loop) for s in program.body) < 2:
        return program
    return _without_unread(_Fusion(program).program())


@dataclass(frozen=True, eq=False)
class _Effects:
    """The variables and regions that a statement reads, and those that it sets or adds to."""

    reads: frozenset[Name]
    writes: frozenset[Name]

    def hinder(self, other: _Effects) -> bool:
        """Whether two statements may not change places."""
        return bool(self.writes & (other.reads | other.writes) or self.reads & other.writes)


class _Fusion:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._root = {r.name: r.within for r in program.regions if r.within}
        self._wholes = set(self._root.values())
        self._counted = set(counted_outside(program.body))
        self._known: dict[int, tuple[Statement, _Effects]] = {}

    def program(self) -> Program:
        """Return the program with what can be fused: loops of as many iterations at first."""
        found = list(self._program.body)
        for may_peel in (False, True):
            end = 0  # what is there stays, when something before it becomes one
            while end < len(found):
                rest = len(found) - end
                place: int | None = end
                while place is not None:
                    place = self._joined(found, place, may_peel)
                end = len(found) - rest + 1
        return replace(self._program, body=tuple(found))

    # --- where ------------------------------------------------------------------------------------

    def _joined(self, found: list[Statement], place: int, may_peel: bool) -> int | None:
        """Fuse a loop with one before it that stores what it reads; return where both are.

        Statements after it stay as many as they are.
        """
        loop = found[place]
        if not (isinstance(loop, Loop) and self._is_flat(loop)):
            return None
        reads = self._effects(loop).reads
        for k in range(place - 1, max(-1, place - FURTHEST), -1):
            maker = found[k]
            if isinstance(maker, Loop) and self._is_flat(maker) and _stored(maker) & reads:
                peeled = _Peeled((), maker, {})
                if may_peel and loop.count.base == maker.count.base - 1 and _can_be_peeled(maker):
                    peeled = _peeled(maker)
                later = [_with_elements(s, peeled.known) for s in found[k + 1 :]]
                new = self._both(peeled, loop, later[: place - k - 1])
                if new is not None:
                    found[k:] = [*new[0], *later[place - k :]]
                    return k + new[1]
        return None

    def _both(self, peeled: _Peeled, loop: Loop,
              between: list[Statement]) -> tuple[list[Statement], int] | None:  # fmt: skip
        """Return two loops as one among what is between them, and where it is."""
        first, maker, _ = peeled
        if loop.count != maker.count or not self._fit(maker, loop):
            return None
        before: list[Statement] = []
        after: list[Statement] = []
        for statement in between:
            effects = self._effects(statement)
            is_after = any(self._effects(s).hinder(effects) for s in (maker, *after))
            (after if is_after else before).append(statement)
        if any(self._effects(s).hinder(self._effects(loop)) for s in after):
            return None
        before = [*first, *before]
        return [*before, _together(maker, loop), *after], len(before)

    # --- whether ----------------------------------------------------------------------------------

    def _is_flat(self, loop: Loop) -> bool:
        """Whether a loop runs a known number of times, and only sets variables and elements."""
        return (
            not loop.count.terms
            and loop.count.at is None
            and loop.count.base > 2
            and loop.number not in self._counted
            and not any(isinstance(s, Loop | Call | Accumulate) for s in loop.body)
        )

    def _fit(self, maker: Loop, loop: Loop) -> bool:
        """Whether two loops do the same when each iteration of one is followed by the other's."""
        one, other = self._effects(maker), self._effects(loop)
        passed = one.writes & other.reads
        if (
            len(maker.body) + len(loop.body) > MOST_STATEMENTS
            or one.reads & other.writes
            or one.writes & other.writes
            or any(isinstance(name, Variable) for name in passed)
            or _is_recurrence(maker) != _is_recurrence(loop)
        ):
            return False
        places = {name: self._place(maker, name) for name in passed if isinstance(name, str)}
        return all(
            places[self._whole(leaf.region)] == _normal(leaf, loop.number, maker.number)
            for leaf in _elements_read(loop)
            if self._whole(leaf.region) in places
        )

    def _place(self, loop: Loop, name: str) -> Element | None:
        """Return the one place of a region that an iteration sets, which no other one does."""
        if name in self._wholes:
            return None
        places = [s.target for s in loop.body if isinstance(s, Store) and s.target.region == name]
        if len(places) != 1 or places[0].index.at is not None:
            return None
        place = _normal(places[0], loop.number, loop.number)
        return (
            place if any(counter.loop == loop.number for counter, _ in place.index.terms) else None
        )

    # --- what statements read and set -------------------------------------------------------------

    def _effects(self, statement: Statement) -> _Effects:
        known = self._known.get(id(statement))
        if known is not None:
            return known[1]
        reads: set[Name] = set()
        writes: set[Name] = set()
        for s in statements((statement,)):
            reads.update(map(self._whole, regions_read(s)))
            reads.update(leaf for leaf in _leaves_of(s) if isinstance(leaf, Variable))
            for target in targets_of(s):
                name = target if isinstance(target, Variable) else self._whole(target.region)
                writes.add(name)
                if isinstance(s, Accumulate) or (isinstance(s, Call) and s.adds):
                    reads.add(name)
        found = _Effects(frozenset(reads), frozenset(writes))
        self._known[id(statement)] = statement, found  # kept, so that its id stays its own
        return found

    def _whole(self, name: str) -> str:
        return self._root.get(name, name)


def _stored(loop: Loop) -> set[str]:
    return {s.target.region for s in loop.body if isinstance(s, Store)}


def _leaves_of(statement: Statement) -> Iterator[Value]:
    return (leaf for value in values_of(statement) for leaf in leaves(value))


def _elements_read(loop: Loop) -> Iterator[Element]:
    return (leaf for s in loop.body for leaf in _leaves_of(s) if isinstance(leaf, Element))


def _normal(element: Element, old: int, new: int) -> Element:
    """Return an element by another loop's steps: of a loop in no other one these are all."""

    def counter(c: Counter) -> Counter:
        return Counter(new, "step") if c.loop == old else c

    index = element.index
    terms = tuple((counter(c), factor) for c, factor in index.terms)
    at = None if index.at is None else counter(index.at)
    return replace(element, index=replace(index, terms=terms, at=at))


def _is_recurrence(loop: Loop) -> bool:
    """Whether an iteration needs one before it, for more than sums that may be reordered."""
    stored = {_normal(s.target, loop.number, 0) for s in loop.body if isinstance(s, Store)}
    return any(
        leaf.region in _stored(loop) and _normal(leaf, loop.number, 0) not in stored
        for leaf in _elements_read(loop)
    ) or not all(_is_sum(variable, loop) for variable in _carried(loop))


def _carried(loop: Loop) -> set[Value]:
    """Return the variables that an iteration reads before it sets them."""
    made = {s.target for s in loop.body if isinstance(s, Compute)}
    known: set[Value] = set()
    found: set[Value] = set()
    for statement in loop.body:
        found.update(leaf for leaf in _leaves_of(statement) if leaf in made - known)
        if isinstance(statement, Compute):
            known.add(statement.target)
    return found


def _is_sum(variable: Value, loop: Loop) -> bool:
    """Whether a loop does nothing with a variable but add to it, in any order."""
    reads = sum(leaf == variable for s in loop.body for leaf in _leaves_of(s))
    return reads == 1 and any(
        isinstance(s, Compute)
        and s.target == variable
        and isinstance(s.value, Apply)
        and s.value.rounding == "reordered"
        and variable in s.value.operands
        for s in loop.body
    )


# --- loops made anew ------------------------------------------------------------------------------


class _Peeled(NamedTuple):
    """A loop without its first iteration.

    Attributes
    ----------
    first : tuple of Statement
        That iteration.
    rest : Loop
    known : dict of Variable
        What elements that it stored are.
    """

    first: Body
    rest: Loop
    known: dict[Value, Value]


def _peeled(loop: Loop) -> _Peeled:
    size = loop.count.base
    own = {s.target for s in loop.body if isinstance(s, Compute)}

    def named(x: Variable) -> Variable:
        return Variable(f"{x.name}_first{size}")

    def leaf(x: Value) -> Value:
        return named(x) if isinstance(x, Variable) and x in own else x

    first: list[Statement] = []
    known: dict[Value, Value] = {}
    for statement in loop.body:
        begun = _with_indices(statement, lambda index: _begun(index, loop.number))
        begun = with_values(begun, lambda value: mapped(value, leaf))
        if isinstance(begun, Compute):
            begun = replace(begun, target=named(begun.target))
        elif isinstance(begun, Store) and isinstance(begun.value, Variable):
            known[begun.target] = begun.value
        first.append(begun)
    rest = tuple(_with_indices(s, lambda index: _next(index, loop.number)) for s in loop.body)
    return _Peeled(tuple(first), replace(loop, count=loop.count.plus(-1), body=rest), known)


def _can_be_peeled(loop: Loop) -> bool:
    """Whether nothing is carried into a loop's iterations, nor read off a table by their number."""
    if _carried(loop):
        return False
    places = [s.target for s in loop.body if isinstance(s, Store)]
    counters = (x.index.at for x in (*_elements_read(loop), *places))
    return not any(at is not None and at.loop == loop.number for at in counters)


def _begun(index: Index, number: int) -> Index:
    """Return a whole number in the first iteration of a loop."""
    return replace(index, terms=tuple(t for t in index.terms if t[0].loop != number))


def _next(index: Index, number: int) -> Index:
    """Return a whole number in the iteration after the one that a loop is in."""
    return index.plus(sum(factor for counter, factor in index.terms if counter.loop == number))


def _with_indices(statement: Statement, change: Callable[[Index], Index]) -> Statement:
    """Return a statement with its places changed."""

    def leaf(value: Value) -> Value:
        return replace(value, index=change(value.index)) if isinstance(value, Element) else value

    found = with_values(statement, lambda value: mapped(value, leaf))
    if isinstance(found, Store):
        found = replace(found, target=replace(found.target, index=change(found.target.index)))
    return found


def _with_elements(statement: Statement, known: dict[Value, Value]) -> Statement:
    """Return a statement that reads variables for elements that are known."""
    return with_values(statement, lambda value: mapped(value, lambda x: known.get(x, x)))


def _together(maker: Loop, loop: Loop) -> Loop:
    """Return two loops as one; what the first one stores of variables is read there."""
    number = maker.number
    held: dict[Value, Value] = {
        _normal(s.target, number, number): s.value
        for s in maker.body
        if isinstance(s, Store) and isinstance(s.value, Variable)
    }

    def change(x: Value) -> Value:
        return held.get(_normal(x, number, number), x) if isinstance(x, Element) else x

    moved = renumbered(loop.body, loop.number, number)
    body = (with_values(s, lambda value: mapped(value, change)) for s in moved)
    return replace(maker, body=(*maker.body, *body))


def _without_unread(program: Program) -> Program:
    """Return a program that stores nothing in memory that nobody reads."""
    every = list(statements(program.body))
    read = {name for s in every for name in regions_read(s)}
    spanned = {t.region for s in every if isinstance(s, Call) for t in s.writes}
    wholes = {r.within for r in program.regions if r.within}
    unread = {
        r.name
        for r in program.regions
        if r.role == "memory" and not r.within and r.name not in read | spanned | wholes
    }

    def of(body: Body) -> Body:
        kept = (s for s in body if not (isinstance(s, Store) and s.target.region in unread))
        return tuple(replace(s, body=of(s.body)) if isinstance(s, Loop) else s for s in kept)

    regions = tuple(r for r in program.regions if r.name not in unread)
    return replace(program, regions=regions, body=of(program.body))
