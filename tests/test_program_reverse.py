"""The reverse of programs written by hand: what rolled tapes never do, and programs may."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from program_blocks import call, span
from program_drafts import at, gather, index, loop, program, put, row, step, total
from program_runs import agree, compiled, interpreted

from tapegrad.codegen.compiled_tape import gradient_of
from tapegrad.program.check import check
from tapegrad.program.ir import Region
from tapegrad.program.reverse import reverse
from tapegrad.program.storage import stored

i, j = step(0), step(1)


def test_a_program_that_reads_its_results_has_no_reverse():
    reads = program(put(at("y", 0), at("x", 0)), put("v", at("y", 0)), x=1, y=1)
    both = call("f", [span("x", 1)], [span("y", 1)]), call("g", [span("y", 1)], [span("m", 1)])
    calls = program(*both, x=1, y=1, memory=[Region("m", 1)])
    for written in (reads, calls):
        with pytest.raises(ValueError, match="reads its results 'y' has no reverse"):
            reverse(written)


def test_results_that_are_set_before_the_end_are_seeded():
    written = program(
        put(at("y", 1), row("square", at("x", 0))),
        put("v", row("exp", at("x", 1))),
        loop(0, 2, gather(at("y", 2), row("multiply", "v", at("x", i)))),
        put(at("y", 0), "v"),
        x=2, y=3,
    )  # fmt: skip
    written = replace(written, regions=(written.regions[0], Region("y", 3, "output", True)))
    x, e = np.array([0.5, 0.25]), np.exp(0.25)
    expected = 2.0 * np.array([1.0 + e, e + e + 0.75 * e])
    backward = gradient_of(written, seed=2.0)
    check(backward, stored=True)
    agree(interpreted(backward, {"x": x})["x_bar"], expected)
    agree(compiled(backward, x, [])[1], expected)


def test_what_was_stored_before_a_variable_was_set_is_not_its_value():
    """Running backward, the value is read from where it was stored since."""
    written = program(
        put("v", at("x", 0)),
        loop(0, 3, put(at("m", i), "v"), put("v", row("square", "v")), put("w", row("sin", "v"))),
        put(at("y", 0), row("add", "w", "v")),
        x=1, y=1, memory=[Region("m", 3)],
    )  # fmt: skip
    x = np.array([0.9])
    backward = gradient_of(written)
    slope = 8 * x**7 * (np.cos(x**8) + 1.0)
    agree(interpreted(backward, {"x": x, "y_bar": [1.0]})["x_bar"], slope)
    agree(compiled(backward, x, [1.0])[1], slope)


def test_how_often_a_loop_ran_is_taken_back_though_nothing_else_is_to_do():
    last = at("x", index(-1, (1, total(1))))
    written = program(
        put("s", 0.0),
        loop(0, 3, loop(1, index(1, (1, i)), put("u", at("x", total(1)))),
             put("s", row("add", "s", row("square", last)))),
        put(at("y", 0), "s"),
        x=6, y=1,
    )  # fmt: skip
    x, expected = np.arange(1.0, 7.0), np.array([2.0, 0.0, 6.0, 0.0, 0.0, 12.0])
    for backward in (reverse(written), stored(reverse(written)), gradient_of(written)):
        check(backward)
        agree(interpreted(backward, {"x": x, "y_bar": [1.0]})["x_bar"], expected)
    agree(compiled(backward, x, [1.0])[1], expected)


def test_a_variable_that_is_added_to_is_set_to_the_sum():
    where = at("x", index(0, (3, i), (1, j)))
    written = program(
        put("t", 0.0),
        loop(0, 2, put("s", 1.0), loop(1, 3, gather("s", row("square", where))),
             gather("t", row("exp", row("negative", "s")))),
        put(at("y", 0), row("multiply", "t", "t")),
        x=6, y=1,
    )  # fmt: skip
    x = np.linspace(-0.5, 0.9, 6)
    e = np.exp(-1.0 - np.sum(x.reshape(2, 3) ** 2, axis=1))
    expected = -4.0 * np.sum(e) * np.repeat(e, 3) * x
    for backward in (reverse(written), gradient_of(written)):
        check(backward)
        agree(interpreted(backward, {"x": x, "y_bar": [1.0]})["x_bar"], expected)
    agree(compiled(backward, x, [1.0])[1], expected)
