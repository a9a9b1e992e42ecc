"""The tape: appending, its end, what check finds."""

from __future__ import annotations

import gc
import math
import pickle
import weakref

import numpy as np
import pytest
from tapes import ADD, HERE, MULTIPLY, POSITIVE, SIN, gradient, small

import tapegrad as tg
from tapegrad import tape as tapes
from tapegrad.errors import InvalidTapeError, TapeEndedError, TapeMemoryError
from tapegrad.ops import CODE
from tapegrad.record.nesting import recording
from tapegrad.replay.programs import float_workspace, floats, workspace_length
from tapegrad.tape import Tape


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
    assert tape.sites[tape.guard_site[0]][0] == HERE.co_filename
    tg.check(tape)


def test_a_tape_appended_to_by_hand_is_swept():
    tape = Tape()
    x, y = tape.input(1.0), tape.input(1.0)
    tape.end([tape.append(MULTIPLY, tape.append(MULTIPLY, x, y, 1.0), x, 1.0)])
    failed, value, out = gradient(tape, 3.0, 5.0)
    assert (failed, value, out.tolist()) == (-1, 45.0, [30.0, 9.0])


@pytest.mark.parametrize("n", [0, 1, 61, 62, 63, 64, 65, 127, 128, 129, 1000])
def test_a_tape_grows_across_every_capacity(n):
    tape = Tape()
    x = tape.input(1.0)
    for k in range(n):
        x = tape.append(ADD, x, tape.constant(float(k)), 1.0 + k * (k + 1) / 2)
        tape.guard(x, 1.0 + k * (k + 1) / 2, HERE, 0)
        if k % 7 == 0:
            tape.flush()
    assert (len(tape.op), len(tape.constants), len(tape.guard_slot)) == (n + 2, n, n)
    tape.end([x])
    tg.check(tape)
    assert gradient(tape, 1.0)[:2] == (-1, 1.0 + n * (n - 1) / 2)
    assert tape.constants.tolist() == [float(k) for k in range(n)]


def test_columns_can_be_read_while_recording_goes_on():
    tape = Tape()
    x = tape.input(2.0)
    assert tape.value.tolist() == [0.0, 2.0]
    tape.append(SIN, x, 0, math.sin(2.0))
    assert len(tape.value) == 3
    tg.check(tape)


def test_a_block_of_inputs_stands_for_itself():
    tape = Tape()
    assert tape.input_block(np.array([1.0, 2.0, 3.0])).tolist() == [1, 2, 3]
    assert tape.input(4.0) == 4
    assert tape.input_block(np.empty(0)).tolist() == []
    tape.end([])
    assert tape.inputs.tolist() == [1, 2, 3, 4]
    assert tape.value[tape.inputs].tolist() == [1.0, 2.0, 3.0, 4.0]
    tg.check(tape)


def test_an_empty_tape_is_a_tape():
    tape = Tape()
    tape.end()
    tg.check(tape)
    assert (len(tape), len(tape.inputs), len(tape.outputs)) == (1, 0, 0)
    assert str(tape).split() == ["slot", "operation", "operands", "value"]
    assert "0 records, 0 inputs, 0 outputs, 0 guards" in repr(tape)
    assert len(pickle.loads(pickle.dumps(tape))) == 1
    value = float_workspace(tape)
    assert floats.replay.run(tape.head, np.empty(0), value) == -1


def test_an_output_may_be_an_input_a_constant_or_twice_the_same():
    tape = Tape()
    x = tape.input(2.0)
    c = tape.constant(5.0)
    tape.end([x, c, x])
    tg.check(tape)
    value, work = float_workspace(tape), np.empty(workspace_length(tape))
    out, adjoint = np.empty(3), np.empty(1)
    floats.replay.run(tape.head, np.array([3.0]), value)
    floats.results.run(tape.head, value, out)
    floats.pullback.run(tape.head, np.array([1.0, 10.0, 100.0]), value, work, adjoint)
    assert (out.tolist(), adjoint.tolist()) == ([3.0, 5.0, 3.0], [101.0])
    floats.pushforward.run(tape.head, np.array([4.0]), value, work, out)
    assert out.tolist() == [4.0, 0.0, 4.0]


