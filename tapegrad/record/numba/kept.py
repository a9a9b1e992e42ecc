"""Arrays and lists of constants that a compiled function makes and stores active numbers into.

`y = T * 1.0` of an array from outside holds floats. So where what may depend on active arguments
is stored into what a name stands for, what is assigned to that name goes through `kept`: a fresh
array or list of floats becomes one that can hold active numbers. What may share its memory with
anything stays what it is, for a store there must be seen there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from tapegrad.numba_internals import definition, ir
from tapegrad.record.kinds import active, kind_in, linearised

_FRESH = frozenset(
    ["append", "arange", "array", "clip", "column_stack", "concatenate", "convolve", "copy",
     "cross", "cumprod", "cumsum", "delete", "diff", "dot", "dstack", "full", "full_like",
     "hstack", "interp", "kron", "linspace", "ones", "ones_like", "outer", "repeat", "roll",
     "sort", "stack", "take", "tri", "tril", "triu", "vander", "vstack", "where"]
)  # fmt: skip
"""NumPy's functions whose results in compiled code are arrays of their own."""

_FRESH_METHODS = frozenset(
    ["astype", "copy", "cumprod", "cumsum", "dot", "flatten", "repeat", "take"]
)

_VIEWING_METHODS = frozenset(["ravel", "reshape", "transpose", "view"])
_VIEWING_ATTRIBUTES = frozenset(["T", "flat", "real"])

_SHAPES = frozenset(["dtype", "itemsize", "nbytes", "ndim", "shape", "size", "strides"])

Constant = Callable[[Any], Any]


class Stores:
    """What a function stores that may be active, and into what.

    Parameters
    ----------
    func_ir : FunctionIR
        Before types are known and variables are renamed.
    types : sequence
        Those of its arguments.
    constant : callable
        Returns the object that a variable stands for, or None.

    Attributes
    ----------
    names : set of str
        The variables whose elements may be given active numbers.
    """

    def __init__(self, func_ir: Any, arguments: Any, constant: Constant) -> None:
        self._ir, self._constant, self._arguments = func_ir, constant, arguments
        blocks = list(func_ir.blocks.values())
        self._assigned = [found for block in blocks for found in block.find_insts(ir.Assign)]
        self._stored = [
            (found.target.name, found.value.name)
            for block in blocks
            for kind in (ir.SetItem, ir.StaticSetItem)
            for found in block.find_insts(kind)
        ]
        self._stored += [
            (found.value.lhs.name, found.value.rhs.name)
            for found in self._assigned
            if _is(found.value, "inplace_binop")
        ]
        self.names: set[str] = set()
        if self._stored:
            self._find()

    def _find(self) -> None:
        """Go round until nothing more may be active, or is what is stored into."""
        depending: set[str] = set()
        count = -1
        while count != len(depending) + len(self.names):
            count = len(depending) + len(self.names)
            for assign in self._assigned:
                if depending.intersection(self._read(assign.value)):
                    depending.add(assign.target.name)
                if isinstance(assign.value, ir.Arg) and self._is_active(assign.value.index):
                    depending.add(assign.target.name)
                if assign.target.name in self.names:
                    self.names.update(self._shared(assign.value))
            self.names.update(target for target, value in self._stored if value in depending)
            depending |= self.names

    def _is_active(self, index: int) -> bool:
        return index < len(self._arguments) and kind_in(self._arguments[index]) is not None

    def _read(self, value: Any) -> Iterator[str]:
        """Yield the variables that a value is computed of, not those it has the shape of."""
        if isinstance(value, ir.Var):
            yield value.name
        elif isinstance(value, ir.Expr):
            is_shape = value.op == "getattr" and value.attr in _SHAPES
            if not is_shape and not (value.op == "call" and self._constant(value.func) is len):
                yield from (part.name for part in value.list_vars())

    def _shared(self, value: Any) -> Iterator[str]:
        """Yield the variables whose elements a value's are."""
        if isinstance(value, ir.Var):
            yield value.name
        elif _is(value, "getitem", "static_getitem", "getiter", "iternext", "pair_first",
                 "exhaust_iter"):  # fmt: skip
            yield value.value.name
        elif _is(value, "inplace_binop"):
            yield value.lhs.name
        elif _is(value, "build_list", "build_tuple"):
            yield from (item.name for item in value.items)
        elif _is(value, "getattr") and value.attr in _VIEWING_ATTRIBUTES:
            yield value.value.name
        elif _is(value, "call"):
            named = definition(self._ir, value.func)
            if _is(named, "getattr") and named.attr in _VIEWING_METHODS:
                yield named.value.name

    def is_kept(self, instruction: Any) -> bool:
        """Whether what an instruction assigns is a fresh array or list that is stored into."""
        if instruction.target.name not in self.names:
            return False
        value = instruction.value
        is_list = _is(value, "build_list") and len(value.items) > 0  # else what comes decides
        return is_list or _is(value, "binop", "unary") or self._is_fresh_call(value)

    def _is_fresh_call(self, value: Any) -> bool:
        if not _is(value, "call"):
            return False
        function = self._constant(value.func)
        if function is not None:
            is_fresh = getattr(function, "__name__", None) in _FRESH and function is getattr(
                np, function.__name__
            )
            return isinstance(function, np.ufunc) or is_fresh
        named = definition(self._ir, value.func)
        return _is(named, "getattr") and named.attr in _FRESH_METHODS


def _is(value: Any, *operations: str) -> bool:
    return isinstance(value, ir.Expr) and value.op in operations


def _keeper(kind: Any) -> Callable[..., Any]:
    """Return what makes arrays and lists of floats such as hold active numbers of a type."""

    def kept(thing: Any) -> Any:
        """Return an array or a list that can be stored into; for compiled code."""

    @overload(kept, strict=False)
    def _(thing: Any) -> Any:
        if isinstance(thing, types.Array) and thing.dtype == types.float64:

            def array(thing: Any) -> Any:
                made = np.zeros(thing.shape, kind)
                made[...] = thing
                return made

            return array
        if isinstance(thing, types.List) and thing.dtype == types.float64:

            def numbers(thing: Any) -> Any:
                made = np.zeros(len(thing), kind)
                for i in range(len(thing)):
                    made[i] = thing[i]
                return [number for number in made]  # noqa: C416  # list() is none of Numba's

            return numbers
        return lambda thing: thing

    return kept


KEEPERS = {kind: _keeper(kind) for kind in (active, linearised)}
"""What `kept` is for a type of active number."""
