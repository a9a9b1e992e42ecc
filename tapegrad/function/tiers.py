"""What a recording runs as: swept at first, machine code when the sweeping so far pays for it."""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from tapegrad.errors import CompilationWarning, NotCompilableError
from tapegrad.function.background import Job, submit
from tapegrad.jit import compiling
from tapegrad.progress import progress
from tapegrad.tape import Tape

if TYPE_CHECKING:
    from tapegrad.codegen.compiled_tape import Code, CompiledTape

logger = logging.getLogger("tapegrad")

Compile = Literal["auto", "now", "never"]
Kind = Literal["reverse", "tangent", "product"]

_WHAT: dict[Kind, str] = {
    "reverse": "gradients", "tangent": "tangents", "product": "products of the Hessian"
}  # fmt: skip

SECONDS_A_RECORD = 5e-9
"""What sweeping a record forward and back takes, about."""

SECONDS_TO_COMPILE, SECONDS_TO_ROLL = 0.1, 1e-6
"""What compiling takes, about: for any tape, and for each record."""


class Options(NamedTuple):
    """Whether and how a function's recordings are compiled."""

    compile: Compile = "auto"
    strict: bool = False

    def check(self) -> Options:
        """Return the options, or raise ValueError if there are no such."""
        if self.compile not in ("auto", "now", "never"):
            raise ValueError(f"compile must be 'auto', 'now' or 'never', not {self.compile!r}")
        return self


NEVER = Options("never")


def seconds_to_sweep(tape: Tape) -> float:
    """Return about what sweeping a tape forward and back takes."""
    return SECONDS_A_RECORD * len(tape)


def seconds_to_compile(tape: Tape) -> float:
    """Return about what compiling a tape takes."""
    return SECONDS_TO_COMPILE + SECONDS_TO_ROLL * len(tape)


@contextlib.contextmanager
def failures_refused() -> Iterator[None]:
    """Raise NotCompilableError for whatever goes wrong: a recording can always be swept."""
    try:
        yield
    except NotCompilableError:
        raise
    except Exception as error:
        raise NotCompilableError(
            f"a recording could not be compiled ({error!r}), and is swept on; please report this, "
            "with the function"
        ) from error


class Tiers:
    """What a recording's derivatives run as.

    Parameters
    ----------
    tape : Tape
    options : Options
    name : str, optional
        Of the function, to be shown.

    Attributes
    ----------
    codes : dict
        The machine code there is, by its kind.
    reason : str
        Why it can't be compiled, if so.
    """

    def __init__(self, tape: Tape, options: Options, name: str = "a function") -> None:
        self._tape, self._options, self._name = tape, options, name
        self.codes: dict[str, Code] = {}
        self._jobs: dict[Kind, Job] = {}
        self._work: dict[str, float] = {}
        self.program: CompiledTape | None = None
        self.reason = "it must never be compiled" if options.compile == "never" else ""
        self._failure: NotCompilableError | None = None

    def code(self, kind: Kind, sweeps: int = 1) -> Code | None:
        """Return machine code if there is; otherwise count sweeps, and compile when it's due."""
        found = self.codes.get(kind)
        if found is not None:
            return found
        self._warn()
        if self.reason:
            return None
        if self._options.compile == "now":
            self._try(kind)
            self._warn()
            return self.codes.get(kind)
        if self._pending(kind) is None:
            self._work[kind] = self._work.get(kind, 0.0) + sweeps * seconds_to_sweep(self._tape)
            if self._work[kind] > seconds_to_compile(self._tape):
                logger.debug("%s has been swept for %.2g s, and is compiled in the background",
                             self._name, self._work[kind])  # fmt: skip
                self.start(kind)
        return None

    def start(self, kind: Kind) -> None:
        """Compile in the background, unless it's being done or can't be."""
        if not self.reason and kind not in self.codes and self._pending(kind) is None:
            self._jobs[kind] = submit(partial(self._try, kind))

    def _pending(self, kind: Kind) -> Future[None] | None:
        """Return what is, or was, compiled in the background of this process."""
        job = self._jobs.get(kind)
        return None if job is None else job.future

    def _warn(self) -> None:
        """Warn, once, of a failure that no rule of what can be compiled foresees."""
        failure, self._failure = self._failure, None
        if failure is not None:
            warnings.warn(str(failure), CompilationWarning, stacklevel=2)

    def compile(self, kind: Kind) -> Code:
        """Compile now, whatever the options say.

        Raises
        ------
        NotCompilableError
            If the tape is too long and in no loops, or if compiling fails.
        """
        try:
            with compiling, failures_refused():  # a fork waits for the import, too
                if kind not in self.codes:
                    self.codes[kind] = self._made(kind)
                return self.codes[kind]
        except NotCompilableError as error:
            logger.info("%s can't be compiled: %s", self._name, error)
            raise

    def _made(self, kind: Kind) -> Code:
        from tapegrad.codegen.compiled_tape import CompiledTape  # a tenth of a second, not for all

        tape, name = self._tape, self._name
        begin = time.perf_counter()
        if self.program is None:
            with progress.of(lambda: f"finding loops in the {len(tape):,} records of {name}"):
                self.program = CompiledTape(tape, self._options.strict)
        size = f"{self.program.n_lines:,} records in {len(self.program.program.loops):,} loops"
        with progress.of(lambda: f"compiling {_WHAT[kind]} of {name}, {size}"):
            code: Code = getattr(self.program, kind)
        logger.info(
            "%s of %s are compiled in %.2g s, %.2g s of them for LLVM: %s records are %s",
            _WHAT[kind], name, time.perf_counter() - begin, code.seconds, f"{len(tape):,}", size,
        )  # fmt: skip
        return code

    def _try(self, kind: Kind) -> None:
        try:
            self.compile(kind)
        except NotCompilableError as error:
            self.reason = str(error)
            self._failure = error if error.__cause__ is not None else None

    def hand_over(self) -> None:
        """Note that machine code won't do at a point."""
        logger.debug("machine code of %s hands over to the sweeps: a guard fails, or there is a "
                     "NaN", self._name)  # fmt: skip

    def wait(self, timeout: float | None = None) -> None:
        """Wait for what is being compiled."""
        for kind in list(self._jobs):
            self.start(kind)  # again, in a process forked before it was done
            pending = self._pending(kind)
            if pending is not None:
                pending.exception(timeout)
        self._warn()

    @property
    def name(self) -> str:
        """What it's running as."""
        if self.codes:
            return "compiled"
        if self.reason:
            return "swept"
        pending = [self._pending(kind) for kind in self._jobs]
        is_pending = any(future is not None and not future.done() for future in pending)
        return "swept, being compiled" if is_pending else "swept"
