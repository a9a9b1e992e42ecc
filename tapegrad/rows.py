"""Rows of the table, read: values and partial derivatives as trees, and what follows from them.

A value is made of what a processor or a library computes: signs, `math`, NumPy and the special
functions. A partial derivative is made of rows, so that it has partial derivatives itself; a
sign in it is the row that has it as its value. A malformed row is refused here, when the table
is read, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from tapegrad import special
from tapegrad.expression import (
    INLINE,
    LIBRARY,
    MINUS_ONE,
    ONE,
    SIGNS,
    TRUTHS,
    UNORDERED,
    ZERO,
    Call,
    Expression,
    Folding,
    Name,
    Number,
    functions_in,
    names_in,
    parse,
)
from tapegrad.ops import CONSTANTS, OPS, Op

_MOST_ROWS = 256  # a code is a byte
_MODULES = {"math": math, "np": np, "special": special}

T = TypeVar("T")
X, Y, Z, W, P = map(Name, "xyzwp")


class RowError(ValueError):
    """A row of the table is malformed."""


# --- a row ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """An operation of the table.

    Attributes
    ----------
    op : Op
        What is written.
    value : Expression
        Of what processors and libraries compute, in x and y.
    partials : tuple of Expression
        By operand, of rows, in x, y and z, the value.
    shared : tuple of Expression
        What partials have in common, as the row names it.
    """

    op: Op
    value: Expression
    partials: tuple[Expression, ...]
    shared: tuple[Expression, ...]

    @property
    def name(self) -> str:
        """The operation's name."""
        return self.op.name

    @property
    def code(self) -> int:
        """The operation's number."""
        return self.op.code

    @property
    def arity(self) -> int:
        """Number of operands."""
        return len(self.partials)

    # --- derivatives --------------------------------------------------------------------------

    @cached_property
    def differentiable(self) -> tuple[int, ...]:
        """The operands whose partial derivative isn't zero everywhere."""
        return tuple(k for k, partial in enumerate(self.partials) if partial != ZERO)

    @property
    def is_piecewise_constant(self) -> bool:
        """Whether every partial derivative is zero."""
        return not self.differentiable

    @cached_property
    def reads(self) -> tuple[frozenset[str], ...]:
        """Which of x, y and z each partial derivative is computed from."""
        return tuple(map(names_in, self.partials))

    @cached_property
    def is_linear(self) -> bool:
        """Whether every partial derivative is a number."""
        return all(isinstance(partial, Number) for partial in self.partials)

    @cached_property
    def is_bilinear(self) -> bool:
        """Whether the partial derivative by either operand depends on the other one alone."""
        return self.reads == (frozenset("y"), frozenset("x"))

    # --- values -------------------------------------------------------------------------------

    @cached_property
    def is_inline(self) -> bool:
        """Whether the value is made of instructions, and what LLVM knows, alone."""
        return functions_in(self.value) <= INLINE

    @cached_property
    def is_in_special(self) -> bool:
        """Whether the value is a special function."""
        return isinstance(self.value, Call) and self.value.function.startswith("special.")

    @property
    def is_apart(self) -> bool:
        """Whether it's compiled apart, when first computed; whole powers are too common."""
        return self.is_in_special and not self.op.unrolls

    @property
    def is_one_call(self) -> bool:
        """Whether the value is one function of the operands, in their order."""
        return isinstance(self.value, Call) and self.value.operands == (X, Y)[: self.arity]

    @cached_property
    def is_costly(self) -> bool:
        """Whether computing the value again costs more than a load and a store."""
        return not self.is_inline or not functions_in(self.value).isdisjoint(LIBRARY)

    @cached_property
    def whole(self) -> int | None:
        """The operand that is a whole constant, if there is one."""
        return "xy".index(self.op.whole) if self.op.whole else None

    # --- the order of operands ----------------------------------------------------------------

    @cached_property
    def commutes(self) -> bool:
        """Whether swapping the operands swaps the partial derivatives and changes no bit else.

        Sums, products, equality and truth are the same with their sides swapped. Comparing alone
        isn't: `x if x > y else y` of 0.0 and -0.0 is either zero.
        """
        return self._is_swapped((self.value, *self.partials), (self.value, *self.partials[::-1]))

    @cached_property
    def is_symmetric(self) -> bool:
        """Whether swapping the operands changes no value, but for a zero's sign and rounding.

        Where it swaps the partial derivatives, what it changes has none: it's the same everywhere,
        and nothing where the operands are equal.
        """
        swaps = self._is_swapped(self.partials, self.partials[::-1])
        return self.commutes or (swaps and not self.is_piecewise_constant)

    def _is_swapped(self, one: Iterable[Expression], other: Iterable[Expression]) -> bool:
        if self.arity != 2:
            return False
        names: tuple[dict[str, Expression], ...] = (
            {"x": X, "y": Y, "z": Z},
            {"x": Y, "y": X, "z": Z},
        )
        straight, swapped = (Folding(known, Number, _in_one_order) for known in names)
        return list(map(straight, one)) == list(map(swapped, other))


