"""Places a number can hide in: attributes, helpers, objects bound again, containers."""

from __future__ import annotations

import collections
import functools
import operator
import types

import numpy as np
from closed_over import PLACES, new_ticks, place, place_that_rebinds
from closed_over_defaults import (
    Plain,
    Settings,
    Slotted,
    object_read_by,
    times_lam_of,
    times_lam_of_inner,
)

import tapegrad as tg


@place
def attribute_of_a_namespace(make_module):
    thing, ticks = types.SimpleNamespace(lam=0.1), new_ticks()

    def f(x):
        next(ticks)
        return thing.lam * x * x

    return f, functools.partial(setattr, thing, "lam"), ticks


@place
def attribute_of_a_namespace_given_to_a_helper(make_module):
    return object_read_by(times_lam_of)


@place
def attribute_of_a_namespace_in_a_list(make_module):
    things, ticks = [types.SimpleNamespace(lam=0.1)], new_ticks()

    def f(x):
        next(ticks)
        return sum(thing.lam * x for thing in things) * x

    return f, functools.partial(setattr, things[0], "lam"), ticks


@place
def attribute_of_a_dataclass_given_to_a_helper(make_module):
    return object_read_by(times_lam_of, Settings())


@place
def attribute_of_an_object_of_a_dataclass_given_to_a_helper(make_module):
    settings = Settings()
    settings.inner.lam = 0.1
    f, _, ticks = object_read_by(times_lam_of_inner, settings)
    return f, functools.partial(setattr, settings.inner, "lam"), ticks


@place
def attribute_of_a_slotted_object_given_to_a_helper(make_module):
    return object_read_by(times_lam_of, Slotted())


@place
def attribute_that_shadows_the_classes_of_an_object_given_to_a_helper(make_module):
    return object_read_by(times_lam_of, Plain())


@place
def class_attribute_of_an_object_given_to_a_helper(make_module):
    class Own:
        lam = 0.1

    f, _, ticks = object_read_by(times_lam_of, Own())
    return f, functools.partial(setattr, Own, "lam"), ticks


@place
def class_attribute(make_module):
    class Own:
        lam = 0.1

    ticks = new_ticks()

    def f(x):
        next(ticks)
        return Own.lam * x * x

    return f, functools.partial(setattr, Own, "lam"), ticks


@place
def class_attribute_of_a_base_of_a_class_made_inside(make_module):
    class Base:
        lam = 0.1

    class Derived(Base):
        pass

    ticks = new_ticks()

    def f(x):
        next(ticks)
        return Derived().lam * x * x

    return f, functools.partial(setattr, Base, "lam"), ticks


@place
def attribute_of_a_function(make_module):
    def helper(x):
        return helper.lam * x

    ticks = new_ticks()
    helper.lam = 0.1

    def f(x):
        next(ticks)
        return helper(x) * x

    return f, functools.partial(setattr, helper, "lam"), ticks


@place
def closure_of_a_helper_under_functools_wraps(make_module):
    lam, ticks = 0.1, new_ticks()

    def quiet(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args)

        return wrapper

    @quiet
    @quiet
    def helper(x):
        return lam * x

    def f(x):
        next(ticks)
        return helper(x) * x

    def change(value):
        nonlocal lam
        lam = value

    return f, change, ticks


@place
def closure_of_a_decorator(make_module):
    lam, ticks = 0.1, new_ticks()

    def times(function):
        @functools.wraps(function)
        def wrapper(x):
            return lam * function(x)

        return wrapper

    def change(value):
        nonlocal lam
        lam = value

    @times
    def f(x):
        next(ticks)
        return x * x

    return f, change, ticks


@place
def closure_of_a_function_under_a_derivative(make_module):
    lam, ticks = 0.1, new_ticks()
    slope = tg.grad(lambda x: lam * x * x * x / 3.0)

    def f(x):
        next(ticks)
        return slope(x)

    def change(value):
        nonlocal lam
        lam = value

    return f, change, ticks


@place
def closure_of_a_function_under_a_derivative_made_inside(make_module):
    lam, ticks = 0.1, new_ticks()

    def cube(x):
        return lam * x * x * x / 3.0

    def f(x):
        next(ticks)
        return tg.grad(cube)(x)

    def change(value):
        nonlocal lam
        lam = value

    return f, change, ticks


@place_that_rebinds
def helper_bound_again(make_module):
    ticks = new_ticks()

    def helper_for(lam):
        return lambda x: lam * x

    helper = helper_for(0.1)

    def f(x):
        next(ticks)
        return helper(x) * x

    def change(value):
        nonlocal helper
        helper = helper_for(value)

    return f, change, ticks


@place_that_rebinds
def helper_in_a_list_bound_again(make_module):
    ticks = new_ticks()

    def helper_for(lam):
        return lambda x: lam * x

    helpers = [helper_for(0.1)]

    def f(x):
        next(ticks)
        return helpers[0](x) * x

    return f, lambda value: operator.setitem(helpers, 0, helper_for(value)), ticks


@place_that_rebinds
def method_replaced_on_the_class(make_module):
    class Own:
        def scale(self, x):
            return 0.1 * x

    own, ticks = Own(), new_ticks()

    def f(x):
        next(ticks)
        return own.scale(x) * x

    return f, lambda value: setattr(Own, "scale", lambda self, x: value * x), ticks


@place_that_rebinds
def object_bound_again(make_module):
    thing, ticks = Settings(), new_ticks()

    def f(x):
        next(ticks)
        return times_lam_of(thing, x) * x

    def change(value):
        nonlocal thing
        thing = Settings(value)

    return f, change, ticks


def container(make, change, read):
    def factory(make_module):
        held, ticks = make(), new_ticks()

        def f(x):
            next(ticks)
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
