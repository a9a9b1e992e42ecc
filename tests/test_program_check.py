"""The specification of programs: each rule broken once, and bounds against every iteration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from program_drafts import (
    KNOWN,
    at,
    gather,
    index,
    loop,
    program,
    put,
    refused,
    row,
    step,
    total,
)

from tapegrad.errors import InvalidProgramError
from tapegrad.program.check import check
from tapegrad.program.ir import Constant, Guard, Past, Region, Variable

i, j, k = map(step, range(3))


# --- what is a program --------------------------------------------------------------------------


@pytest.mark.parametrize("name", KNOWN)
def test_known_programs_are_programs(name):
    check(KNOWN[name]())


@pytest.mark.parametrize("name", ["triangle", "stored"])
def test_programs_with_all_they_need_in_memory_are_stored(name):
    check(KNOWN[name](), stored=True)


@pytest.mark.parametrize("name", ["recurrence", "nested"])
def test_programs_that_read_the_past_are_not(name):
    with pytest.raises(InvalidProgramError, match=r"^a stored program reads the past\n"):
        check(KNOWN[name](), stored=True)


def test_a_refusal_shows_the_statement_and_the_lines_around_it():
    assert refused("the variable 'w' is read before it's set", put("v", 1),
                   loop(0, 3, put("u", 2), put("v", row("add", "v", "w")), put("a", 1)),
                   put("b", 1)) == """\
the variable 'w' is read before it's set
  for i in range(3):
      u = 2
