"""The fuzzer itself: its programs run, it finds nothing here, and it notices what is planted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fuzz.generator import program
from fuzz.oracles import Refused, Wrong, check
from fuzz.programs import Program, smaller
from fuzz.shrinking import shrunk

from tapegrad.ops import CODE
from tapegrad.record.open_tape import OpenTape

SEEDS = range(2, 12)

BODY = ["v = x[0] * x[1]", ("for i in range(3):", ["v += np.sin(v)"]), "w = x[2]", "return v + w"]
SINE = Program([("def f(x):", BODY)], size=4, is_analytic=False, is_compilable=False)


@pytest.fixture
def forgotten_sines(monkeypatch):
    """Every sine that is recorded is followed by a record that stops its derivative."""
    append = OpenTape.append

    def forgetful(tape, code, a, b, value):
        slot = append(tape, code, a, b, value)
        return append(tape, CODE["stop"], slot, 0, value) if code == CODE["sin"] else slot

    monkeypatch.setattr(OpenTape, "append", forgetful)


def test_programs_are_those_of_their_seeds_and_run():
    for seed in range(60):
        drawn = program(seed)
        assert drawn.text == program(seed).text
        x = np.linspace(-0.9, 1.1, drawn.size)
        with np.errstate(all="ignore"):
            assert isinstance(drawn.function()(x), float), drawn.text
    assert len({program(seed).text for seed in range(60)}) == 60


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_wrong_with_the_first_programs(seed):
    try:
        check(program(seed), seed, sweeps_only=True)
    except Refused as refusal:
        pytest.fail(str(refusal))


def test_a_planted_wrong_derivative_is_noticed(forgotten_sines):
    with pytest.raises(Wrong, match="by differences"):
        check(SINE, 0, sweeps_only=True)


def test_a_program_that_fails_is_shrunk_to_the_lines_that_matter(forgotten_sines):
    small = shrunk(SINE, 0, "gradient")
    assert "np.sin" in small.text
    assert small.text.count("\n") < SINE.text.count("\n")


def test_smaller_programs_leave_out_a_line_or_a_header():
    lines = ["a", ("b:", ["c", "d"])]
    assert list(smaller(lines)) == [
        [("b:", ["c", "d"])], ["a"], ["a", "c", "d"], ["a", ("b:", ["d"])], ["a", ("b:", ["c"])],
    ]  # fmt: skip


def test_the_tool_prints_its_seeds_and_counts():
    folder = Path(__file__).parent / "fuzz"
    command = [sys.executable, str(folder), "--seconds", "60", "--seed", "2", "--count", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == ["seeds 2 to 2", "     1 right"]
