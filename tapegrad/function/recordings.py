"""The recordings made for one kind of call, linked at the guards where they part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from numpy import empty

from tapegrad.function.environment import Environment, is_watched
from tapegrad.function.plan import Plan
from tapegrad.function.recording import Recording
from tapegrad.function.vectors import Vector

if TYPE_CHECKING:
    from tapegrad.codegen.compiled_tape import Code

Shortcut = Callable[[Sequence[Any]], tuple[float, Any] | None]
"""Returns value and gradient for a call's leaves, or None if the whole policy is to be asked."""


class Recordings:
    """The recordings for one kind of call, as long as nothing that the function reads changes.

    Parameters
    ----------
    things : sequence
        What among the arguments is no input.
    outer : Environment
        What the function reads.

    Attributes
    ----------
    environment : Environment or None
        What functions and objects among the arguments read, which are equal while that changes.
    latest : Recording or None
        The one used last.
    shortcut : callable or None
        What serves calls without a look at the rest, renewed after each that it didn't serve.
    is_full : bool
        Whether there are as many as may be, and the function takes new ways all the same.
    is_passing : bool
        Whether the one there is was of use for one call only.
    has_routes : bool
        Whether some leave numbers in objects.
    is_careful : bool
        Whether there is more to look at before a call than what the function reads.
    """

    def __init__(self, things: Sequence[Any], outer: Environment) -> None:
        self.outer = outer
        self.environment: Environment | None = None
        if any(map(is_watched, things)):
            self.environment = Environment(*things, names=outer.names)
            outer.mention(self.environment.names)
        self.all: list[Recording] = []
        self.latest: Recording | None = None
        self.shortcut: Shortcut | None = None
        self.is_full = self.is_told = self.is_passing = False
        self.is_careful, self.has_routes = self.environment is not None, False

    @property
    def environments(self) -> list[Environment]:
        """What tells whether the recordings are valid."""
        return [self.outer] if self.environment is None else [self.outer, self.environment]

    @property
    def replayed(self) -> Recording | None:
        """The recording used last, if it may be replayed."""
        return None if self.is_full or self.is_passing else self.latest

    def changed(self) -> str | None:
        """Return the name of what changed of that which functions among the arguments read."""
        return None if self.environment is None else self.environment.changed()

    def drop_moved(self) -> None:
        """Forget recordings that leave numbers in objects which are no longer in their places."""
        moved = [r for r in self.all if not all(route.holds() for route in r.routes)]
        if moved:
            self.drop(moved)
            if self.latest in moved:
                self.latest = self.all[-1] if self.all else None

    def drop(self, outdated: Sequence[Recording]) -> None:
        """Forget recordings."""
        self.all = [r for r in self.all if r not in outdated]
        for recording in self.all:
            recording.unlink(outdated)

    def add(self, new: Recording) -> None:
        """Keep a recording, linked to the others."""
        if self.is_passing:
            self.all, self.is_passing = [], False
        for recording in self.all:
            recording.link(new)
        self.all.append(new)
        if new.routes:
            self.is_careful = self.has_routes = True
        self.latest = new

    def renew_shortcut(self, plan: Plan) -> None:
        """Let machine code of the recording used last serve calls by itself, if that is all."""
        recording = self.replayed
        code = None if recording is None else recording.tiers.codes.get("reverse")
        is_all = recording is not None and recording.is_bare and not self.is_careful
        self.shortcut = (
            serving(plan, code, self.outer.holds) if code is not None and is_all else None
        )

    def keep_for_this_call(self, new: Recording) -> None:
        """Keep a recording to be looked at, not to be replayed."""
        self.all, self.latest, self.is_passing = [new], new, True


def serving(plan: Plan, code: Code, holds: Callable[[], bool]) -> Shortcut:
    """Return what computes value and gradient by machine code, in one Python call.

    It returns None where something doesn't hold any more, a guard fails or there is a NaN.

    Such calls take as long as the machine code of a small function, so that each further call,
    attribute and object would be felt.
    """
    from tapegrad.codegen.calling import run_gradient  # the code's maker has imported it

    run_gradient.compile()
    run, address, new_memory = run_gradient.run, code.address, code.new_memory
    pack, split = plan.pack, plan.split
    n_inputs, is_vector = plan.n_inputs, plan.is_vector
    memories: list[Vector] = []

    def serve(leaves: Sequence[Any]) -> tuple[float, Any] | None:
        if not holds():
            return None
        inputs = leaves[0] if is_vector else None
        if inputs is None or not inputs.flags.carray:
            inputs = pack(leaves)
        products = empty(n_inputs)
        try:
            memory = memories.pop()
        except IndexError:
            memory = new_memory()
        status, value = run(address, inputs, memory, products)
        memories.append(memory)
        if status:
            return None
        return value, products if is_vector else split(products)

    return serve
