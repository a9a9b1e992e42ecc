"""The growable memory of a tape: a head of words, and columns that compiled code appends to too.

The head holds each group's count, its capacity and its columns' addresses, as `layout` has them.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.errors import TapeMemoryError
from tapegrad.layout import COUNT_WORD, GROUPS, HEAD_WORDS, MAX_ENTRIES, PYTHON_COLUMNS


class Columns:
    """A head and its columns.

    Attributes
    ----------
    head : ndarray of int64
    address : int
        Of the head, which never moves.
    """

    def __init__(self) -> None:
        self.head = np.zeros(HEAD_WORDS, np.int64)
        self.address = self.head.ctypes.data
        # Its words, read in a third of an array element's time.
        self._words: Any = memoryview(self.head)  # type: ignore[arg-type]
        self._columns: dict[str, npt.NDArray[Any]] = {}

    def reserve(self, group: int, extra: int) -> None:
        """Make room for `extra` more entries in a group of columns, 16 times what it had.

        Memory that isn't written yet costs nothing where the system maps pages at first use.
        """
        word = COUNT_WORD[group]
        count, capacity = int(self.head[word]), int(self.head[word + 1])
        if count + extra <= capacity:
            return
        if count + extra > MAX_ENTRIES:
            raise TapeMemoryError(
                f"the tape would hold {count + extra:,} entries; the most is {MAX_ENTRIES:,}. "
                "Differentiate a shorter stretch of the program at a time."
            )
        self._resize(group, min(max(count + extra, 16 * capacity), MAX_ENTRIES))

    def _resize(self, group: int, capacity: int) -> None:
        """Move a group of columns to memory for so many entries."""
        word = COUNT_WORD[group]
        count = int(self.head[word])
        for offset, (name, dtype) in enumerate(GROUPS[group]):
            try:
                column = self._memory(capacity, dtype)
            except MemoryError as error:
                raise TapeMemoryError(
                    f"no memory for a tape of {capacity:,} entries ({capacity * 17:,} bytes)"
                ) from error
            if count:
                column[:count] = self._columns[name][:count]
            self._columns[name] = column
            self.head[word + 2 + offset] = column.ctypes.data
        self.head[word + 1] = capacity

    @staticmethod
    def _memory(capacity: int, dtype: str) -> npt.NDArray[Any]:
        return np.empty(capacity, dtype)

    def held(self) -> dict[str, npt.NDArray[Any]]:
        """Return views of the columns, as far as they are written."""
        counts = zip(COUNT_WORD, PYTHON_COLUMNS, strict=False)
        return {name: self._column(name, dtype)[: self._words[word]]
                for word, group in counts for name, dtype in group}  # fmt: skip

    def take(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns, shortened to what they hold; none are left here."""
        taken = {}
        for word, group in zip(COUNT_WORD, PYTHON_COLUMNS, strict=False):
            count = self._words[word]
            for name, dtype in group:
                column = self._column(name, dtype)
                self._columns.pop(name, None)
                try:
                    column.resize(count)  # in place
                except ValueError:  # a view of it is alive somewhere
                    column = column[:count].copy()
                taken[name] = column
        self.release()
        return taken

    def _column(self, name: str, dtype: str) -> npt.NDArray[Any]:
        """Return a column, empty if nothing was ever written to its group."""
        return self._columns[name] if name in self._columns else np.empty(0, dtype)

    def release(self) -> None:
        """Give the memory back; compiled code finds no room, and asks for it."""
        self._columns.clear()
        self.head[:] = 0

    def _extend(self, group: int, pending: Sequence[bytearray | array[Any]]) -> None:
        word = COUNT_WORD[group]
        start, extra = int(self.head[word]), len(pending[0])
        self.reserve(group, extra)
        for (name, dtype), new in zip(GROUPS[group], pending, strict=True):
            self._columns[name][start : start + extra] = np.frombuffer(new, dtype)
            del new[:]
        self.head[word] = start + extra
