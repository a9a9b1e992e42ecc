"""The sweeps over random programs, against each other and differences; and the cache on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numba import float64
from numba.core.caching import FunctionCache

import tapegrad as tg
from tapegrad import jit
from tapegrad import numba_internals as internals
from tapegrad.jit import Kernel, source_stamp
from tapegrad.ops import OPS
from tapegrad.record.active import binary, unary
from tapegrad.rows import ROW
from tapegrad.testing import extrapolated_difference

ROOT = Path(__file__).parent.parent

# Operations that are smooth wherever their operands are kept between -1 and 1, and their
# arguments shifted into the domain.
SMOOTH = [
    op for op in OPS
    if op.arity and not ROW[op.name].is_piecewise_constant and not op.kinks
    and op.name not in ("powi", "polygamma", "stop", "keep", "drop", "chain", "copysign",
                        "remainder", "fmod", "positive", "huber")  # its slope has a kink
    and (op.ufuncs or op.special)
]  # fmt: skip
SMOOTH += [op for op in OPS if op.name == "arctan2"]
N = 4


def into(x, low, high):
    """Squash a number between -1 and 1 into an interval."""
    return 0.5 * (low + high) + 0.45 * (high - low) * x


def apply(op, x, y):
    """An operation of two numbers between -1 and 1, squashed into the same interval again."""
    operands = [into(z, *interval) for z, interval in zip((x, y), op.domain, strict=False)]
    array = any(np.ndim(z) for z in operands)
    if array or not any(hasattr(z, "tape") for z in operands):
        result = ARRAY[op.name](*operands)
    else:
        result = unary(op.code, *operands) if op.arity == 1 else binary(op.code, *operands)
    return np.tanh(0.3 * result)


def _array_function(op):
    if op.ufuncs:
        return getattr(np, op.ufuncs[0])
    import scipy.special

    return getattr(scipy.special, op.special[0])


ARRAY = {op.name: _array_function(op) for op in SMOOTH}

step = st.tuples(st.sampled_from(SMOOTH), st.integers(0, 10**6), st.integers(0, 10**6))
programs = st.lists(step, min_size=1, max_size=12)
vectors = st.lists(st.floats(-0.9, 0.9), min_size=N, max_size=N).map(np.array)
quick = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def run(program, start):
    """The last value and a weighted sum of all: a program in straight lines."""
    numbers = list(start)
    for op, i, j in program:
        numbers.append(apply(op, numbers[i % len(numbers)], numbers[j % len(numbers)]))
    total = 0.0
    for k, number in enumerate(numbers):
        total = total + number * (1.0 / (k + 1.0))
    return total


def of_scalars(program):
    return lambda x: run(program, [x[k] for k in range(N)])


def of_arrays(program):
    return lambda x: np.sum(run(program, [x, x[::-1], x[:1] * x[1], 0.5 * x - 0.1]))


KINDS = {"scalars": of_scalars, "arrays": of_arrays}


def difference(function, x, direction):
    value, error = extrapolated_difference(
        lambda t: np.atleast_1d(function(x + t * direction)), step=0.01
    )
    return value[0], 20.0 * error[0] + 1e-8


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(program=programs, x=vectors, direction=vectors)
def test_forward_and_reverse_agree_with_each_other_and_with_differences(
    kind, program, x, direction
):
    function = KINDS[kind](program)
    value, tangent = tg.jvp(function, (x,), (direction,))
    also, gradient = tg.value_and_grad(function)(x)
    assert value == also == pytest.approx(float(function(x)), rel=1e-13, abs=1e-15)
    scale = np.abs(gradient) @ np.abs(direction)
    assert abs(tangent - gradient @ direction) <= 1e-13 * scale + 1e-300
    expected, error = difference(function, x, direction)
    assert abs(tangent - expected) <= error + 1e-7 * scale


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(program=programs, x=vectors, direction=vectors)
def test_second_derivatives_agree_in_all_orders_of_the_sweeps(kind, program, x, direction):
    function = KINDS[kind](program)
    gradient = tg.grad(function)
    product = tg.hvp(function)(x, direction)
    reverse = tg.grad(lambda x: np.dot(gradient(x), direction))(x)
    forward = tg.jvp(gradient, (x,), (direction,))[1]
    slope = tg.grad(lambda x: tg.jvp(function, (x,), (direction,))[1])(x)
    scale = 1e-11 * (np.max(np.abs(product)) + np.max(np.abs(gradient(x))) + 1e-3)
    for other in (reverse, forward, slope):
        np.testing.assert_allclose(other, product, rtol=0.0, atol=scale)
    k = int(np.argmax(np.abs(product)))
    expected, error = difference(lambda x: gradient(x)[k], x, direction)
    assert abs(product[k] - expected) <= error + 1e-6 * (abs(expected) + 1e-3)


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(program=programs, points=st.lists(vectors, min_size=2, max_size=4))
def test_a_replay_elsewhere_is_bit_for_bit_a_fresh_recording(kind, program, points):
    function = KINDS[kind](program)
    replayed = tg.value_and_grad(function)
    for x in points:
        value, gradient = replayed(x)
        fresh = tg.value_and_grad(lambda x: function(x))(x)
        assert value == fresh[0]
        np.testing.assert_array_equal(gradient, fresh[1])
        tg.check(replayed.recorded.recordings[0].tape)
    assert len(replayed.recorded.recordings) == 1


# --- the cache on disk -------------------------------------------------------------------------

PROGRAM = """
import math
import numpy as np
from numba.core import event
from tapegrad.ops import CODE
from tapegrad.record.active import evaluate
from tapegrad.replay.programs import float_workspace, floats
from tapegrad.record.open_tape import OpenTape

