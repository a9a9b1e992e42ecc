"""Tapes as programs of loops: found again from the records, for reading and for compiling."""

from __future__ import annotations

from dataclasses import dataclass

from tapegrad.program.forwarding import forwarded
from tapegrad.program.ir import Program
from tapegrad.program.text import text
from tapegrad.roll.classification import classified
from tapegrad.roll.nest import Loop, recognised
from tapegrad.roll.shaping import absorb, unroll
from tapegrad.roll.splitting import Ranks, split
from tapegrad.roll.spreading import spread
from tapegrad.roll.writing import written
from tapegrad.tape import Tape


@dataclass(eq=False)
class Rolled:
    """A tape as nested loops; its text is what a person would have written.

    Attributes
    ----------
    program : Program or None
        None where no loops were found and the tape is too long to be read.
    n_records : int
        What the tape has.
    n_lines : int
        Records of the program: what is left when each loop's body is counted once.
    """

    program: Program | None
    n_records: int
    n_lines: int

    def __str__(self) -> str:
        if self.program is None:
            return f"{self.n_records:,} records in no loops"
        return text(self.program)


def loops_of(tape: Tape, written_out: bool = False) -> Loop | None:
    """Return a tape's loops, or None where there are too few for so many records.

    Parameters
    ----------
    tape : Tape
    written_out : bool, optional
        Whether inner loops of a few records are written out, as is best for compiling.
    """
    root = recognised(tape)
    if root is not None:
        absorb(tape, root)
        if written_out:
            unroll(root)
        split(tape, root)
    return root


def program_of(tape: Tape, root: Loop, is_strict: bool = False) -> Program:
    """Return a tape's loops as a program, without the tape.

    Parameters
    ----------
    tape : Tape
        One that `spread` returned.
    root : Loop
        What `loops_of` found.
    is_strict : bool, optional
        Whether derivatives are to have the bits of the sweeps: then a value has all its readers
        in its variable or all in memory, so that its adjoint is summed in the order of the records.
    """
    ranks = Ranks(tape, root)
    return forwarded(written(tape, classified(tape, root, ranks, is_strict), ranks, is_strict))


def rolled(tape: Tape) -> Rolled:
    """Return a tape as nested loops, to be printed.

    Loops are recognised in the sequence of records (after Ketterlin and Clauss, Prediction and
    trace compression of data access through nested loop recognition, CGO 2008), first iterations
    that differ in what they start from are taken in, and flat loops are split where strides
    break.

    Parameters
    ----------
    tape : Tape

    Returns
    -------
    Rolled

    Examples
    --------
    >>> import numpy as np, tapegrad as tg
    >>> from tapegrad.roll import rolled
    >>> def total(x):
    ...     s = 0.0
    ...     for k in range(len(x) - 1):
    ...         s = s + x[k] * x[k + 1]
    ...     return s
    >>> gradient = tg.grad(total)
    >>> _ = gradient(np.arange(6.0))
    >>> print(rolled(gradient.recorded.recordings[0].tape))
    v1 = 0
    for i in range(5):
        v0 = x[i] * x[i + 1]
        v1 = v1 + v0
    return v1
    """
    n_records = len(tape) - 1 - len(tape.inputs)
    tape = spread(tape)
    root = loops_of(tape)
    if root is None:
        return Rolled(None, n_records, n_records)
    return Rolled(program_of(tape, root), n_records, root.n_leaves)
