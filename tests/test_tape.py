"""The tape: what it holds, what `check` states, how it prints, and what it survives."""

from __future__ import annotations

import copy
import dataclasses
import gc
import math
import pickle
import weakref

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import growth
from tapegrad import listing as printing
from tapegrad.errors import InvalidTapeError, TapeEndedError
from tapegrad.listing import listing
from tapegrad.ops import CODE
from tapegrad.record.open_tape import OpenTape
from tapegrad.replay.programs import float_workspace, floats, workspace_length
from tapegrad.tape import COLUMNS, Tape

ADD, MULTIPLY, SIN = CODE["add"], CODE["multiply"], CODE["sin"]
HERE = (lambda: 0).__code__


def small():
    """x0 * x1 + sin(x0) * 2, with a guard."""
    tape = OpenTape()
    x, y = tape.input(0.5), tape.input(3.0)
    product = tape.append(MULTIPLY, x, y, 1.5)
    sine = tape.append(SIN, x, 0, math.sin(0.5))
    twice = tape.append(MULTIPLY, sine, tape.constant(2.0), 2.0 * math.sin(0.5))
    total = tape.append(ADD, product, twice, 1.5 + 2.0 * math.sin(0.5))
    tape.guard(product, 1.5, HERE, 0)
    return tape.end([total, tape.constant(7.0)])


# --- appending ---------------------------------------------------------------------------------


def test_a_tape_holds_what_was_appended():
    tape = small()
    assert len(tape) == 7
    assert tape.op.tolist() == [CODE["passive"], CODE["input"], CODE["input"], MULTIPLY, SIN,
                                MULTIPLY, ADD]  # fmt: skip
    assert tape.a.tolist() == [0, 1, 2, 1, 1, 4, 3]
    assert tape.b.tolist() == [0, 0, 0, 2, 0, -1, 5]
    assert tape.value[3] == 1.5
    assert tape.constants.tolist() == [2.0, 7.0]
    assert tape.inputs.tolist() == [1, 2]
    assert tape.outputs.tolist() == [6, -2]
    assert tape.guard_slot.tolist() == [3]
    assert tape.sites[tape.guard_site[0]][0] == __file__
    tg.check(tape)


def test_what_was_recorded_so_far_can_be_read_while_recording_goes_on():
    tape = OpenTape()
    x = tape.input(2.0)
    before = tape.so_far()
    tape.append(SIN, x, 0, math.sin(2.0))
    assert tape.so_far().value.tolist() == [0.0, 2.0, math.sin(2.0)]
    assert before.value.tolist() == [0.0, 2.0]
    for one in (before, tape.so_far()):
        tg.check(one)
        assert (one.inputs.tolist(), one.outputs.tolist()) == ([1], [])


def test_a_block_of_inputs_stands_for_itself():
    tape = OpenTape()
    assert tape.input_block(np.array([1.0, 2.0, 3.0])).tolist() == [1, 2, 3]
    assert tape.input(4.0) == 4
    assert tape.input_block(np.empty(0)).tolist() == []
    tape = tape.end([])
    assert tape.inputs.tolist() == [1, 2, 3, 4]
    assert tape.value[tape.inputs].tolist() == [1.0, 2.0, 3.0, 4.0]
    tg.check(tape)


def test_an_empty_tape_is_a_tape():
    tape = OpenTape().end()
    tg.check(tape)
    assert (len(tape), len(tape.inputs), len(tape.outputs)) == (1, 0, 0)
    assert str(tape).split() == ["slot", "operation", "operands", "value"]
    assert "0 records, 0 inputs, 0 outputs, 0 guards" in repr(tape)
    assert len(pickle.loads(pickle.dumps(tape))) == 1
    value = float_workspace(tape)
    assert floats.replay.run(tape.head, np.empty(0), value) == -1


