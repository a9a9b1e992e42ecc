"""The table's rows as compiled code: one function a row, and the switches the sweeps run.

`FUNCTIONS[name]` is a row as a function of floats, for Numba; these are generated from `ops` as
one readable module. `evaluate`, `pull` and `push` choose the row by its code: they are
written as LLVM IR straight from the rows' expressions, which takes a twentieth of the time that
Numba would take to find the types of a hundred rows.
"""

from __future__ import annotations

import ast
import functools
import math
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import float64, int64, types
from numba.extending import intrinsic, overload

from tapegrad import binding, generated, special
from tapegrad.jit import Symbol
from tapegrad.numba_internals import signature, when_loaded
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
from tapegrad.ops import BY_NAME, CONSTANTS, OPS, Op
from tapegrad.rows import F64, RowEmitter, names_in, parsed

_PREAMBLE = '''\
"""Elementary operations as compiled code; generated from tapegrad.ops."""
import math

import numpy as np

from tapegrad import special

'''

_POWI = BY_NAME["powi"]
_IN_SPECIAL = [op for op in OPS if op.value.startswith("special.") and op is not _POWI]
"""Rows that are compiled apart, when they're first computed; whole powers are too common."""

# --- functions --------------------------------------------------------------------------------


def _value(op: Op) -> str:
    if op in _IN_SPECIAL:
        return f"in_special{op.arity}({op.code}, {', '.join('xy'[: op.arity])})"
    return f"1.0 if {op.value} else 0.0" if op.boolean else op.value


def _functions() -> Iterator[str]:
    for op in OPS:
        operands = ", ".join("xy"[: op.arity])
        if op.arity:
            yield f"def {op.name}({operands}):\n    return {_value(op)}\n\n"
        if op in _IN_SPECIAL:
            yield f"def {op.name}_apart({operands}):\n    return {op.value}\n\n"


def _partials() -> Iterator[str]:
    """Yield a function a row that returns its partials, given the operands and the value."""
    for op in OPS:
        if op.arity and not op.is_piecewise_constant:
            yield f"def {op.name}_partials({', '.join('xy'[: op.arity])}, z):\n"
            used = {name for partial in op.partials for name in names_in(partial)}
            yield from (f"    {k} = {v}\n" for k, v in op.where.items() if k in used)
            yield f"    return ({', '.join(f'1.0 * ({partial})' for partial in op.partials)},)\n\n"


def source() -> str:
    """Return the generated module's source."""
    constants = "".join(f"{name} = {value!r}\n" for name, value in CONSTANTS.items())
    return "".join([_PREAMBLE, constants + "\n\n", *_functions(), *_partials()])


_module: Any = generated.load("rules", source())

FUNCTIONS: dict[str, Callable[..., float]] = {
    op.name: getattr(_module, op.name) for op in OPS if op.arity
}
IS_BOOLEAN: tuple[bool, ...] = tuple(op.boolean for op in OPS)

for _op in _IN_SPECIAL:
    _in_partials = {name for e in (*_op.partials, *_op.where.values()) for name in names_in(e)}
    binding.register(_op.code, _op.name, getattr(_module, f"{_op.name}_apart"), _op.arity,
                     tuple(op.code for op in _IN_SPECIAL if op.name in _in_partials))  # fmt: skip


def _compute_apart(code: Kind, n_operands: int) -> Intrinsic:
    """Compute a row that is compiled apart; what calls it may run where Python can't."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        bind = functools.partial(binding.bind, code.literal_value)
        bind()
        when_loaded(context.active_code_library, bind)
        return binding.call(builder, code.literal_value, list(args[1:]))

    return signature(float64, code, *[float64] * n_operands), codegen


_with_code = intrinsic(prefer_literal=True)
_module.in_special1 = _with_code(lambda typing_context, code, x: _compute_apart(code, 1))
_module.in_special2 = _with_code(lambda typing_context, code, x, y: _compute_apart(code, 2))

_FLOAT_OPTIONS = {"error_model": "numpy", "nogil": True, "forceinline": True}


def _is_float(*numbers: Kind) -> bool:
    return all(isinstance(number, types.Float | types.Integer) for number in numbers)


def calling(function: Callable[..., Any], arity: int) -> Callable[..., Any]:
    """Return a function for Numba to compile that calls one of the rules' functions.

    What compiles it may have another error model; a call keeps that of the rules.
    """
    if arity == 1:
        return lambda x: function(x)
    return (lambda x, y: function(x, y)) if arity == 2 else lambda x, y, z: function(x, y, z)


def _overload_for_floats(function: Callable[..., Any], arity: int) -> None:
    if arity == 1:
        overload(function, jit_options=_FLOAT_OPTIONS)(lambda x: function if _is_float(x) else None)
    elif arity == 2:
        overload(function, jit_options=_FLOAT_OPTIONS, strict=False)(
            lambda x, y: function if _is_float(x, y) else None
        )
    else:
        overload(function, jit_options=_FLOAT_OPTIONS)(
            lambda x, y, z: function if _is_float(x, y, z) else None
        )


for _op in OPS:
    if _op.arity:
        _overload_for_floats(FUNCTIONS[_op.name], _op.arity)


@functools.cache
def partials(name: str) -> Callable[..., Any]:
    """Return a row's function of operands and value that returns its partial derivatives."""
    function: Callable[..., Any] = getattr(_module, f"{name}_partials")
    _overload_for_floats(function, BY_NAME[name].arity + 1)
    return function


