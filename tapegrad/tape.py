"""The Wengert tape: flat arrays in memory that Python and compiled code both append to.

Record i writes slot i and nothing else ever does; its operands are earlier slots (`>= 0`) or
constants (`< 0`: `constants[~index]`). Slot 0 is passive. A guard states the value a slot had
when the program read it; a replay is valid where all guards hold. `checking.check` states every
invariant.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from threading import get_ident
from types import CodeType
from typing import Any, ClassVar, NoReturn

import numpy as np
import numpy.typing as npt

from tapegrad.columns import Columns
from tapegrad.errors import OtherThreadError, TapeEndedError, TapeMemoryError
from tapegrad.growth import Site, can_grow, compiled_site
from tapegrad.jit import Kernel
from tapegrad.layout import (
    CONSTANTS,
    COUNT_WORD,
    FAILED_WORD,
    GUARDS,
    INPUTS_WORD,
    OUTPUTS_WORD,
    PYTHON_COLUMNS,
    RECORDS,
)
from tapegrad.libraries import frames_to_user
from tapegrad.listing import listing
from tapegrad.ops import CODE

_N, _N_CONSTANTS = COUNT_WORD[RECORDS], COUNT_WORD[CONSTANTS]

INPUT = CODE["input"]


class Tape(Columns):
    """A recording of elementary operations; see the module's docstring.

    Attributes
    ----------
    op, a, b, value : ndarray, shape (n,)
        The records' operation codes, operands and values, one row a slot.
    constants : ndarray
        The constant pool.
    guard_slot, guard_value, guard_site : ndarray
        The slot each guard read, the value it read there, and its index in `sites`.
    inputs, outputs : ndarray of int32
        The inputs' slots, and the outputs as operands (a slot, or `~index` of a constant).
    sites : list of (str, int)
        File and line of the user's code, by index.
    parent : Tape or None
        The tape that was being recorded when this one began.
    thread : int
        The identity of the thread that may append, 0 when the recording has ended.
    """

    # What passes and loop recognition, which know tapes, make of one.
    simplified: ClassVar[Callable[[Tape], Tape]]
    rolled: ClassVar[Callable[[Tape], Any]]

    def __init__(self, parent: Tape | None = None) -> None:
        super().__init__()
        self.parent = parent
        self.level: int = 0 if parent is None else parent.level + 1
        self.is_open = True
        self.failure: TapeMemoryError | None = None
        self.thread = get_ident()
        self._refused: OtherThreadError | None = None
        self.inputs: npt.NDArray[np.int32] = np.empty(0, np.int32)
        self.outputs: npt.NDArray[np.int32] = np.empty(0, np.int32)
        self.sites: list[Site] = []
        self._site_index: dict[tuple[int, int], int] = {}
        self._site_code: list[CodeType] = []
        self._input_slots = array("i")
        self.captured: dict[tuple[int, int], tuple[Any, int]] = {}
        self.taps: list[Any] = []
        can_grow(self)
        for group in range(len(PYTHON_COLUMNS)):
            self.reserve(group, 64)
        self._columns["op"][0] = CODE["passive"]
        for name in ("a", "b", "value"):
            self._columns[name][0] = 0
        self.head[COUNT_WORD[RECORDS]] = 1
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

    def end(self, outputs: Sequence[int] | npt.NDArray[np.int32] = ()) -> None:
        """End the recording: trim the columns, make them read-only, refuse further records.

        Raises
        ------
        OtherThreadError
            If another thread tried to append.
        """
        if self._refused is not None:
            raise OtherThreadError(*self._refused.args) from self._refused
        self.flush()
        self._resolve_sites()
        self.inputs = np.array(self._input_slots, np.int32)
        self.outputs = np.array(outputs, np.int32)
        for group, columns in enumerate(PYTHON_COLUMNS):
            word = COUNT_WORD[group]
            count = int(self.head[word])
            for offset, (name, _) in enumerate(columns):
                column = self._trim(name, count)
                column.flags.writeable = False
                self.head[word + 2 + offset] = column.ctypes.data
            self.head[word + 1] = count
        for word, operands in ((INPUTS_WORD, self.inputs), (OUTPUTS_WORD, self.outputs)):
            operands.flags.writeable = False
            self.head[word : word + 2] = len(operands), operands.ctypes.data
        self.abandon()

    def _resolve_sites(self) -> None:
        """Give the places of guards in compiled code a number of this tape."""
        sites = self._columns["guard_site"][: self.head[COUNT_WORD[GUARDS]]]
        for number in np.unique(sites[sites < 0]).tolist():
            sites[sites == number] = len(self.sites)
            self.sites.append(compiled_site(number))

    def place_guards(self, first: int, site: int) -> None:
        """Say where the guards from one on were left, which compiled code can't know."""
        self._columns["guard_site"][first : self.head[COUNT_WORD[GUARDS]]] = site

    def abandon(self) -> None:
        """Refuse further records: their numbers outlived the recording."""
        self.is_open, self.thread = False, 0
        self._site_index, self._site_code, self.captured, self.taps = {}, [], {}, []

    # --- reading ------------------------------------------------------------------------------

    def _read(self, group: int, name: str) -> npt.NDArray[Any]:
        if self.is_open:
            self.flush()
        return self._columns[name][: self.head[COUNT_WORD[group]]]

    @property
    def op(self) -> npt.NDArray[np.uint8]:
        """Operation codes."""
        return self._read(RECORDS, "op")

    @property
    def a(self) -> npt.NDArray[np.int32]:
        """First operands."""
        return self._read(RECORDS, "a")

    @property
    def b(self) -> npt.NDArray[np.int32]:
        """Second operands, 0 where an operation has one."""
        return self._read(RECORDS, "b")

    @property
    def value(self) -> npt.NDArray[np.float64]:
        """Values at the recording's point."""
        return self._read(RECORDS, "value")

    @property
    def constants(self) -> npt.NDArray[np.float64]:
        """The constant pool."""
        return self._read(CONSTANTS, "constants")

    @property
    def guard_slot(self) -> npt.NDArray[np.int32]:
        """Slots the guards read, in order."""
        return self._read(GUARDS, "guard_slot")

    @property
    def guard_value(self) -> npt.NDArray[np.float64]:
        """Values the guards read."""
        return self._read(GUARDS, "guard_value")

    @property
    def guard_site(self) -> npt.NDArray[np.int32]:
        """Indices in `sites` of the places that read them."""
        if self.is_open:
            self.flush()
            self._resolve_sites()
        return self._read(GUARDS, "guard_site")

    def __len__(self) -> int:
        """Return the number of slots, the passive one included."""
        return self.n

    @property
    def nbytes(self) -> int:
        """Bytes of records, constants and guards."""
        if self.is_open:
            self.flush()
        return sum(
            int(self.head[word]) * sum(np.dtype(dtype).itemsize for _, dtype in columns)
            for word, columns in zip(COUNT_WORD, PYTHON_COLUMNS, strict=False)
        )

    def __getstate__(self) -> dict[str, Any]:
        if self.is_open:
            raise TypeError("a tape can be pickled when its recording has ended, not before")
        return {"columns": self._columns, "inputs": self.inputs, "outputs": self.outputs,
                "sites": self.sites}  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
        self._fill(state["columns"], state["outputs"], state["sites"])

    @classmethod
    def from_columns(cls, columns: Mapping[str, npt.NDArray[Any]], outputs: npt.NDArray[np.int32],
                     sites: Sequence[Site]) -> Tape:  # fmt: skip
        """Return an ended tape of columns, copied: all of the attributes' names, slot 0 included.

        The inputs are the input records, in order.
        """
        tape = cls()
        tape._fill(columns, outputs, sites)
        return tape

    def _fill(self, columns: Mapping[str, npt.NDArray[Any]], outputs: npt.NDArray[np.int32],
              sites: Sequence[Site]) -> None:  # fmt: skip
        """Take columns, copied, for those of a new tape, and end it."""
        for group, names in enumerate(PYTHON_COLUMNS):
            extra = len(columns[names[0][0]])
            word = COUNT_WORD[group]
            self.head[word] = 0
            self.reserve(group, extra)
            for name, _ in names:
                self._columns[name][:extra] = columns[name]
            self.head[word] = extra
        self.n = int(self.head[0])
        inputs = np.flatnonzero(self.op == INPUT).astype(np.int32)
        self._input_slots = array("i", inputs.tobytes())
        self.sites = list(sites)
        self.end(outputs)

    def __repr__(self) -> str:
        return (
            f"<Tape: {self.n - 1:,} records, {len(self._input_slots)} inputs, "
            f"{len(self.outputs)} outputs, {len(self.guard_slot):,} guards>"
        )

    def __str__(self) -> str:
        return listing(self)


def _line_of(code: CodeType, instruction: int) -> int:
    for start, stop, line in code.co_lines():
        if start <= instruction < stop and line is not None:
            return line
    return code.co_firstlineno
