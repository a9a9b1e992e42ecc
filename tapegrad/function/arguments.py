"""A call's arguments, sorted: inputs of a tape, and the rest, which selects a recording.

Floats and float arrays are inputs, so that new data needs no new recording. Everything else is
part of the call's kind and compared by equality. Integers may be given for what is differentiated
where that can't be meant otherwise: in arrays and inside containers.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np

from tapegrad.errors import InputTypeError
from tapegrad.function.complex_leaves import taken_apart
from tapegrad.function.content import freeze, is_active, is_data
from tapegrad.function.naming import Key
from tapegrad.record.active import Active
from tapegrad.record.nesting import is_recording
from tapegrad.record.pairs import Pair
from tapegrad.record.refusals import check_kind
from tapegrad.record.scipy.recognised import is_sparse
from tapegrad.record.scipy.sparse_patterns import same_matrix
from tapegrad.tree import LEAF, Structure, flatten

FLOAT = "float"
_COMPLEX = (
    "complex numbers that depend on the input can't be passed there: pass the real and the "
    "imaginary part, z.real and z.imag"
)
DOUBLE = np.dtype(np.float64)

Spec = Any
"""What a leaf is: `FLOAT`, the shape of a float array, or a `Fixed` object."""

Specs = tuple[Spec, ...]


class Fixed:
    """A leaf that is no input: two are equal if they have the same type and are equal."""

    __slots__ = ("_content", "thing")

    def __init__(self, thing: Any) -> None:
        self.thing = thing
        self._content = freeze(thing) if is_data(thing) else thing

    def __hash__(self) -> int:
        try:
            return hash(self._content)
        except TypeError:  # unhashable: told apart by equality alone
            return hash(type(self.thing))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Fixed) or type(self.thing) is not type(other.thing):
            return False
        if self._content is other._content:
            return True
        if is_sparse(self.thing):  # whose `==` compares elements, slowly
            return same_matrix(self.thing, other.thing)
        equal = self._content == other._content
        return equal if isinstance(equal, bool) else False  # an array has no one answer


def shape_of(spec: Spec) -> tuple[int, ...]:
    """Return the shape of an input or output leaf, `()` for a float."""
    return () if spec is FLOAT else spec


def size_of(spec: Spec) -> int:
    """Return how many numbers of a vector a leaf is, none if it's fixed."""
    return 0 if isinstance(spec, Fixed) else math.prod(shape_of(spec))


def plain_specs(args: tuple[Any, ...]) -> Specs | None:
    """Return what arguments are if all are floats and float64 arrays, with no look inside them."""
    specs: list[Spec] = []
    for thing in args:
        kind = type(thing)
        if kind is np.ndarray and thing.dtype is DOUBLE:
            specs.append(thing.shape)
        elif kind is float:
            specs.append(FLOAT)
        else:
            return None
    return tuple(specs)


def sort_arguments(args: tuple[Any, ...], kwargs: dict[str, Any],
                   keys: Collection[Key]) -> tuple[Structure, Specs, list[Any]]:  # fmt: skip
    """Return the structure of `(args, kwargs)`, what its leaves are, and the leaves.

    Inputs among the leaves become floats, float64 arrays or active numbers and arrays. `keys` are
    those of the arguments that are differentiated.
    """
    leaves: list[Any] = []
    specs: list[Spec] = []

    def sort(key: Key, argument: Any) -> Structure:
        start = len(leaves)
        structure = flatten(argument, leaves)
        if any(isinstance(leaf, Pair) for leaf in leaves[start:]):
            if key in keys:
                raise InputTypeError(_COMPLEX)
            del leaves[start:]
            structure = flatten(taken_apart(argument), leaves)
        for position in range(start, len(leaves)):
            leaf = leaves[position]
            if key in keys:
                leaf = _as_float(leaf, structure is LEAF)
            spec, leaves[position] = sorted_leaf(leaf)
            specs.append(spec)
        return structure

    positional = tuple([sort(position, argument) for position, argument in enumerate(args)])
    named = tuple([sort(name, argument) for name, argument in kwargs.items()])
    structure = (tuple, None, ((tuple, None, positional), (dict, tuple(kwargs), named)))
    return structure, tuple(specs), leaves


def sorted_leaf(leaf: Any) -> tuple[Spec, Any]:
    """Return what a leaf is, and what stands for it among the inputs if it's one."""
    if isinstance(leaf, Pair):
        raise InputTypeError(_COMPLEX)
    if is_active(leaf):
        if not is_recording():
            leaf.tape.enter()  # its recording has ended, or is another thread's
        return FLOAT if isinstance(leaf, Active) else leaf.shape, leaf
    if isinstance(leaf, float | np.floating):
        return FLOAT, float(leaf)
    if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f":
        check_kind(leaf)
        return leaf.shape, np.asarray(leaf, np.float64)
    return Fixed(leaf), leaf


def _as_float(leaf: Any, is_argument: bool) -> Any:
    """Return integers that can't be meant otherwise as floats: all but a bare int of Python's."""
    if type(leaf) is np.ndarray and leaf.dtype.kind in "iu":
        return leaf.astype(np.float64)
    is_integer = isinstance(leaf, int | np.integer) and not isinstance(leaf, bool)
    is_bare = is_argument and isinstance(leaf, int)
    return float(leaf) if is_integer and not is_bare else leaf
