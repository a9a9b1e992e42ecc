"""Everything that machine code is made of in the tests, the examples and the benchmarks, by name.

A case is a function and the point where it's recorded, or a tape of its own. Each is made when
it's asked for: some of them take seconds, or can't be made at all.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import compiled_programs_of_algebra  # noqa: F401 - adds its programs to the others
import compiled_programs_of_simulation  # noqa: F401
import programs_of_simulation  # noqa: F401
from compiled_programs import PROGRAMS as COMPILED
from example_functions import FAMILIES
from fuzz import generator
from hard_programs import HARD
from programs import PROGRAMS
from rolled_programs import KNOWN, point_of, random_program
from row_tapes import CHEAP, ROWS, edges_of, point_in_domain, row_at_pairs, row_in_loops
from workloads import WORKLOADS

RANDOM_SEEDS = (*range(8), 276)
FUZZ_SEEDS = range(20)
FURTHER = "#"
"""What is before a point's number in the names of a program's further points."""

IN_LOOPS = 6
"""How often an operation is in a loop."""


class Case(NamedTuple):
    """What is recorded, or was.

    Attributes
    ----------
    function : callable or None
        Returns one float.
    args : tuple
        Where it's recorded.
    tape : Tape or None
        What there is in place of a function.
    point : ndarray or None
        The tape's inputs.
    """

    function: Callable[..., Any] | None = None
    args: tuple[Any, ...] = ()
    tape: Any = None
    point: Any = None


def cases() -> Iterator[tuple[str, Callable[[], Case]]]:
    """Yield every case's name, and what makes it."""
    for name, program in PROGRAMS.items():
        for k, point in enumerate(program.points):
            yield _named(f"programs/{name}", k), partial(Case, program.function, (point,))
    for name, (function, _, (size, _)) in KNOWN.items():
        yield f"loops/{name}", partial(Case, function, (point_of(name, size),))
    for name, (function, points) in HARD.items():
        for k, point in enumerate(points):
            yield _named(f"hard/{name}", k), partial(Case, function, (np.array(point),))
    for seed in RANDOM_SEEDS:
        yield f"random/{seed}", partial(_random, seed)
    for seed in FUZZ_SEEDS:
        yield f"fuzz/{seed}", partial(_fuzz, seed)
    for op in ROWS:
        yield f"rows/{op.name}", partial(_in_loops, op)
    for op in CHEAP:
        yield f"edges/{op.name}", partial(_at_edges, op)
    for name, compiled in COMPILED.items():
        for k, point in enumerate(compiled.points):
            yield _named(f"compiled/{name}", k), partial(Case, compiled.function, (point,))
    for family in FAMILIES:
        yield f"examples/{family.__name__}", partial(_example, family)
    for name, workload in WORKLOADS.items():
        yield f"bench/{name}", partial(_workload, name, workload)


def _named(name: str, point: int) -> str:
    """Return the name of a program at one of its points."""
    return f"{name}{FURTHER}{point}" if point else name


def _random(seed: int) -> Case:
    return Case(random_program(seed), (np.linspace(-0.9, 1.1, 12),))


def _fuzz(seed: int) -> Case:
    program = generator.program(seed)
    point = np.random.default_rng(seed).uniform(-1.6, 1.6, program.size)
    return Case(program.function(), (point,))


def _in_loops(op: Any) -> Case:
    tape = row_in_loops(op, IN_LOOPS, is_summed=True)
    return Case(tape=tape, point=point_in_domain(op, IN_LOOPS))


def _at_edges(op: Any) -> Case:
    point = edges_of(op)
    return Case(tape=row_at_pairs(op, len(point) // op.arity), point=point)


def _example(family: Callable[[], Any]) -> Case:
    return Case(*family())


def _workload(name: str, workload: Callable[[], Any]) -> Case:
    w = workload()
    x, function = w.x, w.compiled
    if name == "bs":
        x = x[:, :10_000]  # the loop is the same, and the products are fewer
    if name == "ba":
        weights = np.cos(np.arange(2.0 * x.shape[1])).reshape(2, -1)
        function = partial(_weighted, function, weights)
    return Case(function, (x, *w.data))


def _weighted(function: Callable[..., Any], weights: Any, *args: Any) -> Any:
    return np.sum(function(*args) * weights)
