"""What code stores into, and where it makes what it stores into, read off its instructions.

Names are those of variables, and of attributes with a dot before them. A name is stored into
if the code assigns to elements of it or of what may be a view of it: by index, in place, by one
of NumPy's functions, or by a function of the user's that stores into its arguments. Where an
expression isn't straight code, all names on its line count.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Iterator
from types import CodeType
from typing import Any, NamedTuple

from tapegrad.record.detours import LEAST, Span
from tapegrad.record.steps import (
    BUILDING,
    CALLS,
    CONSTANTS,
    ELEMENT_STORES,
    KEYS,
    PASSING,
    UNPACKING,
    VARIABLES,
    steps_of,
)

BY_NAME = frozenset(
    ["copyto", "fill", "fill_diagonal", "flat", "partition", "place", "put", "put_along_axis",
     "putmask", "sort"]
)  # fmt: skip
"""What NumPy's functions and methods that store into an array are called."""

# These store nothing new.
_REORDERING = frozenset(["partition", "sort"])

# The results of these are views of their arguments, or hold them.
_VIEWING = frozenset(
    ["array_split", "asanyarray", "asarray", "atleast_1d", "atleast_2d", "atleast_3d",
     "broadcast_to", "diagonal", "dsplit", "enumerate", "expand_dims", "flip", "fliplr", "flipud",
     "get", "hsplit", "items", "iter", "list", "moveaxis", "ravel", "reshape", "reversed",
     "rollaxis", "rot90", "split", "squeeze", "swapaxes", "transpose", "tuple", "values", "view",
     "vsplit", "zip"]
)  # fmt: skip

# What is defined beside these is not for the interpreter.
_COMPILERS = frozenset(["cfunc", "guvectorize", "jit", "njit", "stencil", "vectorize"])


class _Call(NamedTuple):
    """A call: what its function is named, where its arguments' steps end, and its owner's."""

    name: str
    arguments: list[int]
    owner: int | None
    keywords: Any


