"""Blocks in recordings: values and derivatives by every executor, of every order."""

import io
import pickle
import re
import sys
import threading
import traceback

import block_examples
import numpy as np
import pytest
from block_examples import FUNCTIONS, Solve, plain, polar, raising, solve
from program_interpreter import run

import tapegrad as tg
from tapegrad.blocks import calls_of
from tapegrad.codegen.compiled_tape import CompiledTape
from tapegrad.passes import PASSES, simplified
from tapegrad.program.check import check as check_program
from tapegrad.record.called import call
from tapegrad.roll import rolled
from tapegrad.roll.spreading import ARGUMENT, spread

X = np.array([0.3, 0.7, -0.4, 0.9])
POINTS = [X, X + 0.05, X[::-1].copy()]


def tape_of(function, x=X, **options):
    derivative = tg.value_and_grad(function, **options)
    derivative(x)
    return derivative.recorded.recordings[0].tape


# --- the sweeps and machine code ----------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("options", [{"compile": "never"}, {"compile": "now"},
                                     {"compile": "now", "strict": True}], ids=str)  # fmt: skip
def test_values_and_derivatives_are_those_of_the_same_function_without_blocks(name, options):
    function, same = FUNCTIONS[name], plain(FUNCTIONS[name])
    gradient, expected = tg.value_and_grad(function, **options), tg.value_and_grad(same)
    for x in [*POINTS, X]:
        value, found = gradient(x)
        assert value == pytest.approx(expected(x)[0], rel=1e-12)
        np.testing.assert_allclose(found, expected(x)[1], rtol=1e-10, atol=1e-12)
    if options["compile"] == "now":
        assert gradient.recorded.recordings[0].tiers.name == "compiled"
    direction = np.array([1.0, -2.0, 0.5, 0.25])
    moved = tg.jvp(function, (X,), (direction,))
    np.testing.assert_allclose(moved, tg.jvp(same, (X,), (direction,)), rtol=1e-10)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives_are_recorded_with_blocks(name):
    expected = tg.hessian(plain(FUNCTIONS[name]))(X)
    for options in ({"compile": "never"}, {"compile": "now"}):
        found = tg.hessian(FUNCTIONS[name], **options)(X)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)
    compiled = CompiledTape(tape_of(FUNCTIONS[name]))
    ok, (value,), product = compiled.hessian_product(X, X)
    assert ok
    assert value == pytest.approx(plain(FUNCTIONS[name])(X), rel=1e-12)
    np.testing.assert_allclose(product, expected @ X, rtol=1e-9, atol=1e-10)


