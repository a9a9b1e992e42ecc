"""Derivatives for the user's own compiled code: recorded and swept without Python in between."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, float64, int32, int64, intc, njit, types, uint8
from numba.core import cgutils
from numba.core.dispatcher import Dispatcher
from numba.core.errors import TypingError
from numba.core.typing.templates import signature
from numba.extending import intrinsic, overload, register_jitable

from tapegrad.compiled import pool
from tapegrad.compiled.rewriting import forms, twin
from tapegrad.compiled.sweeping import (
    clear,
    provide,
    record_gradient,
    sweep_back,
    sweep_forward,
    values_of,
)
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.memory import pointer
from tapegrad.ops import CODE
from tapegrad.record.native import active, as_active, is_number, make_active
from tapegrad.tape import COUNT_WORD, FAILED_WORD, RECORDS

_N = COUNT_WORD[RECORDS]
_INPUT = CODE["input"]

# --- what a form does around the user's function ----------------------------------------------


@register_jitable
def _begin(x: Any) -> Any:
    """Return an empty tape and its inputs, an active array like `x`."""
    address = pool.take()
    if address == 0:
        raise MemoryError("there is no memory for a tape")
    inputs = np.zeros(x.size, active)
    pool.reserve(address, RECORDS, x.size)
    head = pointer(address, int64)
    if head[FAILED_WORD] == 0:
        op, a = pointer(head[_N + 2], uint8), pointer(head[_N + 3], int32)
        b, value = pointer(head[_N + 4], int32), pointer(head[_N + 5], float64)
        i = 0
        for number in x.flat:
            i += 1
            op[i], a[i], b[i], value[i] = _INPUT, i, 0, number
            inputs[i - 1] = make_active(number, i, address)
        head[_N] = i + 1
    return address, inputs.reshape(x.shape)


@register_jitable
def _check(address: int) -> None:
    head = pointer(address, int64)
    if head[FAILED_WORD] != 0:
        raise MemoryError("no memory for a tape of so many entries", head[FAILED_WORD])


def _number(y: Any) -> Any:
    """Return a function's result as an active number."""


@overload(_number, strict=False)
def _(y: Any) -> Any:
    if is_number(y):
        return lambda y: as_active(y)
    raise TypingError(f"a gradient is that of a number, and the function returns {y}: "
                      "use tapegrad.jacobian")  # fmt: skip


def _numbers(y: Any) -> Any:
    """Return a function's result as an array or tuple of numbers."""


@overload(_numbers, strict=False)
def _(y: Any) -> Any:
    if (isinstance(y, types.Array) and y.ndim == 1) or isinstance(y, types.UniTuple | types.List):
        return lambda y: y
    if is_number(y):
        return lambda y: (y,)
    raise TypingError("a derivative in compiled code is that of a number, a tuple of numbers or "
                      f"an array of one axis, and the function returns {y}")  # fmt: skip


@register_jitable
def _fill(out: Any, count: int, address: int) -> None:
    """Copy `count` numbers from an address into an array."""
    if out.size != count:
        raise ValueError("`out` has another size than the derivative has")
    numbers = pointer(address, float64)
    for i in range(count):
        out.flat[i] = numbers[i]


@register_jitable
def _reverse(address: int, values: int, y: Any, n: int, out: Any) -> None:
    if y.slot == 0:
        out[...] = 0.0
    else:
        _fill(out, n, sweep_back(address, values, y.slot) + 8)


@register_jitable
def _forward(address: int, values: int, direction: Any, n: int) -> Any:
    """Return the tangents of all slots."""
    if direction.size != n:
        raise ValueError("the direction has another size than the point")
    tangents = clear(address, values)
    numbers = pointer(tangents, float64)
    for i in range(n):
        numbers[i + 1] = direction.flat[i]
    sweep_forward(address, values, tangents)
    return numbers


# --- the derivatives --------------------------------------------------------------------------


@njit(nogil=True)
def _value_and_gradient(function: Any, args: Any, address: int, out: Any) -> float:
    y = _number(function(*args))
    _check(address)
    _reverse(address, values_of(address), y, args[0].size, out)
    return y.value


@njit(nogil=True)
def _jacobian(function: Any, args: Any, address: int, out: Any) -> None:
    y, n = _numbers(function(*args)), args[0].size
    _check(address)
    values = values_of(address)
    if out.shape != (len(y), n):
        raise ValueError("`out` has another shape than (outputs, inputs)")
    if n < len(y):
        direction = np.zeros(n)
        for j in range(n):
            direction[j] = 1.0
            tangents = _forward(address, values, direction, n)
            direction[j] = 0.0
            for i in range(len(y)):
                out[i, j] = tangents[as_active(y[i]).slot]
    else:
        for i in range(len(y)):
            _reverse(address, values, as_active(y[i]), n, out[i])


@njit(nogil=True)
def _directional(function: Any, args: Any, address: int, target: Any) -> None:
    y = _numbers(function(*args))
    _check(address)
    direction, out = target
    if out.size != len(y):
        raise ValueError("`out` has another size than the function's result")
    tangents = _forward(address, values_of(address), direction, args[0].size)
    for i in range(len(y)):
        out[i] = tangents[as_active(y[i]).slot]


