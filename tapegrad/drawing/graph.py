"""A tape as a graph of a bounded number of nodes, in Graphviz's language."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import CALL, RESULT, calls_of, operands_of
from tapegrad.drawing.choice import Part, choose, shorten
from tapegrad.drawing.folding import Folded, Item, fold
from tapegrad.drawing.labels import (
    CARRIED,
    FOLDED,
    FRAME,
    GUARDED,
    HEADER,
    ORDERED,
    constant,
    edge,
    node,
    number,
    symbol,
    symbols,
)
from tapegrad.drawing.names import Names
from tapegrad.ops import OPS
from tapegrad.rows import ROW
from tapegrad.tape import INPUT, Tape

Vector = npt.NDArray[np.float64]

Place = dict[Item, str]
"""The runs around a node, and which iteration of them it's in."""


class Graph:
    """A tape's graph.

    Parameters
    ----------
    tape : Tape
    inputs, outputs : Names
    adjoints : ndarray or None
        One a slot.
    seeds : ndarray or None
        One an output.
    limit : int
        The most records to draw, and folds that stand for others.
    """

    def __init__(self, tape: Tape, inputs: Names, outputs: Names, adjoints: Vector | None,
                 seeds: Vector | None, limit: int) -> None:  # fmt: skip
        self._tape, self._inputs, self._outputs = tape, inputs, outputs
        self._adjoints, self._seeds, self._limit = adjoints, seeds, limit
        self._input_slots = tape.inputs
        self._operands = np.stack([tape.a, tape.b]).astype(np.int64)
        self._operands[:, self._input_slots] = 0  # they stand for themselves
        self._calls = calls_of(tape)
        self._operands[:, self._calls] = 0  # they are elsewhere
        self._guards = np.bincount(tape.guard_slot, minlength=len(tape))
        self._owner = np.zeros(len(tape), np.int64)  # the first slot of the node a slot is in
        self._places: dict[int, Place] = {}
        self._folds: dict[int, int] = {}  # where the folded slots end, by where they start
        self._constants: set[int] = set()
        self._has_carried = self._has_ordered = False
        self._lines: list[str] = []
        self._edges: list[str] = []

    def dot(self) -> str:
        """Return the graph in Graphviz's language."""
        self._draw(choose(self._fold(), self._limit), {})
        self._draw_folded_edges()
        self._draw_outputs()
        self._draw_guards()
        lines = [*HEADER, f'label="{self._caption()}";', *self._lines, *self._edges]
        return "\n".join(["digraph tape {", *(f"  {line}" for line in lines), "}", ""])

    def _caption(self) -> str:
        notes = [f"{len(self._tape) - 1:,} records"]
        if self._adjoints is not None:
            notes.append("∂ adjoint")
        if self._has_ordered:
            notes.append("hollow arrow: right operand")
        if self._has_carried:
            notes.append("dashed: from one iteration to a later one")
        return "   ·   ".join(notes)

    # --- records and folds --------------------------------------------------------------------

    def _fold(self) -> Folded:
        n = len(self._tape)
        if n - 1 <= self._limit:
            return Folded([(slot, slot + 1) for slot in range(1, n)], {})
        return fold(self._tape, self._input_slots.astype(np.int64), self._inputs.starts[1:])

    def _draw(self, parts: list[Part], place: Place) -> None:
        for part in parts:
            if part.stop == part.start + 1:
                self._own(part.start, part.stop, place)
                self._draw_record(part.start)
                continue
            loop = part.start, part.stop
            self._draw_iteration(part, part.first, {**place, loop: "first"})
            start, stop = part.folded_slots
            self._own(start, stop, {**place, loop: "folded"})
            self._folds[start] = stop
            title = f"⋯ ×{part.n_folded:,}" if part.run else "⋯"
            self._lines.append(node(f"v{start}", "fold", title, *self._fold_lines(part)))
            self._draw_iteration(part, part.last, {**place, loop: "last"})

    def _own(self, start: int, stop: int, place: Place) -> None:
        self._owner[start:stop] = start
        self._places[start] = place

    def _draw_iteration(self, part: Part, drawn: list[Part], place: Place) -> None:
        is_framed = len(drawn) > 1
        if is_framed:
            assert part.run is not None
            which = 1 if drawn is part.first else part.run.times
            self._lines += [
                f"subgraph cluster_{drawn[0].start}_{drawn[-1].stop} {{",
                f'graph [label="{which:,} of {part.run.times:,}", {FRAME}];',
            ]
        self._draw(drawn, place)
        if is_framed:
            self._lines.append("}")

    def _draw_record(self, slot: int) -> None:
        tape, op = self._tape, OPS[self._tape.op[slot]]
        if op.code == CALL:
            self._draw_call(slot)
            return
        is_input = op.code == INPUT
        title = self._input_name(slot) if is_input else symbol(op)
        if op.code == RESULT:
            title = f"[{slot - tape.a[slot] - 1}]"
        adjoint = None if self._adjoints is None else self._adjoints[slot]
        is_ordered = op.arity == 2 and not ROW[op.name].is_symmetric
        style = "input" if is_input else "ordered" if is_ordered else "operation"
        self._lines.append(
            node(f"v{slot}", style, title, number(tape.value[slot]), adjoint=adjoint)
        )
        if op.code == RESULT:
            self._edges.append(edge(self._source(int(tape.a[slot])), f"v{slot}"))
        for position in range(op.arity):
            operand = int(self._operands[position, slot])
            attributes = self._carried(operand, slot)
            if is_ordered:
                attributes.append(ORDERED[position])
                self._has_ordered = True
            self._edges.append(edge(self._source(operand), f"v{slot}", *attributes))

    def _draw_call(self, slot: int) -> None:
        name = self._tape.blocks[self._tape.a[slot]].name
        self._lines.append(node(f"v{slot}", "block", name))
        operands = operands_of(self._tape, slot).tolist()
        for source, operand in {self._source(o): o for o in operands}.items():
            self._edges.append(edge(source, f"v{slot}", *self._carried(operand, slot)))

    def _input_name(self, slot: int) -> str:
        return self._inputs[int(np.searchsorted(self._input_slots, slot))]

    def _fold_lines(self, part: Part) -> list[str]:
        start, stop = part.folded_slots
        n, n_guards = stop - start, int(self._guards[start:stop].sum())
        if part.run is None:
            lines = [f"{n:,} more records"]
        elif np.all(self._tape.op[start:stop] == INPUT):
            lines = [f"{self._input_name(start)} … {self._input_name(stop - 1)}"]
        else:
            first = slice(part.run.first[0][0], part.run.first[-1][1])
            size = first.stop - first.start
            extent = f"{size:,} records each" if size * part.n_folded == n else f"{n:,} records"
            lines = [symbols(self._tape.op[first].tolist())]
            lines += [extent] if n > part.n_folded else []
        return lines + ([f"guards: {n_guards:,}"] if n_guards else [])

    # --- edges --------------------------------------------------------------------------------

    def _source(self, operand: int) -> str:
        """Return the node of an operand, which it draws if it's a constant."""
        if operand >= 0:
            return f"v{self._owner[operand]}"
        name = f"c{~operand}"
        if operand not in self._constants:  # in the frame of the iteration that reads it first
            self._constants.add(operand)
            self._lines.append(constant(name, self._tape.constants[~operand]))
        return name

    def _sources(self, operands: npt.NDArray[np.integer]) -> Iterable[int]:
        """Return the nodes, by their first slots, that some operands are in."""
        return np.unique(self._owner[operands[operands > 0]]).tolist()  # type: ignore[no-any-return]

    def _carried(self, operand: int, target: int) -> list[str]:
        """Return the attributes of an edge from one iteration to another; none for others."""
        if operand <= 0:
            return []
        before, after = (self._places[int(self._owner[slot])] for slot in (operand, target))
        if all(after.get(loop, which) == which for loop, which in before.items()):
            return []
        self._has_carried = True
        return [CARRIED]

    def _draw_folded_edges(self) -> None:
        """Draw an edge into a fold from every node that some of its records read."""
        for start, stop in self._folds.items():
            calls = self._calls[slice(*np.searchsorted(self._calls, [start, stop]))].tolist()
            read = [self._operands[:, start:stop].ravel()]
            read += [operands_of(self._tape, slot).astype(np.int64) for slot in calls]
            for source in self._sources(np.concatenate(read)):
                if source != start:
                    style = self._carried(source, start) or [FOLDED]
                    self._edges.append(edge(f"v{source}", f"v{start}", *style))

    # --- outputs and guards -------------------------------------------------------------------

    def _draw_outputs(self) -> None:
        outputs = self._tape.outputs
        head, hidden, tail = shorten(self._output_groups(), max(self._limit // 4, 3))
        between = [range(hidden[0].start, hidden[-1].stop)] if hidden else []
        for group in [*head, *between, *tail]:
            name, first = f"y{group.start}", self._outputs[group.start]
            if len(group) == 1:
                operand = int(outputs[group.start])
                pool, index = (self._tape.value, operand) if operand >= 0 else (
                    self._tape.constants, ~operand)  # fmt: skip
                seed = None if self._seeds is None else self._seeds[group.start]
                line = node(name, "output", first, number(pool[index]), adjoint=seed)
                self._edges.append(edge(self._source(operand), name))
            else:
                names = f"{first} … {self._outputs[group.stop - 1]}"
                line = node(name, "fold", f"⋯ ×{len(group):,}", names)
                for source in self._sources(outputs[group.start : group.stop]):
                    self._edges.append(edge(f"v{source}", name, FOLDED))
            self._lines.append(line)

    def _output_groups(self) -> list[range]:
        """Return the outputs: those in a row of one fold together, the others one by one."""
        groups: list[range] = []
        previous = -1
        for k, operand in enumerate(self._tape.outputs.tolist()):
            owner = int(self._owner[operand]) if operand > 0 else -1
            if owner == previous and owner in self._folds:
                groups[-1] = range(groups[-1].start, k + 1)
            else:
                groups.append(range(k, k + 1))
            previous = owner
        return groups

    def _draw_guards(self) -> None:
        tape = self._tape
        for slot, index in zip(*np.unique(tape.guard_slot, return_index=True), strict=True):
            if self._owner[slot] != slot or slot in self._folds:
                continue
            op, value = OPS[tape.op[slot]], tape.guard_value[index]
            read = str(bool(value)) if op.boolean else number(value)
            file, line = tape.sites[tape.guard_site[index]]
            more = [f"and {self._guards[slot] - 1:,} more"] if self._guards[slot] > 1 else []
            site = f"{PurePath(file).name}:{line}"
            self._lines.append(node(f"g{slot}", "guard", f"is {read}", site, *more))
            self._edges.append(edge(f"v{slot}", f"g{slot}", GUARDED))
