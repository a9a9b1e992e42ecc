"""Active numbers as a Numba type: whatever Numba compiles for them records itself.

An `active` is a value, the slot that holds it and the address of its tape; slot 0 is passive,
so zero-filled memory is an array of passive zeros. An operation appends one record if an
operand is active and nothing otherwise. In NumPy's memory an active is one `ACTIVE` element.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import (
    intrinsic,
    lower_builtin,
    lower_cast,
    make_attribute_wrapper,
    models,
    overload,
    register_model,
)

from tapegrad import rules
from tapegrad.jit import jit, source_stamp
from tapegrad.ops import BY_NAME, CODE, OPS
from tapegrad.record import emission

ACTIVE = np.dtype([("value", np.float64), ("slot", np.int64), ("tape", np.int64)])
"""An active number in NumPy's memory, laid out as the compiled type is."""

_CHAIN, _MULTIPLY, _INPUT = CODE["chain"], CODE["multiply"], CODE["input"]


class ActiveType(types.Type):  # type: ignore[misc]  # numba is untyped
    """The Numba type of an active number; floats and integers convert to passive ones.

    Two of them are one type only where the library's sources are the same: what a user's cache
    holds was compiled for the tapes of one version.
    """

    def __init__(self) -> None:
        self._stamp = source_stamp()
        super().__init__(name="active")

    @property
    def key(self) -> Any:
        """What types are compared by."""
        return self.name, self._stamp

    @property
    def is_internal(self) -> bool:
        """Whether Numba may fuse it into loops over arrays."""
        return True

    def can_convert_from(self, typing_context: Any, other: Any) -> Any:
        """Say how a type converts to this one, or None."""
        if isinstance(other, types.Float | types.Integer | types.Boolean):
            return Conversion.promote
        return None

    def unify(self, typing_context: Any, other: Any) -> Any:
        """Return the type that holds this and another, or None."""
        return self if isinstance(other, types.Float | types.Integer | types.Boolean) else None


active = ActiveType()


@register_model(ActiveType)
class _ActiveModel(models.StructModel):  # type: ignore[misc]
    def __init__(self, manager: Any, numba_type: Any) -> None:
        members = [("value", types.float64), ("slot", types.int64), ("tape", types.int64)]
        super().__init__(manager, numba_type, members)


for _name in ACTIVE.names or ():
    make_attribute_wrapper(ActiveType, _name, _name)


def make(context: Any, builder: Any, value: Any, slot: Any, tape: Any) -> Any:
    """Emit an active number."""
    struct = cgutils.create_struct_proxy(active)(context, builder)
    struct.value, struct.slot, struct.tape = value, slot, tape
    return struct._getvalue()


@intrinsic
def make_active(typing_context: Any, value: Any, slot: Any, tape: Any) -> Any:
    """Return an active number from its three parts."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return make(context, builder, *args)

    return active(types.float64, types.int64, types.int64), codegen


@lower_cast(types.Float, ActiveType)
@lower_cast(types.Integer, ActiveType)
@lower_cast(types.Boolean, ActiveType)
def _passive(context: Any, builder: Any, from_type: Any, to_type: Any, x: Any) -> Any:
    value = context.cast(builder, x, from_type, types.float64)
    zero = context.get_constant(types.int64, 0)
    return make(context, builder, value, zero, zero)


# --- records ----------------------------------------------------------------------------------


def number(builder: Any, kind: Any, x: Any) -> emission.Number:
    """Return a number in registers."""
    if not is_active(kind):
        return emission.Number(x)
    return emission.Number(*(builder.extract_value(x, k) for k in range(3)))


@intrinsic
def record1(typing_context: Any, code: Any, x: Any, value: Any) -> Any:
    """Return the result of a unary operation, recorded if `x` is active."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        code, x, value = args
        result = emission.record(builder, code, value, number(builder, active, x))
        return make(context, builder, *result)

    return active(types.int64, active, types.float64), codegen


