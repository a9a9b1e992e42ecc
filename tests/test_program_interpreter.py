"""The reference that runs programs in Python, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from program_drafts import (
    at,
    index,
    nested,
    of_triangle,
    program,
    recurrence,
    stored_recurrence,
    triangle,
)
from program_interpreter import run
from rows_in_python import row as row_in_python

from tapegrad.program.check import check
from tapegrad.program.ir import Constant, Element, Guard, Region, Store

X = np.array([1.5, -0.5, 2.0, 0.25])


def in_python(op, *operands):
    return float(row_in_python(op)(*operands))


@pytest.mark.parametrize("compute", [{}, {"compute": in_python}])
def test_the_reference_computes_what_is_written(compute):
    holds, outputs = run(triangle(), {"x": X}, **compute)
    assert holds
    assert outputs["y"] == pytest.approx([of_triangle(X)], rel=1e-15)
    for written in (recurrence(), stored_recurrence()):
        holds, outputs = run(written, {"x": X, "y_bar": [2.0]}, **compute)
        value = np.exp(X[3]) * np.prod(X[:3])
        assert outputs["y"] == pytest.approx([value], rel=1e-15)
        assert outputs["x_bar"] == pytest.approx(2.0 * value / [*X[:3], 1.0], rel=1e-15)


def test_the_reference_knows_the_past_of_nested_loops():
    x = np.array([1.0, 2.0, 3.0, -1.0, 0.5, 4.0])
    holds, outputs = run(nested(), {"x": x})
    products = np.prod(x.reshape(2, 3), axis=1)
    assert holds
    assert outputs["y"] == [np.sum(products**2)]
    assert outputs["x_bar"] == pytest.approx(2.0 * np.repeat(products**2, 3) / x, rel=1e-15)
    assert outputs["n"].tolist() == [30.0, 50.0]


def test_the_reference_says_whether_guards_hold():
    guarded = program(Guard(at("x", 0), Constant(1.0)), Guard(at("x", 1), at("x", 1)),
                      Store(at("y", 0), Constant(2.0)), x=2, y=1)  # fmt: skip
    check(guarded)
    nan = float("nan")
    for x, expected in [([1, 2], True), ([2, 2], False), ([nan, 2], False), ([1, nan], False)]:
        holds, outputs = run(guarded, {"x": x})
        assert (holds, outputs["y"].tolist()) == (expected, [2.0])


def test_the_references_memory_is_nan_at_first_unless_it_is_zeroed_and_parts_are_of_the_whole():
    parts = [Region("m", 3), Region("p", 1, within="m", offset=1),
             Region("q", 1, within="m", offset=2, is_zeroed=True)]  # fmt: skip
    body = [Store(at("p", 0), Constant(7.0))]
    body += [Store(at("y", n), Element("m", index(n))) for n in range(3)]
    _, outputs = run(program(*body, y=3, memory=parts), {})
    np.testing.assert_array_equal(outputs["y"], [np.nan, 7.0, 0.0])
