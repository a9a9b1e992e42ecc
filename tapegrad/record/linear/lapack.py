"""BLAS's and LAPACK's functions by address, as SciPy hands them to compiled code.

Compiled code calls one with its address and a tuple of pointers and numbers, and needs no lock of
Python's. Matrices are columns there, and rows here: what is passed is read as the
transpose.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import re
from typing import Any

from llvmlite import ir
from numba import extending, types

from tapegrad.numba_protocols import (
    Builder,
    Intrinsic,
    Kind,
    LoweringContext,
    Signature,
    TypingContext,
    Value,
    Values,
)

_BLAS = {"dgemm", "dtrsm"}


@functools.cache
def _capsules(module: str) -> dict[str, Any]:
    try:
        return dict(importlib.import_module(module).__pyx_capi__)
    except ImportError:
        return {}


@functools.cache
def address_of(name: str) -> int:
    """Return where a function is; 0 without SciPy, and where its integers aren't C's."""
    module = "cython_blas" if name in _BLAS else "cython_lapack"
    capsule = _capsules(f"scipy.linalg.{module}").get(name)
    if capsule is None:
        return 0
    api = ctypes.pythonapi
    get_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", api))
    get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", api)
    )
    signature = get_name(capsule)
    return get_pointer(capsule, signature) if re.search(rb"\bint \*", signature) else 0


def _caller(doc: str, has_status: bool) -> Any:
    """Return what calls a function by its address; numbers are put where they have one."""

    def codegen(context: LoweringContext, builder: Builder, sig: Signature, args: Values) -> Value:
        status = _placed(builder, ir.Constant(ir.IntType(32), 0))
        given = [builder.extract_value(args[1], k) for k in range(len(sig.args[1]))]
        given = [x if x.type.is_pointer else _placed(builder, x) for x in given]
        given += [status] if has_status else []
        kind = ir.FunctionType(ir.VoidType(), [x.type for x in given])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), given)
        return builder.sext(builder.load(status), ir.IntType(64))

    def call(typing_context: TypingContext, address: Kind, arguments: Kind) -> Intrinsic:
        return types.int64(types.int64, arguments), codegen

    call.__doc__ = doc
    return extending.intrinsic(call)


def _placed(builder: Builder, value: Value) -> Value:
    """Return the address of a number: whole ones are C's `int`, and letters."""
    if value.type == ir.IntType(64):
        value = builder.trunc(value, ir.IntType(32))
    with builder.goto_entry_block():
        place = builder.alloca(value.type)
    builder.store(value, place)
    return place


run = _caller("Call a function that has no status, and return 0.", has_status=False)
run_with_status = _caller("Call a function whose last argument is its status, and return that.",
                          has_status=True)  # fmt: skip
