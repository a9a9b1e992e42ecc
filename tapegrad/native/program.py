"""A tape compiled: its loops, its memory, and machine code for its derivatives."""

from __future__ import annotations

import functools
import time
from typing import Literal

import numpy as np
import numpy.typing as npt

from tapegrad.errors import NotCompilableError
from tapegrad.native.calling import run_gradient, run_program
from tapegrad.native.dual import ReverseOfPairs
from tapegrad.native.engine import MachineCode
from tapegrad.native.frame import NAME, Frame
from tapegrad.native.layout import layout_of
from tapegrad.native.reverse import Reverse
from tapegrad.native.tangent import Tangent
from tapegrad.native.trial import DIFFERS, check
from tapegrad.roll import loops_of
from tapegrad.roll.operands import program_of
from tapegrad.roll.recognition import expansion, recognition
from tapegrad.roll.splitting import Ranks
from tapegrad.tape import Tape

Vector = npt.NDArray[np.float64]

Result = tuple[bool, Vector, Vector]
"""Whether all went well, the outputs, and the products."""

MOST_RECORDS = 4_000
"""Records that machine code is made for: what LLVM compiles in seconds."""


class Code:
    """Machine code of one kind of derivative, the arrays it reads, and memory for calls.

    Parameters
    ----------
    kind : type of Frame
        What writes it.
    program : NativeProgram
    n_products : int
        How many numbers it computes beside the outputs.
    halves : int
        How often the program's memory is there.
    has_zero_rule : bool
        Whether adjoints and tangents of zero contribute zero.

    Attributes
    ----------
    address : int
        Of `int64 f(double *inputs, double *seeds, double *memory, double *outputs,
        double *products)`, which returns 0 if all is well.
    length : int
        How many numbers the memory holds, but for a gradient's seed and output.
    constants : ndarray
        What the memory begins with.
    seconds : float
        What writing and compiling it took.
    """

    def __init__(self, kind: type[Frame], program: NativeProgram, n_products: int,
                 halves: int = 1, has_zero_rule: bool = False) -> None:  # fmt: skip
        begin = time.perf_counter()
        frame = kind(
            program.program, program.layout, program.n_inputs, program.strict, has_zero_rule
        )
        self._arrays = frame.arrays
        self.constants = program.layout.constants
        self._memories: list[Vector] = []
        self.n_outputs, self.n_products = program.program.n_outputs, n_products
        self.length = halves * program.layout.length
        self.machine = MachineCode(str(frame.module), NAME)
        self.address = self.machine.address
        self.seconds = time.perf_counter() - begin

    def new_memory(self) -> Vector:
        """Return memory for one call at a time; its last two places are a seed and an output."""
        memory = np.empty(self.length + 2)
        memory[: len(self.constants)] = self.constants
        memory[-2:] = 1.0, 0.0
        return memory

    def take_memory(self) -> Vector:
        """Return memory that no other call is using."""
        try:
            return self._memories.pop()
        except IndexError:
            return self.new_memory()

    def run(self, inputs: Vector, seeds: Vector, products: Vector) -> tuple[bool, Vector]:
        """Fill the products; return whether all went well, and the outputs."""
        memory = self.take_memory()
        found = self.run_in(memory, inputs, np.ascontiguousarray(seeds), products)
        self.give_back(memory)
        return found

    def run_in(self, memory: Vector, inputs: Vector, seeds: Vector,
               products: Vector) -> tuple[bool, Vector]:  # fmt: skip
        """Do the same in given memory."""
        outputs = np.empty(self.n_outputs)
        status = run_program.run(self.address, inputs, seeds, memory, outputs, products)
        return status == 0, outputs

    def gradient(self, inputs: Vector, products: Vector) -> tuple[int, float]:
        """Fill the gradient of the one output; return the status and the output."""
        memory = self.take_memory()
        found: tuple[int, float] = run_gradient.run(self.address, inputs, memory, products)
        self.give_back(memory)
        return found

    def give_back(self, memory: Vector) -> None:
        """Let another call use memory."""
        self._memories.append(memory)


class NativeProgram:
    """A tape as machine code.

    Parameters
    ----------
    tape : Tape
        One whose recording has ended.
    strict : bool, optional
        Whether every bit is that of the sweeps. Otherwise sums may be taken in another order, and
        in adjoints and tangents products and sums be fused.

    Attributes
    ----------
    program : Program
    layout : Layout
    n_inputs : int
    seconds : float
        What finding the loops took.

    Raises
    ------
    NotCompilableError
        If the tape is too long and in no loops. Of `reverse`, `tangent` and `product`: if the
        code disagrees with the sweeps.
    """

    def __init__(self, tape: Tape, strict: bool = False) -> None:
        for kernel in (recognition, expansion):
            kernel.compile()  # once for all tapes
        begin = time.perf_counter()
        self._tape, self.strict, self.n_inputs = tape, strict, len(tape.inputs)
        root = loops_of(tape, written_out=True)
        count = len(tape) if root is None else sum(1 for _ in root.leaves())
        if root is None or count > MOST_RECORDS:
            raise NotCompilableError(
                f"{count:,} records are left when each loop's body is counted once; machine code "
                f"is made for {MOST_RECORDS:,} at most. The sweeps go on."
            )
        ranks = Ranks(tape, root)
        self.program = program_of(tape, root, strict, ranks)
        self.layout = layout_of(tape, self.program, ranks)
        self.seconds = time.perf_counter() - begin

    @functools.cached_property
    def reverse(self) -> Code:
        """Value and products of seeds with the Jacobian; compiled when asked for."""
        return self._tried("pullback", Reverse, self.n_inputs)

    @functools.cached_property
    def tangent(self) -> Code:
        """Value and products of the Jacobian with directions; compiled when asked for."""
        return self._tried("pushforward", Tangent, self.program.n_outputs)

    @functools.cached_property
    def product(self) -> Code:
        """Value, gradient and products of the Hessian with directions, of one output."""
        return self._tried("pullback", ReverseOfPairs, 2 * self.n_inputs, halves=2)

    def _tried(self, sweep: Literal["pullback", "pushforward"], kind: type[Frame],
               n_products: int, halves: int = 1) -> Code:  # fmt: skip
        code = Code(kind, self, n_products, halves)
        if not check(self._tape, code, sweep, self.strict):
            code = Code(kind, self, n_products, halves, has_zero_rule=True)
            if not check(self._tape, code, sweep, self.strict):
                raise NotCompilableError(DIFFERS)
        return code

    @property
    def memory_bytes(self) -> int:
        """What one call keeps in memory."""
        return 8 * self.layout.length

    def pullback(self, inputs: Vector, seeds: Vector) -> Result:
        """Return whether all went well, the outputs, and the seeds times the Jacobian.

        It didn't where a guard fails or a product is NaN: then the sweeps say what holds.
        """
        return self._run(self.reverse, inputs, seeds, self.n_inputs)

    def pushforward(self, inputs: Vector, directions: Vector) -> Result:
        """Return whether all went well, the outputs, and the Jacobian times the directions."""
        return self._run(self.tangent, inputs, directions, self.program.n_outputs)

    def hessian_product(self, inputs: Vector, directions: Vector) -> Result:
        """Return whether all went well, the output, and the Hessian times the directions."""
        ok, outputs, products = self._run(self.product, inputs, directions, 2 * self.n_inputs)
        return ok, outputs, products[self.n_inputs :]

    def _run(self, code: Code, inputs: Vector, seeds: Vector, count: int) -> Result:
        products = np.empty(count)
        ok, outputs = code.run(inputs, seeds, products)
        return ok, outputs, products
