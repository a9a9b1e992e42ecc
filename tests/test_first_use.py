"""What a process compiles, and says of it, when it first needs it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import float64

import tapegrad as tg
from tapegrad import binding, jit, notice
from tapegrad import numba_internals as internals
from tapegrad.jit import Kernel
from tapegrad.notice import Notice
from tapegrad.ops import BY_NAME, OPS
from tapegrad.record import templates
from tapegrad.record.open_tape import OpenTape
from tapegrad.replay.programs import float_workspace, floats, workspace_length

ROOT = Path(__file__).parent.parent


def output_of(script, **environment):
    """What a fresh interpreter prints, and what it says on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


# --- rows that few tapes have ------------------------------------------------------------------


def test_a_rare_row_is_compiled_when_a_tape_first_has_it():
    script = """
import numpy as np, scipy.special, tapegrad as tg
from tapegrad import binding
from tapegrad.ops import CODE

def bound():
    return "".join("ny"[binding.is_bound(CODE[n])] for n in ("gammaln", "digamma", "iv"))

tg.grad(lambda x: np.sum(x**2))(np.ones(3))
print(bound())
gradient = tg.grad(lambda x: np.sum(scipy.special.gammaln(x)))
print(np.allclose(gradient(np.array([1.0, 2.0])), scipy.special.digamma([1.0, 2.0]), 1e-14))
print(bound())
"""
    assert output_of(script)[0] == ["nnn", "True", "yyn"]


def test_in_compiled_code_a_rare_row_is_there_before_the_code_runs():
    # Such code may run on threads that can't wait for Python.
    script = """
import math, numpy as np, tapegrad as tg
from numba import njit
from tapegrad import binding
from tapegrad.ops import BY_NAME

@njit
def function(x):
    return math.lgamma(x[0]) * x[1]

binding._compute = None  # what would compile it in the middle
x, of_two, out = np.array([2.0, 3.0]), np.empty(2), np.empty((2, 2))
names = "gammaln", "digamma", "polygamma", "iv", "scaled_erfc"
tg.value_and_grad(function).njit(x, of_two)
print("".join("ny"[binding.is_bound(BY_NAME[n].code)] for n in names))
tg.hessian(function).njit(x, out)
print("".join("ny"[binding.is_bound(BY_NAME[n].code)] for n in names))
print(round(of_two[0], 6), round(out[0, 0], 6), round(out[0, 1], 6))
"""
    wanted = ["yynnn", "yyynn", "1.268353", "1.934802", "0.422784"]
    assert output_of(script)[0] == wanted


def test_an_interrupt_while_a_row_is_compiled_comes_when_its_value_is_there(monkeypatch):
    code = BY_NAME["expit"].code
    real, calls = binding.bind, []

    def bind(code):
        calls.append(code)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return real(code)

    monkeypatch.setattr(binding, "bind", bind)
    interrupts = []
    monkeypatch.setattr(binding._thread, "interrupt_main", lambda: interrupts.append(len(calls)))
    assert binding._compute(code, 0.0) == 0.5
    assert interrupts == [2]
    assert calls == [code, code]


def test_a_row_that_can_not_be_compiled_is_nan_and_says_why(monkeypatch, capsys):
    def bind(code):
        raise MemoryError("none left")

    monkeypatch.setattr(binding, "bind", bind)
    assert np.isnan(binding._compute(BY_NAME["expit"].code, 0.0))
    assert "MemoryError: none left" in capsys.readouterr().err


# --- the cache ---------------------------------------------------------------------------------


def test_what_comes_from_the_cache_needs_nothing_that_numba_compiles_by():
    # Numba imports it when it first compiles, or loads code itself: most of a second.
    script = """
import pickle, sys
import numpy as np, tapegrad as tg
from tests.formulas import rosenbrock

gradient = tg.value_and_grad(rosenbrock)
handle = pickle.loads(pickle.dumps(gradient.compiled(np.zeros(3))))
for derivative in (gradient, handle):
    value, slope = derivative(np.array([1.0, 2.0, 4.0]))
    print(value, *slope.tolist())
print("numba.np.arraymath" in sys.modules)
"""
    output_of(script)
    lines = ["101.0", "-400.0", "202.0", "0.0"]
    assert output_of(script)[0] == [*lines, *lines, "False"]


# --- templates ---------------------------------------------------------------------------------


def interpreted(op, part, x, y, z, w):
    """A template's result, by the sweeps' own values of its operations."""
    values, _ = templates.places()
    values[[templates.X, templates.Y, templates.Z, templates.W]] = x, y, z, w
    for line in templates.LINES[templates.BOUNDS[op.code, 0] : templates.BOUNDS[op.code, part + 1]]:
        code, left, right, place = map(int, line)
        values[place] = float_value(code, values[left], values[right])
    return values[templates.RESULTS[op.code, part]]


