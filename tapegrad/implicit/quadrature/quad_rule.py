"""scipy.integrate.quad of recorded integrands: SciPy's value, and the integral's derivative."""

from __future__ import annotations

import functools
import importlib
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tapegrad.blocks import CALLBACKS, Kind, Shapes
from tapegrad.function.points import valid_recording
from tapegrad.function.recording import name_of
from tapegrad.function.vectors import Vector
from tapegrad.implicit.evaluation import shapes_of
from tapegrad.implicit.flips import anatomy_of
from tapegrad.implicit.functions import Function, Use, with_inner
from tapegrad.implicit.inner import Inner, Recorded
from tapegrad.implicit.quadrature.integrals import Integral
from tapegrad.implicit.quadrature.quick_integrals import MOST_MARKS, Layout, load, pullback, store
from tapegrad.implicit.quadrature.ranges import (
    N_LIMITS,
    Course,
    Limits,
    Root,
    at,
    beside,
    inside,
    split,
)
from tapegrad.implicit.quadrature.swept_integrands import VALUES, chained, give_back, take
from tapegrad.implicit.quadrature.value_courses import note, noted
from tapegrad.implicit.solver_rules import scipy_solver_rule, scipys
from tapegrad.implicit.switches import may_switch
from tapegrad.libraries import frames_to_users_code
from tapegrad.record.active import Active, guard_all
from tapegrad.record.array import ActiveArray
from tapegrad.record.called import call
from tapegrad.record.functions.operands import is_active
from tapegrad.record.scipy.recognised import no_rule
from tapegrad.record.stopping import stop_gradient

MOST_TOL = 1e-9
"""How exact a derivative is at least, whatever the value's tolerance."""

MOST_WAYS = 16
"""How many recordings are swept together."""

_LISTS = ("alist", "blist", "rlist", "elist", "iord")
_COUNTS = ("neval", "last")


class _Largest(threading.local):
    """The largest error that was estimated in this thread, since it was set back."""

    error = 0.0


_LARGEST = _Largest()


class Quad(NamedTuple):
    """The options of `scipy.integrate.quad`."""

    epsabs: float
    epsrel: float
    limit: int
    is_nested: bool = False

    @property
    def tol(self) -> float:
        """The relative error of derivatives."""
        return float(min(max(self.epsrel, 1e-13), MOST_TOL))

    def found(self, integrand: Callable[[float], float], limits: Limits) -> Any:
        """Return what SciPy does, with all that it tells."""
        before, _LARGEST.error = _LARGEST.error, 0.0
        value, error, *told = scipys("scipy.integrate.quad")(
            integrand, limits.a, limits.b, (), 1, self.epsabs, self.epsrel, self.limit,
            limits.points or None,
        )  # fmt: skip
        largest = max(error, _LARGEST.error)
        _LARGEST.error = max(before, largest)
        return value, largest if self.is_nested else error, *told

    def course(self, inner: Inner, limits: Limits, given: Vector) -> Course:
        """Return what the value found on its way, of the last integral if it's the same."""
        return noted(self, inner, limits, given, lambda: self.value(inner, limits, given))

    def value(self, inner: Inner, limits: Limits, given: Vector) -> Any:
        """Return what SciPy does for an inner function, and note its course."""
        inputs = at(inside(*limits[:2]), given)
        switches = may_switch(inner, inputs, (0,))
        found, times = None, list[float]()
        if switches:  # what it does at the ends is asked for where it can't be recorded any more
            for t in [*beside(limits.a, limits.b), *beside(limits.b, limits.a)]:
                inner.run(at(t, given), valid_recording)
        if limits.a != limits.b:
            found, times = self._swept(inner, limits, inputs, switches)
        if found is None:
            times = []

            def plainly(t: float) -> float:
                times.append(t)
                inputs[0] = t
                return float(inner.values(inputs)[0])

            found = self.found(plainly, limits)
        seen = sorted(set(times), reverse=limits.a > limits.b) if switches else []
        course = Course(tuple(_breaks(limits, found[2])), tuple(seen))
        note(self, inner, limits, given, course)
        return found

    def _swept(self, inner: Inner, limits: Limits, inputs: Vector,
               switches: bool) -> tuple[Any, list[float]]:  # fmt: skip
        """Return what SciPy does for recordings that compiled code sweeps, and when; or None."""
        recordings = [inner.run(inputs, valid_recording)]
        if switches and isinstance(inner, Recorded):
            others = [other for other in inner.recordings[::-1] if other is not recordings[0]]
            recordings += others[: MOST_WAYS - 1]
        while len(recordings) <= MOST_WAYS:
            with chained(recordings, inputs, switches) as integrand:
                found = self.found(integrand.low_level(), limits)
                if not integrand.has_failed:
                    times = integrand.times.tolist()
                    is_noted = len(times) == integrand.n_calls or not switches
                    return (found if is_noted else None), times
                inputs[0] = integrand.failed_at
            recording = inner.run(inputs, valid_recording)
            if any(recording is other for other in recordings):
                break
            recordings.append(recording)
        return None, []


