"""What it costs a call to look whether anything that a function closes over has changed.

    python tests/bench/environment.py

One line a kind of thing, in microseconds, with the bound it's held to where there is one. A new
figure is an entry of `FUNCTIONS`.
"""

import collections
import ctypes
import random
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas
import scipy.sparse
import timing
from workloads import rosen

from tapegrad.function.environment import Environment

REPEATS = 15
Function = Callable[[Any], Any]


def eight_floats() -> Function:
    """Eight closure variables."""
    a, b, c, d, e, f, g, h = (float(k) for k in range(8))
    return lambda x: x * (a + b + c + d + e + f + g + h)


class Small:
    """An object of four attributes and two methods."""

    def __init__(self) -> None:
        self.a, self.b, self.c, self.name = 1.0, 2.0, [3.0, 4.0], "small"

    @property
    def rate(self) -> float:
        """A number that code gives."""
        return self.a

    def value(self, x: Any) -> Any:
        """What a helper asks for."""
        return self.a * x + self.b + self.c[0]


def helper(thing: Any, x: Any) -> Any:
    """Use a thing as a whole."""
    return thing.value(x)


def small_object() -> Function:
    """An object given to a helper."""
    small = Small()
    return lambda x: helper(small, x)


def reading(held: Any) -> Function:
    """A function that reads something as a whole."""
    return lambda x: x if held is None else 2.0 * x


def property_of_object() -> Function:
    """A chain that runs code."""
    small = Small()
    return lambda x: small.rate * x


FUNCTIONS = {
    "Rosenbrock's function": (lambda: rosen.array_form, 0.25),
    "eight floats": (eight_floats, 0.3),
    "a small object": (small_object, 9.0),
    "a property": (property_of_object, None),
    "an array of 80 bytes": (lambda: reading(np.arange(10.0)), None),
    "an array of 800 kB": (lambda: reading(np.arange(1e5)), None),
    "an array of 800 kB, transposed": (lambda: reading(np.ones((250, 400)).T), None),
    "an array of 800 kB, every other number": (lambda: reading(np.ones(200_000)[::2]), None),
    "a list of 100 floats": (lambda: reading([float(k) for k in range(100)]), None),
    "a mapping proxy": (lambda: reading(types.MappingProxyType({"a": 1.0})), None),
    "a named tuple": (lambda: reading(collections.namedtuple("Pair", "a b")(1.0, 2.0)), None),
    "an iterator": (lambda: reading(iter([1.0, 2.0])), None),
    "a ctypes number": (lambda: reading(ctypes.c_double(1.0)), None),
    "a sparse matrix": (lambda: reading(scipy.sparse.csr_matrix(np.eye(10))), None),
    "a data frame": (lambda: reading(pandas.DataFrame({"a": [1.0], "b": [2.0]})), None),
    "a NumPy generator": (lambda: reading(np.random.default_rng(1)), None),
    "a generator of `random`": (lambda: reading(random.Random(1)), None),
}


def memory() -> str:
    """The unit of the arrays: comparing the bytes alone."""
    first, second = bytes(800_000), bytearray(800_000)
    took = timing.seconds(lambda: first == second, REPEATS)
    return f"800 kB compared as bytes: {took * 1e6:.1f} us"


def figure(name: str) -> str:
    """One line: the time a check takes."""
    make, bound = FUNCTIONS[name]
    environment = Environment(make(), are_called=True)
    for _ in range(3):
        if environment.changed() is not None:
            raise RuntimeError(f"{name}: {environment.changed()} seems to change")
    took = timing.seconds(environment.changed, REPEATS)
    return f"{name}: {took * 1e6:.2f} us" + (f" (at most {bound})" if bound else "")


if __name__ == "__main__":
    timing.pin()
    print(memory())
    for name in FUNCTIONS:
        print(figure(name), flush=True)
