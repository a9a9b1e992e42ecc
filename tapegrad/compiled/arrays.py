"""Operators and elementwise functions of arrays in compiled code, where one holds actives.

Typing them is all there is to do: Numba fuses them into loops over scalars, whose operations are
those of `scalars`. In-place operators and matrix products are loops of ours.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
from numba import types
from numba.extending import lower_builtin, lower_cast, overload

from tapegrad.numba_internals import (
    count_as_numbers,
    leave_in_place_operators,
    only_element,
    signature,
    type_calls,
)
from tapegrad.numba_protocols import (
    Builder,
    Function,
    Implementation,
    Kind,
    LoweringContext,
    Signature,
    Value,
    Values,
)
from tapegrad.ops import OPS
from tapegrad.record.kinds import (
    ActiveType,
    Array,
    active,
    expressions,
    is_active,
    is_number,
    kind_in,
    linearised,
)


def holds_actives(kind: Kind) -> bool:
    """Whether a Numba type is that of an array of active numbers."""
    return isinstance(kind, types.Array) and is_active(kind.dtype)


def _ndim(kind: Kind) -> int:
    return kind.ndim if isinstance(kind, types.Array) else 0


def is_operand(kind: Kind) -> bool:
    """Whether a Numba type is that of a number or of an array of numbers."""
    return is_number(kind.dtype if isinstance(kind, types.Array) else kind)


def _is_elementwise(args: Sequence[Kind], arity: int) -> bool:
    """Whether arguments are arrays and numbers, an array among them and an active one."""
    return (
        len(args) == arity
        and all(map(is_operand, args))
        and any(isinstance(x, types.Array) for x in args)
        and (any(map(holds_actives, args)) or is_active(*args))
    )


def _define(key: Function, arity: int, is_boolean: bool) -> None:
    def typing(*args: Kind) -> Signature | None:
        if not _is_elementwise(args, arity):
            return None
        result = types.boolean if is_boolean else kind_in(*args)
        return signature(types.Array(result, max(map(_ndim, args)), "C"), *args)

    type_calls(key, typing)


count_as_numbers(active, linearised, *expressions.values())


def _define_all() -> None:
    for op in OPS:
        if not op.arity or not op.ufuncs:
            continue
        keys = [getattr(operator, op.operator, None)]
        keys += [getattr(np, name, None) for name in op.ufuncs]
        for key in dict.fromkeys(keys):
            if key is not None:
                _define(key, op.arity, op.boolean)


_define_all()


@lower_cast(types.Array, ActiveType)
def _cast_element(
    context: LoweringContext, builder: Builder, fromty: Kind, toty: Kind, val: Value
) -> Value:
    """Emit what an array without axes holds, as NumPy stores it in an element of another."""
    if fromty.ndim:
        raise NotImplementedError(
            f"an array of {fromty.ndim} axes can't be stored in one element of another"
        )
    element = only_element(context, builder, fromty, val)
    return context.cast(builder, element, fromty.dtype, toty)


# --- in place ---------------------------------------------------------------------------------


def store(array: Array, values: Array) -> None:
    """Copy the elements of an array into another one of its shape.

    For compiled code; compiled faster than a slice assignment, which can print both shapes.
    """


@overload(store, strict=False)
def _(array: Kind, values: Kind) -> Implementation | None:
    if array.ndim == 1:

        def elements(array: Array, values: Array) -> None:
            if array.shape != values.shape:
                raise ValueError("operands could not be broadcast together")
            for i in range(array.shape[0]):
                array[i] = values[i]

        return elements

    def rows(array: Array, values: Array) -> None:
        if array.shape != values.shape:
            raise ValueError("operands could not be broadcast together")
        for i in range(array.shape[0]):
            store(array[i], values[i])

    return rows


def _add(a: Array, b: Array) -> Array:
    store(a, a + b)
    return a


def _subtract(a: Array, b: Array) -> Array:
    store(a, a - b)
    return a


def _multiply(a: Array, b: Array) -> Array:
    store(a, a * b)
    return a


def _divide(a: Array, b: Array) -> Array:
    store(a, a / b)
    return a


def _floor_divide(a: Array, b: Array) -> Array:
    store(a, a // b)
    return a


def _remainder(a: Array, b: Array) -> Array:
    store(a, a % b)
    return a


def _power(a: Array, b: Array) -> Array:
    store(a, a**b)
    return a


_IN_PLACE = {
    operator.iadd: _add, operator.isub: _subtract, operator.imul: _multiply,
    operator.itruediv: _divide, operator.ifloordiv: _floor_divide, operator.imod: _remainder,
    operator.ipow: _power,
}  # fmt: skip


def _define_in_place(key: Function, implementation: Implementation) -> None:
    impl_key = ("tapegrad.in_place", implementation.__name__)

    def typing(*args: Kind) -> Signature | None:
        fits = _is_elementwise(args, 2) and holds_actives(args[0])
        return signature(args[0], *args) if fits else None

    def lower(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        return context.compile_internal(builder, implementation, sig, args)

    type_calls(key, typing, impl_key)
    lower_builtin(impl_key, types.Array, types.Any)(lower)


# Numba's own typing of them fails on arrays of active numbers.
leave_in_place_operators(lambda *args: any(map(holds_actives, args)))

for _key, _implementation in _IN_PLACE.items():
    _define_in_place(_key, _implementation)
