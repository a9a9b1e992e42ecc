"""Recordings within recordings: whose operation it is, and how outer numbers enter inner tapes.

Each thread has a stack of open recordings; a tape's parent is the one below it. A number of an
outer tape that meets an inner one becomes a captured input of the inner tape, bound to the outer
number, so that the inner derivative, swept on the outer tape, depends on it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tapegrad.errors import MixedTapesError, TapeEndedError
from tapegrad.tape import Tape

if TYPE_CHECKING:
    from tapegrad.record.active import Active


class _Recordings(threading.local):
    def __init__(self) -> None:
        self.open: list[Tape] = []


_recordings = _Recordings()


@contextmanager
def recording() -> Iterator[Tape]:
    """Open a new tape in this thread; what is active on it can be used inside the block only."""
    stack = _recordings.open
    tape = Tape(parent=stack[-1] if stack else None)
    stack.append(tape)
    try:
        yield tape
    finally:
        stack.pop()
        if tape.is_open:
            tape.abandon()


def is_recording() -> bool:
    """Whether a recording is open in this thread."""
    return bool(_recordings.open)


def current() -> Tape:
    """Return the tape being recorded in this thread."""
    return _recordings.open[-1]


def innermost(tapes: Iterable[Tape]) -> Tape:
    """Return the tape an operation on numbers of several tapes belongs to: the innermost.

    Raises
    ------
    TapeEndedError
        If one of the recordings has ended.
    MixedTapesError
        If one of them is not nested in another.
    """
    found = list(dict.fromkeys(tapes))
    deepest = max(found, key=lambda tape: tape.level)
    for tape in found:
        if not tape.is_open:
            tape.new_op.append(0)  # raises, saying what to do
            raise TapeEndedError
        ancestor: Tape | None = deepest
        while ancestor is not None and ancestor is not tape:
            ancestor = ancestor.parent
        if ancestor is None:
            raise MixedTapesError(
                "active numbers of two recordings met, neither of which is inside the other; "
                "compute each derivative completely before using it in the other function"
            )
    return deepest


def slot_on(tape: Tape, number: Active) -> int:
    """Return the slot that means `number` on a tape, capturing it if it's an outer tape's."""
    if number.tape is tape:
        return number.slot
    key = (id(number.tape), number.slot)
    if key not in tape.captured:
        tape.captured[key] = (number, tape.input(number.primal))
    return tape.captured[key][1]
