"""What a function's recordings depend on beside its arguments, and warnings where they can't last.

A recording is of use for other calls as long as nothing that the function reads changes; where it
can't be told whether something did, and where random numbers are drawn, it's of use for one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from tapegrad.errors import RecordingLimitWarning
from tapegrad.function.environment import Environment
from tapegrad.function.recording import name_of
from tapegrad.function.watch.draws import SharedStates, drawn_between, shared_states
from tapegrad.libraries import frames_to_user

MOST_RECORDINGS = 32
"""For one kind of call; and the most changes of what a function reads that go unmentioned."""

OFTEN = f"has been recorded {MOST_RECORDINGS} times, because"
WATCHABLE = (
    ": pass what it takes from there as an argument, or read that into a variable outside it"
)
DRAWN_OUTSIDE = (
    ": draw them outside and pass them in, as in `def f(x, noise): ...` and "
    "`derivative(x, rng.standard_normal(n))`"
)


class Surroundings:
    """What a function reads, and whether that lets its recordings be replayed.

    Attributes
    ----------
    environment : Environment or None
        What it reads, once that has been looked at.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.environment: Environment | None = None
        self._changes = 0
        self._has_warned = False
        self._shared_after: SharedStates = {}

    def renewed(self) -> tuple[str | None, Environment]:
        """Return what changed, if something did, and what the function reads now."""
        old = self.environment
        changed = None if old is None else old.changed()
        if old is not None and changed is None:
            return None, old
        if changed is not None:
            self._changes += 1
            if self._changes == MOST_RECORDINGS and not self._has_warned:
                warn(self._function, f"{OFTEN} '{changed}', which it reads, changes between calls")
        self.environment = Environment(self._function, are_called=True)
        return changed, self.environment

    def reason_not_to_replay(self, environments: Sequence[Environment],
                             before: SharedStates) -> str | None:  # fmt: skip
        """Return why a new recording is of use for one call only, if it is; warn once.

        `before` is how shared generators of random numbers were before it was made.
        """
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
            warn(self._function, f"can't be replayed, since {reason}", remedy)


def warn(function: Callable[..., Any], reason: str, remedy: str = "") -> None:
    """Warn that a function is recorded at each call."""
    warnings.warn(
        f"{name_of(function)} {reason}; it's now recorded at every call, which is right but slow"
        f"{remedy}",
        RecordingLimitWarning,
        stacklevel=frames_to_user() + 1,
    )
