"""The first minute with the library: a first gradient, Hessian and compiled gradient.

    python tests/bench/first_minute.py [another checkout ...]

The README's first example runs in fresh processes, from an empty cache and then from the cache
that this has filled, for this checkout and for others, in turn. Seconds are medians; beside the
time that passed is the processor's, which a busy machine doesn't lengthen as much. Ratios are to
the last checkout.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent.parent
STEPS = ("import", "gradient", "Hessian", "compiled")
SCRIPT = """
import json, sys, time
import numba, numpy as np
seconds = []
def timed(step):
    begin, of_processor = time.perf_counter(), time.process_time()
    result = step()
    seconds.append((time.perf_counter() - begin, time.process_time() - of_processor))
    return result
def load():
    global tg
    import tapegrad as tg
def loss(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
timed(load)
gradient = timed(lambda: tg.grad(loss)(np.zeros(5)))
hessian = timed(lambda: tg.hessian(loss)(np.ones(3)))
value, compiled = timed(lambda: tg.value_and_grad(loss).compiled(np.zeros(5)))(np.zeros(5))
assert gradient.tolist() == compiled.tolist() == [-2.0] * 4 + [0.0]
assert hessian.tolist() == [[802.0, -400.0, 0.0], [-400.0, 1002.0, -400.0], [0.0, -400.0, 200.0]]
print(json.dumps(seconds))
"""


def run(checkout, cache):
    """Return seconds and processor's seconds of the steps in a process of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "NUMBA_CACHE_DIR": str(cache),
                   "TAPEGRAD_QUIET": "1"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, cwd=cache, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("others", nargs="*", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    checkouts = [ROOT, *(path.resolve() for path in options.others)]
    runs = {(checkout, kind): [] for kind in ("empty", "warm") for checkout in checkouts}
    for _ in range(options.repeats):
        for checkout in checkouts:
            with tempfile.TemporaryDirectory() as cache:
                for kind in ("empty", "warm"):
                    runs[checkout, kind].append(run(checkout, cache))
    medians = {
        key: [tuple(median(r[step][k] for r in found) for k in (0, 1)) for step in range(4)]
        for key, found in runs.items()
    }
    print(f"{'seconds (processor)':<34}" + "".join(f"{step:>16}" for step in STEPS))
    for (checkout, kind), found in medians.items():
        cells = "".join(f"{f'{passed:.2f} ({used:.2f})':>16}" for passed, used in found)
        print(f"{f'{checkout.name}, {kind} cache':<34}{cells}")
        if len(checkouts) > 1 and checkout != checkouts[-1]:
            base = medians[checkouts[-1], kind]
            ratios = [f"{x[0] / y[0]:.2f} ({x[1] / y[1]:.2f})"
                      for x, y in zip(found, base, strict=True)]  # fmt: skip
            print(f"{'  ratio':<34}" + "".join(f"{ratio:>16}" for ratio in ratios))


if __name__ == "__main__":
    main()
