"""Structures of arguments and results: tuples, lists, deques, dicts, dataclasses of leaves."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Structure = Any
"""A leaf is `None`; a node is its kind, what it needs to be made again, and its children."""

LEAF: Structure = None

_MAPPINGS = (dict, OrderedDict, defaultdict)


def flatten(tree: Any, leaves: list[Any]) -> Structure:
    """Append the leaves of a tree to a list, in order, and return its hashable structure."""
    kind = type(tree)
    if kind is tuple or kind is list:
        return kind, None, tuple([flatten(child, leaves) for child in tree])
    if kind in _MAPPINGS:
        keys = (tree.default_factory, *tree) if kind is defaultdict else tuple(tree)
        return kind, keys, tuple([flatten(child, leaves) for child in tree.values()])
    if kind is deque:
        return kind, tree.maxlen, tuple([flatten(child, leaves) for child in tree])
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return kind, None, tuple([flatten(child, leaves) for child in tree])
    if hasattr(kind, "__dataclass_fields__"):
        names = tuple(field.name for field in dataclasses.fields(tree))
        return kind, names, tuple([flatten(getattr(tree, name), leaves) for name in names])
    leaves.append(tree)
    return LEAF


def unflatten(structure: Structure, leaves: Iterator[Any]) -> Any:
    """Return the tree with a structure, taking its leaves from an iterator."""
    if structure is LEAF:
        return next(leaves)
    kind, names, children = structure
    parts = [unflatten(child, leaves) for child in children]
    if kind is tuple or kind is list:
        return kind(parts)
    if kind is defaultdict:
        return defaultdict(names[0], zip(names[1:], parts, strict=True))
    if kind in _MAPPINGS:
        return kind(zip(names, parts, strict=True))
    if kind is deque:
        return deque(parts, names)
    if names is None:
        return kind(*parts)
    return _make_dataclass(kind, dict(zip(names, parts, strict=True)))


def _make_dataclass(kind: type, values: dict[str, Any]) -> Any:
    # Not through __init__: it may take other arguments, or reject what is not a plain float.
    instance: Any = object.__new__(kind)
    for name, value in values.items():
        object.__setattr__(instance, name, value)
    return instance


def unflatten_all(structure: Structure, leaves: Sequence[Any]) -> Any:
    """Return the tree with a structure and these leaves."""
    return unflatten(structure, iter(leaves))


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return the tree with `function` applied to every leaf."""
    leaves: list[Any] = []
    structure = flatten(tree, leaves)
    return unflatten(structure, map(function, leaves))
