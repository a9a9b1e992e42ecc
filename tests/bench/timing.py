"""Timing on one core: pinning, medians of repeated runs, and two calls timed in turn.

Numbers of one process are comparable only with each other, so what is reported is a ratio: the
two calls alternate, and whatever slows the machine meanwhile slows both.
"""

import gc
import os
import time
from collections.abc import Callable
from statistics import median
from timeit import Timer
from typing import Any

Call = Callable[[], Any]

BATCH_SECONDS = 0.005

# What has to be in the environment before a library that starts threads is imported.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}


def pin() -> None:
    """Keep this process and its children on one core, where the platform can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def timed(call: Call) -> tuple[Any, float]:
    """A call's result and its seconds."""
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def seconds(call: Call, repeats: int) -> float:
    """The median seconds of one call over `repeats` batches."""
    number = _calls_in_a_batch(_batch(call, 1))
    return median(_batch(call, number) for _ in range(repeats))


def in_turn(call: Call, unit: Call, repeats: int, limit: float) -> tuple[float, float]:
    """The median seconds of `call` and of `unit`, batches of the two alternating.

    Stops early when `call` has used `limit` seconds: a call of several seconds is timed once.
    """
    call_times = [_batch(call, 1)]
    number, units = _calls_in_a_batch(call_times[0]), _calls_in_a_batch(_batch(unit, 1))
    unit_times = [_batch(unit, units)]
    spent = call_times[0]
    for _ in range(repeats):
        if spent > limit:
            break
        call_times.append(_batch(call, number))
        unit_times.append(_batch(unit, units))
        spent += call_times[-1] * number
    # The first, single call warmed the caches; it counts only where there is no other.
    return median(call_times[1:] or call_times), median(unit_times)


def _calls_in_a_batch(once: float) -> int:
    return max(1, round(BATCH_SECONDS / max(once, 1e-7)))


def _batch(call: Call, number: int) -> float:
    """Seconds of one call, the mean of `number` in a row, collecting garbage as users do."""
    return Timer(call, gc.enable).timeit(number) / number
