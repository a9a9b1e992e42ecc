"""The printed form of programs: in full, as a person would write them."""

from __future__ import annotations

import numpy as np
import pytest
from program_drafts import (
    at,
    gather,
    index,
    loop,
    nested,
    program,
    put,
    recurrence,
    row,
    step,
    stored_recurrence,
    total,
    triangle,
)

from tapegrad.program.ir import Guard, Past, Region, Variable
from tapegrad.program.text import Listing, text

i, j, k = map(step, range(3))


def value_text(value):
    """How a value is written."""
    written = text(program(put("v", value), x=9))
    assert written.startswith("v = ")
    return written[4:]


# --- programs in full ---------------------------------------------------------------------------


def test_a_triangle_with_a_table_has_the_letters_of_its_loops():
    assert (
        text(triangle())
        == """\
s = 0
for i in range(4):
    for j in range(i + 1):
        s = s + c0[i, j] * (x[i] * x[j])
return s"""
    )


def test_a_reverse_says_what_was():
    assert (
        text(recurrence())
        == """\
s = exp(x[3])
for i in range(3):
    s = x[i] * s
y[0] = s
s_bar = y_bar[0]
for i in reversed(range(3)):
    s_w = s_bar
    s_bar = s_w * x[i]
    x_bar[i] += s_w * s'(i begun)
x_bar[3] += s_bar * s'"""
    )


def test_a_reverse_with_memory_says_where_it_is():
    assert (
        text(stored_recurrence())
        == """\
s = exp(x[3])
s_first = s
for i in range(3):
    s_kept[i] = s
    s = x[i] * s
y[0] = s
s_bar = y_bar[0]
for i in reversed(range(3)):
    s_w = s_bar
    s_bar = s_w * x[i]
    x_bar[i] += s_w * s_kept[i]
x_bar[3] += s_bar * s_first"""
    )


def test_nested_loops_that_run_backward():
    assert (
        text(nested())
        == """\
s = 0
for i in range(2):
    p = 1
    for j in range(3):  # n1
        p = p * x[3*i + j]
    q = square(p)
    s = s + q
y[0] = s
p_bar = 0
for i in reversed(range(2)):
    p_bar += 2 * p'(j ended)
    n[i] = c0[-i + n1]
    for j in reversed(range(3)):  # n1
        p_w = p_bar
        p_bar = p_w * x[3*i + j]
        x_bar[3*i + j] += p_w * p'(j begun)
    p_bar = 0"""
    )


def test_parts_of_memory_tables_and_guards():
    of_table = index(4, (-2, i), of="t0", at=total(1))
    v3 = row("greater", at("any", of_table), at("inputs", index(-1, (1, j))))
    inner = (
        put("v3", v3),
        Guard(Variable("v3"), at("c0", total(1))),
        put(at("v3", total(1)), "v3"),
        gather(at("v3", 0), "v3"),
        Guard(row("less", "v3", 2), row("equal", "v3", 1)),
    )
    written = text(
        program(
            loop(0, index(0, of="t1", at=total(1)), loop(1, 2, *inner)),
            tables={"t0": [1], "t1": [2], "c0": [1.0]},
        )
    )
    assert (
        written
        == """\
for i in range(t1[n1]):
    for j in range(2):  # n1
        v3 = any[t0[i, j] - 2*i + 4] > inputs[j - 1]  # is c0[i, j]
        v3[0] += v3
        assert (v3 < 2) == (v3 == 1)"""
    )


# --- results ------------------------------------------------------------------------------------


def test_results_are_returned_where_their_stores_are_the_end_and_in_order():
    stores = [put(at("y", n), at("x", 1 - n)) for n in range(2)]
    assert text(program(*stores, x=2, y=2)) == "return x[1], x[0]"
    assert text(program(*stores[::-1], x=2, y=2)) == "y[1] = x[0]\ny[0] = x[1]"
    assert text(program(*stores, put("s", 1), x=2, y=2)) == "y[0] = x[1]\ny[1] = x[0]\ns = 1"
    assert text(program(*stores[:1], x=2, y=2)) == "y[0] = x[1]"
    assert text(program(put("s", 1), x=1)) == "s = 1"


def test_results_of_no_and_of_many_numbers():
    assert text(program(put("s", 1), memory=[Region("y", 0, "output")])) == "s = 1\nreturn"
    for counter in (step(3), total(3)):
        every = loop(3, 1000, put(at("y", counter), at("any", index(0, of="t0", at=total(3)))))
        assert text(program(put("s", 1), every, y=1000)) == "s = 1\nreturn 1,000 values"
    fewer = loop(3, 999, put(at("y", step(3)), 1))
    assert text(program(fewer, y=1000)) == "for i in range(999):\n    y[i] = 1"


def test_a_store_in_memory_of_its_own_name_is_written_where_it_is_elsewhere():
    def stored(index):
        return text(program(loop(0, 2, loop(1, 2, put("v", 1), put(at("v", index), "v")))))

    head = "for i in range(2):\n    for j in range(2):"
    assert stored(total(1)) == f"{head}\n        v = 1"
    assert stored(step(1)) == f"{head}\n        v = 1\n        v[j] = v"
    assert text(program(put("v", 1), put(at("v", 0), "v"))) == "v = 1"
    assert text(program(put("v", 1), put(at("v", 1), "v"))) == "v = 1\nv[1] = v"
    assert text(program(put("v", 1), put(at("w", 0), "v"))) == "v = 1\nw[0] = v"
    assert text(program(put("v", 1), Guard(Variable("w"), Variable("v")))) == "v = 1\nassert w == v"


