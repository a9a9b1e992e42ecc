"""Places of numbers in containers that are mutated."""

from __future__ import annotations

import collections
import functools
import types

import numpy as np
from places import PLACES
from ticks import new_ticks


def container(make, change, read):
    def factory(make_module):
        held, ticks = make(), new_ticks()

        def f(x):
            ticks.release()
            return read(held) * x * x

        return f, functools.partial(change, held), ticks

    return factory


def set_first(held, value):
    held[0] = value


def set_key(held, value):
    held["lam"] = value


def first(held):
    return held[0]


CONTAINERS = {
    "array_mutated": (lambda: np.array([0.1, 3.0]), set_first, first),
    "array_slice_mutated": (lambda: np.arange(40.0)[::4] * 0 + 0.1, set_first, first),
    "strided_view_mutated": (lambda: np.full((4, 6), 0.1)[::2, ::3], lambda held, value:
                             held.__setitem__((1, 1), value), lambda held: held[1, 1]),
    "array_of_no_axes_mutated": (lambda: np.array(0.1), lambda held, value:
                                 held.__setitem__((), value), lambda held: float(held)),
    "list_mutated": (lambda: [0.1, "x"], set_first, first),
    "dict_mutated": (lambda: {"lam": 0.1, "other": None}, set_key, lambda held: held["lam"]),
    "list_in_a_tuple_mutated": (lambda: ("a", [0.1]), lambda held, value: set_first(held[1], value),
                                lambda held: held[1][0]),
    "array_in_a_dict_in_a_list_mutated": (
        lambda: [{"w": np.array([0.1])}],
        lambda held, value: set_first(held[0]["w"], value),
        lambda held: held[0]["w"][0],
    ),
    "defaultdict_mutated": (lambda: collections.defaultdict(float, lam=0.1), set_key,
                            lambda held: held["lam"]),
    "ordered_dict_mutated": (lambda: collections.OrderedDict(lam=0.1), set_key,
                             lambda held: held["lam"]),
    "user_dict_mutated": (lambda: collections.UserDict(lam=0.1), set_key,
                          lambda held: held["lam"]),
    "deque_mutated": (lambda: collections.deque([0.1]), set_first, first),
    "object_array_mutated": (lambda: np.array([0.1, None], object), set_first, first),
    "structured_array_mutated": (lambda: np.array([(0.1, 2)], [("lam", float), ("k", int)]),
                                 lambda held, value: set_first(held["lam"], value),
                                 lambda held: float(held["lam"][0])),
    "number_from_a_set_mutated": (lambda: {0.1}, lambda held, value: (held.clear(),
                                  held.add(value)), lambda held: next(iter(held))),
    "mapping_proxy_of_a_dict_mutated": (
        lambda: {"lam": 0.1}, set_key, lambda held: types.MappingProxyType(held)["lam"]),
}  # fmt: skip
for _name, _parts in CONTAINERS.items():
    PLACES[_name] = container(*_parts)
