"""A tape compiled: its program, and machine code of the program's derivatives."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from tapegrad.blocks import addresses_of
from tapegrad.codegen.calling import run_gradient, run_program
from tapegrad.codegen.emit import NAME, Emitter
from tapegrad.codegen.engine import MachineCode
from tapegrad.codegen.trial import DIFFERS, MOST_RECORDED, check
from tapegrad.errors import NotCompilableError
from tapegrad.passes import apply_identities, drop_dead, merge_common, simplified
from tapegrad.program.alarm import alarmed
from tapegrad.program.fusion import fused
from tapegrad.program.gathering import gathered
from tapegrad.program.ir import Counter, Element, Index, Loop, Program, Region, Store, statements
from tapegrad.program.reverse import reverse
from tapegrad.program.storage import stored
from tapegrad.program.tangent import tangent, tangent_of
from tapegrad.record.active_sweeps import recorded_gradient
from tapegrad.roll import loops_of, program_of
from tapegrad.roll.nest import Loop as Nest
from tapegrad.roll.recognition import expansion, recognition
from tapegrad.roll.spreading import spread
from tapegrad.roll.writing import block_names
from tapegrad.tape import Tape

Vector = npt.NDArray[np.float64]

Result = tuple[bool, Vector, Vector]
"""Whether all went well, the outputs, and the products."""

MOST_RECORDS = 4_000
"""Records that machine code is made for: what LLVM compiles in seconds."""


FOR_LOOPS = (apply_identities, merge_common, drop_dead)
"""The passes before loops are looked for; sharing constants would cost them their strides."""

WORTH_IT = 0.9
"""What part of the records must be left for it to pay to look for loops in them as well."""


_PRIME = np.uint64(0x9E3779B97F4A7C15)

FIRST, LEAST_REPEATS = 8192, 0.02
"""How many records are looked at, and what part of them must do again what others did, for the
passes to be run: they take a tenth of the time that finding loops takes."""


def best_program(tape: Tape) -> tuple[Tape, Nest | None, Program | None]:
    """Return a tape or what the passes make of it, whichever is the better program; and its loops.

    Within an iteration LLVM merges as well. Merged across iterations, records may break what
    repeats or the strides of what's read, and values that are read again must be in memory, which
    costs more than computing them twice: the simplified tape is better if it needs no more of it.
    """
    loops, program = _rolled(tape)
    simple = simplified(tape, FOR_LOOPS) if _repeats(tape) else tape
    if len(simple) <= WORTH_IT * len(tape):
        its_loops, its_program = _rolled(simple)
        if its_program is not None and (program is None or _kept(its_program) <= _kept(program)):
            return simple, its_loops, its_program
    return tape, loops, program


def _repeats(tape: Tape) -> bool:
    """Whether some of the first records do again what others did, as they would further on.

    They are counted by hashes that fill a table: of n that differ, 1 - exp(-n / size) of it.
    """
    n = min(len(tape), FIRST)
    bits = np.append(tape.constants, 0.0).view(np.uint64)
    word = tape.op[:n].astype(np.uint64)
    for column in (tape.a[:n], tape.b[:n]):
        constants = bits[np.maximum(~column, -1)]  # the last of them, where it's a slot
        own = np.where(column < 0, constants ^ _PRIME, column.astype(np.uint64))
        word = (word + own) * _PRIME
        word ^= word >> np.uint64(29)
    size = 1 << (4 * n).bit_length()
    filled = np.zeros(size, np.bool_)
    filled[word & np.uint64(size - 1)] = True
    distinct = -size * math.log1p(-np.count_nonzero(filled) / size)
    return n - distinct > LEAST_REPEATS * n


def _rolled(tape: Tape, is_strict: bool = False) -> tuple[Nest | None, Program | None]:
    """Return a tape's loops and program, if they are few enough."""
    tape = spread(tape)
    loops = loops_of(tape, written_out=True)
    if loops is None or loops.n_leaves > MOST_RECORDS:
        return loops, None
    return loops, fused(program_of(tape, loops, is_strict))


def _kept(program: Program) -> int:
    """Return how many numbers a program keeps in memory."""
    return sum(region.size for region in program.of_role("memory"))


def gradient_of(
    program: Program, seed: float | None = None, has_zero_rule: bool = False
) -> Program:
    """Return the reverse of a program, its memory laid out."""
    backward = reverse(program, seed, has_zero_rule)
    return stored(backward if program.is_strict else gathered(backward))


def product_of(program: Program, has_zero_rule: bool = False) -> Program:
    """Return the tangent of the gradient of a program of one result, whose own is not asked for."""
    found = tangent(gradient_of(program, 1.0, has_zero_rule), has_zero_rule)
    unasked = tangent_of(program.of_role("output")[0].name)
    regions = (replace(r, role="memory") if r.name == unasked else r for r in found.regions)
    return replace(found, regions=tuple(regions))


def product_of_gradient(program: Program, has_zero_rule: bool = False) -> Program:
    """Return the same of a program whose results are one result and its gradient."""
    found = tangent(program, has_zero_rule)
    results = program.of_role("output")[0]
    moved, n = tangent_of(results.name), results.size - 1
    regions = [replace(r, role="memory") if r.role == "output" else r for r in found.regions]
    outputs = {"value": (results.name, 0, 1), "gradient": (results.name, 1, n),
               "product": (moved, 1, n)}  # fmt: skip
    copies, number = [], max((s.number for s in statements(found.body) if isinstance(s, Loop)),
                             default=0)  # fmt: skip
    for name, (source, first, count) in outputs.items():
        number += 1
        regions.append(Region(name, count, "output"))
        place = Index(terms=((Counter(number, "step"), 1),))
        copy = Store(Element(name, place), Element(source, place.plus(first)))
        copies.append(Loop(number, Index(count), (copy,)))
    return replace(found, regions=tuple(regions), body=(*found.body, *copies))


