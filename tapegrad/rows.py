"""Rows of the table, read: what their expressions mention, and the LLVM IR that they become.

An expression is parsed once, whoever asks. `RowEmitter` writes values and partial derivatives at
a builder's place; what becomes of a row that no instructions make up is up to its descendants.
"""

from __future__ import annotations

import ast
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable

from llvmlite import ir

from tapegrad.numba_protocols import Value
from tapegrad.ops import BY_NAME, CONSTANTS, Op

F64 = ir.DoubleType()

_INTRINSICS = {
    "math.sqrt": "llvm.sqrt", "math.exp": "llvm.exp", "math.log": "llvm.log",
    "math.sin": "llvm.sin", "math.cos": "llvm.cos", "abs": "llvm.fabs", "np.floor": "llvm.floor",
    "np.ceil": "llvm.ceil", "np.trunc": "llvm.trunc", "math.copysign": "llvm.copysign",
}  # fmt: skip
_INSTRUCTIONS = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
_COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "=="}


@functools.cache
def parsed(expression: str) -> ast.expr:
    """Return an expression of the table as a tree."""
    return ast.parse(expression, mode="eval").body


@functools.cache
def names_in(expression: str) -> frozenset[str]:
    """Return the names that an expression mentions."""
    return frozenset(n.id for n in ast.walk(parsed(expression)) if isinstance(n, ast.Name))


def reads(op: Op, operand: int) -> frozenset[str]:
    """Return which of x, y and z a partial derivative is computed from."""
    found = set(names_in(op.partials[operand]))
    while True:
        more = {n for k, v in op.where.items() if k in found for n in names_in(v)} - found
        if not more:
            return frozenset(found & {"x", "y", "z"})
        found |= more


@functools.cache
def is_inline(name: str) -> bool:
    """Whether a row's value is made of instructions alone."""
    for node in ast.walk(parsed(BY_NAME[name].value)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) not in _INTRINSICS:
            return False
        if isinstance(node, ast.FloorDiv | ast.Mod | ast.Pow):
            return False
    return True


_COSTLY = ("exp", "log", "sin", "cos", "pow", "special.", "math.", "%", "//")


def is_costly(op: Op) -> bool:
    """Whether computing an operation again costs more than a load and a store."""
    return any(sign in op.value for sign in _COSTLY) and not op.value.startswith("math.sqrt")


