"""Operators and elementwise functions of arrays in compiled code, where one holds actives.

Typing them is all there is to do: Numba fuses them into loops over scalars, whose operations are
those of `scalars`. In-place operators and matrix products are loops of ours.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numba import types
from numba.core.typing import npydecl
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, lower_cast, overload
from numba.np import arrayobj

from tapegrad.ops import OPS
from tapegrad.record.kinds import (
    ActiveType,
    active,
    expressions,
    is_active,
    is_number,
    kind_in,
    linearised,
)


def holds_actives(kind: Any) -> bool:
    """Whether a Numba type is that of an array of active numbers."""
    return isinstance(kind, types.Array) and is_active(kind.dtype)


def _ndim(kind: Any) -> int:
    return kind.ndim if isinstance(kind, types.Array) else 0


def is_operand(kind: Any) -> bool:
    """Whether a Numba type is that of a number or of an array of numbers."""
    return is_number(kind.dtype if isinstance(kind, types.Array) else kind)


def _is_elementwise(args: Any, arity: int) -> bool:
    """Whether arguments are arrays and numbers, an array among them and an active one."""
    return (
        len(args) == arity
        and all(map(is_operand, args))
        and any(isinstance(x, types.Array) for x in args)
        and (any(map(holds_actives, args)) or is_active(*args))
    )


def _define(key: Any, arity: int, is_boolean: bool) -> None:
    class Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            if kws or not _is_elementwise(args, arity):
                return None
            result = types.boolean if is_boolean else kind_in(*args)
            return signature(types.Array(result, max(map(_ndim, args)), "C"), *args)

    Template.key = key
    infer_global(key)(Template)


# What Numba takes for a scalar in a loop over arrays.
types.number_domain |= {active, linearised, *expressions.values()}


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
def _cast_element(context: Any, builder: Any, fromty: Any, toty: Any, val: Any) -> Any:
    """Emit what an array without axes holds, as NumPy stores it in an element of another."""
    if fromty.ndim:
        raise NotImplementedError(
            f"an array of {fromty.ndim} axes can't be stored in one element of another"
        )
    array = arrayobj.make_array(fromty)(context, builder, val)
    element = arrayobj.load_item(context, builder, fromty, array.data)
    return context.cast(builder, element, fromty.dtype, toty)


# --- in place ---------------------------------------------------------------------------------


def store(array: Any, values: Any) -> None:
    """Copy the elements of an array into another one of its shape.

    For compiled code; compiled faster than a slice assignment, which can print both shapes.
    """


@overload(store, strict=False)
def _(array: Any, values: Any) -> Any:
    if array.ndim == 1:

        def elements(array: Any, values: Any) -> None:
            if array.shape != values.shape:
                raise ValueError("operands could not be broadcast together")
            for i in range(array.shape[0]):
                array[i] = values[i]

        return elements

    def rows(array: Any, values: Any) -> None:
        if array.shape != values.shape:
            raise ValueError("operands could not be broadcast together")
        for i in range(array.shape[0]):
            store(array[i], values[i])

    return rows


def _add(a: Any, b: Any) -> Any:
    store(a, a + b)
    return a


def _subtract(a: Any, b: Any) -> Any:
    store(a, a - b)
    return a


def _multiply(a: Any, b: Any) -> Any:
    store(a, a * b)
    return a


def _divide(a: Any, b: Any) -> Any:
    store(a, a / b)
    return a


def _floor_divide(a: Any, b: Any) -> Any:
    store(a, a // b)
    return a


def _remainder(a: Any, b: Any) -> Any:
    store(a, a % b)
    return a


def _power(a: Any, b: Any) -> Any:
    store(a, a**b)
    return a


_IN_PLACE = {
    operator.iadd: _add, operator.isub: _subtract, operator.imul: _multiply,
    operator.itruediv: _divide, operator.ifloordiv: _floor_divide, operator.imod: _remainder,
    operator.ipow: _power,
}  # fmt: skip


def _define_in_place(key: Any, implementation: Any) -> None:
    impl_key = ("tapegrad.in_place", implementation.__name__)

    class Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            if kws or not _is_elementwise(args, 2) or not holds_actives(args[0]):
                return None
            return signature(args[0], *args)

        def get_impl_key(self, sig: Any) -> Any:
            return impl_key

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.compile_internal(builder, implementation, sig, args)

    Template.key = key
    infer_global(key)(Template)
    lower_builtin(impl_key, types.Array, types.Any)(lower)


_plain_generic = npydecl.NumpyRulesInplaceArrayOperator.generic


def _generic(self: Any, args: Any, kws: Any) -> Any:
    """Leave arrays of active numbers to the templates above: Numba's own fails on them."""
    return None if any(map(holds_actives, args)) else _plain_generic(self, args, kws)


npydecl.NumpyRulesInplaceArrayOperator.generic = _generic

for _key, _implementation in _IN_PLACE.items():
    _define_in_place(_key, _implementation)
