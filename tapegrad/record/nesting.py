"""Recordings within recordings: whose operation it is, and how outer numbers enter inner tapes.

Each thread has a stack of open recordings; a tape's parent is the one below it. A number of an
outer tape that meets an inner one becomes a captured input of the inner tape, bound to the outer
number, so that the inner derivative, swept on the outer tape, depends on it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol

from tapegrad.errors import MixedTapesError
from tapegrad.record.open_tape import OpenTape

if TYPE_CHECKING:
    from tapegrad.record.active import Active


class _Plain(dict[FunctionType, FunctionType]):
    """What functions are in a thread that records nothing: themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.originals: dict[int, Any] = {}
        self.made: MutableMapping[int, Any] = {}

    def __missing__(self, function: FunctionType) -> FunctionType:
        return function


class TwinsByFunction(Protocol):
    """What runs in place of functions, and what stands for what else, by its identity.

    By their identity it has too what libraries' objects were made in its recording.
    """

    originals: dict[int, Any]
    made: MutableMapping[int, Any]

    def __getitem__(self, function: FunctionType, /) -> FunctionType: ...


class Thread(threading.local):
    """What a thread is recording.

    Attributes
    ----------
    tapes : list of OpenTape
        Of its open recordings, each nested in the one before.
    twins : TwinsByFunction
        What runs in place of a function that was reached through an object.
    n_aside : int
        How many open recordings are set aside, while code runs that isn't recorded.
    """

    def __init__(self) -> None:
        self.tapes: list[OpenTape] = []
        self.twins: TwinsByFunction = _Plain()
        self.n_aside = 0


THREAD = Thread()


def begin() -> OpenTape:
    """Begin a new tape in this thread."""
    tapes = THREAD.tapes
    tapes.append(OpenTape(parent=tapes[-1] if tapes else None))
    return tapes[-1]


@contextmanager
def recording() -> Iterator[OpenTape]:
    """Open a new tape in this thread; what is active on it can be used inside the block only."""
    tapes = THREAD.tapes
    depth = len(tapes)
    try:
        tape = begin()
        yield tape
    finally:
        ended = tapes[depth:]
        del tapes[depth:]
        for tape in ended:
            tape.abandon()


@contextmanager
def set_aside() -> Iterator[None]:
    """Record nothing in this thread inside the block, but what is opened there."""
    before = THREAD.tapes, THREAD.twins, THREAD.n_aside
    try:
        THREAD.n_aside += len(THREAD.tapes)
        THREAD.tapes, THREAD.twins = [], _Plain()
        yield
    finally:
        THREAD.tapes, THREAD.twins, THREAD.n_aside = before


def is_recording() -> bool:
    """Whether a recording is open in this thread."""
    return bool(THREAD.tapes)


def unsettle() -> None:
    """Note that an error that a program may catch came of numbers that are being recorded.

    Nothing says where there would be none, and so the recordings are of use for this call only.
    """
    for tape in THREAD.tapes:
        tape.is_unsettled = True


def current() -> OpenTape:
    """Return the tape being recorded in this thread."""
    return THREAD.tapes[-1]


def innermost(tapes: Iterable[OpenTape]) -> OpenTape:
    """Return the tape an operation on numbers of several tapes belongs to: the innermost.

    Raises
    ------
    TapeEndedError
        If one of the recordings has ended.
    OtherThreadError
        If one of them is another thread's.
    MixedTapesError
        If one of them is not nested in another.
    """
    found = list(dict.fromkeys(tapes))
    if len(found) == 1:
        found[0].enter()
        return found[0]
    deepest = max(found, key=lambda tape: tape.level)
    for tape in found:
        tape.enter()
        ancestor: OpenTape | None = deepest
        while ancestor is not None and ancestor is not tape:
            ancestor = ancestor.parent
        if ancestor is None:
            raise MixedTapesError(
                "active numbers of two recordings met, neither of which is inside the other; "
                "compute each derivative completely before using it in the other function"
            )
    return deepest


def slot_on(tape: OpenTape, number: Active) -> int:
    """Return the slot that means `number` on a tape, capturing it if it's an outer tape's."""
    if number.tape is tape:
        return number.slot
    key = (id(number.tape), number.slot)
    if key not in tape.captured:
        tape.captured[key] = (number, tape.input(number.primal))
    return tape.captured[key][1]
