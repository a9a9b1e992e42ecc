"""A function recorded once and replayed many times, wherever its recordings are valid.

The one policy of all derivatives: machine code of the recording used last if there is, else its
sweeps, else another recording, else a new one. A call replays a recording made for calls of its
kind, if everything the function closes over is unchanged and every guard holds. A guard that fails
names the recording that took the other way there, if there is one; otherwise the function is
recorded again at the new point. A recording that holds a plain value, which changed, is replaced
by the new one. Where it can't be told whether something changed, and where random numbers are
drawn, it's recorded at each call. What can't be seen is what the function reads from files and
clocks: `clear` forgets every recording.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.function.afresh import Afresh
from tapegrad.function.arguments import DOUBLE, plain_specs, sort_arguments
from tapegrad.function.changes import Before
from tapegrad.function.environment import Environment
from tapegrad.function.naming import Argnums, Naming
from tapegrad.function.places import Places
from tapegrad.function.plan import Plan
from tapegrad.function.points import GuardFailedError, Point, T, Use, used, valid_recording
from tapegrad.function.recording import Recording, name_of, record
from tapegrad.function.recordings import Recordings
from tapegrad.function.surroundings import MOST_RECORDINGS, OFTEN, Surroundings, warn
from tapegrad.function.tiers import NEVER, Options
from tapegrad.function.vectors import Vector
from tapegrad.function.watch.draws import shared_states
from tapegrad.record.interception import original_of
from tapegrad.record.nesting import THREAD
from tapegrad.tree import LEAF

logger = logging.getLogger("tapegrad")

MOST_PLANS = 256
MANY_RECORDINGS = MOST_RECORDINGS // 2
"""After which a form that needs no guards may take over."""

IN_COMPILED_CODE = (
    ": decorate it with `@numba.njit`, and it's recorded in compiled code, where a gradient needs "
    "no guards"
)


class Why(NamedTuple):
    """Why a function is recorded again.

    Attributes
    ----------
    failure : str
        Where a guard failed, if one did.
    moved : str
        What the function changes and wasn't as before.
    outdated : list of Recording
        What the new one replaces, if it holds plain values.
    earlier : Recording or None
        One of the same way, that began with other things.
    """

    failure: str
    moved: str
    outdated: list[Recording]
    earlier: Recording | None

    @property
    def text(self) -> str:
        """The reason in words; nothing if it's none of these."""
        if self.moved:
            return (
                f"{self.moved!r}, which it changes, was not as before (where the derivative "
                "needn't know of that, have it changed by a function given to tapegrad.tap)"
            )
        what = "a plain value changed" if self.outdated else "a guard fails"
        return f"{what} at {self.failure}" if self.failure else ""


