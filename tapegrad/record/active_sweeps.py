"""The sweeps of a finished tape on active numbers, which record the derivative on their tape."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import float64, int64, types

from tapegrad.blocks import Block, calls_of, operands_of
from tapegrad.jit import Kernel
from tapegrad.memory import data, slots
from tapegrad.ops import CODE
from tapegrad.passes.focus import focused
from tapegrad.record import scans, templates
from tapegrad.record.appending import room_for
from tapegrad.record.array import as_active_data
from tapegrad.record.called import call, held
from tapegrad.record.elementwise import with_constants
from tapegrad.record.expansion import MOST_RECORDS, forward, reverse, tangent
from tapegrad.record.kinds import ACTIVE, active
from tapegrad.record.open_tape import OpenTape
from tapegrad.replay.programs import workspace_length
from tapegrad.tape import Tape

Data = npt.NDArray[Any]

_ADD = CODE["add"]


def _forward(head_array, address, position, end, value):
    head = data(head_array)
    while position < end:
        room_for(address, MOST_RECORDS)
        position = forward(head, address, slots(head, value), position, end)


def _reverse(head_array, address, position, end, value, adjoint, values, place_slots):
    head = data(head_array)
    numbers, adjoints = slots(head, value), slots(head, adjoint)
    while position > end:
        room_for(address, MOST_RECORDS)
        position = reverse(
            head, address, numbers, adjoints, data(values), data(place_slots), position, end
        )


def _tangent(head_array, address, position, end, value, tangents, values, place_slots):
    head = data(head_array)
    numbers, of_slots = slots(head, value), slots(head, tangents)
    while position < end:
        room_for(address, MOST_RECORDS)
        position = tangent(
            head, address, numbers, of_slots, data(values), data(place_slots), position, end
        )


_HEAD = int64[::1]
_ACTIVES = types.Array(active, 1, "C")
_PLACES = (float64[::1], int64[::1])
_PART = (_HEAD, int64, int64, int64)
_forward_kernel = Kernel(_forward, types.void(*_PART, _ACTIVES))
_reverse_kernel = Kernel(_reverse, types.void(*_PART, _ACTIVES, _ACTIVES, *_PLACES))
_tangent_kernel = Kernel(_tangent, types.void(*_PART, _ACTIVES, _ACTIVES, *_PLACES))


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
    focused : Tape, optional
        The inner tape with blocks that derivatives are taken of.
    """

    def __init__(self, inner: Tape, outer: OpenTape, inputs: Data,
                 focused: Tape | None = None) -> None:  # fmt: skip
        self.inner, self.outer = inner, outer
        self._focused = inner if focused is None else focused
        self._value = np.zeros(workspace_length(inner), ACTIVE)
        self._first = len(inner.constants)
        self._value["value"][: self._first] = inner.constants[::-1]
        self._value[self._first + inner.inputs] = inputs
        self._calls = calls_of(inner).tolist()
        position = 1
        for slot in self._calls:
            self._run(_forward_kernel, position, slot)
            position = self._call(slot)
        self._run(_forward_kernel, position, len(inner))
        self._transfer_guards()

    def _run(self, kernel: Kernel, start: int, end: int, *args: Any) -> None:
        head, address = self.inner.head, self.outer.address
        self.outer.run(kernel, head, address, start, end, self._value, *args)

    # --- calls of blocks --------------------------------------------------------------------------

    def _block(self, slot: int) -> Block:
        return self.inner.blocks[self.inner.a[slot]]

    def _differentiated(self, slot: int) -> Block:
        return self._focused.blocks[self._focused.a[slot]]

    def _results(self, slot: int) -> slice:
        """Return where a call's results are in a workspace."""
        start = self._first + slot + 1
        return slice(start, start + self._block(slot).n_results)

    def _operands(self, slot: int, workspace: Data) -> list[Any]:
        """Return what a workspace has for a call's operands."""
        found = workspace[self._first + operands_of(self.inner, slot)]
        return held(self.outer, found, self._block(slot).operand_shapes)

    def _of_results(self, slot: int, workspace: Data) -> list[Any]:
        found = workspace[self._results(slot)]
        return held(self.outer, found, self._block(slot).result_shapes)

    def _call(self, slot: int) -> int:
        """Record a call and return the slot after its results."""
        found = call(self._block(slot), self._operands(slot, self._value), self.outer)
        flat = [as_active_data(self.outer, result).reshape(-1) for result in found]
        place = self._results(slot)
        self._value[place] = np.concatenate(flat)
        return place.stop - self._first

    def _pull(self, slot: int, adjoint: Data) -> None:
        """Record what a call's results give its operands' adjoints."""
        block, own = self._differentiated(slot), adjoint[self._results(slot)]
        if not any(block.is_active) or not np.any((own["slot"] != 0) | (own["value"] != 0.0)):
            return
        found = block.recorded_pullback(
            self._operands(slot, self._value),
            self._of_results(slot, self._value),
            self._of_results(slot, adjoint),
        )
        operands, stop = operands_of(self.inner, slot), block.n_operands
        for size, added, is_active in zip(
            block.operand_sizes[::-1], found[::-1], block.is_active[::-1], strict=True
        ):
            stop, places = stop - size, operands[stop - size : stop]
            if added is not None and is_active:
                data = as_active_data(self.outer, added).reshape(-1)
                self._add(adjoint, places[::-1], data[::-1])

    def _add(self, adjoint: Data, operands: npt.NDArray[np.int32], added: Data) -> None:
        """Record sums of adjoints, for one operand after the other."""
        counts = (operands > 0) & ((added["slot"] != 0) | (added["value"] != 0.0))
        places, added = self._first + operands[counts].astype(np.int64), added[counts]
        before = adjoint[places]
        is_first = (before["slot"] == 0) & (before["value"] == 0.0)
        is_first[is_first] = _first_of_each(places[is_first])
        adjoint[places[is_first]] = added[is_first]
        if not is_first.all():
            scans.update(self.outer, _ADD, adjoint, places[~is_first], added[~is_first])

    def _push(self, slot: int, tangents: Data) -> int:
        """Record the tangents of a call's results and return the slot after them."""
        block, place = self._differentiated(slot), self._results(slot)
        own = tangents[self._first + operands_of(self.inner, slot)]
        if np.any((own["slot"] != 0) | (own["value"] != 0.0)):
            moved = self._operands(slot, tangents)
            found = block.recorded_pushforward(
                self._operands(slot, self._value),
                self._of_results(slot, self._value),
                [t if is_active else None for t, is_active in
                 zip(moved, block.is_active, strict=True)],
            )  # fmt: skip
            start = place.start
            for size, tangent in zip(block.result_sizes, found, strict=True):
                if tangent is not None:
                    data = as_active_data(self.outer, tangent).reshape(-1)
                    tangents[start : start + size] = data
                start += size
        return place.stop - self._first

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
        """Return the inputs' adjoints for the outputs' adjoints `seeds`; zeros for data."""
        inner = self.inner
        adjoint = np.zeros_like(self._value)
        self._add(adjoint, inner.outputs, seeds)
        last = int(np.max(inner.outputs, initial=0))
        for slot in reversed(self._calls):
            self._run(_reverse_kernel, last, slot, adjoint, *templates.places())
            if slot < last:
                self._pull(slot, adjoint)
                last = slot
        self._run(_reverse_kernel, last, 0, adjoint, *templates.places())
        found = adjoint[self._first + inner.inputs]
        found[self._focused.data_inputs] = 0
        return found

    def pushforward(self, directions: Data) -> Data:
        """Return the outputs' tangents for the inputs' tangents `directions`."""
        inner = self.inner
        tangents = np.zeros_like(self._value)
        tangents[self._first + inner.inputs] = directions
        position = 1
        for slot in self._calls:
            self._run(_tangent_kernel, position, slot, tangents, *templates.places())
            position = self._push(slot, tangents)
        self._run(_tangent_kernel, position, len(inner), tangents, *templates.places())
        return tangents[self._first + inner.outputs]


def _first_of_each(places: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return of which entries there is none before with the same number."""
    found = np.zeros(len(places), np.bool_)
    found[np.unique(places, return_index=True)[1]] = True
    return found


def recorded_gradient(tape: Tape, with_value: bool = False) -> Tape:
    """Return a tape whose outputs are the gradient of the sum of a finished tape's outputs.

    With the value, the finished tape's outputs come first.
    """
    outer = OpenTape()
    inputs = np.zeros(len(tape.inputs), ACTIVE)
    inputs["value"] = tape.value[tape.inputs]
    inputs["slot"], inputs["tape"] = outer.input_block(inputs["value"].copy()), outer.address
    seeds = np.zeros(len(tape.outputs), ACTIVE)
    seeds["value"] = 1.0
    sweep = ActiveSweep(tape, outer, inputs)
    outputs = sweep.pullback(seeds)
    if with_value:
        outputs = np.concatenate([sweep.results(), outputs])
    found = outer.end(with_constants(outer, outputs)["slot"].astype(np.int32))
    return focused(found, tape.data_inputs)
