"""Derivatives in other processes: how long until one that was sent there has run.

    python tests/bench/processes.py

A process pool of each start method, joblib, and dask.distributed's LocalCluster run one
derivative, unwrapped, whose results are compared; then a compiled one is sent to a worker that
has imported the package, and the seconds are those from there until its first call has returned,
beside those of the second call. Kernels come from the cache, which a first round fills.
"""

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from statistics import median

import cloudpickle
import joblib
import numpy as np
from distributed import Client, LocalCluster

import tapegrad as tg

WORKERS = 2


def loss(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def arrival(data, x):
    """Return the seconds until a derivative that came as bytes has run, those of another call, and
    the gradient.
    """
    import tapegrad  # noqa: F401  # what comes after it is measured

    times = [time.perf_counter()]
    derivative = cloudpickle.loads(data)
    for _ in range(2):
        _, gradient = derivative(x)
        times.append(time.perf_counter())
    return times[1] - times[0], times[2] - times[1], gradient


@contextmanager
def pool(method):
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(WORKERS, mp_context=context) as executor:
        yield lambda function, *rows: list(executor.map(function, *rows))


@contextmanager
def with_joblib():
    with joblib.Parallel(n_jobs=WORKERS) as parallel:
        yield lambda f, *rows: parallel(joblib.delayed(f)(*row) for row in zip(*rows, strict=True))
    joblib.externals.loky.get_reusable_executor().shutdown()


@contextmanager
def dask():
    cluster = LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        yield lambda function, *rows: client.gather(client.map(function, *rows, pure=False))


def ways():
    for method in multiprocessing.get_all_start_methods():
        yield f"process pool, {method}", lambda method=method: pool(method)
    yield "joblib", with_joblib
    yield "dask.distributed", dask


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rows = [np.linspace(0.0, 1.0 + k, 100) for k in range(4)]
    derivative = tg.value_and_grad(loss)
    expected = [derivative(row) for row in rows]
    handle = derivative.compiled(rows[0])
    sent = cloudpickle.dumps(handle)
    print(f"{len(sent):,} bytes are sent; seconds after the import")
    print(f"{'':<28}{'first call':>12}{'second':>12}")
    for name, way in ways():
        firsts, seconds = [], []
        for repeat in range(options.repeats + 1):
            with way() as run:
                first, second, gradient = run(arrival, [sent], [rows[0]])[0]
                assert np.allclose(gradient, expected[0][1], rtol=1e-13)
                for found, wanted in zip(run(derivative, rows), expected, strict=True):
                    assert found[0] == wanted[0]
                    assert np.array_equal(found[1], wanted[1])
            if repeat:
                firsts.append(first)
                seconds.append(second)
        print(f"{name:<28}{median(firsts):>12.3f}{median(seconds):>12.6f}", flush=True)


if __name__ == "__main__":
    main()
