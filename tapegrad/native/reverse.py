"""Value and reverse of a rolled program: products of seeds with the Jacobian.

The status is not 0 where a guard fails or there is a NaN in the products: what holds then is for
the sweeps to say, and so an adjoint of zero needs no care here.

Every variable has an adjoint for what it holds at the moment. A reverse loop computes the values
of an iteration again, then goes through its records backward; what an operand gathers that stays
the same throughout a loop is added when the loop is over.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir

from tapegrad.native.frame import Frame, whole
from tapegrad.native.layout import is_around, is_varied, wanted_partials
from tapegrad.ops import OPS
from tapegrad.roll.program import INPUTS, Carried, Latest, Memory, Operand
from tapegrad.rows import reads


class Reverse(Frame):
    """Writes the function that runs a program and its reverse."""

    def write(self) -> None:
        """Write the function's body."""
        layout = self.layout
        self._gathered_in: dict[int, dict[Any, tuple[int, Memory]]] = {}
        halves = self.halves()
        for source, offset, _ in halves:
            if layout.inputs_base is not None:
                self.copy(source, self.at(offset + layout.inputs_base), self.n_inputs)
        self.forward(0)
        self.each_output(self.store_output)
        for _, offset, start in halves:
            self.clear(self.product(start), self.n_inputs)
            self.clear(self.at(offset + layout.shift), layout.n_addressed)
        self.each_output(self._seed)
        self._reverse(0)
        for _, offset, start in halves:
            if layout.inputs_base is not None:
                adjoints = self.at(offset + layout.inputs_base + layout.shift)
                self.copy(adjoints, self.product(start), self.n_inputs)
        self.finish(self.n_inputs * len(halves))

    def halves(self) -> list[tuple[Any, int, int]]:
        """Return where inputs are from, and where their places in memory and products begin."""
        return [(self.inputs, 0, 0)]

    def product(self, place: int) -> Any:
        """Emit a pointer to a place among the products."""
        return self.b.gep(self.products, [whole(place)])

    def _seed(self, k: Any, output: Any) -> None:
        seed = self.seed(k)
        if isinstance(output, ir.Value):
            self._add(seed, self.memory_cell(self.b.add(output, whole(self.layout.shift))))
        else:
            self._add_adjoint(output, 0, seed)

    def seed(self, k: Any) -> Any:
        """Emit an output's adjoint."""
        return self.b.load(self.b.gep(self.seeds, [k]))

    # --- forward ------------------------------------------------------------------------------

    def forward(self, block: int) -> None:
        """Emit an iteration of a loop, which first keeps what it's handed by the one before."""
        for number, carry in enumerate(self.program.carries):
            if carry.block == block and number in self.layout.kept_carries:
                self.store(self.get("value", carry.leaf), self._kept(number, block))
        super().forward(block)

    def _kept(self, carry: int, block: int) -> Any:
        """Emit a pointer to where a carried value is kept."""
        place = self.b.add(whole(self.layout.carry_base[carry]), self.get("iteration", block))
        return self.memory_cell(place)

    def forward_record(self, number: int, block: int) -> Any:
        """Emit a record; what is made outside of loops, once, needn't be made again."""
        value = super().forward_record(number, block)
        if block == 0 and number in self.layout.needed:
            self.set(value, "again", number)
        return value

    # --- adjoints -----------------------------------------------------------------------------

    def _add(self, contribution: Any, cell: Any) -> None:
        self.store(self.add(self.load(cell), contribution), cell)

    def _add_adjoint(self, operand: Operand, block: int, contribution: Any) -> None:
        if not is_varied(operand, self.program, self.layout.varied):
            return
        if isinstance(operand, Memory):
            loop = None if self.strict else self._invariant_in(operand, block)
            if loop is None:
                cell = self.cell(operand, block, shifted=True)
            else:
                cell = self._gathered(operand, loop)
        else:
            cell = self.variable("adjoint", self.leaf_of(operand))
        self._add(contribution, cell)

    def _invariant_in(self, operand: Memory, block: int) -> int | None:
        """Return the outermost loop in which an operand is the same, if there is one."""
        address = operand.address
        if operand.maker is None:
            return None
        found = None
        at: int | None = block
        while at is not None and (level := self.program.blocks[at].level) > 0:
            if address.strides.get(level) or (address.table is not None and address.level >= level):
                break
            if operand.maker != INPUTS and is_around(
                self.program, at, self.program.records[operand.maker].block
            ):
                break
            found, at = at, self.program.blocks[at].parent
        return found

    def _gathered(self, operand: Memory, loop: int) -> Any:
        """Return the variable that gathers an operand's adjoint while a loop runs."""
        address = operand.address
        table = None if address.table is None else address.table.tobytes()
        strides = tuple(sorted((k, v) for k, v in address.strides.items() if v))
        key = (operand.maker, address.base, strides, table)
        gathered = self._gathered_in.setdefault(loop, {})
        number, _ = gathered.setdefault(key, (len(gathered), operand))
        return self.variable("gathered", loop, number)

    def _scatter(self, loop: int) -> None:
        """Emit, after a loop, the sums that it gathered."""
        parent = self.parent(loop)
        for number, operand in self._gathered_in.pop(loop, {}).values():
            gathered = self.get("gathered", loop, number)
            self.set(self.number(0.0), "gathered", loop, number)
            self._add(gathered, self.cell(operand, parent, shifted=True))

    # --- reverse ------------------------------------------------------------------------------

    def _reverse(self, block: int) -> None:
        if block:
            self._compute_again(block)
        for kind, number in reversed(self.program.blocks[block].body):
            if kind == "leaf":
                self._reverse_record(number, block)
                continue
            self.loop(number, functools.partial(self._reverse, number), backward=True)
            self._scatter(number)
            for leaf, start in self.starts(number):
                adjoint = self.get("adjoint", leaf)
                self.set(self.number(0.0), "adjoint", leaf)
                self._add_adjoint(start, block, adjoint)

    def _compute_again(self, block: int) -> None:
        for number, carry in enumerate(self.program.carries):
            if carry.block == block and number in self.layout.kept_carries:
                self.set(self.load(self._kept(number, block)), "carried", number)
        for kind, number in self.program.blocks[block].body:
            if kind != "leaf" or number not in self.layout.needed:
                continue
            if number in self.layout.base:
                value = self.load(self.own_cell(number, self.get("iteration", block)))
            else:
                record = self.program.records[number]
                operands = [self._reverse_value(operand, block) for operand in record.operands]
                value = self.lower.value(OPS[record.leaf.op], operands)
            self.set(value, "again", number)

    def _reverse_value(self, operand: Operand, block: int) -> Any:
        if isinstance(operand, Carried):
            return self.get("carried", operand.carry)
        if isinstance(operand, Latest):
            maker = self.program.records[operand.leaf]
            if is_around(self.program, maker.block, block):
                return self.get("again", operand.leaf)
            latest = self.b.sub(self.get("iteration", maker.block), whole(1))
            return self.load(self.own_cell(operand.leaf, latest))
        return self.forward_value(operand, block)

    def _reverse_record(self, number: int, block: int) -> None:
        record = self.program.records[number]
        op = OPS[record.leaf.op]
        w = self.get("adjoint", number)
        self.set(self.number(0.0), "adjoint", number)
        if number in self.layout.addressed:
            cell = self.own_cell(number, self.get("iteration", block), shifted=True)
            w = self.add(w, self.load(cell))
        wanted = wanted_partials(self.program, self.layout.varied, number)
        used = {name for place in wanted for name in reads(op, place)}
        values = {
            name: self._reverse_value(operand, block)
            for name, operand in zip("xy", record.operands, strict=False)
            if name in used
        }
        if "z" in used:
            values["z"] = self.get("again", number)
        for place in wanted:
            contribution = self.slopes.product(w, op, place, values)
            self._add_adjoint(record.operands[place], block, contribution)
