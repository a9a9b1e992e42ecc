"""What compiled code calls while it records: for more room on a tape, and for numbers of places."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any, Protocol

from llvmlite import binding as llvm

from tapegrad.errors import TapeMemoryError
from tapegrad.layout import FAILED_WORD, UNPLACED

Site = tuple[str, int]
"""File and line."""


class Growing(Protocol):
    """A tape, as far as it's known here."""

    head: Any
    address: int
    failure: TapeMemoryError | None

    def reserve(self, group: int, extra: int) -> None:
        """Make room in a group of columns."""


_by_address: weakref.WeakValueDictionary[int, Growing] = weakref.WeakValueDictionary()


def can_grow(tape: Growing) -> None:
    """Let compiled code that has a tape's address ask for room."""
    _by_address[tape.address] = tape


def can_grow_no_more(tape: Growing) -> None:
    """Let compiled code that still has a tape's address find no room."""
    _by_address.pop(tape.address, None)


def recording_at(address: int) -> Any:
    """Return the tape of Python's that is at an address, or None."""
    return _by_address.get(address)


def _grow(address: int, group: int, extra: int) -> int:
    """Make room in a group of columns, and return whether there is.

    An exception can't pass through compiled code: the tape keeps it, for `sync` to raise, and
    the code that asked appends nothing.
    """
    tape = _by_address.get(address)
    if tape is None:  # a number that was read beyond the end of an array
        return 0
    try:
        tape.reserve(group, extra)
    except TapeMemoryError as error:
        tape.failure = error
        tape.head[FAILED_WORD] = 1
        return 0
    return 1


_compiled_sites: list[Site] = []
_UNKNOWN: Site = "compiled code", 0


def compiled_site(number: int) -> Site:
    """Return the place of compiled code that a negative number stands for."""
    return _UNKNOWN if number == UNPLACED else _compiled_sites[-1 - number]


def _number_site(place: bytes) -> int:
    """Return the number that stands for a place of compiled code in this process."""
    file, _, line = place.decode().rpartition(":")
    _compiled_sites.append((file, int(line)))
    return -len(_compiled_sites)


_site_callback = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_char_p)(_number_site)
_grow_callback = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 3)(_grow)
for _name, _callback in (("tapegrad_grow", _grow_callback), ("tapegrad_site", _site_callback)):
    llvm.add_symbol(_name, ctypes.cast(_callback, ctypes.c_void_p).value)
