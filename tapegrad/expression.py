"""Expressions of the table as trees: numbers, names, and functions of other expressions.

A text is parsed once, when the table is read. Signs are functions, called what they look like:
`+`, `<`, `if`. Whoever makes something of an expression - instructions, records, a program's
value, the set of its names - says what numbers and calls become, and a `Folding` goes through.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """A constant; equal to another one if their bits are."""

    value: float

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and self.value.hex() == other.value.hex()

    def __hash__(self) -> int:
        return hash(self.value.hex())


@dataclass(frozen=True, slots=True)
class Name:
    """What stands for a number: an operand, or the operation's value."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function of expressions; a sign with one operand is another than with two."""

    function: str
    operands: tuple[Expression, ...]


Expression = Number | Name | Call

ZERO, ONE, MINUS_ONE = Number(0.0), Number(1.0), Number(-1.0)

_WRITTEN: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Mod: "%", ast.FloorDiv: "//",
    ast.Pow: "**", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==",
    ast.NotEq: "!=", ast.And: "and", ast.Or: "or",
}  # fmt: skip


def parse(text: str, name: Callable[[str], Expression]) -> Expression:
    """Return an expression as a tree; `name` says what names in it are.

    Raises
    ------
    ValueError
        If it's none, with the reason.
    """
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{text!r} is no expression: {error.msg}") from None
    return _tree(node, name)


def _tree(node: ast.expr, name: Callable[[str], Expression]) -> Expression:
    def call(function: str, *operands: ast.expr) -> Expression:
        return Call(function, tuple(_tree(operand, name) for operand in operands))

    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return Number(float(number))
        case ast.Name(id=known):
            return name(known)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            negated = _tree(operand, name)
            return Number(-negated.value) if isinstance(negated, Number) else Call("-", (negated,))
        case ast.BinOp(op=sign, left=left, right=right) if type(sign) in _WRITTEN:
            return call(_WRITTEN[type(sign)], left, right)
        case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in _WRITTEN:
            return call(_WRITTEN[type(sign)], left, right)
        case ast.BoolOp(op=sign, values=values):
            return call(_WRITTEN[type(sign)], *values)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return call("if", test, body, orelse)
        case ast.Call(func=function, args=arguments, keywords=[]):
            return call(ast.unparse(function), *arguments)
    raise ValueError(f"{ast.unparse(node)!r} can't be part of an expression")


class Folding(Generic[T]):
    """What becomes of expressions, that of equal ones made once.

    Parameters
    ----------
    names : dict
        What stands for the names.
    number : callable
        Makes something of a constant's value.
    call : callable
        Makes something of a function's name, and of what its operands became.
    """

    def __init__(self, names: Mapping[str, T], number: Callable[[float], T],
                 call: Callable[[str, list[T]], T]) -> None:  # fmt: skip
        self._known: dict[Expression, T] = {Name(name): what for name, what in names.items()}
        self._number, self._call = number, call

    def __call__(self, expression: Expression) -> T:
        """Return what becomes of an expression."""
        if expression not in self._known:
            if isinstance(expression, Name):
                raise KeyError(expression.name)
            self._known[expression] = (
                self._number(expression.value)
                if isinstance(expression, Number)
                else self._call(expression.function, [self(o) for o in expression.operands])
            )
        return self._known[expression]

    def apart(self, **names: T) -> Folding[T]:
        """Return one that knows what this one does, and more names, and keeps its own apart."""
        other = Folding(names, self._number, self._call)
        other._known = self._known | other._known
        return other


def names_in(expression: Expression) -> frozenset[str]:
    """Return the names that an expression mentions."""
    if isinstance(expression, Call):
        return frozenset().union(*map(names_in, expression.operands))
    return frozenset([expression.name] if isinstance(expression, Name) else [])


def functions_in(expression: Expression) -> frozenset[str]:
    """Return the functions that an expression calls."""
    if not isinstance(expression, Call):
        return frozenset()
    return frozenset([expression.function]).union(*map(functions_in, expression.operands))


# --- what values are made of ------------------------------------------------------------------

INSTRUCTIONS = {"+": "fadd", "-": "fsub", "*": "fmul", "/": "fdiv"}
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
INTRINSICS = {
    "math.sqrt": "llvm.sqrt", "math.exp": "llvm.exp", "math.log": "llvm.log",
    "math.sin": "llvm.sin", "math.cos": "llvm.cos", "abs": "llvm.fabs", "np.floor": "llvm.floor",
    "np.ceil": "llvm.ceil", "np.trunc": "llvm.trunc", "math.copysign": "llvm.copysign",
}  # fmt: skip
"""What LLVM has by another name, be it an instruction or a call of the library."""

LIBRARY = {"math.exp", "math.log", "math.sin", "math.cos"}
TRUTHS = {*COMPARISONS, "and", "or"}
SIGNS = {*INSTRUCTIONS, *TRUTHS, "if", "abs", "%", "//", "**"}
INLINE = {*INSTRUCTIONS, *TRUTHS, *INTRINSICS, "if"}
UNORDERED = {"+", "*", "==", "!=", "and", "or"}
