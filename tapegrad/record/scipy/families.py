"""Families of blocks whose derivatives are written once, for plain and for active arrays.

A formula is a function of `la`, which has the names of scipy.linalg: SciPy's own for plain
arrays, the rules of this package (`RECORDED`) where the derivative is recorded for a higher
order. Beside them are the moves that rules make before and after a block: what only part of a
matrix is read of, and stacks of matrices. They append no records.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapegrad.blocks import Block, Shapes
from tapegrad.record.creation import as_array
from tapegrad.record.linear.shaped import ShapedBlock, transposed
from tapegrad.record.nesting import unsettle
from tapegrad.record.refusals import no_numbers
from tapegrad.record.scipy.recognised import FUNCTIONS, is_held


class _Recorded:
    """The rules of scipy.linalg's functions, by SciPy's names."""

    def __getattr__(self, name: str) -> Any:
        rule = FUNCTIONS.get(f"scipy.linalg.{name}")
        if rule is None:
            raise AttributeError(name)
        setattr(self, name, rule)
        return rule


RECORDED = _Recorded()


def plain() -> Any:
    """Return scipy.linalg itself."""
    return importlib.import_module("scipy.linalg")


class Family(ShapedBlock):
    """Blocks whose formulas call SciPy's functions.

    Whoever derives from this gives `value`, and the formulas `pull` and `push`.

    Parameters
    ----------
    name : str
    operand_shapes, result_shapes : tuple of tuple of int
    is_active : tuple of bool
    *options : hashable
        What else tells one from another.
    """

    def __init__(self, name: str, operand_shapes: Shapes, result_shapes: Shapes,
                 is_active: tuple[bool, ...], *options: Any) -> None:  # fmt: skip
        self.options = options
        Block.__init__(self, name, operand_shapes, result_shapes, is_active)

    def pull(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints, by what `la` has for scipy.linalg's names."""
        raise NotImplementedError

    def push(self, la: Any, operands: Sequence[Any], results: Sequence[Any],
             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the results' tangents, by what `la` has for scipy.linalg's names."""
        raise NotImplementedError

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints."""
        return self.pull(plain(), operands, results, adjoints)

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the results' tangents."""
        return self.push(plain(), operands, results, tangents)

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints, recorded."""
        return self.pull(RECORDED, operands, results, adjoints)

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the results' tangents, recorded."""
        return self.push(RECORDED, operands, results, tangents)


def asks(adjoint: Any) -> bool:
    """Whether there is an adjoint that isn't zero, or may move from it."""
    if is_held(adjoint):
        return bool(np.any((adjoint.data["value"] != 0.0) | (adjoint.data["slot"] > 0)))
    return bool(np.any(adjoint))


def have_same_bits(x: Any, y: Any) -> bool:
    """Whether two plain arrays are the same to the bit."""
    first, second = (np.ascontiguousarray(part).reshape(-1).view(np.uint8) for part in (x, y))
    return (x.shape, x.dtype) == (y.shape, y.dtype) and np.array_equal(first, second)


# --- operands ---------------------------------------------------------------------------------


def operand(thing: Any) -> Any:
    """Return an argument as an array, an active one if it holds active numbers.

    Raises
    ------
    InputTypeError
        For complex numbers and for what is no number.
    """
    if is_held(thing):
        return as_array(thing)
    array = np.asarray(thing)
    if array.dtype.kind not in "fiub":
        raise no_numbers(thing, array.dtype)
    return array


def values_of(thing: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return an array's plain numbers at the recording's point."""
    return thing.primal if is_held(thing) else np.asarray(thing)


def check_finite_of(is_asked: Any, *arrays: Any) -> None:
    """Raise SciPy's error for infinities and NaN, where its `check_finite` asks for it."""
    if is_asked and not all(np.isfinite(values_of(array)).all() for array in arrays):
        unsettle()  # the program may catch this
        raise ValueError("array must not contain infs or NaNs")


def square(a: Any, error: type[Exception] = ValueError) -> Any:
    """Return a matrix, or a stack of some, or raise if they aren't square."""
    if a.ndim < 2 or a.shape[-2] != a.shape[-1]:
        raise error(f"Expected square matrix, got a.shape={a.shape}")
    return a


def _mask(shape: Sequence[int], lower: Any, k: int = 0) -> Any:
    rows, columns = np.arange(shape[-2])[:, None], np.arange(shape[-1])
    return rows - k >= columns if lower else rows + k <= columns


def triangle(a: Any, lower: Any, diagonal: bool = True) -> Any:
    """Return matrices with zeros beside one of their triangles."""
    return np.where(_mask(a.shape, lower, 0 if diagonal else 1), a, 0.0)


def symmetric(a: Any, lower: Any) -> Any:
    """Return the symmetric matrices of which one triangle of `a` is read."""
    return np.where(_mask(a.shape, lower), a, transposed(a))


# --- stacks -----------------------------------------------------------------------------------


def over_stacks(function: Callable[..., Any], arrays: Sequence[Any],
                dimensions: Sequence[int | str]) -> Any:  # fmt: skip
    """Apply a function to every one of stacks of matrices and vectors, as SciPy does.

    Parameters
    ----------
    function : callable
        Takes single ones, returns one array or a tuple of some.
    arrays : sequence of (array or None)
    dimensions : sequence of int or "1|2"
        How many dimensions one of each has; "1|2": a vector where the array is one.
    """
    single = [
        0 if a is None else min(2, max(1, a.ndim)) if n == "1|2" else int(n)
        for a, n in zip(arrays, dimensions, strict=True)
    ]
    stacks = [
        () if a is None else a.shape[: a.ndim - n] for a, n in zip(arrays, single, strict=True)
    ]
    if not any(stacks):
        return function(*arrays)
    stack = np.broadcast_shapes(*stacks)
    if math.prod(stack) == 0:
        raise ValueError("stacks of no matrices are not supported")
    spread = [
        a if a is None else np.broadcast_to(a, stack + a.shape[a.ndim - n :])
        for a, n in zip(arrays, single, strict=True)
    ]
    found = [
        function(*(a if a is None else a[index] for a in spread)) for index in np.ndindex(*stack)
    ]
    if not isinstance(found[0], tuple):
        return _stacked(found, stack)
    return tuple(_stacked(part, stack) for part in zip(*found, strict=True))


def _stacked(parts: Sequence[Any], stack: tuple[int, ...]) -> Any:
    joined = np.stack([operand(part) for part in parts])
    return np.reshape(joined, stack + joined.shape[1:])