def test_third_derivatives_are_too():
    def third(function):
        return tg.jacobian(tg.hessian(function))(X)

    expected = third(plain(FUNCTIONS["straight"]))
    np.testing.assert_allclose(third(FUNCTIONS["straight"]), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_strict_machine_code_has_the_bits_of_the_sweeps(name):
    swept = tg.value_and_grad(FUNCTIONS[name], compile="never")
    strict = tg.value_and_grad(FUNCTIONS[name], compile="now", strict=True)
    for x in (X, X + 0.01):
        value, gradient = strict(x)
        expected = swept(x)
        assert value == expected[0]
        assert gradient.tobytes() == expected[1].tobytes()


def test_results_may_be_outputs_few_and_many():
    def few(x):
        return solve(np.outer(x[:2], x[2:]) + 2.0 * np.eye(2), x[:2])

    def many(x):
        return [few(x + 0.1 * k) for k in range(12)]

    a = np.outer(X[:2], X[2:]) + 2.0 * np.eye(2)
    for options in ({"compile": "never"}, {"compile": "now"}):
        jacobian = tg.jacobian(few, **options)(X)
        moved = [np.linalg.solve(a, -np.outer(e[:2], X[2:]) @ np.linalg.solve(a, X[:2])
                                 - np.outer(X[:2], e[2:]) @ np.linalg.solve(a, X[:2]) + e[:2])
                 for e in np.eye(4)]  # fmt: skip
        np.testing.assert_allclose(jacobian, np.transpose(moved), rtol=1e-12)
        found = tg.jacobian(many, **options)(X)
        np.testing.assert_allclose(found[0], jacobian, rtol=1e-12)
        shifted = tg.jacobian(few)(X + 1.1)
        np.testing.assert_allclose(found[11], shifted, rtol=1e-12)


def test_operands_without_elements_and_blocks_of_a_number():
    class Empty(block_examples.Equal):
        def __init__(self, is_active):
            super().__init__("empty", ((0,), (), (3, 0)), ((), (0, 2)), is_active)

        def value(self, operands):
            return operands[1] * 3.0, np.zeros((0, 2))

        def pullback(self, operands, results, adjoints):
            return None, 3.0 * adjoints[0], np.zeros((3, 0))

        def pushforward(self, operands, results, tangents):
            return 3.0 * tangents[1], None

    def function(x):
        total = x[0]
        for _ in range(5):
            total, nothing = call(Empty, [x[4:], total * x[1], np.zeros((3, 0))])
            assert nothing.shape == (0, 2)
        return total * 1.0

    for options in ({"compile": "never"}, {"compile": "now"}):
        value, gradient = tg.value_and_grad(function, **options)(X)
        assert value == pytest.approx(243.0 * 0.3 * 0.7**5, rel=1e-14)
        expected = 243.0 * np.array([0.7**5, 0.3 * 5 * 0.7**4, 0.0, 0.0])
        np.testing.assert_allclose(gradient, expected, rtol=1e-14)


# --- rolling ------------------------------------------------------------------------------------


def test_a_call_in_a_loop_is_one_statement_of_it():
    lines = str(rolled(tape_of(FUNCTIONS["half_passive"]))).splitlines()
    called = [line for line in lines if "solve" in line]
    assert len(called) == 3
    assert called[-1].startswith("    v")
    # What is constant is read from a table.
    assert "(c" in called[-1]


def large(x):
    """Blocks of so many numbers that copies of them are loops, read from where they are."""
    a = np.outer(x[:30], x[30:60]) + 30.0 * np.eye(30)
    y = solve(a, x[:30])
    for _ in range(3):
        y = solve(np.outer(y, y) + 3.0 * np.eye(30), np.tanh(y) + x[30:60])
    return solve(np.diag(y + 2.0), y)


def test_operands_that_lie_in_memory_as_a_block_wants_them_are_not_copied():
    def two(x):
        y = solve(np.outer(x[:30], x[30:60]) + 30.0 * np.eye(30), x[:30])
        return solve(np.eye(30) * 3.0, np.tanh(y)).sum()

    lines = str(rolled(tape_of(two, np.linspace(0.1, 0.9, 60)))).splitlines()
    first, second = (line.partition(" = ")[2] for line in lines if "solve" in line)
    assert re.fullmatch(r"solve#0\(v\d+\[0:900\], x\[0:30\]\)", first)
    assert re.fullmatch(r"solve#1\(c\d+\[0:900\], v\d+\[0:30\]\)", second)
    assert not any(line.strip().startswith("a") for line in lines)


@pytest.mark.parametrize("options", [{}, {"strict": True}], ids=str)
def test_large_blocks_have_the_derivatives_that_differences_find(options):
    x = np.linspace(0.1, 0.9, 60)
    seeds = np.linspace(-1.0, 1.0, 30)
    machine = tg.value_and_grad(lambda x: large(x) @ seeds, compile="now", **options)
    swept = tg.value_and_grad(lambda x: large(x) @ seeds, compile="never")
    for _ in range(3):
        (value, found), (_, expected) = machine(x), swept(x)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert value == swept(x)[0]
    direction = np.cos(np.arange(60.0))
    with np.errstate(all="ignore"):
        change = [(large(x + h * direction) - large(x - h * direction)) @ seeds / (2 * h)
                  for h in (1e-3, 5e-4)]  # fmt: skip
    assert found @ direction == pytest.approx((4 * change[1] - change[0]) / 3, rel=1e-8)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_programs_that_call_are_checked_and_compute_what_the_tape_does(name):
    tape = tape_of(FUNCTIONS[name])
    program = rolled(tape).program
    check_program(program)
    blocks = {b.name if [o.name for o in tape.blocks].count(b.name) == 1 else f"{b.name}#{k}": b
              for k, b in enumerate(tape.blocks)}  # fmt: skip

    def run_block(block):
        def on_spans(reads, writes):
            operands = [r.reshape(s) for r, s in zip(reads, block.operand_shapes, strict=True)]
            for place, result in zip(writes, block.value(operands), strict=True):
                place[:] = np.ravel(result)

        return on_spans

    for x in (X, X + 0.01):
        holds, outputs = run(program, {"x": x}, blocks={n: run_block(b) for n, b in blocks.items()})
        assert holds
        assert outputs["y"] == pytest.approx([FUNCTIONS[name](x)], rel=1e-13)


def test_a_tape_is_spread_with_arguments_before_calls_and_records_for_guards():
    tape = tape_of(FUNCTIONS["loop"])
    found = spread(tape)
    calls, spread_calls = calls_of(tape), calls_of(found)
    assert len(calls) == len(spread_calls) == 50
    n_active = sum(tape.blocks[tape.a[c]].n_operands for c in calls)
    assert np.count_nonzero(found.op == ARGUMENT) == n_active
    assert len(found) == len(tape) + n_active + 25  # a guard for each polar
    assert np.array_equal(found.value[found.guard_slot], found.guard_value)
    assert np.array_equal(found.value[found.outputs], tape.value[tape.outputs])
    assert not np.any(found.op[found.guard_slot] == tg.ops.CODE["result"])
    without = tape_of(lambda x: x @ x)
    assert spread(without) is without


# --- passes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_passes_keep_values_derivatives_and_calls(name):
    tape = tape_of(FUNCTIONS[name])
    value, gradient = tg.value_and_grad(FUNCTIONS[name])(X)
    for passes in [*[(one,) for one in PASSES], PASSES]:
        found = simplified(tape, passes)
        tg.check(found)
        compiled = CompiledTape(found)
        ok, outputs, products = compiled.pullback(X, np.ones(1))
        assert ok
        assert outputs[0] == pytest.approx(value, rel=1e-14)
        np.testing.assert_allclose(products, gradient, rtol=1e-12)


def test_a_call_of_which_nothing_is_needed_is_dropped_whole():
    tape = tape_of(FUNCTIONS["aliased"])
    found = simplified(tape)
    assert len(calls_of(tape)) - len(calls_of(found)) == 0  # `polar` is guarded
    dead = tape_of(lambda x: solve(np.eye(2) * x[0], x[:2])[0] * 0 + x[1] + (solve(
        np.eye(2) * x[1], x[:2]) is None))  # fmt: skip
    assert len(calls_of(dead)) == 2
    assert len(calls_of(simplified(dead))) == 1


# --- what may go wrong --------------------------------------------------------------------------


def line_of(error, function):
    return [frame for frame in traceback.extract_tb(error.__traceback__)
            if frame.name == function.__name__]  # fmt: skip


@pytest.mark.parametrize("options", [{"compile": "never"}, {"compile": "now"}], ids=str)
def test_a_block_that_has_no_value_raises_at_the_users_line(options):
    def function(x):
        return raising(x[0]) * x[1]

    gradient = tg.value_and_grad(function, **options)
    for _ in range(2):
        assert gradient(X)[0] == pytest.approx(0.09 * 0.7)
    with pytest.raises(ValueError, match="no negative number") as caught:
        gradient(-X)
    assert line_of(caught.value, function)
    assert gradient(X)[1] == pytest.approx([2 * 0.3 * 0.7, 0.09, 0.0, 0.0])


@pytest.mark.parametrize("options", [{"compile": "never"}, {"compile": "now"}], ids=str)
def test_what_a_derivative_raises_arrives_and_leaves_nothing_behind(options):
    gradient = tg.value_and_grad(lambda x: raising(x[0]) * x[1], **options)
    gradient(X)
    for scale, kind in ((50.0, RuntimeError), (25.0, KeyboardInterrupt)):
        for _ in range(2):
            with pytest.raises(kind):
                gradient(X * scale)
        assert gradient(X)[1] == pytest.approx([2 * 0.3 * 0.7, 0.09, 0.0, 0.0])


def test_another_way_is_taken_where_a_guarded_result_differs():
    def function(x):
        r, _ = polar(np.stack([x[:2], x[2:]]))
        return r.sum()

    gradient = tg.value_and_grad(function)
    gradient(X)
    gradient(X * 2.0)
    assert len(gradient.recorded.recordings) == 1
    with np.errstate(invalid="ignore"):
        gradient(np.array([0.0, 0.0, 3.0, 4.0]))
    assert len(gradient.recorded.recordings) == 2


def test_a_block_returns_arrays_of_the_shapes_it_states():
    class Wrong(block_examples.Equal):
        def __init__(self, is_active):
            super().__init__("wrong", ((2,),), ((2,),), is_active)

        def value(self, operands):
            return (np.zeros(3),)

    with pytest.raises(ValueError, match=r"`wrong` returned arrays of shapes \(\(3,\),\)"):
        tg.grad(lambda x: call(Wrong, [x[:2]])[0].sum())(X)


def test_a_gradient_with_blocks_pickles_and_runs_in_threads():
    again = pickle.loads(pickle.dumps(tape_of(FUNCTIONS["loop"])))
    expected = tg.value_and_grad(FUNCTIONS["loop"])(X)
    compiled = CompiledTape(again)
    found = []

    def work():
        for _ in range(20):
            ok, outputs, products = compiled.pullback(X, np.ones(1))
            found.append((ok, outputs[0], products))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    for ok, value, gradient in found:
        assert ok
        assert value == pytest.approx(expected[0], rel=1e-13)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-12)


