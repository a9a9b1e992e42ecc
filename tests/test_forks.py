"""Processes forked while another thread compiles: they finish, and compile on their own."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

PROGRAM = """
import os, signal, threading, warnings
import numpy as np, tapegrad as tg
from numba import njit
from tapegrad.function import tiers
from tapegrad.codegen.engine import MachineCode
warnings.simplefilter("ignore")
tiers.SECONDS_TO_COMPILE = tiers.SECONDS_TO_ROLL = 0.0
x = np.linspace(0.5, 1.0, 20)

def energy(x):
    total = 0.0
    for i in range(1, len(x)):
        for j in range(i):
            total += 1.0 / (0.1 + (x[i] - x[j]) ** 2)
    return total

def started(n=3):
    made = [tg.value_and_grad(energy) for _ in range(n)]
    for gradient in made:
        while gradient.tier in ("not recorded", "swept"):
            gradient(x)
    return made

expected = tg.value_and_grad(energy, compile="never")(x)

def check(found):
    assert abs(found[0] - expected[0]) < 1e-9 * abs(expected[0])
    assert np.allclose(found[1], expected[1], rtol=1e-9)

def in_a_child(work, *args):
    child = os.fork()
    if not child:
        signal.alarm(100)  # ends it, should it hang
        work(*args)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, work
"""

SCENARIOS = {
    "a call": """
def work(made):
    for gradient in made:
        check(gradient(x))
""",
    "waiting": """
def work(made):
    for gradient in made:
        assert gradient.wait(60.0) == "compiled", gradient.recorded.latest.tiers.reason
        check(gradient(x))
""",
    "compiled at once": """
def work(made):
    for gradient in made:
        check(gradient.compiled(x)(x))
""",
    "many calls": """
def work(made):
    for gradient in made:
        while gradient.tier != "compiled":
            check(gradient(x))
""",
}


def in_a_process(code):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM + code],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_child_does_everything_while_its_parent_compiles():
    """Of three that are being compiled, some are queued and one is at work."""
    in_a_process(
        "".join(f"{work}\nin_a_child(work, started())\n" for work in SCENARIOS.values())
        + "for gradient in started(): assert gradient.wait(60.0) == 'compiled'\n"
    )


def test_a_child_of_a_process_whose_other_threads_compile_and_free_code():
    in_a_process("""
ready, stop = threading.Event(), threading.Event()
source = "define i64 @f(double* %x) {\\n  ret i64 0\\n}"

def compile_and_free():
    while not stop.is_set():
        MachineCode(source, "f")
        njit("float64(float64)")(lambda x: 2.0 * x)
        ready.set()

thread = threading.Thread(target=compile_and_free)
thread.start()
ready.wait()

def work():
    check(tg.value_and_grad(energy).compiled(x)(x))
    assert njit(lambda x: 3.0 * x)(2.0) == 6.0

try:
    for _ in range(4):
        in_a_child(work)
finally:
    stop.set()
    thread.join()
""")