# --- switches ---------------------------------------------------------------------------------

# The first rows of the table share an arm of their own: the switch is an indirect jump, which is
# mispredicted more often than the few conditional ones that tell these apart.
_ADD, _SUBTRACT, _MULTIPLY = (BY_NAME[name] for name in ("add", "subtract", "multiply"))
_OPERATORS = {ast.Pow: operator.pow, ast.Mod: operator.mod, ast.FloorDiv: operator.floordiv}
_MODULES = {"math": math, "np": np}


def _whole(number: int) -> Value:
    return ir.Constant(ir.IntType(64), number)


class _SweepEmitter(RowEmitter):
    """Emits rows as the sweeps compute them: what is no instruction, as Numba lowers it."""

    def __init__(self, context: LoweringContext, builder: Builder) -> None:
        super().__init__(builder)
        self._context = context

    def call(self, op: Op, operands: list[Value]) -> Value:
        """Emit the value of an operation that isn't made of instructions alone."""
        if op in _IN_SPECIAL:
            return binding.call(self.builder, op.code, operands)
        if op is _POWI:
            return special.emit_powi(self._context, self.builder, *operands)
        node = parsed(op.value)
        if isinstance(node, ast.BinOp):
            function: Any = _OPERATORS[type(node.op)]
        else:
            assert isinstance(node, ast.Call)
            module, _, name = ast.unparse(node.func).partition(".")
            function = getattr(_MODULES[module], name)
        sig = signature(float64, *[float64] * len(operands))
        return self._context.get_function(function, sig)(self.builder, operands)

    def times(self, w: Value, partial: Value) -> Value:
        """Emit a product that is zero as soon as either factor is."""
        return self.value(BY_NAME["chain"], [w, partial])

    def times_of_common(self, w: Value, partial: Value) -> Value:
        """Emit the same with a jump, which is faster where nothing else jumps: it's rarely NaN."""
        builder = self.builder
        product = builder.fmul(w, partial)
        before = builder.block
        with builder.if_then(builder.fcmp_unordered("uno", product, product), likely=False):
            chained = self.times(w, partial)
            after = builder.block
        result = builder.phi(F64)
        result.add_incoming(product, before)
        result.add_incoming(chained, after)
        return result

    def shared(self, op: Op, values: dict[str, Value]) -> dict[str, Value]:
        """Emit what an operation's partial derivatives have in common, beside x, y and z."""
        scope = dict(values)
        used = {name for partial in op.partials for name in names_in(partial)}
        for name in op.where:
            if name in used:
                scope[name] = self._as_float(self._emit(parsed(op.where[name]), scope))
        return scope

    def common(self, code: Value, of_add: Value, of_subtract: Value, of_multiply: Value) -> Value:
        """Emit a choice among what the common operations have."""
        is_add = self.builder.icmp_signed("==", code, _whole(_ADD.code))
        is_multiply = self.builder.icmp_signed("==", code, _whole(_MULTIPLY.code))
        rest = self.builder.select(is_multiply, of_multiply, of_subtract)
        return self.builder.select(is_add, of_add, rest)


def _chosen(builder: Builder, code: Value, ops: Iterable[Op], write: Callable[[Op], Any],
            common: Callable[[], Any], otherwise: Value | None = None) -> Value | None:  # fmt: skip
    """Emit a choice of arms by an operation's code; return what they yield, if they do."""
    end = builder.function.append_basic_block("chosen")
    others = builder.function.append_basic_block("others")
    first = builder.function.append_basic_block("common")
    builder.cbranch(builder.icmp_signed("<=", code, _whole(_MULTIPLY.code)), first, others)
    results = []

    def arm(block: ir.Block, result: Callable[[], Any]) -> None:
        builder.position_at_end(block)
        found = result()
        results.append((found, builder.block))
        builder.branch(end)

    arm(first, common)
    default = builder.function.append_basic_block("none")
    builder.position_at_end(others)
    switch = builder.switch(code, default)
    arm(default, lambda: otherwise)
    for op in ops:
        block = builder.function.append_basic_block(op.name)
        switch.add_case(_whole(op.code), block)
        arm(block, functools.partial(write, op))
    builder.position_at_end(end)
    if otherwise is None:
        return None
    chosen = builder.phi(otherwise.type)
    for found, block in results:
        chosen.add_incoming(found, block)
    return chosen


