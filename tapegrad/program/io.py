"""Programs as bytes, and as files: versioned, checksummed, and the same bits when read.

A file is eight letters, the format's version, a SHA-256 of all the rest, and a program: the length
of a JSON text, the text, and the tables' numbers, all little-endian. In the text a statement is a
list that begins with its kind, loops are a `for` and an `end`, and a value is what a stack machine
would do: what is deep needs no recursion. Constants are their bits.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tapegrad.caching import write
from tapegrad.errors import ProgramFileError
from tapegrad.program.check import check
from tapegrad.program.ir import (
    Accumulate,
    Apply,
    Body,
    Call,
    Compute,
    Constant,
    Counter,
    Element,
    Guard,
    Index,
    Loop,
    Past,
    Program,
    Region,
    Span,
    Statement,
    Store,
    Table,
    Value,
    Variable,
)

MAGIC, VERSION = b"tapegrad", 1
_HEAD = struct.Struct("<8sI32s")  # of every version
_LENGTH = struct.Struct("<Q")

# --- files -----------------------------------------------------------------------------------


def save(program: Program, path: str | Path) -> None:
    """Write a program to a file, whole or not at all.

    Parameters
    ----------
    program : Program
    path : str or Path

    Raises
    ------
    OSError
        If it can't be written.

    Examples
    --------
    >>> import os, tempfile
    >>> from tapegrad.program.ir import *
    >>> body = (Store(Element("y", Index()), Element("x", Index())),)
    >>> program = Program((Region("x", 1, "input"), Region("y", 1, "output")), (), body)
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = os.path.join(directory, "identity.program")
    ...     save(program, path)
    ...     load(path) == program
    True
    """
    content = encoded(program)
    write(Path(path), _HEAD.pack(MAGIC, VERSION, _checksum(VERSION, content)) + content)


def load(path: str | Path) -> Program:
    """Return the program that a file holds.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    ProgramFileError
        If it's no program, of another version, or not as it was saved.
    InvalidProgramError
        If it's a program that `check` refuses.
    OSError
        If it can't be read.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = os.path.join(directory, "empty.program")
    ...     save(Program((), (), ()), path)
    ...     load(path)
    Program(regions=(), tables=(), body=(), is_strict=False)
    """
    data = Path(path).read_bytes()
    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        raise ProgramFileError(
            f"{path} holds no program: it doesn't begin as a file written by `save` does. "
            "Give the path that was given to `save`"
        )
    damaged = ProgramFileError(
        f"{path} isn't as it was saved: it was cut short or altered, and its checksum doesn't "
        "match. Copy it again from where it was written, or `save` the program again"
    )
    if len(data) < _HEAD.size:
        raise damaged
    _, version, checksum = _HEAD.unpack_from(data)
    content = data[_HEAD.size :]
    if _checksum(version, content) != checksum:
        raise damaged
    if version != VERSION:
        raise ProgramFileError(
            f"{path} is of version {version} of the format, and this tapegrad reads version "
            f"{VERSION}. `save` the program again with this tapegrad, or read it with the one "
            "that wrote it"
        )
    program = decoded(content)
    check(program)
    return program


def _checksum(version: int, content: bytes) -> bytes:
    return hashlib.sha256(MAGIC + struct.pack("<I", version) + content).digest()


# --- programs --------------------------------------------------------------------------------


def encoded(program: Program) -> bytes:
    """Return a program as bytes: the same for equal programs, in every process.

    Parameters
    ----------
    program : Program

    Examples
    --------
    >>> from tapegrad.program.ir import *
    >>> program = Program((Region("x", 1, "input"),), (), ())
    >>> decoded(encoded(program)) == program
    True
    """
    described = {
        "body": list(_statements(program.body)),
        "regions": [
            [r.name, int(r.size), r.role, bool(r.is_zeroed), r.within, int(r.offset)]
            for r in program.regions
        ],
        "strict": bool(program.is_strict),
        "tables": [[t.name, "whole" if t.is_whole else "real", t.values.size]
                   for t in program.tables],
    }  # fmt: skip
    written = json.dumps(described, separators=(",", ":"), sort_keys=True).encode("ascii")
    tables = b"".join(t.values.astype(_kind(t.is_whole)).tobytes() for t in program.tables)
    return _LENGTH.pack(len(written)) + written + tables


def digest(program: Program) -> str:
    """Return a hash of a program's content: equal programs have the same, in every process.

    Parameters
    ----------
    program : Program

    Examples
    --------
    >>> from tapegrad.program.ir import *
    >>> one, other = (Program((Region("x", n, "input"),), (), ()) for n in (1, 2))
    >>> digest(one) == digest(Program(one.regions, (), ())), digest(one) == digest(other)
    (True, False)
    """
    return hashlib.sha256(encoded(program)).hexdigest()


def decoded(content: bytes) -> Program:
    """Return the program that `encoded` made bytes of.

    Raises
    ------
    ProgramFileError
        If these are no program's.
    """
    try:
        (length,) = _LENGTH.unpack_from(content)
        at = _LENGTH.size + length
        described = json.loads(content[_LENGTH.size : at])
        tables = []
        for name, kind, size in described["tables"]:
            values = np.frombuffer(content, _kind(kind == "whole"), size, at)
            tables.append(Table(name, values))
            at += values.nbytes
        if at != len(content):
            raise ValueError("there is more than a program")
        regions = tuple(Region(*region) for region in described["regions"])
        body = _body(described["body"])
        return Program(regions, tuple(tables), body, described["strict"])
    except (ValueError, TypeError, KeyError, IndexError, struct.error) as error:
        raise ProgramFileError(
            f"these bytes are no program's ({error}). Make them with `encoded`"
        ) from error


def _kind(is_whole: bool) -> str:
    return "<i8" if is_whole else "<f8"


# --- statements ------------------------------------------------------------------------------


def _statements(body: Body) -> Iterator[list[Any]]:
    for statement in body:
        match statement:
            case Compute(target, value):
                yield ["compute", _value(target), _value(value)]
            case Store(target, value):
                yield ["store", _value(target), _value(value)]
            case Accumulate(target, value, rounding):
                yield ["accumulate", _value(target), _value(value), rounding]
            case Guard(value, wanted):
                yield ["guard", _value(value), _value(wanted)]
            case Call(block, reads, writes, adds):
                yield ["call", block, _spans(reads), _spans(writes), bool(adds)]
            case Loop(number, count, inner, backward):
                yield ["for", int(number), _index(count), bool(backward)]
                yield from _statements(inner)
                yield ["end"]


def _body(written: list[list[Any]]) -> Body:
    bodies: list[list[Statement]] = [[]]
    opened: list[list[Any]] = []
    for kind, *fields in written:
        if kind == "for":
            opened.append(fields)
            bodies.append([])
        elif kind == "end":
            number, count, backward = opened.pop()
            inner = tuple(bodies.pop())
            bodies[-1].append(Loop(number, _read_index(count), inner, backward))
        elif kind == "call":
            block, reads, writes, adds = fields
            bodies[-1].append(Call(block, _read_spans(reads), _read_spans(writes), adds))
        else:
            bodies[-1].append(_statement(kind, *fields))
    if opened:
        raise ValueError("a loop has no end")
    return tuple(bodies[0])


def _statement(kind: str, first: list[Any], second: list[Any], *rounding: Any) -> Statement:
    make: Any = {"compute": Compute, "store": Store, "accumulate": Accumulate, "guard": Guard}[kind]
    made: Statement = make(_read_value(first), _read_value(second), *rounding)
    return made


def _spans(spans: tuple[Span, ...]) -> list[list[Any]]:
    return [[span.region, _index(span.start), int(span.size)] for span in spans]


def _read_spans(written: list[list[Any]]) -> tuple[Span, ...]:
    return tuple(Span(region, _read_index(start), size) for region, start, size in written)


# --- values ----------------------------------------------------------------------------------


def _value(value: Value) -> list[Any]:
    """Return a value as what a stack machine does, operands before what is applied to them."""
    steps: list[Any] = []
    pending: list[Value] = [value]
    while pending:
        match pending.pop():
            case Constant(number):
                steps.append(["number", struct.pack(">d", number).hex()])
            case Variable(name):
                steps.append(["variable", name])
            case Element(region, index):
                steps.append(["element", region, _index(index)])
            case Past(name, when, loop):
                steps.append(["past", name, when, int(loop)])
            case Apply(op, operands, rounding):
                steps.append(["apply", op, len(operands), rounding])
                pending += operands
    return steps[::-1]


def _read_value(steps: list[list[Any]]) -> Value:
    stack: list[Value] = []
    for kind, *fields in steps:
        if kind == "apply":
            op, arity, rounding = fields
            first = len(stack) - arity
            if first < 0:
                raise ValueError(f"{op!r} lacks operands")
            stack[first:] = [Apply(op, tuple(stack[first:]), rounding)]
        else:
            stack.append(_leaf(kind, *fields))
    (value,) = stack
    return value


def _leaf(kind: str, *fields: Any) -> Value:
    if kind == "number":
        return Constant(struct.unpack(">d", bytes.fromhex(fields[0]))[0])
    if kind == "variable":
        return Variable(*fields)
    if kind == "element":
        return Element(fields[0], _read_index(fields[1]))
    if kind == "past":
        return Past(*fields)
    raise ValueError(f"{kind!r} is no value")


def _index(index: Index) -> list[Any]:
    terms = [[int(counter.loop), counter.kind, int(factor)] for counter, factor in index.terms]
    at = None if index.at is None else [int(index.at.loop), index.at.kind]
    return [int(index.base), terms, index.table, at]


def _read_index(written: list[Any]) -> Index:
    base, terms, table, at = written
    read = tuple((Counter(loop, kind), factor) for loop, kind, factor in terms)
    return Index(base, read, table, None if at is None else Counter(*at))
