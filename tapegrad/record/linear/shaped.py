"""Blocks that are told by their class, the shapes of what they take, and a few options.

Their formulas are written with NumPy's names, so that the same ones compute and are recorded: what
they call is a block again wherever an operand is active. Stacks are broadcast before a block is
called, and a matrix of which one triangle is read is made of that triangle twice: that moves slots
and records nothing, and their adjoints add up where they belong.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tapegrad.blocks import Block, Kind, Shape, Shapes
from tapegrad.errors import BlockFailedError
from tapegrad.record.active import guard_all
from tapegrad.record.array import ActiveArray
from tapegrad.record.called import call
from tapegrad.record.functions.operands import array_on, tape_of
from tapegrad.record.linear import lapack
from tapegrad.record.linear.compiled_forms import Forms
from tapegrad.record.linear.kernels import LARGEST_LOOPED


class ShapedBlock(Block):
    """A block that equals another of its class with the same shapes and options.

    Parameters
    ----------
    operand_shapes : tuple of tuple of int
    is_active : tuple of bool
    *options
        Whatever else it depends on, hashable.
    """

    title: ClassVar[str]
    forms: ClassVar[Forms] = {}
    functions: ClassVar[tuple[str, ...]] = ()
    """What its forms call for large matrices: the addresses end their context."""

    def __init__(self, operand_shapes: Shapes, is_active: tuple[bool, ...], *options: Any) -> None:
        self.options = options
        super().__init__(self.title, operand_shapes, self.shapes_of(operand_shapes), is_active)

    def shapes_of(self, operand_shapes: Shapes) -> Shapes:
        """Return the shapes of the results."""
        raise NotImplementedError

    # --- compiled forms ---------------------------------------------------------------------------

    @property
    def sizes(self) -> tuple[int, ...]:
        """What its forms are told of its shapes and options."""
        return ()

    @property
    def is_small(self) -> bool:
        """Whether its forms call no function."""
        return self.operand_shapes[0][-1] <= LARGEST_LOOPED

    @functools.cached_property
    def addresses(self) -> tuple[int, ...]:
        """Where BLAS's and LAPACK's functions are; zeros where none is called."""
        if not self.functions or self.is_small:
            return (0,) * len(self.functions)
        return tuple(map(lapack.address_of, self.functions))

    @property
    def context(self) -> tuple[int, ...]:
        """How large the matrices are, and where functions are."""
        return (*self.sizes, *self.addresses)

    def compiled(self, kind: Kind) -> int:
        """Return the address of a compiled form; 0 for large matrices without SciPy."""
        if kind not in self.forms:
            return 0
        return self.forms[kind].address() if self.is_small or all(self.addresses) else 0

    def evaluated(self, operands: Sequence[Any]) -> list[Any]:
        """Return the results, or raise NumPy's own error where there are none."""
        operands = [np.asarray(operand, np.float64, order="C") for operand in operands]
        try:
            if self.compiled("value"):
                return super().evaluated(operands)
            with np.errstate(all="ignore"):
                return super().evaluated(operands)
        except BlockFailedError:
            with np.errstate(all="ignore"):
                self.value(operands)
            raise np.linalg.LinAlgError("Singular matrix") from None

    def respond(self, kind: Kind, reads: int, writes: int) -> None:
        """Run a function of it; infinities and NaN come out without a warning."""
        with np.errstate(all="ignore"):
            super().respond(kind, reads, writes)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state.pop("addresses", None)
        return state

    @property
    def _key(self) -> tuple[Any, ...]:
        return self.name, self.operand_shapes, self.result_shapes, self.is_active, self.options

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self) and isinstance(other, ShapedBlock) and self._key == other._key
        )

    def __hash__(self) -> int:
        return hash((type(self), self._key))


def applied(kind: type[ShapedBlock], operands: Sequence[Any], *options: Any) -> list[Any]:
    """Return the results of a block of some kind for operands, active or not."""
    shapes = tuple(np.shape(operand) for operand in operands)
    return call(lambda is_active: kind(shapes, is_active, *options), operands)


def guarded(result: Any) -> Any:
    """Return the values of a result, which are read: a replay that finds others is not used."""
    if not isinstance(result, ActiveArray):
        return np.asarray(result)
    active = result.data[result.data["slot"] > 0]
    guard_all(result.tape, active["slot"], active["value"])
    return result.data["value"].copy()


# --- what formulas are made of --------------------------------------------------------------------


def stack_size(shape: Shape) -> int:
    """Return how many matrices there are in a stack."""
    return math.prod(shape[:-2])


def transposed(x: Any) -> Any:
    """Return matrices with rows and columns interchanged."""
    return np.swapaxes(x, -1, -2)


def diagonal(x: Any) -> Any:
    """Return the diagonals of matrices."""
    return np.diagonal(x, 0, -2, -1)


def on_diagonal(x: Any) -> Any:
    """Return diagonal matrices."""
    return x[..., np.newaxis, :] * np.eye(x.shape[-1])


def lower(x: Any, weight: float = 1.0) -> Any:
    """Return lower triangles, their diagonals times a number."""
    n = x.shape[-1]
    return np.where(np.tri(n, k=-1, dtype=bool), x, on_diagonal(diagonal(x) * weight))


def is_absent(x: Any) -> bool:
    """Whether a tangent or an adjoint is none, or plain zeros."""
    return x is None or (type(x) is np.ndarray and not x.any())


def total_of(*terms: Any) -> Any:
    """Return the sum of those terms that there are; None if there is none."""
    found = None
    for term in terms:
        if term is not None:
            found = term if found is None else found + term
    return found


# --- operands -------------------------------------------------------------------------------------


def matrices(a: Any) -> Any:
    """Return an operand as an active array of matrices."""
    a = array_on(tape_of(a), a)
    if a.ndim < 2:
        raise np.linalg.LinAlgError(
            f"{a.ndim}-dimensional array given. Array must be at least two-dimensional"
        )
    return a


def square(a: Any) -> Any:
    """Return an operand as an active array of square matrices."""
    a = matrices(a)
    if a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square")
    return a


def mirrored(a: Any, is_upper: bool) -> Any:
    """Return symmetric matrices made of one triangle of each."""
    a = square(a)
    n = a.shape[-1]
    kept = np.tri(n, dtype=bool)
    data = np.where(kept.T if is_upper else kept, a.data, np.swapaxes(a.data, -1, -2))
    return ActiveArray(a.tape, data)
