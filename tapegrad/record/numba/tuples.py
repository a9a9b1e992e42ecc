"""Named tuples that hold active numbers in one place and floats in another.

A loop that starts with floats in a named tuple and puts active numbers there has two types for
it, which Numba doesn't make one.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import lower_cast

from tapegrad.numba_internals import Conversion, unpack_tuple
from tapegrad.numba_protocols import (
    Builder,
    Kind,
    LoweringContext,
    TypingContext,
    Value,
)
from tapegrad.record.kinds import kind_in


def _pairs(mine: Kind, other: Kind) -> list[tuple[Kind, Kind]]:
    """Return the element types of two types of one named tuple with active numbers, or none."""
    is_same = isinstance(other, types.BaseNamedTuple) and (
        mine.instance_class is other.instance_class
    )
    if not is_same or kind_in(mine, other) is None:
        return []
    return list(zip(mine.types, other.types, strict=True))


def _unify(self: Kind, typing_context: TypingContext, other: Kind) -> Kind | None:
    unified = [typing_context.unify_pairs(mine, theirs) for mine, theirs in _pairs(self, other)]
    if not unified or None in unified:
        return None
    if len(set(unified)) == 1:
        return types.NamedUniTuple(unified[0], len(unified), self.instance_class)
    return types.NamedTuple(unified, self.instance_class)


def _can_convert_to(self: Kind, typing_context: TypingContext, other: Kind) -> Any:
    kinds = [typing_context.can_convert(mine, theirs) for mine, theirs in _pairs(self, other)]
    return None if not kinds or None in kinds else max(*kinds, Conversion.safe)


def _cast(
    context: LoweringContext, builder: Builder, from_type: Kind, to_type: Kind, value: Value
) -> Value:
    parts = unpack_tuple(builder, value, len(from_type))
    triples = zip(parts, from_type.types, to_type.types, strict=True)
    return context.make_tuple(builder, to_type, [context.cast(builder, *x) for x in triples])


for _kind in (types.NamedTuple, types.NamedUniTuple):
    _kind.unify, _kind.can_convert_to = _unify, _can_convert_to
    for _other in (types.NamedTuple, types.NamedUniTuple):
        lower_cast(_kind, _other)(_cast)
