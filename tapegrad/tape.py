"""The Wengert tape of a recording that has ended: flat arrays that nothing changes any more.

Record i writes slot i and nothing else ever does; its operands are earlier slots (`>= 0`) or
constants (`< 0`: `constants[~index]`). Slot 0 is passive. A guard states the value a slot had
when the program read it; a replay is valid where all guards hold. An operation on many numbers
is a block, whose records `blocks` describes. `checking.check` states every invariant. What is
still being recorded is a `record.open_tape.OpenTape`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.block_calls import head_words
from tapegrad.blocks import Block
from tapegrad.growth import Site
from tapegrad.layout import (
    CALLS_WORD,
    COUNT_WORD,
    HEAD_WORDS,
    INPUTS_WORD,
    OUTPUTS_WORD,
    PYTHON_COLUMNS,
)
from tapegrad.listing import listing
from tapegrad.ops import CODE

INPUT = CODE["input"]

COLUMNS = {name: np.dtype(dtype) for group in PYTHON_COLUMNS for name, dtype in group}
"""What a tape's columns are called and made of."""

_SLOT = np.dtype(np.int32)
_GROUPS = [(word, [(name, COLUMNS[name]) for name, _ in group])
           for word, group in zip(COUNT_WORD, PYTHON_COLUMNS, strict=False)]  # fmt: skip


NONE = np.empty(0, np.int64)
NONE.flags.writeable = False


@dataclass(frozen=True, eq=False, repr=False)
class Tape:
    """A recording of elementary operations; see the module's docstring.

    It takes over the arrays that it's given, which are read-only from then on; `from_columns`
    copies them.

    Attributes
    ----------
    op, a, b, value : ndarray, shape (n,)
        The records' operation codes, operands and values, one row a slot.
    constants : ndarray
        The constant pool.
    guard_slot, guard_value, guard_site : ndarray
        The slot each guard read, the value it read there, and its index in `sites`.
    call_operands : ndarray of int32
        The operands of the calls of blocks, one call's after another's.
    inputs, outputs : ndarray of int32
        The inputs' slots, and the outputs as operands (a slot, or `~index` of a constant).
    sites : tuple of (str, int)
        File and line of the user's code, by index.
    blocks : tuple of Block
        What is called, by index.
    data_inputs : ndarray of int
        Which of the inputs, by their number, nothing is differentiated by: their adjoints are not
        to be used, and their tangents must be zero.
    head : ndarray of int64
        What compiled code is given: counts and addresses, as `layout` has them.
    address : int
        Of the head.
    """

    op: npt.NDArray[np.uint8]
    a: npt.NDArray[np.int32]
    b: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]
    constants: npt.NDArray[np.float64]
    guard_slot: npt.NDArray[np.int32]
    guard_value: npt.NDArray[np.float64]
    guard_site: npt.NDArray[np.int32]
    call_operands: npt.NDArray[np.int32]
    inputs: npt.NDArray[np.int32]
    outputs: npt.NDArray[np.int32]
    sites: tuple[Site, ...]
    blocks: tuple[Block, ...] = ()
    data_inputs: npt.NDArray[np.int64] = field(default_factory=lambda: NONE)
    head: npt.NDArray[np.int64] = field(init=False)
    address: int = field(init=False)

    def __post_init__(self) -> None:
        head = np.zeros(HEAD_WORDS, np.int64)
        words: Any = memoryview(head)  # type: ignore[arg-type]
        for word, group in _GROUPS:
            count = len(getattr(self, group[0][0]))
            words[word] = words[word + 1] = count
            for offset, (name, dtype) in enumerate(group):
                words[word + 2 + offset] = self._freeze(name, dtype, count)
        for word, name in ((INPUTS_WORD, "inputs"), (OUTPUTS_WORD, "outputs")):
            words[word] = count = len(getattr(self, name))
            words[word + 1] = self._freeze(name, _SLOT, count)
        if self.blocks:
            table, found = head_words(self)
            object.__setattr__(self, "_calls", table)  # kept alive for the head's sake
            for offset, number in enumerate(found):
                words[CALLS_WORD + offset] = number
        head.flags.writeable = False
        object.__setattr__(self, "head", head)
        object.__setattr__(self, "address", head.ctypes.data)

    def _freeze(self, name: str, dtype: np.dtype[Any], count: int) -> int:
        """Make a column read-only and return its address; it's what compiled code expects."""
        column = getattr(self, name)
        flags = column.flags
        if column.shape != (count,) or column.dtype != dtype or not flags.c_contiguous:
            raise ValueError(
                f"the column `{name}` must be {count} contiguous numbers of {dtype}, as those that "
                "`Tape.from_columns` makes"
            )
        flags.writeable = False
        return column.ctypes.data  # type: ignore[no-any-return]

    @classmethod
    def from_columns(cls, columns: Mapping[str, npt.NDArray[Any]],
                     outputs: Sequence[int] | npt.NDArray[np.int32],
                     sites: Sequence[Site], blocks: Sequence[Block] = (),
                     data_inputs: npt.NDArray[np.int64] = NONE) -> Tape:  # fmt: skip
        """Return a tape of columns, copied: all of the attributes' names, slot 0 included.

        The inputs are the input records, in order. Without blocks there are no operands of calls.
        """
        given = columns if blocks else {**columns, "call_operands": np.empty(0, np.int32)}
        copies = {name: np.array(given[name], dtype) for name, dtype in COLUMNS.items()}
        return cls(
            **copies,
            inputs=np.flatnonzero(copies["op"] == INPUT).astype(np.int32),
            outputs=np.array(outputs, np.int32),
            sites=tuple(sites),
            blocks=tuple(blocks),
            data_inputs=np.array(data_inputs, np.int64),
        )

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns by name."""
        return {name: getattr(self, name) for name in COLUMNS}

    def __len__(self) -> int:
        """Return the number of slots, the passive one included."""
        return len(self.op)

    @property
    def nbytes(self) -> int:
        """Bytes of records, constants, guards and operands of calls."""
        return sum(column.nbytes for column in self.columns().values())

    def __reduce__(self) -> tuple[Callable[..., Tape], tuple[Any, ...]]:
        parts = self.columns(), self.outputs, self.sites, self.blocks, self.data_inputs
        return Tape.from_columns, parts

    def __repr__(self) -> str:
        return (
            f"<Tape: {len(self) - 1:,} records, {len(self.inputs)} inputs, "
            f"{len(self.outputs)} outputs, {len(self.guard_slot):,} guards>"
        )

    def __str__(self) -> str:
        return listing(self)
