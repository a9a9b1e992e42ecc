"""What inputs and outputs are called: `x`, `state['k']`, `points[0, 1]`."""

from __future__ import annotations

import inspect
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, count
from typing import Any

import numpy as np

from tapegrad.function.arguments import FLOAT, Fixed, Spec
from tapegrad.tree import LEAF, Structure

MOST_CHARACTERS = 40


class Names:
    """The names of a tape's inputs, or of its outputs.

    Parameters
    ----------
    paths : iterable of str
        What leads to each leaf of the arguments or of the result.
    specs : sequence
        What each leaf is.
    """

    def __init__(self, paths: Iterable[str] = (), specs: Sequence[Spec] = ()) -> None:
        self._leaves = [
            (path, () if spec is FLOAT else spec)
            for path, spec in zip(paths, specs, strict=True)
            if not isinstance(spec, Fixed)
        ]
        sizes = [int(np.prod(shape)) for _, shape in self._leaves]
        self.starts = [0, *accumulate(sizes)]
        """Where each leaf's elements begin, and where the last one's end."""

    def __getitem__(self, k: int) -> str:
        if k >= self.starts[-1]:
            return "captured"  # a number of an outer recording; those come after the arguments
        leaf = bisect_right(self.starts, k) - 1
        name, shape = self._leaves[leaf]
        if shape:
            index = np.unravel_index(k - self.starts[leaf], shape)
            name += f"[{', '.join(map(str, index))}]"
        if len(name) > MOST_CHARACTERS:  # its end tells it from its neighbours
            name = f"{name[: MOST_CHARACTERS // 2]}…{name[-MOST_CHARACTERS // 2 + 1 :]}"
        return name


class Numbered(Names):
    """The names where there is no function to ask: `x0`, `x1`, ..., as a listing has them."""

    def __init__(self, letter: str) -> None:
        super().__init__()
        self._letter = letter

    def __getitem__(self, k: int) -> str:
        return f"{self._letter}{k}"


def argument_names(function: Callable[..., Any], structure: Structure,
                   specs: Sequence[Spec]) -> Names:  # fmt: skip
    """Return the names of the inputs of a call, all positional, by the function's signature."""
    arguments = zip(_positional(function), structure[2][0][2], strict=False)
    return Names([path for name, child in arguments for path in _paths(child, name)], specs)


def result_names(function: Callable[..., Any], structure: Structure,
                 specs: Sequence[Spec]) -> Names:  # fmt: skip
    """Return the names of a function's outputs: its own, and what leads to each."""
    name = getattr(function, "__name__", "")
    return Names(_paths(structure, name if name.isidentifier() else "result"), specs)


def _positional(function: Callable[..., Any]) -> Iterator[str]:
    """Yield names of positional arguments, as many as are asked for."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some functions in C have none
        parameters = []
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            yield from (f"{parameter.name}[{i}]" for i in count())
        elif parameter.kind is not parameter.KEYWORD_ONLY:
            yield parameter.name
    yield from (f"x{i}" for i in count())


def _paths(structure: Structure, path: str) -> Iterator[str]:
    """Yield what leads to each leaf."""
    if structure is LEAF:
        yield path
        return
    kind, names, children = structure
    if kind is dict:
        steps = [f"[{name!r}]" for name in names]
    elif names is not None or hasattr(kind, "_fields"):
        steps = [f".{name}" for name in names or kind._fields]
    else:
        steps = [f"[{i}]" for i in range(len(children))]
    for step, child in zip(steps, children, strict=True):
        yield from _paths(child, path + step)
