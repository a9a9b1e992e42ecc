"""Figures of functions that Numba compiles: recording, gradients recorded afresh, compile times.

    python tests/bench/compiled.py

One line a figure, each with the bound it is held to.
"""

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numba
import numpy as np
import timing
from workloads import lj, ode

import tapegrad as tg
from tapegrad.embed import forms, pool
from tapegrad.function.recorded import RecordedFunction
from tapegrad.function.recording import record
from tapegrad.record.kinds import active
from tapegrad.record.numba.rewriting import twin

RUNS = 15
COMPILATIONS = 5

# The function, its point, and the most its gradient may take of its own time.
GRADIENTS = {
    "Lotka-Volterra, 1000 steps": (ode.scalar_form, ode.workload().x, 11),
    "Lennard-Jones, 64 atoms": (lj.scalar_form, lj.workload().x, 25),
}


def recording() -> list[str]:
    """Nanoseconds a record, in memory used before and in memory of a tape's own."""
    lines = []
    for name, (function, x, _) in GRADIENTS.items():
        compiled = numba.njit(function)
        call = RecordedFunction(compiled).sort((x,), {})
        n = len(record(compiled, *call).tape)
        again = timing.seconds(partial(recorder(compiled), x), RUNS)
        fresh = timing.seconds(partial(record, compiled, *call), RUNS)
        lines.append(
            f"recording, {name}: {n:,} records, {again / n * 1e9:.2f} ns each (at most 2.5); "
            f"{fresh / n * 1e9:.1f} where Python keeps the tape and the system has to map its pages"
        )
    n = len(RecordedFunction(numba.njit(ode.scalar_form)).recording(ode.workload().x).tape)
    lines.append(f"records a Lotka-Volterra step: {n / ode.STEPS:.0f} (at most 66)")
    return lines


def recorder(compiled: Any) -> Any:
    """A compiled function that records another one on a tape from the pool."""
    forms.provide(second_order=True)
    inner, finish = twin(compiled, active), pool.finish.external
    new_tape, inputs = forms._new_tape, forms._recorded_inputs

    @numba.njit
    def run(x: Any) -> None:
        address = new_tape()
        inner(inputs(address, x))
        finish(address)

    return run


def gradients() -> list[str]:
    """Value and gradient in compiled code as a ratio to the function's own time."""
    lines = []
    for name, (function, x, bound) in GRADIENTS.items():
        compiled = numba.njit(function)
        gradient = tg.value_and_grad(compiled).njit
        out = np.empty_like(x)
        ours, own = timing.in_turn(
            partial(gradient, x, out), partial(compiled, x), 4 * RUNS, limit=60.0
        )
        lines.append(f"value and gradient recorded afresh, {name}: {ours / own:.1f} times the "
                     f"function's {own * 1e6:.1f} us (at most {bound})")  # fmt: skip
    return lines


def compilation() -> list[str]:
    """Seconds that compiling for derivatives takes, beside Numba's own for floats."""
    lines = []
    for name, (function, x, _) in GRADIENTS.items():
        runs = [_compilation(function, x) for _ in range(COMPILATIONS)]
        own, recorded, embedded = (median(column) for column in zip(*runs, strict=True))
        lines.append(
            f"compiling, {name}: {own:.2f} s on floats, {recorded / own:.1f} times that to record "
            f"(at most 3), {embedded / own:.1f} times for the form called from compiled code"
        )
    return lines


def _compilation(function: Callable[[Any], Any], x: Any) -> tuple[float, float, float]:
    compiled = numba.njit(function)
    own = timing.timed(partial(compiled, x))[1]
    gradient = tg.value_and_grad(compiled)
    recorded = timing.timed(partial(gradient, x))[1] - timing.timed(partial(gradient, x))[1]
    out = np.empty_like(x)
    return own, recorded, timing.timed(lambda: gradient.njit(x, out))[1]


def main() -> None:
    """Print every figure, on one core."""
    timing.pin()
    for figure in (recording, gradients, compilation):
        for line in figure():
            print(line, flush=True)


if __name__ == "__main__":
    main()
