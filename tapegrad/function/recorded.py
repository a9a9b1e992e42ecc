"""A function recorded once and replayed many times, wherever its recordings are valid.

A call replays a recording made for the same kinds of arguments, if everything the function
closes over is unchanged and every guard holds. A guard that fails names the recording that
took the other way there, if there is one; otherwise the function is recorded again at the new
point. A recording that holds a plain value, which changed, is replaced by the new one. Where it
can't be told whether something changed, and where random numbers are drawn, it's recorded at each
call. What can't be seen is what the function reads from files and clocks: `clear` forgets every
recording.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any

from tapegrad.errors import RecordingLimitWarning, UnsupportedFunctionError
from tapegrad.function.arguments import Call, Fixed
from tapegrad.function.changes import Before
from tapegrad.function.environment import Environment, is_watched
from tapegrad.function.places import Places
from tapegrad.function.recording import Recording, Workspace, name_of, record
from tapegrad.function.tiers import NEVER, Kind, Options
from tapegrad.function.watch.draws import SharedStates, drawn_between, shared_states
from tapegrad.libraries import frames_to_user
from tapegrad.record.interception import original_of

if TYPE_CHECKING:
    from tapegrad.native.program import Code

logger = logging.getLogger("tapegrad")

MOST_RECORDINGS = 32
MOST_SIGNATURES = 256
MANY_RECORDINGS = MOST_RECORDINGS // 2
"""After which a form that needs no guards may take over."""

OFTEN = f"has been recorded {MOST_RECORDINGS} times, because"
WATCHABLE = (
    ": pass what it takes from there as an argument, or read that into a variable outside it"
)
DRAWN_OUTSIDE = (
    ": draw them outside and pass them in, as in `def f(x, noise): ...` and "
    "`derivative(x, rng.standard_normal(n))`"
)

IN_COMPILED_CODE = (
    ": decorate it with `@numba.njit`, and it's recorded in compiled code, where a gradient needs "
    "no guards"
)

Attempt = Callable[[Recording, Workspace], int]
"""Replays a recording in a workspace; returns the guard that failed, or -1."""


class _Signature:
    """The recordings made for one kind of arguments.

    Attributes
    ----------
    reason : str
        Why the next recording is made, unless a guard fails.
    """

    def __init__(self, call: Call, outer: Environment, reason: str) -> None:
        # Functions and objects among the arguments are equal while what they close over changes.
        things = [spec.thing for spec in call.specs if isinstance(spec, Fixed)]
        self.environment: Environment | None = None
        if any(map(is_watched, things)):
            self.environment = Environment(*things, names=outer.names)
            outer.mention(self.environment.names)
        self.recordings: list[Recording] = []
        self.latest: Recording | None = None
        self.is_full = self.is_told = False
        self.has_routes = False
        self.is_passing = False
        self.reason = reason

    @property
    def replayed(self) -> Recording | None:
        """The recording used last, if it may be replayed."""
        return None if self.is_full or self.is_passing else self.latest

    def changed(self) -> str | None:
        """Return the name of what changed of that which functions among the arguments read."""
        return None if self.environment is None else self.environment.changed()

    def compiled(self, kind: Kind) -> tuple[Recording, Code] | None:
        """Return the recording used last and its machine code, if there is any."""
        recording = self.replayed
        if recording is not None and recording.left is not None and recording.moved():
            return None
        code = None if recording is None else recording.tiers.code(kind)
        return None if recording is None or code is None else (recording, code)

    def drop_moved(self) -> None:
        """Forget recordings that leave numbers in objects which are no longer in their places."""
        moved = [r for r in self.recordings if not all(route.holds() for route in r.routes)]
        if moved:
            self.drop(moved)
            if self.latest in moved:
                self.latest = self.recordings[-1] if self.recordings else None

    def drop(self, outdated: Sequence[Recording]) -> None:
        """Forget recordings."""
        self.recordings = [r for r in self.recordings if r not in outdated]
        for recording in self.recordings:
            recording.unlink(outdated)

    def add(self, new: Recording) -> None:
        """Keep a recording, linked to the others."""
        if self.is_passing:
            self.recordings, self.is_passing = [], False
        for recording in self.recordings:
            recording.link(new)
        self.recordings.append(new)
        self.has_routes = self.has_routes or bool(new.routes)
        self.latest = new

    def keep_for_this_call(self, new: Recording) -> None:
        """Keep a recording to be looked at, not to be replayed."""
        self.recordings, self.latest, self.is_passing = [new], new, True


class RecordedFunction:
    """A function with its recordings.

    Parameters
    ----------
    function : callable
        Called with active numbers when it's recorded.
    options : Options, optional
        Whether its recordings are compiled.

    Attributes
    ----------
    takes_over : callable
        Told of calls whose guards keep failing; returns whether something else will serve them.
    """

    def __init__(self, function: Callable[..., Any], options: Options = NEVER) -> None:
        self.function, self.options = original_of(function), options.check()
        self._lock = threading.RLock()
        self._signatures: dict[Any, _Signature] = {}
        self._environment: Environment | None = None
        self._changes = 0
        self._has_warned = False
        self._shared_after: SharedStates = {}
        self._forgotten: dict[Any, str] = {}
        self.takes_over: Callable[[Call], bool] = lambda call: False

    def clear(self) -> None:
        """Forget every recording."""
        with self._lock:
            self._forget("its recordings were cleared")
            self._environment = None

    def _forget(self, reason: str) -> None:
        self._forgotten = dict.fromkeys(self._signatures, reason)
        self._signatures = {}

    def compiled(self, call: Call, kind: Kind) -> tuple[Recording, Code] | None:
        """Return the recording used last and its machine code, if there is any."""
        return self._signature(call).compiled(kind)

    def holding(self, call: Call) -> Callable[[], bool]:
        """Return what tells whether a recording made for a call is still one of the function.

        Raises
        ------
        UnsupportedFunctionError
            If it's recorded at each call, and so is of no use for another one.
        """
        signature = self._signature(call)
        if signature.is_passing or signature.is_full:
            raise UnsupportedFunctionError(
                f"{name_of(self.function)} is recorded at every call, so that machine code of one "
                "recording would be of use for that call only; call the derivative itself"
            )
        found = [e for e in (self._environment, signature.environment) if e is not None]
        return lambda: all(environment.changed() is None for environment in found)

    def run_compiled(self, call: Call, kind: Kind, run: Callable[[Recording, Code], bool],
                     attempt: Attempt) -> tuple[Recording, Workspace | None]:  # fmt: skip
        """Run machine code of the recording used last; `run` returns whether all went well.

        Where there is none, or it won't do, the same as the method `run`.
        """
        signature = self._signature(call)
        found = signature.compiled(kind)
        if found is not None:
            if run(*found):
                return found[0], None
            logger.debug("machine code of %s hands over to the sweeps: a guard fails, or there "
                         "is a NaN", name_of(self.function))  # fmt: skip
        return self._run(signature, call, attempt)

    def run(self, call: Call, attempt: Attempt) -> tuple[Recording, Workspace]:
        """Replay a recording that is valid at a point, making one if there is none.

        Returns
        -------
        recording : Recording
        workspace : Workspace
            Filled by `attempt`, and the caller's until it's given back to the recording.
        """
        return self._run(self._signature(call), call, attempt)

    def _run(self, signature: _Signature, call: Call,
             attempt: Attempt) -> tuple[Recording, Workspace]:  # fmt: skip
        failure = moved = ""
        earlier: Recording | None = None
        untried: list[Recording] | None = None
        outdated: list[Recording] = []
        recording = signature.replayed
        while recording is not None:
            workspace = recording.take_workspace()
            failed = attempt(recording, workspace)
            if failed < 0:
                moved = (recording.left is not None and recording.moved()) or ""
                if not moved:
                    signature.latest = recording
                    return recording, workspace
                recording.give_back(workspace)
                outdated, earlier = [*outdated, recording], recording
                break
            found = recording.value_read(failed, workspace.value)
            recording.give_back(workspace)
            failure = recording.site(failed)
            logger.debug("a guard of %s at %s finds %g", name_of(self.function), failure, found)
            if recording.is_value(failed):
                outdated.append(recording)
            untried = list(signature.recordings) if untried is None else untried
            if recording in untried:  # unless another thread has put one in its place
                untried.remove(recording)
            recording = recording.branches.get((failed, found))
            if recording not in untried:
                recording = untried[-1] if untried else None
        environments = [environment for environment in (self._environment, signature.environment)
                        if environment is not None]  # fmt: skip
        methods = [method for environment in environments for method in environment.methods]
        before, begin = shared_states(), time.perf_counter()
        roots = [root for environment in environments for root in environment.roots]
        places = Places(roots) if roots else None
        places_before = Before(roots) if roots else None
        recording = record(self.function, call, methods, self.options, places)
        if places_before is not None:
            places_before.left(recording, environments, earlier)
        name, tape = name_of(self.function), recording.tape
        reason = signature.reason
        if moved:
            reason = (
                f"{moved!r}, which it changes, was not as before (where the derivative needn't "
                "know of that, have it changed by a function given to tapegrad.tap)"
            )
        elif failure:
            reason = f"a plain value changed at {failure}" if outdated else (
                f"a guard fails at {failure}"
            )  # fmt: skip
        logger.info(
            "%s is recorded%s, since %s: %s records, %s guards, in %.2g s", name,
            " again" if signature.recordings else "", reason,
            f"{len(tape):,}", f"{len(tape.guard_slot):,}", time.perf_counter() - begin,
        )  # fmt: skip
        obstacle = self._reason_not_to_replay(environments, before)
        if recording.left is not None and recording.left.is_disturbed:
            obstacle = obstacle or "another thread changed something meanwhile"
        if obstacle is None:
            self._keep(signature, call, recording, failure, outdated, earlier)
        else:
            signature.keep_for_this_call(recording)
            signature.reason = obstacle
        workspace = recording.take_workspace()
        failed = attempt(recording, workspace)
        assert failed < 0, f"the guard at {recording.site(failed)} fails where it was recorded"
        return recording, workspace

    def _keep(self, signature: _Signature, call: Call, recording: Recording, failure: str,
              outdated: list[Recording], earlier: Recording | None) -> None:  # fmt: skip
        with self._lock:
            if recording.holds_values:
                if len(signature.recordings) >= MOST_RECORDINGS and not outdated:
                    outdated = [r for r in signature.recordings if r.holds_values][:1]
                signature.drop(outdated)
            elif earlier is not None:
                signature.drop([earlier])
            if len(signature.recordings) < MOST_RECORDINGS:
                signature.add(recording)
                if len(signature.recordings) == MANY_RECORDINGS:
                    self.takes_over(call)
                return
            signature.is_full = True
            signature.reason = f"it has {MOST_RECORDINGS} recordings, the most it may have"
            if not signature.is_told and not self.takes_over(call):
                signature.is_told = True
                remedy = IN_COMPILED_CODE if type(self.function) is FunctionType else ""
                _warn(self.function, f"{OFTEN} it takes a new way at {failure} again and again",
                      remedy)  # fmt: skip

    def _reason_not_to_replay(self, environments: Sequence[Environment],
                              before: SharedStates) -> str | None:  # fmt: skip
        """Return why a new recording is of use for one call only, if it is; warn once."""
        last, after = self._shared_after, shared_states()
        self._shared_after = after
        for environment in environments:
            if environment.unwatched is not None:
                self._warn_once(environment.unwatched, WATCHABLE)
                return environment.unwatched
        generator = drawn_between(before, after, last)
        if generator is not None and not any(e.may_draw for e in environments):
            generator = None  # another thread did
        own = (environment.drawn_from() for environment in environments)
        name = generator or next((name for name in own if name is not None), None)
        if name is None:
            return None
        reason = f"it draws random numbers from {name}"
        if last or not any(environment.seeds(name) for environment in environments):
            self._warn_once(reason, DRAWN_OUTSIDE)
        return reason

    def _warn_once(self, reason: str, remedy: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            _warn(self.function, f"can't be replayed, since {reason}", remedy)

    def _signature(self, call: Call) -> _Signature:
        environment = self._environment
        if environment is None or environment.changed() is not None:
            with self._lock:
                environment = self._renewed_environment()
        signature = self._signatures.get(call.key)
        changed = None if signature is None else signature.changed()
        if changed is not None:
            self._forgotten[call.key] = f"{changed!r}, which an argument reads, has changed"
            self._signatures.pop(call.key, None)
            signature = None
        if signature is not None and signature.has_routes:
            with self._lock:
                signature.drop_moved()
        if signature is None:
            with self._lock:
                reason = self._forgotten.pop(call.key, "it's called with such arguments first")
                new = _Signature(call, environment, reason)
                signature = self._signatures.setdefault(call.key, new)
                if len(self._signatures) > MOST_SIGNATURES:  # forget the oldest
                    del self._signatures[next(iter(self._signatures))]
        return signature

    def _renewed_environment(self) -> Environment:
        old = self._environment
        changed = None if old is None else old.changed()
        if changed is not None:
            self._changes += 1
            if self._changes == MOST_RECORDINGS and not self._has_warned:
                _warn(self.function, f"{OFTEN} '{changed}', which it reads, changes between calls")
        if old is None or changed is not None:
            if changed is not None:
                self._forget(f"{changed!r}, which it reads, has changed")
            old = self._environment = Environment(self.function, are_called=True)
        return old

    @property
    def latest(self) -> Recording | None:
        """The recording used last."""
        return next((s.latest for s in reversed(self._signatures.values()) if s.latest), None)

    @property
    def recordings(self) -> list[Recording]:
        """Every recording kept."""
        return [r for signature in self._signatures.values() for r in signature.recordings]


def _warn(function: Callable[..., Any], reason: str, remedy: str = "") -> None:
    warnings.warn(
        f"{name_of(function)} {reason}; it's now recorded at every call, which is right but slow"
        f"{remedy}",
        RecordingLimitWarning,
        stacklevel=frames_to_user() + 1,
    )
