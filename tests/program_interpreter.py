"""Programs, run statement by statement in Python: slow, and as their form says.

Memory that nobody set is NaN, and what variables were is looked up in a history of everything that
ran forward. Rows are computed as the sweeps compute them, or by a function that's given. A block is
a function of two lists, of arrays that it reads and of views of memory that it sets or adds to.
"""

from __future__ import annotations

import numpy as np

from tapegrad.ops import CODE
from tapegrad.program.ir import (
    Accumulate,
    Apply,
    Call,
    Compute,
    Constant,
    Element,
    Guard,
    Loop,
    Past,
    Store,
    Variable,
    statements,
)
from tapegrad.record.active import evaluate


def as_swept(op, *operands):
    """A row's value, in the bits of the sweeps."""
    return evaluate.run(CODE[op], *[*operands, 0.0][:2])


def run(program, inputs, compute=as_swept, blocks=None):
    """Return whether every guard held, and the outputs by name."""
    machine = Machine(program, inputs, compute, blocks)
    machine.run(program.body, ())
    outputs = {r.name: machine.memory[r.name].copy() for r in program.of_role("output")}
    return machine.holds, outputs


class Machine:
    def __init__(self, program, inputs, compute, blocks=None):
        self.blocks = blocks
        self.program, self.compute, self.holds = program, compute, True
        self.variables, self.step = {}, {}
        self.total = {s.number: 0 for s in statements(program.body) if isinstance(s, Loop)}
        self.made, self.begun, self.ended = {}, {}, {}
        self.memory = {}
        assert set(inputs) == {region.name for region in program.of_role("input")}
        for region in program.regions:
            if region.role == "input":
                values = np.array(inputs[region.name], float)
                assert values.shape == (region.size,)
            elif region.within:
                values = self.memory_of(region.within)[region.offset :][: region.size]
            else:
                values = self.memory_of(region.name)
            self.memory[region.name] = values
        for region in program.regions:
            if region.is_zeroed:
                self.memory[region.name][:] = 0.0

    def memory_of(self, name):
        if name not in self.memory:
            self.memory[name] = np.full(self.program.region[name].size, np.nan)
        return self.memory[name]

    # --- whole numbers and values -----------------------------------------------------------

    def counter(self, counter):
        return getattr(self, counter.kind)[counter.loop]

    def whole(self, index):
        found = index.base + sum(n * self.counter(counter) for counter, n in index.terms)
        if index.at is not None:
            entry = self.counter(index.at)
            assert entry >= 0
            found += int(self.program.table[index.table].values[entry])
        return found

    def place(self, element):
        """Return where an element is: an array and an index."""
        table = self.program.table.get(element.region)
        where = self.memory[element.region] if table is None else table.values
        index = self.whole(element.index)
        assert 0 <= index < len(where), f"{element} is at {index}"
        return where, index

    def span(self, span):
        """Return a view of the elements of a span."""
        table = self.program.table.get(span.region)
        where = self.memory[span.region] if table is None else table.values
        start = self.whole(span.start)
        assert 0 <= start <= len(where) - span.size, f"{span} is at {start}"
        return where[start : start + span.size]

    def value(self, value, around):
        match value:
            case Constant(number):
                return float(number)
            case Variable(name):
                return self.variables[name]
            case Element():
                where, index = self.place(value)
                return float(where[index])
            case Past():
                return self.past(value, around)
            case Apply(op, operands):
                return self.compute(op, *[self.value(operand, around) for operand in operands])

    def past(self, past, around):
        """Look up what a variable was in the iteration at hand of the loops around."""
        numbers = [loop.number for loop in around if loop.backward]
        if past.when == "begun":
            return self.begun[past.loop, self.total[past.loop]][past.name]
        if past.when == "ended":
            outer = next(k for k in self.ended if k[0] == past.loop)[1]
            return self.ended[past.loop, outer, self.iteration(outer)][past.name]
        inner = next(n for n in [*reversed(numbers), None] if (past.name, n) in self.made)
        return self.made[past.name, inner][self.iteration(inner)]

    def iteration(self, number):
        return 0 if number is None else self.total[number]

    # --- statements -------------------------------------------------------------------------

    def run(self, body, around):
        for statement in body:
            match statement:
                case Compute(Variable(name), value):
                    self.set(name, self.value(value, around), around)
                case Store(target, value):
                    number = self.value(value, around)
                    where, index = self.place(target)
                    where[index] = number
                case Accumulate(Variable(name), value):
                    number = self.variables[name] + self.value(value, around)
                    self.set(name, number, around)
                case Accumulate(target, value):
                    number = self.value(value, around)
                    where, index = self.place(target)
                    where[index] = float(where[index]) + number
                case Guard(value, wanted):
                    self.holds &= self.value(value, around) == self.value(wanted, around)
                case Call(block, reads, writes):
                    read = [self.span(span).copy() for span in reads]
                    self.blocks[block](read, [self.span(span) for span in writes])
                case Loop():
                    self.loop(statement, around)

    def set(self, name, number, around):
        self.variables[name] = number
        if not any(loop.backward for loop in around):
            inner = around[-1].number if around else None
            self.made.setdefault((name, inner), {})[self.iteration(inner)] = number

    def loop(self, loop, around):
        count, k = self.whole(loop.count), loop.number
        assert count >= 0
        inside = (*around, loop)
        if loop.backward:
            for step in reversed(range(count)):
                self.step[k] = step
                self.total[k] -= 1
                self.run(loop.body, inside)
            return
        for step in range(count):
            self.step[k] = step
            self.begun[k, self.total[k]] = dict(self.variables)
            self.run(loop.body, inside)
            self.total[k] += 1
        outer = around[-1].number if around else None
        self.ended[k, outer, self.iteration(outer)] = dict(self.variables)
