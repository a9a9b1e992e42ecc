"""The tape's growth: every capacity, its weight, its limits, and a million records."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import columns
from tapegrad.errors import TapeMemoryError
from tapegrad.ops import CODE
from tapegrad.record.nesting import recording
from tapegrad.record.open_tape import OpenTape
from tapegrad.replay.programs import float_workspace, floats, workspace_length

ADD, MULTIPLY, SIN, POSITIVE = CODE["add"], CODE["multiply"], CODE["sin"], CODE["positive"]
HERE = (lambda: 0).__code__


def gradient(tape, *point):
    value, work = float_workspace(tape), np.empty(workspace_length(tape))
    out = np.empty(len(tape.inputs))
    failed = floats.replay.run(tape.head, np.array(point), value)
    result = np.empty(1)
    floats.results.run(tape.head, value, result)
    floats.pullback.run(tape.head, np.ones(1), value, work, out)
    return failed, result[0], out


def test_a_tape_appended_to_by_hand_is_swept():
    tape = OpenTape()
    x, y = tape.input(1.0), tape.input(1.0)
    tape = tape.end([tape.append(MULTIPLY, tape.append(MULTIPLY, x, y, 1.0), x, 1.0)])
    failed, value, out = gradient(tape, 3.0, 5.0)
    assert (failed, value, out.tolist()) == (-1, 45.0, [30.0, 9.0])


@pytest.mark.parametrize("n", [0, 1, 61, 62, 63, 64, 65, 127, 128, 129, 1000])
def test_a_tape_grows_across_every_capacity(n):
    tape = OpenTape()
    x = tape.input(1.0)
    for k in range(n):
        x = tape.append(ADD, x, tape.constant(float(k)), 1.0 + k * (k + 1) / 2)
        tape.guard(x, 1.0 + k * (k + 1) / 2, HERE, 0)
        if k % 7 == 0:
            tape.flush()
    before = tape.so_far()
    tape = tape.end([x])
    for one in (before, tape):
        assert (len(one), len(one.constants), len(one.guard_slot)) == (n + 2, n, n)
    tg.check(tape)
    assert gradient(tape, 1.0)[:2] == (-1, 1.0 + n * (n - 1) / 2)
    assert tape.constants.tolist() == [float(k) for k in range(n)]


def test_a_tape_left_by_an_exception_is_closed():
    with pytest.raises(ZeroDivisionError), recording() as tape:
        1 / 0  # noqa: B018
    assert not tape.is_open


def test_a_tape_that_would_be_too_long_says_so(monkeypatch):
    monkeypatch.setattr(columns, "MAX_ENTRIES", 100)
    tape = OpenTape()
    x = tape.input(0.0)
    for _ in range(200):
        x = tape.append(POSITIVE, x, 0, 0.0)
    with pytest.raises(TapeMemoryError, match="shorter stretch"):
        tape.flush()
    assert issubclass(TapeMemoryError, MemoryError)


def test_compiled_code_that_can_not_grow_the_tape_says_so(monkeypatch):
    def f(x):
        return np.sum(np.sin(x))

    monkeypatch.setattr(columns, "MAX_ENTRIES", 1000)
    with pytest.raises(TapeMemoryError, match="1,000"):
        tg.grad(f)(np.ones(900))
    monkeypatch.undo()
    np.testing.assert_allclose(tg.grad(f)(np.zeros(900)), np.ones(900))


def test_a_machine_without_memory_says_so(monkeypatch):
    tape = OpenTape()

    def full(*_):
        raise MemoryError

    monkeypatch.setattr(np, "empty", full)
    with pytest.raises(TapeMemoryError, match="no memory"):
        tape.reserve(0, 10**6)


def test_a_record_weighs_seventeen_bytes():
    tape = OpenTape()
    x = tape.input(1.0)
    for _ in range(9_998):
        x = tape.append(SIN, x, 0, 0.0)
    assert tape.so_far().nbytes == 17 * 10_000
    tape.constant(1.0)
    assert tape.so_far().nbytes == 17 * 10_000 + 8
    tape.guard(x, 0.0, HERE, 0)
    ended = tape.end([x])
    assert ended.nbytes == 17 * 10_000 + 8 + 16
    assert not tape._columns


def test_a_million_records_in_a_chain_have_the_closed_form_gradient():
    n = 10**6
    tape = OpenTape()
    x = tape.input(1.0)
    slot, c = x, tape.constant(1.0 + 1e-6)
    for _ in range(n):
        slot = tape.append(MULTIPLY, slot, c, 1.0)
    tape = tape.end([slot])
    assert len(tape) == n + 2
    assert tape.nbytes == 17 * (n + 2) + 8
    failed, value, out = gradient(tape, 2.0)
    factor = math.exp(n * math.log1p(1e-6))
    assert failed == -1
    assert value == pytest.approx(2.0 * factor, rel=1e-9)
    assert out[0] == pytest.approx(factor, rel=1e-9)
    assert value == pytest.approx(2.0 * out[0], rel=1e-12)
