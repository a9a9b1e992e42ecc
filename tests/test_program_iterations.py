"""Iterations of programs: counters and whole numbers, against loops that count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from program_drafts import at, index, loop, program, put, step, total
from program_interpreter import Machine, run

from tapegrad.errors import InvalidProgramError
from tapegrad.program.check import check
from tapegrad.program.ir import Loop, Region
from tapegrad.program.iterations import Iterations

i, j = map(step, range(2))

WHOLE = st.integers(-2, 3)


@st.composite
def nests(draw):
    """Loops forward, some of them backward after, with a place of any kind in each."""
    numbers = iter(range(100))
    known = []

    def place(around, finished):
        counters = [step(n) for n in around] + [total(n) for n in (*around, *finished)]
        terms = (
            draw(st.lists(st.tuples(WHOLE, st.sampled_from(counters)), max_size=3))
            if counters
            else []
        )
        table = draw(st.booleans()) if counters else False
        chosen = {"of": "t", "at": draw(st.sampled_from(counters))} if table else {}
        return put("v", at("x", index(draw(WHOLE), *terms, **chosen)))

    def body(around, finished, depth):
        found = []
        for _ in range(draw(st.integers(1, 3))):
            if depth < 3 and draw(st.booleans()):
                number = next(numbers)
                count = index(draw(st.integers(0, 3)))
                if around and draw(st.booleans()):
                    count = index(draw(st.integers(0, 1)), (1, step(around[-1])))
                elif around and draw(st.booleans()):
                    count = index(0, of="n", at=total(around[-1]))
                found.append(loop(number, count, *body((*around, number), finished, depth + 1)))
                finished.append(number)
            else:
                found.append(place(around, finished))
        return found

    def backward(forward, around, finished):
        found = []
        for s in reversed(forward):
            found.append(place(around, finished))
            if isinstance(s, Loop) and draw(st.integers(0, 3)):
                inner = backward(s.body, (*around, s.number), finished)
                if draw(st.booleans()):
                    number = next(numbers)
                    extra = place((*around, s.number, number), finished)
                    inner.append(loop(number, draw(st.integers(0, 2)), extra))
                    finished.append(number)
                found.append(Loop(s.number, s.count, tuple(inner), True))
        return found

    finished = []
    forward = body((), finished, 0)
    known = [*forward, *(backward(forward, (), finished) if draw(st.booleans()) else [])]
    return program(*known, tables={"t": [5, 3, 8] * 200, "n": [1, 0, 2] * 100}, x=1)


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


@settings(max_examples=150, deadline=None)
@given(nests())
def test_extremes_are_those_of_all_iterations_and_bounds_are_no_tighter(drawn):
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


@settings(max_examples=100, deadline=None)
@given(nests(), st.integers(1, 9))
def test_a_program_is_refused_if_and_only_if_a_place_is_beyond_its_region(drawn, size):
    drawn = replace(drawn, regions=(Region("x", size, "input"),))
    try:
        check(drawn)
    except InvalidProgramError as error:
        assert f"a place is beyond the {size} of 'x'" in str(error)  # noqa: PT017
        with pytest.raises(AssertionError, match="x"):
            run(drawn, {"x": np.zeros(size)})
    else:
        run(drawn, {"x": np.zeros(size)})


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