def _in_one_order(function: str, operands: list[Expression]) -> Expression:
    """Return a call, its operands sorted if their order doesn't matter."""
    if VALUE_SIGN.get(function, function) in UNORDERED:
        operands = sorted(operands, key=repr)
    return Call(function, tuple(operands))


def contribution(partial: Expression, times: str = "chain") -> Expression | None:
    """Return what of an adjoint or a tangent `w` passes through an operation: the chain rule.

    Parameters
    ----------
    partial : Expression
        The partial derivative.
    times : str, optional
        The row that multiplies.

    Returns
    -------
    Expression or None
        In `w` and, unless that is plus or minus one, the partial derivative's value `p`.
    """
    if partial == ZERO:
        return None
    if partial in (ONE, MINUS_ONE):
        return W if partial == ONE else Call("negative", (W,))
    return Call(times, (W, P))


# --- reading the table ------------------------------------------------------------------------


def read(ops: Iterable[Op]) -> tuple[Row, ...]:
    """Return the rows of a table.

    Raises
    ------
    RowError
        If one is malformed; the message says which, and why.
    """
    ops = tuple(ops)
    arities: dict[str, int] = {}
    for op in ops:
        _require(op.name.isidentifier(), op, "its name is none that code can call")
        _require(op.name not in arities, op, "another row has its name")
        _require(len(arities) < _MOST_ROWS, op, f"a table has {_MOST_ROWS} rows at most")
        arities[op.name] = op.arity
    values = {op.name: _explained(op, _value, op) for op in ops}
    signs = {
        (value.function, op.arity): op.name
        for op in reversed(ops)  # of two rows of one sign it's the first
        if isinstance(value := values[op.name], Call) and _is_sign(value)
    }
    return tuple(_explained(op, _Reading(op, arities, signs).row, values[op.name]) for op in ops)


def _require(holds: bool, op: Op, reason: str) -> None:
    if not holds:
        raise RowError(f"row {op.name!r}: {reason}")


def _explained(op: Op, read: Callable[[Any], T], what: Any) -> T:
    try:
        return read(what)
    except ValueError as error:
        raise RowError(f"row {op.name!r}: {error}") from None


def _is_sign(value: Call) -> bool:
    """Whether an expression is a sign of its operands, in their order."""
    operands = tuple(map(Name, "xy"[: len(value.operands)]))
    return value.function in SIGNS - {"if", "abs"} and value.operands == operands


def _is_truth(value: Expression) -> bool:
    return isinstance(value, Call) and value.function in TRUTHS


def _value(op: Op) -> Expression:
    known = "xy"[: max(op.arity, 1)]

    def name(found: str) -> Expression:
        if found not in known:
            raise ValueError(f"its value reads {found!r}, which is none of its operands")
        return Name(found)

    value = parse(op.value, name)
    _check_functions(value)
    if op.boolean != _is_truth(value):
        kind = "no truth value" if op.boolean else "a truth value, which `boolean=True` says"
        raise ValueError(f"its value is {kind}")
    return value


def _check_functions(value: Expression) -> None:
    """Raise unless a value is made of what there is."""
    if not isinstance(value, Call):
        return
    module, _, function = value.function.rpartition(".")
    if module:
        found = getattr(_MODULES.get(module), function, None)
        if found is None:
            raise ValueError(f"its value calls {value.function}(), which there isn't")
        code = getattr(getattr(found, "py_func", None), "__code__", None)
        if code is not None and code.co_argcount != len(value.operands):
            raise ValueError(f"{value.function}() takes {code.co_argcount} operands")
    elif function not in SIGNS:
        raise ValueError(
            f"its value calls {function}(), but values are made of signs, `abs`, `math`, `np` and "
            "`special`: only partial derivatives call rows"
        )
    for operand in value.operands:
        _check_functions(operand)


