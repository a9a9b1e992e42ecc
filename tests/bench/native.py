"""Figures of machine code: value and gradient, Hessian products, compile times, memory.

    python tests/bench/native.py

A line for each workload of plain loops, recorded from what Numba compiles. Times are ratios to the
function's own, medians of batches that alternate with it.
"""

from functools import partial
from statistics import median
from typing import Any

import numpy as np
import timing
from workloads import WORKLOADS
from workloads.workload import Workload

import tapegrad as tg
from tapegrad.codegen.compiled_tape import CompiledTape
from tapegrad.tape import Tape

RUNS = 31
COMPILATIONS = 5

# The most that value and gradient may take of the function's own time.
BOUNDS = {"rosen1000": 2.5, "ode": 2.5, "lj": 3.5, "gmm": 6.0}
OTHERS = ("rosen10", "rosen100000", "bs", "mc")
MOST_SECONDS = 0.5


def tape_of(w: Workload) -> Tape:
    """The workload's recording."""
    gradient = tg.value_and_grad(w.compiled, compile="never")
    gradient(w.x, *w.data)
    return gradient.recorded.recordings[0].tape


def ratio(call: Any, w: Workload) -> float:
    """A call's time as a multiple of the function's."""
    ours, own = timing.in_turn(call, partial(w.compiled, w.x, *w.data), RUNS, limit=60.0)
    return ours / own


def compiling(tape: Tape) -> tuple[float, float]:
    """Seconds to find the loops, and to make machine code of them."""
    CompiledTape(tape)
    programs = [CompiledTape(tape) for _ in range(COMPILATIONS)]
    machine = median(program.reverse.seconds for program in programs)
    return median(program.seconds for program in programs), machine


def line(name: str) -> str:
    """A workload's figures."""
    w = WORKLOADS[name]()
    fast = tg.value_and_grad(w.compiled).compiled(w.x, *w.data)
    value, gradient = fast(w.x)
    expected_value, expected = w.reference(w.x, *w.data)
    assert abs(value - expected_value) <= 1e-9 * abs(expected_value)
    assert np.max(np.abs(gradient - expected)) <= 1e-9 * np.max(np.abs(expected))
    tape = tape_of(w)
    strict, native = CompiledTape(tape, strict=True), CompiledTape(tape)
    inputs, seed = tape.value[tape.inputs].copy(), np.ones(1)
    direction, products = np.ones(len(inputs)), np.empty(native.product.n_products)
    roll, machine = compiling(tape)
    bound = f" (at most {BOUNDS[name]})" if name in BOUNDS else ""
    return (
        f"{name}: value and gradient {ratio(partial(fast, w.x), w):.2f}{bound}, strict "
        f"{ratio(partial(strict.reverse.run, inputs, seed, products[: len(inputs)]), w):.2f}, "
        f"tangent {ratio(partial(native.tangent.run, inputs, direction, np.empty(1)), w):.2f}, "
        f"Hessian product {ratio(partial(native.product.run, inputs, direction, products), w):.2f}"
        f" times the function; compiled in {roll:.2f} + {machine:.2f} s (at most {MOST_SECONDS}) "
        f"from {len(tape):,} records in {native.n_lines}; "
        f"{native.memory_bytes:,} bytes kept in a call, where a slot for each is {8 * len(tape):,}"
    )


if __name__ == "__main__":
    timing.pin()
    for name in (*BOUNDS, *OTHERS):
        print(line(name), flush=True)
