"""A tree that a recorded function made, as operands of its tape: how to make it again.

Its result, what it taps and what it leaves in places are such trees. Floats, arrays and active
numbers in them are values of the tape; the rest is kept as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tapegrad.errors import InputTypeError, NotScalarError, UnsupportedFunctionError
from tapegrad.function.arguments import FLOAT, Fixed, Spec, shape_of, size_of
from tapegrad.function.complex_leaves import holds_pairs, taken_apart
from tapegrad.function.content import duplicate, is_active
from tapegrad.function.inside import holds_actives
from tapegrad.record.active import Active
from tapegrad.record.array import ActiveArray, as_active_data, tapes_in, wrap
from tapegrad.record.elementwise import with_constants
from tapegrad.record.interception import original_of
from tapegrad.record.nesting import slot_on
from tapegrad.record.open_tape import OpenTape
from tapegrad.record.refusals import as_plain
from tapegrad.tree import LEAF, Structure, flatten, unflatten_all

Vector = npt.NDArray[np.float64]


class Result(NamedTuple):
    """A tree without its numbers.

    Attributes
    ----------
    structure : Structure
    specs : list
        One a leaf: `FLOAT`, a shape, or a `Fixed` object.
    kinds : list of type
        What numbers are made again as: float, bool or int.
    """

    structure: Structure
    specs: list[Spec]
    kinds: list[type]

    def _tree(self, leaf: Callable[[slice, Spec, type], Any], fixed: Callable[[Any], Any]) -> Any:
        """Return the tree with leaves made of where they lie among the operands, or of objects."""
        leaves: list[Any] = []
        start = 0
        for spec, kind in zip(self.specs, self.kinds, strict=True):
            stop = start + size_of(spec)
            is_fixed = isinstance(spec, Fixed)
            leaves.append(fixed(spec.thing) if is_fixed else leaf(slice(start, stop), spec, kind))
            start = stop
        return unflatten_all(self.structure, leaves)

    def plain(self, values: Vector) -> Any:
        """Return the tree from the values of its operands."""

        def leaf(part: slice, spec: Spec, kind: type) -> Any:
            if spec is FLOAT:
                return kind(values[part.start])
            return (values[part] != 0.0 if kind is bool else values[part].copy()).reshape(spec)

        return self._tree(leaf, duplicate)

    def active(self, tape: OpenTape, values: npt.NDArray[Any]) -> Any:
        """Return the tree from its operands as numbers of an outer tape."""

        def leaf(part: slice, spec: Spec, kind: type) -> Any:
            return wrap(tape, values[part].reshape(shape_of(spec)), kind is bool)

        return self._tree(leaf, duplicate)

    def split(self, leaf: Callable[[slice, tuple[int, ...]], Any]) -> Any:
        """Return a tree of the same structure, None where there is no number or array.

        `leaf` is given where its elements lie among the outputs, and its shape.
        """
        return self._tree(lambda part, spec, _: leaf(part, shape_of(spec)), lambda _: None)

    def check_scalar(self, has_aux: bool = False) -> None:
        """Raise NotScalarError if it's not one float, or with `has_aux` a pair with one first."""
        structure = self.structure
        if has_aux:
            if structure is LEAF or structure[0] is not tuple or len(structure[2]) != 2:
                raise NotScalarError(
                    "with has_aux=True the function must return a pair (value, aux)"
                )
            structure = structure[2][0]
        spec = self.specs[0] if self.specs else None
        if structure is not LEAF:
            found = f"a {structure[0].__name__}"
        elif isinstance(spec, Fixed):
            found = f"{spec.thing!r} of type {type(spec.thing).__name__}"
        elif size_of(spec) == 1:
            return
        else:
            found = f"an array of shape {spec}"
        raise NotScalarError(
            f"a gradient needs a function that returns one float, and it returned {found}; use "
            "jacobian for several outputs, or has_aux=True to return more beside the value"
        )

    @property
    def is_scalar(self) -> bool:
        """Whether it's one float."""
        return self.structure is LEAF and size_of(self.specs[0]) == 1


RESULT, TAPPED, LEFT = "the result", "what is tapped", "what is left in an object"
_VERBS = {RESULT: "return", TAPPED: "tap", LEFT: "keep"}


def append_result(tape: OpenTape, tree: Any, operands: list[int], what: str = RESULT) -> Result:
    """Append the operands that mean a tree, and return how to make it again.

    Of what isn't the function's result, plain numbers and arrays are kept as they are.

    Raises
    ------
    InputTypeError
        For a result that is complex. The second part of a pair may be, which may be beside it.
    """
    if holds_pairs(tree):
        has_second = type(tree) is tuple and len(tree) == 2
        if what is RESULT and holds_pairs(tree[0] if has_second else tree):
            raise InputTypeError(
                "the function returns complex numbers, and derivatives are of real ones: return "
                "np.real(z) and np.imag(z), or np.abs(z)"
            )
        tree = taken_apart(tree)
    leaves: list[Any] = []
    structure = flatten(tree, leaves)
    specs: list[Spec] = []
    kinds: list[type] = []
    for number, leaf in enumerate(leaves):
        kind = _kind_of(leaf)
        # The value of a branch that returns a penalty: a number as any other.
        if what is RESULT and number == 0 and kind is not float and not is_active(leaf):
            leaf = float(leaf) if np.ndim(leaf) == 0 else leaf
        specs.append(_append_operands(tape, leaf, operands, what))
        kinds.append(kind)
    return Result(structure, specs, kinds)


def _kind_of(leaf: Any) -> type:
    """Return what a leaf of the result is made again as: a float, a truth value, an integer."""
    if getattr(leaf, "dtype", None) == np.bool_ or isinstance(leaf, bool):
        return bool
    is_exact = isinstance(leaf, int | np.integer) and abs(int(leaf)) <= 2**53
    return int if is_exact else float


def _append_operands(tape: OpenTape, leaf: Any, operands: list[int], what: str) -> Spec:
    """Append the operands that mean a leaf of a tree, and return what it is."""
    if is_active(leaf):
        leaf.tape.enter()  # its recording may have ended
    if isinstance(leaf, Active):
        operands.append(slot_on(tape, leaf))
        return FLOAT
    if isinstance(leaf, ActiveArray):
        data = with_constants(tape, as_active_data(tape, leaf))
        operands.extend(data["slot"].reshape(-1).tolist())
        return leaf.shape
    is_constant = what is RESULT
    if is_constant and isinstance(leaf, float | np.floating):
        operands.append(tape.constant(float(leaf)))
        return FLOAT
    if isinstance(leaf, np.ndarray) and leaf.dtype == object and any(tapes_in(leaf)):
        data = as_active_data(tape, leaf)
        return _append_operands(tape, ActiveArray(tape, data), operands, what)
    if is_constant and type(leaf) is np.ndarray and leaf.dtype.kind == "f":
        operands.extend(tape.constant_block(np.ravel(leaf).astype(np.float64)).tolist())
        return leaf.shape
    if holds_actives(leaf, tape):
        remedy = as_plain([leaf])
        raise UnsupportedFunctionError(
            f"{what} holds an object of type {type(leaf).__name__} in which there are active "
            f"numbers: it can't be made again for another point; {remedy + ', or ' * bool(remedy)}"
            f"{_VERBS[what]} its numbers themselves, in a tuple, list, deque, dict or dataclass"
        )
    return Fixed(duplicate(original_of(leaf)))
