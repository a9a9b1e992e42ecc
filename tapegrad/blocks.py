"""Blocks: operations on arrays that are one call on a tape, with derivatives of their own.

A `call` record names its block by `a`, an index in the tape's `blocks`, and its operands by `b`,
where their run begins in the tape's `call_operands`: slots or constants, as many as the block
has. The runs follow one another in the calls' order. After a call come its `result` records, as
many as the block has, each with the call's slot as `a`: they hold its values. The call itself
holds 0, and nothing else reads it.

Sweeps and machine code run a block by address, `int64 f(double **reads, double **writes, int64
*context)`, which returns 0 if all is well: its value reads the operands and sets the results; its
pullback reads operands, results and their adjoints, and adds to the operands' adjoints; its
pushforward reads operands, results and the operands' tangents, and sets the results'. What has
no compiled form is called back in Python.
"""

from __future__ import annotations

import copy
import ctypes
import functools
import itertools
import math
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from tapegrad.errors import BlockFailedError, BlockShapeError
from tapegrad.ops import CODE

if TYPE_CHECKING:
    from tapegrad.tape import Tape

CALL, RESULT = CODE["call"], CODE["result"]

Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]
Array = npt.NDArray[np.float64]
Kind = Literal["value", "pullback", "pushforward"]
KINDS: tuple[Kind, ...] = ("value", "pullback", "pushforward")

# The words of a block that the sweeps read: the addresses of its three functions, by the order of
# `KINDS`, and of the context they're given; how many operands and results it has, as arrays and as
# numbers; then the arrays' sizes, and of each operand whether a derivative by it is wanted.
CONTEXT_WORD, ARRAYS_WORD, NUMBERS_WORD, SIZES_WORD = 3, 4, 6, 8