def _breaks(limits: Limits, info: dict[str, Any]) -> list[float]:
    """Return where an interval was divided, in order."""
    a, b = limits[:2]
    low, high = min(a, b), max(a, b)
    inner = set(info["alist"][: info["last"]]) | set(info["blist"][: info["last"]])
    if np.isinf(low) or np.isinf(high):
        far = [(1.0 - u) / u for u in inner if 0.0 < u < 1.0]
        if np.isinf(low) and np.isinf(high):
            between = [0.0, *far, *[-x for x in far]]
        else:
            between = [low + x for x in far] if np.isfinite(low) else [high - x for x in far]
    else:
        between = [x for x in inner if low < x < high]
    found = sorted({float(x) for x in between if low < x < high})
    return [low, *found, high] if a <= b else [high, *found[::-1], low]


_MARKS = 3
"""Which of the results are the parts' beginnings."""

# --- the block ------------------------------------------------------------------------------------

_MESSAGES: list[str] = [""]
"""What SciPy has said of integrals so far, for a number that can be guarded."""


def _number_of(message: str) -> float:
    if message not in _MESSAGES:
        _MESSAGES.append(message)
    return float(_MESSAGES.index(message))


class Quadrature(Integral):
    """An integral as SciPy finds it, its estimate of the error, and what it says of it.

    Parameters
    ----------
    is_full : bool
        Whether all that it tells are results, and what it says is no warning.
    """

    def __init__(self, inner: Inner, options: Quad, is_full: bool, shapes: Shapes,
                 is_active: tuple[bool, ...]) -> None:  # fmt: skip
        more: Shapes = ((), (), (1 + MOST_MARKS,))
        if is_full:
            more += ((),) * len(_COUNTS) + ((options.limit,),) * len(_LISTS)
        super().__init__(Root(inner, options), inner, 0, shapes, is_active, more)
        self._options, self._is_full = options, is_full
        self._kind += (is_full,)

    def value(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Return the results; the parts' beginnings are a hint to the pullback."""
        limits, given = split(operands)
        value, error, info, *message = self._options.value(self.inner, limits, given)
        marks = np.zeros(1 + MOST_MARKS)
        marks[0] = n = min(info["last"], MOST_MARKS)
        marks[1 : 1 + n] = info["alist"][:n]
        results = [np.array([value]), error, self._said(message), marks]
        if self._is_full:
            results += [*[float(info[key]) for key in _COUNTS],
                        *[info[key].astype(np.float64) for key in _LISTS]]  # fmt: skip
        return results

    def _said(self, message: Sequence[str]) -> float:
        """Return the number of what SciPy says, and warn of it if it would."""
        if not message:
            return 0.0
        if not self._is_full:
            kind = importlib.import_module("scipy.integrate").IntegrationWarning
            warnings.warn(message[0], kind, stacklevel=frames_to_users_code())
        return _number_of(message[0])

    # --- for integrands that take one way only ----------------------------------------------------

    @functools.cached_property
    def _layout(self) -> Layout | None:
        """What compiled code is told of it; None where the integrand may switch."""
        recordings = self.inner.recordings if isinstance(self.inner, Recorded) else ()
        if not recordings or self.operand_sizes[N_LIMITS - 1] or self._is_full:
            return None
        recording = recordings[-1]
        if anatomy_of(recording, (0,)).slots:
            return None
        return Layout(recording, self.operand_shapes, self.is_active, len(self.result_shapes),
                      _MARKS, self._options.tol, CALLBACKS["pullback"])  # fmt: skip

    def compiled(self, kind: Kind) -> int:
        """Return the address of the pullback, if the integrand takes one way only."""
        return pullback.address() if kind == "pullback" and self._layout is not None else 0

    @property
    def context(self) -> tuple[int, ...]:
        """Where the recording is and what of it is wanted."""
        return () if self._layout is None else self._layout.words

    def respond(self, kind: Kind, reads: int, writes: int) -> None:
        """Run a function of it; the value with as little Python as there may be."""
        layout = self._layout if kind == "value" else None
        if layout is None or not self._responded(layout, reads, writes):
            super().respond(kind, reads, writes)

    def _responded(self, layout: Layout, reads: int, writes: int) -> bool:
        """Write the results, if the recording is valid and there is nothing else to say."""
        made = take(layout.recording, VALUES)
        try:
            a, b = load.run(reads, len(layout.sizes), layout.sizes, made.inputs, made.words)
            if a == b:
                return False
            value, error, info, *message = self._options.found(made.low_level(), Limits(a, b, ()))
            if made.has_failed:
                return False
        finally:
            give_back(layout.recording, made)
        said = self._said(message)
        store.run(writes, value, error, said, info["alist"], info["last"], _MARKS)
        return True

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state.pop("_layout", None)
        return state


# --- the rule -------------------------------------------------------------------------------------


def one_number(unknowns: Any, result: Any) -> Any:
    """Return what an integrand does, as one number."""
    if isinstance(result, ActiveArray):
        if result.size != 1:
            raise TypeError("only length-1 arrays can be converted to Python scalars")
        return result.reshape(())[()]
    return result if isinstance(result, Active) else float(result)


USE = Use("the integral", one_number)


@scipy_solver_rule("scipy.integrate.quad", functions="func")
def quad(func: Any, a: Any, b: Any, args: Any = (), full_output: Any = 0,
         epsabs: Any = 1.49e-8, epsrel: Any = 1.49e-8, limit: Any = 50,
         points: Any = None) -> Any:  # fmt: skip
    """Record an integral; its error and what else is told of it have no derivative."""
    if not callable(func):
        raise no_rule("scipy.integrate.quad of a LowLevelCallable",
                      "pass the function in Python or as Numba compiles it, or ")  # fmt: skip
    return integral_of(func, a, b, args, func, False, full_output, epsabs, epsrel, limit, points)


def integral_of(func: Any, a: Any, b: Any, args: Any, named: Any, is_nested: bool,
                full_output: Any = 0, epsabs: Any = 1.49e-8, epsrel: Any = 1.49e-8,
                limit: Any = 50, points: Any = None) -> Any:  # fmt: skip
    """Return what `scipy.integrate.quad` does, recorded.

    Parameters
    ----------
    named : callable
        Whose integral it is called.
    is_nested : bool
        Whether the error is the largest of all that were estimated meanwhile.
    """
    args = args if isinstance(args, tuple) else (args,)
    options = Quad(float(epsabs), float(epsrel), int(limit), is_nested)
    points = np.empty(0) if points is None or len(points) == 0 else stop_gradient(_row(points))
    start = inside(primal(a), primal(b))

    def body(function: Function, operands: list[Any]) -> Any:
        function.name = f"the integral of {name_of(named)}"
        given = [a, b, points, *operands[1:]]
        shapes = shapes_of(given)
        return call(
            lambda active: Quadrature(function, options, bool(full_output), shapes, active), given
        )

    value, error, said, _, *told = with_inner(func, USE, (start,), args, {}, body)
    found = value[0], error[()]
    if not full_output:
        return found
    if isinstance(said, ActiveArray):
        guard_all(said.tape, said.data["slot"].reshape(1), said.data["value"].reshape(1))
    counts, lists = told[: len(_COUNTS)], told[len(_COUNTS) :]
    info = {key: count[()] if is_active(count) else int(count)
            for key, count in zip(_COUNTS, counts, strict=True)}  # fmt: skip
    info |= dict(zip(_LISTS, lists, strict=True))
    message = _MESSAGES[int(primal(said))]
    return (*found, info, message) if message else (*found, info)


def _row(points: Any) -> Any:
    if isinstance(points, ActiveArray):
        return points.reshape(-1)
    return np.ravel(np.asarray(points)) if not any(map(is_active, points)) else np.stack(points)


def primal(number: Any) -> float:
    """Return a number at the point."""
    return float(np.ravel(number.primal)[0]) if is_active(number) else float(number)
