"""A program is data: loops of statements on variables and named memory, with tables of its own.

It knows no tape and no addresses. What it computes is said by its statements alone:

- `Compute` sets a variable, `Store` an element of memory, `Accumulate` adds to either.
- `Guard` states what must be equal; a program says afterwards whether all were.
- `Call` has a block, an operation on many numbers, read spans of memory and set others.
- `Loop` runs its body `count` times. One that runs backward has the number of one that ran
  forward before, and goes through the same iterations from the last to the first.

Values are trees: constants, variables, elements of regions or of tables of numbers, and rows of the
table of operations. Whole numbers - places and counts - are `Index`: sums of counters and an entry
of a table. Every loop has two counters, `step` in the run at hand and `total` of all its runs;
while the body runs forward or backward both say which iteration it is, outside of it `total` says
how many there were so far.

A derivative that has not been given its memory yet reads what values were, as `Past`; `check` knows
both levels.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Rounding = Literal["exact", "reordered", "fused", "free"]
"""How an operation is rounded: as written; a sum whose terms may be taken in another order; product
and sum fused where they meet; both of these, and without care for the sign of zero."""

Role = Literal["input", "output", "memory"]

# --- whole numbers -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counter:
    """Which iteration of a loop it is: of the run at hand (`step`), or of all (`total`)."""

    loop: int
    kind: Literal["step", "total"]


@dataclass(frozen=True, slots=True)
class Index:
    """A whole number: `base`, plus counters times factors, plus an entry of a table.

    Attributes
    ----------
    base : int
    terms : tuple of (Counter, int)
    table : str
        The name of a table of whole numbers, or nothing.
    at : Counter or None
        Which entry of it.
    """

    base: int = 0
    terms: tuple[tuple[Counter, int], ...] = ()
    table: str = ""
    at: Counter | None = None

    def counters(self) -> Iterator[Counter]:
        """Yield the counters it's computed from."""
        yield from (counter for counter, _ in self.terms)
        if self.at is not None:
            yield self.at

    def plus(self, offset: int) -> Index:
        """Return a whole number further on."""
        return replace(self, base=self.base + offset)


# --- values --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A number; equal to another one if their bits are."""

    value: float

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and _bits(self.value) == _bits(other.value)

    def __hash__(self) -> int:
        return hash(_bits(self.value))


@dataclass(frozen=True, slots=True)
class Variable:
    """What a variable holds."""

    name: str


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a region of memory, or of a table of numbers."""

    region: str
    index: Index


@dataclass(frozen=True, slots=True)
class Past:
    """In a loop that runs backward, or in none: what a variable was when all ran forward.

    Attributes
    ----------
    name : str
        The variable.
    when : "made", "begun" or "ended"
        When the statement that reads it ran, having been set in the same iteration of the loops
        around both; when the iteration of `loop` began; or when the last run of `loop` was over.
    loop : int
    """

    name: str
    when: Literal["made", "begun", "ended"] = "made"
    loop: int = -1


@dataclass(frozen=True, slots=True)
class Apply:
    """The value of a row of the table of operations."""

    op: str
    operands: tuple[Value, ...]
    rounding: Rounding = "exact"


Value = Constant | Variable | Element | Past | Apply

# --- statements ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compute:
    """A variable is set to a value, which may read the variable itself."""

    target: Variable
    value: Value


@dataclass(frozen=True, slots=True)
class Store:
    """An element of a region is set to a value."""

    target: Element
    value: Value


@dataclass(frozen=True, slots=True)
class Accumulate:
    """A value is added to what is there; `rounding` is that of the sum."""

    target: Variable | Element
    value: Value
    rounding: Rounding = "exact"


@dataclass(frozen=True, slots=True)
class Guard:
    """A value must be equal to another one, and so no NaN."""

    value: Value
    wanted: Value


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive elements of a region, or of a table of numbers where they're read."""

    region: str
    start: Index
    size: int


@dataclass(frozen=True, slots=True)
class Call:
    """A block reads spans and sets others, or adds to them.

    A program knows a block by its name, which stands for one function of spans of given sizes;
    whoever runs the program supplies it. No span that's read overlaps one that's written. Those
    that are added to may overlap one another, and so a block adds to one after the other.

    Memory is read again when the program runs backward. So an element that is in a span and is read
    is set once, in a place that no other iteration has, and one that's added to is read when all is
    added. A block that may fail sets a number for a guard.

    Attributes
    ----------
    block : str
    reads, writes : tuple of Span
    adds : bool
        Whether what's written is added to what is there.
    """

    block: str
    reads: tuple[Span, ...]
    writes: tuple[Span, ...]
    adds: bool = False


