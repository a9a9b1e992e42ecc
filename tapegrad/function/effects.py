"""What a recorded function does beside its result: it taps values, and leaves numbers in places.

These are outputs of its tape, after its own: trees that are made anew at every call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.function.arguments import Fixed
from tapegrad.function.content import is_active
from tapegrad.function.results import TAPPED, Result, append_result
from tapegrad.function.watch.conditions import CELL, Path
from tapegrad.function.watch.walk import items
from tapegrad.record.interception import original_of
from tapegrad.record.nesting import current, is_recording
from tapegrad.record.open_tape import OpenTape
from tapegrad.tree import LEAF


class _Silence(threading.local):
    is_on = False


_silence = _Silence()


@contextmanager
def silence() -> Iterator[None]:
    """Call no tapped function in this thread: what runs is looked at, not used."""
    before, _silence.is_on = _silence.is_on, True
    try:
        yield
    finally:
        _silence.is_on = before


class Effect(NamedTuple):
    """One effect.

    Attributes
    ----------
    run : callable
        Does it, given the tree.
    result : Result
        How to make the tree of its operands.
    operands : ndarray of int
        Slots of the tape, or `~index` of constants.
    is_tap : bool
        Whether the tree is given to a function of the user's.
    """

    run: Callable[[Any], None]
    result: Result
    operands: npt.NDArray[np.int64]
    is_tap: bool


def effect(tape: OpenTape, tree: Any, what: str, run: Callable[[Any], None]) -> Effect:
    """Return what is to be done with the plain numbers of a tree at each call."""
    operands: list[int] = []
    made = append_result(tape, tree, operands, what)
    return Effect(run, made, np.array(operands, np.int64), what is TAPPED)


def without_numbers(run: Callable[[Any], None]) -> Effect:
    """Return what is to be done at each call whatever the numbers are."""
    return Effect(run, Result(LEAF, [Fixed(None)], [object]), np.empty(0, np.int64), False)


def tap(function: Callable[..., Any], *values: Any) -> None:
    """Call a function with the plain values of numbers, at every call of a derivative.

    For logs, histories, progress and pictures: it's called once for each call of a derivative,
    after what that computes is known, never while recording. Where nothing is recorded, it's
    called at once. The derivative doesn't depend on what it does or reads.

    Parameters
    ----------
    function : callable
        Called as `function(*values)`; what it returns is dropped, what it raises is raised by the
        derivative.
    *values : float, array or structure of them
        Active numbers and arrays in them become floats and arrays, copied.

    Examples
    --------
    >>> import tapegrad as tg
    >>> seen = []
    >>> def cube(x):
    ...     tg.tap(seen.append, x**2)
    ...     return x**3
    >>> slope = tg.grad(cube)
    >>> slope(2.0), slope(3.0)
    (12.0, 27.0)
    >>> seen
    [4.0, 9.0]
    """
    if not callable(function):
        raise TypeError(
            f"tap takes a function and what it's called with, not {type(function).__name__} first"
        )
    if not is_recording():
        if not _silence.is_on:
            function(*values)
        return
    function = original_of(function)
    for cell in getattr(function, "__closure__", None) or ():
        if any(map(is_active, items(Path(CELL, cell).get()))):
            raise UnsupportedFunctionError(
                "a tapped function holds active numbers of the function around it, which are "
                "none when it's called: pass them, as in `tapegrad.tap(lambda x: print(x), x)`"
            )
    tape = current()
    tape.taps.append(effect(tape, values, TAPPED, partial(_call, function)))


def _call(function: Callable[..., Any], values: tuple[Any, ...]) -> None:
    tap(function, *values)
