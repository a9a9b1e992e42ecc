"""Loops over arrays fused: what is, what can't be, and that results and derivatives stay."""

import numpy as np
import pytest
from program_blocks import call, span
from program_drafts import at, index, loop, program, put, row, step, total
from program_interpreter import run
from program_runs import agree, compiled, interpreted
from scipy import stats

import tapegrad as tg
from tapegrad.codegen.compiled_tape import CompiledTape, gradient_of
from tapegrad.program.check import check
from tapegrad.program.fusion import fused
from tapegrad.program.ir import Constant, Guard, Loop, Region, statements
from tapegrad.program.tangent import tangent

RNG = np.random.default_rng(5)
N = 6
A, B, C, D = (step(k) for k in range(4))


def memory(*names):
    return [Region(name, N) for name in names]


def loops_of(written):
    return [s for s in statements(written.body) if isinstance(s, Loop)]


SQUARE = loop(0, N, put("v", row("square", at("x", A))), put(at("v", A), "v"))
"""Stores squares of all inputs."""

FINE = {
    "a chain": (
        [SQUARE, loop(1, N, put("w", row("sin", at("v", B))), put(at("w", B), "w")),
         loop(2, N, put("u", row("multiply", at("w", C), at("v", C))), put(at("y", C), "u"))],
        N, "vw",
    ),
    "what is between and independent": (
        [SQUARE, put("a", row("exp", at("x", 0))),
         loop(1, N, put("w", row("multiply", "a", at("v", B))), put(at("y", B), "w")),
         put(at("y", N), "a")],
        N + 1, "v",
    ),
    "what is between and needs the first": (
        [SQUARE, put("a", row("exp", at("v", 2))),
         loop(1, N, put("w", row("sin", at("v", B))), put(at("y", B), "w")),
         put(at("y", N), "a")],
        N + 1, "v",
    ),
    "two makers of different things": (
        [SQUARE, loop(1, N, put("w", row("cos", at("x", B))), put(at("w", B), "w")),
         loop(2, N, put("u", row("multiply", at("w", C), at("v", C))), put(at("y", C), "u"))],
        N, "vw",
    ),
    "a sum that begins with the first": (
        [SQUARE, put("s", at("v", 0)),
         loop(1, N - 1, put("s", row("add", "s", at("v", index(1, (1, B))), rounding="reordered"))),
         put(at("y", 0), "s")],
        1, "v",
    ),
    "two sums": (
        [SQUARE, put("s", at("v", 0)),
         loop(1, N - 1, put("s", row("add", "s", at("v", index(1, (1, B))), rounding="reordered"))),
         loop(2, N, put("w", row("sin", at("v", C))), put(at("w", C), "w")),
         put("t", at("w", 0)),
         loop(3, N - 1, put("t", row("add", at("w", index(1, (1, D))), "t", rounding="reordered"))),
         put(at("y", 0), "s"), put(at("y", 1), "t")],
        2, "vw",
    ),
    "places that go backward": (
        [loop(0, N, put("v", row("square", at("x", A))), put(at("v", index(N - 1, (-1, A))), "v")),
         loop(1, N, put("w", row("sin", at("v", index(N - 1, (-1, B))))), put(at("y", B), "w"))],
        N, "v",
    ),
    "recurrences": (
        [put("s", 1.0), put("t", 2.0),
         loop(0, N, put("s", row("multiply", "s", at("x", A))), put(at("v", A), "s")),
         loop(1, N, put("t", row("multiply", "t", at("v", B))), put(at("y", B), "t"))],
        N, "v",
    ),
}  # fmt: skip

