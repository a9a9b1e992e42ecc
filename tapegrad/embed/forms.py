"""Derivatives for the user's own compiled code: recorded and swept without Python in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba import TypingError, carray, cfunc, float64, int32, int64, intc, njit, types, uint8
from numba.extending import intrinsic, overload, register_jitable

from tapegrad.embed import pool
from tapegrad.embed.sweeping import (
    clear_linearised,
    clear_recorded,
    lay_out,
    provide,
    record_gradient,
    reverse_linearised,
    tangent_linearised,
    tangent_recorded,
    without_memory,
)
from tapegrad.errors import NoCompiledFormError, TapeMemoryError
from tapegrad.layout import COUNT_WORD, FAILED_WORD, RECORDS, STATEMENTS
from tapegrad.memory import Pointer, pointer
from tapegrad.numba_internals import if_unlikely, is_compiled, signature, wrap_compiling
from tapegrad.numba_protocols import (
    Builder,
    Dispatcher,
    Function,
    Implementation,
    Intrinsic,
    Kind,
    LoweringContext,
    Signature,
    TypingContext,
    Value,
    Values,
)
from tapegrad.ops import CODE
from tapegrad.record.kinds import ActiveValue, Array, Operand, active, is_number, linearised
from tapegrad.record.numba import loading
from tapegrad.record.numba.explanation import explaining
from tapegrad.record.numba.rewriting import forms, twin
from tapegrad.record.numba_operations import as_active, make_active, make_linearised

_N, _N_STATEMENTS = COUNT_WORD[RECORDS], COUNT_WORD[STATEMENTS]
_INPUT = CODE["input"]

Arguments: TypeAlias = tuple[Any, ...]
Target: TypeAlias = tuple[Array, Array]
"""A direction, and where the derivative along it is written."""

# --- what a form does around the user's function ----------------------------------------------


@register_jitable
def _new_tape() -> int:
    address = pool.take()
    if address == 0:
        raise TapeMemoryError("there is no memory for a tape")
    return address


@register_jitable
def _linearised_inputs(address: int, x: Array) -> Array:
    """Return an array like `x` of inputs of an empty tape."""
    inputs = np.zeros(x.size, linearised)
    pool.reserve(address, STATEMENTS, x.size)
    head = pointer(address, int64)
    if head[FAILED_WORD] == 0:
        first = pointer(head[_N_STATEMENTS + 2], int32)
        for i in range(x.size):
            first[i + 1] = 0
            inputs[i] = make_linearised(x.flat[i], i + 1, address)
        head[_N_STATEMENTS] = x.size + 1
    return inputs.reshape(x.shape)


@register_jitable
def _recorded_inputs(address: int, x: Array) -> Array:
    """Return an array like `x` of inputs of an empty tape."""
    inputs = np.zeros(x.size, active)
    pool.reserve(address, RECORDS, x.size)
    head = pointer(address, int64)
    if head[FAILED_WORD] == 0:
        op, a = pointer(head[_N + 2], uint8), pointer(head[_N + 3], int32)
        b, value = pointer(head[_N + 4], int32), pointer(head[_N + 5], float64)
        for i in range(x.size):
            op[i + 1], a[i + 1], b[i + 1], value[i + 1] = _INPUT, i + 1, 0, x.flat[i]
            inputs[i] = make_active(x.flat[i], i + 1, address)
        head[_N] = x.size + 1
    return inputs.reshape(x.shape)


@register_jitable
def _check(address: int) -> None:
    head = pointer(address, int64)
    if head[FAILED_WORD] != 0:
        raise TapeMemoryError("no memory for a tape of this many entries", head[FAILED_WORD])


def _number(y: ActiveValue) -> Any:
    """Return a function's result as an active number."""


@overload(_number, strict=False)
def _(y: Kind) -> Implementation | None:
    if is_number(y):
        return lambda y: as_active(y)
    raise TypingError(f"a gradient is that of a number, and the function returns {y}: "
                      "use tapegrad.jacobian")  # fmt: skip


def _numbers(y: Operand) -> Any:
    """Return a function's result as an array or tuple of numbers."""


@overload(_numbers, strict=False)
def _(y: Kind) -> Implementation | None:
    if (isinstance(y, types.Array) and y.ndim == 1) or isinstance(y, types.UniTuple | types.List):
        return lambda y: y
    if is_number(y):
        return lambda y: (y,)
    raise TypingError("a derivative in compiled code is that of a number, a tuple of numbers or "
                      f"an array of one axis, and the function returns {y}")  # fmt: skip


@register_jitable
def _cleared(address: int) -> int:
    """Return a cleared workspace of a linearised tape."""
    swept = clear_linearised(address)
    if swept == 0:
        without_memory(pointer(address, int64)[_N_STATEMENTS])
    return swept


