"""Sums: which chains of additions are found, and that they add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tape_drafts import Draft, random_draft

from tapegrad.ops import CODE
from tapegrad.passes import find_sums
from tapegrad.record.open_tape import OpenTape

ADD = CODE["add"]


def found(tape):
    """Each sum as its start, its records and its terms."""
    sums = find_sums(tape)
    bounds = list(zip(sums.first[:-1], sums.first[1:], strict=True))
    assert [stop - start for start, stop in bounds] == sums.lengths.tolist()
    return [
        (start, sums.record[i:j].tolist(), sums.term[i:j].tolist())
        for start, (i, j) in zip(sums.start.tolist(), bounds, strict=True)
    ]


def test_a_loop_that_adds_up_is_a_sum_whichever_side_it_adds_on():
    d = Draft(1.0, 2.0, 3.0)
    x, y, z = d.x
    s = d.add(x, y)  # 4
    product = d.multiply(y, z)
    s = d.add(s, product)  # 6
    s = d.add(z, s)  # 7
    s = d.add(s, 0.5)  # 8
    d.end(s)
    assert found(d.tape) == [(1, [4, 6, 7, 8], [2, 5, 3, -1])]


def test_a_sum_may_start_from_a_constant():
    d = Draft(1.0, 2.0)
    d.end(d.add(d.add(0.0, d.x[0]), d.x[1]))
    assert found(d.tape) == [(-1, [3, 4], [1, 2])]


def test_one_addition_is_no_sum():
    d = Draft(1.0, 2.0)
    d.end(d.sin(d.add(*d.x)), d.add(d.x[0], 1.0))
    assert found(d.tape) == []


@pytest.mark.parametrize("reader", ["record", "guard", "output", "itself"])
def test_a_partial_sum_that_something_else_reads_ends_its_sum(reader):
    d = Draft(1.0, 2.0)
    x, y = d.x
    s = d.add(d.add(x, y), x)  # 3, 4
    outputs = [s] if reader == "output" else []
    if reader == "record":
        outputs.append(d.sin(s))
    if reader == "guard":
        d.guard(s)
    t = d.add(s, s if reader == "itself" else y)
    d.end(d.add(d.add(t, x), y), *outputs)
    assert found(d.tape) == [(1, [3, 4], [2, 1]), (s, [t, t + 1, t + 2], [d.tape.b[t], 1, 2])]


def test_a_sum_of_sums_continues_the_longer():
    d = Draft(1.0, 2.0)
    x, y = d.x
    short = d.add(d.add(x, y), y)  # 3, 4
    long = d.add(d.add(d.add(y, x), x), x)  # 5, 6, 7
    d.end(d.add(short, long))  # 8
    assert found(d.tape) == [(1, [3, 4], [2, 2]), (2, [5, 6, 7, 8], [1, 1, 1, 4])]


def test_a_tree_of_additions_is_several_sums_of_sums():
    d = Draft(*np.arange(1.0, 9.0))
    level = d.x
    while len(level) > 1:
        level = [d.add(i, j) for i, j in zip(level[::2], level[1::2], strict=True)]
    d.end(*level)
    assert found(d.tape) == [(3, [10, 13], [4, 9]), (7, [12, 14, 15], [8, 11, 13])]


def test_a_tape_of_nothing_has_no_sums():
    assert found(OpenTape().end()) == []


def test_a_long_sum_is_one_chain():
    d = Draft(1.0)
    s = d.add(d.x[0], 1.0)
    for _ in range(100_000):
        s = d.add(s, d.x[0])
    d.end(s)
    sums = find_sums(d.tape)
    assert sums.lengths.tolist() == [100_001]
    assert sums.record.tolist() == list(range(2, s + 1))


@given(data=st.data())
def test_sums_of_random_tapes_add_up_and_none_is_missed(data):
    whole = st.integers(-3, 3).map(float)
    tape = random_draft(data, ["add", "add", "add", "negative"], whole, [1.0, 2.0])
    values = np.concatenate([tape.value, tape.constants[::-1]])
    operands = [tape.a[tape.op != CODE["input"]], tape.b, tape.guard_slot, tape.outputs]
    readers = np.bincount(np.maximum(np.concatenate(operands), 0), minlength=len(tape))
    inside = []
    for start, records, terms in found(tape):
        assert len(records) >= 2
        s = start
        for record, term in zip(records, terms, strict=True):
            assert tape.op[record] == ADD
            assert sorted((s, term)) == sorted((tape.a[record], tape.b[record]))
            assert values[record] == values[s] + values[term]
            s = record
        assert np.all(readers[records[:-1]] == 1)
        inside += records
    assert len(set(inside)) == len(inside)
    for i in np.flatnonzero(tape.op == ADD):
        may_continue = [
            s for s in (tape.a[i], tape.b[i]) if s > 0 and tape.op[s] == ADD and readers[s] == 1
        ]
        assert not may_continue or i in inside