NOT = {
    "what is stored in a later iteration": (
        [SQUARE, loop(1, N - 2, put("w", row("sin", at("v", index(2, (1, B))))),
                      put(at("y", B), "w"))],
        N - 2, "v",
    ),
    "what is stored in another iteration": (
        [SQUARE, loop(1, N, put("w", row("sin", at("v", index(N - 1, (-1, B))))),
                      put(at("y", B), "w"))],
        N, "v",
    ),
    "what needs what needs it": (
        [SQUARE, put("a", row("exp", at("v", 2))),
         loop(1, N, put("w", row("multiply", "a", at("v", B))), put(at("y", B), "w"))],
        N, "v",
    ),
    "what it held at last": (
        [SQUARE, loop(1, N, put("w", row("multiply", "v", at("v", B))), put(at("y", B), "w"))],
        N, "v",
    ),
    "what a table says": (
        [SQUARE, loop(1, N, put("w", row("sin", at("v", index(0, of="t", at=B)))),
                      put(at("y", B), "w"))],
        N, "v",
    ),
    "a recurrence with what is independent": (
        [put("s", 1.0), SQUARE,
         loop(1, N, put("s", row("multiply", "s", at("v", B))), put(at("y", B), "s"))],
        N, "v",
    ),
    "a recurrence in memory": (
        [put(at("w", 0), 1.0), SQUARE,
         loop(1, N - 1, put("u", row("add", at("w", B), at("v", index(1, (1, B))))),
              put(at("w", index(1, (1, B))), "u")),
         loop(2, N, put(at("y", C), at("w", C)))],
        N, "vw",
    ),
    "a sum that is read": (
        [put("s", 0.0), SQUARE,
         loop(1, N, put("s", row("add", "s", at("v", B), rounding="reordered")),
              put(at("y", B), "s"))],
        N, "v",
    ),
    "a loop whose iterations are counted": (
        [SQUARE, loop(1, N, put("w", row("sin", at("v", B))), put(at("y", B), "w")),
         put(at("y", index(0, (1, total(0)))), 2.0)],
        N + 1, "v",
    ),
}  # fmt: skip


def made_of(case, strict=False):
    body, n, names = case
    table = {"t": np.arange(N)[::-1].copy()} if "table" in str(case) or n else {}
    return program(*body, x=N, y=n, memory=memory(*names), tables=table, strict=strict)


def try_derivatives(written, again):
    """Gradients and tangents of two programs agree, interpreted and as machine code."""
    x = RNG.uniform(0.5, 1.5, N)
    seeds = RNG.uniform(0.5, 1.5, written.region["y"].size)
    found = []
    for one in (written, again):
        backward = gradient_of(one)
        check(backward, stored=True)
        found.append(interpreted(backward, {"x": x, "y_bar": seeds})["x_bar"])
        found.append(compiled(backward, x, seeds)[1])
    for other in found[1:]:
        agree(other, found[0])
    directions = RNG.uniform(0.5, 1.5, N)
    moved = [interpreted(tangent(p), {"x": x, "x_dot": directions}) for p in (written, again)]
    agree(moved[1]["y_dot"], moved[0]["y_dot"])


@pytest.mark.parametrize("name", FINE)
def test_loops_that_may_be_are_fused(name):
    written = made_of(FINE[name])
    again = fused(written)
    check(again)
    assert len(loops_of(again)) == 1
    read_apart = ["v"] if name == "what is between and needs the first" else []
    assert [r.name for r in again.of_role("memory")] == read_apart
    x = RNG.uniform(0.5, 1.5, N)
    (_, before), (_, after) = run(written, {"x": x}), run(again, {"x": x})
    assert before["y"].tobytes() == after["y"].tobytes()
    try_derivatives(written, again)


@pytest.mark.parametrize("name", NOT)
def test_loops_that_may_not_be_stay_apart(name):
    written = made_of(NOT[name])
    again = fused(written)
    check(again)
    assert len(loops_of(again)) == len(loops_of(written))
    x = RNG.uniform(0.5, 1.5, N)
    (_, before), (_, after) = run(written, {"x": x}), run(again, {"x": x})
    assert before["y"].tobytes() == after["y"].tobytes()


def test_a_strict_program_stays_as_it_is():
    written = made_of(FINE["a chain"], strict=True)
    assert fused(written) is written


def test_memory_that_is_read_elsewhere_or_by_a_call_stays():
    sines = loop(1, N, put("w", row("sin", at("v", B))), put(at("y", B), "w"))
    block = call("f", [span("v", N)], [span("m", N)])
    again = fused(program(SQUARE, sines, block, x=N, y=N, memory=memory("v", "m")))
    assert [r.name for r in again.of_role("memory")] == ["v", "m"]
    assert len(loops_of(again)) == 1


