"""The sweeps of a finished tape on active numbers, which record the derivative on their tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import float64, int64, types

from tapegrad.jit import Kernel
from tapegrad.layout import CONSTANTS, RECORDS
from tapegrad.memory import data, slots
from tapegrad.ops import CODE
from tapegrad.record import scans, templates
from tapegrad.record.expansion import MOST_CONSTANTS, MOST_RECORDS, forward, reverse, tangent
from tapegrad.record.kinds import ACTIVE, active
from tapegrad.replay.programs import workspace_length
from tapegrad.tape import Tape

Data = npt.NDArray[Any]

_ADD = CODE["add"]


def _forward(head_array, address, value, position):
    head = data(head_array)
    return forward(head, address, slots(head, value), position)


def _reverse(head_array, address, value, adjoint, values, place_slots, position):
    head = data(head_array)
    numbers, adjoints = slots(head, value), slots(head, adjoint)
    return reverse(head, address, numbers, adjoints, data(values), data(place_slots), position)


def _tangent(head_array, address, value, tangents, values, place_slots, position):
    head = data(head_array)
    numbers, of_slots = slots(head, value), slots(head, tangents)
    return tangent(head, address, numbers, of_slots, data(values), data(place_slots), position)


_HEAD = int64[::1]
_ACTIVES = types.Array(active, 1, "C")
_PLACES = (float64[::1], int64[::1])
_forward_kernel = Kernel(_forward, int64(_HEAD, int64, _ACTIVES, int64))
_reverse_kernel = Kernel(_reverse, int64(_HEAD, int64, _ACTIVES, _ACTIVES, *_PLACES, int64))
_tangent_kernel = Kernel(_tangent, int64(_HEAD, int64, _ACTIVES, _ACTIVES, *_PLACES, int64))


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
        self._first = len(inner.constants)
        self._value["value"][: self._first] = inner.constants[::-1]
        self._value[self._first + inner.inputs] = inputs
        self._run(_forward_kernel.run, 1, len(inner), self._value)
        self._transfer_guards()

    def _run(self, run: Callable[..., int], position: int, end: int, *arrays: Any) -> None:
        """Run a loop from one position to another, making room wherever there is none."""
        outer = self.outer
        outer.flush()
        while position != end:
            outer.reserve(RECORDS, MOST_RECORDS)
            outer.reserve(CONSTANTS, MOST_CONSTANTS)
            position = run(self.inner.head, outer.address, *arrays, position)
        outer.sync()

    def _transfer_guards(self) -> None:
        """State on the outer tape what the inner one's program read."""
        inner, outer = self.inner, self.outer
        slots = self._value["slot"][self._first :][inner.guard_slot]
        base = len(outer.sites)
        outer.sites.extend(inner.sites)
        is_active = slots > 0
        outer.new_guard_slot.extend(slots[is_active].tolist())
        outer.new_guard_value.extend(inner.guard_value[is_active].tolist())
        outer.new_guard_site.extend((base + inner.guard_site[is_active]).tolist())

    def results(self) -> Data:
        """Return the outputs."""
        return self._value[self._first + self.inner.outputs]

    def pullback(self, seeds: Data) -> Data:
        """Return the inputs' adjoints for the outputs' adjoints `seeds`."""
        inner = self.inner
        adjoint = np.zeros_like(self._value)
        counts = (inner.outputs > 0) & ((seeds["slot"] != 0) | (seeds["value"] != 0.0))
        places, seeds = self._first + inner.outputs[counts].astype(np.int64), seeds[counts]
        if len(places):
            _, firsts = np.unique(places, return_index=True)
            adjoint[places[firsts]] = seeds[firsts]
            if len(firsts) < len(places):  # an output that is returned twice has two seeds
                others = np.delete(np.arange(len(places)), firsts)
                scans.update(self.outer, _ADD, adjoint, places[others], seeds[others])
            last = int(places.max()) - self._first
            self._run(_reverse_kernel.run, last, 0, self._value, adjoint, *templates.places())
        return adjoint[self._first + inner.inputs]

    def pushforward(self, directions: Data) -> Data:
        """Return the outputs' tangents for the inputs' tangents `directions`."""
        inner = self.inner
        tangents = np.zeros_like(self._value)
        tangents[self._first + inner.inputs] = directions
        self._run(_tangent_kernel.run, 1, len(inner), self._value, tangents, *templates.places())
        return tangents[self._first + inner.outputs]
