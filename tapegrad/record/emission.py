"""LLVM functions that append to a tape, and the calls of them that Numba's lowering emits.

How much room a function asks for is counted from the entries that its own body claims.
Whether an operand is active is known when the code runs. So the caller does no more than join
the operands' tapes (a passive number has none) and call: a branch at every operation would
multiply the code LLVM has to optimise. Statements, which are fewer, are inlined.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from llvmlite import ir

from tapegrad.layout import (
    CONSTANTS,
    COUNT_WORD,
    ENTRIES,
    FAILED_WORD,
    GUARDS,
    OWNER_WORD,
    RECORDS,
    STATEMENTS,
    UNPLACED,
)
from tapegrad.numba_internals import alloca_once_value, declare, text, variable
from tapegrad.numba_protocols import Builder, LLVMType, Module, Value, Values
from tapegrad.record.kinds import MOST_TERMS

_VOID, _I8, _I32, _I64 = ir.VoidType(), ir.IntType(8), ir.IntType(32), ir.IntType(64)
_DOUBLE, _TEXT = ir.DoubleType(), ir.IntType(8).as_pointer()
_N, _N_CONSTANTS = COUNT_WORD[RECORDS], COUNT_WORD[CONSTANTS]
_N_GUARDS = COUNT_WORD[GUARDS]
_N_STATEMENTS, _N_ENTRIES = COUNT_WORD[STATEMENTS], COUNT_WORD[ENTRIES]

_NO_TAPE = _I64(0)


class Number(NamedTuple):
    """A number in registers: its value and, if it may be active, its slot and its tape."""

    value: Value
    slot: Value = _I64(0)
    tape: Value = _NO_TAPE


class _Tape:
    """Instructions that read and append to the tape at an address.

    Attributes
    ----------
    claimed : dict of int
        The most entries of each group that they append.
    """

    def __init__(self, builder: Builder, address: Value) -> None:
        self.builder, self.address = builder, address
        self.head = builder.inttoptr(address, _I64.as_pointer())
        self.claimed: dict[int, int] = {}

    def _word(self, index: int) -> Value:
        return self.builder.gep(self.head, [_I64(index)])

    def load(self, index: int) -> Value:
        """Return a word of the head."""
        return self._apart(self.builder.load(self._word(index)), "head")

    def _apart(self, access: Value, part: str) -> Value:
        m = self.builder.module
        domain = m.add_metadata(["tapegrad"])
        scopes = {n: m.add_metadata([m.add_metadata([n, domain])]) for n in ("head", "columns")}
        access.set_metadata("alias.scope", scopes[part])
        access.set_metadata("noalias", scopes["columns" if part == "head" else "head"])
        return access

    def store(self, index: int, value: Value) -> None:
        """Change a word of the head."""
        self._apart(self.builder.store(value, self._word(index)), "head")

    def lacks(self, group: int, extra: int) -> Value:
        """Return whether a group has no room for some more entries."""
        count = COUNT_WORD[group]
        after = self.builder.add(self.load(count), _I64(extra))
        return self.builder.icmp_signed(">", after, self.load(count + 1))

    def grow(self, group: int, extra: int) -> None:
        """Make room in a group, by Python or, of a tape that isn't Python's, without it."""
        kind = ir.FunctionType(_I64, [_I64, _I64, _I64])
        builder = self.builder
        is_native = builder.icmp_signed("!=", self.load(OWNER_WORD), _I64(0))
        with builder.if_else(is_native) as (then, otherwise):
            for branch, name in ((then, "tapegrad_grow_native"), (otherwise, "tapegrad_grow")):
                with branch:
                    function = declare(builder.module, kind, name)
                    builder.call(function, [self.address, _I64(group), _I64(extra)])

    def claim(self, group: int, entries: int = 1) -> Value:
        """Return the index of a group's next entry, and count so many."""
        self.claimed[group] = self.claimed.get(group, 0) + entries
        index = self.load(COUNT_WORD[group])
        self.store(COUNT_WORD[group], self.builder.add(index, _I64(entries)))
        return index

    def put(self, column: int, kind: LLVMType, index: Value, value: Value) -> None:
        """Store into the column whose address a word of the head holds."""
        pointer = self.builder.inttoptr(self.load(column), kind.as_pointer())
        self._apart(self.builder.store(value, self.builder.gep(pointer, [index])), "columns")


