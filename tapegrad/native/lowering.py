"""Rows of the table as LLVM IR: their expressions, read and emitted.

What an expression calls that has no instruction of its own is the sweeps' own function, compiled
once and called by name, so that the bits are the same.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import float64

from tapegrad import rules
from tapegrad.jit import Symbol
from tapegrad.ops import BY_NAME, CONSTANTS, Op

F64 = ir.DoubleType()
ZERO = ir.Constant(F64, 0.0)

_INTRINSICS = {
    "math.sqrt": "llvm.sqrt", "math.exp": "llvm.exp", "math.log": "llvm.log",
    "math.sin": "llvm.sin", "math.cos": "llvm.cos", "abs": "llvm.fabs", "np.floor": "llvm.floor",
    "np.ceil": "llvm.ceil", "np.trunc": "llvm.trunc", "math.copysign": "llvm.copysign",
}  # fmt: skip
_INSTRUCTIONS = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
_COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "=="}
_FOLDED: dict[str, Callable[..., float]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul,
    "negative": operator.neg,
}  # fmt: skip
_SIGNS = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply"}
_COSTLY = ("exp", "log", "sin", "cos", "pow", "special.", "math.", "%", "//")


def is_constant(value: Any) -> bool:
    """Whether an emitted value is a constant."""
    return isinstance(value, ir.Constant)


@functools.cache
def _parsed(expression: str) -> ast.expr:
    return ast.parse(expression, mode="eval").body


@functools.cache
def names_in(expression: str) -> frozenset[str]:
    """Return the names that an expression mentions."""
    return frozenset(n.id for n in ast.walk(_parsed(expression)) if isinstance(n, ast.Name))


def reads(op: Op, operand: int) -> frozenset[str]:
    """Return which of x, y and z a partial derivative is computed from."""
    found = set(names_in(op.partials[operand]))
    while True:
        more = {n for k, v in op.where.items() if k in found for n in names_in(v)} - found
        if not more:
            return frozenset(found & {"x", "y", "z"})
        found |= more


def is_costly(op: Op) -> bool:
    """Whether computing an operation again costs more than a load and a store."""
    return any(sign in op.value for sign in _COSTLY) and not op.value.startswith("math.sqrt")


@functools.cache
def _is_inline(name: str) -> bool:
    """Whether a row's value is made of instructions alone."""
    for node in ast.walk(_parsed(BY_NAME[name].value)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) not in _INTRINSICS:
            return False
        if isinstance(node, ast.FloorDiv | ast.Mod | ast.Pow):
            return False
    return True


@functools.cache
def _symbol(name: str) -> Symbol:
    arity = BY_NAME[name].arity
    signature = float64(*[float64] * arity)
    return Symbol(f"tapegrad_row_{name}", rules.FUNCTIONS[name], signature, on_demand=True)


