"""Active numbers and arrays going into and coming out of compiled functions.

What comes in is brought to the innermost recording; Python's pending records are written first,
and Python takes note of what compiled code appended when it returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import UnsupportedError, types
from numba.extending import NativeValue, box, overload_method, unbox

from tapegrad.errors import UnsupportedFunctionError
from tapegrad.numba_internals import (
    alloca_once,
    alloca_once_value,
    boxing,
    is_entering_object_mode,
    is_null,
    unboxing,
)
from tapegrad.numba_protocols import BoxContext, Kind, UnboxContext, Value
from tapegrad.record.active import Active, make
from tapegrad.record.array import ActiveArray, Data, as_data
from tapegrad.record.kinds import ACTIVE, ActiveType, ExpressionType, active, is_active, kind_in
from tapegrad.record.nesting import current, innermost, slot_on
from tapegrad.record.numba_operations import make as emit_active
from tapegrad.record.open_tape import OpenTape

# --- what the wrappers of compiled functions call ---------------------------------------------


def _open_tape(tape: OpenTape) -> OpenTape:
    tape.enter()
    tape = innermost([current(), tape])
    tape.flush()
    return tape


def _enter_number(number: Active) -> tuple[float, int, int]:
    tape = _open_tape(number.tape)
    slot = slot_on(tape, number)
    tape.flush()
    return number.primal, slot, tape.address


def _enter_array(array: ActiveArray) -> Data:
    tape = _open_tape(array.tape)
    data = as_data(tape, array)
    tape.flush()
    return data


def _leave(thing: Any) -> None:
    current().take_note()


def _refuse(container: Any) -> None:
    raise UnsupportedFunctionError(
        f"active numbers can't be kept in a numba.typed.{type(container).__name__} between calls "
        "of compiled functions: fill it in a compiled function, or keep them in a list, a tuple "
        "or an array"
    )


def _result_number(value: float, slot: int) -> Any:
    return make(current(), slot, value) if slot else value


def _result_array(data: Data) -> ActiveArray:
    return ActiveArray(current(), data)


def _refuse_generator() -> None:
    raise UnsupportedFunctionError(
        "a compiled generator of active numbers can't be gone through in Python: do that in a "
        "compiled function, or let the generator be plain Python"
    )


def _call(c: UnboxContext, function: Callable[..., Any], *objects: Value) -> Value:
    """Emit a call of a Python function; the result is a new reference, or null."""
    callee = c.pyapi.unserialize(c.pyapi.serialize_object(function))
    result = c.pyapi.call_function_objargs(callee, objects)
    c.pyapi.decref(callee)
    return result


def _cleanup(c: UnboxContext, obj: Value) -> Callable[[], None]:
    def cleanup() -> None:
        with c.pyapi.err_push():  # an exception may be on its way
            c.pyapi.decref(_call(c, _leave, obj))

    return cleanup


@unbox(ActiveType)
def _unbox_number(typ: Kind, obj: Value, c: UnboxContext) -> NativeValue:
    parts = _call(c, _enter_number, obj)
    is_error = is_null(c.builder, parts)
    result = alloca_once(c.builder, c.context.get_value_type(active))
    with c.builder.if_then(c.builder.not_(is_error)):
        value = c.pyapi.float_as_double(c.pyapi.tuple_getitem(parts, 0))
        slot, tape = (c.pyapi.long_as_longlong(c.pyapi.tuple_getitem(parts, k)) for k in (1, 2))
        c.pyapi.decref(parts)
        c.builder.store(emit_active(c.context, c.builder, value, slot, tape), result)
    return NativeValue(c.builder.load(result), is_error=is_error, cleanup=_cleanup(c, obj))


def _stay_compiled() -> None:
    if is_entering_object_mode():
        raise UnsupportedError("active numbers can't enter object mode")


@box(ActiveType)
def _box_number(typ: Kind, val: Value, c: BoxContext) -> Value:
    _stay_compiled()
    value, slot = (c.builder.extract_value(val, k) for k in (0, 1))
    parts = c.pyapi.float_from_double(value), c.pyapi.long_from_longlong(slot)
    result = _call(c, _result_number, *parts)
    for part in parts:
        c.pyapi.decref(part)
    return result


_unbox_plain, _box_plain = unboxing()[types.Array], boxing()[types.Array]


def _unbox_array(typ: Kind, obj: Value, c: UnboxContext) -> NativeValue:
    if not is_active(typ.dtype):
        return _unbox_plain(typ, obj, c)
    # The library's own loops are given the elements themselves.
    plain_type = c.pyapi.get_c_object("tapegrad_ndarray")
    is_plain = c.builder.icmp_unsigned("==", c.pyapi.get_type(obj), plain_type)
    found = alloca_once_value(c.builder, obj)
    with c.builder.if_then(c.builder.not_(is_plain)):
        c.builder.store(_call(c, _enter_array, obj), found)
    data = c.builder.load(found)
    is_error = is_null(c.builder, data)
    result = alloca_once(c.builder, c.context.get_value_type(typ))
    failed = alloca_once_value(c.builder, is_error)
    with c.builder.if_then(c.builder.not_(is_error)):
        native = _unbox_plain(typ, data, c)
        c.builder.store(native.value, result)
        c.builder.store(native.is_error, failed)
        with c.builder.if_then(c.builder.not_(is_plain)):
            c.pyapi.decref(data)

    def cleanup() -> None:
        with c.builder.if_then(c.builder.not_(is_plain)):
            _cleanup(c, obj)()

    return NativeValue(c.builder.load(result), is_error=c.builder.load(failed), cleanup=cleanup)


def _box_array(typ: Kind, val: Value, c: BoxContext) -> Value:
    if not is_active(typ.dtype):
        return _box_plain(typ, val, c)
    _stay_compiled()
    dtype = c.env_manager.read_const(c.env_manager.add_const(ACTIVE))
    data = c.pyapi.nrt_adapt_ndarray_to_python(typ, val, dtype)
    c.context.nrt.decref(c.builder, typ, val)
    result = _call(c, _result_array, data)
    c.pyapi.decref(data)
    return result


_unbox_plain_list = unboxing()[types.List]


def _unbox_list(typ: Kind, obj: Value, c: UnboxContext) -> NativeValue:
    native = _unbox_plain_list(typ, obj, c)
    if kind_in(typ) is None:
        return native
    leave = _cleanup(c, obj)

    def cleanup() -> None:
        native.cleanup()
        leave()  # Numba doesn't clean up after the elements

    return NativeValue(native.value, is_error=native.is_error, cleanup=cleanup)


def _refusing(unbox_plain: Callable[..., Any]) -> Callable[..., Any]:
    """Return the unboxing of a container whose elements, being native, name a tape for good."""

    def unbox_container(typ: Kind, obj: Value, c: UnboxContext) -> NativeValue:
        if kind_in(typ) is None:
            return unbox_plain(typ, obj, c)
        is_error = is_null(c.builder, _call(c, _refuse, obj))
        return NativeValue(c.context.get_constant_null(typ), is_error=is_error)

    return unbox_container


_box_plain_generator = boxing()[types.Generator]


def _box_generator(typ: Kind, val: Value, c: BoxContext) -> Value:
    # It would append to a tape in steps of which Python knows nothing.
    if kind_in(typ.yield_type, *typ.arg_types, *typ.state_types) is None:
        return _box_plain_generator(typ, val, c)
    return _call(c, _refuse_generator)


# The class of a container says nothing of what its elements are, so these functions stand in for
# Numba's own and hand all other containers on to them.
boxing().update({types.Array: _box_array, types.Generator: _box_generator})
unboxing().update({types.Array: _unbox_array, types.List: _unbox_list})
for _container in (types.ListType, types.DictType):
    unboxing()[_container] = _refusing(unboxing()[_container])


# --- texts ------------------------------------------------------------------------------------


def _text(number: Any) -> Any:
    """Return the text that Numba makes of a float."""
    text = f"<object type:{types.float64}>"
    return lambda number: text


for _kind in (ActiveType, ExpressionType):
    for _name in ("__str__", "__repr__"):
        overload_method(_kind, _name, strict=False)(_text)
