"""Forms of trees that go into rules and come out of them: all but their numbers.

The numbers are float64 arrays, one a leaf, plain or active; a form puts them in their places, and
takes from another tree what stands where they stand.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tapegrad.errors import StructureError
from tapegrad.function.arguments import FLOAT, Fixed, Spec, shape_of, sorted_leaf
from tapegrad.function.content import duplicate, is_active, is_data
from tapegrad.function.vectors import check_shape, leaf
from tapegrad.record.active import ActiveBool
from tapegrad.record.array import ActiveArray
from tapegrad.record.interception import original_of
from tapegrad.tree import LEAF, Structure, flatten, unflatten_all

UNKNOWN = "unknown"
"""What a leaf is that is no number, and isn't part of a form."""


class Form(NamedTuple):
    """A tree without its numbers.

    Attributes
    ----------
    structure : Structure
    specs : tuple
        One a leaf: `FLOAT`, a shape, a `Fixed` object, or `UNKNOWN`.
    """

    structure: Structure
    specs: tuple[Spec, ...]

    def __reduce__(self) -> Any:
        return _again, tuple(self)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The numbers' shapes."""
        return tuple(shape_of(spec) for spec in self.specs if is_number(spec))

    @property
    def has_more(self) -> bool:
        """Whether there are leaves that are no numbers and have a content, but for None."""
        return any(isinstance(spec, Fixed) and spec != _NONE for spec in self.specs)

    def tree(self, arrays: Sequence[Any]) -> Any:
        """Return the tree with these numbers, for which plain arrays are copied."""
        remaining = iter(arrays)
        return unflatten_all(self.structure, [_made(spec, remaining) for spec in self.specs])

    def numbers(self, tree: Any, what: str) -> list[Any]:
        """Return what a tree has where this form has numbers: an array, or None for zero.

        A tree has None where all below it is zero.

        Raises
        ------
        StructureError
            If its structure is another one, or a shape.
        """
        leaves: list[Any] = []
        found = flatten(tree, leaves)
        try:
            parts = list(_aligned(self.structure, found, iter(leaves)))
        except StructureError:
            raise StructureError(
                f"the {what} must be {described(self)}, and it's {_described(found, leaves)}"
            ) from None
        numbers = []
        for spec, part in zip(self.specs, parts, strict=True):
            if is_number(spec):
                numbers.append(None if part is None else _as_numbers(part, shape_of(spec), what))
        return numbers


def _again(structure: Structure, specs: tuple[Spec, ...]) -> Form:
    """Return a form that was pickled: what a float is, is asked by identity."""
    return Form(structure, tuple(FLOAT if spec == FLOAT else spec for spec in specs))


_NONE = Fixed(None)


def is_number(spec: Spec) -> bool:
    """Whether a leaf is a number or an array of them."""
    return spec is FLOAT or type(spec) is tuple


@functools.lru_cache(maxsize=512)
def without_more(form: Form) -> Form:
    """Return a form with None in place of what is no number, and zeros in that of whole ones."""
    return Form(form.structure, tuple(s if is_number(s) else _nothing(s) for s in form.specs))


def _nothing(spec: Any) -> Fixed:
    """Return the derivative of what has none."""
    if isinstance(spec.thing, bool) or not isinstance(spec.thing, int | np.integer | np.ndarray):
        return _NONE
    is_whole = np.asarray(spec.thing).dtype.kind in "iu"
    return Fixed(np.zeros(np.shape(spec.thing))[()]) if is_whole else _NONE


def _made(spec: Spec, numbers: Iterator[Any]) -> Any:
    if spec is FLOAT:
        number = next(numbers)
        return leaf(number) if is_active(number) else float(number)
    if type(spec) is tuple:
        number = next(numbers)
        return number if is_active(number) else np.array(number)
    return duplicate(spec.thing)


def _as_numbers(part: Any, shape: tuple[int, ...], what: str) -> Any:
    if not is_active(part):
        try:
            part = np.asarray(part, None if isinstance(part, np.ndarray) else np.float64)
        except (TypeError, ValueError):
            raise StructureError(
                f"the {what} must be numbers of shape {shape}, not a {type(part).__name__}"
            ) from None
    check_shape(part, shape, what)
    if is_active(part) or part.dtype == object:
        return part
    return part.astype(np.float64, copy=False)


