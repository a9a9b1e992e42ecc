"""The iterations that a program's loops go through: how many, and what counters are in each.

Iterations of a loop are numbered by `total`. Whole numbers are computed for all iterations of a
loop at once, as arrays, and only where bounds from their terms don't suffice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

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
    leaves,
    targets_of,
    values_of,
)

Indices = npt.NDArray[np.int64]


@dataclass(eq=False)
class Block:
    """A loop of a program, or all of it, as a body that runs.

    Attributes
    ----------
    loop : Loop or None
    parent : Block or None
    position : int
        In the body around it.
    blocks : list of Block
        The loops in it.
    partner : Block
        Whose counters these are: of one that runs backward, the one that ran forward.
    """

    loop: Loop | None = None
    parent: Block | None = None
    position: int = 0
    blocks: list[Block] = field(default_factory=list)
    partner: Block = field(init=False)

    def __post_init__(self) -> None:
        self.partner = self

    @property
    def runs_backward(self) -> bool:
        """Whether it goes from the last iteration to the first."""
        return self.loop is not None and self.loop.backward

    @cached_property
    def around(self) -> list[Block]:
        """The loops around it and itself, from the outermost; not what is around all."""
        return [] if self.parent is None else [*self.parent.around, self]

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the loops around it and of its own."""
        return tuple(block.loop.number for block in self.around if block.loop is not None)

    def inside(self) -> Iterator[Block]:
        """Yield it and every loop in it."""
        yield self
        for block in self.blocks:
            yield from block.inside()


