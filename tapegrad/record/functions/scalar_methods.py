"""The methods of NumPy's scalars that only arrays need: on active numbers, they give arrays.

Those that are rules, such as `sum` and `clip`, are put there by `registry.rule`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tapegrad.record.active import Active, ActiveBool
from tapegrad.record.array import ActiveArray, as_data, wrap

_METHODS = ("flatten", "ravel", "reshape", "squeeze", "swapaxes", "transpose")
_PROPERTIES = ("flat", "itemsize", "nbytes")


def _as_array(number: Active) -> ActiveArray:
    return ActiveArray(number.tape, as_data(number.tape, number), isinstance(number, ActiveBool))


def _method(name: str) -> Callable[..., Any]:
    def method(self: Active, *args: Any, **kwargs: Any) -> Any:
        found = getattr(_as_array(self), name)(*args, **kwargs)
        if isinstance(found, ActiveArray):
            return wrap(found.tape, found.data, found.is_bool)
        return found[()] if isinstance(found, np.ndarray) else found

    method.__name__ = name
    method.__doc__ = getattr(ActiveArray, name).__doc__
    return method


def _property(name: str) -> property:
    return property(lambda self: getattr(_as_array(self), name), doc=f"As an array's `{name}`.")


def _itself(self: Active, *args: Any) -> Active:
    """Return the number, which never changes."""
    return self


def _fill(self: Active, value: Any) -> None:
    """Leave the number as it is, as NumPy's scalars do."""


def _install() -> None:
    methods: dict[str, Any] = {name: _method(name) for name in _METHODS}
    methods |= {name: _property(name) for name in _PROPERTIES}
    methods |= dict.fromkeys(("copy", "conj", "tolist"), _itself)
    methods |= {"fill": _fill, "strides": (), "base": None, "device": "cpu"}
    for name, method in methods.items():
        setattr(Active, name, method)


_install()
