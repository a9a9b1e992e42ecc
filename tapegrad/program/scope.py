"""Where a statement stands in a program that runs forward: what its variables are, looked back at.

A variable that a statement reads was set before it in the same iteration, by the run of a loop
before it, or else in an iteration before, and then is what it was when the iteration began.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from tapegrad.program.ir import Body, Compute, Loop, Past, Value, Variable, statements


class _Setting(NamedTuple):
    place: int
    loop: int
    """The number of the loop that sets the variable, or -1 if it's the statement there."""


class _Block:
    """A body, and where in it variables are set."""

    def __init__(self, body: Body) -> None:
        self.settings: dict[str, list[_Setting]] = {}
        for place, statement in enumerate(body):
            if isinstance(statement, Compute):
                names, loop = {statement.target.name}, -1
            elif isinstance(statement, Loop):
                inner = statements(statement.body)
                names = {s.target.name for s in inner if isinstance(s, Compute)}
                loop = statement.number
            else:
                continue
            for name in names:
                self.settings.setdefault(name, []).append(_Setting(place, loop))


class Scope:
    """A place in a body, and the places of the loops around it.

    Parameters
    ----------
    body : tuple of Statement
    """

    def __init__(self, body: Body, around: Scope | None = None, number: int = -1) -> None:
        self._block, self._place = _Block(body), 0
        self._around, self._number = around, number

    @property
    def is_in_loop(self) -> bool:
        """Whether there is a loop around."""
        return self._around is not None

    def at(self, place: int) -> Scope:
        """Return the scope of a statement of the body."""
        found = Scope.__new__(Scope)
        found._block, found._place = self._block, place
        found._around, found._number = self._around, self._number
        return found

    def after(self) -> Scope:
        """Return the scope after the body."""
        return self.at(1 << 62)

    def inside(self, loop: Loop) -> Scope:
        """Return the scope of the body of a loop that stands here."""
        return Scope(loop.body, self, loop.number)

    def past(self, leaf: Value) -> Value:
        """Return what a leaf of a statement here says, in the loops that run backward."""
        return self._of(leaf.name, self._place) if isinstance(leaf, Variable) else leaf

    def made(self, variable: Variable) -> Value:
        """Return the same of what the statement here sets."""
        return self._of(variable.name, self._place + 1)

    def _of(self, name: str, place: int) -> Past:
        settings = self._block.settings.get(name, [])
        before = bisect_left(settings, (place,))
        if before:
            loop = settings[before - 1].loop
            return Past(name) if loop < 0 else Past(name, "ended", loop)
        if self._around is None:
            raise ValueError(f"{name} is read before it's set")
        if settings:
            return Past(name, "begun", self._number)
        return self._around._of(name, self._around._place)
