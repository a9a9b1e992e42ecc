"""Calls of blocks in programs: what they compute, and their derivatives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from program_blocks import (
    BLOCKS,
    PROGRAMS,
    Callbacks,
    call,
    in_numba,
    jacobian,
    moved_gradient,
    recursion,
    span,
    straight,
    triangle,
)
from program_drafts import at, loop, program, put, row, step, total
from program_interpreter import run
from program_runs import agree, compiled, interpreted

from tapegrad.codegen.compiled_tape import Code, gradient_of, product_of
from tapegrad.program.check import check
from tapegrad.program.ir import Call, Region, statements
from tapegrad.program.reverse import reverse
from tapegrad.program.storage import stored
from tapegrad.program.tangent import tangent
from tapegrad.program.text import text

i, j = step(0), step(1)


def point(name):
    _, function, x = PROGRAMS[name]
    x = np.array(x)
    return function, x, np.cos(np.arange(len(x)) + 0.5)


# --- what they compute ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_with_calls_compute_what_they_say(name):
    function, x, _ = point(name)
    written = PROGRAMS[name][0]()
    check(written, stored=True)
    agree(interpreted(written, {"x": x})["y"], function(x))
    agree(compiled(written, x, [])[0], function(x))


@pytest.mark.parametrize("is_strict", [False, True])
@pytest.mark.parametrize("name", PROGRAMS)
def test_adjoints_go_through_calls(name, is_strict):
    function, x, _ = point(name)
    written = replace(PROGRAMS[name][0](), is_strict=is_strict)
    matrix = jacobian(function, x)
    seed = np.linspace(1.0, 2.0, len(matrix))
    backward = reverse(written)
    check(backward)
    stages = [backward, stored(backward), gradient_of(written)]
    for stage in stages[1:]:
        check(stage, stored=True)
    for stage in stages:
        agree(interpreted(stage, {"x": x, "y_bar": seed})["x_bar"], seed @ matrix)
    agree(compiled(stages[-1], x, seed)[1], seed @ matrix)
    agree(compiled(gradient_of(written, 0.5), x, [])[1], np.full(len(matrix), 0.5) @ matrix)


@pytest.mark.parametrize("name", PROGRAMS)
def test_tangents_go_through_calls(name):
    function, x, direction = point(name)
    forward = tangent(PROGRAMS[name][0]())
    check(forward, stored=True)
    moved = jacobian(function, x) @ direction
    agree(interpreted(forward, {"x": x, "x_dot": direction})["y_dot"], moved)
    agree(compiled(forward, x, direction)[1], moved)


@pytest.mark.parametrize("name", PROGRAMS)
def test_second_derivatives_go_through_calls(name):
    function, x, direction = point(name)
    written = PROGRAMS[name][0]()
    matrix = jacobian(function, x)
    seed = np.ones(len(matrix))
    expected = moved_gradient(function, x, seed, direction)
    products = product_of(written)
    for second in (
        stored(tangent(reverse(written, seed=1.0))),
        tangent(stored(reverse(written, seed=1.0))),
        products,
    ):
        check(second, stored=True)
        found = interpreted(second, {"x": x, "x_dot": direction})
        agree(found["x_bar"], seed @ matrix)
        agree(found["x_bar_dot"], expected)
    _, found = compiled(products, x, direction)
    agree(found, [*(seed @ matrix), *expected])


def test_blocks_are_functions_that_numba_compiled_and_threads_share_them():
    function, x, _ = point("triangle")
    blocks = in_numba()
    code = Code(gradient_of(triangle()), {name: (f.address, 0) for name, f in blocks.items()})

    def computed(scale):
        products = np.empty(5)
        for _ in range(50):
            ok, results = code.run(x * scale, np.ones(1), products)
            assert ok
        return results, products

    scales = [1.0, 0.5, 2.0, -1.5]
    with ThreadPoolExecutor(4) as pool:
        for scale, (results, products) in zip(scales, pool.map(computed, scales), strict=True):
            agree(results, function(x * scale))
            agree(products, jacobian(function, x * scale)[0])


def test_a_guard_on_what_a_block_sets_says_whether_it_may_be_used():
    _, x, _ = point("straight")
    written = straight()
    for blocked in (written, gradient_of(written, 1.0), tangent(written)):
        nowhere = np.array([*x[:4], 0.0, 0.0])
        inputs = {r.name: nowhere for r in blocked.of_role("input")}
        blocks = Callbacks(blocked)
        code = Code(blocked, blocks.address)
        with np.errstate(all="ignore"):
            assert not run(blocked, inputs, blocks=BLOCKS)[0]
            assert not code.run(nowhere, nowhere, np.empty(code.n_products))[0]
        assert not blocks.failed


# --- what is passive ------------------------------------------------------------------------------


def passive():
    """Calls of which one reads no input, one sets no result, and one reads its own."""
    return program(
        call("solve", [span("c", 4), span("c", 2, 4)], [span("z", 2)]),
        call("solve", [span("x", 4), span("c", 2)], [span("z", 2, 2)]),
        call("solve", [span("x", 4), span("c", 2)], [span("n", 2)]),
        call("solve", [span("c", 4), span("z", 2)], [span("w", 2)]),
        put(at("y", 0), row("multiply", at("z", 1), at("z", 3))),
        put(at("y", 1), row("multiply", at("w", 1), at("z", 2))),
        x=4, y=2, tables={"c": [2.0, 0.5, 1.0, 3.0, 4.0, -1.0]},
        memory=[Region("z", 4), Region("n", 2), Region("w", 2)],
    )  # fmt: skip


def of_passive(x):
    c = np.array([[2.0, 0.5], [1.0, 3.0]])
    known, z = np.linalg.solve(c, [4.0, -1.0]), np.linalg.solve(x.reshape(2, 2), [2.0, 0.5])
    return np.array([known[1] * z[1], np.linalg.solve(c, known)[1] * z[0]])


def blocks_in(written):
    return [s.block for s in statements(written.body) if isinstance(s, Call)]


def test_a_call_that_no_derivative_goes_through_has_none():
    x, direction, seed = np.array([1.5, 0.2, -0.3, 2.0]), np.arange(1.0, 5.0), np.array([2.0, -1.0])
    written = passive()
    matrix = jacobian(of_passive, x)
    backward, forward = gradient_of(written), tangent(written)
    # By names alone, the region that the second call sets is one with what the last one reads.
    assert blocks_in(backward) == ["solve"] * 4 + ["solve.pullback"] * 2
    assert blocks_in(forward).count("solve.pushforward") == 2
    agree(compiled(backward, x, seed)[1], seed @ matrix)
    agree(compiled(forward, x, direction)[1], matrix @ direction)
    expected = moved_gradient(of_passive, x, np.ones(2), direction)
    agree(compiled(product_of(written), x, direction)[1], [*matrix.sum(0), *expected])


def test_spans_that_a_table_tells_apart_are_passive_where_what_they_touch_is():
    fills = [put(at("m", k), at("x", k)) for k in range(2)]
    fills += [put(at("n", k), 1.0 + k) for k in range(2)]

    memory = [Region("any", 4), Region("m", 2, within="any"),
              Region("n", 2, within="any", offset=2), Region("z", 2)]  # fmt: skip
    reads = [span("x", 4), span("any", 2, of="t", at=total(0))]
    body = [*fills, loop(0, 1, call("solve", reads, [span("z", 2)])), put(at("y", 0), at("z", 0))]

    def written_to(start):
        backward = reverse(program(*body, x=4, y=1, tables={"t": [start]}, memory=memory))
        check(backward)
        (pullback,) = [s for s in statements(backward.body) if isinstance(s, Call) and s.adds]
        return pullback.writes[1].region

    assert [written_to(start) for start in (0, 1, 2)] == ["any_bar", "any_bar", "unread_bar"]


def test_what_lies_in_no_part_of_a_region_has_derivatives_too():
    x, seed = np.array([2.0, 0.5, 1.0, 3.0]), np.array([1.5])
    written = program(
        *[put(at("p", k), 1.0) for k in range(2)],
        *[put(at("any", k + 2), at("x", k)) for k in range(2)],
        call("dot", [span("any", 2), span("any", 2, 2)], [span("q", 1)]),
        put(at("y", 0), at("q", 0)),
        x=4, y=1, memory=[Region("any", 4), Region("p", 2, within="any"), Region("q", 1)],
    )  # fmt: skip
    agree(compiled(gradient_of(written), x, seed)[1], [1.5, 1.5, 0.0, 0.0])
    agree(compiled(tangent(written), x, [1.0, 2.0, 5.0, 7.0])[1], [3.0])


# --- what is printed ------------------------------------------------------------------------------


def test_a_program_with_calls_is_one_that_a_person_reads():
    assert (
        text(gradient_of(recursion(), 1.0))
        == """\
