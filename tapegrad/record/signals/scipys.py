"""SciPy's own functions on plain values, for blocks' values and for SciPy's own errors."""

from __future__ import annotations

import importlib
from typing import Any

from tapegrad.record.complex_numbers.complex_types import parts, plain_complex
from tapegrad.record.creation import as_array
from tapegrad.record.nesting import unsettle
from tapegrad.record.pairs import is_complex
from tapegrad.record.scipy.recognised import is_held, no_rule


def scipys(full: str) -> Any:
    """Return a function of SciPy's by its full name."""
    module, _, name = full.rpartition(".")
    return getattr(importlib.import_module(module), name)


def plain_of(thing: Any) -> Any:
    """Return an argument with plain numbers for active ones."""
    if isinstance(thing, list | tuple) and not is_held(thing):
        return thing
    if is_complex(thing):
        return plain_complex(*map(plain_of, parts(thing)))
    return as_array(thing).primal.copy() if is_held(thing) else thing


def values(full: str, *args: Any, takes_complex: bool = False, **kwargs: Any) -> Any:
    """Return what SciPy gives at the recording's point, or raise what it raises there.

    Raises
    ------
    UnsupportedFunctionError
        For complex arguments, unless the rule takes them.
    """
    try:
        found = scipys(full)(
            *map(plain_of, args), **{key: plain_of(x) for key, x in kwargs.items()}
        )
    except Exception:
        unsettle()  # the program may catch this
        raise
    if not takes_complex and any(map(is_complex, (*args, *kwargs.values()))):
        raise no_rule(f"{full} of complex numbers", "apply it to z.real and to z.imag, or ")
    return found
