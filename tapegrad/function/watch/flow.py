"""Code objects as steps: what each loads, stores or calls, and which steps may follow it."""

from __future__ import annotations

import dis
import functools
from types import CodeType
from typing import Any, NamedTuple

_NOISE = frozenset(
    ["CACHE", "RESUME", "EXTENDED_ARG", "NOP", "PUSH_NULL", "NOT_TAKEN", "KW_NAMES"]
)  # fmt: skip
_FAST = frozenset(["LOAD_FAST", "LOAD_FAST_BORROW", "LOAD_FAST_CHECK"])
_DEREF = frozenset(["LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"])
_GLOBAL = frozenset(["LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"])
_ATTRIBUTES = frozenset(["LOAD_ATTR", "LOAD_METHOD"])
_ELSEWHERE = frozenset(["IMPORT_FROM", "LOAD_SUPER_ATTR"])
_PAIRS = {
    "LOAD_FAST_LOAD_FAST": ("LOAD_FAST", "LOAD_FAST"),
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW": ("LOAD_FAST", "LOAD_FAST"),
    "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
    "STORE_FAST_STORE_FAST": ("STORE_FAST", "STORE_FAST"),
}
_ENDS = frozenset(["RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE"])
_GOES = frozenset(["JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT"])
_JUMPS = frozenset([*dis.hasjrel, *dis.hasjabs, *getattr(dis, "hasjump", ())])

_ASSIGNS = frozenset(["STORE_FAST", "DELETE_FAST", "STORE_DEREF", "DELETE_DEREF"])

RETURNS = frozenset(["RETURN_VALUE", "RETURN_CONST"])

FAST, DEREF, GLOBAL, ATTRIBUTE, STORE, DELETE, OTHER = range(7)
_KINDS = ((FAST, _FAST), (DEREF, _DEREF), (GLOBAL, _GLOBAL), (ATTRIBUTE, _ATTRIBUTES | _ELSEWHERE))


class Step(NamedTuple):
    """An instruction.

    Attributes
    ----------
    kind : int
        A load of a local, closure or global variable; of an attribute of something else; a
        store or deletion of a global, closure variable or attribute; another instruction.
    name : str
        Of what is loaded or stored.
    chain : tuple of str
        The attributes that are read of what is loaded.
    root : int
        The load of the variable whose chain is stored to, -1 if there's none.
    is_attribute : bool
        Whether an attribute is stored or deleted.
    calls : int
        The load whose chain is called here, -1 if there's none.
    codes : tuple of code
        What is made a function here, or run.
    following : tuple of int
        The steps that may come next.
    is_return : bool
    """

    kind: int
    name: str
    chain: tuple[str, ...]
    root: int
    is_attribute: bool
    calls: int
    codes: tuple[CodeType, ...]
    following: tuple[int, ...]
    is_return: bool


class _Raw(NamedTuple):
    op: str
    name: Any
    instruction: dis.Instruction
    effect: int


def _raw(code: CodeType) -> tuple[list[_Raw], dict[int, int]]:
    """Return the instructions, pairs taken apart, and the first one at or after each offset."""
    found: list[_Raw] = []
    first_at: dict[int, int] = {}
    for instruction in dis.get_instructions(code):
        first_at[instruction.offset] = len(found)
        op, name = instruction.opname, instruction.argval
        if op in _NOISE:
            continue
        if op in _PAIRS:
            for part, own in zip(_PAIRS[op], name, strict=True):
                effect = 1 if part.startswith("LOAD") else -1
                found.append(_Raw(part, own, instruction, effect))
        else:
            effect = dis.stack_effect(instruction.opcode, instruction.arg, jump=False)
            found.append(_Raw(op, name, instruction, effect))
    return found, first_at


def _kind(op: str) -> int:
    for kind, names in _KINDS:
        if op in names:
            return kind
    if op in ("STORE_ATTR", "STORE_GLOBAL", "STORE_DEREF"):
        return STORE
    if op in ("DELETE_ATTR", "DELETE_GLOBAL", "DELETE_DEREF"):
        return DELETE
    return OTHER


def _call_of(raw: list[_Raw], at: int) -> int:
    """Return the step that calls what was loaded before `at`, if no jump is in between, or -1."""
    depth = 0
    for index in range(at, len(raw)):
        op, _, instruction, effect = raw[index]
        is_call = op in ("CALL", "CALL_KW", "PRECALL")
        if is_call and depth == (instruction.arg or 0) + (op == "CALL_KW"):
            return index
        depth += effect
        if depth < 0 or instruction.opcode in _JUMPS or op in _ENDS:
            return -1
    return -1


def _update_at(raw: list[_Raw], at: int) -> int:
    """Return the step that stores the attribute that `at` begins to update, or -1."""
    if at + 1 >= len(raw) or raw[at].op != "COPY" or raw[at + 1].op not in _ATTRIBUTES:
        return -1
    depth = 0
    for index in range(at + 2, len(raw)):
        op, name, instruction, effect = raw[index]
        if op == "STORE_ATTR" and depth == 0:
            return index if name == raw[at + 1].name else -1
        depth += effect
        if depth < 0 or instruction.opcode in _JUMPS or op in _ENDS:
            return -1
    return -1


@functools.lru_cache(maxsize=4096)
def steps(code: CodeType) -> tuple[Step, ...]:
    """Return the steps of a code object."""
    raw, first_at = _raw(code)
    kinds = [_kind(op) for op, *_ in raw]
    chains: dict[int, tuple[str, ...]] = {}
    roots: dict[int, int] = {}  # of the steps after chains
    calls: dict[int, int] = {}
    in_chain: set[int] = set()
    for at, kind in enumerate(kinds):
        if kind in (FAST, DEREF, GLOBAL):
            end = at + 1
            while end < len(raw) and raw[end].op in _ATTRIBUTES:
                end += 1
            chains[at] = tuple(str(one.name) for one in raw[at + 1 : end])
            in_chain.update(range(at + 1, end))
            roots[end] = at
            if (updated := _update_at(raw, end)) >= 0:
                roots[updated] = at
            call = _call_of(raw, end)
            if call >= 0:
                calls[call] = at
    found = []
    for at, (op, name, instruction, _) in enumerate(raw):
        is_last = at + 1 == len(raw) or raw[at + 1].instruction is not instruction
        following = [at + 1] if at + 1 < len(raw) and op not in _ENDS | _GOES else []
        if instruction.opcode in _JUMPS and is_last:
            following.append(first_at[instruction.argval])
        kind = OTHER if at in in_chain else kinds[at]
        found.append(
            Step(kind, str(name), chains.get(at, ()), roots.get(at, -1), op.endswith("_ATTR"),
                 calls.get(at, -1), (name,) if isinstance(name, CodeType) else (),
                 tuple(following), op in RETURNS)
        )  # fmt: skip
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def assigned(code: CodeType) -> frozenset[str]:
    """Return the local and closure variables that a code object, or one inside it, assigns to."""
    found = {str(one.name) for one in _raw(code)[0] if one.op in _ASSIGNS}
    inner = [assigned(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return frozenset(found).union(*inner)