class _Appender:
    """An LLVM function that appends to the tape at its first argument.

    It does nothing where the address is null. Where there may be no room, it leaves the rest to
    a second function, so that it need not save registers itself; that one does nothing when no
    room can be made, and the tape has noted so.
    """

    def __init__(self, name: str, result: LLVMType, arguments: list[LLVMType],
                 body: Callable[[Builder, _Tape, list[Value]], None],
                 is_inlined: bool = False) -> None:  # fmt: skip
        self._name, self._body = f"tapegrad.{name}", body
        self._is_inlined = is_inlined
        self._kind = ir.FunctionType(result, arguments)

    def call(self, builder: Builder, arguments: Values) -> Value:
        """Emit a call, and the function if the module hasn't got it."""
        return builder.call(self._function(builder.module), arguments, cconv="fastcc")

    def _declare(self, module: Module, name: str, is_inlined: bool = False) -> Value:
        function = declare(module, self._kind, name)
        function.linkage = "internal"
        function.calling_convention = "fastcc"
        function.attributes.add(
            "alwaysinline" if "statement" in name and not name.endswith("growing") else "noinline"
        )
        function.attributes.add("nounwind")
        return function

    def _function(self, module: Module) -> Value:
        function = self._declare(module, self._name, self._is_inlined)
        if function.is_declaration:
            growing = self._declare(module, f"{self._name}.growing")
            claimed = self._write(function, growing)
            self._write_growing(growing, function, claimed)
        return function

    def _nothing(self, builder: Builder) -> None:
        if self._kind.return_type == _VOID:
            builder.ret_void()
        else:
            builder.ret(_I64(0))

    def _forward(self, builder: Builder, function: Value, arguments: Values) -> None:
        result = builder.call(function, arguments, cconv="fastcc", tail=True)
        if self._kind.return_type == _VOID:
            builder.ret_void()
        else:
            builder.ret(result)

    def _write(self, function: Value, growing: Value) -> dict[int, int]:
        """Write the function; return the entries of each group that it makes sure of."""
        entry, body = (function.append_basic_block(name) for name in ("entry", "body"))
        appended = _Tape(ir.IRBuilder(body), function.args[0])
        self._body(appended.builder, appended, list(function.args[1:]))
        builder = ir.IRBuilder(entry)  # after what the body keeps there
        tape = _Tape(builder, function.args[0])
        with builder.if_then(builder.icmp_signed("==", tape.address, _I64(0)), likely=False):
            self._nothing(builder)
        for group, entries in sorted(appended.claimed.items()):
            with builder.if_then(tape.lacks(group, entries), likely=False):
                self._forward(builder, growing, function.args)
        builder.branch(body)
        return appended.claimed

    def _write_growing(self, growing: Value, function: Value, claimed: dict[int, int]) -> None:
        builder = ir.IRBuilder(growing.append_basic_block("entry"))
        tape = _Tape(builder, growing.args[0])
        self._give_up_if_failed(builder, tape)  # a program may go on for long after the failure
        for group, entries in sorted(claimed.items()):
            with builder.if_then(tape.lacks(group, entries)):
                tape.grow(group, entries)
                self._give_up_if_failed(builder, tape)
        self._forward(builder, function, growing.args)

    def _give_up_if_failed(self, builder: Builder, tape: _Tape) -> None:
        has_failed = builder.icmp_signed("!=", tape.load(FAILED_WORD), _I64(0))
        with builder.if_then(has_failed, likely=False):
            self._nothing(builder)


def _put_record(tape: _Tape, code: Value, a: Value, b: Value, value: Value) -> None:
    builder = tape.builder
    slot = tape.claim(RECORDS)
    tape.put(_N + 2, _I8, slot, builder.trunc(code, _I8))
    tape.put(_N + 3, _I32, slot, builder.trunc(a, _I32))
    tape.put(_N + 4, _I32, slot, builder.trunc(b, _I32))
    tape.put(_N + 5, _DOUBLE, slot, value)
    builder.ret(slot)


def _binary(builder: Builder, tape: _Tape, arguments: Values) -> None:
    code, x_slot, y_slot, x_value, y_value, value = arguments
    operands = []
    for slot, number in ((x_slot, x_value), (y_slot, y_value)):
        operand = alloca_once_value(builder, slot)
        with builder.if_then(builder.icmp_signed("==", slot, _I64(0)), likely=False):
            index = tape.claim(CONSTANTS)
            tape.put(_N_CONSTANTS + 2, _DOUBLE, index, number)
            builder.store(builder.not_(index), operand)
        operands.append(builder.load(operand))
    _put_record(tape, code, operands[0], operands[1], value)


