"""Whole powers, written as instructions: every sweep contains them, and none compiles them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import float64
from numba.extending import intrinsic

from tapegrad.jit import jit

_MOST = 8.0  # the largest exponent, without its sign, of which products are made


def products(x: Any, n: float, one: Any, multiply: Callable[[Any, Any], Any]) -> Any:
    """Return x to a small whole power as `emit_powi` multiplies it, or None where it does more."""
    if n not in range(int(_MOST) + 1):
        return None
    result, square, k = one, x, int(n)
    while k:
        if k & 1:
            result = square if result is one else multiply(result, square)
        k >>= 1
        if k:
            square = multiply(square, square)
    return result


def emit_powi(context: Any, builder: Any, x: Any, n: Any) -> Any:
    """Emit x to a whole power: products up to the eighth, the library's pow beyond.

    And where the reciprocal of a product that overflows isn't the power, which doesn't vanish.
    """
    kind, whole = x.type, ir.IntType(64)
    one, zero = ir.Constant(kind, 1.0), ir.Constant(kind, 0.0)
    size = builder.call(
        builder.module.declare_intrinsic("llvm.fabs", [kind], ir.FunctionType(kind, [kind])), [n]
    )
    is_small = builder.fcmp_ordered("<=", size, ir.Constant(kind, _MOST))
    bits = builder.fptoui(builder.select(is_small, size, zero), whole)
    product, square = one, x
    for bit in (1, 2, 4, 8):
        has_bit = builder.icmp_unsigned("!=", builder.and_(bits, whole(bit)), whole(0))
        product = builder.select(has_bit, builder.fmul(product, square), product)
        square = builder.fmul(square, square)
    is_negative = builder.fcmp_ordered("<", n, zero)
    result = _either(builder, is_negative, product, lambda: builder.fdiv(one, product))
    is_lost = builder.and_(is_negative, builder.fcmp_ordered("==", result, zero))
    power = context.get_function(operator.pow, float64(float64, float64))
    beyond = builder.or_(builder.not_(is_small), is_lost)
    return _either(builder, beyond, result, lambda: power(builder, (x, n)))


def _either(builder: Any, test: Any, usual: Any, otherwise: Any) -> Any:
    """Emit a jump to what is rarely wanted."""
    before = builder.block
    with builder.if_then(test, likely=False):
        found = otherwise()
        after = builder.block
    result = builder.phi(usual.type)
    result.add_incoming(usual, before)
    result.add_incoming(found, after)
    return result


@intrinsic
def _powi(typing_context: Any, x: Any, n: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return emit_powi(context, builder, *args)

    return float64(float64, float64), codegen


@jit
def powi(x: float, n: float) -> float:
    """Return x to a whole power."""
    return _powi(x, n)