def test_an_output_may_be_an_input_a_constant_or_twice_the_same():
    tape = OpenTape()
    x = tape.input(2.0)
    c = tape.constant(5.0)
    tape = tape.end([x, c, x])
    tg.check(tape)
    value, work = float_workspace(tape), np.empty(workspace_length(tape))
    out, adjoint = np.empty(3), np.empty(1)
    floats.replay.run(tape.head, np.array([3.0]), value)
    floats.results.run(tape.head, value, out)
    floats.pullback.run(tape.head, np.array([1.0, 10.0, 100.0]), value, work, adjoint)
    assert (out.tolist(), adjoint.tolist()) == ([3.0, 5.0, 3.0], [101.0])
    floats.pushforward.run(tape.head, np.array([4.0]), value, work, out)
    assert out.tolist() == [4.0, 0.0, 4.0]


# --- the end -----------------------------------------------------------------------------------


def test_a_tape_is_read_only():
    tape = small()
    for column in (*tape.columns().values(), tape.inputs, tape.outputs, tape.head):
        with pytest.raises(ValueError, match="read-only"):
            column[...] = 0
    with pytest.raises(AttributeError):
        tape.outputs = tape.inputs
    tg.check(tape)


def test_an_open_tape_that_has_ended_refuses_records_and_holds_no_memory():
    tape = OpenTape()
    x = tape.input(2.0)
    ended = tape.end([x])
    with pytest.raises(TapeEndedError, match="return it"):
        tape.append(SIN, 1, 0, 0.0)
    with pytest.raises(TapeEndedError):
        tape.constant(1.0)
    with pytest.raises(TapeEndedError):
        tape.input(1.0)
    with pytest.raises(TapeEndedError):
        tape.guard(1, 1.0, HERE, 0)
    for again in (tape.end, tape.so_far):
        with pytest.raises(TapeEndedError, match="returned its tape"):
            again()
    assert not tape._columns
    assert not tape.head.any()
    assert len(ended) == len(tape) == 2
    assert ended.value.tolist() == [0.0, 2.0]


def test_compiled_code_finds_no_room_on_a_tape_that_has_ended():
    tape = OpenTape()
    tape.input(2.0)
    ended = tape.end()
    assert growth._grow(tape.address, 0, 1) == 0
    assert len(ended.op) == 2


def test_who_takes_an_open_tape_for_a_tape_is_told_the_way_out():
    tape = OpenTape()
    for name in (*COLUMNS, "inputs", "outputs"):
        with pytest.raises(AttributeError, match=r"tape = tape\.end\(outputs\)"):
            getattr(tape, name)
    assert repr(tape) == "<OpenTape: 0 records, 0 inputs>"


def test_columns_are_made_such_as_compiled_code_reads_them():
    tape = small()
    wide = {
        name: np.repeat(column.astype(float), 2)[::2] for name, column in tape.columns().items()
    }
    copied = Tape.from_columns(wide, [6, -2], tape.sites)
    assert str(copied) == str(tape)
    assert floats.replay.run(copied.head, np.array([0.5, 3.0]), float_workspace(copied)) == -1
    wrong = {
        "b": tape.b[1:],
        "value": tape.value.astype(np.float32),
        "a": np.repeat(tape.a, 2)[::2],
    }
    for name, column in wrong.items():
        with pytest.raises(ValueError, match=f"the column `{name}` must be 7 contiguous numbers"):
            dataclasses.replace(tape, **{name: column})


def test_a_tape_is_freed_with_its_last_reference():
    tape = small()
    gone = weakref.ref(tape)
    del tape
    gc.collect()
    assert gone() is None


# --- check -------------------------------------------------------------------------------------

