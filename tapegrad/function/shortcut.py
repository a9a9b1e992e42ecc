"""What the policy comes to in the commonest case: machine code of a gradient, in one Python call.

There nothing is to be looked at but what the function reads, and nothing to be done beside. Such
calls take as long as the machine code of a small function, so that each further call, attribute
and object would be felt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy import empty

from tapegrad.function.plan import Plan
from tapegrad.function.recordings import Recordings, Shortcut
from tapegrad.function.vectors import Vector


def shortcut(plan: Plan, recordings: Recordings) -> Shortcut | None:
    """Return what serves calls of a kind by machine code of the recording used last.

    None if there is none, or if there is more to be done.
    """
    recording = recordings.replayed
    code = None if recording is None else recording.tiers.codes.get("reverse")
    if recording is None or code is None or not recording.is_bare or recordings.is_careful:
        return None
    from tapegrad.native.calling import run_gradient  # what there is code for has imported it

    run_gradient.compile()
    run, address, new_memory = run_gradient.run, code.address, code.new_memory
    holds, pack, split = recordings.outer.holds, plan.pack, plan.split
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
