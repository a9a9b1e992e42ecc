"""What the functions of a rolled program have in common: variables, loops, memory, running forward.

Every leaf has a variable, which holds what it made last; LLVM keeps it in a register. Every loop
counts its iterations, in a run and in all.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir

from tapegrad.native.layout import Layout
from tapegrad.native.lowering import ZERO, Lowering
from tapegrad.ops import OPS
from tapegrad.roll.program import (
    INPUTS,
    Address,
    Carried,
    Constant,
    Data,
    Latest,
    Memory,
    Operand,
    Program,
)
from tapegrad.rows import F64

I64, I32 = ir.IntType(64), ir.IntType(32)
NAME = "tapegrad_program"
_COUNTS = ("iteration", "step", "failed")


def whole(number: int) -> Any:
    """Return a whole number as a constant."""
    return ir.Constant(I64, number)


class Frame(ABC):
    """A function `status = f(inputs, seeds, memory, outputs, products)`, being written.

    Parameters
    ----------
    program : Program
    layout : Layout
    n_inputs : int
    strict : bool
        Whether every bit is that of the sweeps.
    has_zero_rule : bool
        Whether adjoints and tangents are multiplied as in the sweeps, where a factor of zero
        makes zero. Plain products are faster, and a NaN says that the sweeps must decide.

    Attributes
    ----------
    module : Module
    arrays : list of ndarray
        What the code reads, which must be kept alive.
    """

    def __init__(self, program: Program, layout: Layout, n_inputs: int, strict: bool,
                 has_zero_rule: bool = False) -> None:  # fmt: skip
        self.program, self.layout, self.n_inputs = program, layout, n_inputs
        self.strict = strict
        self.arrays: list[Any] = []
        self.module = ir.Module("tapegrad")
        kind = ir.FunctionType(I64, [F64.as_pointer()] * 5)
        self.function = ir.Function(self.module, kind, NAME)
        for argument in self.function.args:
            argument.add_attribute("noalias")
        self.inputs, self.seeds, self.memory, self.outputs, self.products = self.function.args
        self.shifted_inputs = self.products
        self._allocas = ir.IRBuilder(self.function.append_basic_block("entry"))
        begin = self.function.append_basic_block("begin")
        self.b = ir.IRBuilder(begin)
        # Values and guards are what the function's own code computes; products with partials, and
        # sums of them, may be fused. LLVM fuses a product and a sum where both may be.
        self.lower = Lowering(self.b)
        self.slopes = Lowering(self.b, () if strict else ("contract",), has_zero_rule)
        self.sum_flags = () if strict else ("contract", "reassoc", "nsz")
        self._variables: dict[Any, Any] = {}
        self._pointers: dict[int, Any] = {}
        self.write()
        self._allocas.branch(begin)

    @abstractmethod
    def write(self) -> None:
        """Write the function's body."""

    # --- variables ----------------------------------------------------------------------------

    def variable(self, *key: Any) -> Any:
        """Return a variable, zero at first."""
        if key not in self._variables:
            name = "_".join(map(str, key))
            self._variables[key] = self.cell_of_its_own(name, key[0] in _COUNTS)
        return self._variables[key]

    def cell_of_its_own(self, name: str, is_count: bool) -> Any:
        """Return a place on the stack, zero at first, for a number or a count."""
        kind = I64 if is_count else F64
        place = self._allocas.alloca(kind, name=name)
        self._allocas.store(ir.Constant(kind, 0 if is_count else 0.0), place)
        return place

    # --- numbers ------------------------------------------------------------------------------

    def number(self, value: float) -> Any:
        """Return a constant."""
        return ir.Constant(F64, value)

    def load(self, cell: Any) -> Any:
        """Emit what is at a place."""
        return self.b.load(cell)

    def store(self, value: Any, cell: Any) -> None:
        """Emit that a value is put at a place."""
        self.b.store(value, cell)

    def add(self, x: Any, y: Any) -> Any:
        """Emit a term of the sum of an adjoint or a tangent."""
        return self.b.fadd(x, y, flags=self.sum_flags)

    def sum(self, x: Any, y: Any) -> Any:
        """Emit a term of a sum of values, which may be taken in another order."""
        return self.b.fadd(x, y, flags=("reassoc",))

    def constant_at(self, pointer: Any) -> Any:
        """Emit a constant that is in a table."""
        return self.b.load(pointer)

    def primal(self, value: Any) -> Any:
        """Return the float that a value is."""
        return value

    def input_cell(self, place: Any, shifted: bool) -> Any:
        """Emit a pointer to an input, or to what goes with it."""
        return self.b.gep(self.shifted_inputs if shifted else self.inputs, [place])

    def memory_cell(self, place: Any) -> Any:
        """Emit a pointer to a place in memory."""
        return self.b.gep(self.memory, [place])

    def get(self, *key: Any) -> Any:
        """Emit what a variable holds."""
        return self.load(self.variable(*key))

    def set(self, value: Any, *key: Any) -> None:
        """Emit that a variable holds a value."""
        self.store(value, self.variable(*key))

    def _array(self, values: Any) -> Any:
        """Return a pointer to an array's elements as a constant."""
        if id(values) not in self._pointers:
            fits = values.dtype.kind == "i" and (not values.size or abs(values).max() < 2**31)
            array = np.ascontiguousarray(values, np.int32 if fits else None)
            kind = {"f8": F64, "i4": I32, "i8": I64}[array.dtype.str[1:]]
            pointer = whole(array.ctypes.data).inttoptr(kind.as_pointer())
            self.arrays += [array, values]
            self._pointers[id(values)] = pointer
        return self._pointers[id(values)]

    def _table(self, values: Any, index: Any) -> Any:
        """Emit an entry of a table of whole numbers."""
        entry = self.b.load(self.b.gep(self._array(values), [index]))
        return self.b.sext(entry, I64) if entry.type == I32 else entry

    # --- loops --------------------------------------------------------------------------------

    def _level_block(self, block: int, level: int) -> int:
        while self.program.blocks[block].level > level:
            block = self.parent(block)
        return block

    def _count(self, block: int) -> Any:
        """Emit how often a loop runs now."""
        counts = self.program.blocks[block].loop.counts
        if np.all(counts == counts[0]):
            return whole(int(counts[0]))
        return self._table(counts, self.get("iteration", self.parent(block)))

    def parent(self, block: int) -> int:
        """Return the loop around another one."""
        parent = self.program.blocks[block].parent
        assert parent is not None
        return parent

    def loop(self, block: int, body: Callable[[], None], backward: bool = False) -> None:
        """Emit the run of a loop that comes now; backward, from its last iteration."""
        count = self._count(block)
        b, step = self.b, self.variable("step", block)
        one, zero = whole(1), whole(0)
        b.store(count if backward else zero, step)
        inside, after = b.append_basic_block("body"), b.append_basic_block("after")
        b.cbranch(b.icmp_signed(">", count, zero), inside, after)
        b.position_at_end(inside)
        if backward:
            b.store(b.sub(b.load(step), one), step)
            self.set(b.sub(self.get("iteration", block), one), "iteration", block)
        body()
        if not backward:
            b.store(b.add(b.load(step), one), step)
            self.set(b.add(self.get("iteration", block), one), "iteration", block)
            goes_on = b.icmp_signed("<", b.load(step), count)
        else:
            goes_on = b.icmp_signed(">", b.load(step), zero)
        b.cbranch(goes_on, inside, after)
        b.position_at_end(after)

    # --- places in memory ---------------------------------------------------------------------

    def _address(self, address: Address, block: int, base: int) -> Any:
        if address.table is None:
            place: Any = whole(address.base + base)
        else:
            index = self.get("iteration", self._level_block(block, address.level))
            place = self.b.add(self._table(address.table, index), whole(base))
        for level, stride in address.strides.items():
            if stride:
                step = self.get("step", self._level_block(block, level))
                stepped = self.b.mul(step, whole(stride)) if stride != 1 else step
                place = self.b.add(place, stepped)
        return place

    def cell(self, operand: Memory, block: int, shifted: bool = False) -> Any:
        """Emit a pointer to an operand's value, or to the adjoint or tangent that goes with it."""
        layout = self.layout
        if operand.maker == INPUTS and layout.inputs_base is None:
            return self.input_cell(self._address(operand.address, block, 0), shifted)
        if operand.maker is None:
            base = 0
        elif operand.maker == INPUTS:
            assert layout.inputs_base is not None
            base = layout.inputs_base
        else:
            base = layout.base[operand.maker]
        shift = layout.shift if shifted else 0
        return self.memory_cell(self._address(operand.address, block, base + shift))

    def own_cell(self, leaf: int, index: Any, shifted: bool = False) -> Any:
        """Emit a pointer to a value of a leaf's own, or to what goes with it."""
        base = self.layout.base[leaf] + (self.layout.shift if shifted else 0)
        return self.memory_cell(self.b.add(whole(base), index))

    # --- forward ------------------------------------------------------------------------------

    def forward_value(self, operand: Operand, block: int) -> Any:
        """Emit an operand's value where the program runs forward."""
        if isinstance(operand, Constant):
            return self.number(operand.value)
        if isinstance(operand, Data):
            index = self.get("iteration", self._level_block(block, operand.level))
            return self.constant_at(self.b.gep(self._array(operand.values), [index]))
        if isinstance(operand, Memory):
            return self.load(self.cell(operand, block))
        return self.get("value", self.leaf_of(operand))

    def leaf_of(self, operand: Any) -> int:
        """Return whose variable an operand reads."""
        if isinstance(operand, Latest):
            return operand.leaf
        return int(self.program.carries[operand.carry].leaf)

    def forward(self, block: int) -> None:
        """Emit an iteration of a loop."""
        for kind, number in self.program.blocks[block].body:
            if kind == "leaf":
                self.forward_record(number, block)
                continue
            self.set_carries(number)
            self.loop(number, functools.partial(self.forward, number))

    def set_carries(self, top: int) -> None:
        """Emit what carried values begin as, before a loop."""
        starts = {
            leaf: self.forward_value(start, self.parent(top)) for leaf, start in self.starts(top)
        }
        for leaf, value in starts.items():
            self.set(value, "value", leaf)

    def starts(self, top: int) -> list[tuple[int, Operand]]:
        """Return the variables that are set before a loop, and to what."""
        return [
            (start.leaf, start.operand)
            for start in self.program.starts
            if start.top == top and start.operand is not None
        ]

    def forward_record(self, number: int, block: int) -> Any:
        """Emit a record's value, put it where it's read, check its guards; return it."""
        record = self.program.records[number]
        operands = [self.forward_value(operand, block) for operand in record.operands]
        op = OPS[record.leaf.op]
        if self._is_sum(number) and op.name == "add":
            value = self.sum(*operands)
        else:
            value = self.lower.value(op, operands)
        self.set(value, "value", number)
        if number in self.layout.base:
            self.store(value, self.own_cell(number, self.get("iteration", block)))
        for guard in record.guards:
            wanted = self.primal(self.forward_value(guard, block))
            differs = self.b.fcmp_unordered("!=", self.primal(value), wanted)
            failed = self.b.or_(self.get("failed"), self.b.zext(differs, I64))
            self.set(failed, "failed")
        return value

    def _is_sum(self, number: int) -> bool:
        """Whether a record adds to what it made last, and may do so in another order."""
        return not self.strict and any(
            isinstance(operand, Carried) and self.program.carries[operand.carry].leaf == number
            for operand in self.program.records[number].operands
        )

    def each_output(self, body: Callable[[Any, Any], None]) -> None:
        """Emit something for each output, given its index and the operand, or the pointer to it."""
        table = self.program.output_table
        for k, output in enumerate(self.program.outputs):
            body(whole(k), output)
        if table is not None:
            count = len(table.address.table)  # type: ignore[arg-type]
            self.elements(count, lambda k: body(k, self._table(table.address.table, k)))

    def store_output(self, k: Any, output: Any) -> None:
        """Emit an output."""
        is_place = isinstance(output, ir.Value)
        value = self.load(self.memory_cell(output)) if is_place else self.forward_value(output, 0)
        self.b.store(self.primal(value), self.b.gep(self.outputs, [k]))

    # --- arrays -------------------------------------------------------------------------------

    def elements(self, count: int, body: Callable[[Any], None]) -> None:
        """Emit a loop over indices."""
        if not count:
            return
        b, place = self.b, self.variable("step", "elements")
        b.store(whole(0), place)
        inside, after = b.append_basic_block("elements"), b.append_basic_block("after")
        b.branch(inside)
        b.position_at_end(inside)
        body(b.load(place))
        b.store(b.add(b.load(place), whole(1)), place)
        b.cbranch(b.icmp_signed("<", b.load(place), whole(count)), inside, after)
        b.position_at_end(after)

    def copy(self, source: Any, target: Any, count: int) -> None:
        """Emit a copy of numbers."""
        b = self.b
        self.elements(count, lambda k: b.store(b.load(b.gep(source, [k])), b.gep(target, [k])))

    def clear(self, target: Any, count: int) -> None:
        """Emit zeros."""
        self.elements(count, lambda k: self.b.store(ZERO, self.b.gep(target, [k])))

    def at(self, place: int) -> Any:
        """Emit a pointer to a place in memory."""
        return self.b.gep(self.memory, [whole(place)])

    def finish(self, count: int) -> None:
        """Return whether a guard failed or there is a NaN among the products."""
        total = Frame.cell_of_its_own(self, "total", is_count=False)

        def element(k: Any) -> None:
            product = self.b.load(self.b.gep(self.products, [k]))
            self.b.store(self.b.fadd(self.b.load(total), product, flags=("reassoc",)), total)

        self.elements(count, element)
        found = self.b.load(total)
        is_nan = self.b.zext(self.b.fcmp_unordered("uno", found, found), I64)
        self.b.ret(self.b.or_(self.get("failed"), is_nan))
