"""What is refused of calls in programs, what survives in files, and what passes make of them."""

from __future__ import annotations

import pytest
from program_blocks import PROGRAMS, Callbacks, call, span, straight
from program_drafts import at, gather, index, loop, program, put, refused, step, total

from tapegrad.codegen.compiled_tape import Code, gradient_of, product_of
from tapegrad.errors import NotCompilableError, ProgramFileError
from tapegrad.program.check import check
from tapegrad.program.gathering import gathered
from tapegrad.program.io import decoded, digest, encoded, load, save
from tapegrad.program.ir import Call, Region, regions_read, regions_set
from tapegrad.program.reverse import renumbered

i, j = step(0), step(1)

# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_with_calls_are_the_same_when_they_are_read(name, tmp_path):
    written = PROGRAMS[name][0]()
    for one in (written, gradient_of(written), product_of(written)):
        save(one, tmp_path / "some.program")
        again = load(tmp_path / "some.program")
        assert again == decoded(encoded(one)) == one
        assert digest(again) == digest(one)


def test_all_that_is_said_of_a_call_is_part_of_a_program():
    def with_call(*what):
        return program(Call(*what))

    reads, writes = (span("x", 2, 1, (2, i)), span("c", 0)), (span("y", 1), span("z", 3))
    one = with_call("b", reads, writes)
    assert decoded(encoded(one)) == one
    for other in (
        with_call("c", reads, writes), with_call("b", reads[::-1], writes),
        with_call("b", reads, writes[:1]), with_call("b", writes, reads),
        with_call("b", reads, writes, True),
        with_call("b", (span("x", 3, 1, (2, i)), reads[1]), writes),
        with_call("b", (span("x", 2, 2, (2, i)), reads[1]), writes),
    ):  # fmt: skip
        assert decoded(encoded(other)) == other != one
        assert digest(other) != digest(one)


@pytest.mark.parametrize(("old", "new"), [
    ('"call","solve"', '"cell","solve"'), ('"call","solve",', '"call",'),
    ('[["x",[4,[],"",null],2]]', '[["x",[4,[],"",null]]]'), ('],false]', '],false,1]'),
    ('[["x",[4,[],"",null],2]]', '[["x",4,2]]'), ('[["x",[4,[],"",null],2]]', "7"),
])  # fmt: skip
def test_a_call_that_is_written_otherwise_is_refused(old, new):
    content = encoded(program(call("solve", [span("x", 2, 4)], [span("z", 2)])))
    written = content[8:].decode()
    assert old in written
    altered = written.replace(old, new)
    with pytest.raises(ProgramFileError, match="these bytes are no program's"):
        decoded(len(altered).to_bytes(8, "little") + altered.encode())


# --- what is refused ------------------------------------------------------------------------------

A, B, C = (Region(name, 6, is_zeroed=True) for name in "abc")


def refused_call(reason, *body, **rest):
    memory = [A, B, C, Region("m", 2), Region("p", 3, within="a", offset=2)]
    tables = {"t": [0, 1], "r": [0.5, 1.0]}
    return refused(reason, *body, memory=memory, x=4, tables=tables, **rest)


def test_blocks_have_names_and_write_something():
    refused_call("a block has no name", call("", [span("a", 2)], [span("b", 2)]))
    refused_call("the block 'f' writes nothing", call("f", [span("a", 2)], []))
    negative = "the size of a span is negative"
    refused_call(negative, call("f", [span("a", -1)], [span("b", 2)]))
    refused_call(negative, call("f", [], [span("b", -1)]))
    check(program(call("f", [], [span("b", 2), span("c", 0)]), memory=[B, C]))


def test_a_block_is_called_in_one_way():
    reason = "the block 'f' was called on other sizes, or to add or not"
    first = call("f", [span("a", 2), span("a", 1)], [span("b", 2)])
    for other in (
        call("f", [span("a", 1), span("a", 2)], [span("b", 2, 2)]),
        call("f", [span("a", 2)], [span("b", 2, 2)]),
        call("f", first.reads, [span("b", 3, 2)]),
        call("f", first.reads, [span("b", 2, 2)], adds=True),
    ):
        refused_call(reason, first, other)
    check(program(first, call("f", first.reads, [span("c", 2)]), memory=[A, B, C]))