class Iterations:
    """What a program's counters are, of loops that are nested as they must be.

    Attributes
    ----------
    root : Block
    of_number : dict of list of Block
        The loops that have a number.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self.root = Block()
        self.of_number: dict[int, list[Block]] = {}
        self._fill(self.root, program.body)
        self._counts: dict[Block, Indices] = {}
        self._starts: dict[Block, Indices] = {}
        self._parents: dict[Block, Indices] = {}
        self._limits: dict[tuple[str, int], tuple[int, int]] = {}

    def _fill(self, block: Block, body: Body) -> None:
        for position, statement in enumerate(body):
            if isinstance(statement, Loop):
                inner = Block(statement, block, position)
                block.blocks.append(inner)
                blocks = self.of_number.setdefault(statement.number, [])
                blocks.append(inner)
                if statement.backward and not blocks[0].runs_backward:
                    inner.partner = blocks[0]
                self._fill(inner, statement.body)

    # --- how often ----------------------------------------------------------------------------

    def total(self, block: Block) -> int:
        """Return how many iterations there are."""
        return 1 if block.parent is None else int(self.counts(block).sum())

    def counts(self, block: Block) -> Indices:
        """Return how often a loop runs in each iteration of the one around it."""
        block = block.partner
        if block not in self._counts:
            assert block.loop is not None
            assert block.parent is not None
            self._counts[block] = self.values(block.loop.count, block.parent, block.position)
        return self._counts[block]

    def _run_starts(self, block: Block) -> Indices:
        """Return the iteration that is the first of each run."""
        block = block.partner
        if block not in self._starts:
            counts = self.counts(block)
            assert block.parent is not None
            if block.parent.runs_backward:
                starts = np.cumsum(counts[::-1])[::-1] - counts
            else:
                starts = np.cumsum(counts) - counts
            self._starts[block] = starts
        return self._starts[block]

    def _run_of(self, block: Block) -> Indices:
        """Return, for each iteration, that of the loop around it."""
        block = block.partner
        if block not in self._parents:
            counts = self.counts(block)
            assert block.parent is not None
            runs = np.arange(len(counts))
            if block.parent.runs_backward:
                runs, counts = runs[::-1], counts[::-1]
            self._parents[block] = np.repeat(runs, counts)
        return self._parents[block]

    # --- what whole numbers are ---------------------------------------------------------------

    def values(self, index: Index, block: Block, position: int) -> Indices:
        """Return what a whole number is at a place of a body, in each iteration."""
        found = np.full(self.total(block), index.base, np.int64)
        if index.at is not None:
            entries = self._program.table[index.table].values
            found += entries[self._values_of(index.at, block, position)]
        for counter, factor in index.terms:
            found += factor * self._values_of(counter, block, position)
        return found

    def _values_of(self, counter: Counter, block: Block, position: int) -> Indices:
        around = next((b for b in block.around if b.numbers[-1] == counter.loop), None)
        if around is None:
            return self._so_far(counter.loop, block, position)
        found: Indices = np.arange(self.total(around))
        if counter.kind == "step":
            found -= self._run_starts(around)[self._run_of(around)]
        return found if around is block else found[self._iteration_of(block, around)]

    def _iteration_of(self, block: Block, around: Block) -> Indices:
        """Return, for each iteration of a loop, that of one around it."""
        if block is around:
            return np.arange(self.total(block))
        assert block.parent is not None
        run = self._run_of(block)
        return run if block.parent is around else self._iteration_of(block.parent, around)[run]

    def _so_far(self, number: int, block: Block, position: int) -> Indices:
        """Return how many iterations of a loop there were, less those taken back."""
        before = self._change(number, block, position)
        if block.parent is None:
            return before
        starts, run = self._run_starts(block), self._run_of(block)
        change = self._change(number, block, None)
        until = np.concatenate([np.zeros(1, np.int64), np.cumsum(change)])
        here = np.arange(len(run))
        if block.runs_backward:
            earlier = until[(starts + self.counts(block))[run]] - until[here + 1]
        else:
            earlier = until[here] - until[starts[run]]
        outside = self._so_far(number, block.parent, block.position)
        found: Indices = outside[run] + earlier + before
        return found

    def _change(self, number: int, block: Block, until: int | None) -> Indices:
        """Return by how much an iteration, or its beginning, changes a loop's count."""
        n = self.total(block)
        found = np.zeros(n, np.int64)
        for inner in block.blocks:
            if until is None or inner.position < until:
                for loop in inner.inside():
                    if loop.numbers[-1] == number:
                        in_each = np.bincount(self._iteration_of(loop, block), minlength=n)
                        found += -in_each if loop.runs_backward else in_each
        return found

    # --- within which bounds ------------------------------------------------------------------

    def bounds(self, index: Index, block: Block) -> tuple[int, int]:
        """Return what a whole number lies between, each of its terms for itself."""
        low = high = index.base
        if index.at is not None:
            _, last = self._bounds_of(index.at, block)
            least, most = self._limits_of(index.table, last)
            low, high = low + least, high + most
        for counter, factor in index.terms:
            ends = [factor * end for end in self._bounds_of(counter, block)]
            low, high = low + min(ends), high + max(ends)
        return low, high

    def _bounds_of(self, counter: Counter, block: Block) -> tuple[int, int]:
        around = next((b for b in block.around if b.numbers[-1] == counter.loop), None)
        if around is None:
            return 0, self.total(self.of_number[counter.loop][0])
        most = self.counts(around).max() if counter.kind == "step" else self.total(around)
        return 0, int(most) - 1

    def _limits_of(self, table: str, last: int) -> tuple[int, int]:
        """Return the least and the greatest of a table's entries, up to one of them."""
        if (table, last) not in self._limits:
            entries = self._program.table[table].values[: last + 1]
            self._limits[table, last] = int(entries.min()), int(entries.max())
        return self._limits[table, last]

    def extremes(self, index: Index, block: Block, position: int) -> tuple[int, int]:
        """Return the least and the greatest that a whole number is in all iterations."""
        if not self._is_affine_in_step(index, block):
            found = self.values(index, block, position)
        else:
            assert block.parent is not None
            own = block.numbers[-1]
            rest = Index(
                index.base,
                tuple(term for term in index.terms if term[0].loop != own),
                index.table,
                index.at,
            )
            factor = sum(factor for counter, factor in index.terms if counter.loop == own)
            counts = self.counts(block)
            first = self.values(rest, block.parent, block.position)[counts > 0]
            found = np.concatenate([first, first + factor * (counts[counts > 0] - 1)])
        return int(found.min()), int(found.max())

    def _is_affine_in_step(self, index: Index, block: Block) -> bool:
        """Whether all that a loop changes of a whole number is a multiple of its step."""
        if block.parent is None:
            return False
        own = block.numbers[-1]
        return all(
            counter.loop in block.numbers and (counter.loop != own or counter.kind == "step")
            for counter in index.counters()
        ) and (index.at is None or index.at.loop != own)


# --- which counters are read ----------------------------------------------------------------------


def counted_outside(body: Body, around: tuple[int, ...] = ()) -> Iterator[int]:
    """Yield the loops of which it's read, where they don't run, how many iterations there were."""
    for statement in body:
        for index in _indices(statement):
            yield from (c.loop for c in index.counters() if c.loop not in around)
        if isinstance(statement, Loop):
            yield from counted_outside(statement.body, (*around, statement.number))


def _indices(statement: Statement) -> Iterator[Index]:
    """Yield the whole numbers of a statement, but for those of what is in a loop."""
    if isinstance(statement, Loop):
        yield statement.count
    if isinstance(statement, Call):
        yield from (span.start for span in (*statement.reads, *statement.writes))
    for value in (*values_of(statement), *targets_of(statement)):
        if not isinstance(value, Span):
            yield from (leaf.index for leaf in leaves(value) if isinstance(leaf, Element))
