"""A function recorded once and replayed many times, wherever its recordings are valid.

A call replays a recording made for the same kinds of arguments, if everything the function
closes over is unchanged and every guard holds. A guard that fails names the recording that
took the other way there, if there is one; otherwise the function is recorded again at the new
point. A recording that holds a plain value, which changed, is replaced by the new one. What can't
be seen is what the function reads from files, clocks and random number generators: `clear`
forgets every recording.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tapegrad.errors import RecordingLimitWarning
from tapegrad.function.arguments import Call, Fixed
from tapegrad.function.environment import Environment, is_plain
from tapegrad.function.recording import Recording, Workspace, record
from tapegrad.function.tiers import NEVER, Kind, Options
from tapegrad.libraries import frames_to_user

if TYPE_CHECKING:
    from tapegrad.native.program import Code

logger = logging.getLogger("tapegrad")

MOST_RECORDINGS = 32
MOST_SIGNATURES = 256

Attempt = Callable[[Recording, Workspace], int]
"""Replays a recording in a workspace; returns the guard that failed, or -1."""


class _Signature:
    """The recordings made for one kind of arguments."""

    def __init__(self, call: Call) -> None:
        # Functions and objects among the arguments are equal while what they close over changes.
        things = [spec.thing for spec in call.specs if isinstance(spec, Fixed)]
        self.environment = None if all(map(is_plain, things)) else Environment(*things)
        self.recordings: list[Recording] = []
        self.latest: Recording | None = None
        self.is_full = False

    def has_changed(self) -> bool:
        """Whether a function among the arguments closes over something that changed."""
        return self.environment is not None and self.environment.changed() is not None

    def compiled(self, kind: Kind) -> tuple[Recording, Code] | None:
        """Return the recording used last and its machine code, if there is any."""
        recording = None if self.is_full else self.latest
        code = None if recording is None else recording.tiers.code(kind)
        return None if recording is None or code is None else (recording, code)

    def drop(self, outdated: Sequence[Recording]) -> None:
        """Forget recordings."""
        self.recordings = [r for r in self.recordings if r not in outdated]
        for recording in self.recordings:
            recording.unlink(outdated)

    def add(self, new: Recording) -> None:
        """Keep a recording, linked to the others."""
        for recording in self.recordings:
            recording.link(new)
        self.recordings.append(new)
        self.latest = new


class RecordedFunction:
    """A function with its recordings.

    Parameters
    ----------
    function : callable
        Called with active numbers when it's recorded.
    options : Options, optional
        Whether its recordings are compiled.
    """

    def __init__(self, function: Callable[..., Any], options: Options = NEVER) -> None:
        self.function, self._options = function, options.check()
        self._lock = threading.RLock()
        self._signatures: dict[Any, _Signature] = {}
        self._environment: Environment | None = None
        self._changes = 0

    def clear(self) -> None:
        """Forget every recording."""
        with self._lock:
            self._signatures = {}
            self._environment = None

    def compiled(self, call: Call, kind: Kind) -> tuple[Recording, Code] | None:
        """Return the recording used last and its machine code, if there is any."""
        return self._signature(call).compiled(kind)

    def run_compiled(self, call: Call, kind: Kind, run: Callable[[Recording, Code], bool],
                     attempt: Attempt) -> tuple[Recording, Workspace | None]:  # fmt: skip
        """Run machine code of the recording used last; `run` returns whether all went well.

        Where there is none, or it won't do, the same as the method `run`.
        """
        signature = self._signature(call)
        found = signature.compiled(kind)
        if found is not None and run(*found):
            return found[0], None
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
        failure = ""
        untried: list[Recording] | None = None
        outdated: list[Recording] = []
        recording = None if signature.is_full else signature.latest
        while recording is not None:
            workspace = recording.take_workspace()
            failed = attempt(recording, workspace)
            if failed < 0:
                signature.latest = recording
                return recording, workspace
            found = recording.value_read(failed, workspace.value)
            recording.give_back(workspace)
            failure = recording.site(failed)
            if recording.is_value(failed):
                outdated.append(recording)
            untried = list(signature.recordings) if untried is None else untried
            if recording in untried:  # unless another thread has put one in its place
                untried.remove(recording)
            recording = recording.branches.get((failed, found))
            if recording not in untried:
                recording = untried[-1] if untried else None
        environments = [self._environment, signature.environment]
        places = [place for environment in environments if environment is not None
                  for place in environment.places]  # fmt: skip
        recording = record(self.function, call, places, self._options)
        self._keep(signature, recording, failure, outdated)
        workspace = recording.take_workspace()
        failed = attempt(recording, workspace)
        assert failed < 0, f"the guard at {recording.site(failed)} fails where it was recorded"
        return recording, workspace

    def _keep(self, signature: _Signature, recording: Recording, failure: str,
              outdated: list[Recording]) -> None:  # fmt: skip
        with self._lock:
            if recording.holds_values:
                if len(signature.recordings) >= MOST_RECORDINGS and not outdated:
                    outdated = [r for r in signature.recordings if r.holds_values][:1]
                if outdated:
                    signature.drop(outdated)
                    logger.info(
                        "%s is recorded again, in place of a recording that holds a plain value, "
                        "which changed at %s", _name(self.function), failure,
                    )  # fmt: skip
            if len(signature.recordings) < MOST_RECORDINGS:
                signature.add(recording)
            elif not signature.is_full:
                signature.is_full = True
                _warn(f"it takes a new way at {failure} again and again", self.function)

    def _signature(self, call: Call) -> _Signature:
        environment = self._environment
        if environment is None or environment.changed() is not None:
            with self._lock:
                self._renew_environment()
        signature = self._signatures.get(call.key)
        if signature is not None and signature.has_changed():
            self._signatures.pop(call.key, None)
            signature = None
        if signature is None:
            with self._lock:
                signature = self._signatures.setdefault(call.key, _Signature(call))
                if len(self._signatures) > MOST_SIGNATURES:  # forget the oldest
                    del self._signatures[next(iter(self._signatures))]
        return signature

    def _renew_environment(self) -> None:
        old = self._environment
        changed = None if old is None else old.changed()
        if changed is not None:
            self._changes += 1
            if self._changes == MOST_RECORDINGS:
                _warn(f"'{changed}', which it reads, changes between calls", self.function)
        if old is None or changed is not None:
            self._signatures = {}
            self._environment = Environment(self.function)

    @property
    def latest(self) -> Recording | None:
        """The recording used last."""
        return next((s.latest for s in reversed(self._signatures.values()) if s.latest), None)

    @property
    def recordings(self) -> list[Recording]:
        """Every recording kept."""
        return [r for signature in self._signatures.values() for r in signature.recordings]


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


def _warn(reason: str, function: Callable[..., Any]) -> None:
    warnings.warn(
        f"{_name(function)} has been recorded {MOST_RECORDINGS} times, because {reason}; it's now "
        "recorded at every call, which is right but slow",
        RecordingLimitWarning,
        stacklevel=frames_to_user() + 1,
    )
