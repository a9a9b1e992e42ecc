"""Complex numbers in trees of arguments and results: nodes that hold the two parts.

Unflattened, such a node is the complex number or array again, of whatever its parts are then.
"""

from __future__ import annotations

from typing import Any

from tapegrad.record.complex_numbers import paired, parts
from tapegrad.record.pairs import Pair, is_complex
from tapegrad.tree import flatten, map_leaves


class ComplexParts(tuple[Any, Any]):
    """What stands in a tree for a complex number or array; made of parts, it's that one."""

    __slots__ = ()
    _fields = ("real", "imag")

    def __new__(cls, real: Any, imag: Any) -> Any:
        """Return the number itself."""
        return paired(real, imag)


def holds_pairs(tree: Any) -> bool:
    """Whether there are complex numbers in a tree that depend on an input."""
    leaves: list[Any] = []
    flatten(tree, leaves)
    return any(isinstance(leaf, Pair) for leaf in leaves)


def _apart(leaf: Any) -> Any:
    return tuple.__new__(ComplexParts, parts(leaf)) if isinstance(leaf, Pair) else leaf


def _plain_apart(leaf: Any) -> Any:
    return tuple.__new__(ComplexParts, parts(leaf)) if is_complex(leaf) else leaf


def taken_apart(tree: Any, plain_too: bool = False) -> Any:
    """Return a tree with nodes for the complex numbers that depend on an input, or for all."""
    return map_leaves(_plain_apart if plain_too else _apart, tree)