class _Stores:
    """What a code stores into.

    Parameters
    ----------
    code : code
    functions : frozenset of str
        The names of the user's functions that store into their arguments.
    names : set of str
        What is stored into, here and in code that shares variables with this one.
    holders : set of str
        Those of them that are lists or the like of what is stored into.
    """

    def __init__(self, code: CodeType, functions: frozenset[str], names: set[str],
                 holders: set[str]) -> None:  # fmt: skip
        self._steps = list(steps_of(code))
        self._jumps = [k for k, step in enumerate(self._steps) if step.goal >= 0]
        self._storing = functions | BY_NAME - _REORDERING
        self._names, self._holders = names, holders

    # --- expressions --------------------------------------------------------------------------

    def _start(self, end: int, values: int = 1) -> int | None:
        """Return where the steps begin that leave the last values before a step, if straight."""
        depth = 0
        for k in range(end - 1, -1, -1):
            step = self._steps[k]
            depth += step.effect
            if step.goal >= 0:
                return None
            if depth == values:
                return k
            if step.is_target:
                return None
        return None

    def _on_line(self, k: int) -> set[str]:
        line = self._steps[k].line
        return {s.what for s in self._steps if s.line == line and s.name.startswith(VARIABLES)}

    def _roots(self, end: int) -> set[str]:
        """Return the names that lead to what the steps before one leave, not what is computed."""
        while self._steps[end - 1].name in (*PASSING, "GET_ITER", "FOR_ITER"):
            end -= 1
        step = self._steps[end - 1]
        if step.name.startswith(VARIABLES):
            return {step.what}
        if step.name in ("LOAD_ATTR", "LOAD_METHOD"):
            return {f".{step.what}"} | self._roots(end - 1)
        if step.keys:
            start = self._start(end - 1, step.keys)
            return self._on_line(end - 1) if start is None else self._roots(start)
        if step.name in BUILDING:
            return self._at_all(self._parts(end - 1))
        if step.name in CALLS:
            call = self._call(end - 1)
            if call is not None and call.name in _VIEWING:
                return self._of_call(call)
        return set()

    def _at_all(self, ends: list[int]) -> set[str]:
        return set().union(*map(self._roots, ends))

    def _parts(self, k: int) -> list[int]:
        """Return where the steps end of what a list, a tuple or a dictionary is built of."""
        step = self._steps[k]
        if step.name == "BUILD_MAP":
            return self._ends(k, 2 * step.what)[::2]
        return self._ends(k - (step.name == "BUILD_CONST_KEY_MAP"), step.what)

    def _of_call(self, call: _Call) -> set[str]:
        return self._at_all(call.arguments + ([] if call.owner is None else [call.owner]))

    def _ends(self, end: int, count: int) -> list[int]:
        """Return where the steps of the last values end, as far as they're straight."""
        ends: list[int] = []
        at: int | None = end
        while at is not None and len(ends) < count:
            ends.append(at)
            at = self._start(at)
        return ends

    def _call(self, k: int) -> _Call | None:
        steps, end, keywords = self._steps, k, None
        if steps[k].name == "CALL_FUNCTION_EX":
            return None
        while steps[end - 1].name in ("PRECALL", "KW_NAMES"):
            end -= 1
            keywords = steps[end].what if steps[end].name == "KW_NAMES" else keywords
        if steps[k].name == "CALL_KW":
            end -= 1
            keywords = steps[end].what
        count = steps[k].what
        function = self._start(end, count) if count else end
        if function is None:
            return None
        function -= 1
        while steps[function].name == "PUSH_NULL":
            function -= 1
        is_owned = steps[function].name in ("LOAD_ATTR", "LOAD_METHOD")
        return _Call(str(steps[function].what), self._ends(end, count),
                     function if is_owned else None, keywords)  # fmt: skip

    # --- what is stored into ------------------------------------------------------------------

    def find(self) -> bool:
        """Add what is found, given what is known; return whether there was anything new."""
        before = len(self._names), len(self._holders)
        for k, step in enumerate(self._steps):
            if step.name in ELEMENT_STORES:
                self._add_owner(k)
            elif step.is_in_place and not self._is_constant(k):
                self._names.add(self._steps[self._after(k)].stored)
            elif step.name in CALLS:
                call = self._call(k)
                if call is not None and self._stores(call):
                    self._names |= self._of_call(call)
            elif step.stored in self._names:
                self._add_sources(k)
        self._names.discard("")
        return (len(self._names), len(self._holders)) != before

    def _stores(self, call: _Call) -> bool:
        return call.name in self._storing or "out" in (call.keywords or ())

    def _is_constant(self, k: int) -> bool:
        """Whether what is on top before a step is a constant, which is no active number."""
        return self._steps[k - 1].name in CONSTANTS and not self._steps[k].is_target

    def _after(self, k: int) -> int:
        while self._steps[k + 1].name in PASSING:
            k += 1
        return k + 1

    def _before_swaps(self, k: int) -> int:
        while self._steps[k - 1].name == "SWAP":
            k -= 1
        return k

    def _owner(self, k: int) -> int | None:
        """Return where the steps end of the array that a step assigns elements of."""
        end: int | None = self._before_swaps(k)
        if end is not None and end < k:  # an operator in place: its result lies above
            end = self._start(end)
        return None if end is None else self._start(end, KEYS[self._steps[k].name])

    def _add_owner(self, k: int) -> None:
        end = self._owner(k)
        operator = self._before_swaps(k)
        above = operator - 1 if operator < k else None if end is None else self._start(end)
        if above is not None and self._is_constant(above):
            return
        found = self._on_line(k) if end is None else self._roots(end)
        self._names |= found
        if end is None or self._steps[end - 1].keys:
            self._holders |= found

    def _add_sources(self, k: int) -> None:
        for end in self._sources(k):
            found = self._roots(end)
            self._names |= found
            if self._steps[end - 1].name == "FOR_ITER" or self._steps[end].name in UNPACKING:
                self._holders |= found

    # --- where what is assigned is made -------------------------------------------------------

    def _sources(self, k: int) -> list[int]:
        """Return where the steps end of the values that may be what a step assigns."""
        steps, end, above, swapped = self._steps, k, 0, 0
        goals = {steps[k].start}
        if steps[k].name == "STORE_ATTR":
            end = self._start(end) or 0
        while end and (steps[end - 1].name in PASSING or steps[end - 1].stored):
            end -= 1
            step = steps[end]
            goals.add(step.start)
            if step.name == "STORE_ATTR":
                end = self._start(end) or 0
            above += bool(step.stored) - (step.name == "COPY")
            swapped = step.what if step.name == "SWAP" else swapped
        if not end:
            return []
        if steps[end - 1].name in UNPACKING:
            return [end - 1]
        # Of several values the last lies on top; where they were swapped, the first.
        above = swapped - 1 - above if swapped else max(above, 0)
        branches = [j for j in self._jumps if steps[j].goal in goals]
        return self._ends(end, above + 1)[above:] + branches

    def _ends_of_kept(self) -> Iterator[int]:
        """Yield where the steps end of what is stored into, or held by what is."""
        for k, step in enumerate(self._steps):
            if step.stored in self._names:
                yield from self._sources(k)
            elif step.name in CALLS:
                call = self._call(k)
                if call is not None and (self._stores(call) or self._appends(call)):
                    yield from call.arguments
            elif not self._holders:
                continue
            elif step.name in ELEMENT_STORES:
                owner = self._owner(k)
                value = None if owner is None else self._start(owner)
                if owner is not None and value and self._roots(owner) & self._holders:
                    yield value
            elif step.name in ("LIST_APPEND", "MAP_ADD"):
                yield k
            elif step.name in BUILDING:
                yield from self._parts(k)

    def _appends(self, call: _Call) -> bool:
        return bool(self._holders) and call.owner is not None and call.name == "append"

    def spans(self) -> list[Span]:
        """Return the instructions that make what is stored into, each as straight code."""
        ends = (self._end_of_maker(end) for end in self._ends_of_kept())
        makers = {end for end in ends if end and self._steps[end - 1].makes}
        spans: list[Span] = []
        for span in sorted(filter(None, map(self._span, makers))):
            if not spans or span[0] >= spans[-1][1]:
                spans.append(span)
        return spans

    def _end_of_maker(self, end: int) -> int:
        """Return where the steps end that make what was given a name within an expression."""
        while end and (self._steps[end - 1].name == "COPY" or self._steps[end - 1].stored):
            end -= 1
        return end

    def _span(self, end: int) -> Span | None:
        steps, first = self._steps, end - 1
        stop = steps[end].start
        if steps[first - 1].name == "PRECALL":  # may run its call itself
            first -= 1
        while stop - steps[first].start < LEAST:
            first -= 1
        if any(step.is_target for step in steps[first + 1 : end]) or any(
            step.goal >= 0 for step in steps[first:end]
        ):
            return None
        return steps[first].start, stop


