"""Places of numbers in objects: attributes of instances and of classes."""

from __future__ import annotations

import dataclasses
import functools
import operator
import types
from typing import ClassVar

import numpy as np
from places import place, place_that_rebinds
from ticks import new_ticks


class Model:
    kind = 0.1
    table: ClassVar = {"lam": 0.1}

    def __init__(self):
        self.lam = 0.1
        self.ticks = new_ticks()
        self.options = {"lam": 0.1, "deep": {"lams": [0.1]}}
        self.weights = np.array([0.1, 0.7])

    def loss(self, x):
        self.ticks.release()
        return self.lam * x * x

    def loss_by_property(self, x):
        self.ticks.release()
        return self.scale * x * x

    def loss_by_alias(self, x):
        self.ticks.release()
        me = self
        return me.lam * x * x

    def loss_by_generator(self, x):
        self.ticks.release()
        return sum(self.lam * x * y for y in (x,))

    def loss_by_comprehension(self, x):
        self.ticks.release()
        return sum([self.lam * x * y for y in (x,)])

    def loss_by_inner_function(self, x):
        self.ticks.release()

        def inner(y):
            return self.lam * y

        return inner(x) * x

    def loss_by_lambda_of_an_option(self, x):
        self.ticks.release()
        return (lambda y: self.options["lam"] * y)(x) * x

    def loss_by_method(self, x):
        self.ticks.release()
        return self.times_lam(x) * x

    def loss_by_classmethod(self, x):
        self.ticks.release()
        return self.times_kind(x) * x

    def loss_by_class_attribute(self, x):
        self.ticks.release()
        return self.kind * x * x

    def loss_by_class_table(self, x):
        self.ticks.release()
        return self.table["lam"] * x * x

    def loss_by_option(self, x):
        self.ticks.release()
        return self.options["lam"] * x * x

    def loss_by_deep_option(self, x):
        self.ticks.release()
        return self.options["deep"]["lams"][0] * x * x

    def loss_by_weight(self, x):
        self.ticks.release()
        return self.weights[0] * x * x

    def loss_by_getattr(self, x):
        self.ticks.release()
        return getattr(self, "lam") * x * x  # noqa: B009

    def loss_by_attribute_or_default(self, x):
        self.ticks.release()
        return getattr(self, "other", 0.1) * x * x

    def loss_by_lazy_attribute(self, x):
        self.ticks.release()
        if not hasattr(self, "lazy"):
            self.lazy = 0.1
        return self.lazy * x * x

    @property
    def scale(self):
        return self.lam

    def times_lam(self, x):
        return self.lam * x

    @classmethod
    def times_kind(cls, x):
        return cls.kind * x


def of_model(name, attribute):
    def make(make_module):
        kind = type("Own", (Model,), {"kind": 0.1, "table": {"lam": 0.1}})
        model = kind()
        changes = {
            "kind": lambda value: setattr(kind, "kind", value),
            "table": lambda value: kind.table.update(lam=value),
            "option": lambda value: model.options.update(lam=value),
            "deep": lambda value: operator.setitem(model.options["deep"]["lams"], 0, value),
            "weights": lambda value: operator.setitem(model.weights, 0, value),
        }
        change = changes.get(attribute, functools.partial(setattr, model, attribute))
        return getattr(model, name), change, model.ticks

    make.__name__ = f"bound_method_{name}_{attribute}"
    return place(make)


for _name, _attribute in {
    "loss": "lam",
    "loss_by_property": "lam",
    "loss_by_alias": "lam",
    "loss_by_generator": "lam",
    "loss_by_comprehension": "lam",
    "loss_by_inner_function": "lam",
    "loss_by_lambda_of_an_option": "option",
    "loss_by_method": "lam",
    "loss_by_classmethod": "kind",
    "loss_by_class_attribute": "kind",
    "loss_by_class_table": "table",
    "loss_by_option": "option",
    "loss_by_deep_option": "deep",
    "loss_by_weight": "weights",
    "loss_by_getattr": "lam",
    "loss_by_attribute_or_default": "other",
    "loss_by_lazy_attribute": "lazy",
}.items():
    of_model(_name, _attribute)


@place
def attribute_read_by_an_overridden_method(make_module):
    class Derived(Model):
        def loss(self, x):
            return super().loss(x)

    model = Derived()
    return model.loss, functools.partial(setattr, model, "lam"), model.ticks


@place
def attribute_that_a_method_of_super_reads_from_the_class(make_module):
    class Base:
        lam = 0.1

        def scale(self, x):
            return type(self).lam * x

    class Derived(Base):
        def loss(self, x):
            ticks.release()
            return super().scale(x) * x

    ticks = new_ticks()
    return Derived().loss, functools.partial(setattr, Base, "lam"), ticks


@place
def attribute_of_a_callable_object(make_module):
    class Loss:
        lam = None

        def __call__(self, x):
            ticks.release()
            return self.lam * x * x

    ticks, loss = new_ticks(), Loss()
    loss.lam = 0.1
    return loss, functools.partial(setattr, loss, "lam"), ticks


@place
def attribute_of_a_callable_object_with_an_inherited_call(make_module):
    class Base:
        def __call__(self, x):
            ticks.release()
            return self.lam * x * x

    class Derived(Base):
        pass

    ticks, loss = new_ticks(), Derived()
    loss.lam = 0.1
    return loss, functools.partial(setattr, loss, "lam"), ticks


def object_read_by(read, made=None):
    """Return f, change and ticks for an object with `lam`, used by `read(object, x)`."""
    thing, ticks = types.SimpleNamespace(lam=0.1) if made is None else made, new_ticks()

    def f(x):
        ticks.release()
        return read(thing, x) * x

    return f, functools.partial(setattr, thing, "lam"), ticks


class Plain:
    lam = 0.1


class Slotted:
    __slots__ = ("lam",)

    def __init__(self):
        self.lam = 0.1


@dataclasses.dataclass
class Settings:
    lam: float = 0.1
    inner: Plain = dataclasses.field(default_factory=Plain)


def times_lam_of(thing, x):
    return thing.lam * x


def times_lam_of_inner(thing, x):
    return thing.inner.lam * x


@place
def attribute_of_a_namespace(make_module):
    thing, ticks = types.SimpleNamespace(lam=0.1), new_ticks()

    def f(x):
        ticks.release()
        return thing.lam * x * x

    return f, functools.partial(setattr, thing, "lam"), ticks


@place
def attribute_of_a_namespace_given_to_a_helper(make_module):
    return object_read_by(times_lam_of)


@place
def attribute_of_a_namespace_in_a_list(make_module):
    things, ticks = [types.SimpleNamespace(lam=0.1)], new_ticks()

    def f(x):
        ticks.release()
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
        ticks.release()
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
        ticks.release()
        return Derived().lam * x * x

    return f, functools.partial(setattr, Base, "lam"), ticks


@place_that_rebinds
def method_replaced_on_the_class(make_module):
    class Own:
        def scale(self, x):
            return 0.1 * x

    own, ticks = Own(), new_ticks()

    def f(x):
        ticks.release()
        return own.scale(x) * x

    return f, lambda value: setattr(Own, "scale", lambda self, x: value * x), ticks


@place_that_rebinds
def object_bound_again(make_module):
    thing, ticks = Settings(), new_ticks()

    def f(x):
        ticks.release()
        return times_lam_of(thing, x) * x

    def change(value):
        nonlocal thing
        thing = Settings(value)

    return f, change, ticks
