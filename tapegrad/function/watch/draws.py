"""Whether random numbers were drawn while a function was recorded.

The states of the two generators that everybody shares are compared, `numpy.random`'s and
`random`'s, by their memory: copying them through their own methods takes longer than recording a
short function.
"""

from __future__ import annotations

import ctypes
import os
import random
import secrets
import uuid
from typing import Any

import numpy as np

GENERATORS = (np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random)

# What takes a seed from the operating system if it's given none, and what always does.
_SEEDED = (
    np.random.default_rng, np.random.RandomState, np.random.SeedSequence, np.random.seed,
    np.random.MT19937, np.random.PCG64, np.random.PCG64DXSM, np.random.Philox, np.random.SFC64,
    random.Random, random.seed,
)  # fmt: skip
_UNSEEDED = (
    random.SystemRandom, os.urandom, uuid.uuid1, uuid.uuid4, secrets.choice, secrets.randbelow,
    secrets.randbits, secrets.token_bytes, secrets.token_hex, secrets.token_urlsafe,
)  # fmt: skip

# Names without which code draws no numbers from the shared generators.
NAMES = frozenset(
    ["random", "rvs", "rand", "randn", "randint", "normal", "standard_normal", "uniform", "gauss",
     "choice", "shuffle", "permutation", "sample", "seed"]
)  # fmt: skip

SharedStates = dict[str, Any]
"""The states of `numpy.random` and `random`, by their names."""

_MERSENNE_TWISTER = 625 * 4  # 624 words of state and a position in them


def is_unpredictable(thing: Any, is_called_empty: bool) -> bool:
    """Whether calling a thing gives what no seed decides."""
    return any(thing is source for source in (*_UNSEEDED, *(_SEEDED if is_called_empty else ())))


def _memory(thing: Any, kind: type) -> bytes:
    """Return what a class written in C keeps in an object, behind its header."""
    header = object.__basicsize__
    return ctypes.string_at(id(thing) + header, kind.__basicsize__ - header)


def state_of_generator(generator: Any) -> Any:
    """Return what decides the next numbers of a generator, quickly."""
    if isinstance(generator, np.random.Generator):
        return state_of_generator(generator.bit_generator)
    if isinstance(generator, np.random.RandomState):  # it may keep a normal number
        bits = state_of_generator(generator._bit_generator)
        return bits, _memory(generator, np.random.RandomState)
    if isinstance(generator, random.Random):
        return _memory(generator, random.Random.__mro__[1]), vars(generator).get("gauss_next")
    if isinstance(generator, np.random.MT19937):
        return ctypes.string_at(generator.ctypes.state_address, _MERSENNE_TWISTER)
    return repr(generator.state)


def shared_states() -> SharedStates:
    """Return the states of the generators that everybody shares, by their names."""
    return {
        "numpy.random": state_of_generator(np.random.mtrand._rand),
        "random": state_of_generator(random._inst),
    }


def drawn_between(before: SharedStates, after: SharedStates, last: SharedStates) -> str | None:
    """Return the name of a shared generator that gave numbers, or None.

    Where a recording leaves the state that the `last` one left, whatever the state before was,
    the generator was seeded within it.
    """
    drawn = (name for name in after if after[name] not in (before[name], last.get(name)))
    return next(drawn, None)