def test_spans_are_of_regions_and_tables():
    def reads(region):
        return call("f", [span(region, 2)], [span("b", 2)])

    def writes(region, adds=False):
        return call("f", [span("b", 2)], [span(region, 2)], adds)

    check(program(reads("r"), tables={"r": [0.5, 1.0]}, memory=[B]))
    refused_call("'q' is no region and no table", reads("q"))
    refused_call("the table 't' is of whole numbers, which are no values", reads("t"))
    refused_call("'q' is no region", writes("q"))
    refused_call("'r' is no region", writes("r"))
    refused_call("'r' is no region", writes("r", adds=True))
    refused_call("the input 'x' is written to", writes("x"))
    refused_call("the input 'x' is written to", writes("x", adds=True))


def test_what_a_block_reads_or_adds_to_is_set_before():
    unset = "nothing sets 'm' before it's read"
    sets = call("f", [span("a", 2)], [span("m", 2)])
    uses = call("g", [span("m", 2)], [span("b", 2)])
    refused_call(unset, uses)
    refused_call(unset, uses, sets)
    refused_call(unset, call("g", [span("b", 2)], [span("m", 2)], adds=True))
    refused_call(unset, call("g", [span("b", 2)], [span("m", 2)], adds=True), uses)
    refused_call(unset, loop(0, 2, call("h", [span("b", 2)], [span("m", 2)], adds=True)))
    memory = [A, B, Region("m", 2)]
    check(program(sets, uses, memory=memory))
    check(program(sets, put("v", at("m", 1)), memory=memory))
    check(program(loop(0, 1, uses, sets), memory=memory))
    with_outputs = program(call("f", [span("a", 2)], [span("y", 2)]), memory=[A], y=2)
    check(with_outputs)


def test_spans_are_within_their_regions_in_every_iteration():
    def reads(*where, of="x", size=3):
        return loop(0, 3, call("f", [span(of, size, *where)], [span("m", 2)]))

    beyond = "a place is beyond the 4 of 'x': from "
    refused_call(beyond + "0 to 4", reads(0, (1, i)))
    refused_call(beyond + "-1 to 3", reads(1, (-1, i)))
    refused_call(beyond + "2 to 4", reads(2))
    refused_call(beyond + "5 to 5", reads(5, size=0))
    refused_call("a place is beyond the 2 of 'r': from 0 to 2", reads(of="r"))
    refused_call("a place is beyond the 3 of 'p': from 1 to 3", reads(1, of="p"))
    refused_call("the step of loop 0 is read outside of it",
                 call("f", [span("x", 1, 0, (1, i))], [span("m", 2)]))  # fmt: skip
    adds = [call("f", [], [span("a", 3, 0, (2, i))], adds=True)]
    refused_call("a place is beyond the 6 of 'a': from 0 to 6", loop(0, 3, *adds))
    sets = [call("f", [], [span("b", 2, 3, (2, i))])]
    refused_call("a place is beyond the 6 of 'b': from 3 to 8", loop(0, 3, *sets))
    for within in (reads(0, size=4), reads(4, size=0), reads(2, (-1, i), size=2)):
        check(program(within, memory=[Region("m", 2)], x=4))
    check(program(loop(0, 0, *sets), memory=[B]))


def test_a_block_reads_nothing_that_it_writes():
    def both(read, written, *outer, adds=False):
        return loop(0, 3, call("f", [read], [written], adds))

    reason = "the block 'f' writes to what it reads of "
    for adds in (False, True):
        refused_call(reason + "'a'", both(span("a", 3), span("a", 2, 2), adds=adds))
        refused_call(reason + "'a'", both(span("a", 2, 1), span("a", 2), adds=adds))
        refused_call(reason + "'p'", both(span("a", 3), span("p", 1), adds=adds))
        refused_call(reason + "'a'", both(span("p", 1), span("a", 3), adds=adds))
        # In the last of three iterations.
        refused_call(reason + "'a'", both(span("a", 1, 4), span("a", 2, 0, (2, i)), adds=adds))
        check(program(both(span("a", 2), span("a", 2, 2), adds=adds).body[0], memory=[A]))
        check(program(both(span("a", 0, 1), span("a", 2), adds=adds).body[0], memory=[A]))
    on = both(span("a", 2, 0, (2, i)), span("a", 2, 2, (2, i)))
    check(program(on, memory=[Region("a", 8, is_zeroed=True)]))
    refused(reason + "'a'", both(span("a", 2, 0, (2, i)), span("a", 2, 1, (2, i))),
            memory=[Region("a", 8, is_zeroed=True)])  # fmt: skip


