"""What a code object reads from outside: names and the attributes taken from them.

A read is a root (a global, a closure variable, an imported module or, for methods, the first
argument) followed by attribute names. An update of a value by itself and a constant
(`calls += 1`) is a tally, not a read: what it holds can't reach the result.
"""

from __future__ import annotations

import dis
import functools
import operator
from collections.abc import Iterator
from types import CodeType
from typing import Any, NamedTuple

GLOBAL, CLOSURE, SELF, IMPORT = "global", "closure", "self", "import"

ROOTS = {"LOAD_GLOBAL": GLOBAL, "LOAD_NAME": GLOBAL, "LOAD_DEREF": CLOSURE,
          "LOAD_CLASSDEREF": CLOSURE, "LOAD_FROM_DICT_OR_DEREF": CLOSURE,
          "LOAD_FAST": SELF, "LOAD_FAST_BORROW": SELF, "LOAD_FAST_CHECK": SELF}  # fmt: skip
_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD"}
NOISE = {"CACHE", "RESUME", "EXTENDED_ARG", "NOP", "PUSH_NULL", "PRECALL", "NOT_TAKEN"}

# After the root's load, the instructions of `n += 1`, `self.n += 1`, `d["n"] += 1` and
# `self.d["n"] += 1`.
_OF_AN_ITEM = (
    "CONST", "COPY", "COPY", "SUBSCR", "CONST", "BINARY_OP", "SWAP", "SWAP", "STORE_SUBSCR",
)  # fmt: skip
_TALLIES = (
    ("CONST", "BINARY_OP", "STORE"),
    ("COPY", "ATTR", "CONST", "BINARY_OP", "SWAP", "STORE_ATTR"),
    _OF_AN_ITEM,
    ("ATTR", *_OF_AN_ITEM),
)
_CLASSES = {"LOAD_CONST": "CONST", "LOAD_SMALL_INT": "CONST", "STORE_GLOBAL": "STORE",
            "STORE_DEREF": "STORE", "STORE_NAME": "STORE", "LOAD_ATTR": "ATTR",
            "BINARY_SUBSCR": "SUBSCR"}  # fmt: skip


# Methods that put something into a container, whatever was there before.
BLIND = frozenset(
    ["append", "appendleft", "extend", "extendleft", "insert", "add", "update", "clear"]
)
# What else code may change things with that it has from outside.
CHANGING = BLIND | frozenset(
    ["setattr", "delattr", "__setattr__", "__setitem__", "__dict__", "pop", "popleft", "popitem",
     "remove", "discard", "setdefault", "sort", "reverse", "rotate", "move_to_end", "subtract",
     "heappush", "heappop", "heapify", "heapreplace", "heappushpop", "insort", "insort_left",
     "insort_right", "shuffle", "fill", "put", "place", "putmask", "copyto", "out", "at",
     "intersection_update", "difference_update", "symmetric_difference_update"]
)  # fmt: skip
_STORES = frozenset(
    ["STORE_ATTR", "STORE_SUBSCR", "STORE_GLOBAL", "STORE_DEREF", "DELETE_ATTR", "DELETE_SUBSCR",
     "DELETE_GLOBAL", "DELETE_DEREF", "STORE_SLICE"]
)  # fmt: skip


class Read(NamedTuple):
    """One read: `name` of a kind of root, and the attributes that follow.

    `is_called_empty` says that what is found is called at once without arguments, or with None.
    """

    kind: str
    name: str
    attributes: tuple[str, ...]
    is_called_empty: bool = False


def _tally(instructions: list[dis.Instruction], at: int) -> list[dis.Instruction]:
    """Return the instructions after a load that update what it leads to by a constant, or none."""
    root = instructions[at]
    for pattern in _TALLIES:
        following = instructions[at + 1 : at + 1 + len(pattern)]
        classes = []
        for instruction in following:
            kind = _CLASSES.get(instruction.opname, instruction.opname)
            if kind == "BINARY_OP" and not instruction.argrepr.endswith("="):
                # Python 3.14 reads a subscript with a binary operation.
                kind = "SUBSCR" if instruction.argrepr == "[]" else "OTHER"
            classes.append(kind)
        if tuple(classes) == pattern and (
            pattern[-1] != "STORE" or following[-1].argval == root.argval
        ):
            return following
    return []


