"""SuperLU's factors, whose class is C's: its method `solve` takes plain arrays and nothing else.

No code of it can be replaced as a Python function's is, and factors are held in objects, where no
name can be given another meaning. So the method is replaced in the class's own dictionary, once
and for good, by one that calls it, and asks whether something is being recorded.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import sys
from types import ModuleType
from typing import Any

from tapegrad.record.functions.registry import NAMED
from tapegrad.record.nesting import is_recording
from tapegrad.record.scipy.recognised import Row, on_import
from tapegrad.record.scipy.sparse_solvers import solve_by_factors

_MODULE, _METHOD = "scipy.sparse.linalg", "solve"


NAMED.add(f"{_MODULE}.SuperLU.{_METHOD}")


def _as_called(self: Any, rhs: Any, trans: Any = "N") -> Any:
    """Have the parameters of SuperLU's method."""


@on_import(_MODULE)
def _replace(module: ModuleType) -> None:
    kind = vars(module).get("SuperLU")
    original = None if kind is None else vars(kind).get(_METHOD)
    names = next((x for x in gc.get_referents(vars(kind)) if type(x) is dict), None)
    if original is None or names is None:
        return
    row = Row(f"{_MODULE}.SuperLU.solve", _as_called, solve_by_factors)
    recorded = row.neutral(original)

    @functools.wraps(original)
    def solve(self: Any, *args: Any, **kwargs: Any) -> Any:
        return (recorded if is_recording() else original)(self, *args, **kwargs)

    names[_METHOD] = solve
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


def is_factors(thing: Any) -> bool:
    """Whether a thing is SuperLU's factors, which never change."""
    module = sys.modules.get(_MODULE)
    return module is not None and type(thing) is vars(module).get("SuperLU")


def bound_again(method: Any) -> Any:
    """Return a method of factors that was looked up before it was replaced, as it is now."""
    if method.__name__ != _METHOD or not is_factors(method.__self__):
        return method
    return getattr(method.__self__, _METHOD)
