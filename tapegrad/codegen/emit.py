"""A program as an LLVM function: variables on the stack, regions in arrays, loops of blocks.

LLVM keeps the variables in registers. What an operation becomes is said by its row, written by
`Lowering`; how a number is held, by a kind of `Numbers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from llvmlite import ir

from tapegrad.codegen.lowering import Lowering
from tapegrad.codegen.numbers import Doubles
from tapegrad.errors import NotCompilableError
from tapegrad.program.ir import (
    Accumulate,
    Apply,
    Body,
    Call,
    Compute,
    Constant,
    Counter,
    Element,
    Guard,
    Index,
    Loop,
    Past,
    Program,
    Rounding,
    Span,
    Statement,
    Store,
    Value,
    Variable,
    leaves,
    values_of,
)
from tapegrad.rows import ROW

I64, I32 = ir.IntType(64), ir.IntType(32)
NAME = "tapegrad_program"

_FLAGS: dict[Rounding, tuple[str, ...]] = {
    "exact": (), "reordered": ("reassoc",), "fused": ("contract",),
    "free": ("contract", "reassoc", "nsz"),
}  # fmt: skip


def whole(number: int) -> Any:
    """Return a whole number as a constant."""
    return ir.Constant(I64, number)


def held_in_place(body: Body) -> set[Variable]:
    """Return the variables that need no place: set once, and read in what follows there alone.

    LLVM would find them too, but only after they have been written, and read, as loads and stores.
    """
    set_in: dict[Variable, tuple[tuple[int, bool], ...]] = {}
    others: set[Variable] = set()

    def look(body: Body, around: tuple[tuple[int, bool], ...]) -> None:
        for statement in body:
            for value in values_of(statement):
                for leaf in leaves(value):
                    if isinstance(leaf, Variable):
                        home = set_in.get(leaf)
                        if home is None or around[: len(home)] != home:
                            others.add(leaf)
            match statement:
                case Loop(number, _, inner, backward):
                    look(inner, (*around, (number, backward)))
                case Compute(target):
                    if target in set_in:
                        others.add(target)
                    set_in[target] = around
                case Accumulate(Variable() as target):
                    others.add(target)

    look(body, ())
    return set_in.keys() - others


class Places:
    """Where the regions of a program are among the arrays that its function is called with.

    Attributes
    ----------
    of : dict of (str, int)
        By region, the array - "inputs", "seeds", "memory", "outputs" or "products" - and where
        it begins there.
    length : dict of int
        How many numbers each array holds.
    """

    def __init__(self, program: Program) -> None:
        self.of: dict[str, tuple[str, int]] = {}
        self.length = dict.fromkeys(("inputs", "seeds", "memory", "outputs", "products"), 0)
        arrays = {
            "input": ("inputs", "seeds"), "output": ("outputs", "products"),
            "memory": ("memory", "memory"),
        }  # fmt: skip
        for role, (first, others) in arrays.items():
            own = [region for region in program.regions if region.role == role]
            for k, region in enumerate(r for r in own if not r.within):
                array = others if k else first
                self.of[region.name] = array, self.length[array]
                self.length[array] += region.size
        for region in program.regions:
            if region.within:
                array, start = self.of[region.within]
                self.of[region.name] = array, start + region.offset


class Emitter:
    """Writes `status = f(inputs, seeds, memory, outputs, products)`: 0 if all guards and calls do.

    Parameters
    ----------
    program : Program
        One whose memory is laid out.
    blocks : mapping of str to (int, int), optional
        The addresses of each block that it calls and of the block's context: `int64 f(double
        **reads, double **writes, int64 *context)` adds to what it writes if the call does, and
        returns 0 if all is well. It may not throw.
    numbers : Doubles, optional
        How numbers are held.

    Attributes
    ----------
    module : Module
    places : Places
    arrays : list of ndarray
        What the code reads, which must be kept alive.

    Raises
    ------
    NotCompilableError
        If a block has no address.
    """

    def __init__(self, program: Program, blocks: Mapping[str, tuple[int, int]] | None = None,
                 numbers: Doubles | None = None) -> None:  # fmt: skip
        self._program, self._numbers = program, numbers or Doubles()
        self._blocks = blocks or {}
        self.places = Places(program)
        self.arrays: list[Any] = []
        self.module = ir.Module("tapegrad")
        kind = ir.FunctionType(I64, [self._numbers.kind.as_pointer()] * 5)
        function = ir.Function(self.module, kind, NAME)
        for argument in function.args:
            argument.add_attribute("noalias")
        self._pointers = dict(zip(self.places.length, function.args, strict=True))
        self._allocas = ir.IRBuilder(function.append_basic_block("entry"))
        begin = function.append_basic_block("begin")
        self.b = ir.IRBuilder(begin)
        self._lower = {r: Lowering(self.b, f, self._numbers) for r, f in _FLAGS.items()}
        self._held = held_in_place(program.body)
        self._values: dict[Variable, Any] = {}
        self._variables: dict[Any, Any] = {}
        self._tables: dict[str, Any] = {}
        self._failed = self._count("failed")
        self._clear(region.name for region in program.regions if region.is_zeroed)
        self._emit(program.body)
        self.b.ret(self.b.load(self._failed))
        self._allocas.branch(begin)

    # --- variables and memory ---------------------------------------------------------------------

    def _count(self, *key: Any) -> Any:
        """Return a place on the stack for a whole number, zero at first."""
        if key not in self._variables:
            place = self._allocas.alloca(I64, name="_".join(map(str, key)))
            self._allocas.store(whole(0), place)
            self._variables[key] = place
        return self._variables[key]

    def _counter(self, counter: Counter) -> Any:
        return self._count(counter.kind, counter.loop)

    def _variable(self, variable: Variable) -> Any:
        if variable not in self._variables:
            kind = self._numbers.kind
            self._variables[variable] = self._allocas.alloca(kind, name=variable.name)
        return self._variables[variable]

    def _pointer(self, target: Variable | Element) -> Any:
        """Emit a pointer to a variable or an element."""
        if isinstance(target, Variable):
            return self._variable(target)
        return self._pointer_to(target.region, target.index)

    def _pointer_to(self, region: str, index: Index) -> Any:
        if region in self._program.table:
            return self.b.gep(self._table(region), [self._index(index)])
        array, start = self.places.of[region]
        return self.b.gep(self._pointers[array], [self._index(index.plus(start))])

    def _table(self, name: str) -> Any:
        """Return a pointer to a table's elements as a constant."""
        if name not in self._tables:
            values = self._program.table[name].values
            fits = values.dtype.kind == "i" and (not values.size or abs(values).max() < 2**31)
            array = np.ascontiguousarray(values, np.int32 if fits else None)
            kind = {"f8": ir.DoubleType(), "i4": I32, "i8": I64}[array.dtype.str[1:]]
            self._tables[name] = whole(array.ctypes.data).inttoptr(kind.as_pointer())
            self.arrays.append(array)
        return self._tables[name]

    def _index(self, index: Index) -> Any:
        """Emit a whole number."""
        b, found = self.b, whole(index.base)
        if index.at is not None:
            entry = b.load(b.gep(self._table(index.table), [b.load(self._counter(index.at))]))
            entry = b.sext(entry, I64) if entry.type == I32 else entry
            found = b.add(entry, found) if index.base else entry
        for counter, factor in index.terms:
            step = b.load(self._counter(counter))
            term = step if factor == 1 else b.mul(step, whole(factor))
            found = b.add(found, term)
        return found

    def _clear(self, regions: Iterable[str]) -> None:
        for name in regions:
            array, start = self.places.of[name]
            size = self._program.region[name].size
            self._each(size, lambda k, a=array, s=start: self._numbers.store(
                self.b, self._numbers.number(0.0),
                self.b.gep(self._pointers[a], [self.b.add(k, whole(s))])))  # fmt: skip

    # --- statements -------------------------------------------------------------------------------

    def _emit(self, body: Body) -> None:
        for statement in body:
            self._emit_statement(statement)

    def _emit_statement(self, statement: Statement) -> None:
        known: dict[int, Any] = {}
        match statement:
            case Compute(target=target, value=value) if target in self._held:
                self._values[target] = self._value(value, known)
            case Compute(target=target, value=value) | Store(target=target, value=value):
                found = self._value(value, known)
                self._numbers.store(self.b, found, self._pointer(target))
            case Accumulate(target=target, value=value, rounding=rounding):
                found = self._value(value, known)
                cell = self._pointer(target)
                before = self._numbers.load(self.b, cell)
                total = self.b.fadd(before, found, flags=_FLAGS[rounding])
                self._numbers.store(self.b, total, cell)
            case Guard(value=value, wanted=wanted):
                sides = self._value(value, known), self._value(wanted, known)
                self._failed_if(self._numbers.differ(self.b, *sides))
            case Call():
                self._call(statement)
            case Loop():
                self._loop(statement)

    def _call(self, call: Call) -> None:
        if call.block not in self._blocks:
            raise NotCompilableError(
                f"the program calls the block {call.block!r}, and machine code calls blocks by "
                "address, which this one has none of. Give it a compiled form; the sweeps go on."
            )
        address, context = map(whole, self._blocks[call.block])
        arguments = [self._spans(spans) for spans in (call.reads, call.writes)]
        arguments.append(context.inttoptr(I64.as_pointer()))
        kind = ir.FunctionType(I64, [a.type for a in arguments])
        function = self.b.inttoptr(address, kind.as_pointer())
        status = self.b.call(function, arguments, attrs=("nounwind",))
        self._failed_if(self.b.icmp_signed("!=", status, whole(0)))

    def _failed_if(self, condition: Any) -> None:
        failed = self.b.or_(self.b.load(self._failed), self.b.zext(condition, I64))
        self.b.store(failed, self._failed)

    def _spans(self, spans: tuple[Span, ...]) -> Any:
        """Emit an array of pointers to where spans begin."""
        kind = self._numbers.kind.as_pointer()
        array = self._allocas.alloca(kind, size=max(len(spans), 1))
        for k, span in enumerate(spans):
            pointer = self._pointer_to(span.region, span.start)
            self.b.store(pointer, self.b.gep(array, [whole(k)]))
        return array

    def _value(self, value: Value, known: dict[int, Any]) -> Any:
        """Emit a value; what a statement reads twice is emitted once."""
        match value:
            case Constant(value=number):
                return self._numbers.number(number)
            case Variable():
                if value in self._held:
                    return self._values[value]
                return self._numbers.load(self.b, self._variable(value))
            case Element(region=region):
                pointer = self._pointer(value)
                if region in self._program.table:
                    return self._numbers.constant_at(self.b, pointer)
                return self._numbers.load(self.b, pointer)
            case Apply(op=op, operands=operands, rounding=rounding):
                if id(value) not in known:
                    emitted = [self._value(operand, known) for operand in operands]
                    known[id(value)] = self._lower[rounding].value(ROW[op], emitted)
                return known[id(value)]
            case Past():
                raise ValueError("a program must be given its memory before it's emitted")

    # --- loops ------------------------------------------------------------------------------------

    def _loop(self, loop: Loop) -> None:
        b = self.b
        step, total = (self._count(kind, loop.number) for kind in ("step", "total"))
        count, one, zero = self._index(loop.count), whole(1), whole(0)
        b.store(count if loop.backward else zero, step)
        inside, after = b.append_basic_block("body"), b.append_basic_block("after")
        b.cbranch(b.icmp_signed(">", count, zero), inside, after)
        b.position_at_end(inside)
        if loop.backward:
            b.store(b.sub(b.load(step), one), step)
            b.store(b.sub(b.load(total), one), total)
            self._emit(loop.body)
            goes_on = b.icmp_signed(">", b.load(step), zero)
        else:
            self._emit(loop.body)
            b.store(b.add(b.load(step), one), step)
            b.store(b.add(b.load(total), one), total)
            goes_on = b.icmp_signed("<", b.load(step), count)
        b.cbranch(goes_on, inside, after)
        b.position_at_end(after)

    def _each(self, count: int, body: Any) -> None:
        """Emit a loop over indices."""
        if not count:
            return
        b, place = self.b, self._count("element")
        b.store(whole(0), place)
        inside, after = b.append_basic_block("elements"), b.append_basic_block("after")
        b.branch(inside)
        b.position_at_end(inside)
        body(b.load(place))
        b.store(b.add(b.load(place), whole(1)), place)
        b.cbranch(b.icmp_signed("<", b.load(place), whole(count)), inside, after)
        b.position_at_end(after)
