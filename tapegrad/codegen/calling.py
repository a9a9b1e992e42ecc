"""How machine code is called: from Python by a compiled kernel, from compiled code by address."""

from __future__ import annotations

from numba import float64, int64, types

from tapegrad.jit import Kernel, jit_inline
from tapegrad.memory import call_at, data, shift


@jit_inline
def run(address, inputs, seeds, memory, outputs, products):
    """Call a program's function on arrays; return its status."""
    given = data(inputs), data(seeds), data(memory), data(outputs), data(products)
    return call_at(address, given)


@jit_inline
def gradient(address, inputs, memory, products):
    """Call the reverse of a program of one output; return status and output.

    The last two places of its memory are the seed and the output.
    """
    base = data(memory)
    last = memory.size - 1
    given = data(inputs), shift(base, last - 1), base, shift(base, last), data(products)
    return call_at(address, given), memory[last]


run_gradient = Kernel(
    gradient, types.Tuple((int64, float64))(int64, *[types.Array(float64, 1, "C")] * 3)
)
run_program = Kernel(run, int64(int64, *[types.Array(float64, 1, "C")] * 5))
