"""The sweeps of a finished tape on active numbers, which record the derivative on their tape."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import float64, int64, types

from tapegrad.jit import Kernel
from tapegrad.memory import data, records, slots
from tapegrad.ops import CODE
from tapegrad.record import scans, templates
from tapegrad.record.appending import room_for
from tapegrad.record.elementwise import with_constants
from tapegrad.record.expansion import MOST_RECORDS, forward, reverse, tangent
from tapegrad.record.kinds import ACTIVE, active
from tapegrad.record.open_tape import OpenTape
from tapegrad.replay.programs import workspace_length
from tapegrad.tape import Tape

Data = npt.NDArray[Any]

_ADD = CODE["add"]


def _forward(head_array, address, value):
    head = data(head_array)
    position, end = 1, records(head)[0]
    while position < end:
        room_for(address, MOST_RECORDS)
        position = forward(head, address, slots(head, value), position)


def _reverse(head_array, address, value, adjoint, values, place_slots, position):
    head = data(head_array)
    numbers, adjoints = slots(head, value), slots(head, adjoint)
    while position > 0:
        room_for(address, MOST_RECORDS)
        position = reverse(
            head, address, numbers, adjoints, data(values), data(place_slots), position
        )


def _tangent(head_array, address, value, tangents, values, place_slots):
    head = data(head_array)
    numbers, of_slots = slots(head, value), slots(head, tangents)
    position, end = 1, records(head)[0]
    while position < end:
        room_for(address, MOST_RECORDS)
        position = tangent(
            head, address, numbers, of_slots, data(values), data(place_slots), position
        )


_HEAD = int64[::1]
_ACTIVES = types.Array(active, 1, "C")
_PLACES = (float64[::1], int64[::1])
_forward_kernel = Kernel(_forward, types.void(_HEAD, int64, _ACTIVES))
_reverse_kernel = Kernel(_reverse, types.void(_HEAD, int64, _ACTIVES, _ACTIVES, *_PLACES, int64))
_tangent_kernel = Kernel(_tangent, types.void(_HEAD, int64, _ACTIVES, _ACTIVES, *_PLACES))


class ActiveSweep:
    """A finished tape replayed on active numbers of another.

    Parameters
    ----------
    inner : Tape
        The finished tape.
    outer : OpenTape
        The tape to record on.
    inputs : ndarray of ACTIVE, shape (n,)
        The inner tape's inputs, as numbers of the outer one.
    """

    def __init__(self, inner: Tape, outer: OpenTape, inputs: Data) -> None:
        self.inner, self.outer = inner, outer
        self._value = np.zeros(workspace_length(inner), ACTIVE)
        self._first = len(inner.constants)
        self._value["value"][: self._first] = inner.constants[::-1]
        self._value[self._first + inner.inputs] = inputs
        self._run(_forward_kernel)
        self._transfer_guards()

    def _run(self, kernel: Kernel, *args: Any) -> None:
        self.outer.run(kernel, self.inner.head, self.outer.address, self._value, *args)

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
        return self.values(self.inner.outputs)

    def values(self, operands: npt.NDArray[Any]) -> Data:
        """Return what operands of the inner tape are."""
        return self._value[self._first + operands]

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
            self._run(_reverse_kernel, adjoint, *templates.places(), last)
        return adjoint[self._first + inner.inputs]

    def pushforward(self, directions: Data) -> Data:
        """Return the outputs' tangents for the inputs' tangents `directions`."""
        inner = self.inner
        tangents = np.zeros_like(self._value)
        tangents[self._first + inner.inputs] = directions
        self._run(_tangent_kernel, tangents, *templates.places())
        return tangents[self._first + inner.outputs]


def recorded_gradient(tape: Tape) -> Tape:
    """Return a tape whose outputs are the gradient of the sum of a finished tape's outputs."""
    outer = OpenTape()
    inputs = np.zeros(len(tape.inputs), ACTIVE)
    inputs["value"] = tape.value[tape.inputs]
    inputs["slot"], inputs["tape"] = outer.input_block(inputs["value"].copy()), outer.address
    seeds = np.zeros(len(tape.outputs), ACTIVE)
    seeds["value"] = 1.0
    gradient = with_constants(outer, ActiveSweep(tape, outer, inputs).pullback(seeds))
    return outer.end(gradient["slot"].astype(np.int32))