def test_an_ended_tape_is_read_only_and_refuses_records():
    tape = small()
    for column in (tape.op, tape.a, tape.value, tape.constants, tape.guard_value, tape.inputs):
        with pytest.raises(ValueError, match="read-only"):
            column[...] = 0
    with pytest.raises(TapeEndedError, match="return it"):
        tape.append(SIN, 1, 0, 0.0)
    with pytest.raises(TapeEndedError):
        tape.constant(1.0)
    with pytest.raises(TapeEndedError):
        tape.input(1.0)
    with pytest.raises(TapeEndedError):
        tape.guard(1, 1.0, HERE, 0)
    assert len(tape) == 7
    tg.check(tape)


def test_a_tape_is_freed_with_its_last_reference():
    tape = small()
    gone = weakref.ref(tape)
    del tape
    gc.collect()
    assert gone() is None


def test_a_tape_left_by_an_exception_is_closed():
    with pytest.raises(ZeroDivisionError), recording() as tape:
        1 / 0  # noqa: B018
    assert not tape.is_open


def test_a_tape_that_would_be_too_long_says_so(monkeypatch):
    monkeypatch.setattr(tapes, "MAX_ENTRIES", 100)
    tape = Tape()
    x = tape.input(0.0)
    for _ in range(200):
        x = tape.append(POSITIVE, x, 0, 0.0)
    with pytest.raises(TapeMemoryError, match="shorter stretch"):
        tape.flush()
    assert issubclass(TapeMemoryError, MemoryError)


def test_compiled_code_that_can_not_grow_the_tape_says_so(monkeypatch):
    def f(x):
        return np.sum(np.sin(x))

    monkeypatch.setattr(tapes, "MAX_ENTRIES", 1000)
    with pytest.raises(TapeMemoryError, match="1,000"):
        tg.grad(f)(np.ones(900))
    monkeypatch.undo()
    np.testing.assert_allclose(tg.grad(f)(np.zeros(900)), np.ones(900))


def test_a_machine_without_memory_says_so(monkeypatch):
    tape = Tape()

    def full(*_):
        raise MemoryError

    monkeypatch.setattr(np, "empty", full)
    with pytest.raises(TapeMemoryError, match="no memory"):
        tape.reserve(0, 10**6)


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
    parts = tape._columns | {"inputs": tape.inputs, "outputs": tape.outputs}
    copies = {name: column.copy() for name, column in parts.items()}
    CORRUPTIONS[message](copies)
    tape.inputs, tape.outputs = copies.pop("inputs"), copies.pop("outputs")
    tape._columns = copies
    with pytest.raises(InvalidTapeError, match=message):
        tg.check(tape)


def test_check_shows_the_first_bad_record():
    tape = small()
    tape._columns["b"] = tape.b.copy()
    tape._columns["b"][5] = -9
    with pytest.raises(InvalidTapeError, match=r"slot 5\n(.*\n)+.*v5 +multiply") as caught:
        tg.check(tape)
    assert "v4" in str(caught.value)


def test_check_rejects_a_guard_that_read_a_nan():
    tape = Tape()
    x = tape.input(math.nan)
    tape.guard(x, math.nan, HERE, 0)
    tape.end([x])
    with pytest.raises(InvalidTapeError, match="fails at its own"):
        tg.check(tape)  # a NaN equals nothing: who reads one guards `isnan` of it


def programs():
    def loop(x):
        total = 0.0
        for k in range(len(x)):
            total = total + x[k] * (x[k - 1] if x[k] > 0 else 2.0)
        return total

    return {
        "loop": (loop, np.array([1.0, -1.0, 2.0])),
        "arrays": (lambda x: np.sum(np.exp(x)[:, None] @ x[None, :]), np.array([0.1, 0.2])),
        "sorted": (lambda x: np.sort(x)[1] * int(x[0]), np.array([3.0, 1.0, 2.0])),
        "nested": (lambda x: tg.grad(lambda y: np.sum(x * y**3))(x)[0], np.array([3.0, 1.0])),
        "index": (lambda x: x[int(x[0])] + round(x[1], 2), np.array([1.0, 0.123])),
        "constant": (lambda x: 3.0, np.array([1.0])),
    }


@pytest.mark.parametrize("name", programs())
def test_recorded_programs_are_good_tapes(name):
    function, x = programs()[name]
    derivative = tg.grad(function)
    derivative(x)
    for made in recordings_of(derivative):
        tg.check(made.tape)
        again = pickle.loads(pickle.dumps(made.tape))
        tg.check(again)
        assert str(again) == str(made.tape)


def recordings_of(derivative):
    return derivative.recorded.recordings