s[0] = x[0]
s[1] = square(x[1])
v = sin(x[2])
sum = 0
for i in range(5):
    v_begun0[i] = v
    a[4*i] = 2 + square(s[2*i])
    a[4*i + 1] = x[3]
    a[4*i + 2] = v * x[4]
    a[4*i + 3] = exp(v)
    b[2*i] = s[2*i + 1] + c0[i]
    b[2*i + 1] = v
    s[2*i + 2 : 2*i + 4] = solve(a[4*i : 4*i + 4], b[2*i : 2*i + 2])
    g[0:2] += add_product(c1[0:4], s[2*i + 2 : 2*i + 4])
    d[i : i + 1] = dot(s[2*i + 2 : 2*i + 4], x[0:2])
    v = tanh(v + d[i])
    v_kept[i] = v
    sum = sum + d[i] * v
y[0] = sum + g[0] * g[1]
sum_bar = 0
v_bar = 0
sum_bar += 1
g_bar[0] += 1 * g[1]
g_bar[1] += 1 * g[0]
x_bar_sum0 = 0
x_bar_sum1 = 0
for i in reversed(range(5)):
    v_again = v_kept[i]
    v_begun0 = v_begun0[i]
    sum_w = sum_bar
    sum_bar = 0
    sum_bar += sum_w
    d_bar[i] += sum_w * v_again
    v_bar += sum_w * d[i]
    v_w = v_bar
    v_bar = 0
    v_bar += v_w * (1 / (cosh(v_begun0 + d[i]) * cosh(v_begun0 + d[i])))
    d_bar[i] += v_w * (1 / (cosh(v_begun0 + d[i]) * cosh(v_begun0 + d[i])))
    s_bar[2*i + 2 : 2*i + 4], x_bar[0:2] += dot.pullback(s[2*i + 2 : 2*i + 4], x[0:2], \
d[i : i + 1], d_bar[i : i + 1])
    unread_bar[0:4], s_bar[2*i + 2 : 2*i + 4] += add_product.pullback(c1[0:4], \
s[2*i + 2 : 2*i + 4], g_bar[0:2])
    a_bar[4*i : 4*i + 4], b_bar[2*i : 2*i + 2] += solve.pullback(a[4*i : 4*i + 4], \
b[2*i : 2*i + 2], s[2*i + 2 : 2*i + 4], s_bar[2*i + 2 : 2*i + 4])
    v_bar += b_bar[2*i + 1]
    s_bar[2*i + 1] += b_bar[2*i]
    v_bar += a_bar[4*i + 3] * exp(v_begun0)
    v_bar += a_bar[4*i + 2] * x[4]
    x_bar_sum0 += a_bar[4*i + 2] * v_begun0
    x_bar_sum1 += a_bar[4*i + 1]
    s_bar[2*i] += a_bar[4*i] * (2 * s[2*i])
