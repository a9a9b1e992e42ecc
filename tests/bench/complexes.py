"""Complex numbers between: gradients beside the functions' own time in NumPy and in Python.

python tests/bench/complexes.py [repeats]

Ratios of medians of calls in turn, on one core: value and gradient, swept and in machine code, of
the circuit of `examples/impedance.py` at 71 frequencies, of a ladder of circuits written with
Python's scalars, of a power of `tanh` and `arctan` of large arrays, which are blocks, and of a
solution of 100 complex equations.
"""

import functools
import os
import sys

import timing

os.environ.update(timing.ONE_THREAD)

import numpy as np  # after the number of threads is set

import tapegrad as tg

LIMIT = 5.0
RNG = np.random.default_rng(0)
FREQUENCIES = 2.0 * np.pi * np.logspace(5, -2, 71)
MATRIX = RNG.normal(size=(100, 100)) + 1j * RNG.normal(size=(100, 100))
SIDE = RNG.normal(size=100)


def circuit(p):
    """An electrode's impedance, its modulus squared and summed."""
    root = np.sqrt(1j * FREQUENCIES * p[5])
    faradaic = p[1] + p[4] * np.tanh(root) / root
    z = p[0] + 1.0 / (1.0 / faradaic + p[2] * (1j * FREQUENCIES) ** p[3])
    return np.sum(np.abs(z) ** 2)


def ladder(p):
    """The impedance of a hundred sections, at one frequency."""
    z = p[0] + 0j
    for _ in range(100):
        z = p[1] + 1.0 / (1.0 / z + 1j * p[2])
    return abs(z)


def blocks(p):
    """Functions that NumPy computes by whole arrays."""
    z = p[0] * np.linspace(0.1, 2.0, 10_000) + 1j * p[1]
    return np.sum(np.abs(np.tanh(z) * np.arctan(z)))


def equations(p):
    """A solution by its matrix and its right-hand side."""
    return np.sum(np.abs(np.linalg.solve(MATRIX + 1j * np.diag(p), SIDE * p)))


CASES = {
    circuit: np.array([4.8, 27.0, 2.1e-4, 0.86, 41.0, 3.4]),
    ladder: np.array([1.0, 0.1, 0.2]),
    blocks: np.array([0.7, 0.3]),
    equations: RNG.uniform(1.0, 2.0, 100),
}


def main(repeats: int = 50) -> None:
    """Print a line for each case."""
    for function, x in CASES.items():
        found = []
        for tier in ("never", "now"):
            gradient = tg.value_and_grad(function, compile=tier)
            gradient(x)
            gradient.wait()
            gradient(x)
            calls = functools.partial(gradient, x), functools.partial(function, x)
            took, unit = timing.in_turn(*calls, repeats, LIMIT)
            found.append(f"{'swept' if tier == 'never' else gradient.tier} {took / unit:.2f}")
        print(f"{function.__name__} ({unit * 1e6:.0f} us): " + ", ".join(found))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
