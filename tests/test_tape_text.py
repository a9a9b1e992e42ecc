"""The tape: printing, weight, pickling, a million records, guards."""

from __future__ import annotations

import copy
import gc
import math
import pickle

import numpy as np
import pytest
from tapes import ADD, HERE, MULTIPLY, SIN, gradient, small
from test_tape import recordings_of

import tapegrad as tg
from tapegrad import listing as printing
from tapegrad.listing import listing
from tapegrad.replay.programs import float_workspace, floats
from tapegrad.tape import Tape


def test_the_listing_is_aligned_and_names_operands():
    lines = str(small()).splitlines()
    assert lines[0].split() == ["slot", "operation", "operands", "value"]
    assert [line.split() for line in lines[1:7]] == [
        ["x0", "input", "0.5"],
        ["x1", "input", "3"],
        ["v3", "multiply", "x0,", "x1", "1.5"],
        ["v4", "sin", "x0", "0.479425539"],
        ["v5", "multiply", "v4,", "2", "0.958851077"],
        ["v6", "add", "v3,", "v5", "2.45885108"],
    ]
    column = lines[0].index("value")
    assert all(line[column - 2 : column] == "  " for line in lines[1:7])
    assert all(line[column] != " " for line in lines[1:7])
    assert lines[7].startswith("guard v3 == 1.5  (")
    assert HERE.co_filename in lines[7]
    assert lines[8] == "outputs v6, 7"
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("n", [1, 30, 57, 58, 59, 60, 61, 62, 100, 5000])
def test_a_long_listing_is_shortened_in_the_middle(n):
    tape = Tape()
    x = tape.input(0.0)
    for k in range(1, n):
        x = tape.append(ADD, x, tape.constant(1.0), float(k))
    tape.end([x])
    lines = str(tape).splitlines()
    shown = [line for line in lines[1:-1] if not line.startswith("...")]
    assert shown[0].startswith("x0")
    assert shown[-1].startswith(f"v{n} " if n > 1 else "x0")
    hidden = [line for line in lines if line.startswith("...")]
    if hidden:
        assert hidden == [f"... {n - len(shown):,} more records"]
        assert len(shown) <= printing.MOST_LINES < n + 1
    else:
        assert len(shown) == n
    assert len(lines) <= printing.MOST_LINES + 3


def test_an_open_tape_is_listed_with_its_inputs_by_name():
    tape = Tape()
    x, y = tape.input(1.0), tape.input(2.0)
    tape.append(ADD, x, y, 3.0)
    assert [line.split()[0] for line in str(tape).splitlines()] == ["slot", "x0", "x1", "v3"]
    assert "x0, x1" in str(tape)


def test_chosen_records_are_listed():
    lines = listing(small(), [3, 6]).splitlines()
    assert [line.split()[0] for line in lines] == ["slot", "v3", "v6"]


def test_many_guards_and_outputs_are_shortened():
    tape = Tape()
    slots = [tape.input(float(k)) for k in range(200)]
    for k, slot in enumerate(slots):
        tape.guard(slot, float(k), HERE, 0)
    tape.end(slots)
    text = str(tape)
    assert "... 140 more guards" in text
    assert text.endswith(", ...")


def test_a_record_weighs_seventeen_bytes():
    tape = Tape()
    x = tape.input(1.0)
    for _ in range(9_998):
        x = tape.append(SIN, x, 0, 0.0)
    assert tape.nbytes == 17 * 10_000
    tape.constant(1.0)
    assert tape.nbytes == 17 * 10_000 + 8
    tape.guard(x, 0.0, HERE, 0)
    assert tape.nbytes == 17 * 10_000 + 8 + 16
    tape.end([x])
    assert tape.nbytes == 17 * 10_000 + 8 + 16
    assert sum(column.nbytes for column in tape._columns.values()) == tape.nbytes


def test_a_tape_survives_pickling():
    tape = small()
    again = pickle.loads(pickle.dumps(tape))
    for name in ("op", "a", "b", "value", "constants", "guard_slot", "guard_value", "guard_site",
                 "inputs", "outputs", "sites"):  # fmt: skip
        np.testing.assert_array_equal(getattr(again, name), getattr(tape, name))
    assert again.head.ctypes.data != tape.head.ctypes.data
    assert not again.is_open
    assert len(again) == len(tape)
    tg.check(again)
    value = float_workspace(again)
    assert floats.replay.run(again.head, np.array([0.5, 3.0]), value) == -1
    assert floats.replay.run(again.head, np.array([0.5, 4.0]), value) == 0


def test_a_copy_of_a_tape_outlives_the_original():
    tape = small()
    again = copy.deepcopy(tape)
    shallow = copy.copy(tape)
    expected = str(tape)
    del tape
    gc.collect()
    for other in (again, shallow):
        assert str(other) == expected
        assert floats.replay.run(other.head, np.array([0.5, 3.0]), float_workspace(other)) == -1


def test_an_open_tape_is_not_pickled():
    with pytest.raises(TypeError, match="ended"):
        pickle.dumps(Tape())


def test_a_million_records_from_an_array_have_the_closed_form_gradient():
    x = np.linspace(0.1, 1.0, 250_000)
    derivative = tg.value_and_grad(lambda x: np.sum(np.sin(x) * x + x))
    for point in (x, 2.0 * x):
        value, found = derivative(point)
        assert value == pytest.approx(np.sum(np.sin(point) * point + point), rel=1e-12)
        np.testing.assert_allclose(found, np.cos(point) * point + np.sin(point) + 1.0, rtol=4e-15)
    (made,) = recordings_of(derivative)
    assert len(made.tape) > 10**6
    assert made.tape.nbytes < 18 * len(made.tape)
    tg.check(made.tape)


def test_a_million_records_in_a_chain_have_the_closed_form_gradient():
    n = 10**6
    tape = Tape()
    x = tape.input(1.0)
    slot, c = x, tape.constant(1.0 + 1e-6)
    for _ in range(n):
        slot = tape.append(MULTIPLY, slot, c, 1.0)
    tape.end([slot])
    assert len(tape) == n + 2
    assert tape.nbytes == 17 * (n + 2) + 8
    failed, value, out = gradient(tape, 2.0)
    factor = math.exp(n * math.log1p(1e-6))
    assert failed == -1
    assert value == pytest.approx(2.0 * factor, rel=1e-9)
    assert out[0] == pytest.approx(factor, rel=1e-9)
    assert value == pytest.approx(2.0 * out[0], rel=1e-12)


def test_a_replay_names_the_first_guard_that_fails():
    tape = Tape()
    x, y = tape.input(1.0), tape.input(2.0)
    tape.guard(y, 2.0, HERE, 0)
    tape.guard(x, 1.0, HERE, 0)
    total = tape.append(ADD, x, y, 3.0)
    tape.guard(total, 3.0, HERE, 0)
    tape.end([total])
    value = float_workspace(tape)
    for point, failed in {(1.0, 2.0): -1, (9.0, 2.0): 1, (1.0, 9.0): 0, (9.0, 9.0): 0}.items():
        assert floats.replay.run(tape.head, np.array(point), value) == failed


def test_guards_of_one_line_share_a_site():
    derivative = tg.grad(lambda x: sum(v if v > 0 else -v for v in x))
    derivative(np.ones(50))
    (made,) = recordings_of(derivative)
    assert len(made.tape.guard_slot) == 50
    assert len({made.tape.sites[k] for k in made.tape.guard_site}) == 1
    assert made.tape.sites[made.tape.guard_site[0]][0] == __file__
    assert len(made.tape.sites) == 1
