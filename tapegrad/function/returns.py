"""Tracebacks that end at a line without a frame: where a function returned, or in compiled code.

A frame of a line at the same place stands for the one that is gone, or never was.
"""

from __future__ import annotations

import ast
import dis
import functools
from types import CodeType, FunctionType, MethodType, TracebackType
from typing import Any

from tapegrad.function.watch.flow import RETURNS
from tapegrad.libraries import in_library
from tapegrad.record.trampolines import code_of

_MOST = 100  # functions around one another


class _Here(Exception):  # noqa: N818  # raised for its traceback
    pass


def returned_in(function: Any) -> TracebackType | None:
    """Return a traceback that ends where a user's function returned; None if it has no code.

    Where it returns in several places, that is where it begins.
    """
    code = _code_in(function)
    if code is None:
        return None
    found = {i.positions for i in dis.get_instructions(code) if i.opname in RETURNS}
    line = code.co_firstlineno
    places = [p for p in found if p is not None and None not in p]
    where = places[0] if len(places) == len(found) == 1 else (line, line, 0, 0)
    return ending_at(code.co_filename, where, code.co_name, code.co_qualname)


def ending_at(file: str, where: Any, name: str, qualified: str = "") -> TracebackType | None:
    """Return a traceback of one frame, of a function's line and columns.

    `where` are the first and the last line, and the first and the last column.
    """
    names = ("lineno", "end_lineno", "col_offset", "end_col_offset")
    raising = ast.Raise(ast.Name("_Here", ast.Load()))
    for node in ast.walk(raising):
        vars(node).update(zip(names, where, strict=True))
    line_of_it = compile(ast.Module([raising], []), file, "exec")
    try:
        exec(line_of_it.replace(co_name=name, co_qualname=qualified or name), {"_Here": _Here})
    except _Here as here:
        return here.__traceback__ and here.__traceback__.tb_next
    raise AssertionError("a raise statement raises")


def _code_in(function: Any) -> CodeType | None:
    """Return the code of the user's function in what is called."""
    for _ in range(_MOST):
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, MethodType):
            function = function.__func__
        elif isinstance(function, FunctionType) and not in_library(code_of(function).co_filename):
            return code_of(function)
        elif (wrapped := getattr(function, "__dict__", {}).get("__wrapped__")) is not None:
            function = wrapped
        elif isinstance(function, FunctionType):
            return None
        else:
            function = type(function).__call__
            if not isinstance(function, FunctionType):
                return None
    return None
