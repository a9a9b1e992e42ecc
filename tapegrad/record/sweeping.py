"""The sweeps of a finished tape on active numbers, which record the derivative on their tape."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tapegrad.jit import Kernel
from tapegrad.record.kinds import ACTIVE, active
from tapegrad.replay.programs import Programs, workspace_length
from tapegrad.tape import Tape

Data = npt.NDArray[Any]

_programs = Programs(active)


class ActiveSweep:
    """A finished tape replayed on active numbers of another.

    Parameters
    ----------
    inner : Tape
        The finished tape.
    outer : Tape
        The tape to record on.
    inputs : ndarray of ACTIVE, shape (n,)
        The inner tape's inputs, as numbers of the outer one.
    """

    def __init__(self, inner: Tape, outer: Tape, inputs: Data) -> None:
        self.inner, self.outer = inner, outer
        self._value = np.zeros(workspace_length(inner), ACTIVE)
        count = len(inner.constants)
        self._value["value"][:count] = inner.constants[::-1]
        outer.run(_programs.replay, inner.head, inputs, self._value)
        self._transfer_guards(count)

    def _transfer_guards(self, first: int) -> None:
        """State on the outer tape what the inner one's program read."""
        inner, outer = self.inner, self.outer
        slots = self._value["slot"][first:][inner.guard_slot]
        base = len(outer.sites)
        outer.sites.extend(inner.sites)
        is_active = slots > 0
        outer.new_guard_slot.extend(slots[is_active].tolist())
        outer.new_guard_value.extend(inner.guard_value[is_active].tolist())
        outer.new_guard_site.extend((base + inner.guard_site[is_active]).tolist())

    def results(self) -> Data:
        """Return the outputs."""
        out = np.zeros(len(self.inner.outputs), ACTIVE)
        _programs.results.run(self.inner.head, self._value, out)
        return out

    def pullback(self, seeds: Data) -> Data:
        """Return the inputs' adjoints for the outputs' adjoints `seeds`."""
        return self._sweep(_programs.pullback, seeds, len(self.inner.inputs))

    def pushforward(self, directions: Data) -> Data:
        """Return the outputs' tangents for the inputs' tangents `directions`."""
        return self._sweep(_programs.pushforward, directions, len(self.inner.outputs))

    def _sweep(self, kernel: Kernel, vector: Data, length: int) -> Data:
        work = np.zeros_like(self._value)
        out = np.zeros(length, ACTIVE)
        vector = np.ascontiguousarray(vector)
        self.outer.run(kernel, self.inner.head, vector, self._value, work, out)
        return out