def test_a_block_sets_an_element_once_and_may_add_to_it_twice():
    twice = [span("a", 3), span("p", 2)]
    refused_call("the block 'f' sets an element of 'p' twice", call("f", [], twice))
    check(
        program(call("f", [], twice, adds=True), memory=[A, Region("p", 3, within="a", offset=2)])
    )


def test_what_calls_read_or_set_keeps_what_it_is():
    """Otherwise it wouldn't be there when the program runs backward."""
    uses = call("use", [span("a", 2)], [span("m", 2)])

    def again(name):
        return f"an element of {name!r} is set again, which calls read or set"

    refused_call(again("a"), loop(0, 2, put(at("a", 0), 1.0), uses))
    refused_call(again("a"), put(at("a", 0), 1.0), uses, put(at("a", 0), 2.0))
    refused_call(again("p"), put(at("a", 3), 1.0), uses, put(at("p", 1), 2.0))
    refused_call(again("a"), uses, call("f", [], [span("a", 2)]), call("f", [], [span("a", 2, 1)]))
    refused_call(again("b"), loop(0, 3, call("f", [span("x", 1)], [span("b", 2, 0, (1, i))])),
                 put("v", at("b", 0)))  # fmt: skip
    refused_call(again("b"), loop(0, 3, call("f", [span("x", 1)], [span("b", 2)])),
                 call("use", [span("b", 2)], [span("m", 2)]))  # fmt: skip
    shown = refused_call(again("a"), uses, loop(0, 2, put(at("a", index(5)), 1.0)))
    assert shown.splitlines()[-1] == ">     a[5] = 1"
    # What nothing reads may be set again, what is added to is set once, and no time is fine.
    check(program(loop(0, 3, call("f", [], [span("b", 2)])), memory=[B]))
    check(program(put(at("a", 0), 1.0), loop(0, 2, gather(at("a", 0), 1.0)), uses,
                  memory=[A, Region("m", 2)]))  # fmt: skip
    check(program(uses, loop(0, 0, put(at("a", 0), 1.0)), put(at("a", 0), 1.0),
                  memory=[A, Region("m", 2)]))  # fmt: skip
    check(program(uses, loop(0, 3, call("f", [], [span("a", 2, 0, (2, i))])),
                  memory=[A, Region("m", 2)]))  # fmt: skip


def test_a_block_without_an_address_is_refused_by_name():
    written = gradient_of(straight())
    address = Callbacks(written).address
    with pytest.raises(NotCompilableError, match=r"calls the block 'solve'.* none of"):
        Code(written)
    del address["dot.pullback"]
    with pytest.raises(NotCompilableError, match=r"calls the block 'dot\.pullback'"):
        Code(written, address)


# --- the passes -----------------------------------------------------------------------------------


def test_counters_of_calls_are_renumbered_with_others():
    body = loop(0, 3, call("f", [span("x", 1, 2, (3, i), of="t", at=total(0))],
                           [span("a", 1, 0, (1, j))], True)).body  # fmt: skip
    other = step(7)
    assert renumbered(body, 0, 7) == (
        call("f", [span("x", 1, 2, (3, other), of="t", at=total(7))],
             [span("a", 1, 0, (1, j))], True),
    )  # fmt: skip


def test_what_calls_read_or_set_is_not_summed_beside():
    def summed(*body):
        memory = [Region("a", 6, is_zeroed=True), Region("p", 2, within="a", offset=4),
                  Region("b", 2, is_zeroed=True)]  # fmt: skip
        adds = gather(at("p", 0), 1.0)
        backward = loop(0, 3, *body, adds, backward=True)
        found = gathered(program(loop(0, 3), backward, memory=memory))
        check(found)
        return found.body[-1] != backward

    assert summed()
    assert summed(call("f", [span("b", 2)], [span("p", 2)], adds=True))
    assert not summed(call("f", [span("p", 2)], [span("b", 2)], adds=True))
    assert not summed(call("f", [span("a", 2, 4)], [span("b", 2)], adds=True))
    assert not summed(call("f", [span("b", 2)], [span("p", 1, 1)]))
    assert not summed(loop(1, 2, call("f", [span("a", 2)], [span("b", 2)], adds=True)))
    assert not summed(put("v", at("a", 4)))


def test_what_is_read_and_set_by_a_call_is_named():
    one = call("f", [span("a", 2), span("c", 1)], [span("b", 2)])
    assert list(regions_read(one)) == ["a", "c"]
    assert list(regions_set(one)) == ["b"]
    assert list(regions_set(call("f", [], one.writes, adds=True))) == []
    assert list(regions_read(loop(0, 1, one))) == []
