"""What the library made of a function: the recording, its loops, its machine code, and times."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from tapegrad.blocks import calls_of
from tapegrad.derivatives.base import Derivative
from tapegrad.errors import NotCompilableError
from tapegrad.function.effects import silence
from tapegrad.function.points import Point
from tapegrad.function.recorded import RecordedFunction
from tapegrad.function.recording import Recording
from tapegrad.function.tiers import failures_refused
from tapegrad.numba_internals import is_compiled
from tapegrad.tape import Tape

if TYPE_CHECKING:
    from tapegrad.codegen.compiled_tape import CompiledTape
    from tapegrad.passes import Step
    from tapegrad.roll import Rolled

_SECONDS = 0.02
_TIMES = 7


@dataclass(repr=False)
class Explanation:
    """What `explain` prints.

    Attributes
    ----------
    tape : Tape
    steps : list of Step
        What each pass would remove.
    rolled : Rolled
        The loops found.
    native : CompiledTape or None
    obstacle : str
        Why there is no machine code, if so.
    seconds : dict of float
        What recording and compiling took, and a call as each tier.
    """

    name: str
    tape: Tape
    steps: list[Step]
    rolled: Rolled
    native: CompiledTape | None
    obstacle: str
    seconds: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        tier = "swept" if self.native is None else "compiled"
        return f"<Explanation of {self.name}: {self.rolled.n_records:,} records, {tier}>"

    @property
    def adjoint(self) -> str:
        """What machine code of the gradient runs, as loops; nothing where there is none."""
        from tapegrad.program.text import text

        return "" if self.native is None else text(self.native.reverse.program)

    def lines(self) -> list[tuple[str, str]]:
        """Return what there is to say, by heading."""
        tape = self.tape
        n_records = self.rolled.n_records
        lines = [("recorded", f"{n_records:,} records, {len(tape.inputs):,} inputs, "
                  f"{len(tape.outputs):,} outputs, {len(tape.guard_slot):,} guards, "
                  f"{_bytes(tape.nbytes)}, in {_time(self.seconds['record'])}")]  # fmt: skip
        calls = Counter(tape.blocks[k].name for k in tape.a[calls_of(tape)].tolist())
        if calls:
            lines.append(("  calls", ", ".join(f"{n:,} of {name}" for name, n in calls.items())))
        for step in self.steps:
            before, after = step.records
            constants = step.constants[0] - step.constants[1]
            removed = [f"{before - after:,} records"] if before != after else []
            removed += [f"{constants:,} constants"] if constants else []
            lines.append((f"  {step.name}", f"removes {' and '.join(removed) or 'nothing'}"))
        program = self.rolled.program
        if program is None:
            lines.append(("loops", "none found"))
        else:
            lines.append(("loops", f"{len(program.loops):,} found, {self.rolled.n_lines:,} "
                          "records in them "
                          "and outside; `.rolled` of what this returned prints them"))  # fmt: skip
        if self.native is None:
            lines.append(("compiled", f"no: {self.obstacle}"))
        else:
            is_simplified = self.native.compiled is not tape
            lines.append(("compiled", f"{'simplified, ' if is_simplified else 'as recorded, '}"
                          f"{_time(self.seconds['roll'])} to find the loops, "
                          f"{_time(self.seconds['compile'])} for machine code, "
                          f"{_bytes(self.native.memory_bytes)} kept in a call"))  # fmt: skip
        unit = self.seconds.get("function")
        for tier in ("function", "swept", "compiled"):
            if tier in self.seconds:
                ratio = ""
                if unit is not None and tier != "function":
                    ratio = f", {self.seconds[tier] / unit:.3g} times it"
                what = "the function itself" if tier == "function" else f"its gradient, {tier}"
                lines.append((what, f"{_time(self.seconds[tier])} a call{ratio}"))
        return lines

    def __str__(self) -> str:
        lines = self.lines()
        width = max(len(heading) for heading, _ in lines)
        return "\n".join([self.name, *(f"  {h.ljust(width)}  {text}" for h, text in lines)])


def explain(function: Callable[..., Any], *args: Any, file: TextIO | None = None,
            **kwargs: Any) -> Explanation:  # fmt: skip
    """Print what becomes of a function: its recording, loops and machine code, with times.

    Parameters
    ----------
    function : callable
        A function, or one of its derivatives.
    *args, **kwargs
        The point to record it at.
    file : file object, optional
        Where to print; by default the standard output.

    Returns
    -------
    Explanation
        The same as data; `.rolled` prints as nested loops.

    Examples
    --------
    >>> import numpy as np, tapegrad as tg
    >>> found = tg.explain(lambda x: np.sum(x**2), np.arange(100.0))  # doctest: +ELLIPSIS
    <lambda>
      recorded ... 199 records, 100 inputs, 1 outputs, 0 guards...
    """
    from tapegrad.codegen.compiled_tape import CompiledTape
    from tapegrad.passes import report
    from tapegrad.roll import rolled

    while isinstance(function, Derivative):
        function = function.recorded.function
    RecordedFunction(function).recording(*args, **kwargs)  # compiles what is compiled once
    recorded = RecordedFunction(function)
    begin = time.perf_counter()
    recording = recorded.recording(*args, **kwargs)
    seconds = {"record": time.perf_counter() - begin}
    tape = recording.tape
    plan, leaves = recorded.sort(args, kwargs)
    inputs, seeds = plan.pack(leaves), np.ones(len(tape.outputs))
    if not (recording.has_taps and is_compiled(function)):
        with silence():  # which compiled code doesn't ask for
            seconds["function"] = _best(lambda: function(*args, **kwargs))
    seconds["swept"] = _best(lambda: _sweep(recording, inputs, seeds))
    native, code, obstacle = None, None, ""
    try:
        with failures_refused():
            native = CompiledTape(tape)
            code = native.reverse
    except NotCompilableError as error:
        native, obstacle = None, str(error)
    if native is not None and code is not None:
        seconds["roll"], seconds["compile"] = native.seconds, code.seconds
        products = np.empty(len(inputs))
        seconds["compiled"] = _best(lambda: code.run(inputs, seeds, products))
    name = getattr(function, "__qualname__", repr(function)).rpartition("<locals>.")[2]
    found = Explanation(name, tape, report(tape), rolled(tape), native, obstacle, seconds)
    print(found, file=file or sys.stdout)
    return found


def _sweep(recording: Recording, inputs: Any, seeds: Any) -> None:
    point = Point(recording, inputs)
    point.pullback(seeds)
    point.give_back()


def _best(call: Callable[[], Any]) -> float:
    """Return the median time of a call, of several batches after a first one."""
    begin = time.perf_counter()
    call()
    call()
    once = (time.perf_counter() - begin) / 2
    count = max(1, int(_SECONDS / _TIMES / max(once, 1e-7)))
    times = []
    for _ in range(_TIMES):
        begin = time.perf_counter()
        for _ in range(count):
            call()
        times.append((time.perf_counter() - begin) / count)
    return sorted(times)[_TIMES // 2]


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.3g} MB" if count >= 1e6 else f"{count / 1e3:.3g} kB"
