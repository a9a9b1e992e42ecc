"""Value and tangent of a rolled program: products of the Jacobian with directions.

The status is not 0 where a guard fails or there is a NaN in the products, as in the reverse.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from tapegrad.native.frame import Frame, whole
from tapegrad.native.layout import is_varied, wanted_partials
from tapegrad.native.lowering import ZERO
from tapegrad.ops import OPS
from tapegrad.roll.program import Memory, Operand


class Tangent(Frame):
    """Writes the function that runs a program and its tangent."""

    def write(self) -> None:
        """Write the function's body."""
        layout = self.layout
        self.shifted_inputs = self.seeds
        self.clear(self.at(layout.shift), layout.n_addressed)
        if layout.inputs_base is not None:
            self.copy(self.inputs, self.at(layout.inputs_base), self.n_inputs)
            self.copy(self.seeds, self.at(layout.inputs_base + layout.shift), self.n_inputs)
        self.forward(0)
        self.each_output(self.store_output)
        self.each_output(self._store_product)
        self.finish(self.program.n_outputs)

    def _store_product(self, k: Any, output: Any) -> None:
        if isinstance(output, ir.Value):
            place = self.b.add(output, whole(self.layout.shift))
            tangent = self.b.load(self.b.gep(self.memory, [place]))
        else:
            tangent = self._tangent(output, 0)
        self.b.store(tangent, self.b.gep(self.products, [k]))

    def _tangent(self, operand: Operand, block: int) -> Any:
        if not is_varied(operand, self.program, self.layout.varied):
            return ZERO
        if isinstance(operand, Memory):
            return self.b.load(self.cell(operand, block, shifted=True))
        return self.get("tangent", self.leaf_of(operand))

    def set_carries(self, top: int) -> None:
        """Emit what carried values and their tangents begin as."""
        parent = self.parent(top)
        tangents = {leaf: self._tangent(start, parent) for leaf, start in self.starts(top)}
        super().set_carries(top)
        for leaf, tangent in tangents.items():
            self.set(tangent, "tangent", leaf)

    def forward_record(self, number: int, block: int) -> Any:
        """Emit a record's value and tangent."""
        record = self.program.records[number]
        op = OPS[record.leaf.op]
        wanted = wanted_partials(self.program, self.layout.varied, number)
        operands = {
            name: self.forward_value(operand, block)
            for name, operand in zip("xy", record.operands, strict=False)
            if wanted
        }
        tangents = {place: self._tangent(record.operands[place], block) for place in wanted}
        value = super().forward_record(number, block)
        total = ZERO
        for place in wanted:
            product = self.slopes.product(tangents[place], op, place, {**operands, "z": value})
            total = self.add(total, product)
        self.set(total, "tangent", number)
        if number in self.layout.addressed:
            cell = self.own_cell(number, self.get("iteration", block), shifted=True)
            self.b.store(total, cell)
        return value
