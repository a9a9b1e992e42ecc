"""Where in the user's source an instruction stands that is being compiled."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType

from tapegrad.libraries import in_library
from tapegrad.record.native import PLACE_UNKNOWN


def place() -> str:
    """Return file and line of the user's code that Numba is lowering now.

    What lowers a call isn't told for which line; the object that walks through the function is
    up the stack.
    """
    for frame in _callers():
        if frame.f_code.co_name == "lower_inst":
            loc = getattr(frame.f_locals.get("self"), "loc", None)
            if loc is not None and not in_library(loc.filename):
                return f"{loc.filename}:{loc.line}"
    return PLACE_UNKNOWN


def enters_object_mode() -> bool:
    """Whether Numba is lowering what hands values over to object mode."""
    return any("ObjModeDispatcher" in frame.f_code.co_name for frame in _callers())


def _callers() -> Iterator[FrameType]:
    frame = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back  # type: ignore[assignment]