_COMPUTED = [op for op in OPS if op.arity and op.code > _MULTIPLY.code]
_DIFFERENTIATED = [op for op in _COMPUTED if not op.is_piecewise_constant]


@intrinsic
def evaluate(typing_context: TypingContext, code: Kind, x: Kind, y: Kind) -> Intrinsic:
    """Return an operation's value; of what isn't computed, `x`."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        code, x, y = args
        emit = _SweepEmitter(context, builder)
        return _chosen(
            builder, code, _COMPUTED,
            lambda op: emit.value(op, [x, y][: op.arity]),
            lambda: emit.common(code, *(emit.value(op, [x, y])
                                        for op in (_ADD, _SUBTRACT, _MULTIPLY))),
            otherwise=x,
        )  # fmt: skip

    return float64(int64, float64, float64), codegen


def _evaluate(code, x, y):
    return evaluate(code, x, y)


evaluate_float = Symbol("tapegrad_evaluate", _evaluate, float64(int64, float64, float64)).call
"""The same as a call: for loops in which it isn't most of the work."""

_SLOTS = types.CPointer(float64)


@intrinsic
def pull(typing_context: TypingContext, code: Kind, x: Kind, y: Kind, z: Kind, w: Kind, a: Kind,
         b: Kind, adjoint: Kind) -> Intrinsic:  # fmt: skip
    """Add to the adjoints of an operation's operands, its own being `w`."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        code, x, y, z, w, a, b, adjoint = args
        emit = _SweepEmitter(context, builder)
        one, minus_one = emit.number(1.0), emit.number(-1.0)

        def add(operand: Value, contribution: Value) -> None:
            place = builder.gep(adjoint, [operand])
            builder.store(builder.fadd(builder.load(place), contribution), place)

        def write_common() -> None:
            for operand, partials in ((a, (one, one, y)), (b, (one, minus_one, x))):
                add(operand, emit.times_of_common(w, emit.common(code, *partials)))

        def write(op: Op) -> None:
            scope = emit.shared(op, {"x": x, "y": y, "z": z})
            for k, operand in enumerate((a, b)[: op.arity]):
                if op.partials[k] != "0":
                    with builder.if_then(builder.icmp_signed(">", operand, _whole(0))):
                        add(operand, emit.product(w, op, k, scope))

        _chosen(builder, code, _DIFFERENTIATED, write, write_common)
        return context.get_dummy_value()

    return types.void(int64, *[float64] * 4, int64, int64, _SLOTS), codegen


@intrinsic
def push(
    typing_context: TypingContext, code: Kind, x: Kind, y: Kind, z: Kind, t: Kind, u: Kind
) -> Intrinsic:
    """Return the tangent of an operation, those of its operands being `t` and `u`."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        code, x, y, z, t, u = args
        emit = _SweepEmitter(context, builder)
        zero = emit.number(0.0)

        def add(total: Value, tangent: Value, product: Callable[[], Value]) -> Value:
            before = builder.block
            with builder.if_then(builder.fcmp_unordered("!=", tangent, zero)):
                sum_ = builder.fadd(total, product())
                after = builder.block
            result = builder.phi(total.type)
            result.add_incoming(total, before)
            result.add_incoming(sum_, after)
            return result

        def write_common() -> Value:
            one, minus_one = emit.number(1.0), emit.number(-1.0)
            total = zero  # of which a product with a zero tangent makes no other
            for tangent, partials in ((t, (one, one, y)), (u, (one, minus_one, x))):
                product = emit.times_of_common(tangent, emit.common(code, *partials))
                total = builder.fadd(total, product)
            return total

        def write(op: Op) -> Value:
            scope = emit.shared(op, {"x": x, "y": y, "z": z})
            total = zero
            for k, tangent in enumerate((t, u)[: op.arity]):
                if op.partials[k] != "0":
                    total = add(total, tangent, functools.partial(emit.product, tangent, op, k,
                                                                  scope))  # fmt: skip
            return total

        return _chosen(builder, code, _DIFFERENTIATED, write, write_common, otherwise=zero)

    return float64(int64, *[float64] * 5), codegen