class Code:
    """Machine code of a program, the arrays it reads, and memory for calls.

    Parameters
    ----------
    program : Program
        One whose memory is laid out.
    blocks : mapping of str to (int, int), optional
        The addresses of the blocks that it calls, as an `Emitter` takes them.
    kept : object, optional
        What must live as long as this for the addresses to hold.

    Attributes
    ----------
    program : Program
    address : int
        Of `int64 f(double *inputs, double *seeds, double *memory, double *outputs,
        double *products)`, which returns 0 if all is well.
    length : int
        How many numbers the memory holds, but for a gradient's seed and output.
    n_products : int
        How many numbers it computes beside the outputs.
    seconds : float
        What writing and compiling it took.
    """

    def __init__(self, program: Program, blocks: Mapping[str, tuple[int, int]] | None = None,
                 kept: object = None) -> None:  # fmt: skip
        begin = time.perf_counter()
        self.program, self._kept = program, kept
        emitter = Emitter(alarmed(program), blocks)
        self._arrays = emitter.arrays
        self._memories: list[Vector] = []
        length = emitter.places.length
        self.length, self.n_outputs = length["memory"], length["outputs"]
        self.n_products, self.n_seeds = length["products"], length["seeds"]
        self.machine = MachineCode(str(emitter.module), NAME)
        self.address = self.machine.address
        self.seconds = time.perf_counter() - begin

    def new_memory(self) -> Vector:
        """Return memory for one call at a time; its last two places are a seed and an output."""
        memory = np.empty(self.length + 2)
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


class CompiledTape:
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
    compiled : Tape
        The same tape, simplified where that makes better loops. A strict one never is: merging
        records takes sums of adjoints in another order.
    program : Program
    n_inputs : int
    n_lines : int
        Records of the program.
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
        if strict:
            self.compiled, (loops, program) = tape, _rolled(tape, is_strict=True)
        else:
            self.compiled, loops, program = best_program(tape)
        count = len(tape) if loops is None else loops.n_leaves
        if program is None:
            raise NotCompilableError(
                f"{count:,} records are left when each loop's body is counted once; machine code "
                f"is made for {MOST_RECORDS:,} at most. The sweeps go on."
            )
        self.program, self.n_lines = program, count
        self.seconds = time.perf_counter() - begin

    @functools.cached_property
    def reverse(self) -> Code:
        """Value and products of seeds with the Jacobian; compiled when asked for."""
        return self._tried("pullback", functools.partial(gradient_of, self.program, None))

    @functools.cached_property
    def tangent(self) -> Code:
        """Value and products of the Jacobian with directions; compiled when asked for."""
        return self._tried("pushforward", functools.partial(tangent, self.program))

    @functools.cached_property
    def product(self) -> Code:
        """Value, gradient and products of the Hessian with directions, of one output."""
        if not self._tape.blocks:
            return self._tried("pullback", functools.partial(product_of, self.program))
        # Second derivatives of blocks are made of the operations of their recorded first ones.
        if len(self._tape) > MOST_RECORDED:
            raise NotCompilableError(
                f"the gradient of {len(self._tape):,} records that call blocks would have to be "
                f"recorded, which is done for {MOST_RECORDED:,} at most. The sweeps go on."
            )
        gradient = CompiledTape(recorded_gradient(self._tape, with_value=True), self.strict)
        write = functools.partial(product_of_gradient, gradient.program)
        return self._tried("pullback", write, gradient.compiled)

    def _tried(self, sweep: Literal["pullback", "pushforward"], write: Callable[..., Program],
               tape: Tape | None = None) -> Code:  # fmt: skip
        """Return the code of a program once it has been tried; `tape` is what the program is of."""
        tape = self.compiled if tape is None else tape
        blocks = addresses_of(tape.blocks, block_names(tape))
        code = Code(write(), blocks, tape)
        if not check(self._tape, code, sweep, self.strict):
            code = Code(write(has_zero_rule=True), blocks, tape)
            if not check(self._tape, code, sweep, self.strict):
                raise NotCompilableError(DIFFERS)
        return code

    @property
    def memory_bytes(self) -> int:
        """What one call of the reverse keeps in memory."""
        return 8 * self.reverse.length

    def pullback(self, inputs: Vector, seeds: Vector) -> Result:
        """Return whether all went well, the outputs, and the seeds times the Jacobian.

        It didn't where a guard fails or a product is NaN: then the sweeps say what holds.
        """
        return self._run(self.reverse, inputs, seeds)

    def pushforward(self, inputs: Vector, directions: Vector) -> Result:
        """Return whether all went well, the outputs, and the Jacobian times the directions."""
        return self._run(self.tangent, inputs, directions)

    def hessian_product(self, inputs: Vector, directions: Vector) -> Result:
        """Return whether all went well, the output, and the Hessian times the directions."""
        ok, outputs, products = self._run(self.product, inputs, directions)
        return ok, outputs, products[self.n_inputs :]

    def _run(self, code: Code, inputs: Vector, seeds: Vector) -> Result:
        products = np.empty(code.n_products)
        ok, outputs = code.run(inputs, seeds, products)
        return ok, outputs, products