x_bar[4] += x_bar_sum0
x_bar[3] += x_bar_sum1
x_bar[2] += v_bar * cos(x[2])
x_bar[1] += s_bar[1] * (2 * x[1])
x_bar[0] += s_bar[0]"""
    )


def test_the_derivatives_of_a_call_are_calls():
    squared = program(
        call("dot", [span("x", 2), span("x", 2)], [span("q", 1)]),
        put(at("y", 0), at("q", 0)),
        x=2, y=1, memory=[Region("q", 1)],
    )  # fmt: skip
    assert (
        text(tangent(reverse(squared, seed=1.0)))
        == """\
q[0:1] = dot(x[0:2], x[0:2])
q_dot[0:1] = dot.pushforward(x[0:2], x[0:2], q[0:1], x_dot[0:2], x_dot[0:2])
y[0] = q[0]
y_dot[0] = q_dot[0]
q_bar[0] += 1
x_bar[0:2], x_bar[0:2] += dot.pullback(x[0:2], x[0:2], q[0:1], q_bar[0:1])
x_bar_dot[0:2], x_bar_dot[0:2] += dot.pullback.pushforward(x[0:2], x[0:2], q[0:1], \
q_bar[0:1], x_dot[0:2], x_dot[0:2], q_dot[0:1], zeros_dot[0:1])"""
    )


@pytest.mark.parametrize(("what", "written"), [
    (span("m", 3), "m[0:3]"),
    (span("m", 0), "m[0:0]"),
    (span("m", 3, 2, (-1, i)), "m[-i + 2 : -i + 5]"),
    (span("m", 1, 0, (1, i)), "m[i : i + 1]"),
    (span("m", 2, 1, (2, total(1)), (3, i)), "m[3*i + 2*n1 + 1 : 3*i + 2*n1 + 3]"),
    (span("m", 2, 1, of="t0", at=total(1)), "m[t0[i, j] + 1 : t0[i, j] + 3]"),
])  # fmt: skip
def test_a_span_is_a_slice(what, written):
    inside = loop(0, 2, loop(1, 2, call("b", [what], [span("n", 1)], adds=True)))
    line = text(program(inside, tables={"t0": [0, 0]})).splitlines()[-1]
    assert line.strip() == f"n[0:1] += b({written})"
