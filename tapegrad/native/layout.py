"""What a rolled program and its reverse keep in memory, and where.

Kept is what another iteration or loop reads by address, and what the reverse loops can't compute
again within an iteration or only at a cost: carried values, results of inner loops, exponentials
and the like. Regions that are read by address come first; their adjoints are as far apart, further
on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tapegrad.native.lowering import is_costly
from tapegrad.ops import OPS
from tapegrad.roll.nest import Indices
from tapegrad.roll.operands import kinds
from tapegrad.roll.program import (
    INPUTS,
    Carried,
    Latest,
    Memory,
    Operand,
    Program,
)
from tapegrad.roll.splitting import Ranks
from tapegrad.rows import reads
from tapegrad.tape import Tape


@dataclass(eq=False)
class Layout:
    """Where a program's values are.

    Attributes
    ----------
    addressed : set of int
        Leaves that are read by address.
    kept : set of int
        Leaves whose values the reverse loops load.
    kept_carries : set of int
    needed : set of int
        Leaves whose values the reverse loops compute or load.
    varied : set of int
        Leaves that depend on the inputs, and that outputs depend on.
    base : dict of int
        Where a leaf's region begins.
    carry_base : dict of int
        Where the values of a carry are.
    constants : ndarray
        Values at the beginning of memory, which addresses may mean too.
    inputs_base : int or None
        Where the inputs are copied to, if addresses may mean them too.
    n_addressed : int
        The length of what has adjoints in memory.
    shift : int
        How far an adjoint is from its value.
    length : int
        Of the whole memory.
    """

    addressed: set[int] = field(default_factory=set)
    kept: set[int] = field(default_factory=set)
    kept_carries: set[int] = field(default_factory=set)
    needed: set[int] = field(default_factory=set)
    varied: set[int] = field(default_factory=set)
    base: dict[int, int] = field(default_factory=dict)
    carry_base: dict[int, int] = field(default_factory=dict)
    constants: np.typing.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    inputs_base: int | None = None
    n_addressed: int = 0
    shift: int = 0
    length: int = 0


def layout_of(tape: Tape, program: Program, ranks: Ranks) -> Layout:
    """Decide what is kept, and place it; tables of slots become tables of addresses."""
    layout = Layout()
    mixed = [o for o in kinds(program) if isinstance(o, Memory) and o.maker is None]
    for operand in kinds(program):
        if isinstance(operand, Memory) and operand.maker is not None and operand.maker != INPUTS:
            layout.addressed.add(operand.maker)
    constants: set[int] = set()
    for operand in mixed:
        table = operand.address.table
        assert table is not None
        constants |= set(table[table <= 0].tolist())
        made = ranks.maker[table[table > 0]]
        layout.addressed |= set(np.unique(made[made >= 0]).tolist())
        if np.any(made == INPUTS):
            layout.inputs_base = 0
    layout.varied = _varied(program) & _useful(program, ranks)
    _find_needs(program, layout)
    _place(tape, program, layout, sorted(constants), ranks)
    for operand in mixed:
        table = operand.address.table
        assert table is not None
        operand.address.table = _addresses(table, layout, sorted(constants), ranks)
    return layout


def _place(tape: Tape, program: Program, layout: Layout, constants: list[int],
           ranks: Ranks) -> None:  # fmt: skip
    layout.constants = np.array([tape.constants[~c] if c else 0.0 for c in constants])
    end = len(constants)
    if layout.inputs_base is not None:
        layout.inputs_base = end
        end += len(tape.inputs)
    for leaf in sorted(layout.addressed):
        layout.base[leaf] = end
        end += len(program.records[leaf].leaf.slots)
    layout.n_addressed = end
    for leaf in sorted(layout.kept - layout.addressed):
        layout.base[leaf] = end
        end += len(program.records[leaf].leaf.slots)
    for carry in sorted(layout.kept_carries):
        layout.carry_base[carry] = end
        end += program.blocks[program.carries[carry].block].loop.total
    layout.shift = end
    layout.length = end + layout.n_addressed


def _addresses(table: Indices, layout: Layout, constants: list[int], ranks: Ranks) -> Indices:
    base = np.zeros(len(ranks.leaves) + 1, np.int64)
    for leaf, start in layout.base.items():
        base[leaf] = start
    base[INPUTS] = layout.inputs_base or 0
    slots = np.maximum(table, 0)
    addresses = base[ranks.maker[slots]] + ranks.rank[slots]
    is_constant = table <= 0
    addresses[is_constant] = np.searchsorted(constants, table[is_constant])
    return addresses


# --- what depends on the inputs -----------------------------------------------------------------


def is_varied(operand: Operand | None, program: Program, varied: set[int]) -> bool:
    """Whether an operand may have an adjoint or a tangent."""
    if isinstance(operand, Memory):
        return operand.maker is None or operand.maker == INPUTS or operand.maker in varied
    if isinstance(operand, Latest):
        return operand.leaf in varied
    if isinstance(operand, Carried):
        return program.carries[operand.carry].leaf in varied
    return False


def _varied(program: Program) -> set[int]:
    """Return the leaves that depend on the inputs."""
    varied: set[int] = set()
    while True:
        more = {
            k
            for k, record in enumerate(program.records)
            if k not in varied
            and not OPS[record.leaf.op].is_piecewise_constant
            and any(is_varied(operand, program, varied) for operand in record.operands)
        }
        # A variable may hold what it was set to.
        more |= {
            start.leaf
            for start in program.starts
            if start.leaf not in varied and is_varied(start.operand, program, varied)
        }
        if not more:
            return varied
        varied |= more


def _useful(program: Program, ranks: Ranks) -> set[int]:
    """Return the leaves that outputs depend on; all others' adjoints are zero."""
    table = program.output_table
    pending: list[Operand | None] = [*program.outputs, table]
    useful: set[int] = set()
    while pending:
        for leaf in _leaves_of(pending.pop(), program, ranks) - useful:
            useful.add(leaf)
            record = program.records[leaf]
            partials = OPS[record.leaf.op].partials
            pending += [o for o, p in zip(record.operands, partials, strict=True) if p != "0"]
            pending += [start.operand for start in program.starts if start.leaf == leaf]
    return useful


