"""What is said and logged of long work: recording, finding loops, compiling."""

from __future__ import annotations

import io
import logging
import threading
from contextlib import nullcontext

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import progress
from tapegrad.codegen import compiled_tape
from tapegrad.errors import NotCompilableError
from tapegrad.function import tiers

FACTOR = 2.0


class Screen(io.StringIO):
    """A stream that says when it's written to."""

    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal, self.is_written = is_terminal, threading.Event()

    def isatty(self):
        return self.is_terminal

    def flush(self):
        self.is_written.set()


def terminal(monkeypatch):
    """A terminal, on which work is reported at once; made in a test, as pytest captures stderr."""
    shown = Screen(is_terminal=True)
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "PERIOD", 0.001)
    monkeypatch.delenv("TAPEGRAD_QUIET")
    return shown


def energy(x):
    total = 0.0
    for i in range(1, len(x)):
        for j in range(i):
            total += 1.0 / (0.1 + (x[i] - x[j]) ** 2)
    return total


def test_a_terminal_shows_how_far_a_long_recording_is(monkeypatch):
    screen = terminal(monkeypatch)

    def patient(x):
        y = x * x
        screen.is_written.clear()
        assert screen.is_written.wait(60.0)
        return y + 1.0

    assert tg.grad(patient)(3.0) == 6.0
    assert "tapegrad: recording test_a_terminal" in screen.getvalue()
    assert "patient, 3 operations so far, for 0 s\n" in screen.getvalue()


def test_where_nobody_looks_and_where_silence_is_wanted_no_thread_looks_either(monkeypatch):
    screen = terminal(monkeypatch)

    def watched(x):
        names = [thread.name for thread in threading.enumerate()]
        assert "tapegrad_progress" in names or not is_watched
        assert progress.progress._works or not is_watched
        return x * x

    is_watched = True
    assert tg.grad(watched)(3.0) == 6.0
    is_watched = False
    monkeypatch.setenv("TAPEGRAD_QUIET", "1")
    with progress.progress.of(lambda: "work"):
        assert not progress.progress._works
    monkeypatch.delenv("TAPEGRAD_QUIET")
    screen.is_terminal = False
    with progress.progress.of(lambda: "work"):
        assert not progress.progress._works


def test_finding_loops_and_compiling_are_work_too(monkeypatch):
    described = []

    class Watching:
        def of(self, describe):
            described.append(describe())
            return nullcontext()

    monkeypatch.setattr(tiers, "progress", Watching())
    tg.value_and_grad(energy).compiled(np.linspace(0.0, 1.0, 8))
    looking, compiling = described
    assert looking.startswith("finding loops in the ")
    assert looking.endswith(" records of energy")
    assert compiling.startswith("compiling gradients of energy, ")
    assert " records in 2 loops" in compiling


def messages(caplog, level=logging.INFO):
    found = [r.getMessage() for r in caplog.records if r.name == "tapegrad" and r.levelno >= level]
    caplog.clear()
    return found


def test_the_log_says_what_is_recorded_and_why(caplog):
    global FACTOR

    def chosen(x):
        if x > 0.0:
            return FACTOR * x
        return -x

    with caplog.at_level(logging.DEBUG, "tapegrad"):
        derivative = tg.grad(chosen)
        assert derivative(1.0) == 2.0
        (first,) = messages(caplog)
        assert "chosen is recorded, since it's called with such arguments first: " in first
        assert " 1 guards, in " in first
        assert derivative(2.0) == 2.0
        assert messages(caplog) == []
        assert derivative(-1.0) == -1.0
        failed, again = messages(caplog, logging.DEBUG)
        line = chosen.__code__.co_firstlineno + 1
        assert failed.endswith(f"at {__file__}:{line} finds 0")
        assert f"again, since a guard fails at {__file__}:{line}" in again
        FACTOR = 3.0
        try:
            assert derivative(1.0) == 3.0
        finally:
            FACTOR = 2.0
        (changed,) = messages(caplog)
        assert "since 'FACTOR', which it reads, has changed" in changed
        derivative.clear()
        assert derivative(1.0) == 2.0
        (cleared,) = messages(caplog)
        assert "since its recordings were cleared" in cleared


def test_the_log_says_which_functions_among_the_arguments_changed(caplog):
    table = {"scale": 2.0}

    def scaled(x, function):
        return function(x) * 3.0

    def function(x):
        return table["scale"] * x

    derivative = tg.grad(scaled)
    with caplog.at_level(logging.INFO, "tapegrad"):
        assert derivative(1.0, function) == 6.0
        messages(caplog)
        table["scale"] = 4.0
        assert derivative(1.0, function) == 12.0
    (changed,) = messages(caplog)
    assert "which an argument reads, has changed" in changed
    assert "table" in changed


def test_the_log_says_what_is_compiled_and_what_is_refused_and_why(caplog, monkeypatch):
    x = np.linspace(0.0, 1.0, 8)
    with caplog.at_level(logging.DEBUG, "tapegrad"):
        derivative = tg.value_and_grad(energy, compile="now")
        derivative(x)
        derivative(x)
        compiled = [m for m in messages(caplog) if "compiled in" in m]
        assert len(compiled) == 1
        assert compiled[0].startswith("gradients of energy are compiled in ")
        assert "s of them for LLVM" in compiled[0]
        assert " records in 2 loops" in compiled[0]

        monkeypatch.setattr(compiled_tape, "MOST_RECORDS", 2)
        with pytest.raises(NotCompilableError) as caught:
            tg.value_and_grad(energy).compiled(x)
    refused = [m for m in messages(caplog) if "can't be compiled" in m]
    assert len(refused) == 1
    assert refused[0].endswith(f"can't be compiled: {caught.value}")