class Lowering:
    """Emits values and partial derivatives at a builder's place.

    Parameters
    ----------
    builder : IRBuilder
    flags : tuple of str
        Fast-math flags of every arithmetic instruction.
    has_zero_rule : bool
        Whether a product with a partial is zero where a factor is, as in the sweeps.
    """

    def __init__(self, builder: ir.IRBuilder, flags: tuple[str, ...] = (),
                 has_zero_rule: bool = False) -> None:  # fmt: skip
        self.builder = builder
        self.flags = flags
        self._product = BY_NAME["chain" if has_zero_rule else "multiply"]

    def number(self, value: float) -> Any:
        """Return a number as a constant."""
        return ir.Constant(F64, value)

    def value(self, op: Op, operands: list[Any]) -> Any:
        """Emit an operation's value."""
        if op.name == "powi" and (power := self._whole_power(*operands)) is not None:
            return power
        if op.name in _FOLDED and all(map(is_constant, operands)):
            return self.number(_FOLDED[op.name](*(float(o.constant) for o in operands)))
        if not _is_inline(op.name):
            return self._call(op.name, operands)
        result = self._emit(_parsed(op.value), dict(zip("xy", operands, strict=False)))
        return self._as_float(result)

    def partial(self, op: Op, operand: int, values: dict[str, Any]) -> Any:
        """Emit a partial derivative at x, y and z; those that it isn't computed from may lack."""
        scope: dict[str, Any] = dict(values)
        needed = names_in(op.partials[operand])
        for name, expression in op.where.items():
            if name in needed or any(name in names_in(e) for e in op.where.values()):
                scope[name] = functools.partial(self._emit, _parsed(expression), scope)
        return self._as_float(self._emit(_parsed(op.partials[operand]), scope))

    def product(self, w: Any, op: Op, operand: int, values: dict[str, Any]) -> Any:
        """Emit an adjoint or a tangent times a partial derivative."""
        partial = op.partials[operand]
        if partial == "1":
            return w
        if partial == "-1":
            return self.builder.fneg(w)
        return self.value(self._product, [w, self.partial(op, operand, values)])

    # --- expressions --------------------------------------------------------------------------

    def _emit(self, node: ast.expr, scope: dict[str, Any]) -> Any:
        method: Callable[..., Any] = getattr(self, f"_emit_{type(node).__name__}")
        return method(node, scope)

    def _emit_Constant(self, node: ast.Constant, scope: dict[str, Any]) -> Any:  # noqa: N802
        return self.number(float(node.value))  # type: ignore[arg-type]

    def _emit_Name(self, node: ast.Name, scope: dict[str, Any]) -> Any:  # noqa: N802
        if node.id in CONSTANTS:
            return self.number(CONSTANTS[node.id])
        found = scope[node.id]
        if callable(found):
            found = scope[node.id] = self._as_float(found())
        return found

    def _emit_UnaryOp(self, node: ast.UnaryOp, scope: dict[str, Any]) -> Any:  # noqa: N802
        operand = self._emit(node.operand, scope)
        if isinstance(node.op, ast.Not):
            return self.builder.not_(operand)
        if is_constant(operand):
            return self.number(-operand.constant)
        return self.builder.fneg(self._as_float(operand))

    def _emit_BinOp(self, node: ast.BinOp, scope: dict[str, Any]) -> Any:  # noqa: N802
        left = self._as_float(self._emit(node.left, scope))
        right = self._as_float(self._emit(node.right, scope))
        if is_constant(left) and is_constant(right) and type(node.op) in _SIGNS:
            folded = _FOLDED[_SIGNS[type(node.op)]]
            return self.number(folded(float(left.constant), float(right.constant)))
        instruction = getattr(self.builder, _INSTRUCTIONS[type(node.op)])
        return instruction(left, right, flags=self.flags)

    def _emit_Compare(self, node: ast.Compare, scope: dict[str, Any]) -> Any:  # noqa: N802
        left, right = self._emit(node.left, scope), self._emit(node.comparators[0], scope)
        if left.type != F64 and right.type != F64:
            return self.builder.icmp_unsigned("!=", left, right)
        if isinstance(node.ops[0], ast.NotEq):
            return self.builder.fcmp_unordered("!=", self._as_float(left), self._as_float(right))
        sign = _COMPARISONS[type(node.ops[0])]
        return self.builder.fcmp_ordered(sign, self._as_float(left), self._as_float(right))

    def _emit_BoolOp(self, node: ast.BoolOp, scope: dict[str, Any]) -> Any:  # noqa: N802
        combine = self.builder.and_ if isinstance(node.op, ast.And) else self.builder.or_
        return functools.reduce(combine, [self._emit(value, scope) for value in node.values])

    def _emit_IfExp(self, node: ast.IfExp, scope: dict[str, Any]) -> Any:  # noqa: N802
        test = self._emit(node.test, scope)
        yes, no = self._emit(node.body, scope), self._emit(node.orelse, scope)
        return self.builder.select(test, self._as_float(yes), self._as_float(no))

    def _emit_Call(self, node: ast.Call, scope: dict[str, Any]) -> Any:  # noqa: N802
        name = ast.unparse(node.func)
        operands = [self._as_float(self._emit(argument, scope)) for argument in node.args]
        if name in _INTRINSICS:
            return self._intrinsic(_INTRINSICS[name], operands)
        return self.value(BY_NAME[name], operands)

    # --- calls --------------------------------------------------------------------------------

    def _intrinsic(self, name: str, operands: list[Any]) -> Any:
        kind = ir.FunctionType(F64, [F64] * len(operands))
        function = self.builder.module.declare_intrinsic(name, [F64], kind)
        return self.builder.call(function, operands)

    def _call(self, name: str, operands: list[Any]) -> Any:
        symbol = _symbol(name)
        symbol.address()
        module = self.builder.module
        function = module.globals.get(symbol.name)
        if function is None:
            kind = ir.FunctionType(F64, [F64] * len(operands))
            function = ir.Function(module, kind, symbol.name)
            function.attributes.add("nounwind")
            function.attributes.add("readnone")
        return self.builder.call(function, operands)

    def _whole_power(self, x: Any, n: Any) -> Any:
        """Emit the products of a small constant power, as `special.powi` multiplies them."""
        if not isinstance(n, ir.Constant) or n.constant not in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0):
            return None
        result, square, k = None, x, int(n.constant)
        while k > 0:
            if k & 1:
                result = square if result is None else self._multiply(result, square)
            k >>= 1
            if k:
                square = self._multiply(square, square)
        return result

    def _multiply(self, x: Any, y: Any) -> Any:
        return self.builder.fmul(x, y, flags=self.flags)

    def _as_float(self, value: Any) -> Any:
        return value if value.type == F64 else self.builder.uitofp(value, F64)
