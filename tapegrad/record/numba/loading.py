"""What active numbers and arrays can do in compiled code, loaded when they first get there.

Registering some hundred functions with Numba takes a twentieth of a second, which those who
never compile need not wait for.
"""

from __future__ import annotations

import functools
from importlib import import_module

from tapegrad.record import stand_ins

_MODULES = ("arrays", "conversion", "scalars", "statements", "tuples")


@functools.cache
def load() -> None:
    """Register every function; before Numba infers the types of code with active numbers."""
    for module in _MODULES:
        import_module(f"tapegrad.record.numba.{module}")
    stand_ins.install()
