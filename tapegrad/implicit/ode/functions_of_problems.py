"""What a solver of initial value problems is called with: inner functions, a state, tolerances."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tapegrad.errors import StructureError, UnsupportedFunctionError
from tapegrad.function.vectors import join
from tapegrad.implicit.functions import Function, Use, with_inner
from tapegrad.implicit.ode.passes_of_solutions import Control
from tapegrad.implicit.ode.problems import Called
from tapegrad.record.array import ActiveArray
from tapegrad.record.pairs import is_complex
from tapegrad.record.scipy.recognised import is_held, no_rule
from tapegrad.tree import flatten

LEAST_RTOL, MOST_RTOL = 1e-12, 1e-6
"""Of a derivative's own error control."""


def control_of(rtol: Any, atol: Any, n: int, way: str, longest: float) -> Control:
    """Return how exactly derivatives are integrated, beside a solution's tolerances."""
    asked = float(np.min(np.asarray(rtol, np.float64)))
    own = min(max(asked, LEAST_RTOL), MOST_RTOL)
    scaled = np.broadcast_to(np.asarray(atol, np.float64), (n,)) * min(own / max(asked, own), 1.0)
    return Control(own, tuple(scaled.tolist()), way, longest)


# --- inner functions ------------------------------------------------------------------------------


def numbers_of(size: int, what: str) -> Callable[[Any, Any], Any]:
    """Return what makes a right-hand side's result as many numbers as it has to be."""
    return functools.partial(_numbers_of, size, what)


def _numbers_of(size: int, what: str, unknowns: Any, result: Any) -> Any:
    leaves: list[Any] = []
    flatten(result, leaves)
    found = join(leaves)
    if len(found) == 1 and size > 1:
        found = found * np.ones(size)
    if len(found) != size:
        raise StructureError(f"{what} returned {len(found)} numbers where {size} are needed")
    return found


@functools.cache
def use_of(verb: str, size: int) -> Use:
    """Return for what a function of a problem is called; always the same."""
    way_out = "compute them of the solution, as of `sol.sol(t)`, after it was found"
    return Use(verb, numbers_of(size, verb), way_out=way_out)


def with_functions(functions: Sequence[tuple[Any, Use]], x: tuple[Any, ...],
                   args: tuple[Any, ...], body: Callable[[list[Any]], Any]) -> Any:  # fmt: skip
    """Return what `body` makes of inner functions and their parameters, a pair each.

    The first operands of each are the unknowns `x`.
    """

    def nested(rest: Sequence[tuple[Any, Use]], found: list[Any]) -> Any:
        if not rest:
            return body(found)
        (function, use), *others = rest

        def then(inner: Function, operands: list[Any]) -> Any:
            return nested(others, [*found, (inner, operands[len(x) :])])

        return with_inner(function, use, x, args, {}, then)

    return nested(functions, [])


def as_state(y0: Any) -> Any:
    """Return a first state as a vector."""
    if is_complex(y0):
        raise UnsupportedFunctionError(
            "a complex state has no rule for active numbers: solve for its real and imaginary "
            "parts, `np.concatenate([z.real, z.imag])`"
        )
    if isinstance(y0, ActiveArray):
        found: Any = y0
    else:
        found = join(list(y0) if np.ndim(y0) else [y0])
    if found.ndim != 1:
        raise ValueError("`y0` must be 1-dimensional.")
    return found


def called(inner: Function, operands: list[Any], attributes: tuple[Any, ...] = ()) -> Called:
    """Return a function of a problem."""
    return Called(inner, len(operands), attributes)


def refuse_active(name: str, options: dict[str, Any]) -> None:
    """Raise where an option is active: it has no derivative."""
    for key, value in options.items():
        if is_held(value):
            raise no_rule(f"{name} with an active {key}=", "give it a plain number, or ")
