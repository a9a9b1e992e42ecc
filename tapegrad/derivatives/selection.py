"""Which of a call's arguments are differentiated, and their places among a tape's inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapegrad.derivatives.naming import Key
from tapegrad.errors import InputTypeError, StructureError
from tapegrad.function.arguments import FLOAT, Call, Fixed, Spec, ranges
from tapegrad.function.points import AnyVector, Point, join, leaf
from tapegrad.tree import LEAF, Structure, flatten, unflatten_all


class Selection:
    """The leaves of a call that are differentiated, and where they lie among the inputs.

    Attributes
    ----------
    leaves : list of int
        Their positions among the call's leaves.
    spans : list of (int, int)
        Where each one's elements lie in the vector of inputs.
    shapes : list of tuple of int
    n_inputs : int
        Elements of all the call's inputs.
    """

    def __init__(self, call: Call, keys: Sequence[Key], is_single: bool) -> None:
        args, kwargs = call.structure[2]
        arguments: dict[Key, Structure] = dict(enumerate(args[2]))
        arguments.update(zip(kwargs[1], kwargs[2], strict=True))
        ends = np.cumsum([_count(argument) for argument in arguments.values()])
        leaves = {
            key: range(end - _count(argument), end)
            for (key, argument), end in zip(arguments.items(), ends.tolist(), strict=True)
        }
        self._is_single = is_single
        self._structures = [arguments[key] for key in keys]
        self.leaves = [leaf for key in keys for leaf in leaves[key]]
        for position in self.leaves:
            if isinstance(call.specs[position], Fixed):
                _refuse(call.specs[position].thing)
        spans = list(ranges(call.specs))
        self.spans = [spans[leaf] for leaf in self.leaves]
        self.shapes = [shape_of(call.specs[leaf]) for leaf in self.leaves]
        self.n_inputs = spans[-1][1] if spans else 0

    def positions(self) -> list[int]:
        """Return where the selected elements lie in the vector of inputs, in order."""
        return [k for start, stop in self.spans for k in range(start, stop)]

    def tree(self, leaves: Sequence[Any]) -> Any:
        """Return leaves, one for each selected one, in the arguments' structure."""
        remaining = iter(leaves)
        trees = [
            unflatten_all(structure, [next(remaining) for _ in range(_count(structure))])
            for structure in self._structures
        ]
        return trees[0] if self._is_single else tuple(trees)

    def split(self, vector: AnyVector, prefix: tuple[int, ...] = ()) -> Any:
        """Return a vector of the inputs' length (its last axis) in the arguments' structure."""
        return self.tree(
            [
                leaf(vector[..., start:stop].reshape(prefix + shape))
                for (start, stop), shape in zip(self.spans, self.shapes, strict=True)
            ]
        )

    def join(self, n_inputs: int, tree: Any, what: str) -> AnyVector:
        """Return a vector of the inputs' length from a tree in the arguments' structure."""
        leaves: list[Any] = []
        wanted: list[Any] = []
        structure = flatten(tree, leaves)
        expected = flatten(self.tree([0.0] * len(self.leaves)), wanted)
        if structure != expected:
            raise StructureError(f"the {what} must have the structure of the argument")
        parts: list[Any] = []
        end = 0
        for number, (start, stop), shape in zip(leaves, self.spans, self.shapes, strict=True):
            check_shape(number, shape, what)
            parts += [np.zeros(start - end), number]
            end = stop
        return join([*parts, np.zeros(n_inputs - end)])


def _count(structure: Structure) -> int:
    return 1 if structure is LEAF else sum(map(_count, structure[2]))


def shape_of(spec: Spec) -> tuple[int, ...]:
    """Return the shape of an input or output leaf, `()` for a float."""
    return () if spec is FLOAT else spec


def check_real(number: Any, what: str) -> None:
    """Raise `InputTypeError` if a number or an array is complex."""
    if isinstance(number, complex) or getattr(number, "dtype", np.dtype(float)).kind == "c":
        raise InputTypeError(
            f"the {what} is complex; complex numbers are not supported: pass the real and the "
            "imaginary part one after the other"
        )


def check_shape(leaf: Any, shape: tuple[int, ...], what: str) -> None:
    """Raise an error unless a leaf is real and has a shape."""
    check_real(leaf, what)
    if np.shape(leaf) != shape:
        raise StructureError(f"the {what} has shape {np.shape(leaf)} where {shape} is needed")


_OBJECT = (
    "pass a float or an array of floats; of a method of a class, decorated, argnums=1 is the first "
    "argument after self"
)


def _example(number: Any) -> str:
    return repr(float(number)) if isinstance(number, int | np.integer) else "x.astype(float)"


def _refuse(thing: Any) -> None:
    dtype = np.asarray(thing).dtype
    name = dtype if isinstance(thing, np.ndarray | np.generic) else type(thing).__name__
    advice = {
        "c": "complex numbers are not supported: pass the real and the imaginary part",
        "i": f"integers have no derivative: pass a float, {_example(thing)}",
        "u": f"integers have no derivative: pass a float, {_example(thing)}",
        "b": "truth values have no derivative: pass a float",
    }.get(dtype.kind, _OBJECT)
    raise InputTypeError(f"an argument of type {name} can't be differentiated; {advice}")


def output_tree(point: Point, part: Callable[[slice, tuple[int, ...]], Any]) -> Any:
    """Return a tree of the result's structure, None where the result is no number or array.

    `part` is given where a leaf's elements lie among the outputs, and its shape.
    """
    leaves: list[Any] = []
    start = 0
    for spec in point.recording.specs:
        if isinstance(spec, Fixed):
            leaves.append(None)
            continue
        shape = shape_of(spec)
        stop = start + int(np.prod(shape))
        leaves.append(part(slice(start, stop), shape))
        start = stop
    return unflatten_all(point.recording.structure, leaves)
