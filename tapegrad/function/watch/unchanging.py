"""Kinds of things that count as unchanged, because nothing a result depends on can change in them.

Code is watched where it's found, files and clocks are what can't be seen, and locks and loggers
carry no numbers.
"""

from __future__ import annotations

import ctypes
import datetime
import decimal
import fractions
import functools
import inspect
import io
import logging
import pathlib
import re
import types
import uuid
from typing import Any

import numpy as np

from tapegrad.function.content import is_data
from tapegrad.libraries import is_compiler_object, is_library_object, is_of_this_package, module_of
from tapegrad.record.scipy.superlu import is_factors

_VALUES = (
    bool, int, float, complex, str, bytes, range, type(None), type(...), type(NotImplemented),
    np.generic, np.dtype, np.ufunc, re.Pattern, datetime.date, datetime.time, datetime.timedelta,
    datetime.tzinfo, decimal.Decimal, fractions.Fraction, uuid.UUID, pathlib.PurePath,
    types.CodeType, types.GenericAlias, types.UnionType,
)  # fmt: skip
_MEMBERS = (
    types.MemberDescriptorType, types.WrapperDescriptorType, types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)  # fmt: skip
SILENT = (logging.Logger, logging.LoggerAdapter, logging.Handler, logging.Filter, io.IOBase)
_LOCK_MODULES = ("_thread", "threading", "multiprocessing.synchronize", "_multiprocessing")
_FIXED_MODULES = ("typing", "_abc", "numpy.exceptions", "__future__")


C_DATA: tuple[type, ...] = (
    ctypes._SimpleCData, ctypes.Structure, ctypes.Union, ctypes.Array, ctypes._Pointer
)  # fmt: skip


def is_fixed(thing: Any) -> bool:
    """Whether a thing is immutable, or counts as unchanged."""
    kind = type(thing)
    # A pointer's class is of the module that had one first, be it a compiler's.
    if isinstance(thing, (io.StringIO, io.BytesIO, *C_DATA)):
        return False
    if isinstance(thing, (*_VALUES, *_MEMBERS, types.GetSetDescriptorType, *SILENT)):
        return is_library_object(kind)
    if isinstance(thing, types.BuiltinFunctionType):
        owner = thing.__self__
        return owner is None or isinstance(owner, types.ModuleType) or is_factors(owner)
    if is_factors(thing):
        return True
    if is_compiler_object(thing):
        return True
    if is_of_this_package(module_of(kind)):
        return wrapped_by(thing) is None
    if module_of(kind) in _LOCK_MODULES:
        return kind.__name__ not in ("_local", "local")
    return module_of(kind) in _FIXED_MODULES


def is_plain(thing: Any) -> bool:
    """Whether a thing is data without attributes or methods of the user's."""
    return is_data(thing) and is_library_object(thing)


def own_attributes(thing: Any) -> dict[str, Any]:
    """Return the dictionary of a module, a class or an object of the user's, else an empty one.

    Of a library's object it isn't asked for: an exception, for one, would make it, and so change.
    """
    is_code = isinstance(thing, type | types.ModuleType)
    if not is_code and is_library_object(thing):
        return {}
    return getattr(thing, "__dict__", None) or {}


def plain_attribute(thing: Any, name: str, default: Any) -> Any:
    """Return what a user's object, class or module has under a name, if no code runs for that."""
    if name == "__class__":
        return type(thing)
    return own_attributes(thing).get(name, default)


def holders_of(thing: Any) -> tuple[Any, ...]:
    """Return where an attribute of a thing is looked for: itself, and the user's classes above."""
    kinds = (*(thing.__mro__ if isinstance(thing, type) else ()), *type(thing).__mro__)
    return (thing, *(kind for kind in kinds if kind is not thing and not is_library_object(kind)))


def is_stored_plainly(thing: Any, name: str) -> bool:
    """Whether an assignment to an attribute runs no code."""
    if isinstance(thing, types.ModuleType):
        return True
    if is_library_object(thing):
        return False
    kind = type(thing)
    static = inspect.getattr_static(kind, name, None)
    setter = inspect.getattr_static(kind, "__setattr__")
    plain = (type if isinstance(thing, type) else object).__dict__["__setattr__"]
    return setter is plain and not inspect.isdatadescriptor(static)


def wrapped_by(function: Any) -> Any:
    """Return what a callable wraps, as `functools.update_wrapper` says, or None."""
    return getattr(function, "__dict__", {}).get("__wrapped__")


def functions_of(member: Any) -> list[types.FunctionType]:
    """Return the functions that a member of a class calls."""
    found: list[Any] = [member]
    if isinstance(member, property):
        found = [member.fget]
    elif isinstance(member, classmethod | staticmethod):
        found = [member.__func__]
    elif isinstance(member, functools.cached_property | functools.partialmethod):
        found = [member.func]
    elif isinstance(member, functools.singledispatchmethod):
        found = [member.dispatcher, *member.dispatcher.registry.values()]
    return [function for function in found if isinstance(function, types.FunctionType)]


def runs_code(static: Any) -> bool:
    """Whether reading an attribute that a class defines so calls something."""
    plain = (types.FunctionType, classmethod, staticmethod, type, *_MEMBERS)
    return hasattr(type(static), "__get__") and not isinstance(static, plain)