@register_jitable
def _gradient_slots(y: Any, address: int, n: int) -> Any:
    """Record the reverse sweep, and return the slots of the gradient's elements."""
    _check(address)
    slots = np.zeros(n, np.int64)
    if y.slot > 0 and record_gradient(address, y.slot, n, slots.ctypes.data) != 0:
        raise MemoryError("no memory to sweep a tape of so many slots", y.slot)
    _check(address)
    return slots


@njit(nogil=True)
def _hessian_product(function: Any, args: Any, address: int, target: Any) -> None:
    y, n = _number(function(*args)), args[0].size
    slots = _gradient_slots(y, address, n)
    direction, out = target
    if out.size != n:
        raise ValueError("`out` has another size than the point")
    tangents = _forward(address, values_of(address), direction, n)
    for i in range(n):
        out.flat[i] = tangents[slots[i]]


@njit(nogil=True)
def _hessian(function: Any, args: Any, address: int, out: Any) -> None:
    y, n = _number(function(*args)), args[0].size
    slots = _gradient_slots(y, address, n)
    if out.shape != (n, n):
        raise ValueError("`out` has another shape than (inputs, inputs)")
    values, direction = values_of(address), np.zeros(n)
    for j in range(n):
        direction[j] = 1.0
        tangents = _forward(address, values, direction, n)
        direction[j] = 0.0
        for i in range(n):
            out[i, j] = tangents[slots[i]]


@intrinsic
def _with_tape(typing_context: Any, work: Any, function: Any, args: Any, address: Any,
               target: Any) -> Any:  # fmt: skip
    """Call `work(function, args, address, target)`, and give the tape back whatever happens.

    Numba has no way to run code when an exception passes, so the call's status is looked at
    here. The address in the code keeps it out of caches: another process has no such function.
    """
    kinds = (function, args, address, target)
    sig = signature(work.get_call_type(typing_context, kinds, {}).return_type, work, *kinds)

    def call(work: Any, function: Any, args: Any, address: int, target: Any) -> Any:
        return work(function, args, address, target)

    def codegen(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        callee = context.compile_subroutine(builder, call, sig).fndesc
        status, result = context.call_internal_no_propagate(builder, callee, sig, values)
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)]).as_pointer()
        finish = context.add_dynamic_addr(builder, pool.finish.address(), "tapegrad_finish")
        builder.call(builder.bitcast(finish, kind), [values[3]])
        with cgutils.if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return result

    return sig, codegen


# --- the forms --------------------------------------------------------------------------------


def _compiled_function(function: Any, second_order: bool) -> Any:
    if not isinstance(function, Dispatcher):
        name = getattr(function, "__qualname__", repr(function))
        raise UnsupportedFunctionError(
            f"{name} is not compiled, so its derivative can't be called from compiled code: "
            "decorate it with numba.njit"
        )
    provide(second_order)
    return twin(function)


def _form(work: Any, function: Any, second_order: bool = False) -> Any:
    """Return `form(x, *args, out)`."""
    inner = _compiled_function(function, second_order)

    @njit(nogil=True)
    def form(x: Any, *args: Any) -> Any:
        address, inputs = _begin(x)
        all_args = (inputs,) + args[:-1]  # Numba can't put them in one display
        return _with_tape(work, inner, all_args, address, args[-1])

    forms.add(form)
    return form


def _form_in_direction(work: Any, function: Any, second_order: bool = False) -> Any:
    """Return `form(x, direction, *args, out)`."""
    inner = _compiled_function(function, second_order)

    @njit(nogil=True)
    def form(x: Any, direction: Any, *args: Any) -> Any:
        address, inputs = _begin(x)
        all_args = (inputs,) + args[:-1]
        return _with_tape(work, inner, all_args, address, (direction, args[-1]))

    forms.add(form)
    return form


def value_and_gradient(function: Any) -> Any:
    """Return `form(x, *args, out)` for compiled code: the value, and the gradient in `out`."""
    return _form(_value_and_gradient, function)


def jacobian(function: Any) -> Any:
    """Return `form(x, *args, out)` for compiled code, which fills the Jacobian of a vector."""
    return _form(_jacobian, function)


def jvp(function: Any) -> Any:
    """Return `form(x, v, *args, out)` for compiled code, which fills a derivative along `v`."""
    return _form_in_direction(_directional, function)


def hessian_product(function: Any) -> Any:
    """Return `form(x, v, *args, out)` for compiled code, which fills the Hessian times `v`."""
    return _form_in_direction(_hessian_product, function, second_order=True)


def hessian(function: Any) -> Any:
    """Return `form(x, *args, out)` for compiled code, which fills the Hessian."""
    return _form(_hessian, function, second_order=True)


def c_function(function: Any) -> Any:
    """Return a C function `double f(double *x, double *gradient, int64_t n)`."""
    form = value_and_gradient(function)

    @cfunc(float64(types.CPointer(float64), types.CPointer(float64), int64), nopython=True)
    def value(x: Any, gradient: Any, n: int) -> Any:
        out = carray(gradient, (n,))
        try:
            return form(carray(x, (n,)), out)
        except Exception:  # C has none
            out[...] = np.nan
            return np.nan

    return value


def c_integrand(function: Any) -> Any:
    """Return a C function `double f(int n, double *x)`, the derivative by the first element."""
    form = value_and_gradient(function)

    @cfunc(float64(intc, types.CPointer(float64)), nopython=True)
    def derivative(n: int, x: Any) -> Any:
        out = np.empty(n)
        try:
            form(carray(x, (n,)), out)
        except Exception:  # C has none
            out[0] = np.nan
        return out[0]

    return derivative