# --- code with what is defined inside it ----------------------------------------------------------


def inner(code: CodeType) -> list[CodeType]:
    """Return the codes of what is defined inside a code."""
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


_STORING_OPERATIONS = frozenset(dis.opmap[name] for name in ELEMENT_STORES if name in dis.opmap)


@functools.lru_cache(maxsize=4096)
def may_store(code: CodeType) -> bool:
    """Whether code assigns to elements or in place at all."""
    text = code.co_code
    return (
        not _STORING_OPERATIONS.isdisjoint(text[::2])
        or not BY_NAME.isdisjoint(code.co_names)
        or any(isinstance(names, tuple) and "out" in names for names in code.co_consts)
        or any(text[k] == _OPERATOR and text[k + 1] in _IN_PLACE for k in range(0, len(text), 2))
    )


@functools.lru_cache(maxsize=4096)
def any_may_store(code: CodeType) -> bool:
    """Whether code, or what is defined inside it, does."""
    return may_store(code) or any(map(any_may_store, inner(code)))


def _operators_in_place() -> Iterator[int]:
    for sign in ("+", "-", "*", "/", "//", "%", "**", "@", "&", "|", "^", "<<", ">>"):
        steps = dis.get_instructions(compile(f"a {sign}= b", "", "exec"))
        yield from (step.arg for step in steps if step.opname == "BINARY_OP" and step.arg)


_OPERATOR = dis.opmap["BINARY_OP"]
_IN_PLACE = frozenset(_operators_in_place())


class Found(NamedTuple):
    """What a code stores into, and where what it stores into is made.

    Attributes
    ----------
    names : frozenset of str
        Variables, and attributes with a dot before them.
    spans : dict
        By code, its own and those inside it, the instructions that make what is stored into.
    """

    names: frozenset[str]
    spans: dict[CodeType, list[Span]]


@functools.lru_cache(maxsize=4096)
def find(code: CodeType, file: str, functions: frozenset[str],
         attributes: frozenset[str]) -> Found:  # fmt: skip
    """Return what a code stores into.

    Parameters
    ----------
    code : code
    file : str
        Its file: equal codes may be of two.
    functions : frozenset of str
        The names of the user's functions that store into their arguments.
    attributes : frozenset of str
        Attributes that other code stores into, with dots.
    """
    names, holders = set(attributes), set[str]()
    codes = list(_with_inner(code))
    found = [_Stores(one, functions, names, holders) for one in codes]
    while any(one.find() for one in found):
        pass
    spans = {one: stores.spans() for one, stores in zip(codes, found, strict=True)}
    return Found(frozenset(names), spans)


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    if _COMPILERS.isdisjoint(code.co_names):
        for one in inner(code):
            yield from _with_inner(one)
