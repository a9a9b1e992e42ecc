"""Identities as compiled code: a table of patterns made into one function of a record.

A pattern is an operation of variables, constants and operations of variables; a constant
matches its own bits. What it is equal to is a variable, a constant, or an operation of
variables. The function is generated as a readable module, an `if` an identity.
"""

from __future__ import annotations

import ast
import struct
from collections.abc import Iterator

from tapegrad.ops import BY_NAME

Identity = tuple[str, str]

UNCHANGED, OPERAND, LITERAL, OPERATION = range(4)
"""What a record is equal to: itself, one of its operands, a constant, another record."""

_HEADER = '''\
"""Identities of elementary operations as compiled code; generated from tapegrad.passes."""
from numba import int64

from tapegrad.jit import jit_inline


@jit_inline
def rewritten(code, x, y, op, a, b, bits):
    """Return what a record is equal to: the kind, then operation, operands and constant."""
'''


def source(identities: tuple[Identity, ...]) -> str:
    """Return the generated module's source."""
    by_name: dict[str, list[Identity]] = {}
    for pattern, result in identities:
        by_name.setdefault(pattern.partition("(")[0], []).append((pattern, result))
    lines = []
    for name, group in by_name.items():
        lines.append(f"    if code == {BY_NAME[name].code}:")
        for pattern, result in group:
            conditions, variables = _matched(pattern)
            lines.append(f"        if {' and '.join(conditions) or 'True'}:")
            lines.append(
                f"            return {_returned(result, variables)}  # {pattern} = {result}"
            )
    lines.append(f"    return {UNCHANGED}, code, x, y, 0.0")
    return _HEADER + "\n".join(lines) + "\n"


def _matched(pattern: str) -> tuple[list[str], dict[str, str]]:
    """Return what must hold of the operands x and y, and where the variables are."""
    conditions: list[str] = []
    variables: dict[str, str] = {}
    for node, operand in zip(_call(pattern).args, "xy", strict=False):
        if isinstance(node, ast.Name):
            variables[node.id] = operand
        elif isinstance(node, ast.Call):
            conditions.append(f"{operand} > 0 and op[{operand}] == {_code(node)}")
            for inner, column in zip(node.args, "ab", strict=False):
                assert isinstance(inner, ast.Name), f"{pattern} is too deep"
                variables[inner.id] = f"int64({column}[{operand}])"
        else:
            bits = struct.unpack("q", struct.pack("d", ast.literal_eval(node)))[0]
            conditions.append(f"{operand} < 0 and bits[~{operand}] == {bits}")
    return conditions, variables


def _returned(result: str, variables: dict[str, str]) -> str:
    node = ast.parse(result, mode="eval").body
    if isinstance(node, ast.Name):
        return f"{OPERAND}, code, {variables[node.id]}, int64(0), 0.0"
    if isinstance(node, ast.Call):
        x, y = [*_names(node, variables), "int64(0)"][:2]
        return f"{OPERATION}, {_code(node)}, {x}, {y}, 0.0"
    return f"{LITERAL}, code, x, y, {result}"


def _names(node: ast.Call, variables: dict[str, str]) -> Iterator[str]:
    for inner in node.args:
        assert isinstance(inner, ast.Name), f"{ast.unparse(node)} is more than one record"
        yield variables[inner.id]


def _call(text: str) -> ast.Call:
    node = ast.parse(text, mode="eval").body
    assert isinstance(node, ast.Call), f"{text} is no operation"
    return node


def _code(node: ast.Call) -> int:
    return BY_NAME[ast.unparse(node.func)].code
