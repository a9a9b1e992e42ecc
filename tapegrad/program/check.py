"""The specification of a program: every invariant, stated as a check.

A derivative that has no memory yet names what variables were; `stored` programs don't. What has
been checked reads and writes nothing out of bounds, and nothing before it was set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NoReturn, get_args

import numpy as np

from tapegrad.errors import InvalidProgramError
from tapegrad.program.ir import (
    Accumulate,
    Apply,
    Body,
    Call,
    Compute,
    Constant,
    Counter,
    Element,
    Index,
    Loop,
    Past,
    Program,
    Region,
    Rounding,
    Span,
    Statement,
    Store,
    Value,
    Variable,
    regions_set,
    statements,
    values_of,
)
from tapegrad.program.iterations import Block, Iterations
from tapegrad.program.regions import check_memory
from tapegrad.program.spans import Spans
from tapegrad.program.text import Listing, Path
from tapegrad.rows import ROW

_ROUNDINGS = get_args(Rounding)
_Shape = tuple[tuple[int, ...], tuple[int, ...], bool]
_MOST = 1 << 60  # beyond that, sums of whole numbers may overflow


def check(program: Program, stored: bool = False) -> None:
    """Raise `InvalidProgramError`, showing the first bad statement, unless every invariant holds.

    Names are unique; parts of memory lie in what they're parts of; nothing writes to inputs and
    tables. Operations exist and have as many operands as their rows, and a strict program rounds
    as written. Loops that run backward are nested and counted as those that ran forward before.
    Every place is within its region or table, in every iteration; variables and memory are set
    before they're read, loops being taken to run. A block is called in one way, reads nothing that
    it sets in the same call, and no element that calls read or set, and that is read, is set again.

    Parameters
    ----------
    program : Program
    stored : bool, optional
        Whether it may read nothing of the past that isn't in its memory.

    Raises
    ------
    InvalidProgramError

    Examples
    --------
    >>> from tapegrad.program.ir import *
    >>> i = Counter(0, "step")
    >>> body = (Loop(0, Index(3), (Store(Element("y", Index(1, ((i, 1),))), Constant(0.0)),)),)
    >>> check(Program((Region("y", 3, "output"),), (), body))
    Traceback (most recent call last):
    ...
    tapegrad.errors.InvalidProgramError: a place is beyond the 3 of 'y': from 1 to 3
      for i in range(3):
    >     y[i + 1] = 0
    """
    check_memory(program)
    _Walk(program, stored).run()


class _Walk:
    """Checks statements in the order in which they're written, which is that they begin to run."""

    def __init__(self, program: Program, stored: bool) -> None:
        self._program, self._stored = program, stored
        self._iterations = Iterations(program)
        self._path: Path = ()
        self._block: Block = self._iterations.root
        self._ran: dict[int, Block] = {}
        self._reversed: set[int] = set()
        # Variables in the order in which they're first set, and how many were by then.
        self._assigned: dict[str, int] = {}
        self._begun: dict[int, int] = {}
        self._ended: dict[int, int] = {}
        self._places: dict[str, list[tuple[int, ...]]] = {}
        self._fits: set[tuple[Block, Index, int]] = set()
        self._spans = Spans(program, self._iterations)
        self._called: dict[str, _Shape] = {}
        regions = program.regions
        self._parts: dict[str, list[str]] = {}
        for region in regions:
            self._parts.setdefault(region.within, []).append(region.name)
        self._written = {r.name for r in regions if r.is_zeroed or r.role == "input"}

    def run(self) -> None:
        """Check everything."""
        self._check_body(self._program.body, ())
        for region in self._program.of_role("output"):
            if region.size and not self._may_be_set(region):
                raise InvalidProgramError(f"nothing sets the output {region.name!r}")

    def _fail(self, reason: str) -> NoReturn:
        shown = Listing(self._program).around(self._path)
        raise InvalidProgramError(f"{reason}\n{shown}")

    def _require(self, rules: Iterable[tuple[str, bool]]) -> None:
        for reason, holds in rules:
            if not holds:
                self._fail(reason)

    # --- statements ---------------------------------------------------------------------------

    def _check_body(self, body: Body, path: Path) -> None:
        blocks = {block.position: block for block in self._block.blocks}
        for position, statement in enumerate(body):
            self._path = *path, position
            if isinstance(statement, Loop):
                self._check_loop(statement, blocks[position])
            else:
                self._check_statement(statement)

    def _check_statement(self, statement: Statement) -> None:
        for value in values_of(statement):
            self._check_value(value)
        match statement:
            case Compute(Variable(name)):
                self._assign(name)
            case Store(target):
                self._check_target(target.region, target.index)
                self._check_is_first(target.region, target.index)
            case Call():
                self._check_call(statement)
            case Accumulate(target, _, rounding):
                self._check_rounding(rounding)
                self._check_value(target)
                if isinstance(target, Variable):
                    self._assign(target.name)
                else:
                    self._check_target(target.region, target.index)

    def _assign(self, name: str) -> None:
        self._assigned.setdefault(name, len(self._assigned))
        if not any(block.runs_backward for block in self._block.around):
            self._places.setdefault(name, []).append(self._block.numbers)

    def _check_target(self, name: str, index: Index, size: int = 1) -> None:
        region = self._program.region.get(name)
        if region is None:
            self._fail(f"{name!r} is no region")
        if region.role == "input":
            self._fail(f"the input {name!r} is written to")
        self._check_place(index, region.size, name, size)
        self._written.add(name)

    def _check_is_first(self, name: str, index: Index, size: int = 1) -> None:
        if self._spans.set_again(name, index, size, self._block, self._path[-1]):
            self._fail(f"an element of {name!r} is set again, which calls read or set")

    # --- calls --------------------------------------------------------------------------------

    def _check_call(self, call: Call) -> None:
        self._require(self._rules_of_call(call))
        for span in call.reads:
            self._check_read(span.region, span.start, span.size)
        for span in call.writes:
            if call.adds:
                self._check_read(span.region, span.start, span.size)
            self._check_target(span.region, span.start, span.size)
        self._require(self._rules_of_overlaps(call))
        if not call.adds:
            for span in call.writes:
                self._check_is_first(span.region, span.start, span.size)

    def _rules_of_call(self, call: Call) -> Iterator[tuple[str, bool]]:
        yield "a block has no name", bool(call.block)
        yield f"the block {call.block!r} writes nothing", bool(call.writes)
        sizes = [tuple(span.size for span in spans) for spans in (call.reads, call.writes)]
        yield "the size of a span is negative", min(sum(sizes, ()), default=0) >= 0
        shape = (sizes[0], sizes[1], call.adds)
        is_alike = self._called.setdefault(call.block, shape) == shape
        yield f"the block {call.block!r} was called on other sizes, or to add or not", is_alike

    def _rules_of_overlaps(self, call: Call) -> Iterator[tuple[str, bool]]:
        for k, written in enumerate(call.writes):
            others: tuple[Span, ...] = call.reads
            reason = f"the block {call.block!r} writes to what it reads of {written.region!r}"
            yield reason, not self._overlaps(written, others)
            others = () if call.adds else call.writes[:k]
            reason = f"the block {call.block!r} sets an element of {written.region!r} twice"
            yield reason, not self._overlaps(written, others)

    def _overlaps(self, span: Span, others: Iterable[Span]) -> bool:
        block, position = self._block, self._path[-1]
        return any(self._spans.overlap(span, other, block, position) for other in others)

    def _check_loop(self, loop: Loop, block: Block) -> None:
        self._check_index(loop.count)
        self._require(self._rules_of_loop(loop, block))
        runs = self._iterations.total(self._block)
        if runs and max(map(abs, self._iterations.bounds(loop.count, self._block))) > _MOST // runs:
            self._fail("a loop runs too often to be counted")
        counts = self._iterations.counts(block)
        if np.any(counts < 0):
            self._fail(f"a loop runs less than no times: {counts.min()}")
        if not self._block.around:
            self._written.update(name for s in statements(loop.body) for name in regions_set(s))
        if not loop.backward:
            self._begun[loop.number] = len(self._assigned)
        path, outer, self._block = self._path, self._block, block
        self._check_body(loop.body, path)
        self._path, self._block = path, outer
        if loop.backward:
            self._reversed.add(loop.number)
        else:
            self._ran[loop.number] = block
            self._ended[loop.number] = len(self._assigned)

    def _rules_of_loop(self, loop: Loop, block: Block) -> Iterator[tuple[str, bool]]:
        way = "backward" if loop.backward else "forward"
        same = self._iterations.of_number[loop.number]
        alike = [other for other in same if other.runs_backward == loop.backward]
        yield f"two loops that run {way} have the number {loop.number}", len(alike) == 1
        if not loop.backward:
            return
        ran = self._ran.get(loop.number)
        yield "a loop runs backward that didn't run forward before", ran is not None
        assert ran is not None
        assert ran.loop is not None
        yield "a loop is counted another way backward than forward", ran.loop.count == loop.count
        inside = block.numbers == ran.numbers and all(b.runs_backward for b in block.around)
        yield "a loop that runs backward isn't nested as when it ran forward", inside
        assert block.parent is not None
        counted = self._iterations.values(loop.count, block.parent, block.position)
        agrees = np.array_equal(counted, self._iterations.counts(ran))
        yield "a loop runs backward another number of times than forward", agrees

    # --- values -------------------------------------------------------------------------------

    def _check_value(self, value: Value) -> None:
        pending = [value]
        while pending:
            match pending.pop():
                case Apply() as applied:
                    self._check_apply(applied)
                    pending += applied.operands
                case Variable(name) if name not in self._assigned:
                    self._fail(f"the variable {name!r} is read before it's set")
                case Element(name, index):
                    self._check_read(name, index)
                case Past() as past:
                    self._require(self._rules_of_past(past))

    def _check_apply(self, applied: Apply) -> None:
        row = ROW.get(applied.op)
        if row is None or not row.arity:
            self._fail(f"the operation {applied.op!r} is unknown")
        if len(applied.operands) != row.arity:
            self._fail(f"{row.name!r} is of {row.arity} operands, not of {len(applied.operands)}")
        self._check_rounding(applied.rounding)
        for place, operand in enumerate(applied.operands):
            if place == row.whole and not self._may_be_whole(operand):
                self._fail(f"operand {place + 1} of {row.name!r} isn't a whole number")

    def _check_rounding(self, rounding: str) -> None:
        if rounding not in _ROUNDINGS:
            self._fail(f"the rounding {rounding!r} is unknown")
        if self._program.is_strict and rounding != "exact":
            self._fail(f"a strict program rounds as written, not {rounding!r}")

    def _may_be_whole(self, value: Value) -> bool:
        match value:
            case Constant(number):
                return float(number).is_integer()
            case Element(name) if name in self._program.table:
                entries = self._program.table[name].values
                return bool(np.all(np.isfinite(entries) & (np.trunc(entries) == entries)))
        return True

    def _check_read(self, name: str, index: Index, size: int = 1) -> None:
        region, table = self._program.region.get(name), self._program.table.get(name)
        if table is not None:
            if table.is_whole:
                self._fail(f"the table {name!r} is of whole numbers, which are no values")
            self._check_place(index, len(table.values), name, size)
            return
        if region is None:
            self._fail(f"{name!r} is no region and no table")
        if size and not self._may_be_set(region):
            self._fail(f"nothing sets {name!r} before it's read")
        self._check_place(index, region.size, name, size)

    def _may_be_set(self, region: Region) -> bool:
        """Whether anything so far set some of a region, of what it's a part of, or of its parts."""
        parts = self._parts.get(region.name, ())
        return not self._written.isdisjoint({region.name, region.within, *parts})

    def _rules_of_past(self, past: Past) -> Iterator[tuple[str, bool]]:
        around, numbers = self._block.around, self._block.numbers
        yield "a stored program reads the past", not self._stored
        yield "the past is read where a loop runs forward", all(b.runs_backward for b in around)
        if past.when == "made":
            yield "what was made has no loop", past.loop == -1
            places = [p for p in self._places.get(past.name, []) if p == numbers[: len(p)]]
            yield f"{past.name!r} wasn't made in these loops or around them", bool(places)
            last = max(places, key=len)
            yield f"{past.name!r} was made at more than one place", places.count(last) == 1
        elif past.when == "begun":
            yield f"loop {past.loop} isn't around what it began before", past.loop in numbers
            known = self._set_at(past.name) < self._begun[past.loop]
            yield f"{past.name!r} wasn't set when the loop began", known
        else:
            yield "the past is of an unknown kind", past.when == "ended"
            ran = self._ran.get(past.loop)
            yield f"loop {past.loop} hasn't run forward", ran is not None
            assert ran is not None
            outer = ran.numbers[:-1]
            is_over = past.loop not in numbers and outer == numbers[: len(outer)]
            yield f"loop {past.loop} wasn't over in these loops", is_over
            yield f"loop {past.loop} has run backward already", past.loop not in self._reversed
            known = self._set_at(past.name) < self._ended[past.loop]
            yield f"{past.name!r} wasn't set when the loop was over", known

    def _set_at(self, name: str) -> int:
        return self._assigned.get(name, len(self._assigned))

    # --- whole numbers ------------------------------------------------------------------------

    def _check_index(self, index: Index) -> None:
        for counter in index.counters():
            self._require(self._rules_of_counter(counter))
        if (index.at is None) != (not index.table):
            self._fail("a table has no entry named, or an entry no table")
        if index.at is None:
            return
        table = self._program.table.get(index.table)
        if table is None or not table.is_whole:
            self._fail(f"{index.table!r} is no table of whole numbers")
        entry = Index(0, ((index.at, 1),))
        reason = f"an entry is beyond the {{}} of {table.name!r}"
        self._check_bounds(entry, len(table.values), reason)

    def _rules_of_counter(self, counter: Counter) -> Iterator[tuple[str, bool]]:
        around = counter.loop in self._block.numbers
        if counter.kind == "step":
            yield f"the step of loop {counter.loop} is read outside of it", around
        else:
            yield f"a counter is of an unknown kind: {counter.kind!r}", counter.kind == "total"
            has_run = around or counter.loop in self._ran
            yield f"the total of loop {counter.loop} is read before it runs", has_run

    def _check_place(self, index: Index, size: int, name: str, length: int = 1) -> None:
        self._check_index(index)
        self._check_bounds(index, size, f"a place is beyond the {{}} of {name!r}", length)

    def _check_bounds(self, index: Index, size: int, reason: str, length: int = 1) -> None:
        """Check that an entry, or as many as `length` from there, are among those there are."""
        block, iterations, most = self._block, self._iterations, size - length
        if not iterations.total(block) or (block, index, most) in self._fits:
            return
        position = self._path[-1]
        low, high = iterations.bounds(index, block)
        if (low < 0 or high > most) and max(-low, high) <= _MOST:
            low, high = iterations.extremes(index, block, position)
        if low < 0 or high > most:
            last = high + max(length, 1) - 1
            self._fail(f"{reason.format(f'{size:,}')}: from {low} to {last}")
        if all(counter.loop in block.numbers for counter in index.counters()):
            self._fits.add((block, index, most))