def test_a_variable_set_outside_and_inside_of_a_loop_is_kept_apart():
    written = program(
        put("v", row("sin", at("x", 0))), put("w", row("square", "v")),
        loop(0, 2, put("v", row("cos", at("x", A))),
             put("w", row("multiply", "w", row("square", "v")))),
        put(at("y", 0), "w"), x=2, y=1,
    )  # fmt: skip
    x = np.array([0.4, 0.9])
    backward = gradient_of(written)
    check(backward, stored=True)
    s, c, d = np.sin(x[0]), np.cos(x[0]), np.cos(x[1])
    by_first = 2 * s * c * c**2 * d**2 - s**2 * 2 * c * s * d**2
    expected = [by_first, -(s**2) * c**2 * 2 * d * np.sin(x[1])]
    agree(interpreted(backward, {"x": x, "y_bar": [1.0]})["x_bar"], expected)
    agree(compiled(backward, x, [1.0])[1], expected)


def test_guards_in_fused_loops_are_all_kept():
    positive = Guard(row("greater", at("v", B), 0.5), Constant(1.0))
    again = fused(
        program(SQUARE, loop(1, N, positive, put(at("y", B), at("v", B))), x=N, y=N,
                memory=memory("v"))
    )  # fmt: skip
    assert len(loops_of(again)) == 1
    assert run(again, {"x": np.ones(N)})[0]
    assert not run(again, {"x": np.append(np.ones(N - 1), 0.5)})[0]


# --- what users write -----------------------------------------------------------------------------

DATA = RNG.normal(1.0, 2.0, 200)


def test_a_sum_of_logarithms_of_densities_is_one_loop_that_keeps_nothing():
    def likelihood(p):
        return np.sum(stats.norm.logpdf(DATA, p[0], p[1]))

    p = np.array([0.8, 2.2])
    derivative = tg.value_and_grad(likelihood)
    fast = derivative.compiled(p)
    z = (DATA - p[0]) / p[1]
    value, gradient = fast(p)
    np.testing.assert_allclose(value, likelihood(p), rtol=1e-13)
    np.testing.assert_allclose(gradient, [np.sum(z) / p[1], np.sum(z**2 - 1.0) / p[1]], rtol=1e-12)
    assert fast.memory_bytes == 0
    program = CompiledTape(derivative.recorded.recordings[0].tape).program
    assert len(loops_of(program)) == 1


UNARY = [np.sin, np.tanh, np.exp, np.square, lambda v: v[::-1], lambda v: np.maximum(v, 0.1),
         np.cumsum, lambda v: np.append(v[1:], v[0]), lambda v: v / np.sum(v**2),
         lambda v: v - np.mean(v), lambda v: np.where(v > 0.2, v, v * v)]  # fmt: skip
BINARY = [np.add, np.multiply, np.subtract, lambda u, v: u / (2.0 + v**2)]


def array_program(seed):
    """A function of operations on arrays, drawn."""
    steps = np.random.default_rng(seed).integers(0, 1000, (14, 4)).tolist()

    def function(x):
        made = [x, 0.5 * x]
        for kind, k, one, other in steps:
            u, v = made[one % len(made)], made[other % len(made)]
            if kind % 2:
                made.append(np.tanh(UNARY[k % len(UNARY)](u)))
            else:
                made.append(np.tanh(BINARY[k % len(BINARY)](u, v)))
        return sum(np.sum(v) * (k + 1.0) for k, v in enumerate(made[2:]))

    return function


@pytest.mark.parametrize("seed", range(5))
def test_array_programs_have_the_derivatives_of_their_sweeps(seed):
    function = array_program(seed)
    x = np.random.default_rng(seed).uniform(-1.0, 1.0, 23)
    derivative = tg.value_and_grad(function, compile="never")
    value, gradient = derivative(x)
    code = CompiledTape(derivative.recorded.recordings[0].tape)
    check(code.program)
    ok, outputs, products = code.pullback(x, np.ones(1))
    assert ok
    np.testing.assert_allclose(outputs[0], value, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(products, gradient, rtol=1e-9, atol=1e-11)
    ok, _, moved = code.pushforward(x, np.ones(23))
    assert ok
    np.testing.assert_allclose(moved, [gradient.sum()], rtol=1e-9, atol=1e-11)
    if seed < 2:
        ok, _, product = code.hessian_product(x, np.ones(23))
        assert ok
        expected = tg.hvp(function, compile="never")(x, np.ones(23))
        np.testing.assert_allclose(product, expected, rtol=1e-8, atol=1e-9)