def _unary(builder: Builder, tape: _Tape, arguments: Values) -> None:
    code, slot, value = arguments
    _put_record(tape, code, slot, _I64(0), value)


def _numbered(builder: Builder, site: Value, text: Value) -> Value:
    """Return the number of a place, which is asked for if its variable doesn't hold it yet."""
    with builder.if_then(builder.icmp_signed("==", builder.load(site), _I64(0)), likely=False):
        kind = ir.FunctionType(_I64, [_TEXT])
        register = declare(builder.module, kind, "tapegrad_site")
        builder.store(builder.call(register, [text]), site)
    return builder.load(site)


def _guard(builder: Builder, tape: _Tape, arguments: Values) -> None:
    slot, value, site, text = arguments
    with builder.if_then(builder.icmp_signed("!=", tape.load(OWNER_WORD), _I64(0))):
        builder.ret_void()  # it's recorded afresh at each point
    number = _numbered(builder, site, text)
    index = tape.claim(GUARDS)
    tape.put(_N_GUARDS + 2, _I32, index, builder.trunc(slot, _I32))
    tape.put(_N_GUARDS + 3, _DOUBLE, index, value)
    tape.put(_N_GUARDS + 4, _I32, index, builder.trunc(number, _I32))
    builder.ret_void()


_append_binary = _Appender("binary", _I64, [*[_I64] * 4, *[_DOUBLE] * 3], _binary)
_append_unary = _Appender("unary", _I64, [_I64, _I64, _I64, _DOUBLE], _unary)
_append_guard = _Appender("guard", _VOID, [_I64, _I64, _DOUBLE, _I64.as_pointer(), _TEXT], _guard)


def _statement(builder: Builder, tape: _Tape, arguments: Values) -> None:
    n_terms = len(arguments) // 2
    slot, entry = tape.claim(STATEMENTS), tape.claim(ENTRIES, n_terms)
    tape.put(_N_STATEMENTS + 2, _I32, slot, builder.trunc(entry, _I32))
    for k in range(n_terms):
        index = builder.add(entry, _I64(k))
        tape.put(_N_ENTRIES + 2, _I32, index, builder.trunc(arguments[k], _I32))
        tape.put(_N_ENTRIES + 3, _DOUBLE, index, arguments[n_terms + k])
    builder.ret(slot)


_append_statement = {
    n: _Appender(
        f"statement{n}", _I64, [_I64, *[_I64] * n, *[_DOUBLE] * n], _statement, is_inlined=True
    )
    for n in range(1, MOST_TERMS + 1)
}  # fmt: skip


def statement(builder: Builder, tape: Value, slots: list[Value], partials: list[Value]) -> Value:
    """Append a statement to a linearised tape, if there is one, and return its slot."""
    return _append_statement[len(slots)].call(builder, [tape, *slots, *partials])


def record(builder: Builder, code: Value, value: Value, *operands: Number) -> Number:
    """Append a record if an operand is active, and return the operation's result."""
    if all(x.tape is _NO_TAPE for x in operands):
        return Number(value)
    if len(operands) == 1:
        (x,) = operands
        slot = _append_unary.call(builder, [x.tape, code, x.slot, value])
        return Number(value, slot, x.tape)
    x, y = operands
    tape = builder.or_(x.tape, y.tape)
    arguments = [tape, code, x.slot, y.slot, x.value, y.value, value]
    return Number(value, _append_binary.call(builder, arguments), tape)


def guard(builder: Builder, x: Number, place: str = "") -> None:
    """State on its tape the value a number had at a place of the user's code, if it's active.

    Without a place, what called the code has to say it: `site_number` is for that.
    """
    if x.tape is not _NO_TAPE:
        _append_guard.call(builder, [x.tape, x.slot, x.value, *_site(builder, place)])


def site_number(builder: Builder, place: str) -> Value:
    """Return the number of a place of the user's code, as guards hold it."""
    return _numbered(builder, *_site(builder, place))


def _site(builder: Builder, place: str) -> tuple[Value, Value]:
    """Return the variable that keeps a place's number, and the place as a text.

    The number is asked for when the place is first passed: code that comes from a cache finds
    other numbers in each process.
    """
    name = "tapegrad.site." + hashlib.sha256(place.encode()).hexdigest()[:16]
    site = variable(builder.module, _I64, name)
    site.linkage, site.initializer = "internal", _I64(0 if place else UNPLACED)
    return site, builder.bitcast(text(builder.module, f"{name}.text", place), _TEXT)
