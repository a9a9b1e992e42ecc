"""Active numbers as a Numba type: whatever Numba compiles for them records itself.

An `active` is a value, the slot that holds it and the address of its tape; slot 0 is passive,
so zero-filled memory is an array of passive zeros. An operation appends one record if an
operand is active and nothing otherwise. In NumPy's memory an active is one `ACTIVE` element.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
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
from tapegrad.jit import jit
from tapegrad.ops import BY_NAME, CODE, OPS
from tapegrad.record import emission

ACTIVE = np.dtype([("value", np.float64), ("slot", np.int64), ("tape", np.int64)])
"""An active number in NumPy's memory, laid out as the compiled type is."""

_CHAIN, _MULTIPLY, _INPUT = CODE["chain"], CODE["multiply"], CODE["input"]


class ActiveType(types.Type):  # type: ignore[misc]  # numba is untyped
    """The Numba type of an active number; floats and integers convert to passive ones."""

    def __init__(self) -> None:
        super().__init__(name="active")

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


def _make(context: Any, builder: Any, value: Any, slot: Any, tape: Any) -> Any:
    number = cgutils.create_struct_proxy(active)(context, builder)
    number.value, number.slot, number.tape = value, slot, tape
    return number._getvalue()


@intrinsic
def make_active(typing_context: Any, value: Any, slot: Any, tape: Any) -> Any:
    """Return an active number from its three parts."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _make(context, builder, *args)

    return active(types.float64, types.int64, types.int64), codegen


@lower_cast(types.Float, ActiveType)
@lower_cast(types.Integer, ActiveType)
@lower_cast(types.Boolean, ActiveType)
def _passive(context: Any, builder: Any, from_type: Any, to_type: Any, number: Any) -> Any:
    value = context.cast(builder, number, from_type, types.float64)
    zero = context.get_constant(types.int64, 0)
    return _make(context, builder, value, zero, zero)


# --- records ----------------------------------------------------------------------------------


def _number(builder: Any, kind: Any, x: Any) -> emission.Number:
    if not isinstance(kind, ActiveType):
        return emission.Number(x)
    return emission.Number(*(builder.extract_value(x, k) for k in range(3)))


@intrinsic
def record1(typing_context: Any, code: Any, x: Any, value: Any) -> Any:
    """Return the result of a unary operation, recorded if `x` is active."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        code, x, value = args
        result = emission.record(builder, code, value, _number(builder, active, x))
        return _make(context, builder, *result)

    return active(types.int64, active, types.float64), codegen


@intrinsic
def record2(typing_context: Any, code: Any, x: Any, y: Any, value: Any) -> Any:
    """Return the result of a binary operation, recorded if an operand is active."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        code, x, y, value = args
        operands = [_number(builder, active, number) for number in (x, y)]
        return _make(context, builder, *emission.record(builder, code, value, *operands))

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


def _is_active(*arguments: Any) -> bool:
    return any(isinstance(argument, ActiveType) for argument in arguments)


def _is_number(argument: Any) -> bool:
    return isinstance(argument, ActiveType | types.Float | types.Integer | types.Boolean)


def _register(key: Callable[..., Any], name: str) -> None:
    """Make `key`, in compiled code, record the operation `name` when an argument is active."""
    op = BY_NAME[name]
    code, function = op.code, rules.FUNCTIONS[name]
    implementation: Callable[..., Any]
    if name == "chain":
        implementation = lambda x, y: record_chain(x, y, function(x.value, y.value))  # noqa: E731
    elif op.arity == 1:
        implementation = lambda x: record1(code, x, function(x.value))  # noqa: E731
    else:
        implementation = lambda x, y: record2(code, x, y, function(x.value, y.value))  # noqa: E731

    class Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            fits = len(args) == op.arity and not kws and all(map(_is_number, args))
            return signature(active, *[active] * op.arity) if fits and _is_active(*args) else None

    Template.key = key
    infer_global(key)(Template)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.compile_internal(builder, implementation, sig, args)

    lower_builtin(key, *[active] * op.arity)(lower)


for _op in OPS:
    if _op.arity:
        _register(rules.FUNCTIONS[_op.name], _op.name)
_register(operator.add, "add")
_register(operator.sub, "subtract")
_register(operator.mul, "multiply")
_register(operator.truediv, "divide")
_register(operator.neg, "negative")


is_zero = rules.is_zero
_UNARY = np.array([op.arity == 1 for op in OPS])
_evaluate_float = rules.evaluate_float


def as_active(x):
    """Return a number as an active one; for compiled code."""


@overload(as_active, jit_options={"forceinline": True})
def _(x):
    if _is_active(x):
        return lambda x: x
    return lambda x: make_active(x, 0, 0)


@overload(rules.evaluate, jit_options={"forceinline": True})
def _(code, x, y):
    if not _is_active(x, y):
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
    return (lambda s: s.slot == 0 and s.value == 0.0) if _is_active(s) else None


@overload(rules.wants_adjoint)
def _(operand, w):
    return (lambda operand, w: operand > 0) if _is_active(w) else None


@overload(rules.primal)
def _(s):
    return (lambda s: s.value) if _is_active(s) else None


@overload(rules.accumulate)
def _(s, t):
    if not _is_active(s, t):
        return None

    def implementation(s, t):
        if is_zero(s):
            return t
        return s if is_zero(t) else s + t

    return implementation
