"""How the nodes of a graph look, and what is written in them, in Graphviz's language.

Inputs, constants, operations, blocks, outputs, guards and folds differ in shape and outline, so
that they can be told apart in print; the colours are of Okabe and Ito's palette, which the
colour-blind can tell apart too.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from tapegrad.ops import OPS, Op

SYMBOLS = {
    "subtract": "−", "multiply": "×", "chain": "×", "negative": "−( )", "positive": "+( )",
    "power": "^", "powi": "^", "square": "( )²", "reciprocal": "1/( )", "sqrt": "√",
    "less_equal": "≤", "greater_equal": "≥", "equal": "=", "not_equal": "≠",
    "logical_and": "and", "logical_or": "or", "logical_xor": "xor", "logical_not": "not",
}  # fmt: skip
MOST_SYMBOLS = 5

_OPERATION = 'shape=ellipse, style=filled, fillcolor=white, margin="0.04,0.02"'
STYLES = {
    "input": 'shape=box, style=filled, fillcolor="#CFE6F5", color="#0072B2", penwidth=1.6',
    "constant": 'shape=plaintext, margin="0.03,0.02", fontcolor="#444444"',
    "operation": _OPERATION,
    "ordered": f"{_OPERATION}, ordering=in",  # draws the left operand on the left
    "block": "shape=box, style=filled, fillcolor=white, penwidth=1.6",
    "output": 'shape=box, peripheries=2, style=filled, fillcolor="#FBE3B5", color="#9A6200"',
    "guard": 'shape=diamond, style="filled,dashed", fillcolor="#FCE0D0", color="#D55E00", '
    'margin="0.01,0.01"',
    "fold": 'shape=box, style="filled,rounded,dashed", fillcolor="#EBEBEB", color="#555555"',
}
CARRIED = 'style=dashed, color="#00805C", penwidth=1.8'
FOLDED = 'color="#888888"'
# Heads, not words, which would lie on other edges.
ORDERED = ("arrowhead=normal", "arrowhead=onormal, arrowsize=0.85")
GUARDED = 'style=dotted, arrowhead=none, color="#D55E00"'

HEADER = (
    "graph [rankdir=TB, ranksep=0.35, nodesep=0.22, fontname=Helvetica, fontsize=10, labelloc=b];",
    'node [fontname=Helvetica, fontsize=11, width=0, height=0, margin="0.09,0.05"];',
    'edge [arrowsize=0.6, color="#333333", fontname=Helvetica, fontsize=8, fontcolor="#555555"];',
)
FRAME = 'labelloc=t, labeljust=r, style="rounded,dashed", color="#999999", fontcolor="#555555"'


# Lines that only a break parts overlap where a letter goes below its line.
_TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">'


def node(name: str, style: str, title: str, *lines: str, adjoint: float | None = None) -> str:
    """Return a node: a title in bold, lines below it, and an adjoint if it's known."""
    parts = [f"<B>{escape(title)}</B>", *map(escape, lines)]
    if adjoint is not None:
        parts.append(f'<FONT COLOR="#005A8C"><I>∂ {number(adjoint)}</I></FONT>')
    return f"{name} [label=<{_TABLE}{''.join(map(_row, parts))}</TABLE>>, {STYLES[style]}];"


def _row(text: str) -> str:
    return f"<TR><TD>{text}</TD></TR>"


def constant(name: str, value: float) -> str:
    """Return a constant's node."""
    return f'{name} [label="{number(value)}", {STYLES["constant"]}];'


def edge(source: str, target: str, *attributes: str) -> str:
    """Return an edge."""
    return f"{source} -> {target} [{', '.join(attributes)}];"


def number(value: float) -> str:
    """Return how a value is written."""
    return format(value, ".4g").replace("-", "−")


def symbol(op: Op) -> str:
    """Return how an operation is written."""
    return SYMBOLS.get(op.name, op.symbol or op.name)


def symbols(codes: Iterable[int]) -> str:
    """Return how some operations are written, the first few different ones."""
    different = list(dict.fromkeys(symbol(OPS[code]) for code in codes))
    return "  ".join(different[:MOST_SYMBOLS]) + ("  …" if len(different) > MOST_SYMBOLS else "")
