"""Where each operand of a nest comes from, found from the tape itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import CALL
from tapegrad.roll.classified import (
    INPUTS,
    Address,
    Block,
    Carried,
    Carry,
    Classified,
    Constant,
    Data,
    Latest,
    Memory,
    Operand,
    Record,
    Start,
)
from tapegrad.roll.nest import Indices, Leaf, Loop, operands
from tapegrad.roll.splitting import Ranks
from tapegrad.roll.spreading import ARGUMENT, arguments_of
from tapegrad.tape import Tape

MOST_OUTPUTS = 16
"""Outputs that are stored one by one."""


def classified(tape: Tape, root: Loop, ranks: Ranks, ordered: bool = False) -> Classified:
    """Return where the operands of a nest come from.

    If `ordered`, a value has all its readers in its variable or all in memory, so that its adjoint
    is summed in the order of the records.
    """
    in_memory: set[int] = set()
    while True:
        found = _Classification(tape, root, ranks, in_memory)
        more = found.unordered() - in_memory if ordered else set()
        if not more:
            return found.result
        in_memory |= more


class _Classification:
    """Finds out, of every operand, which kind it is of."""

    def __init__(self, tape: Tape, root: Loop, ranks: Ranks, in_memory: set[int]) -> None:
        self.tape = tape
        self._in_memory = in_memory
        self.ranks = ranks
        self.result = Classified([], [], [], [], [])
        self._position: list[tuple[int, ...]] = []
        self._reads: dict[int, list[tuple[Indices, npt.NDArray[np.int32]]]] = {}
        self._arguments = arguments_of(tape)
        self._guard_order = np.argsort(tape.guard_slot, kind="stable")
        self._add_block(root, None, ())
        self._iteration_of = [self._runs(block) for block in self.result.blocks]
        for block in self.result.blocks[1:]:
            assert block.parent is not None
            block.count = self._address(block.loop.counts, block.parent)
        for record in self.result.records:
            for sources in operands(tape, record.leaf):
                record.operands.append(self._operand(record, sources))
            record.guards = self._guards(record)
            if record.leaf.op == ARGUMENT:
                record.place = self._place(record)
        for start in self.result.starts:
            start.operand = self._start(start)
        self.result.n_outputs = len(tape.outputs)
        if len(tape.outputs) <= MOST_OUTPUTS:
            self.result.outputs = [self._output(int(source)) for source in tape.outputs]
        else:
            every = Address(0, tape.outputs.astype(np.int64), 0, {})
            self.result.output_table = Memory(None, every)

    def _add_block(self, loop: Loop, parent: int | None, position: tuple[int, ...]) -> int:
        number = len(self.result.blocks)
        level = 0 if parent is None else self.result.blocks[parent].level + 1
        block = Block(loop, parent, level)
        self.result.blocks.append(block)
        for k, node in enumerate(loop.body):
            if isinstance(node, Leaf):
                block.body.append(("leaf", len(self.result.records)))
                self.result.records.append(Record(node, number))
                self._position.append((*position, k))
            else:
                block.body.append(("loop", self._add_block(node, number, (*position, k))))
        return number

    def _runs(self, block: Block) -> Indices:
        """Return which iteration of the loop around each iteration of a loop belongs to."""
        counts = block.loop.counts
        return np.repeat(np.arange(len(counts)), counts)

    def _chain(self, block: int) -> list[int]:
        """Return the loops around a block, from the root to itself."""
        chain: list[int] = []
        at: int | None = block
        while at is not None:
            chain.append(at)
            at = self.result.blocks[at].parent
        return chain[::-1]

    def _iterations(self, block: int, outer: int) -> Indices:
        """Return which iteration of an outer loop each iteration of a loop is in."""
        index = np.arange(self.result.blocks[block].loop.total)
        while block != outer:
            index = self._iteration_of[block][index]
            parent = self.result.blocks[block].parent
            assert parent is not None
            block = parent
        return index

    # --- one operand --------------------------------------------------------------------------

    def _operand(self, record: Record, sources: npt.NDArray[np.int32]) -> Operand:
        if np.all(sources <= 0):
            return self._constants(record.block, self._values(sources))
        position = self._position[self._number(record)]
        found = self._variable(record.leaf.slots, sources, record.block, position)
        return self._memory(sources, record.block) if found is None else found

    def _is_call(self, maker: int) -> bool:
        return self.ranks.leaves[maker].op == CALL

    def _place(self, record: Record) -> Memory:
        """Return where an argument is put, among those of the calls that it's for."""
        slots = record.leaf.slots
        calls = self._arguments.call[slots]
        makers, n_read = self.ranks.maker[calls], np.array(self.ranks.n_read)
        places = self.ranks.rank[calls] * n_read[makers] + self._arguments.place[slots]
        if np.all(makers == makers[0]):
            return Memory(int(makers[0]), self._address(places, record.block))
        starts = np.array(self.ranks.arguments_before)
        return Memory(None, self._address(starts[makers] + places, record.block))

    def _number(self, record: Record) -> int:
        return int(self.ranks.maker[record.leaf.slots[0]])

    def _values(self, sources: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        values = np.zeros(len(sources))
        is_constant = sources < 0
        values[is_constant] = self.tape.constants[~sources[is_constant]]
        return values

    def _constants(self, block: int, values: npt.NDArray[np.float64]) -> Operand:
        """Return numbers, one for each iteration of a loop, as what they vary with."""
        words = values.view(np.int64)
        if np.all(words == words[:1]):
            return Constant(float(values[0]))
        parent = self.result.blocks[block].parent
        counts = self.result.blocks[block].loop.counts
        if parent is not None and np.all(counts):
            firsts = np.cumsum(counts) - counts
            if np.array_equal(np.repeat(words[firsts], counts), words):
                return self._constants(parent, values[firsts])
        return Data(np.ascontiguousarray(values), self.result.blocks[block].level)

    def _guards(self, record: Record) -> list[Operand]:
        first = np.searchsorted(self.tape.guard_slot, record.leaf.slots, sorter=self._guard_order)
        return [
            self._constants(record.block, self.tape.guard_value[self._guard_order[first + k]])
            for k in range(record.leaf.n_guards)
        ]

    # --- variables ----------------------------------------------------------------------------

    def _variable(self, used: Indices, sources: npt.NDArray[np.int32], block: int,
                  position: tuple[int, ...]) -> Operand | None:  # fmt: skip
        """Return the variable that operands used at some slots come from, if there is one."""
        if sources[-1] <= 0:
            return None
        maker = int(self.ranks.maker[sources[-1]])
        if maker < 0 or maker in self._in_memory or self._is_call(maker):
            return None
        mine = self._position[maker]
        depth = 0
        while depth < min(len(mine), len(position)) and mine[depth] == position[depth]:
            depth += 1
        if mine[depth:] < position[depth:] and depth < len(position):
            return Latest(maker) if self._holds(maker, used, sources) else None
        common = self._chain(block)[min(depth, len(position) - 1)]
        if not self._holds(maker, used, sources):
            start = self._new_start(maker, used, sources, block, common)
            if start is None:
                return None
            self.result.starts.append(start)
            self._holds(maker, used, sources)
        carry = Carry(maker, common)
        if carry not in self.result.carries:
            self.result.carries.append(carry)
        return Carried(self.result.carries.index(carry))

    def _starts_of(self, maker: int) -> list[Start]:
        return self._by_level([start for start in self.result.starts if start.leaf == maker])

    def _by_level(self, starts: list[Start]) -> list[Start]:
        """Return starts in the order of those that happen at one slot: inner loops' are later."""
        return sorted(starts, key=lambda start: self.result.blocks[start.top].level)

    def _holds(self, maker: int, used: Indices, sources: npt.NDArray[np.int32]) -> bool:
        """Whether a variable holds what is read from it; if so, take note of the reads."""
        starts = self._starts_of(maker)
        content, index = self._content(maker, starts, used)
        differs = content != sources
        if np.any(differs & (content != 0)):
            return False
        every = np.concatenate([start.sources for start in starts] or [np.empty(0, np.int64)])
        missing = index[differs]
        if np.any(missing < 0):
            return False
        every[missing] = sources[differs]
        if np.any(every[missing] != sources[differs]):
            return False
        begins = [self.result.blocks[start.top].loop.starts for start in starts]
        if len(missing) and np.any(every[missing] >= np.concatenate(begins)[missing]):
            return False
        for start in starts:
            start.sources, every = every[: len(start.sources)], every[len(start.sources) :]
        self._reads.setdefault(maker, []).append((used, sources))
        return True

    def _content(self, maker: int, starts: list[Start],
                 used: Indices) -> tuple[Indices, Indices]:  # fmt: skip
        """Return what a variable holds when it's used, 0 where that doesn't matter so far.

        And where among the starts' sources it is from; -1 where it's what the leaf made.
        """
        made = self.result.records[maker].leaf.slots
        latest = np.searchsorted(made, used) - 1
        content = np.where(latest >= 0, made[latest], -(2**40))
        time = np.where(latest >= 0, 2 * made[latest] + 1, -1)
        index = np.full(len(used), -1)
        before = 0
        for start in starts:
            set_at = self.result.blocks[start.top].loop.starts
            run = np.searchsorted(set_at, used, "right") - 1
            # Before the record made at that slot, after an outer loop's start there.
            is_later = (run >= 0) & (2 * set_at[run] >= time)
            content = np.where(is_later, start.sources[run], content)
            index = np.where(is_later, before + run, index)
            time = np.where(is_later, 2 * set_at[run], time)
            before += len(start.sources)
        return content, index

    def _new_start(self, maker: int, used: Indices, sources: npt.NDArray[np.int32], block: int,
                   common: int) -> Start | None:  # fmt: skip
        """Return what a variable must be set to, before a loop around `common`, to hold this.

        Best is a loop of which exactly the first iterations read something else.
        """
        starts = self._starts_of(maker)
        content, _ = self._content(maker, starts, used)
        differs = content != sources
        inside = self._iterations(block, common)
        candidates: list[tuple[bool, Start]] = []
        for top in self._chain(common)[:0:-1]:
            run_of = self._iteration_of[top][self._iterations(common, top)]
            begins = np.ones(len(run_of), np.bool_)
            begins[1:] = run_of[1:] != run_of[:-1]
            first = begins[inside]
            if np.any(differs & ~first) or any(start.top == top for start in starts):
                continue
            runs = run_of[inside[first]]
            found = np.zeros(len(self.result.blocks[top].loop.counts), np.int64)
            found[runs] = sources[first]
            if np.array_equal(found[runs], sources[first]) and self._is_before(found, top):
                exact = np.array_equal(differs, first)
                candidates.append((exact, Start(maker, top, found)))
        for _, start in sorted(candidates, key=lambda candidate: not candidate[0]):
            every = self._by_level([*starts, start])
            reads = [*self._reads.get(maker, []), (used, sources)]
            if all(np.array_equal(self._content(maker, every, u)[0], s) for u, s in reads):
                return start
        return None

    def _is_before(self, sources: Indices, top: int) -> bool:
        """Whether operands, one for each run of a loop, are made before it runs."""
        is_input = self.ranks.maker[np.maximum(sources, 0)] == INPUTS
        is_earlier = sources < self.result.blocks[top].loop.starts
        return bool(np.all(is_input | is_earlier))

    def _start(self, start: Start) -> Operand:
        """Return what a variable is set to before a loop."""
        top = self.result.blocks[start.top]
        assert top.parent is not None
        sources = start.sources.astype(np.int32)
        if np.all(sources <= 0):
            return self._constants(top.parent, self._values(sources))
        unknown = sources == 0
        sources[unknown] = sources[~unknown][0]
        position = self._block_position(start.top)
        found = None
        if not np.any(unknown):
            found = self._variable(top.loop.starts, sources, top.parent, position)
        return self._memory(sources, top.parent) if found is None else found

    def _block_position(self, block: int) -> tuple[int, ...]:
        parent = self.result.blocks[block].parent
        if parent is None:
            return ()
        k = self.result.blocks[parent].body.index(("loop", block))
        return (*self._block_position(parent), k)

    # --- memory -------------------------------------------------------------------------------

    def _memory(self, sources: npt.NDArray[np.int32], block: int) -> Memory:
        makers = np.where(sources > 0, self.ranks.maker[np.maximum(sources, 0)], -3)
        if np.all(makers == makers[0]) and makers[0] != -3:
            return Memory(int(makers[0]), self._address(self.ranks.rank[sources], block))
        return Memory(None, self._address(sources.astype(np.int64), block, is_table=True))

    def _address(self, places: Indices, block: int, is_table: bool = False) -> Address:
        """Return places, one for each iteration of a loop, as base, table and strides."""
        strides: dict[int, int] = {}
        while not is_table:
            level = self.result.blocks[block].level
            counts = self.result.blocks[block].loop.counts
            parent = self.result.blocks[block].parent
            if parent is None:
                return Address(int(places[0]), None, 0, strides)
            firsts = np.cumsum(counts) - counts
            step = np.diff(places)
            is_inside = np.ones(len(step), np.bool_)
            is_inside[firsts[(firsts > 0) & (firsts < len(places))] - 1] = False
            inside = step[is_inside]
            if len(inside) and np.any(inside != inside[0]):
                break
            strides[level] = int(inside[0]) if len(inside) else 0
            has_run = counts > 0
            if not np.all(has_run):
                filled = np.zeros(len(counts), np.int64)
                filled[has_run] = places[firsts[has_run]]
                return Address(0, filled, level - 1, strides)
            places, block = places[firsts], parent
        return Address(0, np.ascontiguousarray(places), self.result.blocks[block].level, strides)

    # --- the order of adjoints ----------------------------------------------------------------

    def unordered(self) -> set[int]:
        """Return leaves whose adjoints are summed in another order than the records'.

        Those read both from variables and from memory, and those whose variables begin as
        something that has readers after the loop began, or in it, by other ways.
        """
        by_variable: set[int] = {start.leaf for start in self.result.starts}
        by_address: set[int] = set()
        for operand in self.result.operands():
            if isinstance(operand, Latest):
                by_variable.add(operand.leaf)
            elif isinstance(operand, Memory) and operand.maker is None:
                table = operand.address.table
                assert table is not None
                by_address |= set(np.unique(self.ranks.maker[table[table > 0]]).tolist())
            elif isinstance(operand, Memory) and operand.maker is not None:
                by_address.add(operand.maker)
        found = by_variable & by_address
        n = len(self.tape)
        pairs = [
            sources.astype(np.int64) * n + record.leaf.slots
            for record in self.result.records
            for sources in operands(self.tape, record.leaf)
        ]
        pairs.append(self.tape.outputs.astype(np.int64) * n + n - 1)
        reads = np.sort(np.concatenate(pairs))
        for maker, done in self._reads.items():
            starts = self._starts_of(maker)
            if not starts:
                continue
            every = np.concatenate([start.sources for start in starts])
            begin = np.concatenate([self.result.blocks[s.top].loop.starts for s in starts])
            counted = np.zeros(len(every), np.int64)
            for used, _ in done:
                index = self._content(maker, starts, used)[1]
                counted += np.bincount(index[index >= 0], minlength=len(every))
            after = np.searchsorted(reads, (every + 1) * n) - np.searchsorted(
                reads, every * n + begin
            )
            if np.any((every > 0) & (after != counted)):
                found.add(maker)
        return found

    def _output(self, source: int) -> Operand:
        if source <= 0:
            return Constant(float(self.tape.constants[~source]) if source else 0.0)
        maker, rank = int(self.ranks.maker[source]), int(self.ranks.rank[source])
        at_end, sources = np.array([len(self.tape)]), np.array([source], np.int32)
        is_variable = maker != INPUTS and not self._is_call(maker)
        is_last = is_variable and rank == self.ranks.n_made[maker] - 1
        if is_last and self._holds(maker, at_end, sources):
            return Latest(maker)
        return Memory(maker, Address(rank, None, 0, {}))
