"""Functions given to `tapegrad.tap`: they are called when all is known, so they are no inputs.

Which function it is counts; what it reads, and what only it reads, does not.
"""

from __future__ import annotations

import dis
import functools
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

from tapegrad.function.watch.reads import NOISE, ROOTS, SELF, Read, attributes_in, chain_at

_LOADS = ("LOAD_FAST", "LOAD_FAST_BORROW", "LOAD_CLOSURE", "LOAD_FAST_LOAD_FAST",
          "LOAD_FAST_BORROW_LOAD_FAST_BORROW")  # fmt: skip


class Tapped(NamedTuple):
    """The first argument of a call that may be one of `tap`.

    Attributes
    ----------
    callee : Read
        What is called.
    function : Read or None
        What it's given, if it's reached by names.
    code : code or None
        That of a function defined there.
    offsets : frozenset of int
        Of the instructions that load it.
    """

    callee: Read
    function: Read | None
    code: CodeType | None
    offsets: frozenset[int]


@functools.lru_cache(maxsize=4096)
def first_arguments(code: CodeType) -> tuple[Tapped, ...]:
    """Return the calls of what is reached by names with a function as first argument."""
    instructions = [i for i in dis.get_instructions(code) if i.opname not in NOISE]
    found = []
    for at, instruction in enumerate(instructions):
        callee = chain_at(code, instructions, at)
        if callee is None or callee.kind == SELF or instruction.opname not in ROOTS:
            continue
        start = at + 1 + len(callee.attributes)
        function = chain_at(code, instructions, start) if start < len(instructions) else None
        defined, end = _definition(instructions, start)
        if function is not None:
            end = start + 1 + len(function.attributes)
        if (function is not None or defined is not None) and _stays(instructions, end):
            offsets = frozenset(i.offset for i in instructions[start:end])
            found.append(Tapped(callee, function, defined, offsets))
    return tuple(found)


def _definition(instructions: list[dis.Instruction], at: int) -> tuple[CodeType | None, int]:
    """Return the code of a function that is defined at an instruction, and where that ends."""
    while at < len(instructions) and instructions[at].opname in _LOADS:
        at += 1
    at += at < len(instructions) and instructions[at].opname == "BUILD_TUPLE"
    names = [i.opname for i in instructions[at : at + 3]]
    if names[:2] != ["LOAD_CONST", "MAKE_FUNCTION"]:
        return None, at
    return instructions[at].argval, at + 2 + (names[2:] == ["SET_FUNCTION_ATTRIBUTE"])


def _stays(instructions: list[dis.Instruction], at: int) -> bool:
    """Whether what was loaded last is an argument of the call it's loaded for, as it is."""
    depth = 1
    for instruction in instructions[at:]:
        op, count = instruction.opname, instruction.arg or 0
        if op in ("CALL", "PRECALL", "CALL_KW") and depth == count + (op == "CALL_KW"):
            return True
        effect = dis.stack_effect(instruction.opcode, instruction.arg, jump=False)
        if (op == "COPY" and depth < 2) or (effect <= 0 and depth + effect < 2):
            return False
        depth += effect
    return False


def is_tap(callee: Read, root: Any) -> bool:
    """Whether what is called is `tap`, given what the root of its chain is."""
    if isinstance(root, ModuleType):
        return root.__name__ == "tapegrad" and callee.attributes == ("tap",)
    is_it = isinstance(root, FunctionType) and root.__module__ == "tapegrad.function.effects"
    return is_it and root.__name__ == "tap" and not callee.attributes


def attributes_for(function: Any) -> set[str]:
    """Return the attributes that a tapped function, with the methods it calls, mentions."""
    found: set[str] = set()
    waiting = [(getattr(function, "__func__", function), getattr(function, "__self__", None))]
    while waiting:
        called, instance = waiting.pop()
        if not isinstance(called, FunctionType):
            continue
        names = attributes_in(called.__code__)
        for name in (names.read | names.written) - found:
            found.add(name)
            waiting.append((getattr(type(instance), name, None), instance))
    return found
