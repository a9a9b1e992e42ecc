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

import numpy as np

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


def public_name(thing: Any) -> str:
    """Return the shortest dotted name that leads to a function, a class or a library's object.

    Libraries define in private modules what they offer in public ones.
    """
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
    module = getattr(thing, "__module__", None)
    if isinstance(thing, np.ufunc):
        name, module = thing.__name__, _module_of_ufunc(thing)
    if not isinstance(name, str) or not isinstance(module, str):
        return _name_of_object(thing)
    if module == "builtins":
        return name
    top = name.partition(".")[0]
    real = getattr(sys.modules.get(module), top, None)
    for shorter in _prefixes(module):
        if real is not None and getattr(sys.modules.get(shorter), top, None) is real:
            return f"{shorter}.{name}"
    return f"{module}.{name}"


def _prefixes(module: str) -> list[str]:
    """Return the names of the packages that a module is in, the outermost first."""
    return list(itertools.accumulate(module.split(".")[:-1], "{}.{}".format))


def _name_of_object(thing: Any) -> str:
    """Return the name by which a library offers an object, or its class's."""
    kind = type(thing)
    if kind.__module__ == "builtins":
        return repr(thing)
    for module in _prefixes(kind.__module__):
        for name, one in list(vars(sys.modules[module]).items() if module in sys.modules else ()):
            if one is thing and not name.startswith("_"):
                return f"{module}.{name}"
    return public_name(kind)


def _module_of_ufunc(ufunc: np.ufunc) -> str | None:
    names = ("numpy", "scipy.special")
    return next((m for m in names if getattr(sys.modules.get(m), ufunc.__name__, None) is ufunc),
                None)  # fmt: skip


class Site:
    """Where the user's code is, and the expression it's evaluating there.

    Parameters
    ----------
    frame, instruction, line : optional
        Another place than where the user's code is now.

    Attributes
    ----------
    place : str
        File, line and text of the line.
    expression : str
        The text of what is being evaluated, "" if the source can't be read.
    callables : list
        The objects that names, attributes and subscripts in it stand for, outermost first.
    things : list
        All that they stand for.
    called : object
        What is called, if that is it and it's known.
    is_element : bool
        Whether it's an element of something.
    """

    def __init__(self, frame: FrameType | None = None, instruction: int = 0,
                 line: int = 0) -> None:  # fmt: skip
        if frame is None:
            frame = next((f for f in _frames() if not in_library(f.f_code.co_filename)), None)
            frame = frame or calling_frame()
            instruction, line = frame.f_lasti, frame.f_lineno
        file = frame.f_code.co_filename
        text = linecache.getline(file, line, frame.f_globals).strip()
        self.place = f"{file}:{line}" + (f"\n    {text}\n" if text else "\n")
        self.expression = _expression(frame, instruction)
        self.things: list[Any] = []
        self.callables: list[Any] = []
        self.called: Any = None
        self.is_element = False
        try:
            tree = ast.parse(self.expression.strip(), mode="eval")
        except SyntaxError:  # part of a statement
            return
        self.is_element = isinstance(tree.body, ast.Subscript)
        if isinstance(tree.body, ast.Call):
            self.called = _resolve(tree.body.func, frame)
        found = (_resolve(node, frame) for node in ast.walk(tree) if isinstance(node, ast.expr))
        self.things = [thing for thing in found if thing is not None]
        self.callables = [thing for thing in self.things if callable(thing)]


def _expression(frame: FrameType, instruction: int) -> str:
    """Return the source text of an instruction of a frame."""
    code = frame.f_code
    position = next(itertools.islice(code.co_positions(), instruction // 2, None))
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
        if type(owner) in (list, tuple) and type(key) is int and key < len(owner):
            return _unwrapped(owner[key])
    return None


def _unwrapped(thing: Any) -> Any:
    return thing.func if isinstance(thing, functools.partial) else thing