Unread = frozenset[int]
"""The offsets of instructions that load what is no input."""
_ALL: Unread = frozenset()


def _instructions(code: CodeType, unread: Unread) -> list[dis.Instruction]:
    return [i for i in dis.get_instructions(code)
            if i.opname not in NOISE and i.offset not in unread]  # fmt: skip


def _constants(code: CodeType, unread: Unread) -> list[Any]:
    if not unread:
        return list(code.co_consts)
    without = {id(i.argval) for i in dis.get_instructions(code)
               if i.offset in unread and isinstance(i.argval, CodeType)}  # fmt: skip
    return [constant for constant in code.co_consts if id(constant) not in without]


def chain_at(code: CodeType, instructions: list[dis.Instruction], at: int) -> Read | None:
    """Return the read that begins at an instruction, if there is one."""
    first = code.co_varnames[0] if code.co_argcount else None
    opname, name = instructions[at].opname, instructions[at].argval
    kind = ROOTS.get(opname)
    if opname.startswith("LOAD_FAST") and isinstance(name, tuple):
        kind, name = (SELF, first) if first in name else (None, name)
    if kind is None or (kind == SELF and name != first):
        return None
    attributes = []
    for following in instructions[at + 1 :]:
        if following.opname not in _ATTRIBUTES:
            break
        attributes.append(str(following.argval))
    after = instructions[at + 1 + len(attributes) :]
    return Read(kind, str(name), tuple(attributes), _is_empty_call(after))


def _own(code: CodeType, unread: Unread) -> Iterator[Read]:
    instructions = _instructions(code, unread)
    for at, instruction in enumerate(instructions):
        if instruction.opname == "IMPORT_NAME":
            yield from _imports(code, instructions, at)
        read = chain_at(code, instructions, at)
        if read is not None and not _tally(instructions, at):
            yield read


def _is_empty_call(instructions: list[dis.Instruction]) -> bool:
    names = [(i.opname, i.argval) for i in instructions[:2]]
    if names[:1] == [("CALL", 0)]:
        return True
    return names == [("LOAD_CONST", None), ("CALL", 1)]


def _imports(code: CodeType, instructions: list[dis.Instruction], at: int) -> Iterator[Read]:
    """Yield the reads of an import statement: its names, or the module as a whole."""
    level = instructions[at - 2].argval
    module = "." * level + instructions[at].argval
    names = instructions[at - 1].argval
    for name in names or (None,):
        yield Read(IMPORT, module, (name,) if name and name != "*" else ())


@functools.lru_cache(maxsize=4096)
def reads(code: CodeType, unread: Unread = _ALL) -> tuple[Read, ...]:
    """Return what a code object, and the functions defined inside it, read from outside."""
    found = list(_own(code, unread))
    for constant in _constants(code, unread):
        if isinstance(constant, CodeType):
            found.extend(read for read in reads(constant) if read.kind != SELF)
    return tuple(dict.fromkeys(found))


@functools.lru_cache(maxsize=4096)
def names_in(code: CodeType, unread: Unread = _ALL) -> frozenset[str]:
    """Return every name and every string that a code object, or one inside it, mentions."""
    found = {*code.co_freevars, *code.co_cellvars}
    if unread:
        loaded = {i.argval for i in _instructions(code, unread) if isinstance(i.argval, str)}
        found.update(loaded.intersection(code.co_names))
    else:
        found.update(code.co_names)
    for constant in _constants(code, unread):
        if isinstance(constant, CodeType):
            found |= names_in(constant)
        elif isinstance(constant, str):
            found.add(constant)
        elif isinstance(constant, tuple):
            found.update(item for item in constant if isinstance(item, str))
    return frozenset(found)


