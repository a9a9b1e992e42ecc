"""A call's arguments, sorted: inputs of a tape, and the rest, which selects a recording.

Floats and float arrays are inputs, so that new data needs no new recording. Everything else is
part of the call's key and compared by equality.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tapegrad.function.content import freeze, is_data
from tapegrad.record.active import Active
from tapegrad.record.array import ActiveArray
from tapegrad.record.refusals import check_kind
from tapegrad.tree import LEAF, Structure, flatten

FLOAT = "float"

Spec = Any
"""What a leaf is: `FLOAT`, the shape of a float array, or a `Fixed` object."""


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
        equal = self._content == other._content
        return equal if isinstance(equal, bool) else False  # an array has no one answer


class Call(NamedTuple):
    """The arguments of one call.

    Attributes
    ----------
    structure : Structure
        Of `(args, kwargs)`.
    specs : tuple
        One a leaf.
    leaves : list
        The inputs among them as floats, float64 arrays or active numbers and arrays.
    is_active : bool
        Whether any is active.
    """

    structure: Structure
    specs: tuple[Spec, ...]
    leaves: list[Any]
    is_active: bool

    @property
    def key(self) -> tuple[Any, ...]:
        """What selects the recordings this call may replay."""
        return self.structure, self.specs

    def inputs(self) -> npt.NDArray[np.float64]:
        """Return the inputs' values as one contiguous vector."""
        parts = [
            np.ravel(leaf) if isinstance(leaf, np.ndarray) else (leaf,)
            for leaf, spec in zip(self.leaves, self.specs, strict=True)
            if not isinstance(spec, Fixed)
        ]
        if len(parts) == 1 and isinstance(parts[0], np.ndarray):
            return np.ascontiguousarray(parts[0])
        return np.concatenate(parts, dtype=np.float64) if parts else np.empty(0)


_ONE_ARRAY = (tuple, None, ((tuple, None, (LEAF,)), (dict, (), ())))


def sort_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Return a call's arguments, sorted."""
    if (
        len(args) == 1
        and not kwargs
        and type(args[0]) is np.ndarray
        and args[0].dtype == np.float64
    ):  # the commonest call, without the general walk
        return Call(_ONE_ARRAY, (args[0].shape,), [args[0]], False)
    leaves: list[Any] = []
    structure = flatten((args, kwargs), leaves)
    specs: list[Spec] = []
    is_active = False
    for position, leaf in enumerate(leaves):
        if isinstance(leaf, Active):
            specs.append(FLOAT)
            is_active = True
        elif isinstance(leaf, ActiveArray):
            specs.append(leaf.shape)
            is_active = True
        elif isinstance(leaf, float | np.floating):
            leaves[position] = float(leaf)
            specs.append(FLOAT)
        elif isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f":
            check_kind(leaf)
            leaves[position] = leaf.astype(np.float64, copy=False)
            specs.append(leaf.shape)
        else:
            specs.append(Fixed(leaf))
    return Call(structure, tuple(specs), leaves, is_active)


def ranges(specs: tuple[Spec, ...]) -> Iterator[tuple[int, int]]:
    """Yield where each leaf's elements lie in the vector of inputs; nothing for a fixed one."""
    start = 0
    for spec in specs:
        size = 0 if isinstance(spec, Fixed) else 1 if spec is FLOAT else int(np.prod(spec))
        yield start, start + size
        start += size
