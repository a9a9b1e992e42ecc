"""What machine code holds in memory: nothing of compiling it, nor of code that is unused."""

import gc
import subprocess
import sys
import weakref

import numpy as np
import pytest
from numba import njit

import tapegrad as tg

MOST_KILOBYTES = 16
"""What a compilation may leave behind; a pass manager that isn't freed leaves 30 to 140."""


@pytest.mark.skipif(sys.platform == "win32", reason="no peak of the memory to ask for")
def test_compiling_leaves_nothing_behind():
    code = """
import resource, sys
from tapegrad.codegen.engine import MachineCode
source = "define i64 @f(double* %x) {\\n  %y = load double, double* %x\\n  ret i64 0\\n}"
unit = 1 if sys.platform != "darwin" else 1024
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
for _ in range(40):
    MachineCode(source, "f")
before = peak()
for _ in range(200):
    MachineCode(source, "f")
print((peak() - before) / 200)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < MOST_KILOBYTES


def squares(x):
    total = 0.0
    for k in range(len(x)):
        total = total + x[k] * x[k]
    return total


X = np.linspace(0.5, 1.5, 12)


def engine_of(fast):
    return weakref.ref(fast._code.machine._engine)


def test_code_that_no_one_can_call_is_freed():
    gradient = tg.value_and_grad(squares)
    fast = gradient.compiled(X)
    engine = engine_of(fast)
    del gradient
    gc.collect()
    assert fast(X)[1].tolist() == (2.0 * X).tolist()
    del fast
    gc.collect()
    assert engine() is None


def test_cleared_recordings_are_freed_but_for_who_still_calls_them():
    gradient = tg.value_and_grad(squares)
    fast, other = gradient.compiled(X), gradient.compiled(X[:6])
    engines = engine_of(fast), engine_of(other)
    gradient.clear()
    del other
    gc.collect()
    assert engines[0]() is not None
    assert engines[1]() is None
    assert fast(X)[1].tolist() == (2.0 * X).tolist()


def test_compiled_code_may_outlive_what_it_was_compiled_with():
    def make():
        fast = tg.value_and_grad(squares).compiled(X)
        inside, engine = fast.njit, engine_of(fast)

        @njit
        def total(x, out):
            return inside(x, out) + out.sum()

        assert total(X, np.empty(12)) == pytest.approx(squares(X) + 2.0 * X.sum())
        return total, engine, fast.address

    called, engine, address = make()
    # As if the name it calls by had been given to something else since.
    called.py_func.__closure__[0].cell_contents = None
    gc.collect()
    assert engine() is not None
    assert address
    assert called(3.0 * X, np.empty(12)) == pytest.approx(9.0 * squares(X) + 6.0 * X.sum())
