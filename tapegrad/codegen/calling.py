"""How machine code is called: from Python by a compiled kernel, from compiled code by address."""

from __future__ import annotations

from llvmlite import ir
from numba import extending, float64, int64, types

from tapegrad.jit import Kernel, jit_inline
from tapegrad.memory import data, shift
from tapegrad.numba_protocols import (
    Builder,
    Intrinsic,
    Kind,
    LoweringContext,
    Signature,
    TypingContext,
    Value,
    Values,
)

_POINTER = types.CPointer(float64)


@extending.intrinsic
def call(typing_context: TypingContext, address: Kind, inputs: Kind, seeds: Kind, memory: Kind,
         outputs: Kind, products: Kind) -> Intrinsic:  # fmt: skip
    """Call a program's function."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        kind = ir.FunctionType(ir.IntType(64), [argument.type for argument in args[1:]])
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])

    return int64(int64, *[_POINTER] * 5), codegen


@jit_inline
def run(address, inputs, seeds, memory, outputs, products):
    """Call a program's function on arrays; return its status."""
    return call(address, data(inputs), data(seeds), data(memory), data(outputs), data(products))


@jit_inline
def gradient(address, inputs, memory, products):
    """Call the reverse of a program of one output; return status and output.

    The last two places of its memory are the seed and the output.
    """
    base = data(memory)
    last = memory.size - 1
    status = call(
        address, data(inputs), shift(base, last - 1), base, shift(base, last), data(products)
    )
    return status, memory[last]


run_gradient = Kernel(
    gradient, types.Tuple((int64, float64))(int64, *[types.Array(float64, 1, "C")] * 3)
)
run_program = Kernel(run, int64(int64, *[types.Array(float64, 1, "C")] * 5))