>     v = v + w
      a = 1
  b = 1"""  # fmt: skip


# --- memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reason", "regions"), [
    ("two regions or tables have the name 'a'", [Region("a", 1), Region("a", 2)]),
    ("two regions or tables have the name 't'", [Region("t", 1)]),
    ("the role is unknown", [Region("a", 1, "output "[:3])]),
    ("the size is negative", [Region("a", -1)]),
    ("an input can't hold zeros at first", [Region("a", 1, "input", True)]),
    ("what is no part has an offset", [Region("a", 1, offset=1)]),
    ("what it's a part of is no region", [Region("a", 1, within="b")]),
    ("a part is of memory or of an input", [Region("b", 9, "input"), Region("a", 1, within="b")]),
    ("a part is of memory or of an input", [Region("b", 9, "output"), Region("a", 1, within="b")]),
    ("a part is of memory or of an input", [Region("b", 9), Region("a", 1, "input", within="b")]),
    ("it's a part of a part",
     [Region("c", 9), Region("b", 9, within="c"), Region("a", 1, within="b")]),
    ("it's a part of a part", [Region("a", 1, within="a")]),
    ("it isn't inside of what it's a part of",
     [Region("b", 9), Region("a", 2, within="b", offset=8)]),
    ("it isn't inside of what it's a part of",
     [Region("b", 9), Region("a", 2, within="b", offset=-1)]),
    ("parts overlap", [Region("b", 9), Region("a", 2, within="b", offset=7),
                       Region("empty", 0, within="b", offset=8),
                       Region("c", 2, within="b", offset=6)]),
    ("nothing sets the output 'a'", [Region("a", 1, "output")]),
])  # fmt: skip
def test_regions_are_refused(reason, regions):
    with pytest.raises(InvalidProgramError) as error:
        check(program(memory=regions, tables={"t": [0]}))
    assert str(error.value).split(":")[0] == reason
    assert "Region(" in str(error.value) or reason.endswith("'")


def test_regions_that_touch_or_are_empty_are_regions():
    check(program(memory=[
        Region("b", 4), Region("e", 0, within="b", offset=1), Region("a", 2, within="b"),
        Region("c", 2, within="b", offset=2), Region("f", 0, within="b", offset=4),
        Region("y", 0, "output"), Region("z", 2, "output", True),
    ]))  # fmt: skip


def test_a_table_is_a_list():
    refused("the table 't' is no list of numbers", tables={"t": [[1]]})


def test_what_is_written_to_is_a_region_that_is_not_given():
    refused("the input 'x' is written to", put(at("x", 0), 1), x=1)
    refused("the input 'x' is written to", put("s", 1), gather(at("x", 0), 1), x=1)
    refused("'c' is no region", put(at("c", 0), 1), tables={"c": [1.0]})
    refused("'c' is no region", gather(at("c", 0), 1), tables={"c": [1.0]})
    refused("'a' is no region", put(at("a", 0), 1))


def test_what_is_read_is_a_region_or_a_table_of_numbers():
    refused("'a' is no region and no table", put("v", at("a", 0)))
    refused("the table 't' is of whole numbers, which are no values", put("v", at("t", 0)),
            tables={"t": [1]})  # fmt: skip
    refused("'t' is no table of whole numbers", loop(0, 1, put("v", at("x", index(of="t", at=i)))),
            x=1, tables={"t": [1.0]})  # fmt: skip
    refused("'x' is no table of whole numbers", loop(0, 1, put("v", at("x", index(of="x", at=i)))),
            x=1)  # fmt: skip
    reason = "a table has no entry named, or an entry no table"
    refused(reason, loop(0, 1, put("v", at("x", index(of="t")))), x=1, tables={"t": [0]})
    refused(reason, loop(0, 1, put("v", at("x", index(at=i)))), x=1, tables={"t": [0]})


# --- operations ---------------------------------------------------------------------------------


def test_operations_are_rows_with_their_operands():
    refused("the operation 'sinus' is unknown", put("v", row("sinus", 1)))
    refused("the operation 'input' is unknown", put("v", row("input")))
    refused("'sin' is of 1 operands, not of 2", put("v", row("sin", 1, 2)))
    refused("'add' is of 2 operands, not of 1", put("v", row("exp", row("add", 1))))


@pytest.mark.parametrize("op", ["powi", "polygamma", "iv"])
def test_exponents_and_orders_are_whole(op):
    place = 1 if op == "powi" else 0
    reason = f"operand {place + 1} of '{op}' isn't a whole number"

    def applied(what):
        return row(op, *[what, at("x", 0)][:: -1 if place else 1])

    for wrong in (0.5, float("nan"), float("inf")):
        refused(reason, put("v", applied(wrong)), x=1)
        refused(reason, put("v", applied(at("c", 0))), x=1, tables={"c": [1.0, wrong]})
    check(program(put("v", applied(2)), put("v", applied(at("c", 0))), x=1, tables={"c": [3.0]}))
    check(program(put("v", row("copysign", 1.5, 0.5))))


def test_roundings_are_known_and_a_strict_program_has_one():
    strange = row("add", 1, 2, rounding="upward")
    refused("the rounding 'upward' is unknown", put("v", strange))
    refused("the rounding 'upward' is unknown", put("v", 1), gather("v", 1, rounding="upward"))
    for rounding in ("reordered", "fused", "free"):
        body = [put("v", row("add", 1, 2, rounding=rounding)), gather("v", 1, rounding)]
        check(program(*body))
        reason = f"a strict program rounds as written, not '{rounding}'"
        refused(reason, body[0], strict=True)
        refused(reason, put("v", 1), body[1], strict=True)
    check(program(put("v", row("add", 1, 2)), gather("v", 1), strict=True))


# --- loops --------------------------------------------------------------------------------------


def test_loops_have_numbers_of_their_own():
    twice = [loop(0, 1), loop(0, 1)]
    refused("two loops that run forward have the number 0", *twice)
    refused("two loops that run forward have the number 0", loop(0, 1, loop(0, 1)))
    backward = loop(0, 1, backward=True)
    refused("two loops that run backward have the number 0", loop(0, 1), backward, backward)


def test_a_loop_that_runs_backward_ran_forward_before():
    backward = loop(0, 1, backward=True)
    reason = "a loop runs backward that didn't run forward before"
    refused(reason, backward)
    refused(reason, backward, loop(0, 1))
    refused(reason, loop(0, 1, backward))


def test_a_loop_that_runs_backward_is_counted_as_it_was():
    backward = loop(0, 2, backward=True)
    refused("a loop is counted another way backward than forward", loop(0, 1), backward)
    after = index(0, (1, total(1)))
    refused("a loop runs backward another number of times than forward", loop(1, 3),
            loop(0, after), loop(1, 3, backward=True), loop(0, after, backward=True))  # fmt: skip
    check(program(loop(1, 3), loop(0, after), loop(0, after, backward=True),
                  loop(1, 3, backward=True)))  # fmt: skip


def test_a_loop_that_runs_backward_is_nested_as_it_was():
    reason = "a loop that runs backward isn't nested as when it ran forward"
    inner = loop(1, 2, backward=True)
    forward = loop(0, 2, loop(1, 2))
    refused(reason, forward, inner)
    refused(reason, forward, loop(2, 2, inner))
    refused(reason, loop(1, 2), loop(0, 2), loop(0, 2, inner, backward=True))
    refused(reason, loop(0, 2, loop(1, 2), inner))
    check(program(forward, loop(0, 2, inner, backward=True)))
    check(program(forward, loop(0, 2, loop(2, 3), inner, loop(3, 4), backward=True)))


def test_a_loop_runs_no_less_than_no_times():
    refused("a loop runs less than no times: -1", loop(0, -1))
    often = "a loop runs too often to be counted"
    refused(often, loop(0, 2**70))
    refused(often, loop(0, 2, loop(1, index(0, (2**60, i)))))
    refused(f"a place is beyond the 1 of 'x': from 0 to {2**62}",
            loop(0, 2, put("v", at("x", index(0, (2**62, i))))), x=1)  # fmt: skip
    refused("a loop runs less than no times: -2", loop(0, 4, loop(1, index(1, (-1, i)))))
    check(program(loop(0, 4, loop(1, index(3, (-1, i))))))


def test_counters_are_read_where_they_mean_something():
    def reads(counter):
        return put("v", at("x", index(0, (0, counter))))

    outside = "the step of loop 0 is read outside of it"
    refused(outside, loop(0, 1), reads(step(0)), x=1)
    refused(outside, loop(0, index(1, (1, i))))
    refused("the step of loop 7 is read outside of it", loop(0, 1, reads(step(7))), x=1)
    early = "the total of loop 0 is read before it runs"
    refused(early, reads(total(0)), loop(0, 1), x=1)
    refused(early, loop(0, index(1, (1, total(0)))))
    refused(early, loop(1, 2, reads(total(0)), loop(0, 1)), x=1)
    refused("a counter is of an unknown kind: 'all'",
            loop(0, 1, reads(replace(step(0), kind="all"))), x=1)  # fmt: skip
    check(program(loop(0, 1, reads(step(0)), reads(total(0))), reads(total(0)), x=1))


# --- bounds -------------------------------------------------------------------------------------


def test_places_are_in_bounds_in_every_iteration():
    def reads(where, size):
        return loop(0, 4, loop(1, index(1, (1, i)), put("v", at("x", where)))), size

    for where, size, low in [
        (index(0, (1, i)), 4, 0), (index(0, (1, j)), 4, 0), (index(3, (-1, j)), 4, 0),
        (index(0, (1, i), (-1, j)), 4, 0), (index(0, (4, i), (1, j)), 16, 0),
        (index(0, (1, total(1))), 10, 0), (index(9, (-1, total(1))), 10, 0),
        (index(0, (1, total(1)), (-1, i)), 7, 0), (index(2, of="t", at=total(1)), 12, 0),
        (index(0, (1, j), of="t", at=i), 7, 0),
    ]:  # fmt: skip
        body, size = reads(where, size)
        check(program(body, x=size, tables={"t": range(10)}))
        reason = f"a place is beyond the {size - 1} of 'x': from "
        with pytest.raises(InvalidProgramError, match=reason):
            check(program(body, x=size - 1, tables={"t": range(10)}))
        below, _ = reads(where.plus(-1 - low), size)
        if where.table != "t":
            with pytest.raises(InvalidProgramError, match=f"of 'x': from -1 to {size - 2}"):
                check(program(below, x=size, tables={"t": range(10)}))


def test_places_of_stores_and_of_tables_are_in_bounds():
    refused("a place is beyond the 2 of 'y': from 0 to 2", loop(0, 3, put(at("y", i), 1)), y=2)
    refused("a place is beyond the 2 of 'y': from 2 to 2", put(at("y", 0), 1),
            gather(at("y", 2), 1), y=2)  # fmt: skip
    refused("a place is beyond the 2 of 'c': from 1 to 3",
            loop(0, 3, put("v", at("c", index(1, (1, i))))), tables={"c": [1.0, 2.0]})  # fmt: skip
    refused("an entry is beyond the 2 of 't': from 0 to 2",
            loop(1, 3, loop(0, index(0, of="t", at=total(1)))), tables={"t": [1, 1]})  # fmt: skip
    refused("an entry is beyond the 1 of 't': from 1 to 1", loop(1, 1),
            put("v", at("x", index(0, of="t", at=total(1)))), x=1, tables={"t": [0]})  # fmt: skip


def test_a_place_that_is_never_reached_may_be_anywhere():
    check(program(loop(0, 0, put("v", at("x", 5)), loop(1, 3, put("v", at("x", j)))), x=1))
    never = loop(1, index(0, of="t", at=i), loop(2, index(0, of="t", at=total(1))))
    check(program(loop(0, 0, never), tables={"t": np.empty(0, int)}))
    check(program(loop(0, 3, loop(1, index(0, of="t", at=i), put("v", at("x", i)))), x=1,
                  tables={"t": [5, 0, 0]}))  # fmt: skip


def test_a_count_that_is_read_after_its_loop_is_what_is_left_of_it():
    last = at("x", index(-1, (1, total(1))))
    runs = loop(0, 3, loop(1, 2), put("v", last))
    check(program(runs, put("v", last), x=6))
    refused("a place is beyond the 5 of 'x': from 1 to 5", runs, x=5)
    back = loop(0, 3, put("v", last), loop(1, 2, backward=True), backward=True)
    check(program(loop(0, 3, loop(1, 2)), back, x=6))
    emptied = put("v", at("x", index(0, (1, total(1)))))
    back = loop(0, 3, loop(1, 2, backward=True), emptied, backward=True)
    check(program(loop(0, 3, loop(1, 2)), back, x=5))
    check(program(loop(0, 3, loop(1, 2)), back, emptied, x=5))
    refused("a place is beyond the 4 of 'x': from 0 to 4", loop(0, 3, loop(1, 2)), back, x=4)


# --- what is set before it's read ---------------------------------------------------------------


def test_variables_are_set_before_they_are_read():
    unset = "the variable 'v' is read before it's set"
    refused(unset, put("v", row("add", "v", 1)))
    refused(unset, put("w", row("exp", row("sin", "v"))), put("v", 1))
    refused(unset, gather("v", 1))
    refused(unset, put("w", 1), gather("w", "v"))
    refused(unset, Guard(Constant(1.0), Variable("v")))
    refused(unset, put(at("y", 0), "v"), y=1)
    refused(unset, loop(0, 2, put("w", "v"), put("v", 1)))
    check(program(put("v", 0), loop(0, 2, put("w", "v"), put("v", 1))))
    check(program(loop(0, 2, put("v", 1)), put("w", "v")))


def test_memory_is_set_before_it_is_read():
    m = Region("m", 2)
    unset = "nothing sets 'm' before it's read"
    refused(unset, put("v", at("m", 0)), memory=[m])
    refused(unset, put("v", at("m", 0)), put(at("m", 0), 1), memory=[m])
    refused(unset, gather(at("m", 0), 1), memory=[m])
    refused(unset, loop(0, 2, gather(at("m", 0), 1)), memory=[m])
    check(program(loop(0, 2, put("v", at("m", 0)), put(at("m", 0), 1)), memory=[m]))
    check(program(put("v", at("m", 0)), memory=[Region("m", 2, is_zeroed=True)]))
    parts = [Region("p", 1, within="m"), Region("q", 1, within="m", offset=1)]
    check(program(put(at("p", 0), 1), put("v", at("m", 0)), memory=[m, *parts]))
    check(program(put(at("m", 0), 1), put("v", at("p", 0)), memory=[m, *parts]))
    refused("nothing sets 'q' before it's read", put(at("p", 0), 1), put("v", at("q", 0)),
            memory=[m, *parts])  # fmt: skip


# --- the past -----------------------------------------------------------------------------------


def past(*back, forward=(), around=()):
    """A loop that sets v from w, one in it that sets u, and what runs backward."""
    inner = loop(1, 2, put("u", "v"), *forward)
    return (put("v", 0), put("w", 0), loop(0, 2, put("w", "v"), put("v", "w"), inner, *around),
            loop(0, 2, *back, backward=True))  # fmt: skip


def reads(*what):
    return put("g", Past(*what))


def test_the_past_is_read_where_it_says_what_it_was():
    inside = loop(1, 2, reads("u"), reads("v"), reads("v", "begun", 0), reads("w", "begun", 1),
                  backward=True)  # fmt: skip
    body = past(reads("v"), reads("w", "begun", 0), reads("u", "ended", 1), inside)
    check(program(*body[:3], reads("v", "ended", 0), reads("u", "ended", 0), body[3]))
    check(program(put("v", 1), reads("v")))


def test_the_past_is_refused_where_it_does_not():
    refused("the past is read where a loop runs forward", put("v", 1), loop(0, 2, reads("v")))
    refused("the past is read where a loop runs forward", *past(loop(3, 2, reads("v"))))
    refused("the past is of an unknown kind", *past(reads("v", "after", 0)))
    refused("'u' wasn't made in these loops or around them", *past(reads("u")))
    refused("'a' wasn't made in these loops or around them", *past(reads("a"), put("a", 1)))
    refused("'v' was made at more than one place", *past(reads("v"), around=[put("v", 2)]))
    refused("what was made has no loop", *past(reads("v", "made", 0)))
    refused("loop 1 isn't around what it began before", *past(reads("v", "begun", 1)))
    refused("'u' wasn't set when the loop began", *past(reads("u", "begun", 0)))
    refused("loop 0 wasn't over in these loops", *past(reads("v", "ended", 0)))
    refused("loop 9 hasn't run forward", *past(reads("v", "ended", 9)))
    refused("loop 1 wasn't over in these loops", *past(), reads("u", "ended", 1))
    refused("'g' wasn't set when the loop was over", *past(reads("g", "ended", 1)))
    undone = loop(1, 2, backward=True)
    refused("loop 1 has run backward already", *past(undone, reads("u", "ended", 1)))
    refused("loop 0 has run backward already", *past(), reads("v", "ended", 0))