def test_the_handle_of_machine_code_calls_blocks_too():
    handle = tg.value_and_grad(FUNCTIONS["loop"]).compiled(X)
    value, gradient = tg.value_and_grad(FUNCTIONS["loop"])(X + 0.01)
    out = np.empty(4)
    assert handle.njit(X + 0.01, out) == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(out, gradient, rtol=1e-12)
    assert handle(X + 0.01)[0] == pytest.approx(value, rel=1e-13)


def test_equal_blocks_are_one_on_a_tape_and_live_as_long_as_it():
    tape = tape_of(FUNCTIONS["loop"])
    assert [block.name for block in tape.blocks] == ["solve", "polar"]
    assert Solve(3, (True, True)) == tape.blocks[0] != Solve(3, (False, True))
    assert sys.getrefcount(tape.blocks[0]) > 1


def test_a_drawing_shows_calls_and_adjoints():
    text = str(tg.draw(tape_of(FUNCTIONS["straight"])))
    assert "solve(" in text
    assert "polar(" in text


def test_an_explanation_counts_the_calls():
    found = tg.explain(FUNCTIONS["loop"], X, file=io.StringIO())
    assert dict(found.lines())["  calls"] == "25 of solve, 25 of polar"
    assert "solve.pullback(" in found.adjoint