# --- values -------------------------------------------------------------------------------------

a, b, c = map(Variable, "abc")


@pytest.mark.parametrize(("value", "expected"), [
    (row("add", row("add", a, b), c), "a + b + c"),
    (row("add", a, row("add", b, c)), "a + (b + c)"),
    (row("subtract", a, row("subtract", b, c)), "a - (b - c)"),
    (row("multiply", row("add", a, b), c), "(a + b) * c"),
    (row("add", row("multiply", a, b), c), "a * b + c"),
    (row("divide", a, row("multiply", b, c)), "a / (b * c)"),
    (row("multiply", row("divide", a, b), c), "a / b * c"),
    (row("floor_divide", row("remainder", a, b), c), "a % b // c"),
    (row("power", row("power", a, b), c), "(a ** b) ** c"),
    (row("power", a, row("power", b, c)), "a ** b ** c"),
    (row("power", row("negative", a), b), "(-a) ** b"),
    (row("power", a, row("negative", b)), "a ** -b"),
    (row("negative", row("power", a, b)), "-a ** b"),
    (row("negative", row("multiply", a, b)), "-(a * b)"),
    (row("multiply", row("negative", a), b), "-a * b"),
    (row("negative", row("negative", a)), "-(-a)"),
    (row("power", -2, a), "(-2) ** a"),
    (row("subtract", a, -2), "a - -2"),
    (row("less", row("less", a, b), c), "(a < b) < c"),
    (row("equal", a, row("not_equal", b, c)), "a == (b != c)"),
    (row("logical_and", row("less", a, b), c), "(a < b) & c"),
    (row("less", row("logical_or", a, b), c), "a | b < c"),
    (row("logical_xor", row("logical_and", a, b), row("logical_or", b, c)), "a & b ^ (b | c)"),
    (row("logical_not", a), "logical_not(a)"),
    (row("positive", a), "positive(a)"),
    (row("absolute", row("add", a, b)), "absolute(a + b)"),
    (row("powi", row("sin", a), 3), "powi(sin(a), 3)"),
    (row("nothing", a, b, c), "nothing(a, b, c)"),
    (row("add", 0.1, 1 / 3), "0.1 + 0.333333333333"),
    (row("add", -0.0, float("inf")), "-0 + inf"),
    (row("add", float("nan"), 1e300), "nan + 1e+300"),
    (Past("v"), "v'"),
    (row("multiply", Past("v"), 2), "v' * 2"),
    (at("x", index(0, (0, i))), "x[0]"),
    (at("x", index(-2)), "x[-2]"),
    (at("x", index(-1, (-3, i))), "x[-3*?0 - 1]"),
])  # fmt: skip
def test_parentheses_are_where_they_are_needed(value, expected):
    assert value_text(value) == expected


def test_terms_are_in_the_order_of_the_loops():
    body = put("v", at("x", index(25, (5, k), (-1, i), (1, j))))
    written = text(program(loop(0, 2, loop(1, 2, loop(2, 2, body))))).splitlines()
    assert written[-1].strip() == "v = x[-i + j + 5*k + 25]"


def test_letters_end_where_the_alphabet_of_indices_does():
    body = put("v", 1)
    for number in range(17, -1, -1):
        body = loop(number, number, body)
    heads = [line.split()[1] for line in text(program(body)).splitlines()[:-1]]
    assert heads == [*"ijklmnopqrstuvw", "i16", "i17", "i18"]


def test_counts_of_iterations_have_the_name_that_their_loop_says():
    body = [
        loop(4, 2, loop(5, 3, put("v", at("x", index(1, (1, total(5))))))),
        put("w", at("x", index(-1, (1, total(5))))),
        put("w", at("x", index(0, (2, total(4))))),
    ]
    assert (
        text(program(*body))
        == """\
for i in range(2):  # n4
    for j in range(3):  # n5
        v = x[n5 + 1]
w = x[n5 - 1]
w = x[2*n4]"""
    )


# --- where statements are -----------------------------------------------------------------------


def test_every_statement_has_a_line_and_those_around_it():
    listing = Listing(nested())
    assert listing.lines[listing.line_of[1, 1, 0]] == "        p = p * x[3*i + j]"
    assert listing.line_of[1, 3] == listing.line_of[1, 2] == 5
    assert listing.line_of[4, 2, 2] == 15
    assert (
        listing.around((1, 0))
        == """\
  s = 0
  for i in range(2):
>     p = 1
      for j in range(3):  # n1
          p = p * x[3*i + j]"""
    )
    assert listing.around((0,)).startswith("> s = 0\n  for i")


def test_a_program_of_nothing_is_nothing():
    assert text(program()) == ""
    assert text(program(loop(0, 0))) == "for i in range(0):"


def test_whole_numbers_of_numpy_are_written_alike():
    where = index(np.int64(1), (np.int64(2), i))
    written = text(program(loop(np.int64(0), 2, put("v", at("x", where)))))
    assert written.splitlines()[-1].strip() == "v = x[2*i + 1]"
