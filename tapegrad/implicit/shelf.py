"""Recordings that can be made again, kept while there's room: the ones used last."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING

from tapegrad.function.recording import Recording

if TYPE_CHECKING:
    from tapegrad.implicit.inner import Recorded

BYTES_A_RECORD = 16
"""Of a workspace, beside the tape."""


def size_of(recording: Recording) -> int:
    """Return the bytes that a recording takes, with the memory for its sweeps."""
    return recording.tape.nbytes + BYTES_A_RECORD * len(recording.tape)


class Shelf:
    """Recordings up to a number of bytes; beyond, those used least recently are forgotten.

    Parameters
    ----------
    limit : int
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._there: OrderedDict[int, tuple[weakref.ref[Recorded], weakref.ref[Recording], int]]
        self._there = OrderedDict()
        self._n_bytes = 0
        self._lock = threading.Lock()

    def put(self, owner: Recorded, recording: Recording) -> None:
        """Keep one more."""
        entry = weakref.ref(owner), weakref.ref(recording), size_of(recording)
        forgotten = []
        with self._lock:
            before = self._there.pop(id(recording), None)  # one that is gone, of this identity
            self._there[id(recording)] = entry
            self._n_bytes += entry[2] - (0 if before is None else before[2])
            while self._n_bytes > self.limit and len(self._there) > 1:
                _, (of, old, n_bytes) = self._there.popitem(last=False)
                self._n_bytes -= n_bytes
                forgotten.append((of(), old()))
        for whose, dropped in forgotten:  # outside the lock, which theirs may wait for
            if whose is not None and dropped is not None:
                whose.forget(dropped)

    def touch(self, recording: Recording) -> None:
        """Note that one is used."""
        with self._lock:
            if id(recording) in self._there:
                self._there.move_to_end(id(recording))

    @property
    def n_bytes(self) -> int:
        """What is kept."""
        return self._n_bytes


SHELF = Shelf(2**26)