def _aligned(expected: Structure, found: Structure, leaves: Iterator[Any]) -> Iterator[Any]:
    """Yield what a tree has for every leaf of a structure."""
    if found is LEAF:
        part = next(leaves)
        if expected is LEAF:
            yield part
        elif part is None:
            yield from [None] * _count(expected)
        else:
            raise StructureError
        return
    if expected is LEAF or expected[0] is not found[0]:
        raise StructureError
    children = found[2]
    if expected[1] != found[1]:
        if not (issubclass(found[0], dict) and set(expected[1]) == set(found[1])):
            raise StructureError
        # The same keys in another order.
        by_key = {key: [*_aligned_as_found(child, leaves)] for key, child in
                  zip(found[1], children, strict=True)}  # fmt: skip
        kinds = dict(zip(found[1], children, strict=True))
        for key, child in zip(expected[1], expected[2], strict=True):
            yield from _aligned(child, kinds[key], iter(by_key[key]))
        return
    if len(expected[2]) != len(children):
        raise StructureError
    for child, other in zip(expected[2], children, strict=True):
        yield from _aligned(child, other, leaves)


def _aligned_as_found(structure: Structure, leaves: Iterator[Any]) -> Iterator[Any]:
    return (next(leaves) for _ in range(_count(structure)))


def _count(structure: Structure) -> int:
    return 1 if structure is LEAF else sum(map(_count, structure[2]))


def form_of(tree: Any, keeps: bool = True) -> tuple[Form, list[Any]]:
    """Return the form of a tree, and its numbers: floats and float64 arrays, plain or active.

    Parameters
    ----------
    tree : object
    keeps : bool
        Whether leaves are part of the form that have no content to compare, or one that numbers
        make: truth values, arrays of integers.
    """
    leaves: list[Any] = []
    structure = flatten(tree, leaves)
    specs: list[Spec] = []
    numbers: list[Any] = []
    for one in leaves:
        spec, number = sorted_leaf(_read(original_of(one)))
        if not isinstance(spec, Fixed):
            numbers.append(number)
        elif not keeps and (not is_data(spec.thing) or isinstance(spec.thing, _MADE)):
            spec = UNKNOWN
        else:
            spec = Fixed(duplicate(spec.thing))
        specs.append(spec)
    return Form(structure, tuple(specs)), numbers


_MADE = (bool, complex, np.bool_, np.ndarray)


def _read(thing: Any) -> Any:
    """Return a leaf, a plain one for active truth values, which are read, under guards."""
    if isinstance(thing, ActiveBool):
        return bool(thing)
    return thing.truth() if isinstance(thing, ActiveArray) and thing.is_bool else thing


def size(shapes: Sequence[tuple[int, ...]]) -> int:
    """Return how many numbers arrays have."""
    return sum(map(math.prod, shapes))


# --- in words -------------------------------------------------------------------------------------


def described(form: Form) -> str:
    """Return what a tree of a form is, in words."""
    return _text(form.structure, map(_described_spec, form.specs))


def _described(structure: Structure, leaves: Sequence[Any]) -> str:
    return _text(structure, map(_described_leaf, leaves))


def _text(structure: Structure, leaves: Iterator[str]) -> str:
    if structure is LEAF:
        return next(leaves)
    kind, names, children = structure
    parts = [_text(child, leaves) for child in children]
    if kind is list:
        return f"[{', '.join(parts)}]"
    if kind is tuple:
        return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
    if isinstance(names, tuple) and len(names) == len(parts):
        named = zip(names, parts, strict=True)
        return f"{kind.__name__}({', '.join(f'{name}: {part}' for name, part in named)})"
    return f"{kind.__name__}({', '.join(parts)})"


def _described_spec(spec: Spec) -> str:
    if spec is FLOAT:
        return "a float"
    if type(spec) is tuple:
        return f"an array of shape {spec}"
    return "None"


def _described_leaf(one: Any) -> str:
    if is_active(one) or isinstance(one, float | np.ndarray):
        return f"an array of shape {np.shape(one)}" if np.ndim(one) else "a float"
    return "None" if one is None else f"a {type(one).__name__}"
