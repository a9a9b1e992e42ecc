"""Where in the user's source an instruction stands that is being compiled."""

from __future__ import annotations

import sys
from typing import Any

from tapegrad.libraries import in_library


def place() -> str:
    """Return file and line of the user's code that Numba is lowering now.

    What lowers a call isn't told for which line; the object that walks through the function is
    up the stack.
    """
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "lower_inst":
            loc = getattr(frame.f_locals.get("self"), "loc", None)
            if loc is not None and not in_library(loc.filename):
                return f"{loc.filename}:{loc.line}"
        frame = frame.f_back
    return "compiled code:0"
