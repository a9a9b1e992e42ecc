"""A derivative's way into a pickle or a copy: its function and its options, or its name.

Recordings stay behind; they are made again at the next call. A derivative that took its
function's name (`@tg.grad`, `loss = tg.grad(loss)`) is found by that name, as a function is.
"""

from __future__ import annotations

import sys
from types import FrameType, FunctionType
from typing import Any

from tapegrad.errors import NotPicklableError

_BY_VALUE = {"cloudpickle", "dill"}


def reduced(derivative: Any, function: Any, arguments: tuple[Any, ...]) -> Any:
    """Return what `__reduce_ex__` of a derivative returns.

    Parameters
    ----------
    derivative : Derivative
    function : callable
        What it's the derivative of.
    arguments : tuple
        What its class is called with to make it again, the function included.
    """
    again = type(derivative), arguments
    if _takes_functions_by_value(sys._getframe(2)):
        return again
    if _means(derivative, derivative):
        return derivative.__qualname__
    if type(function) is FunctionType and not _means(function, function):
        name = function.__qualname__
        raise NotPicklableError(
            f"the derivative of {name} can't be pickled, because its function can't: the name "
            f"{name!r} in module {function.__module__!r} doesn't lead to it. Define it with def "
            "at a module's top level, under a name of its own, or use cloudpickle, which takes "
            "functions by value: cloudpickle.dumps(derivative)"
        )
    return again


def _means(thing: Any, wanted: Any) -> bool:
    """Whether the name a thing says it has leads to `wanted`."""
    found: Any = sys.modules.get(getattr(thing, "__module__", None) or "")
    for name in getattr(thing, "__qualname__", "<none>").split("."):
        found = getattr(found, name, None)
    return found is wanted


def _takes_functions_by_value(frame: FrameType | None) -> bool:
    """Whether the pickler that is at work, called from a frame, takes functions by value."""
    while frame is not None and frame.f_globals.get("__name__") in ("pickle", "copyreg"):
        frame = frame.f_back
    module = "" if frame is None else frame.f_globals.get("__name__") or ""
    return not _BY_VALUE.isdisjoint(module.split("."))
