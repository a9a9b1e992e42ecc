"""Iterations of programs: counters and whole numbers, against loops that count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from program_drafts import at, index, loop, program, put, step, total
from program_interpreter import Machine, run

from tapegrad.errors import InvalidProgramError
from tapegrad.program.check import check
from tapegrad.program.ir import Loop, Region
from tapegrad.program.iterations import Iterations

i, j = map(step, range(2))


class Drawn:
    """Loops forward, some of them backward after, with places of all kinds between them."""

    def __init__(self, seed, base=0):
        self.rng = np.random.default_rng(seed)
        self.base = base
        self.numbers, self.ran = iter(range(1000)), []
        body = self.forward((), 0)
        if seed % 3:
            body += self.backward(body, ())
        tables = {"t": [5, 3, 8, 1] * 500, "n": [1, 0, 2] * 500}
        self.program = program(*body, tables=tables, x=1)

    def whole(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def place(self, around):
        counters = [step(n) for n in around] + [total(n) for n in (*around, *self.ran)]
        if not counters:
            return put("v", at("x", self.base + self.whole(0, 2)))
        chosen = [counters[self.whole(0, len(counters) - 1)] for _ in range(4)]
        terms = [(self.whole(-2, 3), counter) for counter in chosen[: self.whole(0, 3)]]
        table = {"of": "t", "at": chosen[3]} if self.whole(0, 2) == 0 else {}
        return put("v", at("x", index(self.base + self.whole(-1, 2), *terms, **table)))

    def count(self, around):
        kind = self.whole(0, 2)
        if around and kind == 0:
            return index(self.whole(0, 1), (1, step(around[-1])))
        if around and kind == 1:
            return index(0, of="n", at=total(around[-1]))
        return index(self.whole(0, 3))

    def forward(self, around, depth):
        found = [self.place(around)]
        for _ in range(self.whole(1, 2) if depth < 3 else 0):
            number, count = next(self.numbers), self.count(around)
            found.append(loop(number, count, *self.forward((*around, number), depth + 1)))
            self.ran.append(number)
            found.append(self.place(around))
        return found

    def backward(self, forward, around):
        found = [self.place(around)]
        for s in reversed(forward):
            if isinstance(s, Loop) and self.whole(0, 4):
                inside = (*around, s.number)
                inner = self.backward(s.body, inside)
                if self.whole(0, 2) == 0:
                    inner += self.forward(inside, 2)
                found += [Loop(s.number, s.count, tuple(inner), True), self.place(around)]
        return found


class Watcher(Machine):
    """Notes the least and the greatest index of each statement."""

    def __init__(self, program):
        super().__init__(program, {"x": [0.0]}, None)
        self.seen = {}

    def place(self, element):
        where = self.whole(element.index)
        low, high = self.seen.get(id(element), (where, where))
        self.seen[id(element)] = min(low, where), max(high, where)
        return np.zeros(1), 0


def sites(iterations, block):
    """Yield every statement with its block and position."""
    for position, statement in enumerate(block.loop.body if block.loop else ()):
        yield statement, block, position
    for inner in block.blocks:
        yield from sites(iterations, inner)


@pytest.mark.seeds(40, 400)
def test_extremes_are_those_of_all_iterations_and_bounds_are_no_tighter(seed):
    drawn = Drawn(seed).program
    watcher, iterations = Watcher(drawn), Iterations(drawn)
    watcher.run(drawn.body, ())
    every = [(s, iterations.root, k) for k, s in enumerate(drawn.body)]
    every += [site for block in iterations.root.blocks for site in sites(iterations, block)]
    for statement, block, position in every:
        if isinstance(statement, Loop):
            continue
        where = statement.value.index
        seen = watcher.seen.get(id(statement.value))
        assert (seen is None) == (iterations.total(block) == 0)
        if seen is not None:
            assert iterations.extremes(where, block, position) == seen
            low, high = iterations.bounds(where, block)
            assert low <= seen[0] <= seen[1] <= high


@pytest.mark.seeds(40, 400)
def test_a_program_is_refused_if_and_only_if_a_place_is_beyond_its_region(seed):
    drawn = Drawn(seed, base=1000).program
    watcher = Watcher(drawn)
    watcher.run(drawn.body, ())
    size = max(high for _, high in watcher.seen.values()) + 1
    exact, short = (replace(drawn, regions=(Region("x", n, "input"),)) for n in (size, size - 1))
    check(exact)
    run(exact, {"x": np.zeros(size)})
    with pytest.raises(InvalidProgramError, match=rf"of 'x': from \d+ to {size - 1}\n"):
        check(short)
    with pytest.raises(AssertionError, match=f"is at {size - 1}"):
        run(short, {"x": np.zeros(size - 1)})


def test_a_loop_forward_in_one_backward_counts_in_the_order_in_which_it_runs():
    back = loop(0, 3, loop(1, index(1, (1, i)), put("v", at("x", 0))), backward=True)
    iterations = Iterations(program(loop(0, 3), back, x=1))
    inner = iterations.root.blocks[1].blocks[0]
    found = iterations.values(index(0, (100, total(1)), (10, i), (1, j)), inner, 0)
    assert found.tolist() == [20, 121, 222, 310, 411, 500]


def test_a_place_by_a_count_is_checked_wherever_it_is_read():
    read = put("v", at("x", index(-1, (1, total(0)))))
    check(program(loop(0, 5), read, loop(0, 5, backward=True), x=5))
    with pytest.raises(InvalidProgramError, match="a place is beyond the 5 of 'x': from -1 to -1"):
        check(program(loop(0, 5), read, loop(0, 5, backward=True), read, x=5))


def test_a_million_iterations_are_checked_at_once():
    row_of, last = index(0, (1, i), (-1, j)), index(0, (1, total(1)), (-1, j))
    body = loop(0, 1000, loop(1, index(1, (2, i)), put(at("y", row_of.plus(999)), at("x", last))))
    check(program(body, x=998_002, y=1_999))
    for x, y, reason in [
        (998_001, 1_999, "a place is beyond the 998,001 of 'x': from 0 to 998001"),
        (998_002, 1_998, "a place is beyond the 1,998 of 'y': from 0 to 1998"),
    ]:
        with pytest.raises(InvalidProgramError, match=reason):
            check(program(body, x=x, y=y))
