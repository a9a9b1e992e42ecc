"""Blocks of the special functions that are computed by whole arrays: a call each, elementwise.

The formulas of `special_table` are computed with NumPy's and SciPy's own functions. On plain
arrays these give derivatives, on active ones they record them, to any order that has rules.
"""

from __future__ import annotations

import functools
import importlib
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from tapegrad.blocks import Block, Shape, Shapes
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.expression import ZERO, Folding
from tapegrad.ops import CODE
from tapegrad.record.called import call
from tapegrad.record.frames import Site
from tapegrad.record.functions.operands import is_active
from tapegrad.record.functions.registry import record, special_rule
from tapegrad.special.whole_arrays import KERNELS
from tapegrad.special_table import FUNCTIONS, Function

_SIGNS: dict[tuple[str, int], Callable[..., Any]] = {
    ("+", 2): operator.add, ("-", 2): operator.sub, ("*", 2): operator.mul,
    ("/", 2): operator.truediv, ("**", 2): operator.pow, ("-", 1): operator.neg,
    ("<", 2): np.less, (">", 2): np.greater,
}  # fmt: skip


# --- formulas -------------------------------------------------------------------------------------


@functools.cache
def _plain(name: str) -> Callable[..., Any]:
    """Return what a formula calls by a name: NumPy's, SciPy's or `special`'s own function."""
    if name in KERNELS:
        return KERNELS[name]
    special = importlib.import_module("scipy.special")
    private = importlib.import_module("scipy.special._ufuncs")
    for module in (np, special, private):
        if hasattr(module, name):
            found: Callable[..., Any] = getattr(module, name)
            return found
    raise UnsupportedFunctionError(f"this version of SciPy has no {name}()")


def _applied(name: str, *operands: Any) -> Any:
    """Return a function of numbers and arrays, recorded if one is active."""
    if any(map(is_active, operands)):
        if name in FUNCTIONS:
            return elementwise(FUNCTIONS[name], *operands)
        if name in KERNELS:
            return record(CODE[name], *operands)
    return _plain(name)(*operands)


@dataclass(frozen=True)
class _Step:
    """A call in a formula: of a sign or a function, of what earlier steps gave."""

    function: Callable[..., Any]
    recorded: Callable[..., Any]
    places: tuple[int, ...]


@functools.cache
def _steps(name: str, is_active: tuple[bool, ...]) -> tuple[list[_Step | float], list[int | None]]:
    """Return how a row's partial derivatives are computed, what is common to them once.

    Places count the operands, then the value, then the steps; None is for a zero.
    """
    function = FUNCTIONS[name]
    first = len(function.operands) + 1
    steps: list[_Step | float] = []

    def add(step: _Step | float) -> int:
        steps.append(step)
        return first + len(steps) - 1

    def call_of(name: str, places: list[int]) -> int:
        plainly = _SIGNS.get((name, len(places)))
        recorded = plainly or functools.partial(_applied, name)
        return add(_Step(plainly or _plain(name), recorded, tuple(places)))

    places = {operand: k for k, operand in enumerate((*function.operands, "z"))}
    formulas: Folding[int] = Folding(places, add, call_of)
    found = [
        formulas(tree) if counts and tree not in (None, ZERO) else None
        for tree, counts in zip(function.trees, is_active, strict=True)
    ]
    return steps, found


def plain_chain(x: Any, y: Any) -> Any:
    """Return the product of an adjoint or a tangent and a partial derivative, all plain."""
    product = np.asarray(x * y)
    is_lost = np.isnan(product)
    return np.where(is_lost & ((x == 0.0) | (y == 0.0)), 0.0, product) if is_lost.any() else product


def chained(x: Any, y: Any) -> Any:
    """Return the product of an adjoint or a tangent and a partial derivative."""
    return record(CODE["chain"], x, y) if is_active(x) or is_active(y) else plain_chain(x, y)


def _summed(array: Any, shape: Shape) -> Any:
    """Return an array summed along the axes that broadcasting gave it."""
    if array.shape == shape:
        return array
    extra = array.ndim - len(shape)
    axes = [k + extra for k, n in enumerate(shape) if n == 1 and array.shape[k + extra] != 1]
    return np.sum(array, axis=(*range(extra), *axes)).reshape(shape)


# --- the block ------------------------------------------------------------------------------------


