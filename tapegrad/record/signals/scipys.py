"""SciPy's own functions on plain values, for blocks' values and for SciPy's own errors."""

from __future__ import annotations

import importlib
from typing import Any

from tapegrad.record.array import ActiveArray
from tapegrad.record.creation import as_array
from tapegrad.record.nesting import unsettle
from tapegrad.record.scipy.recognised import is_held


def scipys(full: str) -> Any:
    """Return a function of SciPy's by its full name."""
    module, _, name = full.rpartition(".")
    return getattr(importlib.import_module(module), name)


def plain_of(thing: Any) -> Any:
    """Return an argument with plain numbers for active ones."""
    if isinstance(thing, list | tuple) and not is_held(thing):
        return thing
    return as_array(thing).primal.copy() if is_held(thing) else thing


def values(full: str, *args: Any, **kwargs: Any) -> Any:
    """Return what SciPy gives at the recording's point, or raise what it raises there."""
    try:
        return scipys(full)(*map(plain_of, args), **{key: plain_of(x) for key, x in kwargs.items()})
    except Exception:
        unsettle()  # the program may catch this
        raise


def shape_of(thing: Any) -> tuple[int, ...]:
    """Return an active array's shape."""
    return thing.shape if isinstance(thing, ActiveArray) else as_array(thing).shape
