"""What a call of a derivative costs from Python, for functions so small that nothing else counts.

    python tests/bench/call.py [PATH]

One line a kind of call, in microseconds: the function itself, its derivative, and for the first
one what `compiled` returns and how many Python functions a call runs. Given the path of another
copy of the package, its figures stand beside: the two are run in turn, and the least of several
runs is taken of each. A new kind is an entry of `calls`.
"""

import collections
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timing
from workloads import WORKLOADS, rosen

import tapegrad as tg

RUNS, TURNS = 31, 5
MOST_MICROSECONDS = 2.0  # of a compiled gradient by one array

X = np.linspace(0.1, 1.0, 10)
T = np.linspace(0.0, 1.0, 20)
NOW = {"compile": "now"}
Case = tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]


def decay(p: Any, t: Any, y: Any) -> Any:
    """A sum of squares with data as arguments."""
    return np.sum((p[0] * np.exp(-p[1] * t) - y) ** 2)


def spring(state: Any) -> Any:
    """A function of a dictionary."""
    return state["k"] * np.sum(state["x"] ** 2)


def product(a: Any, b: Any) -> Any:
    """A function of two numbers."""
    return a * a * b


def calls() -> dict[str, Case]:
    """The function, its derivative and the arguments, by what is called."""
    f = rosen.array_form
    compiled = WORKLOADS["rosen10"]().compiled
    state = {"k": 2.0, "x": X}
    numbers = tg.value_and_grad(product, argnums=(0, 1), **NOW)
    return {
        "value_and_grad": (f, tg.value_and_grad(f, **NOW), (X,)),
        "grad": (f, tg.grad(f, **NOW), (X,)),
        "value_and_grad of an @njit function": (compiled, tg.value_and_grad(compiled, **NOW), (X,)),
        "value_and_grad, swept": (f, tg.value_and_grad(f, compile="never"), (X,)),
        "value_and_grad with data": (decay, tg.value_and_grad(decay, **NOW), (X[:2], T, 2.0 * T)),
        "value_and_grad by two numbers": (product, numbers, (1.5, 2.0)),
        "value_and_grad by a dictionary": (spring, tg.value_and_grad(spring, **NOW), (state,)),
        "jacobian, 3 by 10": (head, tg.jacobian(head, **NOW), (X,)),
        "hvp": (partial(along, f), tg.hvp(f, **NOW), (X, X)),
    }


def head(x: Any) -> Any:
    """A function of three outputs."""
    return x[:3] * x[1]


def along(function: Callable[..., Any], x: Any, _: Any) -> Any:
    """A function called with a direction that it has no use for."""
    return function(x)


def n_python_calls(call: Callable[[], Any]) -> int:
    """How many Python functions a call runs."""
    events: collections.Counter[str] = collections.Counter()
    sys.setprofile(lambda frame, event, arg: events.update([event]))
    try:
        call()
    finally:
        sys.setprofile(None)
    return events["call"]


def figures() -> dict[str, list[float]]:
    """Microseconds of the function and of its derivative, by what is called."""
    found = {}
    for name, (function, derivative, args) in calls().items():
        own, call = partial(function, *args), partial(derivative, *args)
        for _ in range(4):
            call()
        found[name] = [timing.seconds(own, RUNS) * 1e6, timing.seconds(call, RUNS) * 1e6]
        if name == "value_and_grad":
            handle = partial(derivative.compiled(*args), *args)
            found[name] += [timing.seconds(handle, RUNS) * 1e6, n_python_calls(call)]
    return found


def figures_of(package: Path) -> dict[str, list[float]]:
    """The figures of a copy of the package, in a process of its own."""
    path = os.pathsep.join([str(package), str(Path(__file__).parent)])
    command = [sys.executable, __file__, "--json"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=True,
                          stdout=subprocess.PIPE, text=True)  # fmt: skip
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found


def line(name: str, runs: list[dict[str, list[float]]], others: list[Any]) -> str:
    """What a kind of call takes."""
    own, call, *more = map(min, zip(*(run[name] for run in runs), strict=True))
    text = f"{name}: {call:.2f} us, the function {own:.2f}"
    other = list(map(min, zip(*(run[name] for run in others), strict=True)))
    if other:
        text += f"; the other package {other[1]:.2f}"
    if more:
        text += f"; at most {MOST_MICROSECONDS}; compiled() {more[0]:.2f}; {more[1]:.0f} calls"
        text += f", the other package {other[3]:.0f}" if other else ""
    return text


if __name__ == "__main__":
    timing.pin()
    if sys.argv[1:] == ["--json"]:
        print(json.dumps(figures()))
    else:
        here = Path(__file__).resolve().parents[2]
        packages = [here, *map(Path, sys.argv[1:])]
        turns = [[figures_of(package) for package in packages] for _ in range(TURNS)]
        runs = [turn[0] for turn in turns]
        others = [turn[1] for turn in turns if len(turn) > 1]
        for name in runs[0]:
            print(line(name, runs, others))
