"""A classified nest as a program: what was found of the tape, said without it.

Inputs that nothing is differentiated by are parts `dk` of `x`, which derivatives don't go through.
Leaf k has a variable `vk` and, if it's read by address, a region of that name. Operands of which a
table says the maker, too, are in one region, `any`, of which the others are parts; so are then the
inputs, copied, and the constants among those operands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, compress

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import CALL
from tapegrad.ops import OPS
from tapegrad.program.ir import (
    Apply,
    Body,
    Call,
    Compute,
    Counter,
    Element,
    Guard,
    Index,
    Loop,
    Program,
    Region,
    Rounding,
    Span,
    Statement,
    Store,
    Table,
    Value,
    Variable,
)
from tapegrad.program.ir import Constant as Number
from tapegrad.roll.classified import (
    INPUTS,
    Address,
    Carried,
    Classified,
    Constant,
    Data,
    Latest,
    Memory,
    Operand,
)
from tapegrad.roll.nest import Indices, Leaf
from tapegrad.roll.splitting import Ranks
from tapegrad.tape import Tape

X, Y = "x", "y"


def written(tape: Tape, classified: Classified, ranks: Ranks, is_strict: bool) -> Program:
    """Return a classified tape as a program with inputs `x` and results `y`."""
    return _Writer(tape, classified, ranks, is_strict).program()


def variable(leaf: int) -> Variable:
    """Return the variable of a leaf."""
    return Variable(f"v{leaf}")


def block_names(tape: Tape) -> list[str]:
    """Return what a tape's blocks are called in programs: each by a name of its own."""
    counts: dict[str, int] = {}
    for block in tape.blocks:
        counts[block.name] = counts.get(block.name, 0) + 1
    return [
        block.name if counts[block.name] == 1 else f"{block.name}#{k}"
        for k, block in enumerate(tape.blocks)
    ]


def _runs(numbers: Indices) -> list[range]:
    """Return ascending numbers as ranges of numbers that follow one another."""
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1) if len(numbers) else []
    return [range(int(part[0]), int(part[-1]) + 1) for part in parts]


