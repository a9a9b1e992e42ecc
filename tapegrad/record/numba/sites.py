"""Where in the user's source an instruction stands that is being compiled."""

from __future__ import annotations

from tapegrad.libraries import in_library
from tapegrad.numba_internals import lines_being_lowered
from tapegrad.record.numba_operations import PLACE_UNKNOWN


def place() -> str:
    """Return file and line of the user's code that Numba is lowering now."""
    for line in lines_being_lowered():
        if line is not None and not in_library(line.filename):
            return f"{line.filename}:{line.line}"
    return PLACE_UNKNOWN
