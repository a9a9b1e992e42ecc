"""Rolled programs as text: nested loops as a person would write them.

Inputs are `x`, and by address what they are at: `x[3*i + 1]`. A record that is read where it was
made last has a name; one that is read by address too has an index for each of its records. What
has no formula is in a table, `t0`, and constants that differ are in `c0`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tapegrad.ops import OPS
from tapegrad.roll.nest import Indices
from tapegrad.roll.program import (
    INPUTS,
    Address,
    Block,
    Carried,
    Constant,
    Data,
    Latest,
    Memory,
    Operand,
    Program,
    Record,
)

_LETTERS = "ijklmnopqrstuvw"


class Listing:
    """Writes a program's lines."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._tables: list[Indices] = []
        self._data: list[Data] = []

    def lines(self) -> Iterator[str]:
        """Yield the program's lines."""
        yield from self._block(0, "")
        outputs = [self._operand(output) for output in self.program.outputs]
        if self.program.output_table is not None:
            outputs = [f"{self.program.n_outputs:,} values"]
        yield "return " + ", ".join(outputs)

    def _block(self, number: int, indent: str) -> Iterator[str]:
        for kind, inner in self.program.blocks[number].body:
            if kind == "leaf":
                yield indent + self._record(inner)
                continue
            for start in self.program.starts:
                if start.top == inner and start.operand is not None:
                    yield f"{indent}{_name(start.leaf)} = {self._operand(start.operand)}"
            yield indent + self._header(self.program.blocks[inner])
            yield from self._block(inner, indent + "    ")

    def _header(self, block: Block) -> str:
        letter = _letter(block.level)
        counts = block.loop.counts
        if np.all(counts == counts[0]):
            return f"for {letter} in range({counts[0]}):"
        step = np.diff(counts)
        if np.all(step == step[0]):
            outer = _letter(block.level - 1)
            return f"for {letter} in range({_sum([(int(step[0]), outer)], int(counts[0]))}):"
        return f"for {letter} in range({self._table(counts, block.level - 1)}):"

    def _record(self, number: int) -> str:
        record: Record = self.program.records[number]
        op = OPS[record.leaf.op]
        operands = [self._operand(operand) for operand in record.operands]
        if op.symbol and len(operands) == 2 and not op.symbol.isalpha():
            text = f"{operands[0]} {op.symbol} {operands[1]}"
        elif op.symbol == "-":
            text = f"-{operands[0]}"
        else:
            text = f"{op.name}({', '.join(operands)})"
        guards = "".join(f"  # is {self._operand(guard)}" for guard in record.guards)
        return f"{_name(number)} = {text}{guards}"

    def _operand(self, operand: Operand) -> str:
        if isinstance(operand, Constant):
            return f"{operand.value:.12g}"
        if isinstance(operand, Data):
            if operand not in self._data:
                self._data.append(operand)
            return f"c{self._data.index(operand)}[{_counter(operand.level)}]"
        if isinstance(operand, Latest):
            return _name(operand.leaf)
        if isinstance(operand, Carried):
            return _name(self.program.carries[operand.carry].leaf)
        name = "x" if operand.maker == INPUTS else "any"
        if isinstance(operand, Memory) and operand.maker is not None and operand.maker >= 0:
            name = _name(operand.maker)
        return f"{name}[{self._place(operand.address)}]"

    def _place(self, address: Address) -> str:
        terms = [(stride, _letter(level)) for level, stride in sorted(address.strides.items())]
        if address.table is None:
            return _sum(terms, address.base)
        return _sum([(1, self._table(address.table, address.level)), *terms], 0)

    def _table(self, table: Indices, level: int) -> str:
        number = next((k for k, t in enumerate(self._tables) if np.array_equal(t, table)), None)
        if number is None:
            number = len(self._tables)
            self._tables.append(table)
        return f"t{number}[{_counter(level)}]"


def _name(leaf: int) -> str:
    return f"v{leaf}"


def _letter(level: int) -> str:
    return _LETTERS[level - 1] if 0 < level <= len(_LETTERS) else f"i{level}"


def _counter(level: int) -> str:
    """Return the letters of a loop and those around it: which iteration it is, of all."""
    return ", ".join(_letter(k) for k in range(1, level + 1)) if level else "0"


def _sum(terms: list[tuple[int, str]], base: int) -> str:
    parts = []
    for stride, letter in terms:
        if stride:
            factor = letter if abs(stride) == 1 else f"{abs(stride)}*{letter}"
            parts.append(("-" if stride < 0 else "+", factor))
    if base or not parts:
        parts.append(("-" if base < 0 else "+", str(abs(base))))
    text = " ".join(f"{sign} {part}" for sign, part in parts)
    return text[2:] if text.startswith("+") else "-" + text[2:]