class _Reading:
    """What the partial derivatives of a row are.

    Parameters
    ----------
    op : Op
    arities : dict of int
        The rows that may be called, and of how many operands they are.
    signs : dict
        By a sign and how many operands it has, the row that it is.
    """

    def __init__(self, op: Op, arities: dict[str, int], signs: dict[tuple[str, int], str]) -> None:
        self._op, self._arities, self._signs = op, arities, signs
        self._known = {name: Number(value) for name, value in CONSTANTS.items()}
        self._operands = {name: Name(name) for name in "xyz"[: op.arity]} | {"z": Name("z")}
        self._shared: dict[str, Expression] = {}
        self._open: list[str] = []

    def row(self, value: Expression) -> Row:
        """Return the row, or raise `ValueError` with the reason why it's malformed."""
        op = self._op
        self._check_facts()
        for name in op.where:
            if name in self._known or name in ("x", "y", "z", "w", "p"):
                raise ValueError(f"its `where` names {name!r}, which is something else")
        partials = tuple(self._parsed(partial) for partial in op.partials)
        for name in op.where:
            if name not in self._shared:
                raise ValueError(f"no partial derivative reads {name!r}")
        row = Row(op, value, partials, tuple(self._shared.values()))
        if not (row.is_inline or row.is_in_special or row.is_one_call):
            raise ValueError(
                "its value is neither made of instructions nor one call: write what it computes "
                "as a function in `special`"
            )
        if op.boolean and not row.is_piecewise_constant:
            raise ValueError("truth values have no partial derivative but 0")
        if row.whole is not None and row.whole in row.differentiable:
            raise ValueError(f"{op.whole} is a whole constant, so its partial derivative is 0")
        return row

    def _check_facts(self) -> None:
        op = self._op
        if op.arity > 2:
            raise ValueError("a record has two operands at most")
        if op.whole and op.whole not in "xy"[: op.arity]:
            raise ValueError(f"{op.whole!r} can't be whole, being none of its operands")
        if op.unrolls and not op.whole:
            raise ValueError("its products are unrolled by a whole constant, but none is whole")
        if len(op.domain) != op.arity:
            raise ValueError(f"its domain is of {len(op.domain)} operands, not of {op.arity}")
        if any(low > high for low, high in op.domain):
            raise ValueError("its domain is empty")
        if any(len(kink.at) != op.arity or len(kink.partials) != op.arity for kink in op.kinks):
            raise ValueError(f"a kink of it is not of {op.arity} operands")

    def _parsed(self, text: str) -> Expression:
        return self._of_rows(parse(text, self._name), text)

    def _name(self, name: str) -> Expression:
        found = self._known.get(name) or self._operands.get(name) or self._shared.get(name)
        if found is not None:
            return found
        if name not in self._op.where:
            raise ValueError(f"a partial derivative reads {name!r}, which is nothing it knows")
        if name in self._open:
            way = " reads ".join([*self._open[self._open.index(name) :], name])
            raise ValueError(f"its `where` goes round in a circle: {way}")
        self._open.append(name)
        self._shared[name] = found = self._parsed(self._op.where[name])
        self._open.pop()
        return found

    def _of_rows(self, tree: Expression, text: str) -> Expression:
        """Return a tree, its signs being rows."""
        if not isinstance(tree, Call):
            return tree
        arity = len(tree.operands)
        function = self._signs.get((tree.function, arity), tree.function)
        if tree.function in TRUTHS or tree.function == "if":
            raise ValueError(
                f"{text!r} has {tree.function!r} in it, but partial derivatives are made of rows: "
                "call less(), equal(), logical_and(), keep() and drop()"
            )
        if function not in self._arities:
            raise ValueError(f"{text!r} calls {function}(), which is no row")
        if self._arities[function] != arity:
            raise ValueError(f"{function}() is of {self._arities[function]} operands, not {arity}")
        return Call(function, tuple(self._of_rows(operand, text) for operand in tree.operands))


ROWS: tuple[Row, ...] = read(OPS)
ROW: dict[str, Row] = {row.name: row for row in ROWS}
VALUE_SIGN: dict[str, str] = {
    row.name: row.value.function
    for row in ROWS
    if isinstance(row.value, Call) and _is_sign(row.value)
}
"""By name, the sign that a row is."""
