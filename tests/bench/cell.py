"""One cell of the table: one peer on one workload, in a process of its own.

`python cell.py PEER WORKLOAD REPEATS` prints a JSON object: the median seconds of the derivative
and of the function itself, the seconds to the first derivative, and the relative error; or the
reason why there are none. A process for each cell keeps one tool's threads, caches and memory
from another, and can be ended when it takes too long.
"""

import importlib.util
import json
import sys
from functools import partial
from typing import Any

import numpy as np
import peers
import timing
from workloads import WORKLOADS

LIMIT_SECONDS = 3.0
TOLERANCE = 1e-8


def relative_error(result: Any, expected: Any) -> float:
    """The largest difference, relative to the largest entry."""
    expected = np.asarray(expected)
    result = np.asarray(result, dtype=float)
    if result.shape != expected.shape:
        raise ValueError(f"a result of shape {result.shape}; {expected.shape} was expected")
    return float(np.max(np.abs(result - expected)) / np.max(np.abs(expected)))


def measure(peer: str, workload_name: str, repeats: int) -> dict[str, Any]:
    """What a cell shows, or {"reason": why it shows nothing}."""
    known = peers.PEERS[peer]
    if importlib.util.find_spec(known.package) is None:
        return {"reason": f"{known.package} is not installed"}
    workload = WORKLOADS[workload_name]()
    form = known.forms().get(workload.family)
    if form is None:
        return {"reason": "no form written"}

    def build() -> tuple[timing.Call, Any]:
        call = form(workload)
        return call, call()

    (call, (value, derivative)), first = timing.timed(build)
    expected_value, expected = workload.reference(workload.x, *workload.data)
    error = max(relative_error(value, expected_value), relative_error(derivative, expected))
    if not error < TOLERANCE:
        return {"reason": f"wrong: {error:.1e} off the reference"}

    unit = partial(workload.compiled, workload.x, *workload.data)
    unit()
    time, unit_time = timing.in_turn(call, unit, repeats, LIMIT_SECONDS)
    return {"seconds": time, "unit": unit_time, "first": first, "error": error}


if __name__ == "__main__":
    timing.pin()
    print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
