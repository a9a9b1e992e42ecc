"""A tape as loops nested in loops: what is run, how often, and which slots it made.

A `Leaf` is a record of a loop's body, and stands for all records it made, in order; a `Loop` knows
how often it ran each time it was reached. The root is a loop that ran once. Inputs are no leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import RESULT, calls_of
from tapegrad.ops import CODE, OPS
from tapegrad.roll.recognition import expansion, recognition
from tapegrad.roll.spreading import ARGUMENT, arguments_of, operands_by_call
from tapegrad.tape import Tape

Indices = npt.NDArray[np.int64]

MOST_NODES = 20_000
"""A tape with more nodes than that after recognition is no program of loops."""

_DEPTH = 256
FAR = 5
_LONGEST_BODY = 1 << 16
_READ = np.array([op.arity for op in OPS])
_READ[ARGUMENT] = 1


@dataclass(eq=False)
class Leaf:
    """A record of a body.

    Attributes
    ----------
    op : int
        Operation code.
    slots : ndarray
        The slots it made, ascending.
    n_guards : int
        How many guards there are of each.
    part : int
        Of calls and their arguments, which block or which of its operands it is.
    """

    op: int
    slots: Indices
    n_guards: int = 0
    part: int = 0

    def is_like(self, other: Leaf) -> bool:
        """Whether it does the same as another one."""
        return self.op == other.op and self.part == other.part


@dataclass(eq=False)
class Loop:
    """A body, and how often it was run.

    Attributes
    ----------
    body : list of Leaf or Loop
    counts : ndarray
        How often the body ran, each time the loop was reached.
    starts : ndarray
        The slot made first, each time.
    """

    body: list[Node]
    counts: Indices
    starts: Indices = field(repr=False)

    @property
    def total(self) -> int:
        """How often the body ran in all."""
        return int(self.counts.sum())

    @property
    def n_leaves(self) -> int:
        """How many leaves there are, inner loops' too."""
        return sum(1 for _ in self.leaves())

    def leaves(self) -> Iterator[Leaf]:
        """Yield every leaf, of inner loops too, in order."""
        for node in self.body:
            if isinstance(node, Leaf):
                yield node
            else:
                yield from node.leaves()

    def loops(self) -> Iterator[Loop]:
        """Yield every loop inside, outer ones first."""
        for node in self.body:
            if isinstance(node, Loop):
                yield node
                yield from node.loops()


Node = Leaf | Loop


def recognised(tape: Tape) -> Loop | None:
    """Return a tape's records as nested loops, or None if it's no program of loops."""
    slots = np.flatnonzero((tape.op != CODE["input"]) & (tape.op != RESULT))[1:]
    n = len(slots)
    if not n:
        return Loop([], np.ones(1, np.int64), np.zeros(1, np.int64))
    capacity, most_loops = n + 2, n // 2 + 2

    def indices(length: int) -> Indices:
        return np.empty(length, np.int64)

    def words(*shape: int) -> npt.NDArray[np.uint64]:
        return np.empty(shape, np.uint64)

    n_guards = np.bincount(tape.guard_slot, minlength=len(tape))
    part = arguments_of(tape).part
    loop, prefix = indices(capacity), words(capacity + 1)
    prefix[0] = 0
    first = indices(capacity)
    buckets = np.full(1 << max(10, n.bit_length()), -1)
    log_start, log_count = indices(most_loops), indices(most_loops)
    log_body, log_length = indices(most_loops), indices(most_loops)
    log_shape, bodies = words(most_loops, 2), indices(3 * n + 4)
    n_stack, n_loops, n_bodies = recognition.run(
        _shapes(tape, slots, n_guards, part), words(capacity), first, loop, prefix,
        words(min(capacity, _LONGEST_BODY)), indices(capacity), indices(capacity), buckets,
        np.full((capacity, 4), -1), log_start, log_shape, log_count, log_body, log_length, bodies,
    )  # fmt: skip
    if n_stack + n_bodies > MOST_NODES and n_stack > MOST_NODES:
        return None
    bodies[n_bodies : n_bodies + n_stack] = np.where(
        loop[:n_stack] < 0, first[:n_stack], ~loop[:n_stack]
    )
    order = np.argsort(log_start[:n_loops], kind="stable")
    place, runs = indices(n), np.empty((n_loops + 1, 3), np.int64)
    n_runs = expansion.run(
        n, order, log_start, log_shape, log_count, log_body, log_length, bodies,
        np.array([n_bodies, n_stack]), place, runs, np.empty((_DEPTH, 4), np.int64),
    )  # fmt: skip
    if n_runs < 0:
        return None
    members = _groups(place)
    of_loop = _groups(runs[:n_runs, 0])

    def node(at: int) -> Node:
        made = int(bodies[at])
        if made >= 0:
            own = slots[members[at]]
            first = own[0]
            return Leaf(int(tape.op[first]), own, int(n_guards[first]), int(part[first]))
        run = runs[of_loop[at]]
        start, length = int(log_body[~made]), int(log_length[~made])
        return Loop([node(k) for k in range(start, start + length)], run[:, 1], slots[run[:, 2]])

    body = [node(k) for k in range(n_bodies, n_bodies + n_stack)]
    return Loop(body, np.ones(1, np.int64), slots[:1])


def _shapes(tape: Tape, slots: Indices, n_guards: Indices, part: Indices) -> npt.NDArray[np.uint64]:
    """Return what records must have in common to be the same in two iterations, as hashes.

    Operation, number of guards, and of each operand whether it's a constant, one of the records
    just before, or further away. What is near tells apart runs of the same operations that mean
    different things, as in `s += a * b` and `t += s * s`.
    """
    word = (part[slots] << 20) + n_guards[slots] * 256 + tape.op[slots]
    columns = np.stack([tape.a, tape.b]).astype(np.int64)
    calls = calls_of(tape)
    if len(calls):  # of the many operands those made last tell iterations apart
        operands, of_call, starts = operands_by_call(tape, calls)
        in_order = operands[np.lexsort((operands, of_call))]
        last = np.append(starts[1:], len(operands)) - 1
        columns[0, calls] = in_order[np.maximum(last - 1, starts)]
        columns[1, calls] = in_order[last]
    for column in columns:
        word = word * (FAR + 1) + nearness(slots, column[slots])
    hashed = (word.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed: npt.NDArray[np.uint64] = hashed ^ (hashed >> np.uint64(29))
    return mixed


def nearness(slot: Any, operand: Any) -> Any:
    """Return how far back an operand is, `FAR` at most, and 0 for a constant."""
    return np.where(operand <= 0, 0, np.minimum(slot - operand, FAR))


def _groups(keys: Indices) -> dict[int, Indices]:
    """Return, by key, where it is."""
    if not len(keys):
        return {}
    order = np.argsort(keys, kind="stable")
    distinct, starts = np.unique(keys[order], return_index=True)
    return dict(zip(distinct.tolist(), np.split(order, starts[1:]), strict=True))


def operands(tape: Tape, leaf: Leaf) -> list[npt.NDArray[np.int32]]:
    """Return a leaf's operands, an array each: one entry for each of its records."""
    return [column[leaf.slots] for column in (tape.a, tape.b)[: _READ[leaf.op]]]
