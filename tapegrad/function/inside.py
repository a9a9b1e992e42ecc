"""The search for active numbers inside objects that a function returned.

What a result holds beside trees of numbers and arrays is returned as it was recorded. So there
must be no active number in it: none in its attributes, items, cells or frames, however deep, but
those of an outer recording, which last. Modules, classes, code and the globals of functions,
which belong to no one result, are not entered.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    GeneratorType,
    ModuleType,
)
from typing import Any

import numpy as np

from tapegrad.record.active import Active
from tapegrad.record.array import ActiveArray
from tapegrad.record.open_tape import OpenTape

_PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray, range, slice, np.generic)
_CLOSED = (type, ModuleType, CodeType, *_PLAIN)


def _parts(thing: Any) -> Iterator[Any]:
    if isinstance(thing, FunctionType):
        yield from (thing.__closure__, thing.__defaults__, thing.__kwdefaults__, vars(thing))
    elif isinstance(thing, FrameType):
        yield from thing.f_locals.values()
    elif isinstance(thing, GeneratorType):
        yield thing.gi_frame
    elif isinstance(thing, BuiltinFunctionType):
        yield thing.__self__
    elif isinstance(thing, np.ndarray):
        yield from thing.flat if thing.dtype == np.object_ else ()
    else:
        yield from gc.get_referents(thing)


def holds_actives(thing: Any, tape: OpenTape) -> bool:
    """Whether a number or an array of a tape, or of one that has ended, is inside an object."""
    seen: dict[int, Any] = {}  # the objects, kept, so that their identities stay theirs
    waiting = [thing]
    while waiting:
        thing = waiting.pop()
        kind = type(thing)
        if issubclass(kind, Active | ActiveArray):
            if thing.tape is tape or not thing.tape.is_open:
                return True
            continue
        if issubclass(kind, _CLOSED) or id(thing) in seen:
            continue
        seen[id(thing)] = thing
        waiting.extend(_parts(thing))
    return False
