"""A tape that is being recorded: Python and compiled code both append to its memory.

What Python appends one by one waits in typed buffers until compiled code is to go on, or the
recording ends; `end` hands the memory over to a `Tape`, which nothing changes any more.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from threading import get_ident
from types import CodeType
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import CALL, RESULT, Block
from tapegrad.columns import Columns
from tapegrad.errors import OtherThreadError, StructureError, TapeEndedError, TapeMemoryError
from tapegrad.growth import Site, can_grow, can_grow_no_more, compiled_site
from tapegrad.jit import Kernel
from tapegrad.layout import (
    CONSTANTS,
    COUNT_WORD,
    FAILED_WORD,
    GUARDS,
    OPERANDS,
    RECORDS,
)
from tapegrad.libraries import frames_to_user
from tapegrad.ops import CODE
from tapegrad.tape import INPUT, Tape

_N, _N_CONSTANTS = COUNT_WORD[RECORDS], COUNT_WORD[CONSTANTS]


class _AtTheEnd:
    """An attribute of tapes that have ended: who takes an open one for one is told the way out."""

    def __get__(self, tape: Any, owner: Any) -> NoReturn:
        raise AttributeError(
            "a tape that is being recorded has no columns to read: end it, as in `tape = "
            "tape.end(outputs)`, or look at `tape.so_far()`"
        )


class OpenTape(Columns):
    """A recording that goes on.

    Attributes
    ----------
    sites : list of (str, int)
        File and line of the user's code, by index.
    parent : OpenTape or None
        The tape that was being recorded when this one began.
    is_unsettled : bool
        Whether an error came of its numbers of which no guard says where it does.
    thread : int
        The identity of the thread that may append, 0 when the recording has ended.
    has_labels : bool
        Whether a Series took part in arithmetic.
    labels : Index or None
        The labels of the first one that had any but its positions.

    Examples
    --------
    >>> import tapegrad as tg
    >>> tape = tg.OpenTape()
    >>> x = tape.input(3.0)
    >>> square = tape.append(tg.ops.CODE["multiply"], x, x, 9.0)
    >>> tape.end([square])
    <Tape: 2 records, 1 inputs, 1 outputs, 0 guards>
    """

    def __init__(self, parent: OpenTape | None = None) -> None:
        super().__init__()
        self.parent = parent
        self.level: int = 0 if parent is None else parent.level + 1
        self.is_open = True
        self.has_labels = False
        self.labels: Any = None
        self.failure: TapeMemoryError | None = None
        self.thread = get_ident()
        self._refused: OtherThreadError | None = None
        self.is_unsettled = False
        self.sites: list[Site] = []
        self.blocks: list[Block] = []
        self._n_operands = 0
        self._block_index: dict[tuple[Block, tuple[bool, ...]], int] = {}
        self._site_index: dict[tuple[int, int], int] = {}
        self._site_code: list[CodeType] = []
        self._input_slots = array("i")
        self.captured: dict[tuple[int, int], tuple[Any, int]] = {}
        self.taps: list[Any] = []
        can_grow(self)
        for group in (RECORDS, CONSTANTS, GUARDS):
            self.reserve(group, 64)
        self._columns["op"][0] = CODE["passive"]
        for name in ("a", "b", "value"):
            self._columns[name][0] = 0
        self._words[_N] = 1
        self.n = 1
        self.next_constant = -1
        # What Python appends one by one; moved to the columns by `flush`. array.array is the
        # fastest typed buffer to append to from Python (25 ns, against 40 for a memoryview).
        self.new_op = bytearray()
        self.new_a = array("i")
        self.new_b = array("i")
        self.new_value = array("d")
        self.new_constants = array("d")
        self.new_guard_slot = array("i")
        self.new_guard_value = array("d")
        self.new_guard_site = array("i")
        self.new_operands = array("i")

    # --- taking in what was appended ----------------------------------------------------------

    def flush(self) -> None:
        """Move what Python appended to the columns, so that compiled code can go on."""
        if self._words[FAILED_WORD]:
            self.sync()
        pending = (self.new_op, self.new_a, self.new_b, self.new_value)
        if self.new_op:
            self._extend(RECORDS, pending)
        if self.new_constants:
            self._extend(CONSTANTS, (self.new_constants,))
        if self.new_guard_slot:
            guards = (self.new_guard_slot, self.new_guard_value, self.new_guard_site)
            self._extend(GUARDS, guards)
        if self.new_operands:
            self._extend(OPERANDS, (self.new_operands,))

    def run(self, kernel: Kernel, *args: Any) -> Any:
        """Run a kernel that appends to this tape, and return its result.

        The kernel asks for the room it needs; what Python appended is moved to the columns first.
        """
        self.enter()
        if self.new_op or self.new_constants or self.new_guard_slot:
            self.flush()
        try:
            result = kernel.run(*args)
        except TapeMemoryError:
            result = None  # `sync` raises what the tape itself said
        self.sync()
        return result

    def sync(self) -> None:
        """Take note of what compiled code appended; raise if it ran out of memory.

        A tape that did has lost records, and raises whenever it's asked again.
        """
        if self._words[FAILED_WORD]:
            raise TapeMemoryError(*self.failure.args if self.failure else ())
        self.take_note()

    def take_note(self) -> None:
        """Take note of what compiled code appended."""
        words = self._words
        self.n = words[_N]
        self.next_constant = ~words[_N_CONSTANTS]

    # --- appending from Python ----------------------------------------------------------------

    def enter(self) -> None:
        """Raise unless this thread may append."""
        if self.thread != get_ident():
            self.refuse()

    def refuse(self) -> NoReturn:
        """Raise the error for a number used after its recording, or in another thread."""
        if not self.is_open:
            raise TapeEndedError(
                "an active number was used after the recording it belongs to had ended: it lasts "
                "for one call; return it from the function, with has_aux=True beside the value, "
                "or have its plain value given to a function of yours at every call, as in "
                "`tapegrad.tap(values.append, x)`"
            )
        frame = sys._getframe(frames_to_user())
        # Kept, for the recording must fail even if nobody looks at what the thread raised.
        self._refused = OtherThreadError(
            f"an active number was used in a thread that isn't recording it, at "
            f"{frame.f_code.co_filename}:{frame.f_lineno}; a recording follows one thread, its "
            "own: do the work there (`map` in place of a pool's `map`), or let each thread compute "
            "whole derivatives of plain numbers and add them up outside the recorded function"
        )
        raise self._refused

    def append(self, code: int, a: int, b: int, value: float) -> int:
        """Append one record and return its slot."""
        if self.thread != get_ident():
            self.refuse()
        self.new_op.append(code)
        self.new_a.append(a)
        self.new_b.append(b)
        self.new_value.append(value)
        slot = self.n
        self.n = slot + 1
        return slot

    def constant(self, value: float) -> int:
        """Append to the constant pool and return the operand that means it."""
        if self.thread != get_ident():
            self.refuse()
        self.new_constants.append(value)
        operand = self.next_constant
        self.next_constant = operand - 1
        return operand

    def constant_block(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Append many constants and return the operands that mean them."""
        operands = self.next_constant - np.arange(len(values))
        self.new_constants.frombytes(values.tobytes())
        self.next_constant -= len(values)
        return operands

    def input(self, value: float) -> int:
        """Append an input and return its slot."""
        slot = self.append(INPUT, self.n, 0, value)  # it stands for itself
        self._input_slots.append(slot)
        return slot

    def input_block(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        """Append many inputs and return their slots."""
        slots = np.arange(self.n, self.n + len(values), dtype=np.int32)
        self.new_op.extend(bytes([INPUT]) * len(values))
        self.new_a.frombytes(slots.tobytes())
        self.new_b.frombytes(bytes(4 * len(values)))
        self.new_value.frombytes(values.tobytes())
        self._input_slots.frombytes(slots.tobytes())
        self.n += len(values)
        return slots

    def own(self, block: Block) -> Block:
        """Return the block that the tape has for an equal one, if it called one."""
        index = self._block_index.get((block, block.has_slots))
        return block if index is None else self.blocks[index]

    def call(self, block: Block, operands: Sequence[int] | npt.NDArray[np.int32],
             values: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:  # fmt: skip
        """Append a call of a block and its results, and return the results' slots.

        Parameters
        ----------
        block : Block
        operands : sequence of int
            Slots and constants, one at least a slot.
        values : ndarray
            The results.
        """
        if (len(operands), len(values)) != (block.n_operands, block.n_results):
            raise StructureError(
                f"the block `{block.name}` has {block.n_operands} operands and {block.n_results} "
                f"results, not {len(operands)} and {len(values)}"
            )
        key = block, block.has_slots
        index = self._block_index.setdefault(key, len(self.blocks))
        if index == len(self.blocks):
            self.blocks.append(block)
        slot = self.append(CALL, index, self._n_operands, 0.0)
        self.new_operands.frombytes(np.ascontiguousarray(operands, np.int32).tobytes())
        self._n_operands += len(operands)
        n = len(values)
        self.new_op.extend(bytes([RESULT]) * n)
        self.new_a.frombytes(np.full(n, slot, np.int32).tobytes())
        self.new_b.frombytes(bytes(4 * n))
        self.new_value.frombytes(np.ascontiguousarray(values, np.float64).tobytes())
        self.n += n
        return np.arange(slot + 1, self.n, dtype=np.int32)

    def guard(self, slot: int, value: float, code: CodeType, instruction: int) -> None:
        """State that `slot` held `value` when the program read it, at an instruction."""
        self.enter()
        self.new_guard_slot.append(slot)
        self.new_guard_value.append(value)
        self.new_guard_site.append(self.site(code, instruction))

    def site(self, code: CodeType, instruction: int) -> int:
        """Return the index in `sites` of an instruction of the user's code."""
        key = (id(code), instruction)
        index = self._site_index.get(key)
        if index is None:
            index = self._site_index[key] = len(self.sites)
            self._site_code.append(code)  # keeps the code alive, and so its id unique
            self.sites.append((code.co_filename, _line_of(code, instruction)))
        return index

    # --- the end ------------------------------------------------------------------------------

    def end(self, outputs: Sequence[int] | npt.NDArray[np.int32] = ()) -> Tape:
        """End the recording and return its tape; further records are refused.

        Raises
        ------
        OtherThreadError
            If another thread tried to append.
        TapeEndedError
            If the recording has ended already.
        """
        if self._refused is not None:
            raise OtherThreadError(*self._refused.args) from self._refused
        self._complete()
        inputs, results = np.array(self._input_slots, np.int32), np.array(outputs, np.int32)
        tape = Tape(**self.take(), inputs=inputs, outputs=results, sites=tuple(self.sites),
                    blocks=tuple(self.blocks))  # fmt: skip
        self.abandon()
        return tape

    def so_far(self) -> Tape:
        """Return a tape of what has been recorded so far: a copy, without outputs.

        Raises
        ------
        TapeEndedError
            If the recording has ended.
        """
        self._complete()
        return Tape.from_columns(self.held(), (), self.sites, self.blocks)

    def _complete(self) -> None:
        """Move to the columns whatever is still elsewhere."""
        if not self.is_open:
            raise TapeEndedError("the recording has ended: `end` has returned its tape")
        self.enter()
        self.flush()
        self._resolve_sites()

    def _resolve_sites(self) -> None:
        """Give the places of guards in compiled code a number of this tape."""
        if not self._words[COUNT_WORD[GUARDS]]:
            return
        sites = self._columns["guard_site"][: self._words[COUNT_WORD[GUARDS]]]
        for number in np.unique(sites[sites < 0]).tolist():
            sites[sites == number] = len(self.sites)
            self.sites.append(compiled_site(number))

    def place_guards(self, first: int, site: int) -> None:
        """Say where the guards from one on were left, which compiled code can't know."""
        self._columns["guard_site"][first : self._words[COUNT_WORD[GUARDS]]] = site

    def abandon(self) -> None:
        """Refuse further records, in compiled code too: their numbers outlived the recording."""
        self.is_open, self.thread = False, 0
        can_grow_no_more(self)
        self.release()
        self._site_index, self._site_code, self.captured, self.taps = {}, [], {}, []

    # --- reading ------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Return the number of slots, the passive one included."""
        return self.n

    def __repr__(self) -> str:
        return f"<OpenTape: {self.n - 1:,} records, {len(self._input_slots)} inputs>"

    # No `__getattr__`, which would make all attributes slow.
    op = a = b = value = constants = inputs = outputs = _AtTheEnd()
    guard_slot = guard_value = guard_site = call_operands = _AtTheEnd()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a tape can be pickled when its recording has ended, not before")


def _line_of(code: CodeType, instruction: int) -> int:
    for start, stop, line in code.co_lines():
        if start <= instruction < stop and line is not None:
            return line
    return code.co_firstlineno