class Elementwise(Block):
    """A special function of arrays, broadcast."""

    def __init__(self, name: str, shapes: Shapes, is_active: tuple[bool, ...]) -> None:
        super().__init__(name, shapes, (np.broadcast_shapes(*shapes),), is_active)

    @property
    def function(self) -> Function:
        """The row of the table."""
        return FUNCTIONS[self.name]

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        return self.name, self.operand_shapes, self.is_active

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the value, SciPy's."""
        names, whole = self.function.operands, self.function.whole
        given = [
            operand.astype(np.int64) if name == whole and np.all(operand % 1 == 0) else operand
            for name, operand in zip(names, operands, strict=True)
        ]
        with np.errstate(all="ignore"):
            return [np.asarray(_plain(self.name)(*given), np.float64)]

    def _partials(self, operands: Sequence[Any], z: Any, is_plain: bool) -> list[Any]:
        """Return the partial derivatives that are asked for; None for zeros."""
        for k, (tree, counts) in enumerate(zip(self.function.trees, self.is_active, strict=True)):
            if counts and tree is None:
                _refuse(self.function, k)
        steps, places = _steps(self.name, self.is_active)
        values = [*operands, z]
        for step in steps:
            if isinstance(step, float):
                values.append(step)
            else:
                function = step.function if is_plain else step.recorded
                values.append(function(*[values[place] for place in step.places]))
        return [None if place is None else values[place] for place in places]

    def _pulled(self, operands: Sequence[Any], z: Any, adjoint: Any,
                is_plain: bool) -> Sequence[Any]:  # fmt: skip
        chain = plain_chain if is_plain else chained
        return [
            None if partial is None else _summed(chain(adjoint, partial), shape)
            for partial, shape in zip(
                self._partials(operands, z, is_plain), self.operand_shapes, strict=True
            )
        ]

    def _pushed(self, operands: Sequence[Any], z: Any, tangents: Sequence[Any],
                is_plain: bool) -> Sequence[Any]:  # fmt: skip
        chain, total = plain_chain if is_plain else chained, None
        for partial, tangent in zip(self._partials(operands, z, is_plain), tangents, strict=True):
            if partial is not None and tangent is not None:
                term = chain(tangent, partial)
                total = term if total is None else total + term
        (shape,) = self.result_shapes
        if total is None or total.shape == shape:
            return [total]
        return [np.broadcast_to(total, shape)]

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the adjoints."""
        with np.errstate(all="ignore"):
            return self._pulled(operands, results[0], adjoints[0], True)

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the tangent."""
        with np.errstate(all="ignore"):
            return self._pushed(operands, results[0], tangents, True)

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Record the adjoints."""
        with np.errstate(all="ignore"):
            return self._pulled(operands, results[0], adjoints[0], False)

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Record the tangent."""
        with np.errstate(all="ignore"):
            return self._pushed(operands, results[0], tangents, False)


def _block(function: Function, shapes: Shapes, is_active: tuple[bool, ...]) -> Elementwise:
    """Return the block of a call; a function of SciPy's is refused at the user's line.

    A part may be recorded without anybody asking for its derivative.
    """
    for k, (tree, counts) in enumerate(zip(function.trees, is_active, strict=True)):
        if counts and tree is None and function.is_scipys:
            _refuse(function, k)
    return Elementwise(function.name, shapes, is_active)


def _refuse(function: Function, k: int) -> NoReturn:
    module = "scipy.special." if function.is_scipys else "the derivative "
    raise UnsupportedFunctionError(
        f"{module}{function.name}({', '.join(function.operands)}) has no rule for the derivative "
        f"by {function.operands[k]}, at {Site().place}hold it constant, with "
        "tapegrad.stop_gradient if its derivative is not wanted, or give the call a derivative of "
        "your own with tapegrad.custom_rule"
    )


def elementwise(function: Function, *operands: Any) -> Any:
    """Record a special function of numbers and arrays, some of them active."""
    if len(operands) != len(function.operands):
        raise TypeError(
            f"{function.name}() takes {len(function.operands)} arguments, not {len(operands)}"
        )
    shapes = tuple(np.shape(operand) for operand in operands)
    (found,) = call(functools.partial(_block, function, shapes), operands)
    return found[()] if found.shape == () else found


def _recorder(function: Function) -> Callable[..., Any]:
    def recorder(*operands: Any) -> Any:
        return elementwise(function, *operands)

    return recorder


for _function in FUNCTIONS.values():
    if _function.is_scipys:
        special_rule(_function.name)(_recorder(_function))