class Attributes(NamedTuple):
    """The attributes that code reads, and those that it writes or puts something into.

    `texts` are strings in the code, which may be names of attributes; they count as read.
    """

    read: frozenset[str]
    written: frozenset[str]
    texts: frozenset[str]


@functools.lru_cache(maxsize=4096)
def attributes_in(code: CodeType, unread: Unread = _ALL) -> Attributes:
    """Return what a code object, and those inside it, do with attributes, tallies being writes."""
    instructions = _instructions(code, unread)
    read, written, texts = set[str](), set[str](), set[str]()
    for at, instruction in enumerate(instructions):
        name = str(instruction.argval)
        if instruction.opname == "STORE_ATTR":
            written.add(name)
        elif instruction.opname in _ATTRIBUTES:
            following = instructions[at + 1] if at + 1 < len(instructions) else instruction
            puts = following.opname in _ATTRIBUTES and following.argval in BLIND
            is_written = puts or bool(at > 1 and _tally(instructions, at - 2))
            (written if is_written else read).add(name)
        elif instruction.opname.startswith("LOAD_SUPER"):
            read.add(name)
    for constant in _constants(code, unread):
        if isinstance(constant, CodeType):
            inner = attributes_in(constant)
            read |= inner.read
            written |= inner.written
            texts |= inner.texts
        elif isinstance(constant, str):
            texts.add(constant)
        elif isinstance(constant, tuple):  # a pattern's
            texts.update(item for item in constant if isinstance(item, str))
    return Attributes(frozenset(read | texts), frozenset(written), frozenset(texts))


@functools.lru_cache(maxsize=4096)
def stores(code: CodeType) -> bool:
    """Whether a code object writes to anything but its own variables."""
    return any(i.opname in _STORES for i in dis.get_instructions(code)) or any(
        stores(constant) for constant in code.co_consts if isinstance(constant, CodeType)
    )


class Assigned(NamedTuple):
    """The attributes and variables outside that code assigns to, and how.

    `added` are those to which a constant is added, `updated` those that are updated by one in
    another way; an item of something counts as the name `ANY_ITEM`, a variable as `variable` says.
    """

    stored: frozenset[str] = frozenset()
    added: frozenset[str] = frozenset()
    updated: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()

    def __or__(self, other: Assigned) -> Assigned:
        return Assigned(*(a | b for a, b in zip(self, other, strict=True)))


ANY_ITEM = "[]"


def variable(name: str) -> str:
    """Return what a global or closure variable is called, beside attributes of this name."""
    return f"{name} ="


_NAMED_STORES = frozenset(["STORE_ATTR", "STORE_GLOBAL", "STORE_DEREF", "STORE_NAME"])
_DELETIONS = frozenset(["DELETE_ATTR", "DELETE_GLOBAL", "DELETE_DEREF", "DELETE_NAME"])


@functools.lru_cache(maxsize=4096)
def assigned_in(code: CodeType) -> Assigned:
    """Return what a code object, and those inside it, assign to outside their own variables."""
    instructions = _instructions(code, _ALL)
    ends: dict[int, bool] = {}  # the stores that end an update, and whether it adds
    for at in range(len(instructions)):
        update = _tally(instructions, at)
        if update:
            ways = {i.argrepr for i in update if i.opname == "BINARY_OP"}
            ends[at + len(update)] = not ways.isdisjoint(("+=", "-="))
    found: tuple[set[str], ...] = (set(), set(), set(), set())
    stored, added, updated, deleted = found
    for at, instruction in enumerate(instructions):
        name = str(instruction.argval)
        if not instruction.opname.endswith("_ATTR"):
            name = variable(name)
        if at in ends:
            is_item = instruction.opname == "STORE_SUBSCR"
            (added if ends[at] else updated).add(ANY_ITEM if is_item else name)
        elif instruction.opname in _NAMED_STORES:
            stored.add(name)
        elif instruction.opname in _DELETIONS:
            deleted.add(name)
    own = Assigned(*map(frozenset, found))
    inner = [assigned_in(constant) for constant in code.co_consts
             if isinstance(constant, CodeType)]  # fmt: skip
    return functools.reduce(operator.or_, inner, own)
