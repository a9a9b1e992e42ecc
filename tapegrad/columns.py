"""The growable memory of a tape: a head of words, and columns that compiled code appends to too.

The head holds each group's count, its capacity and its columns' addresses, as `layout` has them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
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
        count, capacity = self._words[word], self._words[word + 1]
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
        count = self._words[word]
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
            self._words[word + 2 + offset] = column.ctypes.data
        self._words[word + 1] = capacity

    @staticmethod
    def _memory(capacity: int, dtype: str) -> npt.NDArray[Any]:
        return np.empty(capacity, dtype)

    def held(self) -> dict[str, npt.NDArray[Any]]:
        """Return views of the columns, as far as they are written."""
        return {name: self._columns.get(name, np.empty(0, dtype))[:count]
                for name, dtype, count in self._extents()}  # fmt: skip

    def take(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns, shortened to what they hold; none are left here."""
        taken = {}
        for name, dtype, count in self._extents():
            column = self._columns.pop(name, None)
            if column is None:  # nothing was ever written to its group
                column = np.empty(0, dtype)
            try:
                column.resize(count)  # in place
            except ValueError:  # a view of it is alive somewhere
                column = column[:count].copy()
            taken[name] = column
        return taken

    def _extents(self) -> Iterator[tuple[str, str, int]]:
        """Yield the columns' names and types, and how much of them is written."""
        for word, group in zip(COUNT_WORD, PYTHON_COLUMNS, strict=False):
            for name, dtype in group:
                yield name, dtype, self._words[word]

    def release(self) -> None:
        """Give the memory back; compiled code finds no room, and asks for it."""
        self._columns.clear()
        self.head[:] = 0

    def _extend(self, group: int, pending: Sequence[bytearray | array[Any]]) -> None:
        word = COUNT_WORD[group]
        start, extra = self._words[word], len(pending[0])
        self.reserve(group, extra)
        for (name, dtype), new in zip(GROUPS[group], pending, strict=True):
            self._columns[name][start : start + extra] = np.frombuffer(new, dtype)
            del new[:]
        self._words[word] = start + extra