class RowEmitter(ABC):
    """Emits values and partial derivatives at a builder's place.

    Parameters
    ----------
    builder : IRBuilder
    flags : tuple of str
        Fast-math flags of every arithmetic instruction.
    kind : Type
        What numbers are.
    """

    def __init__(self, builder: ir.IRBuilder, flags: tuple[str, ...] = (),
                 kind: ir.Type = F64) -> None:  # fmt: skip
        self.builder = builder
        self.flags = flags
        self.kind = kind

    @abstractmethod
    def call(self, op: Op, operands: list[Value]) -> Value:
        """Emit the value of an operation that isn't made of instructions alone."""

    def number(self, value: float) -> Value:
        """Return a number as a constant."""
        return ir.Constant(self.kind, value)

    def value(self, op: Op, operands: list[Value]) -> Value:
        """Emit an operation's value."""
        if not is_inline(op.name):
            return self.call(op, operands)
        result = self._emit(parsed(op.value), dict(zip("xy", operands, strict=False)))
        return self._as_float(result)

    def partial(self, op: Op, operand: int, values: dict[str, Value]) -> Value:
        """Emit a partial derivative at x, y and z; those that it isn't computed from may lack."""
        scope: dict[str, Value] = dict(values)
        needed = names_in(op.partials[operand])
        for name, expression in op.where.items():
            if name in values:
                continue
            if name in needed or any(name in names_in(e) for e in op.where.values()):
                scope[name] = functools.partial(self._emit, parsed(expression), scope)
        return self._as_float(self._emit(parsed(op.partials[operand]), scope))

    def product(self, w: Value, op: Op, operand: int, values: dict[str, Value]) -> Value:
        """Emit an adjoint or a tangent times a partial derivative."""
        partial = op.partials[operand]
        if partial == "1":
            return w
        if partial == "-1":
            return self.builder.fneg(w)
        return self.times(w, self.partial(op, operand, values))

    def times(self, w: Value, partial: Value) -> Value:
        """Emit an adjoint or a tangent times a partial derivative that was emitted."""
        return self.builder.fmul(w, partial, flags=self.flags)

    # --- expressions --------------------------------------------------------------------------

    def _emit(self, node: ast.expr, scope: dict[str, Value]) -> Value:
        method: Callable[..., Value] = getattr(self, f"_emit_{type(node).__name__}")
        return method(node, scope)

    def _emit_Constant(self, node: ast.Constant, scope: dict[str, Value]) -> Value:  # noqa: N802
        return self.number(float(node.value))  # type: ignore[arg-type]

    def _emit_Name(self, node: ast.Name, scope: dict[str, Value]) -> Value:  # noqa: N802
        if node.id in CONSTANTS:
            return self.number(CONSTANTS[node.id])
        found = scope[node.id]
        if callable(found):
            found = scope[node.id] = self._as_float(found())
        return found

    def _emit_UnaryOp(self, node: ast.UnaryOp, scope: dict[str, Value]) -> Value:  # noqa: N802
        operand = self._emit(node.operand, scope)
        if isinstance(node.op, ast.Not):
            return self.builder.not_(operand)
        if isinstance(operand, ir.Constant):
            return self.number(-operand.constant)
        return self.builder.fneg(self._as_float(operand))

    def _emit_BinOp(self, node: ast.BinOp, scope: dict[str, Value]) -> Value:  # noqa: N802
        left = self._as_float(self._emit(node.left, scope))
        right = self._as_float(self._emit(node.right, scope))
        return self._binary(node.op, left, right)

    def _binary(self, sign: ast.operator, left: Value, right: Value) -> Value:
        instruction = getattr(self.builder, _INSTRUCTIONS[type(sign)])
        return instruction(left, right, flags=self.flags)

    def _emit_Compare(self, node: ast.Compare, scope: dict[str, Value]) -> Value:  # noqa: N802
        left, right = self._emit(node.left, scope), self._emit(node.comparators[0], scope)
        if left.type != self.kind and right.type != self.kind:
            return self.builder.icmp_unsigned("!=", left, right)
        if isinstance(node.ops[0], ast.NotEq):
            return self.builder.fcmp_unordered("!=", self._as_float(left), self._as_float(right))
        sign = _COMPARISONS[type(node.ops[0])]
        return self.builder.fcmp_ordered(sign, self._as_float(left), self._as_float(right))

    def _emit_BoolOp(self, node: ast.BoolOp, scope: dict[str, Value]) -> Value:  # noqa: N802
        combine = self.builder.and_ if isinstance(node.op, ast.And) else self.builder.or_
        return functools.reduce(combine, [self._emit(value, scope) for value in node.values])

    def _emit_IfExp(self, node: ast.IfExp, scope: dict[str, Value]) -> Value:  # noqa: N802
        test = self._emit(node.test, scope)
        yes, no = self._emit(node.body, scope), self._emit(node.orelse, scope)
        return self.builder.select(test, self._as_float(yes), self._as_float(no))

    def _emit_Call(self, node: ast.Call, scope: dict[str, Value]) -> Value:  # noqa: N802
        name = ast.unparse(node.func)
        operands = [self._as_float(self._emit(argument, scope)) for argument in node.args]
        if name not in _INTRINSICS:
            return self.value(BY_NAME[name], operands)
        kind = ir.FunctionType(self.kind, [self.kind] * len(operands))
        function = self.builder.module.declare_intrinsic(_INTRINSICS[name], [self.kind], kind)
        return self.builder.call(function, operands)

    def _as_float(self, value: Value) -> Value:
        return value if value.type == self.kind else self.builder.uitofp(value, self.kind)
