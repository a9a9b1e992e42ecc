"""The user's frame and source line that an operation comes from, and what it calls there."""

from __future__ import annotations

import ast
import functools
import itertools
import linecache
import sys
from collections.abc import Iterator
from types import FrameType, ModuleType
from typing import Any

from tapegrad.libraries import in_library


def _frames() -> Iterator[FrameType]:
    """Yield the frames outside this library and NumPy, from the innermost."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] not in ("tapegrad", "numpy"):
            yield frame
        frame = frame.f_back


def calling_frame() -> FrameType:
    """Return the innermost frame outside this library and NumPy."""
    return next(_frames(), None) or sys._getframe(2)


class Site:
    """Where the user's code is, and the expression it's evaluating there.

    Attributes
    ----------
    place : str
        File, line and text of the line.
    expression : str
        The text of what is being evaluated, "" if the source can't be read.
    callables : list
        The objects that names, attributes and subscripts in it stand for, outermost first.
    is_element : bool
        Whether it's an element of something.
    """

    def __init__(self) -> None:
        frame = next((f for f in _frames() if not in_library(f.f_code.co_filename)), None)
        frame = frame or calling_frame()
        file = frame.f_code.co_filename
        line = linecache.getline(file, frame.f_lineno, frame.f_globals).strip()
        self.place = f"{file}:{frame.f_lineno}" + (f"\n    {line}\n" if line else "\n")
        self.expression = _expression(frame)
        self.callables: list[Any] = []
        self.is_element = False
        try:
            tree = ast.parse(self.expression.strip(), mode="eval")
        except SyntaxError:  # part of a statement
            return
        self.is_element = isinstance(tree.body, ast.Subscript)
        found = (_resolve(node, frame) for node in ast.walk(tree) if isinstance(node, ast.expr))
        self.callables = [thing for thing in found if callable(thing)]


def _expression(frame: FrameType) -> str:
    """Return the source text of the instruction that a frame is at."""
    code = frame.f_code
    position = next(itertools.islice(code.co_positions(), frame.f_lasti // 2, None))
    first, last, start, stop = position
    if first is None or last is None or start is None or stop is None:
        return ""
    numbers = range(first, last + 1)
    lines = [linecache.getline(code.co_filename, n, frame.f_globals).encode() for n in numbers]
    lines[-1] = lines[-1][:stop]  # before the first line is cut: they may be one; columns are bytes
    lines[0] = lines[0][start:]
    return b"".join(lines).decode(errors="replace")


def _resolve(node: ast.expr, frame: FrameType) -> Any:
    """Return what a name, a module's attribute or an item of a dictionary stands for, or None."""
    if isinstance(node, ast.Name):
        for names in (frame.f_locals, frame.f_globals, frame.f_builtins):
            if node.id in names:
                return _unwrapped(names[node.id])
    if isinstance(node, ast.Attribute):
        owner = _resolve(node.value, frame)
        if isinstance(owner, ModuleType):
            return _unwrapped(getattr(owner, node.attr, None))
    if isinstance(node, ast.Subscript):
        owner = _resolve(node.value, frame)
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if type(owner) is dict:
            return _unwrapped(owner.get(key))
    return None


def _unwrapped(thing: Any) -> Any:
    return thing.func if isinstance(thing, functools.partial) else thing
