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
from tapegrad.record.functions.dot import product_in_numba
from tapegrad.record.kinds import (
    ActiveType,
    Array,
    active,
    expressions,
    is_active,
    kind_in,
    linearised,
)
from tapegrad.record.numba_operations import register
from tapegrad.record.stand_ins import holds_actives, is_operand, store_elements
from tapegrad.record.stopping import stop_gradient


def _ndim(kind: Kind) -> int:
    return kind.ndim if isinstance(kind, types.Array) else 0


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


def _add(a: Array, b: Array) -> Array:
    store_elements(a, a + b)
    return a


def _subtract(a: Array, b: Array) -> Array:
    store_elements(a, a - b)
    return a


def _multiply(a: Array, b: Array) -> Array:
    store_elements(a, a * b)
    return a


def _divide(a: Array, b: Array) -> Array:
    store_elements(a, a / b)
    return a


def _floor_divide(a: Array, b: Array) -> Array:
    store_elements(a, a // b)
    return a


def _remainder(a: Array, b: Array) -> Array:
    store_elements(a, a % b)
    return a


def _power(a: Array, b: Array) -> Array:
    store_elements(a, a**b)
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


# --- matrix products ---------------------------------------------------------------------------


_MATMUL = "tapegrad.matmul"


def _matmul_type(*args: Kind) -> Signature | None:
    if len(args) != 2 or product_in_numba(*args) is None:
        return None
    ndim, kind = args[0].ndim + args[1].ndim - 2, kind_in(*args)
    return signature(types.Array(kind, ndim, "C") if ndim else kind, *args)


def _lower_matmul(
    context: LoweringContext, builder: Builder, sig: Signature, args: Values
) -> Value:
    product = product_in_numba(*sig.args)
    assert product is not None
    return context.compile_internal(builder, product, sig, args)


lower_builtin(_MATMUL, types.Array, types.Array)(_lower_matmul)
for _key in (operator.matmul, np.matmul):
    type_calls(_key, _matmul_type, _MATMUL)


# --- derivatives that are zero ----------------------------------------------------------------

register(stop_gradient, "stop")


@overload(stop_gradient, strict=False)
def _(x: Kind) -> Implementation | None:
    if is_active(x):
        return None
    if not holds_actives(x):
        return lambda x: x

    def implementation(x: Array) -> Array:
        stopped = x.copy()
        for index in np.ndindex(x.shape):
            stopped[index] = stop_gradient(x[index])
        return stopped

    return implementation
