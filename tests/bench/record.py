"""tapegrad's other figures: recording Python scalars, replaying from Python, starting up.

    python tests/bench/record.py

One line a figure, each with the bound it is held to. A new figure is a function that returns its
lines and a place in `FIGURES`.
"""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import autograd
import numpy as np
import timing
from workloads import ode, rosen

import tapegrad as tg
from tapegrad.replay.programs import floats

RUNS = 5
PROCESSES = 7
ROSEN_TERMS = 1000

# The loop, its point, and how many operations it records.
LOOPS = {
    "Lotka-Volterra": (ode.scalar_form, ode.workload().x, ode.OPERATIONS),
    "Rosenbrock": (rosen.scalar_form, rosen.start(ROSEN_TERMS + 1), 8 * ROSEN_TERMS),
}


def least_of_medians(call: timing.Call) -> float:
    """The least of three medians of several single calls, in seconds: other load only adds."""
    return min(median(timing.timed(call)[1] for _ in range(RUNS)) for _ in range(3))


def recording_scalars() -> list[str]:
    """Nanoseconds an operation of recording, beside autograd's gradient of the same loop."""
    lines = []
    for name, (loop, x, operations) in LOOPS.items():
        replayed = tg.value_and_grad(loop)
        replayed(x)
        replay = timing.seconds(partial(replayed, x), RUNS)
        first = least_of_medians(partial(first_call, loop, x))
        record = (first - replay) / operations * 1e9
        _, seconds = timing.timed(partial(autograd.value_and_grad(list_of(loop)), x))
        theirs = seconds / operations * 1e9
        lines.append(
            f"recording, {name} loop: {record:.0f} ns an operation (at most 500), "
            f"{theirs / record:.0f} times faster than HIPS autograd's gradient (at least 10)"
        )
    return lines


def first_call(loop: Callable[[Any], Any], x: Any) -> Any:
    """A gradient of a function never seen: it records."""
    return tg.value_and_grad(loop)(x)


def list_of(loop: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The loop over a list of scalars: autograd's array index would cost it a dense gradient."""
    return lambda x: loop([x[i] for i in range(x.size)])


def sweep_costs() -> list[str]:
    """Nanoseconds a record of the forward and the reverse sweep, and bytes a record."""
    sizes = (10**3, 10**4, 10**5, 10**6, 10**7)
    return [
        *(_sweep_cost("Rosenbrock", rosen.array_form, rosen.start(n // 8)) for n in sizes),
        _sweep_cost("Lotka-Volterra", ode.scalar_form, ode.workload().x),
    ]


def _sweep_cost(name: str, function: Callable[[Any], Any], x: Any) -> str:
    gradient = tg.value_and_grad(function)
    gradient(x)
    (recording,) = gradient.recorded.recordings
    tape = recording.tape
    workspace = recording.take_workspace()
    adjoints = np.empty(len(tape.inputs))
    forward = timing.seconds(lambda: floats.replay.run(tape.head, x, workspace.value), RUNS)
    reverse = timing.seconds(
        lambda: floats.pullback.run(tape.head, np.ones(1), *workspace, adjoints), RUNS
    )
    n = len(tape)
    in_nanoseconds = 1e9 / n
    return (
        f"sweeps, {name}, {n:,} records: forward {forward * in_nanoseconds:.2f} ns a record "
        f"(at most 1.5), reverse {reverse * in_nanoseconds:.2f} (at most 3), "
        f"{(tape.nbytes - tape.constants.nbytes) / n:.1f} bytes (17)"
    )


def replayed_gradient() -> list[str]:
    """Microseconds of a 10-variable Rosenbrock gradient called from Python."""
    gradient = tg.grad(rosen.array_form)
    x = rosen.start(10)
    gradient(x)
    best = timing.seconds(lambda: gradient(x), 3 * RUNS)
    return [f"replayed gradient, Rosenbrock of 10: {best * 1e6:.1f} us (at most 10)"]


def process_seconds(code: str) -> float:
    """Wall seconds of a fresh interpreter running `code`."""
    return timing.timed(lambda: subprocess.run([sys.executable, "-c", code], check=True))[1]


def importing() -> list[str]:
    """Seconds of `import tapegrad` beyond `import numba`, the two in turn."""
    pairs = [
        (process_seconds("import numba"), process_seconds("import tapegrad"))
        for _ in range(PROCESSES)
    ]
    numba, tapegrad = (median(column) for column in zip(*pairs, strict=True))
    return [
        f"import tapegrad: {tapegrad - numba:.2f} s beyond import numba (at most 0.2; "
        f"import numba {numba:.2f})"
    ]


FIRST_GRADIENT = """
import time
import numpy as np
import tapegrad as tg

def loss(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

start = time.perf_counter()
tg.grad(loss)(np.zeros(10))
print(time.perf_counter() - start)
"""


def second_process() -> list[str]:
    """Seconds to the first gradient after the imports, compiled code being cached on disk."""

    def first() -> float:
        command = [sys.executable, "-c", FIRST_GRADIENT]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    first()
    best = median(first() for _ in range(PROCESSES))
    return [f"first gradient in a second process: {best:.2f} s after the imports (at most 1)"]


FIGURES = (recording_scalars, sweep_costs, replayed_gradient, importing, second_process)


if __name__ == "__main__":
    timing.pin()
    for figure in FIGURES:
        print("\n".join(figure()), flush=True)
