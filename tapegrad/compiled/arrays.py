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
from tapegrad.record.functions.products import product_in_numba
from tapegrad.record.kinds import (
    ActiveType,
    active,
    expressions,
    is_active,
    kind_in,
    linearised,
)
from tapegrad.record.native import register
from tapegrad.record.stand_ins import holds_actives, is_operand, store_elements
from tapegrad.record.stopping import stop_gradient

_OPERATORS: dict[str, tuple[Any, ...]] = {
    "add": (operator.add,), "subtract": (operator.sub,), "multiply": (operator.mul,),
    "divide": (operator.truediv,), "floor_divide": (operator.floordiv,),
    "remainder": (operator.mod,), "power": (operator.pow,), "negative": (operator.neg,),
    "positive": (operator.pos,), "less": (operator.lt,), "less_equal": (operator.le,),
    "greater": (operator.gt,), "greater_equal": (operator.ge,), "equal": (operator.eq,),
    "not_equal": (operator.ne,),
}  # fmt: skip


def _ndim(kind: Any) -> int:
    return kind.ndim if isinstance(kind, types.Array) else 0


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
        keys = [getattr(np, name, None) for name in op.ufuncs]
        for key in dict.fromkeys([*_OPERATORS.get(op.name, ()), *keys]):
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


def _add(a: Any, b: Any) -> Any:
    store_elements(a, a + b)
    return a


def _subtract(a: Any, b: Any) -> Any:
    store_elements(a, a - b)
    return a


def _multiply(a: Any, b: Any) -> Any:
    store_elements(a, a * b)
    return a


def _divide(a: Any, b: Any) -> Any:
    store_elements(a, a / b)
    return a


def _floor_divide(a: Any, b: Any) -> Any:
    store_elements(a, a // b)
    return a


def _remainder(a: Any, b: Any) -> Any:
    store_elements(a, a % b)
    return a


def _power(a: Any, b: Any) -> Any:
    store_elements(a, a**b)
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


# --- matrix products ---------------------------------------------------------------------------


class _MatMul(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        if kws or len(args) != 2 or product_in_numba(*args) is None:
            return None
        ndim = args[0].ndim + args[1].ndim - 2
        kind = kind_in(*args)
        return signature(types.Array(kind, ndim, "C") if ndim else kind, *args)

    def get_impl_key(self, sig: Any) -> Any:
        return _MATMUL


_MATMUL = "tapegrad.matmul"


def _lower_matmul(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return context.compile_internal(builder, product_in_numba(*sig.args), sig, args)


lower_builtin(_MATMUL, types.Array, types.Array)(_lower_matmul)
for _key in (operator.matmul, np.matmul):
    infer_global(_key)(type("_MatMul", (_MatMul,), {"key": _key}))


# --- derivatives that are zero ----------------------------------------------------------------

register(stop_gradient, "stop")


@overload(stop_gradient, strict=False)
def _(x: Any) -> Any:
    if is_active(x):
        return None
    if not holds_actives(x):
        return lambda x: x

    def implementation(x: Any) -> Any:
        stopped = x.copy()
        for index in np.ndindex(x.shape):
            stopped[index] = stop_gradient(x[index])
        return stopped

    return implementation