CORRUPTIONS = {
    "operation is unknown": lambda t: t["op"].__setitem__(4, 250),
    "slot 0 alone is passive": lambda t: t["op"].__setitem__(3, CODE["passive"]),
    "slot 0 alone": lambda t: t["op"].__setitem__(0, ADD),
    "does not stand for itself": lambda t: t["a"].__setitem__(2, 1),
    "does not precede its record": lambda t: t["a"].__setitem__(3, 3),
    "not precede": lambda t: t["b"].__setitem__(3, 6),
    "operand does not precede": lambda t: t["b"].__setitem__(6, 1000),
    "operand is the passive slot": lambda t: t["a"].__setitem__(4, 0),
    "the passive slot: slot 6": lambda t: t["b"].__setitem__(6, 0),
    "constant beyond the pool": lambda t: t["b"].__setitem__(5, -3),
    "beyond the pool": lambda t: t["a"].__setitem__(3, -100),
    "unary operation has a second": lambda t: t["b"].__setitem__(4, 2),
    "no active operand": lambda t: t["a"].__setitem__(4, -1),
    "active record has no active": lambda t: t["a"].__setitem__(5, -2),
    "`inputs` are not": lambda t: t.__setitem__("inputs", np.array([1], np.int32)),
    "not the slots of the input records": lambda t: (
        t["op"].__setitem__(4, CODE["sin"]) or t["inputs"].__setitem__(slice(None), [2, 1])
    ),
    "output is beyond": lambda t: t["outputs"].__setitem__(0, 7),
    "an output is beyond the tape": lambda t: t["outputs"].__setitem__(1, -3),
    "guard reads no slot": lambda t: t["guard_slot"].__setitem__(0, 0),
    "reads no slot of the tape": lambda t: t["guard_slot"].__setitem__(0, 7),
    "guard's site is unknown": lambda t: t["guard_site"].__setitem__(0, 1),
    "site is unknown": lambda t: t["guard_site"].__setitem__(0, -1),
    "fails at its own": lambda t: t["guard_value"].__setitem__(0, 1.25),
}


@pytest.mark.parametrize("message", CORRUPTIONS)
def test_check_rejects_a_tape_that_breaks_an_invariant(message):
    tape = small()
    parts = tape.columns() | {"inputs": tape.inputs, "outputs": tape.outputs}
    copies = {name: column.copy() for name, column in parts.items()}
    CORRUPTIONS[message](copies)
    with pytest.raises(InvalidTapeError, match=message):
        tg.check(dataclasses.replace(tape, **copies))


def test_check_shows_the_first_bad_record():
    tape = small()
    b = tape.b.copy()
    b[5] = -9
    with pytest.raises(InvalidTapeError, match=r"slot 5\n(.*\n)+.*v5 +multiply") as caught:
        tg.check(dataclasses.replace(tape, b=b))
    assert "v4" in str(caught.value)


def test_check_rejects_a_guard_that_read_a_nan():
    tape = OpenTape()
    x = tape.input(math.nan)
    tape.guard(x, math.nan, HERE, 0)
    tape = tape.end([x])
    with pytest.raises(InvalidTapeError, match="fails at its own"):
        tg.check(tape)  # a NaN equals nothing: who reads one guards `isnan` of it


# --- printing ----------------------------------------------------------------------------------


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
    assert __file__ in lines[7]
    assert lines[8] == "outputs v6, 7"
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("n", [1, 30, 57, 58, 59, 60, 61, 62, 100, 5000])
def test_a_long_listing_is_shortened_in_the_middle(n):
    tape = OpenTape()
    x = tape.input(0.0)
    for k in range(1, n):
        x = tape.append(ADD, x, tape.constant(1.0), float(k))
    tape = tape.end([x])
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
    tape = OpenTape()
    x, y = tape.input(1.0), tape.input(2.0)
    tape.append(ADD, x, y, 3.0)
    text = str(tape.so_far())
    assert [line.split()[0] for line in text.splitlines()] == ["slot", "x0", "x1", "v3"]
    assert "x0, x1" in text


def test_chosen_records_are_listed():
    lines = listing(small(), [3, 6]).splitlines()
    assert [line.split()[0] for line in lines] == ["slot", "v3", "v6"]


def test_many_guards_and_outputs_are_shortened():
    tape = OpenTape()
    slots = [tape.input(float(k)) for k in range(200)]
    for k, slot in enumerate(slots):
        tape.guard(slot, float(k), HERE, 0)
    text = str(tape.end(slots))
    assert "... 140 more guards" in text
    assert text.endswith(", ...")


# --- pickling and copying ----------------------------------------------------------------------


def test_a_tape_survives_pickling():
    tape = small()
    again = pickle.loads(pickle.dumps(tape))
    for name in ("op", "a", "b", "value", "constants", "guard_slot", "guard_value", "guard_site",
                 "inputs", "outputs", "sites"):  # fmt: skip
        np.testing.assert_array_equal(getattr(again, name), getattr(tape, name))
    assert again.head.ctypes.data != tape.head.ctypes.data
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
        pickle.dumps(OpenTape())
