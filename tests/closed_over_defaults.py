"""Places a number can hide in: defaults, partials, methods and the classes of objects."""

from __future__ import annotations

import dataclasses
import functools
import operator
import types
from typing import ClassVar

import numpy as np
from closed_over import new_ticks, place


@place
def default(make_module):
    ticks = new_ticks()

    def f(x, lam=0.1):
        next(ticks)
        return lam * x * x

    return f, lambda value: setattr(f, "__defaults__", (value,)), ticks


@place
def keyword_default(make_module):
    ticks = new_ticks()

    def f(x, *, lam=0.1):
        next(ticks)
        return lam * x * x

    return f, lambda value: f.__kwdefaults__.update(lam=value), ticks


@place
def default_of_a_helper(make_module):
    ticks = new_ticks()

    def helper(x, lam=0.1):
        return lam * x

    def f(x):
        next(ticks)
        return helper(x) * x

    return f, lambda value: setattr(helper, "__defaults__", (value,)), ticks


@place
def mutable_default(make_module):
    ticks, options = new_ticks(), {"lam": 0.1}

    def f(x, options=options):
        next(ticks)
        return options["lam"] * x * x

    return f, lambda value: options.update(lam=value), ticks


def scaled(ticks, lam, x):
    next(ticks)
    return (lam[0] if isinstance(lam, list | np.ndarray) else lam) * x * x


@place
def list_in_a_partials_arguments(make_module):
    ticks, lam = new_ticks(), [0.1]
    return (
        functools.partial(scaled, ticks, lam),
        functools.partial(operator.setitem, lam, 0),
        ticks,
    )


@place
def partials_keyword(make_module):
    ticks = new_ticks()

    def f(x, lam):
        next(ticks)
        return lam * x * x

    partial = functools.partial(f, lam=0.1)
    return partial, lambda value: partial.keywords.update(lam=value), ticks


@place
def keyword_of_a_partial_of_a_partial_that_is_a_helper(make_module):
    ticks = new_ticks()

    def scale(x, y, lam):
        return lam * x * y

    inner = functools.partial(scale, lam=[0.1])
    helper = functools.partial(lambda g, x: g(x, 1.0)[0] * x, lambda x, y: [inner(x, y)])
    inner.keywords["lam"] = 0.1

    def f(x):
        next(ticks)
        return helper(x)

    return f, lambda value: inner.keywords.update(lam=value), ticks


class Model:
    kind = 0.1
    table: ClassVar = {"lam": 0.1}

    def __init__(self):
        self.lam = 0.1
        self.ticks = new_ticks()
        self.options = {"lam": 0.1, "deep": {"lams": [0.1]}}
        self.weights = np.array([0.1, 0.7])

    def loss(self, x):
        next(self.ticks)
        return self.lam * x * x

    def loss_by_property(self, x):
        next(self.ticks)
        return self.scale * x * x

    def loss_by_alias(self, x):
        next(self.ticks)
        me = self
        return me.lam * x * x

    def loss_by_generator(self, x):
        next(self.ticks)
        return sum(self.lam * x * y for y in (x,))

    def loss_by_comprehension(self, x):
        next(self.ticks)
        return sum([self.lam * x * y for y in (x,)])

    def loss_by_inner_function(self, x):
        next(self.ticks)

        def inner(y):
            return self.lam * y

        return inner(x) * x

    def loss_by_lambda_of_an_option(self, x):
        next(self.ticks)
        return (lambda y: self.options["lam"] * y)(x) * x

    def loss_by_method(self, x):
        next(self.ticks)
        return self.times_lam(x) * x

    def loss_by_classmethod(self, x):
        next(self.ticks)
        return self.times_kind(x) * x

    def loss_by_class_attribute(self, x):
        next(self.ticks)
        return self.kind * x * x

    def loss_by_class_table(self, x):
        next(self.ticks)
        return self.table["lam"] * x * x

    def loss_by_option(self, x):
        next(self.ticks)
        return self.options["lam"] * x * x

    def loss_by_deep_option(self, x):
        next(self.ticks)
        return self.options["deep"]["lams"][0] * x * x

    def loss_by_weight(self, x):
        next(self.ticks)
        return self.weights[0] * x * x

    def loss_by_getattr(self, x):
        next(self.ticks)
        return getattr(self, "lam") * x * x  # noqa: B009

    def loss_by_attribute_or_default(self, x):
        next(self.ticks)
        return getattr(self, "other", 0.1) * x * x

    def loss_by_lazy_attribute(self, x):
        next(self.ticks)
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
            next(ticks)
            return super().scale(x) * x

    ticks = new_ticks()
    return Derived().loss, functools.partial(setattr, Base, "lam"), ticks


@place
def attribute_of_a_callable_object(make_module):
    class Loss:
        lam = None

        def __call__(self, x):
            next(ticks)
            return self.lam * x * x

    ticks, loss = new_ticks(), Loss()
    loss.lam = 0.1
    return loss, functools.partial(setattr, loss, "lam"), ticks


@place
def attribute_of_a_callable_object_with_an_inherited_call(make_module):
    class Base:
        def __call__(self, x):
            next(ticks)
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
        next(ticks)
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