@intrinsic
def record2(typing_context: Any, code: Any, x: Any, y: Any, value: Any) -> Any:
    """Return the result of a binary operation, recorded if an operand is active."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        code, x, y, value = args
        operands = [number(builder, active, operand) for operand in (x, y)]
        return make(context, builder, *emission.record(builder, code, value, *operands))

    return active(types.int64, active, active, types.float64), codegen


@jit
def record_chain(x: Any, y: Any, value: float) -> Any:
    """Return `chain(x, y)`, recorded as less where a passive factor allows it."""
    if x.slot > 0 and y.slot > 0:
        return record2(_CHAIN, x, y, value)
    passive = x.value if x.slot == 0 else y.value
    if passive == 0.0:
        return make_active(0.0, 0, 0)
    if passive == 1.0:
        return y if x.slot == 0 else x
    # A finite factor other than zero makes 0 * inf impossible on its own side only, so the
    # plain product is the same number.
    code = _MULTIPLY if passive - passive == 0.0 else _CHAIN
    return record2(code, x, y, value)


def is_active(*arguments: Any) -> bool:
    """Whether a Numba type among these is the active number's."""
    return any(isinstance(argument, ActiveType) for argument in arguments)


def is_number(argument: Any) -> bool:
    """Whether a Numba type is that of a real number, active or not."""
    return isinstance(argument, ActiveType | types.Float | types.Integer | types.Boolean)


_INSTRUCTIONS = {"add": "fadd", "subtract": "fsub", "multiply": "fmul", "divide": "fdiv",
                 "negative": "fneg"}  # fmt: skip


def value_of(context: Any, builder: Any, name: str, values: list[Any]) -> Any:
    """Emit an operation of floats."""
    if name in _INSTRUCTIONS:
        return getattr(builder, _INSTRUCTIONS[name])(*values)
    kind = signature(types.float64, *[types.float64] * len(values))
    return context.compile_internal(builder, rules.FUNCTIONS[name], kind, values)


def register(key: Any, name: str) -> None:
    """Make `key`, in compiled code, record the operation `name` when an argument is active."""
    op = BY_NAME[name]
    code = ir.Constant(ir.IntType(64), op.code)

    class Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            fits = len(args) == op.arity and not kws and all(map(is_number, args))
            if not fits or not is_active(*args):
                return None
            return signature(active, *[x if is_active(x) else types.float64 for x in args])

        def get_impl_key(self, sig: Any) -> Any:
            return _KEY, name

    Template.key = key
    infer_global(key)(Template)
    if name in _lowered:
        return
    _lowered.add(name)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        numbers = [number(builder, kind, x) for kind, x in zip(sig.args, args, strict=True)]
        value = value_of(context, builder, name, [x.value for x in numbers])
        return make(context, builder, *emission.record(builder, code, value, *numbers))

    def lower_chain(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        function = rules.FUNCTIONS[name]

        def implementation(x: Any, y: Any) -> Any:
            u, v = as_active(x), as_active(y)
            return record_chain(u, v, function(u.value, v.value))

        return context.compile_internal(builder, implementation, sig, args)

    lower_builtin((_KEY, name), types.VarArg(types.Any))(lower_chain if name == "chain" else lower)


_KEY = "tapegrad.operation"
_lowered: set[str] = set()

for _op in OPS:
    if _op.arity:
        register(rules.FUNCTIONS[_op.name], _op.name)
register(operator.add, "add")
register(operator.sub, "subtract")
register(operator.mul, "multiply")
register(operator.truediv, "divide")
register(operator.neg, "negative")


is_zero = rules.is_zero
_UNARY = np.array([op.arity == 1 for op in OPS])
_evaluate_float = rules.evaluate_float


def as_active(x):
    """Return a number as an active one; for compiled code."""


@overload(as_active, jit_options={"forceinline": True})
def _(x):
    if is_active(x):
        return lambda x: x
    return lambda x: make_active(x, 0, 0)


@overload(rules.evaluate, jit_options={"forceinline": True})
def _(code, x, y):
    if not is_active(x, y):
        return None

    def implementation(code, x, y):
        u, v = as_active(x), as_active(y)
        if code == _INPUT:
            return u
        value = _evaluate_float(code, u.value, v.value)
        return record1(code, u, value) if _UNARY[code] else record2(code, u, v, value)

    return implementation


@overload(rules.is_zero)
def _(s):
    return (lambda s: s.slot == 0 and s.value == 0.0) if is_active(s) else None


@overload(rules.wants_adjoint)
def _(operand, w):
    return (lambda operand, w: operand > 0) if is_active(w) else None


@overload(rules.primal)
def _(s):
    return (lambda s: s.value) if is_active(s) else None


@overload(rules.accumulate)
def _(s, t):
    if not is_active(s, t):
        return None

    def implementation(s, t):
        if is_zero(s):
            return t
        return s if is_zero(t) else s + t

    return implementation