class Block:
    """An operation on arrays, and its derivatives.

    Blocks are immutable; two that are equal are one on a tape. Whoever derives from this gives the
    value and either derivative or both; what is missing is an error where it's asked for.

    Parameters
    ----------
    name : str
        What a listing calls it.
    operand_shapes, result_shapes : tuple of tuple of int
    is_active : tuple of bool
        Of each operand, whether it's differentiated by; of the others all numbers are constants.

    Attributes
    ----------
    has_slots : tuple of bool
        Of each operand, whether a tape that calls it has slots for its numbers: of those that are
        differentiated by, and of those that were before it was `narrowed`.
    signals : tuple of type
        What it raises for the library, which calls another block then: no failure of its own.
    """

    signals: tuple[type[Exception], ...] = ()

    def __init__(
        self, name: str, operand_shapes: Shapes, result_shapes: Shapes, is_active: tuple[bool, ...]
    ) -> None:
        self.name, self.is_active = name, is_active
        self.has_slots = is_active
        self.operand_shapes, self.result_shapes = operand_shapes, result_shapes
        self.operand_sizes = tuple(map(math.prod, operand_shapes))
        self.result_sizes = tuple(map(math.prod, result_shapes))
        self.n_operands, self.n_results = sum(self.operand_sizes), sum(self.result_sizes)

    # --- what is computed -------------------------------------------------------------------------

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the results."""
        raise NotImplementedError

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the operands' adjoints; None for what isn't active, or is zero.

        Parameters
        ----------
        operands, results : sequence of ndarray
        adjoints : sequence of ndarray
            Of the results.
        """
        raise NotImplementedError

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the results' tangents; None for zero.

        Parameters
        ----------
        operands, results : sequence of ndarray
        tangents : sequence of (ndarray or None)
            Of the operands; None where they aren't active.
        """
        raise NotImplementedError

    def recorded_pullback(self, operands: Sequence[Any], results: Sequence[Any],
                          adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pullback, made of operations that can be recorded, for higher orders."""
        return self.pullback(operands, results, adjoints)

    def recorded_pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                             tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return the pushforward, made of operations that can be recorded, for higher orders."""
        return self.pushforward(operands, results, tangents)

    def compiled(self, kind: Kind) -> int:
        """Return the address of a compiled form, or 0 if there is none."""
        return 0

    @property
    def context(self) -> tuple[int, ...]:
        """The whole numbers that compiled forms are given."""
        return ()

    # --- how it's run -----------------------------------------------------------------------------

    def narrowed(self, is_active: tuple[bool, ...], has_slots: tuple[bool, ...]) -> Block:
        """Return the block that is differentiated by some of this one's operands only."""
        if (is_active, has_slots) == (self.is_active, self.has_slots):
            return self
        found = self if is_active == self.is_active else self.differentiated_by(is_active)
        found = copy.copy(found)
        found.has_slots = has_slots
        return found

    def differentiated_by(self, is_active: tuple[bool, ...]) -> Block:
        """Return a block like this one that is differentiated by other operands.

        Whoever derives from this and keeps more that depends on them overrides it.
        """
        found = copy.copy(self)
        found.is_active = is_active
        return found

    @functools.cached_property
    def words(self) -> npt.NDArray[np.int64]:
        """What the sweeps read of it; its address is good as long as the block lives."""
        number = next(_numbers)
        _by_number[number] = self
        # Of those two that are called back only the number is read.
        self._context = np.array([number, *self.context], np.int64)
        functions = [self.compiled(kind) or CALLBACKS[kind] for kind in KINDS]
        counts = len(self.operand_sizes), len(self.result_sizes), self.n_operands, self.n_results
        found = (*functions, self._context.ctypes.data, *counts, *self.operand_sizes,
                 *self.result_sizes, *self.is_active)  # fmt: skip
        return np.array(found, np.int64)

    def address_of(self, kind: Kind) -> tuple[int, int]:
        """Return the addresses of a function and of its context."""
        return int(self.words[KINDS.index(kind)]), int(self.words[CONTEXT_WORD])

    def evaluated(self, operands: Sequence[Array]) -> list[Array]:
        """Return the results as every sweep finds them.

        Raises
        ------
        BlockFailedError
            If a compiled form fails.
        """
        if not self.compiled("value"):
            found = [np.asarray(result, np.float64) for result in self.value(operands)]
            self._check(found)
            return found
        results = [np.empty(shape) for shape in self.result_shapes]
        function, context = self.address_of("value")
        in_rows = [np.asarray(operand, np.float64, order="C") for operand in operands]
        reads, writes = _pointers(in_rows), _pointers(results)
        if _FUNCTION(function)(reads.ctypes.data, writes.ctypes.data, context):
            raise BlockFailedError(f"the block `{self.name}` has no value here")
        return results

    def _check(self, results: Sequence[Array]) -> None:
        shapes = tuple(result.shape for result in results)
        if shapes != self.result_shapes:
            raise BlockShapeError(
                f"the block `{self.name}` returned arrays of shapes {shapes} where it returned "
                f"{self.result_shapes} before: shapes may depend on the operands' shapes only; "
                "return the same for the same"
            )

    def respond(self, kind: Kind, reads: int, writes: int) -> None:
        """Run a function of it on what two arrays of pointers point to."""
        n, m = len(self.operand_shapes), len(self.result_shapes)
        operands, results = self.operand_shapes, self.result_shapes
        if kind == "value":
            found = self.value(_arrays(reads, operands))
            for place, result in zip(_arrays(writes, results), found, strict=True):
                place[...] = result
        elif kind == "pullback":
            given = _arrays(reads, (*operands, *results, *results))
            found = self.pullback(given[:n], given[n : n + m], given[n + m :])
            for place, added, is_active in zip(
                _arrays(writes, operands), found, self.is_active, strict=True
            ):
                if added is not None and is_active:
                    place += added
        else:
            given = _arrays(reads, (*operands, *results, *operands))
            tangents = [
                tangent if is_active else None
                for tangent, is_active in zip(given[n + m :], self.is_active, strict=True)
            ]
            found = self.pushforward(given[:n], given[n : n + m], tangents)
            for place, result in zip(_arrays(writes, results), found, strict=True):
                place[...] = 0.0 if result is None else result

    def __getstate__(self) -> dict[str, Any]:
        own = ("words", "_context")  # of this process
        return {name: value for name, value in vars(self).items() if name not in own}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.operand_shapes} -> {self.result_shapes}>"


