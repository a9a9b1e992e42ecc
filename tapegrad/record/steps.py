"""A code's instructions as steps that are alike in all versions of Python.

What reads code goes by names and by how many values an instruction leaves, for numbers differ.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from types import CodeType
from typing import Any, NamedTuple

_PAIRS = {
    "LOAD_FAST_LOAD_FAST": ("LOAD_FAST", "LOAD_FAST"),
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW": ("LOAD_FAST", "LOAD_FAST"),
    "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
    "STORE_FAST_STORE_FAST": ("STORE_FAST", "STORE_FAST"),
}
_JUMPS = frozenset([*dis.hasjrel, *dis.hasjabs])
_EFFECTS = {"LOAD_FAST": 1, "STORE_FAST": -1}
VARIABLES = ("LOAD_FAST", "LOAD_DEREF", "LOAD_GLOBAL", "LOAD_NAME")
_ASSIGNMENTS = ("STORE_FAST", "STORE_DEREF", "STORE_GLOBAL", "STORE_NAME")
CALLS = ("CALL", "CALL_KW", "CALL_FUNCTION_EX")
_MAKING = (*CALLS, "UNARY_NEGATIVE", "UNARY_POSITIVE", "CALL_INTRINSIC_1")
CONSTANTS = ("LOAD_CONST", "LOAD_SMALL_INT")
PASSING = ("COPY", "SWAP")
ELEMENT_STORES = ("STORE_SUBSCR", "STORE_SLICE")
BUILDING = ("BUILD_LIST", "BUILD_TUPLE", "BUILD_MAP", "BUILD_CONST_KEY_MAP")
UNPACKING = ("UNPACK_SEQUENCE", "UNPACK_EX")
KEYS = {"BINARY_SUBSCR": 1, "STORE_SUBSCR": 1, "BINARY_SLICE": 2, "STORE_SLICE": 2}


class Step(NamedTuple):
    """An instruction, or one of the two that an instruction does."""

    name: str
    what: Any
    effect: int
    start: int
    is_target: bool
    goal: int  # of a jump, or -1
    line: int | None

    @property
    def stored(self) -> str:
        """The variable or attribute that is assigned, or ""."""
        if self.name == "STORE_ATTR":
            return f".{self.what}"
        return self.what if self.name in _ASSIGNMENTS else ""

    @property
    def keys(self) -> int:
        """By how many values an element or a slice is read or assigned to, or 0."""
        is_operator = self.name == "BINARY_OP" and self.what == "[]"
        return 1 if is_operator else KEYS.get(self.name, 0)

    @property
    def is_in_place(self) -> bool:
        """Whether it is an operator that assigns."""
        return self.name == "BINARY_OP" and self.what.endswith("=")

    @property
    def makes(self) -> bool:
        """Whether what it leaves may be a fresh array."""
        is_element = self.keys > 0 and not self.name.startswith("STORE")
        is_operator = self.name == "BINARY_OP" and not self.is_in_place
        is_attribute = self.name == "LOAD_ATTR" and not self.effect  # no method, to be called
        return is_element or is_operator or is_attribute or self.name in _MAKING


def steps_of(code: CodeType) -> Iterator[Step]:
    """Yield a code's instructions, those that stand for two as two."""
    start, is_target = -1, False
    for step in dis.get_instructions(code):
        start = step.offset if start < 0 else start
        is_target = is_target or step.is_jump_target
        if step.opname == "EXTENDED_ARG":
            continue
        argument = step.arg if step.opcode >= dis.HAVE_ARGUMENT else None
        goal = step.argval if step.opcode in _JUMPS else -1
        line = step.positions.lineno if step.positions else None
        if step.opname in _PAIRS:
            for name, what in zip(_PAIRS[step.opname], step.argval, strict=True):
                yield Step(name, what, _EFFECTS[name], start, is_target, goal, line)
                is_target = False
        else:
            what = step.argrepr if step.opname == "BINARY_OP" else step.argval
            if step.opname == "KW_NAMES" and argument is not None:  # which Python 3.11 doesn't say
                what = code.co_consts[argument]
            effect = dis.stack_effect(step.opcode, argument, jump=False)
            yield Step(step.opname, what, effect, start, is_target, goal, line)
        start, is_target = -1, False