class RecordedFunction:
    """A function with its recordings.

    Parameters
    ----------
    function : callable
        Called with active numbers when it's recorded.
    options : Options, optional
        Whether its recordings are compiled.
    argnums : int, str, slice, or sequence of int and str, optional
        Which arguments it's differentiated by.

    Attributes
    ----------
    last : Plan or None
        That of the latest call.
    afresh : Afresh or None
        What takes over where guards keep failing, if anything may.
    """

    def __init__(self, function: Callable[..., Any], options: Options = NEVER,
                 argnums: Argnums = ()) -> None:  # fmt: skip
        self.function, self.options = original_of(function), options.check()
        self._naming = Naming(function, argnums)
        self._plans: dict[Any, Plan] = {}
        self.last: Plan | None = None
        self._lock = threading.RLock()
        self._surroundings = Surroundings(self.function)
        self.afresh: Afresh | None = None

    # --- calls ---------------------------------------------------------------------------------

    def sort(self, args: tuple[Any, ...],
             kwargs: dict[str, Any]) -> tuple[Plan, Sequence[Any]]:  # fmt: skip
        """Return the plan of a call, and its arguments' leaves."""
        if not kwargs:
            plan = self._plans.get(plain_specs(args))
            if plan is not None:
                return plan, args
        keys = self._naming.keys(args, kwargs)
        structure, specs, leaves = sort_arguments(args, kwargs, keys)
        is_plain = not kwargs and all(child is LEAF for child in structure[2][0][2])
        kind = specs if is_plain else (structure, specs)
        plan = self._plans.get(kind)
        if plan is None:
            new = Plan(structure, specs, keys, self._naming.is_single)
            with self._lock:
                plan = self._plans.setdefault(kind, new)
                if len(self._plans) > MOST_PLANS:  # forget the oldest
                    del self._plans[next(iter(self._plans))]
        return plan, leaves

    # --- the policy ----------------------------------------------------------------------------

    def gradient(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Return value and gradient, that in the structure of what it's by.

        Raises
        ------
        NotScalarError
            If the function's value is not one float.
        """
        plan: Plan | None = None
        leaves: Sequence[Any] = args
        if len(args) == 1 and not kwargs:  # the commonest kind of call, in the fewest steps
            x = args[0]
            if type(x) is np.ndarray and x.dtype is DOUBLE:
                plan = self._plans.get((x.shape,))
        if plan is None:
            plan, leaves = self.sort(args, kwargs)
        # Within a recording, too: an active number in place of a plain one is a change.
        recordings = plan.recordings
        serve = None if recordings is None else recordings.shortcut
        if serve is not None:
            served = serve(leaves)
            if served is not None:
                self.last = plan
                return served
        if THREAD.tapes or self.afresh is None or (found := self.afresh.run(plan, leaves)) is None:
            found = self.run(plan, leaves, Point.gradient)
            recordings = plan.recordings
            if recordings is not None:
                recordings.renew_shortcut(plan)
        else:
            self.last = plan
            if recordings is not None:
                recordings.shortcut = None
        return found[0], plan.split(found[1])

    def run(self, plan: Plan, leaves: Sequence[Any], use: Use[T], is_quiet: bool = False) -> T:
        """Return what a derivative makes of the function at a call's arguments.

        What the function does beside its result is done then, unless the use is quiet.
        """
        if THREAD.tapes:
            return self._recorded_within(plan, leaves, use)
        recordings, inputs = self._current(plan, leaves), plan.pack(leaves)
        return self._search(plan, leaves, recordings, inputs, use, is_quiet)

    def recording(self, *args: Any, **kwargs: Any) -> Recording:
        """Return a recording that is valid for a call, and do nothing else."""
        plan, leaves = self.sort(args, kwargs)
        return self.run(plan, leaves, valid_recording, is_quiet=True)

    def _recorded_within(self, plan: Plan, leaves: Sequence[Any], use: Use[T]) -> T:
        """Use a recording made within another one, for this call only."""
        recording = record(self.function, plan, leaves, is_focused=True)
        outer = [*plan.inputs(leaves), *recording.captured]
        return used(Point(recording, recording.point(), outer, is_new=True), use)

    def _search(self, plan: Plan, leaves: Sequence[Any], recordings: Recordings, inputs: Vector,
                use: Use[T], is_quiet: bool = False) -> T:  # fmt: skip
        """Use the recording used last, else another one, else a new one."""
        failure = moved = ""
        earlier: Recording | None = None
        untried: list[Recording] | None = None
        outdated: list[Recording] = []
        recording = recordings.replayed
        while recording is not None:
            try:
                moved = self._moved(recording, inputs)
                if moved:
                    outdated, earlier = [*outdated, recording], recording
                    break
                found = used(Point(recording, inputs), use, is_quiet)
            except GuardFailedError as failed:
                guard, value = failed.guard, failed.found
            else:
                recordings.latest = recording
                return found
            failure = recording.site(guard)
            logger.debug("a guard of %s at %s finds %g", name_of(self.function), failure, value)
            if recording.is_value(guard):
                outdated.append(recording)
            untried = list(recordings.all) if untried is None else untried
            if recording in untried:  # unless another thread has put one in its place
                untried.remove(recording)
            recording = recording.branches.get((guard, value))
            if recording not in untried:
                recording = untried[-1] if untried else None
        recording = self._recorded(plan, leaves, recordings, Why(failure, moved, outdated, earlier))
        return used(Point(recording, inputs, is_new=True), use, is_quiet)

    def _moved(self, recording: Recording, inputs: Vector) -> str:
        """Return what a recording that is valid at a point changes and isn't as it has to be."""
        if recording.left is None:
            return ""
        used(Point(recording, inputs), valid_recording, is_quiet=True)
        return recording.moved() or ""

    # --- recordings ----------------------------------------------------------------------------

    def _current(self, plan: Plan, leaves: Sequence[Any]) -> Recordings:
        """Return the recordings for a kind of call, none of them outdated."""
        environment = self._surroundings.environment
        if environment is None or not environment.holds():
            environment = self._renewed_environment()
        self.last, recordings = plan, plan.recordings
        if recordings is None or recordings.outer is not environment or recordings.is_careful:
            recordings = self._renewed_recordings(plan, leaves, environment)
        return recordings

    def _renewed_environment(self) -> Environment:
        """Return what the function reads, and forget all recordings if it changed."""
        with self._lock:
            changed, environment = self._surroundings.renewed()
            if changed is not None:
                self._forget(f"{changed!r}, which it reads, has changed")
            return environment

    def _renewed_recordings(self, plan: Plan, leaves: Sequence[Any],
                            environment: Environment) -> Recordings:  # fmt: skip
        """Return the recordings for a kind of call, new ones if they are outdated."""
        recordings = plan.recordings
        changed = None if recordings is None else recordings.changed()
        with self._lock:
            if changed is not None:
                plan.forget(f"{changed!r}, which an argument reads, has changed")
            recordings = plan.recordings
            if recordings is None or recordings.outer is not environment:
                recordings = plan.recordings = Recordings(plan.fixed(leaves), environment)
            elif recordings.has_routes:
                recordings.drop_moved()
            return recordings

    def _recorded(self, plan: Plan, leaves: Sequence[Any], recordings: Recordings,
                  why: Why) -> Recording:  # fmt: skip
        """Record the function, and keep the recording if it's of use for other calls."""
        environments = recordings.environments
        methods = [method for environment in environments for method in environment.methods]
        roots = [root for environment in environments for root in environment.roots]
        places, places_before = (Places(roots), Before(roots)) if roots else (None, None)
        before, begin = shared_states(), time.perf_counter()
        recording = record(
            self.function, plan, leaves, methods, self.options, places, is_focused=True
        )
        if places_before is not None:
            places_before.left(recording, environments, why.earlier)
        tape = recording.tape
        logger.info(
            "%s is recorded%s, since %s: %s records, %s guards, in %.2g s",
            name_of(self.function), " again" if recordings.all else "", why.text or plan.reason,
            f"{len(tape):,}", f"{len(tape.guard_slot):,}", time.perf_counter() - begin,
        )  # fmt: skip
        obstacle = self._surroundings.reason_not_to_replay(environments, before)
        if recording.left is not None and recording.left.is_disturbed:
            obstacle = obstacle or "another thread changed something meanwhile"
        if recording.is_unsettled:
            obstacle = obstacle or "an error that came of its numbers was caught"
        if obstacle is None:
            self._keep(plan, leaves, recordings, recording, why)
        else:
            recordings.keep_for_this_call(recording)
            plan.reason = obstacle
        return recording

    def _keep(self, plan: Plan, leaves: Sequence[Any], recordings: Recordings,
              recording: Recording, why: Why) -> None:  # fmt: skip
        with self._lock:
            outdated = why.outdated
            if recording.holds_values:
                if len(recordings.all) >= MOST_RECORDINGS and not outdated:
                    outdated = [r for r in recordings.all if r.holds_values][:1]
                recordings.drop(outdated)
            elif why.earlier is not None:
                recordings.drop([why.earlier])
            if len(recordings.all) < MOST_RECORDINGS:
                recordings.add(recording)
                if len(recordings.all) == MANY_RECORDINGS:
                    self._takes_over(plan, leaves)
                return
            recordings.is_full = True
            plan.reason = f"it has {MOST_RECORDINGS} recordings, the most it may have"
            if not recordings.is_told and not self._takes_over(plan, leaves):
                recordings.is_told = True
                remedy = IN_COMPILED_CODE if type(self.function) is FunctionType else ""
                warn(self.function, f"{OFTEN} it takes a new way at {why.failure} again and again",
                     remedy)  # fmt: skip

    def _takes_over(self, plan: Plan, leaves: Sequence[Any]) -> bool:
        return self.afresh is not None and self.afresh.takes_over(plan, leaves)

    def _forget(self, reason: str) -> None:
        for plan in self._plans.values():
            plan.forget(reason)

    def clear(self) -> None:
        """Forget every recording."""
        with self._lock:
            self._forget("its recordings were cleared")
            self._surroundings.environment = None
            if self.afresh is not None:
                self.afresh.forget()

    def is_replayed(self, plan: Plan, leaves: Sequence[Any]) -> bool:
        """Whether recordings for a kind of call are of use for more than one, as far as known."""
        recordings = self._current(plan, leaves)
        return not (recordings.is_passing or recordings.is_full)

    def holding(self, *args: Any, **kwargs: Any) -> Callable[[], bool]:
        """Return what tells whether a recording made for a call is still one of the function.

        Raises
        ------
        UnsupportedFunctionError
            If it's recorded at each call, and so is of no use for another one.
        """
        call = self.sort(args, kwargs)
        if not self.is_replayed(*call):
            raise UnsupportedFunctionError(
                f"{name_of(self.function)} is recorded at every call, so that machine code of one "
                "recording would be of use for that call only; call the derivative itself"
            )
        environments = self._current(*call).environments

        def holds() -> bool:
            for environment in environments:  # a generator takes longer than this
                if not environment.holds() and environment.changed() is not None:
                    return False
            return True

        return holds

    @property
    def latest(self) -> Recording | None:
        """The recording used last."""
        recordings = None if self.last is None else self.last.recordings
        return None if recordings is None else recordings.latest

    @property
    def recordings(self) -> list[Recording]:
        """Every recording kept."""
        kept = [plan.recordings for plan in list(self._plans.values())]
        return [recording for recordings in kept if recordings for recording in recordings.all]
