"""Rules recorded, for derivatives of theirs: on a tape of their own, swept on the outer one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tapegrad.custom import plainly
from tapegrad.custom.conventions import Rules
from tapegrad.custom.sparsity import tape_of
from tapegrad.errors import (
    LostDerivativeError,
    TapegradError,
    UnhashableError,
    UnsupportedFunctionError,
)
from tapegrad.function.arguments import sort_arguments
from tapegrad.function.places import Places
from tapegrad.function.plan import Plan
from tapegrad.function.points import Point, used
from tapegrad.function.recording import record

_REFUSALS = (LostDerivativeError, UnhashableError, UnsupportedFunctionError)


def recorded(rules: Rules, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Return what a rule makes of active numbers, on their tape.

    Raises
    ------
    UnsupportedFunctionError
        If it can't be recorded.
    """
    structure, specs, leaves = sort_arguments(args, {}, ())
    if tape_of(*leaves) is None:
        return plainly.run(rules.name, function, *args)
    plan = Plan(structure, specs, (), False)
    environment = rules.environment
    places = Places(environment.roots) if environment.roots else None
    try:
        recording = record(function, plan, leaves, environment.methods, places=places)
    except Exception as error:
        if isinstance(error, _REFUSALS) or _is_about_kinds(error):
            raise _refused(rules.name, error) from error
        raise
    outer = [*plan.inputs(leaves), *recording.captured]
    return used(Point(recording, recording.point(), outer, is_new=True), Point.result)


def _is_about_kinds(error: Exception) -> bool:
    """Whether code was given numbers of a kind that it doesn't know, as active ones are to it."""
    kinds = (TypeError, AttributeError, NotImplementedError)
    is_of_kinds = isinstance(error, kinds) or type(error).__name__ == "ArgumentError"
    return is_of_kinds and not isinstance(error, TapegradError)


def _refused(name: str, error: Exception) -> UnsupportedFunctionError:
    return UnsupportedFunctionError(
        f"the rule of {name} can't be recorded, as a derivative of its derivative needs "
        f"({type(error).__name__}: {error}); write the rule with functions that are recorded, or "
        f"put what isn't into another function with a rule of its own"
    )
