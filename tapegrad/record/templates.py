"""The rows' contributions to adjoints and tangents as data: a template of operations each.

Of an operand it's `chain(w, partial)`, written as operations in a straight line on numbered
places: the operation's `x`, `y` and `z`, the `w` that is multiplied, constants, and what the
template itself has computed. A sweep that records goes through the templates of a tape's records.
"""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

from tapegrad.ops import CODE, CONSTANTS, OPS, Op
from tapegrad.rows import names_in, parsed

X, Y, Z, W, NONE = range(5)
"""The first places; `NONE` is the second operand of what has one."""

_SIGNS = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide"}
_PARTS = 3
_MOST_PLACES = 256


class _Writer:
    """Writes templates one after another.

    Attributes
    ----------
    lines : list of tuple
        Of an operation: its code and the places of its operands and its result.
    constants : dict
        The place of each constant.
    """

    def __init__(self) -> None:
        self.lines: list[tuple[int, int, int, int]] = []
        self.constants: dict[str, int] = {}
        self._next = _MOST_PLACES // 2

    def template(self, op: Op) -> tuple[list[int], list[int]]:
        """Write a row's; return where its parts begin and end, and the places of their results.

        The first part is what the others have in common, then there is one for each operand.
        """
        self._next = _MOST_PLACES // 2
        scope = {"x": X, "y": Y, "z": Z}
        bounds, results = [len(self.lines)], [NONE]
        used = {name for partial in op.partials for name in names_in(partial)}
        for name, expression in op.where.items():
            if name in used:
                scope[name] = self._write(parsed(expression), scope)
        bounds.append(len(self.lines))
        for partial in (*op.partials, "0", "0")[: _PARTS - 1]:
            results.append(self._contribution(partial, scope))
            bounds.append(len(self.lines))
        return bounds, results

    def _contribution(self, partial: str, scope: dict[str, int]) -> int:
        if partial in ("0", "1"):
            return NONE if partial == "0" else W
        if partial == "-1":
            return self._line("negative", W)
        return self._line("chain", W, self._write(parsed(partial), scope))

    def _line(self, name: str, left: int, right: int = NONE) -> int:
        place = self._next
        self._next += 1
        self.lines.append((CODE[name], left, right, place))
        return place

    def _constant(self, value: float) -> int:
        return self.constants.setdefault(value.hex(), NONE + 1 + len(self.constants))

    @staticmethod
    def _value(node: ast.expr) -> float | None:
        """Return a constant's value."""
        if isinstance(node, ast.Constant):
            return float(node.value)  # type: ignore[arg-type]
        return CONSTANTS.get(node.id) if isinstance(node, ast.Name) else None

    def _write(self, node: ast.expr, scope: dict[str, int]) -> int:
        """Write an expression; return the place of its value."""
        if (value := self._value(node)) is not None:
            return self._constant(value)
        if isinstance(node, ast.Name):
            return scope[node.id]
        if isinstance(node, ast.UnaryOp):
            if (value := self._value(node.operand)) is not None:
                return self._constant(-value)
            return self._line("negative", self._write(node.operand, scope))
        if isinstance(node, ast.BinOp):
            operands = [self._write(side, scope) for side in (node.left, node.right)]
            return self._line(_SIGNS[type(node.op)], *operands)
        assert isinstance(node, ast.Call), ast.unparse(node)
        return self._line(ast.unparse(node.func), *(self._write(x, scope) for x in node.args))


_writer = _Writer()
_templates = [_writer.template(op) for op in OPS]

LINES = np.array(_writer.lines, np.uint8)
"""Code, operands and result of each operation of the templates."""

BOUNDS = np.array([bounds for bounds, _ in _templates], np.int32)
"""Where an operation's parts begin in `LINES`, and the last ends."""

RESULTS = np.array([results for _, results in _templates], np.uint8)
"""The places of their results."""

MOST_LINES = int((BOUNDS[:, -1] - BOUNDS[:, 0]).max())
"""The length of the longest template."""

N_CONSTANTS = len(_writer.constants)
assert N_CONSTANTS < _MOST_PLACES // 2 - NONE - 1, "constants where results are"


def places() -> tuple[Any, Any]:
    """Return values and slots of the places, the constants filled in."""
    values, slots = np.zeros(_MOST_PLACES), np.zeros(_MOST_PLACES, np.int64)
    values[NONE + 1 : NONE + 1 + N_CONSTANTS] = [float.fromhex(k) for k in _writer.constants]
    return values, slots