class _Writer:
    def __init__(self, tape: Tape, classified: Classified, ranks: Ranks, is_strict: bool) -> None:
        self._tape, self._of, self._ranks = tape, classified, ranks
        self._is_strict = is_strict
        self._tables: list[Table] = []
        self._known: dict[tuple[str, bytes], str] = {}
        self._starts: dict[int, list[tuple[int, Operand]]] = {}
        for start in classified.starts:
            if start.operand is not None:
                self._starts.setdefault(start.top, []).append((start.leaf, start.operand))
        self._names = block_names(tape)
        self._data = _runs(tape.data_inputs)
        self._find_memory()

    def program(self) -> Program:
        """Return the program."""
        main = tuple(self._body(0))
        body = (*self._first(), *main, *self._results())
        regions = [
            Region(X, len(self._tape.inputs), "input"),
            *(
                Region(f"d{k}", len(run), "input", within=X, offset=run.start)
                for k, run in enumerate(self._data)
            ),
            Region(Y, len(self._tape.outputs), "output"),
            *self._memory.values(),
        ]
        return Program(tuple(regions), tuple(self._tables), body, self._is_strict)

    # --- memory -----------------------------------------------------------------------------------

    def _find_memory(self) -> None:
        """Lay out the regions: `any` and its parts, if there are such operands, then the rest.

        What calls read and write is in regions of their own.
        """
        every = [o for o in self._of.operands() if isinstance(o, Memory)]
        addressed = {o.maker for o in every if o.maker is not None and o.maker != INPUTS}
        mixed = [np.empty(0, np.int64)]
        for operand in every:
            table = operand.address.table
            if operand.maker is None and table is not None:
                mixed.append(table)
        sources = np.unique(np.concatenate(mixed))
        makers = set(np.unique(self._ranks.maker[sources[sources > 0]]).tolist())
        constants = sources[sources <= 0]
        self._constants, self._has_copy = constants, INPUTS in makers
        parts = [("constants", len(constants))] if len(constants) else []
        parts += [("inputs", len(self._tape.inputs))] if self._has_copy else []
        parts += [(f"v{k}", self._n_made(k)) for k in sorted(makers - {INPUTS})]
        self._memory = {
            f"v{k}": Region(f"v{k}", self._n_made(k)) for k in sorted(addressed - makers)
        }
        self._lay_out("any", parts)
        calls = [k for k, record in enumerate(self._of.records) if record.leaf.op == CALL]
        for k in calls:
            self._memory.setdefault(f"v{k}", Region(f"v{k}", self._n_made(k)))
        sizes = [(f"a{k}", self._ranks.n_read[k] * len(self._of.records[k].leaf.slots))
                 for k in calls if self._ranks.n_read[k]]  # fmt: skip
        if any(r.place is not None and r.place.maker is None for r in self._of.records):
            self._lay_out("arguments", sizes)
        else:
            self._memory |= {name: Region(name, size) for name, size in sizes}

    def _lay_out(self, name: str, parts: list[tuple[str, int]]) -> None:
        """Make a region of others, if there are any."""
        if parts:
            self._memory[name] = Region(name, sum(length for _, length in parts))
        offset = 0
        for part, length in parts:
            self._memory[part] = Region(part, length, within=name, offset=offset)
            offset += length

    def _n_made(self, leaf: int) -> int:
        return self._ranks.n_made[leaf]

    def _first(self) -> Iterator[Statement]:
        """Yield what puts constants and inputs where a table may say they are."""
        number = len(self._of.blocks)
        if len(self._constants):
            values = self._values(self._constants)
            index = Index(terms=((Counter(number, "step"), 1),))
            every = Element(self._numbers(values), index)
            store = Store(Element("constants", index), every)
            yield Loop(number, Index(len(values)), (store,))
        if self._has_copy:
            index = Index(terms=((Counter(number + 1, "step"), 1),))
            copy = Store(Element("inputs", index), Element(X, index))
            yield Loop(number + 1, Index(len(self._tape.inputs)), (copy,))

    def _values(self, sources: Indices) -> np.typing.NDArray[np.float64]:
        return np.array([self._tape.constants[~c] if c else 0.0 for c in sources.tolist()])

    # --- whole numbers ----------------------------------------------------------------------------

    def _whole(self, values: Indices) -> str:
        return self._named("t", values)

    def _numbers(self, values: np.typing.NDArray[np.float64]) -> str:
        return self._named("c", values)

    def _named(self, letter: str, values: np.typing.NDArray[np.generic]) -> str:
        key = letter, values.tobytes()
        if key not in self._known:
            count = sum(name.startswith(letter) for name in self._known.values())
            self._known[key] = f"{letter}{count}"
            self._tables.append(Table(self._known[key], values))
        return self._known[key]

    def _at(self, block: int, level: int) -> int:
        """Return the loop at a level around a block, or the block itself."""
        while self._of.blocks[block].level > level:
            parent = self._of.blocks[block].parent
            assert parent is not None
            block = parent
        return block

    def _index(self, address: Address, block: int) -> Index:
        terms = tuple(
            (Counter(self._at(block, level), "step"), stride)
            for level, stride in sorted(address.strides.items())
            if stride
        )
        if address.table is None:
            return Index(address.base, terms)
        loop = self._at(block, address.level)
        if not loop:
            return Index(address.base + int(address.table[0]), terms)
        return Index(address.base, terms, self._whole(address.table), Counter(loop, "total"))

    def _place(self, operand: Memory, block: int) -> Element:
        if operand.maker is not None:
            copied = "inputs" if self._has_copy else X
            name = copied if operand.maker == INPUTS else f"v{operand.maker}"
            return Element(name, self._index(operand.address, block))
        table = operand.address.table
        assert table is not None
        address = Address(operand.address.base, self._places(table), operand.address.level, {})
        return Element("any", self._index(address, block))

    def _without_data(self, value: Value, operands: npt.NDArray[np.int32]) -> Value:
        """Return what a record reads, by operands all of which may be in one run of data."""
        if isinstance(value, Element) and value.region in (X, "inputs"):
            first, last = self._ranks.rank[operands.min()], self._ranks.rank[operands.max()]
            for k, run in enumerate(self._data):
                if first in run and last in run:
                    return Element(f"d{k}", value.index.plus(-run.start))
        return value

    def _places(self, sources: Indices) -> Indices:
        """Return where in `any` operands are."""
        start = np.zeros(len(self._ranks.leaves) + 1, np.int64)  # the last is that of INPUTS, -1
        for name, region in self._memory.items():
            if region.within == "any" and name != "constants":
                start[INPUTS if name == "inputs" else int(name[1:])] = region.offset
        slots = np.maximum(sources, 0)
        found: Indices = start[self._ranks.maker[slots]] + self._ranks.rank[slots]
        is_constant = sources <= 0
        found[is_constant] = np.searchsorted(self._constants, sources[is_constant])
        return found

    # --- statements -------------------------------------------------------------------------------

    def _value(self, operand: Operand, block: int) -> Value:
        match operand:
            case Constant():
                return Number(operand.value)
            case Data():
                loop = self._at(block, operand.level)
                counter = ((Counter(loop, "total"), 1),)
                return Element(self._numbers(operand.values), Index(terms=counter))
            case Latest():
                return variable(operand.leaf)
            case Carried():
                return variable(self._of.carries[operand.carry].leaf)
            case Memory():
                return self._place(operand, block)

    def _body(self, block: int) -> Iterator[Statement]:
        for kind, number in self._of.blocks[block].body:
            if kind == "leaf":
                yield from self._record(number, block)
                continue
            yield from self._begun(number, block)
            count = self._index(self._of.blocks[number].count, block)
            yield Loop(number, count, tuple(self._body(number)))

    def _begun(self, loop: int, block: int) -> Iterator[Statement]:
        """Yield what sets variables before a loop: all to what was before any of it."""
        pairs = [(leaf, self._value(o, block)) for leaf, o in self._starts.get(loop, [])]
        late: list[Statement] = []
        for k, (leaf, value) in enumerate(pairs):
            if value in [variable(other) for other, _ in pairs[:k]]:
                held = Variable(f"v{leaf}_start{loop}")
                late.append(Compute(variable(leaf), held))
                yield Compute(held, value)
        moved = {s.target for s in late if isinstance(s, Compute)}
        yield from (Compute(variable(k), v) for k, v in pairs if variable(k) not in moved)
        yield from late

    def _record(self, number: int, block: int) -> Iterator[Statement]:
        record = self._of.records[number]
        if record.leaf.op == CALL:
            yield self._call(number, block)
            return
        columns = self._tape.a, self._tape.b
        operands = tuple(
            self._without_data(self._value(operand, block), column[record.leaf.slots])
            for operand, column in zip(record.operands, columns, strict=False)
        )
        if record.place is not None:
            maker = record.place.maker
            region = "arguments" if maker is None else f"a{maker}"
            place = Element(region, self._index(record.place.address, block))
            yield Store(place, operands[0])
            return
        op = OPS[record.leaf.op].name
        # What adds to what it made last is a sum, whose terms may be taken in another order.
        is_sum = op == "add" and variable(number) in [
            value
            for o, value in zip(record.operands, operands, strict=True)
            if isinstance(o, Carried)
        ]
        rounding: Rounding = "reordered" if is_sum and not self._is_strict else "exact"
        yield Compute(variable(number), Apply(op, operands, rounding))
        if f"v{number}" in self._memory:
            loop = Counter(block, "total")
            index = Index(terms=((loop, 1),)) if block else Index()
            yield Store(Element(f"v{number}", index), variable(number))
        for guard in record.guards:
            yield Guard(variable(number), self._value(guard, block))

    def _call(self, number: int, loop: int) -> Call:
        """Return a call: its arguments and results are where they are in memory, constants tables.

        Each call has its own memory, one after another's.
        """
        leaf = self._of.records[number].leaf
        block = self._tape.blocks[self._tape.a[leaf.slots[0]]]

        def spans(region: str, sizes: Sequence[int], step: int) -> Iterator[Span]:
            terms = ((Counter(loop, "total"), step),) if loop and step else ()
            starts = accumulate(sizes, initial=0)
            yield from (Span(region, Index(start, terms), size)
                        for start, size in zip(starts, sizes, strict=False))  # fmt: skip

        active = tuple(compress(block.operand_sizes, block.has_slots))
        arguments = spans(f"a{number}", active, self._ranks.n_read[number])
        reads = tuple(
            next(arguments) if has_slots else self._constant(leaf, loop, k)
            for k, has_slots in enumerate(block.has_slots)
        )
        writes = tuple(spans(f"v{number}", block.result_sizes, block.n_results))
        return Call(self._names[self._tape.a[leaf.slots[0]]], reads, writes)

    def _constant(self, leaf: Leaf, loop: int, k: int) -> Span:
        """Return where a table has what is constant among the operands of calls."""
        block = self._tape.blocks[self._tape.a[leaf.slots[0]]]
        size, first = block.operand_sizes[k], sum(block.operand_sizes[:k])
        places = self._tape.b[leaf.slots][:, np.newaxis] + (first + np.arange(size))
        values = self._tape.constants[~self._tape.call_operands[places]]
        if np.array_equal(values[:1].repeat(len(values), 0).view(np.int64), values.view(np.int64)):
            return Span(self._numbers(np.ascontiguousarray(values[0])), Index(), size)
        index = Index(terms=((Counter(loop, "total"), size),))
        return Span(self._numbers(values.reshape(-1)), index, size)

    def _results(self) -> Body:
        table = self._of.output_table
        if table is None:
            return tuple(
                Store(Element(Y, Index(k)), self._value(o, 0))
                for k, o in enumerate(self._of.outputs)
            )
        number = len(self._of.blocks) + 2
        step, total = Counter(number, "step"), Counter(number, "total")
        assert table.address.table is not None
        places = self._places(table.address.table)
        source = Element("any", Index(0, (), self._whole(places), total))
        store = Store(Element(Y, Index(terms=((step, 1),))), source)
        return (Loop(number, Index(len(places)), (store,)),)
