"""NumPy's functions as a recorded function calls them on lists, which NumPy would not ask.

NumPy looks for active numbers in the arguments themselves, not in lists of them: so in the
user's code a list or tuple that holds some becomes an active array first.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import tapegrad.record.interpolation  # noqa: F401  # its rules are among the others
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record import creation
from tapegrad.record.array import tapes_in
from tapegrad.record.functions import RULES
from tapegrad.record.stored_results import holds_actives, storable

_OF_SEQUENCES = {
    np.concatenate, np.stack, np.hstack, np.vstack, np.dstack, np.column_stack, np.block,
    np.select, np.choose, np.piecewise, np.lexsort, np.shape, np.ndim, np.size,
    np.linalg.multi_dot,
}  # fmt: skip

REPLACEMENTS: dict[Any, Any] = {}


def _of_lists(original: Callable[..., Any], takes_arrays: bool) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        arrays = [
            creation.as_array(thing) if takes_arrays and holds_actives(thing) else thing
            for thing in args
        ]
        caller = sys._getframe(2).f_code  # of the function that chooses between the two
        return storable(original(*arrays, **kwargs), args, kwargs, caller)

    return call


for _function in RULES:
    if not isinstance(_function, np.ufunc):
        REPLACEMENTS[_function] = _of_lists(_function, _function not in _OF_SEQUENCES)
for _function in creation.REPLACEMENTS:
    REPLACEMENTS.pop(_function, None)


class _Concatenator:
    """`numpy.r_` or `numpy.c_`, which join what stands in brackets."""

    def __init__(self, original: Any, make_columns: bool) -> None:
        self._original, self._make_columns = original, make_columns

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        if not any(True for _ in tapes_in(*parts)):
            return self._original[key]
        if any(isinstance(part, str) for part in parts):
            raise UnsupportedFunctionError(
                "numpy.r_ with a string has no rule for active arguments; write "
                "numpy.concatenate or numpy.stack"
            )
        arrays = [self._array(part) for part in parts]
        return np.concatenate(arrays, axis=-1 if self._make_columns else 0)

    def _array(self, part: Any) -> Any:
        if isinstance(part, slice):
            part = np.r_[part]
        array = np.atleast_1d(creation.REPLACEMENTS[np.asarray](part))
        return array[:, np.newaxis] if self._make_columns and array.ndim == 1 else array


REPLACEMENTS[np.r_] = _Concatenator(np.r_, make_columns=False)
REPLACEMENTS[np.c_] = _Concatenator(np.c_, make_columns=True)
