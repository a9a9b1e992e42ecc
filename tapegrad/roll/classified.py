"""A nest whose operands are classified: loops of records, and where each operand comes from.

In order of what a reader costs: `Constant` and `Latest` are in registers, `Carried` is what a
variable held when an iteration began, `Data` and `Memory` are read from tables and memory. A
variable holds what its leaf made last; `Carried` values begin as another operand says.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tapegrad.roll.nest import Indices, Leaf, Loop

INPUTS = -1


@dataclass(frozen=True)
class Constant:
    """A number."""

    value: float


@dataclass(eq=False)
class Data:
    """Constants that differ: one for each iteration so far of a loop."""

    values: npt.NDArray[np.float64]
    level: int


@dataclass(frozen=True)
class Latest:
    """What a leaf made last."""

    leaf: int


@dataclass(frozen=True)
class Carried:
    """What a variable held when an iteration began, by the number of the carry."""

    carry: int


@dataclass(eq=False)
class Address:
    """Where, as a rank among a leaf's values or the inputs.

    `base`, or `table[i]` in the i-th iteration of the loop at `level`, plus `strides[l]` times the
    iteration of the current run of each loop l further in; levels are counted from the root, 0.
    """

    base: int
    table: Indices | None
    level: int
    strides: dict[int, int]


@dataclass(eq=False)
class Memory:
    """A value in memory: of a leaf, of the inputs, or of any, by rank or by slot."""

    maker: int | None
    address: Address


Operand = Constant | Data | Latest | Carried | Memory


@dataclass(eq=False)
class Block:
    """A loop, and where it is.

    Attributes
    ----------
    parent : int or None
        The number of the loop around it.
    level : int
    count : Address
        How often it runs.
    body : list of ("leaf" or "loop", number)
    """

    loop: Loop
    parent: int | None
    level: int
    body: list[tuple[str, int]] = field(default_factory=list)
    count: Address = field(default_factory=lambda: Address(1, None, 0, {}))


@dataclass(eq=False)
class Record:
    """A leaf, and what it reads.

    Attributes
    ----------
    leaf : Leaf
    block : int
        The loop whose body it's in.
    operands : list of Operand
    guards : list of Constant or Data
        What it must be equal to.
    place : Memory or None
        Of an argument, where it's put: among those of a call, or of any.
    """

    leaf: Leaf
    block: int
    operands: list[Operand] = field(default_factory=list)
    guards: list[Operand] = field(default_factory=list)
    place: Memory | None = None


@dataclass(frozen=True)
class Carry:
    """A value carried over iterations: what a leaf's variable holds when one of a loop begins."""

    leaf: int
    block: int


@dataclass(eq=False)
class Start:
    """What a variable is set to before a loop.

    Attributes
    ----------
    leaf : int
        Whose variable it is.
    top : int
        The loop.
    sources : ndarray
        The operands it's set to, for each run of the loop; 0 where it doesn't matter.
    operand : Operand or None
        The same, classified.
    """

    leaf: int
    top: int
    sources: Indices
    operand: Operand | None = None


@dataclass(eq=False)
class Classified:
    """A nest, classified.

    Attributes
    ----------
    blocks : list of Block
        In order; the first is the root.
    records : list of Record
        In order.
    carries : list of Carry
    starts : list of Start
    outputs : list of Operand
        Where there are few.
    output_table : Memory or None
        All of them, where there are many.
    n_outputs : int
    """

    blocks: list[Block]
    records: list[Record]
    carries: list[Carry]
    starts: list[Start]
    outputs: list[Operand]
    output_table: Memory | None = None
    n_outputs: int = 0

    def operands(self) -> list[Operand]:
        """Return every operand there is, of records, starts and outputs."""
        every = [operand for record in self.records for operand in record.operands]
        every += [start.operand for start in self.starts if start.operand is not None]
        every += [] if self.output_table is None else [self.output_table]
        return every + self.outputs
