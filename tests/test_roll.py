"""Tapes as loops: what known programs roll to, and that a rolled program is the tape's."""

import numpy as np
import pytest
from program_interpreter import Machine, as_swept
from rolled_programs import KNOWN, point_of, random_program

import tapegrad as tg
from tapegrad.program.check import check
from tapegrad.roll import loops_of, nest, program_of, rolled
from tapegrad.roll.nest import Loop


def tape_of(function, x):
    gradient = tg.value_and_grad(function, compile="never")
    gradient(x)
    return gradient.recorded.recordings[0].tape


def text_of(name, size):
    return str(rolled(tape_of(KNOWN[name][0], point_of(name, size))))


# --- what is printed ---------------------------------------------------------------------------


def test_the_rosenbrock_chain():
    assert (
        text_of("rosenbrock", 20)
        == """\
v7 = 0
for i in range(19):
    v0 = x[i] * x[i]
    v1 = x[i + 1] - v0
    v2 = v1 * v1
    v3 = 100 * v2
    v4 = 1 - x[i]
    v5 = v4 * v4
    v6 = v3 + v5
    v7 = v7 + v6
return v7"""
    )


def test_all_pairs_are_a_triangular_loop():
    assert (
        text_of("pairs", 24)
        == """\
v6 = 0
for i in range(11):
    for j in range(i + 1):
        v0 = x[2*i + 2] - x[2*j]
        v1 = x[2*i + 3] - x[2*j + 1]
        v2 = v0 * v0
        v3 = v1 * v1
        v4 = v2 + v3
        v5 = 1 / v4
        v6 = v6 + v5
return v6"""
    )


def test_loops_that_follow_each_other_and_read_otherwise_stay_two():
    def function(x):
        y = x[0]
        for _ in range(50):
            y = y * y
        for _ in range(50):
            y = 0.5 * y
        return y

    assert (
        str(rolled(tape_of(function, np.array([0.5]))))
        == """\
v0 = x[0]
for i in range(50):
    v0 = v0 * v0
v1 = v0
for i in range(50):
    v1 = 0.5 * v1
return v1"""
    )


def test_a_matrix_product_is_three_loops():
    assert (
        text_of("matrix_product", 50)
        == """\
v3 = 0
for i in range(5):
    for j in range(5):
        v1 = 0
        for k in range(5):
            v0 = x[5*i + k] * x[j + 5*k + 25]
            v1 = v1 + v0
        v2 = v1 * v1
        v3 = v3 + v2
return v3"""
    )


def test_a_triangular_solve_has_an_inner_loop_that_grows_from_none():
    assert (
        text_of("triangular_solve", 100)
        == """\
v2 = x[90]
for i in range(10):
    v0 = v2 / x[11*i]
    v2 = x[t0[i]]
    for j in range(t1[i]):
        v1 = x[t2[i] + j] * v0[t3[i] + j]
        v2 = v2 - v1
v3 = 0
for i in range(10):
    v3 = v3 + v0[i]
return v3"""
    )


def test_guards_and_constants_that_change_are_in_the_loop():
    def function(x):
        total = 0.0
        for k in range(len(x)):
            if x[k] > 0.1 * k:
                total = total + (k + 1.5) * x[k]
        return total

    assert (
        str(rolled(tape_of(function, np.full(6, 9.0))))
        == """\
v2 = 0
for i in range(6):
    v0 = x[i] > c0[i]  # is 1
    v1 = c1[i] * x[i]
    v2 = v2 + v1
return v2"""
    )


@pytest.mark.parametrize("name", KNOWN)
def test_a_program_rolls_to_at_most_three_times_its_loops_however_often_they_run(name):
    function, written, sizes = KNOWN[name]
    small, large = (rolled(tape_of(function, point_of(name, size))) for size in sizes)
    assert small.n_lines <= 3 * written
    assert large.n_lines <= 3 * written
    assert abs(large.n_lines - small.n_lines) <= written


# --- what a nest and a program are -------------------------------------------------------------


def slots_in_order(loop, run, taken):
    """Yield the slots that a run of a loop makes."""
    for _ in range(int(loop.counts[run])):
        for node in loop.body:
            position = taken.get(id(node), 0)
            taken[id(node)] = position + 1
            if isinstance(node, Loop):
                yield from slots_in_order(node, position, taken)
            else:
                yield int(node.slots[position])


def values_made(root, program, inputs):
    """Run a program in Python; return what each leaf made, and the results."""
    machine = Machine(program, {"x": inputs}, as_swept)
    machine.run(program.body, ())
    assert machine.holds
    loops = [(None, root)] + [(k + 1, loop) for k, loop in enumerate(root.loops())]
    inner = {id(n): k for k, loop in loops for n in loop.body if not isinstance(n, Loop)}
    for number, leaf in enumerate(root.leaves()):
        made = machine.made[f"v{number}", inner[id(leaf)]]
        assert list(made) == list(range(len(leaf.slots)))
        yield leaf.slots, list(made.values())
    yield "y", machine.memory["y"]


@pytest.mark.parametrize("written_out", [False, True])
@pytest.mark.parametrize("name", KNOWN)
def test_a_nest_runs_the_tapes_records_in_order_and_its_program_makes_their_values(
    name, written_out
):
    assert_nest_runs(tape_of(KNOWN[name][0], point_of(name, KNOWN[name][2][0])), written_out)


@pytest.mark.parametrize("written_out", [False, True])
@pytest.mark.seeds(24, 276)
def test_a_nest_of_a_random_program_does_too(seed, written_out):
    assert_nest_runs(tape_of(random_program(seed), np.linspace(-0.9, 1.1, 12)), written_out)


def assert_nest_runs(tape, written_out):
    root = loops_of(tape, written_out)
    expected = [k for k in range(1, len(tape)) if k not in set(tape.inputs.tolist())]
    assert list(slots_in_order(root, 0, {})) == expected
    for is_strict in (False, True):
        program = program_of(tape, root, is_strict)
        check(program, stored=True)
        *made, (_, results) = values_made(root, program, tape.value[tape.inputs])
        for slots, values in made:
            np.testing.assert_allclose(values, tape.value[slots], rtol=1e-13)
        assert results == pytest.approx([tape.value[tape.outputs[0]]], rel=1e-13)


# --- edges -------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [lambda x: 2.0, lambda x: x[1], lambda x: -x[0],
                                      lambda x: x[0] + x[1]])  # fmt: skip
def test_tapes_of_hardly_any_records(function):
    found = rolled(tape_of(function, np.array([1.0, 2.0])))
    assert found.n_lines == found.n_records <= 1
    assert str(found).splitlines()[-1].startswith("return ")


def test_a_long_tape_in_no_loops_says_so(monkeypatch):
    monkeypatch.setattr(nest, "MOST_NODES", 10)
    rng = np.random.default_rng(0)
    steps = [(np.sin, np.cos, np.tanh, np.exp)[k] for k in rng.integers(4, size=300)]

    def function(x):
        y = x[0]
        for step in steps:
            y = 0.1 * step(y) if step is np.exp else step(y)
        return y

    assert "in no loops" in str(rolled(tape_of(function, np.array([0.3]))))


def test_a_constant_power_that_differs_is_data():
    def function(x):
        total = 0.0
        for k in range(len(x)):
            total = total + x[k] ** (k + 1)
        return total

    text = str(rolled(tape_of(function, np.linspace(1.0, 2.0, 9))))
    assert "powi(x[" in text
    assert "c0[i]" in text