@dataclass(frozen=True, slots=True)
class Loop:
    """A body that runs some times, with a number that no other loop running this way has."""

    number: int
    count: Index
    body: tuple[Statement, ...]
    backward: bool = False


Statement = Compute | Store | Accumulate | Guard | Call | Loop
Body = tuple[Statement, ...]

# --- programs ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Region:
    """Memory of a name.

    Attributes
    ----------
    name : str
    size : int
        How many numbers it holds.
    role : "input", "output" or "memory"
        Whether it's given, a result, or neither.
    is_zeroed : bool
        Whether it holds zeros at first.
    within : str
        The region of which it's a part, if so, which then is memory, or an input as it is.
    offset : int
        Where in it.
    """

    name: str
    size: int
    role: Role = "memory"
    is_zeroed: bool = False
    within: str = ""
    offset: int = 0


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers or whole numbers that a program reads and never writes."""

    name: str
    values: npt.NDArray[Any]

    def __post_init__(self) -> None:
        kind = np.float64 if self.values.dtype.kind == "f" else np.int64
        values = np.array(self.values, kind)
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are whole."""
        return self.values.dtype.kind == "i"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, str, bytes]:
        return self.name, self.values.dtype.str, self.values.tobytes()


@dataclass(frozen=True)
class Program:
    """Statements, and what they're about.

    Attributes
    ----------
    regions : tuple of Region
        Of those of a role the first is what the others belong to: the inputs, before directions
        and seeds; the results, before derivatives.
    tables : tuple of Table
    body : tuple of Statement
    is_strict : bool
        Whether derivatives of it are rounded as written, in every bit.
    """

    regions: tuple[Region, ...]
    tables: tuple[Table, ...]
    body: Body
    is_strict: bool = False

    @cached_property
    def region(self) -> dict[str, Region]:
        """The regions, by name."""
        return {region.name: region for region in self.regions}

    @cached_property
    def table(self) -> dict[str, Table]:
        """The tables, by name."""
        return {table.name: table for table in self.tables}

    @cached_property
    def loops(self) -> dict[int, Loop]:
        """The loops that run forward, by number."""
        return {
            s.number: s for s in statements(self.body) if isinstance(s, Loop) and not s.backward
        }

    def of_role(self, role: Role) -> list[Region]:
        """Return the regions of a role, in order."""
        return [region for region in self.regions if region.role == role]


# --- walks ---------------------------------------------------------------------------------------


def statements(body: Body) -> Iterator[Statement]:
    """Yield every statement, loops before what is in them."""
    for statement in body:
        yield statement
        if isinstance(statement, Loop):
            yield from statements(statement.body)


def values_of(statement: Statement) -> tuple[Value, ...]:
    """Return the values that a statement reads; no accumulated target is one, nor a span."""
    match statement:
        case Compute() | Store() | Accumulate():
            return (statement.value,)
        case Guard():
            return statement.value, statement.wanted
        case Call() | Loop():
            return ()


def targets_of(statement: Statement) -> tuple[Variable | Element | Span, ...]:
    """Return what a statement sets or adds to."""
    match statement:
        case Compute() | Store() | Accumulate():
            return (statement.target,)
        case Call():
            return statement.writes
        case Guard() | Loop():
            return ()


def leaves(value: Value) -> Iterator[Constant | Variable | Element | Past]:
    """Yield what a value is computed from."""
    if isinstance(value, Apply):
        for operand in value.operands:
            yield from leaves(operand)
    else:
        yield value


def mapped(value: Value, change: Callable[[Any], Value]) -> Value:
    """Return a value with what it's computed from changed."""
    if not isinstance(value, Apply):
        return change(value)
    return Apply(value.op, tuple(mapped(o, change) for o in value.operands), value.rounding)


def with_values(statement: Statement, change: Callable[[Value], Value]) -> Statement:
    """Return a statement with the values that it reads changed; a loop as it is."""
    match statement:
        case Compute() | Store() | Accumulate():
            return replace(statement, value=change(statement.value))
        case Guard():
            return Guard(change(statement.value), change(statement.wanted))
        case Call() | Loop():
            return statement


def regions_read(statement: Statement) -> Iterator[str]:
    """Yield the regions and tables that a statement reads; what it adds to is none of them."""
    if isinstance(statement, Call):
        yield from (span.region for span in statement.reads)
    for value in values_of(statement):
        yield from (leaf.region for leaf in leaves(value) if isinstance(leaf, Element))


def regions_set(statement: Statement) -> Iterator[str]:
    """Yield the regions of which a statement sets something, not those that it adds to."""
    if isinstance(statement, Store) or (isinstance(statement, Call) and not statement.adds):
        yield from (t.region for t in targets_of(statement) if not isinstance(t, Variable))


def _bits(number: float) -> bytes:
    return struct.pack("<d", number)
