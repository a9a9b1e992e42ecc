"""Derivatives as functions of programs: what they print, and that every stage computes the same.

The oracle is the reference interpreter, and the sweeps: to the bit where a program is strict.
"""

import numpy as np
import pytest
from program_interpreter import run
from rolled_programs import KNOWN, point_of, random_program

import tapegrad as tg
from tapegrad.codegen.compiled_tape import Code, gradient_of, product_of
from tapegrad.program.alarm import alarmed
from tapegrad.program.check import check
from tapegrad.program.gathering import gathered
from tapegrad.program.io import decoded, digest, encoded
from tapegrad.program.reverse import reverse
from tapegrad.program.storage import stored
from tapegrad.program.tangent import tangent
from tapegrad.program.text import text
from tapegrad.record.active_sweeps import recorded_gradient
from tapegrad.replay.programs import float_workspace, floats, workspace_length
from tapegrad.roll import loops_of, program_of


def tape_of(function, x):
    gradient = tg.value_and_grad(function, compile="never")
    gradient(x)
    return gradient.recorded.recordings[0].tape


def rolled(tape, is_strict, written_out=True):
    return program_of(tape, loops_of(tape, written_out), is_strict)


def swept(tape, kind, inputs, vector):
    """Return the products of the Jacobian, by the sweeps."""
    value, work = float_workspace(tape), np.empty(workspace_length(tape))
    products = np.empty(len(tape.inputs if kind == "pullback" else tape.outputs))
    assert floats.replay.run(tape.head, inputs, value) < 0
    getattr(floats, kind).run(tape.head, vector, value, work, products)
    return products


def agree(found, expected, is_strict):
    if is_strict:
        np.testing.assert_array_equal(found, expected)
    else:
        scale = np.max(np.abs(expected), initial=1e-300)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11 * scale)


# --- what is printed ---------------------------------------------------------------------------


def total(x):
    s = 0.0
    for k in range(len(x) - 1):
        s = s + np.sin(x[k]) * x[k + 1]
    return s * s


def test_an_adjoint_is_a_program_that_a_person_reads():
    program = rolled(tape_of(total, np.linspace(0.1, 1.0, 6)), is_strict=False)
    assert (
        text(gradient_of(program, seed=1.0))
        == """\
v2 = 0
for i in range(5):
    v0 = sin(x[i])
    v0_kept[i] = v0
    v1 = v0 * x[i + 1]
    v2 = v2 + v1
v2_ended1 = v2
v3 = v2 * v2
y[0] = v3
v0_bar = 0
v1_bar = 0
v2_bar = 0
v3_bar = 0
v3_bar += 1
v2_bar += v3_bar * v2_ended1
v2_bar += v3_bar * v2_ended1
for i in reversed(range(5)):
    v0_again = v0_kept[i]
    v2_w = v2_bar
    v2_bar = 0
    v2_bar += v2_w
    v1_bar += v2_w
    v0_bar += v1_bar * x[i + 1]
    x_bar[i + 1] += v1_bar * v0_again
    v1_bar = 0
    x_bar[i] += v0_bar * cos(x[i])
    v0_bar = 0"""
    )


# --- every stage -------------------------------------------------------------------------------


def assert_stages(tape):
    x = tape.value[tape.inputs].copy()
    direction = np.cos(np.arange(len(x)) + 0.5)
    seed = np.array([0.75])
    gradient = swept(tape, "pullback", x, seed)
    moved = swept(tape, "pushforward", x, direction)
    product = swept(recorded_gradient(tape), "pushforward", x, direction)
    for is_strict in (True, False):
        program = rolled(tape, is_strict)
        before = encoded(program)
        backward = reverse(program)
        check(backward)
        stages = [backward, stored(backward), gradient_of(program)]
        if not is_strict:
            stages.append(stored(gathered(backward)))
        for stage in stages[1:]:
            check(stage, stored=True)
        for stage in stages:
            holds, results = run(stage, {"x": x, "y_bar": seed})
            assert holds
            agree(results["x_bar"], gradient, is_strict)
        forward = tangent(program)
        check(forward, stored=True)
        holds, results = run(alarmed(forward), {"x": x, "x_dot": direction})
        assert holds
        agree(results["y_dot"], moved, is_strict)
        for second in (
            tangent(stored(reverse(program, seed=1.0))),
            stored(tangent(reverse(program, seed=1.0))),
            product_of(program),
        ):
            check(second, stored=True)
            holds, results = run(second, {"x": x, "x_dot": direction})
            assert holds
            agree(results["x_bar_dot"], product, False)
        assert encoded(program) == before
        machine = Code(gradient_of(program))
        found = np.empty(machine.n_products)
        ok, _ = machine.run(x, seed, found)
        assert ok
        agree(found, gradient, is_strict)


@pytest.mark.parametrize("name", KNOWN)
def test_every_stage_of_a_program_computes_the_same(name):
    assert_stages(tape_of(KNOWN[name][0], point_of(name, KNOWN[name][2][0])))


@pytest.mark.seeds(6, 300)
def test_every_stage_of_a_random_program_does_too(seed):
    assert_stages(tape_of(random_program(seed), np.linspace(-0.9, 1.1, 12)))


def test_derivatives_are_saved_and_are_the_same_when_they_are_loaded():
    program = rolled(tape_of(total, np.linspace(0.1, 1.0, 6)), is_strict=True)
    for derivative in (program, reverse(program), gradient_of(program), product_of(program)):
        again = decoded(encoded(derivative))
        assert again == derivative
        assert digest(again) == digest(derivative)
        assert text(again) == text(derivative)


def test_what_runs_backward_has_a_tangent_and_no_reverse():
    program = rolled(tape_of(total, np.linspace(0.1, 1.0, 6)), is_strict=False)
    with pytest.raises(ValueError, match="its tangent"):
        reverse(gradient_of(program))