@register_jitable
def _reverse(address: int, y: ActiveValue, out: Array) -> None:
    """Fill `out` with the adjoints of the first slots for that of `y` being one."""
    out[...] = 0.0
    if y.slot != 0:
        swept = _cleared(address)
        reverse_linearised(address, swept, y.slot)
        adjoints = pointer(swept, float64)
        for i in range(out.size):
            out.flat[i] = adjoints[i + 1]


@register_jitable
def _seed(swept: int, direction: Array) -> Pointer[float]:
    tangents = pointer(swept, float64)
    for i in range(direction.size):
        tangents[i + 1] = direction.flat[i]
    return tangents


# --- the derivatives --------------------------------------------------------------------------


@njit(nogil=True)
def _value_and_gradient(function: Function, args: Arguments, address: int, out: Array) -> float:
    y = _number(function(*args))
    _check(address)
    if out.size != args[0].size:
        raise ValueError("`out` has another size than the point")
    _reverse(address, y, out)
    return y.value


@njit(nogil=True)
def _jacobian(function: Function, args: Arguments, address: int, out: Array) -> None:
    y, n = _numbers(function(*args)), args[0].size
    _check(address)
    if out.shape != (len(y), n):
        raise ValueError("`out` has another shape than (outputs, inputs)")
    if n < len(y):
        direction = np.zeros(n)
        for j in range(n):
            direction[j] = 1.0
            swept = _cleared(address)
            tangents = _seed(swept, direction)
            tangent_linearised(address, swept)
            direction[j] = 0.0
            for i in range(len(y)):
                out[i, j] = tangents[as_active(y[i]).slot]
    else:
        for i in range(len(y)):
            _reverse(address, as_active(y[i]), out[i])


@njit(nogil=True)
def _directional(function: Function, args: Arguments, address: int, target: Target) -> None:
    y = _numbers(function(*args))
    _check(address)
    direction, out = target
    if out.size != len(y):
        raise ValueError("`out` has another size than the function's result")
    if direction.size != args[0].size:
        raise ValueError("the direction has another size than the point")
    swept = _cleared(address)
    tangents = _seed(swept, direction)
    tangent_linearised(address, swept)
    for i in range(len(y)):
        out[i] = tangents[as_active(y[i]).slot]


@register_jitable
def _gradient_slots(y: ActiveValue, address: int, n: int) -> Array:
    """Record the reverse sweep, and return the slots of the gradient's elements."""
    _check(address)
    slots = np.zeros(n, np.int64)
    if y.slot > 0 and record_gradient(address, y.slot, n, slots.ctypes.data) != 0:
        without_memory(y.slot)
    _check(address)
    return slots


@register_jitable
def _laid_out(address: int) -> int:
    values = lay_out(address)
    if values == 0:
        without_memory(pointer(address, int64)[_N])
    return values


@register_jitable
def _product(address: int, values: int, slots: Array, direction: Array, out: Array) -> None:
    """Fill `out` with the tangents of some slots."""
    swept = clear_recorded(address, values)
    tangents = _seed(swept, direction)
    tangent_recorded(address, values, swept)
    for i in range(out.size):
        out.flat[i] = tangents[slots[i]]


@njit(nogil=True)
def _hessian_product(function: Function, args: Arguments, address: int, target: Target) -> None:
    y, n = _number(function(*args)), args[0].size
    slots = _gradient_slots(y, address, n)
    direction, out = target
    if out.size != n or direction.size != n:
        raise ValueError("the direction or `out` has another size than the point")
    _product(address, _laid_out(address), slots, direction, out)


@njit(nogil=True)
def _hessian(function: Function, args: Arguments, address: int, out: Array) -> None:
    y, n = _number(function(*args)), args[0].size
    slots = _gradient_slots(y, address, n)
    if out.shape != (n, n):
        raise ValueError("`out` has another shape than (inputs, inputs)")
    values, direction = _laid_out(address), np.zeros(n)
    for j in range(n):
        direction[j] = 1.0
        _product(address, values, slots, direction, out[:, j])
        direction[j] = 0.0


@intrinsic
def _with_tape(typing_context: TypingContext, work: Kind, function: Kind, args: Kind, address: Kind,
               target: Kind) -> Intrinsic:  # fmt: skip
    """Call `work(function, args, address, target)`, and give the tape back whatever happens.

    Numba has no way to run code when an exception passes, so the call's status is looked at
    here. The address in the code keeps it out of caches: another process has no such function.
    """
    kinds = (function, args, address, target)
    sig = signature(work.get_call_type(typing_context, kinds, {}).return_type, work, *kinds)

    def call(work: Any, function: Any, args: Arguments, address: int, target: Any) -> Any:
        return work(function, args, address, target)

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        callee = context.compile_subroutine(builder, call, sig).fndesc
        status, result = context.call_internal_no_propagate(builder, callee, sig, args)
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)]).as_pointer()
        finish = context.add_dynamic_addr(builder, pool.finish.address(), "tapegrad_finish")
        builder.call(builder.bitcast(finish, kind), [args[3]])
        with if_unlikely(builder, status.is_error):
            context.call_conv.return_status_propagate(builder, status)
        return result

    return sig, codegen


