"""Compiled functions over many calls and in other processes: memory, its end, and caches."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from numba import njit

import tapegrad as tg


def output_of(script, folder):
    """Return the lines that a fresh interpreter prints."""
    file = folder / "script.py"
    file.write_text(textwrap.dedent(script), encoding="utf-8")
    package = Path(tg.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(package)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def resident_bytes():
    resource = pytest.importorskip("resource", reason="memory is measured on Unix")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@njit
def recurrence(x, n):
    state, total = x[0], 0.0
    for _ in range(n):
        state = 0.5 * state + x[1] * x[0]
        total += state
    return total


def test_memory_kept_for_the_next_call_can_be_freed():
    x, out = np.array([0.3, 0.7]), np.empty(2)
    derivative = tg.value_and_grad(recurrence).njit
    value = derivative(x, 10_000, out)
    tg.compiled.free_tapes()
    assert derivative(x, 10_000, out) == value


@njit
def repeatedly(derivative, x, n, times, out):
    for _ in range(times):
        derivative(x, n, out)


def test_a_hundred_million_operations_do_not_leak():
    x, out, n = np.array([0.3, 0.7]), np.empty(2), 100_000
    derivative = tg.value_and_grad(recurrence).njit
    hessian, matrix = tg.hessian(recurrence).njit, np.empty((2, 2))
    repeatedly(derivative, x, n, 3, out)
    hessian(x, 1000, matrix)
    before = resident_bytes()
    repeatedly(derivative, x, n, 250, out)  # of four operations a step
    for _ in range(300):
        hessian(x, 1000, matrix)
    assert resident_bytes() - before < 20_000_000


def test_recording_from_python_again_and_again_does_not_leak():
    x = np.array([0.3, 0.7])
    derivative = tg.value_and_grad(recurrence)

    def record(times):
        for _ in range(times):
            derivative(x, 20_000)
            derivative.clear()

    record(5)
    before = resident_bytes()
    record(200)  # 270 MB of tapes
    assert resident_bytes() - before < 40_000_000


LONG = """
    import resource
    import numpy as np, tapegrad as tg
    from numba import njit

    @njit
    def recurrence(x, n):
        state = x[0]
        for _ in range(n):
            state = 0.5 * state + x[1] * x[0]
        return state

    x, out, matrix = np.array([0.3, 0.7]), np.empty(2), np.empty((2, 2))
    derivative, hessian = tg.value_and_grad(recurrence), tg.hessian(recurrence)
    first = derivative.njit(x, 50, out), derivative(x, 50)[0]
    hessian.njit(x, 50, matrix)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000,) * 2)
    for call in (lambda: derivative.njit(x, 10**8, out), lambda: derivative(x, 10**8),
                 lambda: hessian.njit(x, 10**7, matrix)):
        try:
            call()
        except tg.errors.TapeMemoryError as error:
            print(error)
    print(first == (derivative.njit(x, 50, out), derivative(x, 50)[0]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits its own memory as Linux does")
def test_without_memory_there_is_an_exception_that_names_the_size(tmp_path):
    *errors, works_afterwards = output_of(LONG, tmp_path)
    assert len(errors) == 3
    for error in errors:
        assert re.search(r"\d[\d,]{5,}", error), error
    assert works_afterwards == "True"


MODULE = """
    import math
    import numpy as np
    from numba import njit

    @njit(cache=True)
    def zeros(n):
        return np.zeros(n)

    @njit(cache=True)
    def model(x, k):
        y = zeros(len(x))
        for i in range(len(x)):
            y[i] = math.erf(x[i]) * math.sin(x[i]) ** k
        return np.sum(y[y > 0.1])
"""

USER = """
    import numpy as np, tapegrad as tg
    from model_of_user import model

    print(tg.grad(model)(np.array([0.3, 0.6, 0.9]), 2).tolist())
    print(sum(model.stats.cache_misses.values()))
    print(sum(model.stats.cache_hits.values()))
"""


def test_a_cached_function_is_loaded_in_a_second_process(tmp_path):
    (tmp_path / "model_of_user.py").write_text(textwrap.dedent(MODULE), encoding="utf-8")
    gradients, misses, hits = zip(*(output_of(USER, tmp_path) for _ in range(2)), strict=True)
    assert gradients[0] == gradients[1]
    assert misses[0] != "0"
    assert (misses[1], hits[1]) == ("0", "1")
