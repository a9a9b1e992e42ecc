"""The plan of one kind of call: how its arguments become a vector of inputs, and what comes back.

Calls are of a kind if their arguments have the same structure, types and shapes, and what is no
input is equal. All that follows from the kind is computed once, when the first such call is made;
a later one only moves numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from tapegrad.errors import InputTypeError, StructureError
from tapegrad.function.arguments import FLOAT, Fixed, Specs, shape_of, size_of
from tapegrad.function.naming import Key
from tapegrad.function.vectors import AnyVector, Vector, check_shape, in_a_row, join, leaf
from tapegrad.tree import LEAF, Structure, flatten, unflatten, unflatten_all

if TYPE_CHECKING:
    from tapegrad.function.recordings import Recordings


class Plan:
    """What is done for every call of one kind.

    Parameters
    ----------
    structure : Structure
        Of `(args, kwargs)`.
    specs : tuple
        What each leaf is.
    keys : sequence of int and str
        Of the arguments that are differentiated.
    is_single : bool
        Whether a derivative by them is no tuple.

    Attributes
    ----------
    n_inputs : int
        Elements of all inputs.
    leaves : list of int
        The positions of those that are differentiated, among a call's.
    spans : list of (int, int)
        Where the elements of each of them lie in the vector of inputs.
    shapes : list of tuple of int
    is_by_first : bool
        Whether the first argument alone is differentiated.
    is_vector : bool
        Whether the one input is an array of one dimension, and differentiated: then the gradient
        needs no other structure than the vector's.
    recordings : Recordings or None
        Those for such calls.
    reason : str
        Why there are none, or no more.

    Raises
    ------
    InputTypeError
        If what is to be differentiated is no number or array of floats.
    """

    def __init__(self, structure: Structure, specs: Specs, keys: Sequence[Key],
                 is_single: bool) -> None:  # fmt: skip
        self.structure, self.specs = structure, specs
        args, kwargs = structure[2]
        arguments = {**dict(enumerate(args[2])), **dict(zip(kwargs[1], kwargs[2], strict=True))}
        ends = np.cumsum([_count(argument) for argument in arguments.values()]).tolist()
        leaves = {
            key: range(end - _count(argument), end)
            for (key, argument), end in zip(arguments.items(), ends, strict=True)
        }
        self.leaves = [position for key in keys for position in leaves[key]]
        for position in self.leaves:
            if isinstance(specs[position], Fixed):
                _refuse(specs[position].thing)
        stops = np.cumsum([0, *map(size_of, specs)]).tolist()
        spans = list(pairwise(stops))
        self.n_inputs = stops[-1]
        self._inputs = [(position, *spans[position]) for position, spec in enumerate(specs)
                        if not isinstance(spec, Fixed)]  # fmt: skip
        is_one = len(self._inputs) == 1 and specs[self._inputs[0][0]] is not FLOAT
        self._array = self._inputs[0][0] if is_one else None
        self._is_single, self.is_by_first = is_single, is_single and list(keys) == [0]
        self._structures = [arguments[key] for key in keys]
        self.spans = [spans[position] for position in self.leaves]
        self.shapes = [shape_of(specs[position]) for position in self.leaves]
        is_all = is_single and self.spans == [(0, self.n_inputs)] and self._structures == [LEAF]
        self.is_vector = is_all and len(self.shapes[0]) == 1
        self.recordings: Recordings | None = None
        self.reason = "it's called with such arguments first"

    def forget(self, reason: str) -> None:
        """Forget the recordings, if there are any."""
        if self.recordings is not None:
            self.recordings, self.reason = None, reason

    def arguments(self, leaves: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return a call's `(args, kwargs)`."""
        found: tuple[tuple[Any, ...], dict[str, Any]] = unflatten_all(self.structure, leaves)
        return found

    def fixed(self, leaves: Sequence[Any]) -> list[Any]:
        """Return what is no input among a call's leaves."""
        pairs = zip(leaves, self.specs, strict=True)
        return [thing for thing, spec in pairs if isinstance(spec, Fixed)]

    def inputs(self, leaves: Sequence[Any]) -> list[Any]:
        """Return the inputs among a call's leaves."""
        return [leaves[position] for position, _, _ in self._inputs]

    def pack(self, leaves: Sequence[Any]) -> Vector:
        """Return the values of a call's inputs as one vector, which may be the caller's array."""
        if self._array is not None:
            array = in_a_row(leaves[self._array])
            return array if array.ndim == 1 else array.reshape(-1)
        vector = np.empty(self.n_inputs)
        for position, start, stop in self._inputs:
            thing = leaves[position]
            vector[start:stop] = thing if type(thing) is float else thing.reshape(-1)
        return vector

    def positions(self) -> list[int]:
        """Return where the elements that are differentiated lie in the vector, in order."""
        return [k for start, stop in self.spans for k in range(start, stop)]

    def data_inputs(self, n_inputs: int) -> npt.NDArray[np.int64]:
        """Return which of a tape's inputs aren't differentiated; none, if no argument is."""
        is_data = np.full(n_inputs, bool(self.spans))
        is_data[self.positions()] = False
        return np.flatnonzero(is_data)

    def tree(self, leaves: Sequence[Any]) -> Any:
        """Return leaves, one for each that is differentiated, in the arguments' structure."""
        remaining = iter(leaves)
        trees = [unflatten(structure, remaining) for structure in self._structures]
        return trees[0] if self._is_single else tuple(trees)

    def split(self, vector: AnyVector, prefix: tuple[int, ...] = ()) -> Any:
        """Return a vector of the inputs' length (its last axis) in the arguments' structure.

        A tape has more inputs than the plan where it captured numbers of an outer one.
        """
        if self.is_vector and type(vector) is np.ndarray and vector.shape == self.shapes[0]:
            return vector
        parts = zip(self.spans, self.shapes, strict=True)
        if type(vector) is np.ndarray and vector.ndim == 1:
            return self.tree([vector[start:stop].reshape(shape) if shape else vector.item(start)
                              for (start, stop), shape in parts])  # fmt: skip
        return self.tree([leaf(vector[..., start:stop].reshape(prefix + shape))
                          for (start, stop), shape in parts])  # fmt: skip

    def join(self, n_inputs: int, tree: Any, what: str) -> AnyVector:
        """Return a vector of a tape's inputs from a tree in the arguments' structure."""
        leaves: list[Any] = []
        wanted: list[Any] = []
        structure = flatten(tree, leaves)
        expected = flatten(self.tree([0.0] * len(self.spans)), wanted)
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


_OBJECT = (
    "pass a float or an array of floats; of a method of a class, decorated, argnums=1 is the first "
    "argument after self"
)


def _example(number: Any) -> str:
    return repr(float(number)) if isinstance(number, int | np.integer) else "x.astype(float)"


def _refuse(thing: Any) -> NoReturn:
    dtype = np.asarray(thing).dtype
    name = dtype if isinstance(thing, np.ndarray | np.generic) else type(thing).__name__
    advice = {
        "c": "complex numbers are not supported: pass the real and the imaginary part",
        "i": f"integers have no derivative: pass a float, {_example(thing)}",
        "u": f"integers have no derivative: pass a float, {_example(thing)}",
        "b": "truth values have no derivative: pass a float",
    }.get(dtype.kind, _OBJECT)
    raise InputTypeError(f"an argument of type {name} can't be differentiated; {advice}")