# --- the forms --------------------------------------------------------------------------------


def _form(work: Implementation, function: Function, second_order: bool = False,
          has_direction: bool = False) -> Dispatcher:  # fmt: skip
    """Return `form(x, *args, out)`, or `form(x, direction, *args, out)`."""
    if not is_compiled(function):
        name = getattr(function, "__qualname__", repr(function))
        raise NoCompiledFormError(
            f"{name} is not compiled, so its derivative can't be called from compiled code: "
            "decorate it with numba.njit"
        )
    loading.load()
    provide(second_order)
    # A derivative of first order is swept once, so partials are all that its tape need hold.
    inner = twin(function, active if second_order else linearised)
    inputs_on = _recorded_inputs if second_order else _linearised_inputs

    @njit(nogil=True)
    def form(x: Array, *args: Any) -> Any:
        address = _new_tape()
        all_args = (inputs_on(address, x),) + args[:-1]  # Numba can't put them in one display
        return _with_tape(work, inner, all_args, address, args[-1])

    @njit(nogil=True)
    def form_in_direction(x: Array, direction: Array, *args: Any) -> Any:
        address = _new_tape()
        all_args = (inputs_on(address, x),) + args[:-1]
        return _with_tape(work, inner, all_args, address, (direction, args[-1]))

    chosen = form_in_direction if has_direction else form
    forms.add(chosen)
    _explain_errors(chosen, ("x", "v", "*args", "out") if has_direction else ("x", "*args", "out"))
    return chosen


def _explain_errors(form: Dispatcher, arguments: tuple[str, ...]) -> None:
    """Have a form that is called from Python raise errors of ours."""

    def wrap(compile_for_args: Callable[..., Any]) -> Callable[..., Any]:
        compile_for = explaining(compile_for_args)

        def checked(*args: Any, **kwargs: Any) -> Any:
            if kwargs or not args[-1]:  # the arguments that the star takes, in a tuple
                raise TypeError(f"it takes ({', '.join(arguments)}), by position")
            return compile_for(*args)

        return checked

    wrap_compiling(form, wrap)


def value_and_gradient(function: Function) -> Dispatcher:
    """Return `form(x, *args, out)` for compiled code: the value, and the gradient in `out`."""
    return _form(_value_and_gradient, function)


def jacobian(function: Function) -> Dispatcher:
    """Return `form(x, *args, out)` for compiled code, which fills the Jacobian of a vector."""
    return _form(_jacobian, function)


def jvp(function: Function) -> Dispatcher:
    """Return `form(x, v, *args, out)` for compiled code, which fills a derivative along `v`."""
    return _form(_directional, function, has_direction=True)


def hessian_product(function: Function) -> Dispatcher:
    """Return `form(x, v, *args, out)` for compiled code, which fills the Hessian times `v`."""
    return _form(_hessian_product, function, second_order=True, has_direction=True)


def hessian(function: Function) -> Dispatcher:
    """Return `form(x, *args, out)` for compiled code, which fills the Hessian."""
    return _form(_hessian, function, second_order=True)


def _as_c(signature: Signature) -> Any:
    """Return a decorator that makes a function one that C can call."""
    return explaining(cfunc(signature, nopython=True))


def c_function(function: Function) -> Any:
    """Return a C function `double f(double *x, double *gradient, int64_t n)`."""
    form = value_and_gradient(function)

    @_as_c(float64(types.CPointer(float64), types.CPointer(float64), int64))
    def value(x: Pointer[float], gradient: Pointer[float], n: int) -> float:
        out = carray(gradient, (n,))
        try:
            return form(carray(x, (n,)), out)
        except Exception:  # C has none
            out[...] = np.nan
            return np.nan

    return value


def c_integrand(function: Function) -> Any:
    """Return a C function `double f(int n, double *x)`, the derivative by the first element."""
    form = value_and_gradient(function)

    @_as_c(float64(intc, types.CPointer(float64)))
    def derivative(n: int, x: Pointer[float]) -> float:
        out = np.empty(n)
        try:
            form(carray(x, (n,)), out)
        except Exception:  # C has none
            out[0] = np.nan
        return out[0]

    return derivative
