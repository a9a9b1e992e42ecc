"""Detours in code: some instructions run at its end, and what they make is handed to a keeper.

Nothing is moved within the code, so that its jumps, handlers and lines stay as they are: in
place of the instructions there is a jump to a copy of them, which is followed by
`(made,) @ keeper` and a jump back. The copy has the lines and the handler of the original.
"""

from __future__ import annotations

import dis
import itertools
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import Any

Span = tuple[int, int]
"""The offsets at which instructions begin and end, which one follows from the other."""

_UNIT = 2
LEAST = 2 * _UNIT
"""The bytes that a jump takes, with the high byte of its distance."""

_MOST_UNITS = 2**16 - 1
_NO_LOCATION, _LINE_ONLY, _IN_FULL = 15, 13, 14
_MOST_LOCATED = 8

_Handler = tuple[int, int]
_Position = tuple[int | None, int | None, int | None, int | None]


def _unit(name: str, argument: int = 0) -> bytes:
    """Return an instruction whose argument may have two bytes."""
    prefix = [dis.opmap["EXTENDED_ARG"], argument >> 8] if argument > 255 else []
    return bytes([*prefix, dis.opmap[name], argument & 255])


def _jump(name: str, distance: int) -> bytes:
    return bytes([dis.opmap["EXTENDED_ARG"], distance >> 8, dis.opmap[name], distance & 255])


def _matrix_product() -> bytes:
    """Return the instruction of an operator, with room for what the interpreter learns of it."""
    code = compile("a @ b", "", "eval")
    steps = list(dis.get_instructions(code))
    k = next(k for k, step in enumerate(steps) if step.opname == "BINARY_OP")
    return code.co_code[steps[k].offset : steps[k + 1].offset]


_PRODUCT = _matrix_product()


def with_detours(code: CodeType, spans: Iterable[Span], keeper: Any) -> CodeType:
    """Return code in which what some instructions make is replaced by `(made,) @ keeper`.

    Parameters
    ----------
    code : code
    spans : iterable of pairs of int
        Straight instructions, of two units at least, into which nothing jumps, and the last of
        which leaves one value.
    keeper : object
        Has the method `__rmatmul__`.
    """
    text = bytearray(code.co_code)
    positions = list(code.co_positions())
    handlers = list(_handlers(code.co_exceptiontable))
    located: list[_Position] = []
    handled = bytearray(code.co_exceptiontable)
    keep = _unit("BUILD_TUPLE", 1) + _unit("LOAD_CONST", len(code.co_consts)) + _PRODUCT
    done = False
    for start, end in spans:
        handler = _handler_at(handlers, start)
        block = bytes(text[start:end]) + keep
        there = len(text) - start - LEAST
        back = len(text) + len(block) + LEAST - end
        if max(there, back) // _UNIT > _MOST_UNITS or _handler_at(handlers, end - 1) != handler:
            continue
        if handler is not None:
            handled += _entry(len(text) // _UNIT, len(block) // _UNIT + 2, *handler)
        inside = positions[start // _UNIT : end // _UNIT]
        located += inside + [inside[-1]] * (len(keep) // _UNIT + 2)
        text += block + _jump("JUMP_BACKWARD_NO_INTERRUPT", back // _UNIT)
        left = (end - start - LEAST) // _UNIT
        text[start:end] = _jump("JUMP_FORWARD", there // _UNIT) + _unit("NOP") * left
        done = True
    if not done:
        return code
    last = next((p[0] for p in reversed(positions) if p[0] is not None), code.co_firstlineno)
    return code.replace(
        co_code=bytes(text),
        co_consts=(*code.co_consts, keeper),
        co_stacksize=code.co_stacksize + 1,
        co_exceptiontable=bytes(handled),
        co_linetable=code.co_linetable + b"".join(_locations(located, last)),
    )


# --- handlers of exceptions ---------------------------------------------------------------------

# Numbers are written in groups of six bits: an exception table's with the highest first and a
# mark on the first byte of an entry, a line table's with the lowest first.
_MORE, _FIRST = 64, 128


def _handlers(table: bytes) -> Iterator[tuple[range, _Handler]]:
    """Yield the units that an exception table's entries are for, and the rest of each entry."""
    numbers, number = [], 0
    for byte in table:
        number = number << 6 | byte & 63
        if not byte & _MORE:
            numbers.append(number)
            number = 0
    for start, length, target, depth in zip(*[iter(numbers)] * 4, strict=True):
        yield range(start, start + length), (target, depth)


def _handler_at(handlers: list[tuple[range, _Handler]], offset: int) -> _Handler | None:
    return next((handler for units, handler in handlers if offset // _UNIT in units), None)


def _entry(*numbers: int) -> bytes:
    groups = [[n >> 6 * k & 63 for k in reversed(range(_groups(n)))] for n in numbers]
    entry = bytearray(g | _MORE * (k < len(group) - 1) for group in groups
                      for k, g in enumerate(group))  # fmt: skip
    entry[0] |= _FIRST
    return bytes(entry)


def _groups(number: int) -> int:
    return max(1, -(-number.bit_length() // 6))


# --- lines --------------------------------------------------------------------------------------


def _number(number: int) -> bytes:
    count = _groups(number)
    return bytes(number >> 6 * k & 63 | _MORE * (k < count - 1) for k in range(count))


def _difference(number: int) -> bytes:
    return _number(-number << 1 | 1 if number < 0 else number << 1)


def _locations(positions: Iterable[_Position], line: int) -> Iterator[bytes]:
    """Yield a line table's entries for units that follow one on a line."""
    for (first, last, start, stop), units in itertools.groupby(positions):
        count = sum(1 for _ in units)
        while count:
            length = min(count, _MOST_LOCATED)
            count -= length
            kind, rest = _NO_LOCATION, b""
            if first is not None:
                kind, rest = _LINE_ONLY, _difference(first - line)
                if last is not None and start is not None and stop is not None:
                    kind = _IN_FULL
                    rest += _number(last - first) + _number(start + 1) + _number(stop + 1)
                line = first
            yield bytes([_FIRST | kind << 3 | length - 1]) + rest