compiled = []

class Listener(event.Listener):
    def on_start(self, event): compiled.append(event.data["dispatcher"].py_func.__module__)
    def on_end(self, event): pass

event.register("numba:compile", Listener())
assert evaluate.run(CODE["power"], 2.0, 3.0) == 8.0
tape = OpenTape()
x = tape.input(2.0)
tape = tape.end([x, x])
value, out = float_workspace(tape), np.empty(2)
value[1] = 5.0
floats.results.run(tape.head, value, out)
assert out.tolist() == [5.0, 5.0]
print(len([name for name in compiled if name.startswith("tapegrad")]))
"""


def in_a_process(cache):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        capture_output=True, text=True, env=environment, cwd=ROOT, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.fixture(scope="module")
def filled_cache(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    assert in_a_process(cache) > 0
    return cache


def test_a_second_process_compiles_nothing(filled_cache):
    assert any(filled_cache.rglob("*.nbc"))
    assert in_a_process(filled_cache) == 0


@pytest.fixture
def misses(make_module, tmp_path, monkeypatch):
    """Run a small kernel that is cached in a folder; return how often it had to be compiled."""
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path / "cache"))
    module = make_module("tg_small_kernel", "def ninefold(x):\n    return 9.0 * x\n")

    def run():
        kernel = Kernel(module.ninefold, float64(float64))
        assert kernel.run(3.0) == 27.0
        return sum(kernel._dispatcher.stats.cache_misses.values())

    return run


DAMAGES = {
    "emptied": lambda content: b"",
    "cut short": lambda content: content[: len(content) // 2],
    "overwritten": lambda content: b"\x80\x04garbage" + content[10:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_made_again(misses, tmp_path, damage):
    assert (misses(), misses()) == (1, 0)
    files = list(tmp_path.rglob("*.nbc"))
    assert files
    for file in files:
        file.write_bytes(DAMAGES[damage](file.read_bytes()))
    assert (misses(), misses()) == (1, 0)


def test_a_cache_directory_that_can_not_be_made_is_done_without(misses, tmp_path, monkeypatch):
    blocked = tmp_path / "a file where the directory should be"
    blocked.write_text("")
    monkeypatch.setattr("numba.config.CACHE_DIR", str(blocked / "cache"))
    assert misses() == 1
    assert blocked.read_text() == ""


def sevenfold(x):
    return 7.0 * x


def test_a_kernel_works_where_no_directory_is_writable(monkeypatch):
    monkeypatch.setattr(internals.CacheContent, "_locator_classes", ())
    monkeypatch.setattr(jit, "_temporary_folder", lambda file: None)
    kernel = Kernel(sevenfold, float64(float64))
    assert kernel.run(3.0) == kernel.run(3.0) == 21.0


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13)])
def test_a_kernel_works_where_the_disk_is_full_or_read_only(monkeypatch, error):
    def refuse(*_):
        raise error

    monkeypatch.setattr(FunctionCache, "save_overload", refuse)
    kernel = Kernel(sevenfold, float64(float64))
    assert kernel.run(3.0) == kernel.run(3.0) == 21.0


@pytest.mark.parametrize(
    ("root", "changed", "is_inside"),
    [
        ("tapegrad.replay.programs", "special/error.py", True),
        ("tapegrad.replay.programs", "rules.py", True),
        ("tapegrad.replay.programs", "memory.py", True),
        ("tapegrad.replay.programs", "explained.py", False),
        ("tapegrad.record", "record/numba/scalars.py", False),
        ("tapegrad.record.numba", "record/numba/scalars.py", True),
        ("tapegrad.record.numba", "special/error.py", True),
        ("tapegrad.record.numba", "record/expressions.py", True),
    ],
)
def test_a_cache_is_stamped_with_every_source_it_is_made_of(monkeypatch, root, changed, is_inside):
    def stamp():
        jit.source_stamp.cache_clear()
        jit._digest_and_imports.cache_clear()
        return source_stamp(root)

    before = stamp()
    read = Path.read_bytes
    with monkeypatch.context() as patch:
        path = ROOT / "tapegrad" / changed
        patch.setattr(Path, "read_bytes", lambda p: read(p) + b"#" * (p == path))
        assert (stamp() != before) == is_inside
    assert stamp() == before