def _leaves_of(operand: Operand | None, program: Program, ranks: Ranks) -> set[int]:
    """Return whose values an operand may be; tables are of slots."""
    if isinstance(operand, Latest):
        return {operand.leaf}
    if isinstance(operand, Carried):
        return {program.carries[operand.carry].leaf}
    if not isinstance(operand, Memory):
        return set()
    if operand.maker is not None:
        return {operand.maker} - {INPUTS}
    table = operand.address.table
    assert table is not None
    return set(ranks.maker[table[table > 0]].tolist()) - {INPUTS}


def wanted_partials(program: Program, varied: set[int], number: int) -> list[int]:
    """Return the operands of a record that a derivative goes through."""
    record = program.records[number]
    partials = OPS[record.leaf.op].partials
    return [
        place
        for place, operand in enumerate(record.operands)
        if number in varied and partials[place] != "0" and is_varied(operand, program, varied)
    ]


# --- what the reverse needs ----------------------------------------------------------------------


def is_around(program: Program, outer: int, block: int) -> bool:
    """Whether a loop is another one or around it."""
    at: int | None = block
    while at is not None:
        if at == outer:
            return True
        at = program.blocks[at].parent
    return False


def _find_needs(program: Program, layout: Layout) -> None:
    pending: list[tuple[Operand, int]] = []

    def need_leaf(k: int) -> None:
        if k in layout.needed:
            return
        layout.needed.add(k)
        record = program.records[k]
        if k in layout.addressed or (record.block != 0 and is_costly(OPS[record.leaf.op])):
            layout.kept.add(k)
        elif record.block != 0:
            pending.extend((operand, record.block) for operand in record.operands)

    for k, record in enumerate(program.records):
        for place in wanted_partials(program, layout.varied, k):
            used = reads(OPS[record.leaf.op], place)
            if "z" in used:
                need_leaf(k)
            for name, read in zip("xy", record.operands, strict=False):
                if name in used:
                    pending.append((read, record.block))
        while pending:
            operand, block = pending.pop()
            if isinstance(operand, Carried):
                layout.kept_carries.add(operand.carry)
            elif isinstance(operand, Latest):
                maker = program.records[operand.leaf]
                need_leaf(operand.leaf)
                if not is_around(program, maker.block, block):
                    layout.kept.add(operand.leaf)
