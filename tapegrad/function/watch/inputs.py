"""Which conditions of a walk are about inputs: not those about what the code writes itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import Any

from tapegrad.function.watch.conditions import (
    MISSING,
    Condition,
    Members,
    Names,
    Path,
    State,
    Watch,
)
from tapegrad.function.watch.own_state import Order, Place, TooMuchCodeError
from tapegrad.function.watch.reads import CLOSURE, GLOBAL, SELF
from tapegrad.function.watch.states import slots_of
from tapegrad.function.watch.unchanging import plain_attribute
from tapegrad.function.watch.walk import ATTRIBUTE, Key, Walk


def inputs(walk: Walk, things: Iterable[Any], mentioned: Set[str]) -> list[Condition]:
    """Return the conditions, but for places that code only writes, or writes before it reads.

    Parameters
    ----------
    walk : Walk
        That came to its end.
    things : iterable
        What is called.
    mentioned : set of str
        What other code mentions.
    """
    if walk.is_by_string:
        return list(walk.conditions.values())
    only_written = (walk.written | walk.tapped) - walk.read
    try:
        order = Order(walk, things, mentioned)
    except TooMuchCodeError:
        order = None
    found = []
    for key, condition in walk.conditions.items():
        if _is_attribute(key, condition) and key[2] in only_written:
            continue
        if order is not None and order.are_own(_places(key, condition)):
            continue
        if isinstance(condition, Names | Members):
            holder = id(condition.thing)
            written = only_written if order is None else only_written | order.names_in(holder)
            condition.leave_out(written)
        found.append(condition)
    return found


def _is_attribute(key: Key, condition: Condition) -> bool:
    """Whether a condition is about an attribute of an object, in its dictionary or a slot."""
    if key[0] == "of" and isinstance(condition, Watch):
        return key[2] in slots_of(type(condition.path.holder))
    return bool(key[0] == ATTRIBUTE)


def _places(key: Key, condition: Condition) -> Iterator[Place]:
    """Yield the places that a condition's value is read from, one after another."""
    if not isinstance(condition, Watch | State):
        return
    kind, *rest = key[1:] if key[0] == "before" else key
    if _is_attribute(key, condition):
        yield rest[0], rest[1]
    elif kind in (GLOBAL, CLOSURE, SELF):
        if kind != SELF:
            yield rest[0], rest[1]
        path = condition.path
        thing = Path(path.kind, path.holder, path.key).get()
        for name in path.attributes:
            yield id(thing), name
            thing = plain_attribute(thing, name, MISSING)