def addresses_of(blocks: Sequence[Block], names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return the addresses of blocks' functions and contexts, by what programs call them."""
    suffixes: dict[Kind, str] = {kind: "" if kind == "value" else f".{kind}" for kind in KINDS}
    return {
        name + suffix: block.address_of(kind)
        for block, name in zip(blocks, names, strict=True)
        for kind, suffix in suffixes.items()
    }


class Constant(Block):
    """A block whose results don't move with its operands: what is told by them is guarded."""

    def pullback(self, operands: Sequence[Any], results: Sequence[Any],
                 adjoints: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return that no operand matters."""
        return [None] * len(self.operand_shapes)

    def pushforward(self, operands: Sequence[Any], results: Sequence[Any],
                    tangents: Sequence[Any]) -> Sequence[Any]:  # fmt: skip
        """Return that nothing moves."""
        return [None] * len(self.result_shapes)


class Failing(Constant):
    """Whether a block has no value: what a program does then holds only where it has none."""

    def __init__(self, block: Block) -> None:
        super().__init__("fails", block.operand_shapes, ((),), block.is_active)
        self._block = block

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return 1 if the block fails and 0 if it doesn't."""
        try:
            self._block.evaluated(operands)
        except Exception:  # whatever it is, the program saw one
            return [1.0]
        return [0.0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Failing) and self._block == other._block

    def __hash__(self) -> int:
        return hash((Failing, self._block))


# --- calls from compiled code ---------------------------------------------------------------------

_numbers = itertools.count(1)
_by_number: weakref.WeakValueDictionary[int, Block] = weakref.WeakValueDictionary()


class _Failure(threading.local):
    """What was raised in a block while compiled code ran it: that can't pass through."""

    error: BaseException | None = None


_failure = _Failure()


def take_failure() -> BaseException | None:
    """Return what was raised in a block since this was asked last, in this thread."""
    error, _failure.error = _failure.error, None
    return error


def check_interrupt() -> None:
    """Raise what stopped a block, if it was no error of its own but an interrupt."""
    error = take_failure()
    if error is not None and not isinstance(error, Exception):
        raise error


def raise_failure(tape: Tape) -> None:
    """Raise what made the derivative of a block fail."""
    error = take_failure()
    if error is not None:
        raise error
    names = ", ".join(sorted({block.name for block in tape.blocks}))
    raise BlockFailedError(f"the derivative of a block can't be computed here: one of {names}")


_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 3)


def _responding(kind: Kind) -> Any:
    def run(reads: int, writes: int, context: int) -> int:
        try:
            _by_number[ctypes.c_int64.from_address(context).value].respond(kind, reads, writes)
        except BaseException as error:  # raised again by whoever called the compiled code
            _failure.error = error
            return 1
        return 0

    return _FUNCTION(run)


_responders = {kind: _responding(kind) for kind in KINDS}
CALLBACKS = {
    kind: ctypes.cast(function, ctypes.c_void_p).value or 0
    for kind, function in _responders.items()
}


@functools.cache
def _memory(size: int) -> Callable[[int], Any]:
    return (ctypes.c_double * size).from_address


def _arrays(pointers: int, shapes: Sequence[Shape]) -> list[Array]:
    """Return arrays of given shapes that are where pointers say."""
    addresses = (ctypes.c_int64 * len(shapes)).from_address(pointers)
    return [
        np.frombuffer(_memory(size)(address)).reshape(shape) if size else np.empty(shape)
        for address, shape, size in (
            (address, shape, math.prod(shape))
            for address, shape in zip(addresses, shapes, strict=True)
        )
    ]


def _pointers(arrays: Sequence[Array]) -> npt.NDArray[np.int64]:
    return np.array([array.ctypes.data for array in arrays], np.int64)


# --- calls on a tape ------------------------------------------------------------------------------


def calls_of(tape: Tape) -> npt.NDArray[np.int64]:
    """Return the slots of a tape's calls."""
    return np.flatnonzero(tape.op == CALL) if tape.blocks else np.empty(0, np.int64)


def operands_of(tape: Tape, slot: int) -> npt.NDArray[np.int32]:
    """Return the operands of a call."""
    start = tape.b[slot]
    return tape.call_operands[start : start + tape.blocks[tape.a[slot]].n_operands]