def float_value(code, x, y):
    from tapegrad.record.active import evaluate

    return evaluate.run(code, x, y)


@pytest.mark.parametrize("op", [op for op in OPS if op.arity], ids=lambda op: op.name)
def test_a_template_has_the_bits_of_the_sweep(op):
    rng = np.random.default_rng(op.code)
    for _ in range(4):
        x, y = ([rng.uniform(*interval) for interval in op.domain] + [0.0])[:2]
        tape = OpenTape()
        slots = [tape.input(number) for number in (x, y)[: op.arity]]
        tape = tape.end([tape.append(op.code, *(slots + [0])[:2], 0.0)])
        value, swept = float_workspace(tape), np.empty(workspace_length(tape))
        floats.replay.run(tape.head, np.array([x, y][: op.arity]), value)
        products = np.empty(op.arity)
        floats.pullback.run(tape.head, np.array([-1.5]), value, swept, products)
        for k in range(op.arity):
            if op.partials[k] == "0":
                assert templates.RESULTS[op.code, k + 1] == templates.NONE
                assert products[k] == 0.0
            else:
                assert interpreted(op, k + 1, x, y, value[-1], -1.5) == products[k]


def test_a_tape_grows_in_the_middle_of_a_recorded_sweep():
    def long(x):
        for _ in range(700):
            x = np.sin(x) * 1.01
        return x

    second = tg.grad(tg.grad(long))
    h = 1e-5
    slope = (tg.grad(long)(0.3 + h) - tg.grad(long)(0.3 - h)) / (2 * h)
    assert second(0.3) == pytest.approx(slope, rel=1e-6)


# --- what compiled code calls by name ----------------------------------------------------------


def doubled(x):
    return 2.0 * x


def test_code_that_calls_a_symbol_finds_it_when_it_comes_from_a_cache(tmp_path):
    (tmp_path / "symbol_user.py").write_text(
        "from numba import float64\n"
        "from tapegrad.jit import Kernel, Symbol\n"
        "from tapegrad.rules import evaluate_float\n"
        "def inner(x):\n    return evaluate_float(2, x, x)\n"
        "square = Symbol('test_square', inner, float64(float64)).call\n"
        "def outer(x):\n    return square(x) + 1.0\n"
        "kernel = Kernel(outer, float64(float64))\n"
    )
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    script += "from symbol_user import kernel; print(kernel.run(3.0))"
    for _ in range(2):
        assert output_of(script)[0] == ["10.0"]


# --- what is said ------------------------------------------------------------------------------


class Expired:
    """A timer whose time is over as soon as it starts."""

    def __init__(self, seconds, function, args):
        self.start = lambda: function(*args)
        self.cancel = lambda: None


def said(capsys, monkeypatch, folder, wanted, times=1, quiet=""):
    monkeypatch.setenv("TAPEGRAD_QUIET", quiet)
    monkeypatch.setattr(notice.threading, "Timer", Expired)
    of_process = Notice()
    for _ in range(times):
        with of_process.compiling(folder, Path(wanted)):
            pass
    return capsys.readouterr().err


def test_long_compiling_is_said_once(capsys, monkeypatch):
    text = said(capsys, monkeypatch, "/a/b", "/a", times=3)
    assert text == "tapegrad: compiling its loops, once; they are cached in /a/b\n"


def test_long_compiling_is_silenced_by_the_environment(capsys, monkeypatch):
    assert said(capsys, monkeypatch, "/a/b", "/a", quiet="1") == ""


def test_a_folder_that_can_not_be_written_is_named(capsys, monkeypatch):
    text = said(capsys, monkeypatch, "/home/me/.cache", "/opt/tapegrad")
    assert text.endswith("in /home/me/.cache, since /opt/tapegrad can't be written\n")
    text = said(capsys, monkeypatch, None, "/opt/tapegrad")
    assert "set NUMBA_CACHE_DIR to a folder that can" in text


@pytest.mark.skipif(os.name != "posix", reason="permissions as Unix has them")
def test_the_temporary_folder_is_the_last_place_and_must_be_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(jit.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(internals.CacheContent, "_locator_classes", ())
    kernel = Kernel(doubled, float64(float64))
    assert kernel.run(4.0) == 8.0
    (folder,) = tmp_path.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert any(folder.rglob("*.nbc"))
    folder.chmod(0o777)  # anybody may have written what is there
    for file in folder.rglob("*.nbc"):
        file.unlink()
    assert Kernel(doubled, float64(float64)).run(4.0) == 8.0
    assert not any(folder.rglob("*.nbc"))
