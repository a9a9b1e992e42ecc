"""Programs written by hand: short ways to write their parts, and some that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tapegrad.errors import InvalidProgramError
from tapegrad.program.check import check
from tapegrad.program.ir import (
    Accumulate,
    Apply,
    Compute,
    Constant,
    Counter,
    Element,
    Index,
    Loop,
    Past,
    Program,
    Region,
    Store,
    Table,
    Variable,
)


def step(loop):
    return Counter(loop, "step")


def total(loop):
    return Counter(loop, "total")


def index(base=0, *terms, of="", at=None):
    """`index(1, (2, step(0)))` is 2*i + 1."""
    return Index(base, tuple((counter, factor) for factor, counter in terms), of, at)


def value(what):
    """A number is a constant, a string a variable."""
    if isinstance(what, str):
        return Variable(what)
    return Constant(float(what)) if isinstance(what, int | float) else what


def at(region, where):
    """`at("x", 2)`, `at("x", step(0))` or `at("x", index(...))`."""
    if isinstance(where, Counter):
        where = index(0, (1, where))
    return Element(region, index(where) if isinstance(where, int) else where)


def row(op, *operands, rounding="exact"):
    return Apply(op, tuple(map(value, operands)), rounding)


def put(target, what):
    """Set a variable or an element."""
    target, what = value(target), value(what)
    return (Compute if isinstance(target, Variable) else Store)(target, what)


def gather(target, what, rounding="exact"):
    return Accumulate(value(target), value(what), rounding)


def loop(number, count, *body, backward=False):
    return Loop(number, index(count) if isinstance(count, int) else count, body, backward)


def program(*body, x=0, y=0, memory=(), tables=(), strict=False):
    """A program with inputs `x`, results `y`, and more."""
    regions = [Region("x", x, "input")] if x else []
    regions += [Region("y", y, "output")] if y else []
    named = tuple(Table(name, np.array(values)) for name, values in dict(tables).items())
    return Program((*regions, *memory), named, body, strict)


def refused(reason, *body, **rest):
    """Assert that a program is refused with a reason, after its bad statement is shown."""
    with pytest.raises(InvalidProgramError) as error:
        check(program(*body, **rest))
    assert str(error.value).splitlines()[0] == reason
    return str(error.value)


i, j = step(0), step(1)


def triangle():
    """sum over j <= i < 4 of x[i] * x[j] * c[i, j]: loops whose counts and tables differ."""
    product = row("multiply", at("c0", total(1)), row("multiply", at("x", i), at("x", j)))
    return program(
        put("s", 0.0),
        loop(0, 4, loop(1, index(1, (1, i)), put("s", row("add", "s", product)))),
        put(at("y", 0), "s"),
        x=4, y=1, tables={"c0": np.arange(10.0)},
    )  # fmt: skip


def of_triangle(x):
    pairs = [(p, q) for p in range(4) for q in range(p + 1)]
    return sum(k * x[p] * x[q] for k, (p, q) in enumerate(pairs))


def recurrence():
    """s = x[i] * s, three times, and the reverse of it, which reads what variables were.

    The derivative of y = s0 x0 x1 x2 with s0 = exp(x3).
    """
    back = (
        put("s_w", "s_bar"),
        put("s_bar", row("multiply", "s_w", at("x", i))),
        gather(at("x_bar", i), row("multiply", "s_w", Past("s", "begun", 0))),
    )
    forward = program(
        put("s", row("exp", at("x", 3))),
        loop(0, 3, put("s", row("multiply", at("x", i), "s"))),
        put(at("y", 0), "s"),
        x=4, y=1, memory=[Region("y_bar", 1, "input"), Region("x_bar", 4, "output", True)],
    )  # fmt: skip
    backward = (
        put("s_bar", at("y_bar", 0)),
        loop(0, 3, *back, backward=True),
        gather(at("x_bar", 3), row("multiply", "s_bar", Past("s"))),
    )
    return replace(forward, body=(*forward.body, *backward))


def stored_recurrence():
    """The same with memory for what it reads."""
    kept = at("s_kept", total(0))
    first, runs, result, seeded, back, _ = recurrence().body
    gathered = gather(at("x_bar", i), row("multiply", "s_w", kept))
    body = (
        first,
        put("s_first", "s"),
        replace(runs, body=(put(kept, "s"), *runs.body)),
        result,
        seeded,
        replace(back, body=(*back.body[:2], gathered)),
        gather(at("x_bar", 3), row("multiply", "s_bar", "s_first")),
    )
    made = recurrence()
    return replace(made, regions=(*made.regions, Region("s_kept", 3)), body=body)


def nested():
    """Two loops backward that read all that is past, and how many iterations there were.

    p = sum over i of (prod over j of x[3i + j])**2, whose derivative is known.
    """
    where = index(0, (3, i), (1, j))
    inner = (
        put("p_w", "p_bar"),
        put("p_bar", row("multiply", "p_w", at("x", where))),
        gather(at("x_bar", where), row("multiply", "p_w", Past("p", "begun", 1))),
    )
    return program(
        put("s", 0.0),
        loop(
            0, 2,
            put("p", 1.0),
            loop(1, 3, put("p", row("multiply", "p", at("x", where)))),
            put("q", row("square", "p")),
            put(at("q", i), "q"),
            put("s", row("add", "s", "q")),
        ),
        put(at("y", 0), "s"),
        put("p_bar", 0.0),
        loop(
            0, 2,
            gather("p_bar", row("multiply", 2.0, Past("p", "ended", 1))),
            put(at("n", i), at("c0", index(0, (1, total(1)), (-1, total(0))))),
            loop(1, 3, *inner, backward=True),
            put("p_bar", 0.0),
            backward=True,
        ),
        x=6, y=1, tables={"c0": np.arange(6.0) * 10.0},
        memory=[Region("x_bar", 6, "output", True), Region("n", 2, "output"), Region("q", 2)],
    )  # fmt: skip


KNOWN = {"triangle": triangle, "recurrence": recurrence, "stored": stored_recurrence,
         "nested": nested}  # fmt: skip
