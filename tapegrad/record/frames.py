"""The user's frame and source line that an operation comes from, and what it calls there."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import linecache
import sys
from collections.abc import Iterator
from types import CodeType, FrameType, ModuleType
from typing import Any

import numpy as np

from tapegrad.libraries import in_library
from tapegrad.record.steps import CALLS, CONSTANTS, VARIABLES, Step, steps_of


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
        The text of what is being evaluated; without source what its instructions tell, or "".
    node : ast.AST
        The same as a tree, None where it's unknown.
    callables : list
        The objects that are called, or passed to what is, outermost first.
    things : list
        All that names, attributes and subscripts in it stand for.
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
        self.expression = _text_at(frame, instruction)
        self.things: list[Any] = []
        self.callables: list[Any] = []
        self.called: Any = None
        self.is_element = False
        self.node = _parsed(self.expression)
        if self.node is None:  # part of a statement
            return
        self.is_element = isinstance(self.node, ast.Subscript)
        if isinstance(self.node, ast.Call):
            self.called = _resolve(self.node.func, frame)
        found = [(node, _resolve(node, frame)) for node in _evaluated(self.node)]
        self.things = [thing for _, thing in found if thing is not None]
        done = {id(n.func) for n, _ in found if isinstance(n, ast.Call) and n is not self.node}
        self.callables = [x for n, x in found if callable(x) and id(n) not in done]

    @property
    def function(self) -> str:
        """The text of what is called, "" where nothing is."""
        return ast.unparse(self.node.func) if isinstance(self.node, ast.Call) else ""


def writes_text() -> bool:
    """Whether a text is being made by `%`, so that the numbers it asks for end there."""
    frame = calling_frame()
    now = _step_at(frame.f_code, frame.f_lasti)
    if now is None or now.name != "BINARY_OP" or now.what not in ("%", "%="):
        return False
    node = _parsed(_text_at(frame, frame.f_lasti))
    if isinstance(node, ast.AugAssign):
        return _is_text(node.target, frame)
    return isinstance(node, ast.BinOp) and _is_text(node.left, frame)


@functools.lru_cache(maxsize=256)
def _step_at(code: CodeType, instruction: int) -> Step | None:
    found = None
    for step in steps_of(code):  # an instruction goes on to its caches
        found = step if step.start <= instruction else found
    return found


def _is_text(node: ast.expr, frame: FrameType) -> bool:
    """Whether an expression is surely a text."""
    if isinstance(node, ast.JoinedStr):
        return True
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add) and _is_text(node.left, frame)
    thing = node.value if isinstance(node, ast.Constant) else _resolve(node, frame)
    if thing is None and isinstance(node, ast.Attribute):
        thing = inspect.getattr_static(_resolve(node.value, frame), node.attr, None)
    return isinstance(thing, str | bytes)


def _parsed(text: str) -> Any:
    """Return the tree of an expression or of an assignment in place, None for anything else."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return None
    node = body[0] if len(body) == 1 else None
    return node.value if isinstance(node, ast.Expr) else (
        node if isinstance(node, ast.AugAssign) else None
    )  # fmt: skip


_LATER = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _evaluated(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the parts of an expression that its own instructions evaluate, outermost first."""
    pending = [node]
    for part in pending:
        if isinstance(part, ast.expr):
            yield part
        if not isinstance(part, _LATER):
            pending += ast.iter_child_nodes(part)


def _span(code: CodeType, instruction: int) -> tuple[int, int, int, int] | None:
    position = next(itertools.islice(code.co_positions(), instruction // 2, None))
    return None if None in position else position  # type: ignore[return-value]


def _text_at(frame: FrameType, instruction: int) -> str:
    """Return what an instruction does, as text: its source, or what its steps tell."""
    return _source(frame, instruction).strip() or _from_steps(frame.f_code, instruction)


def _source(frame: FrameType, instruction: int) -> str:
    """Return the source text of an instruction of a frame."""
    code = frame.f_code
    span = _span(code, instruction)
    if span is None:
        return ""
    first, last, start, stop = span
    numbers = range(first, last + 1)
    lines = [linecache.getline(code.co_filename, n, frame.f_globals).encode() for n in numbers]
    lines[-1] = lines[-1][:stop]  # before the first line is cut: they may be one; columns are bytes
    lines[0] = lines[0][start:]
    return b"".join(lines).decode(errors="replace")


def _from_steps(code: CodeType, instruction: int) -> str:
    """Return the call, the element or the text that an instruction makes, read off the code."""
    span, now = _span(code, instruction), _step_at(code, instruction)
    if span is None or now is None:
        return ""
    positions = list(code.co_positions())
    steps = [s for s in steps_of(code) if _is_within(positions[s.start // 2], span)]
    names = _names(steps)
    if now.name in (*CALLS, "PRECALL") and names:
        return f"{names[0]}({', '.join(names[1:])})"
    if now.name == "BINARY_OP" and now.what == "%" and _is_text_first(steps):
        return f"{steps[0].what!r} % ({', '.join(names)})"
    return names[-1] if now.name == "STORE_SUBSCR" and names and "[" in names[-1] else ""


def _is_text_first(steps: list[Step]) -> bool:
    """Whether the left operand of the last of the steps is a text that they begin with."""
    depths = itertools.accumulate(step.effect for step in steps[:-1])
    is_text = steps[0].name in CONSTANTS and isinstance(steps[0].what, str)
    return is_text and all(depth > 1 for depth in itertools.islice(depths, 1, None))


def _is_within(position: Any, span: tuple[int, int, int, int]) -> bool:
    if None in position:
        return False
    first, last, start, stop = position
    return (span[0], span[2]) <= (first, start) and (last, stop) <= (span[1], span[3])


def _names(steps: list[Step]) -> list[str]:
    """Return the names that steps load, with what is taken of each by attributes and keys."""
    names: list[str] = []
    key: Any = None
    for step in steps:
        if step.name.startswith(VARIABLES):
            names.append(step.what)
        elif step.name in ("LOAD_ATTR", "LOAD_METHOD") and names:
            names[-1] += f".{step.what}"
        elif step.keys == 1 and names and key is not None:
            names[-1] += f"[{key!r}]"
        key = step.what if step.name in CONSTANTS else None
    return names


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
