"""Passes: functions from a tape to a better one that computes the same.

`PASSES` are those that simplify, in order: each is tried alone with `apply_identities(tape)`
and its like, all with `simplified(tape)`; `report(tape)` tells what each removed. A new pass is
a file with one function of a tape, and a place in `PASSES`. `find_sums` changes nothing: it
tells where a tape adds up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tapegrad.passes.common import merge_common
from tapegrad.passes.constants import share_constants
from tapegrad.passes.dead import drop_dead
from tapegrad.passes.identities import apply_identities
from tapegrad.passes.sums import Sums, find_sums
from tapegrad.tape import Tape

__all__ = [
    "PASSES",
    "Step",
    "Sums",
    "apply_identities",
    "drop_dead",
    "find_sums",
    "merge_common",
    "report",
    "share_constants",
    "simplified",
    "steps",
]

Pass = Callable[[Tape], Tape]

PASSES: tuple[Pass, ...] = (apply_identities, merge_common, drop_dead, share_constants)
"""What simplifies a tape, in order: an identity makes subexpressions common, both leave dead
records behind, and no pass makes work for one before it. The last costs constants their strides:
whoever looks for loops over the pool leaves it out."""


class Step(NamedTuple):
    """What one pass did: its name, and the counts before and after it."""

    name: str
    records: tuple[int, int]
    constants: tuple[int, int]
    guards: tuple[int, int]


def steps(tape: Tape, passes: tuple[Pass, ...] = PASSES) -> Iterator[tuple[str, Tape]]:
    """Yield each pass's name and the tape after it."""
    for run in passes:
        tape = run(tape)
        yield run.__name__, tape


def simplified(tape: Tape, passes: tuple[Pass, ...] = PASSES) -> Tape:
    """Return a tape of fewer records that has the same values, derivatives and guards.

    Parameters
    ----------
    tape : Tape
    passes : tuple of functions from Tape to Tape, optional

    Returns
    -------
    Tape
        With the same inputs and outputs, in order. Its values are those of `tape` at every
        point, to the bit; its derivatives are up to rounding; the guards that it has hold where
        those of `tape` hold, and know the same places of the user's code.

    Examples
    --------
    >>> import tapegrad as tg
    >>> from tapegrad.passes import report, simplified
    >>> tape = tg.OpenTape()
    >>> x = tape.input(3.0)
    >>> tape = tape.end([tape.append(tg.ops.CODE["multiply"], x, tape.constant(1.0), 3.0)])
    >>> simplified(tape)
    <Tape: 1 records, 1 inputs, 1 outputs, 0 guards>
    >>> report(tape)[0]
    Step(name='apply_identities', records=(2, 1), constants=(1, 1), guards=(0, 0))
    """
    for run in passes:
        tape = run(tape)
    return tape


def report(tape: Tape, passes: tuple[Pass, ...] = PASSES) -> list[Step]:
    """Return what each pass removes from a tape."""
    done = []
    for name, after in steps(tape, passes):
        done.append(Step(name, *zip(_counts(tape), _counts(after), strict=True)))
        tape = after
    return done


def _counts(tape: Tape) -> tuple[int, int, int]:
    """Return how many records, slot 0 not counted, constants and guards a tape has."""
    return len(tape) - 1, len(tape.constants), len(tape.guard_slot)
