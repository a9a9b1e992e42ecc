"""What a function closes over: a change is never missed, and only a change records again.

`next(ticks)` counts how often a function's body really ran: an iterator has no content that
could be remembered, so that counting doesn't disturb what is counted.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import importlib
import itertools
import math
import operator
import sys
import types
import warnings
from typing import ClassVar

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import RecordingLimitWarning

MANY = 10**6


def new_ticks():
    return iter(range(MANY))


def ran(ticks):
    return MANY - operator.length_hint(ticks)


def fresh(number):
    """A float equal to `number` that is another object."""
    return float(repr(number))


@pytest.fixture
def make_module(tmp_path, monkeypatch):
    """Write a module, import it, and forget it after the test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def make(name, source):
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield make
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) is None or str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


# --- every place a number can hide in ----------------------------------------------------------
#
# Each returns f(x) = lam * x * x, starting from lam = 0.1, a way to change lam, and the ticks.
# `REBINDS`: the change makes a new function or object, so that an equal one records again too.

PLACES = {}
REBINDS = set()


def place(function):
    PLACES[function.__name__] = function
    return function


def place_that_rebinds(function):
    REBINDS.add(function.__name__)
    return place(function)


@place
def closure_variable(make_module):
    lam, ticks = 0.1, new_ticks()

    def f(x):
        next(ticks)
        return lam * x * x

    def change(value):
        nonlocal lam
        lam = value

    return f, change, ticks


@place
def closure_variable_of_an_inner_function(make_module):
    lam, ticks = 0.1, new_ticks()

    def f(x):
        next(ticks)

        def inner(y):
            return lam * y

        return inner(x) * x

    def change(value):
        nonlocal lam
        lam = value

    return f, change, ticks


@place
def closure_variable_read_in_a_comprehension(make_module):
    lam, ticks = 0.1, new_ticks()

    def f(x):
        next(ticks)
        return sum([lam * x * y for y in (x,)])

    def change(value):
        nonlocal lam
        lam = value

    return f, change, ticks


GLOBALS = """
import operator
lam = 0.1
ticks = iter(range({many}))
{code}
"""


def from_module(make_module, name, code):
    module = make_module(name, GLOBALS.format(many=MANY, code=code))
    return module.f, lambda value: setattr(module, "lam", value), module.ticks


@place
def module_global(make_module):
    return from_module(make_module, "tg_global", "def f(x): next(ticks); return lam * x * x")


@place
def module_global_read_by_a_helper(make_module):
    code = "def helper(x): return lam * x\ndef f(x): next(ticks); return helper(x) * x"
    return from_module(make_module, "tg_helper", code)


@place
def module_global_read_by_a_helper_of_a_helper(make_module):
    code = (
        "def inner(x): return lam * x\n"
        "def helper(x): return inner(x)\n"
        "def f(x): next(ticks); return helper(x) * x"
    )
    return from_module(make_module, "tg_helpers", code)


@place
def module_global_read_by_a_lambda_in_a_dict(make_module):
    code = "table = {'a': lambda x: lam * x}\ndef f(x): next(ticks); return table['a'](x) * x"
    return from_module(make_module, "tg_dict", code)


@place
def module_global_read_by_a_lambda_in_nested_lists(make_module):
    code = "table = [[lambda x: lam * x]]\ndef f(x): next(ticks); return table[0][0](x) * x"
    return from_module(make_module, "tg_list", code)


@place
def module_global_read_through_the_global_statement(make_module):
    code = "def f(x):\n    global lam\n    next(ticks)\n    return lam * x * x"
    return from_module(make_module, "tg_statement", code)


@place
def module_global_read_by_a_local_class(make_module):
    code = (
        "def f(x):\n    next(ticks)\n    class Local:\n        scale = lam\n"
        "    return Local.scale * x * x"
    )
    return from_module(make_module, "tg_local_class", code)


@place
def module_global_read_by_mutually_recursive_helpers(make_module):
    code = (
        "def even(x, n): return lam * x if n == 0 else odd(x, n - 1)\n"
        "def odd(x, n): return even(x, n - 1)\n"
        "def f(x): next(ticks); return even(x, 4) * x"
    )
    return from_module(make_module, "tg_recursive", code)


@place
def module_global_that_is_a_default_of_a_helper_of_a_method(make_module):
    code = (
        "class Model:\n    def scale(self, x): return lam * x\n"
        "    def __call__(self, x): next(ticks); return self.scale(x) * x\n"
        "f = Model()"
    )
    return from_module(make_module, "tg_method", code)


@place
def module_global_read_by_a_staticmethod(make_module):
    code = (
        "class Model:\n    @staticmethod\n    def scale(x): return lam * x\n"
        "def f(x): next(ticks); return Model.scale(x) * x"
    )
    return from_module(make_module, "tg_static", code)


@place
def module_global_read_by_a_constructor(make_module):
    code = (
        "class Model:\n    def __init__(self): self.scale = lam\n"
        "def f(x): next(ticks); return Model().scale * x * x"
    )
    return from_module(make_module, "tg_constructor", code)


@place
def module_global_read_by_a_method_of_an_object_given_to_a_helper(make_module):
    code = (
        "class Model:\n    def scale(self, x): return lam * x\n"
        "model = Model()\n"
        "def helper(m, x): return m.scale(x)\n"
        "def f(x): next(ticks); return helper(model, x) * x"
    )
    return from_module(make_module, "tg_given_method", code)


@place
def module_global_read_by_an_operator_of_an_object(make_module):
    code = (
        "class Table:\n    def __getitem__(self, key): return lam\n"
        "table = Table()\n"
        "def f(x): next(ticks); return table[0] * x * x"
    )
    return from_module(make_module, "tg_operator", code)


@place
def module_global_read_by_a_function_under_a_librarys_decorator(make_module):
    code = (
        "import numpy as np\n@np.errstate(all='ignore')\ndef f(x): next(ticks); return lam * x * x"
    )
    return from_module(make_module, "tg_errstate", code)


@place
def module_global_read_by_a_helper_under_a_context_manager(make_module):
    code = (
        "import contextlib\n"
        "class Quiet(contextlib.ContextDecorator):\n"
        "    def __enter__(self): return self\n"
        "    def __exit__(self, *error): return False\n"
        "@Quiet()\n"
        "def helper(x): return lam * x\n"
        "def f(x): next(ticks); return helper(x) * x"
    )
    return from_module(make_module, "tg_context", code)


@place
def module_global_read_by_a_sort_key(make_module):
    code = (
        "def key(pair): return pair[0] * lam\n"
        "def f(x):\n    next(ticks)\n"
        "    return key(sorted([(x * x, 0)], key=key)[0]) + 0.0 * x"
    )
    return from_module(make_module, "tg_key", code)


@place
def attribute_of_a_module(make_module):
    config, ticks = make_module("tg_config", "lam = 0.1"), new_ticks()

    def f(x):
        next(ticks)
        return config.lam * x * x

    return f, functools.partial(setattr, config, "lam"), ticks


@place
def attribute_of_a_module_in_a_package(make_module):
    make_module("tg_pkg.__init__", "")
    config, ticks = make_module("tg_pkg.config", "lam = 0.1"), new_ticks()
    tg_pkg = importlib.import_module("tg_pkg")

    def f(x):
        next(ticks)
        return tg_pkg.config.lam * x * x

    return f, functools.partial(setattr, config, "lam"), ticks


@place
def attribute_of_a_module_in_a_namespace_package(make_module):
    config, ticks = make_module("tg_namespace.config", "lam = 0.1"), new_ticks()
    tg_namespace = importlib.import_module("tg_namespace")

    def f(x):
        next(ticks)
        return tg_namespace.config.lam * x * x

    return f, functools.partial(setattr, config, "lam"), ticks


@place
def attribute_of_a_module_under_a_local_name(make_module):
    config, ticks = make_module("tg_alias", "lam = 0.1"), new_ticks()

    def f(x):
        next(ticks)
        c = config
        return c.lam * x * x

    return f, functools.partial(setattr, config, "lam"), ticks


@place
def attribute_of_a_module_by_getattr(make_module):
    config, ticks = make_module("tg_getattr", "lam = 0.1"), new_ticks()

    def f(x):
        next(ticks)
        return getattr(config, "lam") * x * x  # noqa: B009

    return f, functools.partial(setattr, config, "lam"), ticks


@place
def attribute_of_a_module_imported_inside(make_module):
    config, ticks = make_module("tg_inside", "lam = 0.1"), new_ticks()

    def f(x):
        import tg_inside

        next(ticks)
        return tg_inside.lam * x * x

    return f, functools.partial(setattr, config, "lam"), ticks


@place
def name_imported_inside(make_module):
    config, ticks = make_module("tg_name_inside", "lam = 0.1"), new_ticks()

    def f(x):
        from tg_name_inside import lam

        next(ticks)
        return lam * x * x

    return f, functools.partial(setattr, config, "lam"), ticks


@place
def attribute_of_a_module_made_in_memory(make_module):
    config, ticks = types.ModuleType("tg_memory"), new_ticks()
    config.lam = 0.1

    def f(x):
        next(ticks)
        return config.lam * x * x

    return f, functools.partial(setattr, config, "lam"), ticks


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


def slope(lam, x):
    return pytest.approx(2 * lam * x, rel=1e-14, abs=0)


@pytest.mark.parametrize("name", PLACES)
def test_a_change_of_what_is_closed_over_never_gives_the_old_gradient(name, make_module):
    f, change, _ = PLACES[name](make_module)
    derivative = tg.grad(f)
    assert derivative(3.0) == slope(0.1, 3.0)
    change(0.2)
    assert derivative(3.0) == slope(0.2, 3.0)
    change(-7.5)
    assert derivative(2.0) == slope(-7.5, 2.0)
    change(0.1)
    assert derivative(3.0) == slope(0.1, 3.0)


@pytest.mark.parametrize("name", PLACES)
def test_only_a_change_of_what_is_closed_over_records_again(name, make_module):
    f, change, ticks = PLACES[name](make_module)
    derivative = tg.grad(f)
    lazily = 1 if "lazy" in name else 0  # the first call itself changes something
    for x in (3.0, 4.0, -1.0):
        assert derivative(x) == slope(0.1, x)
    assert ran(ticks) <= 1 + lazily
    change(fresh(0.1))
    assert derivative(5.0) == slope(0.1, 5.0)
    if name not in REBINDS:
        is_new = "or_default" in name or "shadows" in name  # the change adds a name
        assert ran(ticks) <= 1 + lazily + is_new
    before = ran(ticks)
    change(0.2)
    for x in (3.0, 4.0, -1.0):
        assert derivative(x) == slope(0.2, x)
    assert ran(ticks) == before + 1


@pytest.mark.parametrize("name", ["closure_variable", "module_global", "list_mutated",
                                  "bound_method_loss_lam"])  # fmt: skip
@pytest.mark.parametrize(
    "make", [tg.grad, tg.value_and_grad, tg.jacobian, tg.hessian, tg.hvp], ids=lambda m: m.__name__
)
def test_every_derivative_sees_a_change(make, name, make_module):
    f, change, ticks = PLACES[name](make_module)
    derivative = make(f)
    extra = (1.0,) if make is tg.hvp else ()
    for lam in (0.1, 0.2, 0.3):
        change(lam)
        derivative(1.0, *extra)
        found = derivative(3.0, *extra)
        found = found[1] if make is tg.value_and_grad else found
        expected = 2 * lam if make in (tg.hessian, tg.hvp) else 6 * lam
        assert found == pytest.approx(expected, rel=1e-14)
    assert ran(ticks) == 3


# --- constants of every type -------------------------------------------------------------------


def reader(value):
    """Return f(x) = scale(value) * x with `value` in a closure, a change and the ticks."""
    ticks = new_ticks()

    def f(x):
        next(ticks)
        return x * scale(value)

    def change(new):
        nonlocal value
        value = new

    return f, change, ticks


def scale(value):
    """Return a number that tells all the constants below apart, the sign of zero too."""
    if value is None:
        return 17.0
    if isinstance(value, bool):
        return 5.0 if value else 6.0
    if isinstance(value, str | bytes):
        return float(len(value)) + 0.5 * value.count(value[:1]) + 100.0 * isinstance(value, bytes)
    if isinstance(value, complex):
        return value.real + 10 * value.imag
    if isinstance(value, list | tuple):
        return sum(scale(v) for v in value) + (0.25 if isinstance(value, list) else 0.0)
    number = float(value)
    if math.isnan(number):
        return 11.0
    return number + 0.125 * math.copysign(1.0, number) + 1000.0 * isinstance(value, int)


CONSTANTS = {
    "int": (1, 2),
    "large_int": (10**40, 10**40 + 10**30),
    "int_to_float": (3, 3.0),
    "bool_to_int": (True, 1),
    "bool": (True, False),
    "none_to_number": (None, 0.5),
    "string": ("relu", "relur"),
    "bytes": (b"aa", b"ab"),
    "string_to_bytes": ("aa", b"aa"),
    "zero_to_minus_zero": (0.0, -0.0),
    "minus_zero_to_zero": (-0.0, 0.0),
    "number_to_nan": (0.5, math.nan),
    "nan_to_number": (math.nan, 0.5),
    "infinity": (math.inf, -math.inf),
    "last_bit": (0.1, math.nextafter(0.1, 1.0)),
    "float32": (np.float32(0.1), np.float32(0.2)),
    "float32_zero_to_minus_zero": (np.float32(0.0), np.float32(-0.0)),
    "float64": (np.float64(0.1), np.float64(0.2)),
    "float64_zero_to_minus_zero": (np.float64(0.0), np.float64(-0.0)),
    "int64": (np.int64(1), np.int64(2)),
    "numpy_bool": (np.True_, np.False_),
    "complex": (1 + 2j, 1 + 3j),
    "tuple": ((1.0, (2, "a")), (1.0, (2, "ab"))),
    "tuple_to_list": ((1.0, 2.0), [1.0, 2.0]),
    "zero_in_a_tuple_to_minus_zero": ((1.0, 0.0), (1.0, -0.0)),
    "float32_zero_in_a_list_to_minus_zero": ([np.float32(0.0)], [np.float32(-0.0)]),
    "array_of_no_axes_to_minus_zero": (np.array(0.0), np.array(-0.0)),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_constant_of_another_value_records_again(name):
    old, new = CONSTANTS[name]
    f, change, ticks = reader(old)
    derivative = tg.grad(f)
    assert derivative(1.0) == scale(old)
    change(new)
    assert derivative(1.0) == scale(new)
    assert derivative(2.0) == scale(new)
    assert ran(ticks) == 2


EQUALS = {
    "float": lambda: float("0.1"),
    "large_int": lambda: int("1" + "0" * 30),
    "string": lambda: "".join(["re", "lu"]),
    "nan": lambda: float("nan"),
    "float32": lambda: np.float32(0.1),
    "float32_nan": lambda: np.float32("nan"),
    "float64_nan": lambda: np.float64("nan"),
    "complex": lambda: complex("1+2j"),
    "list": lambda: [0.1, [2.0, "a"], None],
    "list_with_nan": lambda: [float("nan"), np.float32("nan")],
    "dict": lambda: {"a": [1.0], "b": {"c": 2}},
    "array": lambda: np.arange(3.0),
    "array_with_nan": lambda: np.array([1.0, np.nan]),
    "array_of_no_axes_with_nan": lambda: np.array(np.nan),
    "empty_array": lambda: np.zeros((3, 0)),
    "strided_array": lambda: np.arange(12.0).reshape(3, 4).T[::2],
    "bool_array": lambda: np.array([True, False]),
    "string_array": lambda: np.array(["ab", "c"]),
    "set": lambda: {1, 2, "a"},
    "range": lambda: range(0, 10, 3),
    "slice": lambda: slice(0, 3),
}


@pytest.mark.parametrize("name", EQUALS)
def test_an_equal_constant_of_another_identity_does_not_record_again(name):
    f, change, ticks = constant_reader(EQUALS[name]())
    derivative = tg.grad(f)
    assert derivative(1.0) == 1.0
    for x in (2.0, 3.0):
        change(EQUALS[name]())
        assert derivative(x) == 1.0
    assert ran(ticks) == 1


def constant_reader(value):
    ticks = new_ticks()

    def f(x):
        next(ticks)
        return x if value is not None else -x

    def change(new):
        nonlocal value
        value = new

    return f, change, ticks


def test_an_array_of_another_type_or_shape_but_the_same_bytes_records_again():
    weights = np.array([1.0, 0.0])
    ticks = new_ticks()

    def f(x):
        next(ticks)
        return x * float(weights.dtype.itemsize + 100 * weights.ndim + weights.reshape(-1)[0])

    derivative = tg.grad(f)
    assert derivative(1.0) == 109.0
    for other in (weights.reshape(1, 2), weights.view(np.int64), weights.view(np.uint8)):
        expected = float(other.dtype.itemsize + 100 * other.ndim + other.reshape(-1)[0])
        weights = other
        assert derivative(1.0) == expected
    assert ran(ticks) == 4


@pytest.mark.parametrize("element", range(0, 1000, 97))
def test_a_change_of_any_one_element_of_a_large_array_is_seen(element):
    data = np.linspace(0.0, 1.0, 1000)
    derivative = tg.grad(lambda x: x * float(np.dot(data, data)))
    derivative(1.0)
    data[element] += 1e-3
    assert derivative(1.0) == float(np.dot(data, data))


def test_a_container_that_grows_or_shrinks_records_again():
    factors = [2.0]
    derivative = tg.grad(lambda x: x * math.prod(factors))
    assert derivative(1.0) == 2.0
    factors.append(3.0)
    assert derivative(1.0) == 6.0
    factors.pop(0)
    assert derivative(1.0) == 3.0
    del factors[:]
    assert derivative(1.0) == 1.0


def test_functions_added_to_a_list_are_followed_from_then_on():
    lam = 0.1
    terms = [lambda x: x]
    derivative = tg.grad(lambda x: sum(term(x) for term in terms))
    assert derivative(1.0) == 1.0
    terms.append(lambda x: lam * x)
    assert derivative(1.0) == pytest.approx(1.1)
    lam = 0.2
    assert derivative(1.0) == pytest.approx(1.2)


def test_a_name_defined_only_after_the_first_call_is_seen(make_module):
    module = make_module(
        "tg_late",
        "def f(x):\n    try:\n        return late * x\n    except NameError:\n        return x\n",
    )
    derivative = tg.grad(module.f)
    assert derivative(1.0) == 1.0
    module.late = 5.0
    assert derivative(1.0) == 5.0
    del module.late
    assert derivative(1.0) == 1.0


def test_an_attribute_set_only_after_the_first_call_is_seen():
    class Loss:
        def __call__(self, x):
            try:
                return self.late * x
            except AttributeError:
                return x

    loss = Loss()
    derivative = tg.grad(loss)
    assert derivative(1.0) == 1.0
    loss.late = 5.0
    assert derivative(1.0) == 5.0


def test_a_keyword_given_to_a_partial_later_is_seen():
    partial = functools.partial(lambda x, lam=1.0: lam * x)
    derivative = tg.grad(partial)
    assert derivative(1.0) == 1.0
    partial.keywords["lam"] = 2.0
    assert derivative(1.0) == 2.0


def test_keyword_defaults_given_to_a_function_later_are_seen():
    def f(x, *, lam):
        return lam * x

    derivative = tg.grad(lambda x: f(x) if f.__kwdefaults__ else x)
    assert derivative(1.0) == 1.0
    f.__kwdefaults__ = {"lam": 2.0}
    assert derivative(1.0) == 2.0


def test_a_builtin_that_is_shadowed_later_is_seen(make_module):
    module = make_module("tg_shadow", "def f(x): return max(x, 2.0 * x)")
    derivative = tg.grad(module.f)
    assert derivative(1.0) == 2.0
    module.max = min
    assert derivative(1.0) == 1.0


def test_a_module_that_is_edited_and_reloaded_is_seen(make_module, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = make_module("tg_reload", "def helper(x): return 2.0 * x")
    derivative = tg.grad(lambda x: module.helper(x))
    assert derivative(1.0) == 2.0
    with open(module.__file__, "w") as file:
        file.write("def helper(x): return 3.75 * x")
    importlib.reload(module)
    assert derivative(1.0) == 3.75


def test_a_list_that_contains_itself_can_be_closed_over():
    knot = [2.0]
    knot.append(knot)
    derivative = tg.grad(lambda x: x * knot[1][1][0])
    assert derivative(1.0) == 2.0
    knot[0] = 3.0
    assert derivative(1.0) == 3.0


def test_objects_that_refer_to_each_other_can_be_closed_over():
    left, right = Plain(), Plain()
    left.other, right.other, right.lam = right, left, 0.5
    derivative = tg.grad(lambda x: times_lam_of(left.other, x))
    assert derivative(1.0) == 0.5
    right.lam = 0.75
    assert derivative(1.0) == 0.75


def test_two_objects_of_one_class_are_watched_each_for_itself():
    first_model, second_model = Model(), Model()
    derivative = tg.grad(lambda x: first_model.times_lam(x) + 10.0 * second_model.times_lam(x))
    first_model.lam, second_model.lam = 1.0, 2.0
    assert derivative(1.0) == 21.0
    first_model.lam = 3.0
    assert derivative(1.0) == 23.0
    second_model.lam = 4.0
    assert derivative(1.0) == 43.0


def test_what_an_untouched_branch_reads_is_watched_too_and_never_harms():
    unused = 1.0
    derivative = tg.grad(lambda x: unused * x if x < 0.0 else 2.0 * x)
    assert derivative(1.0) == 2.0
    unused = 3.0
    assert derivative(1.0) == 2.0
    assert derivative(-1.0) == 3.0


# --- a function with a memory ------------------------------------------------------------------


class Counting:
    def __init__(self):
        self.n = 0
        self.log = []
        self.counter = {"n": 0}

    def by_attribute(self, x):
        self.n += 1
        return x * x

    def by_key(self, x):
        self.counter["n"] += 1
        return x * x

    def by_list(self, x):
        self.log.append(x)
        return x * x


def nonlocal_counter():
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        return x * x

    return f, lambda: calls


def key_counter():
    counter = {"n": 0}

    def f(x):
        counter["n"] += 1
        return x * x

    return f, lambda: counter["n"]


def list_log_of_constants():
    log = []

    def f(x):
        log.append(1)
        return x * x

    return f, lambda: len(log)


def list_log_of_values():
    log = []

    def f(x):
        log.append(x.value)
        return x * x

    return f, lambda: len(log)


def method_counter(name, count):
    def make():
        counting = Counting()
        return getattr(counting, name), lambda: count(counting)

    make.__name__ = f"method_{name}"
    return make


COUNTERS = [
    nonlocal_counter,
    key_counter,
    list_log_of_constants,
    list_log_of_values,
    method_counter("by_attribute", lambda c: c.n),
    method_counter("by_key", lambda c: c.counter["n"]),
    method_counter("by_list", lambda c: len(c.log)),
]


@pytest.mark.parametrize("make", COUNTERS, ids=lambda make: make.__name__)
def test_a_function_that_counts_its_calls_is_recorded_once(make):
    f, count = make()
    derivative = tg.grad(f)
    for x in range(1, 40):
        assert derivative(float(x)) == 2.0 * x
    assert count() == 1


def test_a_global_counter_is_recorded_once(make_module):
    module = make_module(
        "tg_counter", "calls = 0\ndef f(x):\n    global calls\n    calls += 1\n    return x * x"
    )
    derivative = tg.grad(module.f)
    for x in range(1, 40):
        assert derivative(float(x)) == 2.0 * x
    assert module.calls == 1


def test_a_counter_that_is_also_used_is_a_change_at_every_call():
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        return x * calls

    derivative = tg.grad(f)
    assert [derivative(1.0) for _ in range(5)] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_an_attribute_counter_that_is_also_used_is_a_change_at_every_call():
    class Loss:
        n = 0

        def __call__(self, x):
            self.n += 1
            return x * self.n

    derivative = tg.grad(Loss())
    assert [derivative(1.0) for _ in range(5)] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_key_counter_that_a_helper_uses_is_a_change_at_every_call():
    counter = {"n": 0}

    def read():
        return counter["n"]

    def f(x):
        counter["n"] += 1
        return x * read()

    derivative = tg.grad(f)
    assert [derivative(1.0) for _ in range(5)] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_log_whose_length_is_used_is_a_change_at_every_call():
    log = []

    def f(x):
        log.append(0)
        return x * len(log)

    derivative = tg.grad(f)
    assert [derivative(1.0) for _ in range(5)] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_log_whose_length_is_used_by_another_name_is_a_change_at_every_call():
    log = []
    alias = log

    def f(x):
        log.append(0)
        return x * len(alias)

    derivative = tg.grad(f)
    assert [derivative(1.0) for _ in range(5)] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_list_whose_popped_element_is_used_is_a_change_at_every_call():
    queue = [1.0, 2.0, 3.0, 4.0, 5.0]
    derivative = tg.grad(lambda x: x * queue.pop(0))
    assert [derivative(1.0) for _ in range(5)] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_random_walk_kept_in_an_array_is_a_change_at_every_call():
    state = np.zeros(1)

    def f(x):
        state[0] += 1.5
        return x * float(state[0])

    derivative = tg.grad(f)
    assert [derivative(1.0) for _ in range(4)] == [1.5, 3.0, 4.5, 6.0]


def test_a_value_cached_at_the_first_call_is_remembered_and_its_change_seen():
    cache = {}
    ticks = new_ticks()

    def f(x):
        next(ticks)
        if "lam" not in cache:
            cache["lam"] = 2.0
        return cache["lam"] * x

    derivative = tg.grad(f)
    assert [derivative(1.0) for _ in range(4)] == [2.0] * 4
    assert ran(ticks) <= 2
    cache["lam"] = 3.0
    assert derivative(1.0) == 3.0


def test_a_change_made_between_two_recordings_of_one_function_leaves_neither_stale():
    lam = 0.1
    derivative = tg.grad(lambda x: lam * x if x > 0 else -lam * x)
    assert derivative(1.0) == 0.1
    assert derivative(-1.0) == -0.1
    lam = 0.2
    assert derivative(-1.0) == -0.2
    assert derivative(1.0) == 0.2
    lam = 0.1
    assert derivative(1.0) == 0.1


# --- the limit, and clear ----------------------------------------------------------------------


def test_a_change_at_every_call_warns_once_and_names_the_variable():
    momentum = 0.0

    def f(x):
        nonlocal momentum
        momentum = 0.5 * momentum + 1.0
        return x * momentum

    derivative = tg.grad(f)
    expected = 0.0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(100):
            expected = 0.5 * expected + 1.0
            assert derivative(1.0) == expected
    limits = [w for w in caught if issubclass(w.category, RecordingLimitWarning)]
    assert len(caught) == len(limits) == 1
    message = str(limits[0].message)
    assert "momentum" in message
    assert f.__qualname__ in message


def test_the_warning_of_a_change_at_every_call_points_at_the_callers_line():
    lam = 0.0
    derivative = tg.grad(lambda x: lam * x)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(100):
            lam = float(k)
            assert derivative(1.0) == lam
    assert [w.filename for w in caught] == [__file__]


def test_a_few_changes_do_not_warn():
    lam = 0.0
    derivative = tg.grad(lambda x: lam * x)
    for k in range(10):
        lam = float(k)
        for x in range(20):
            assert derivative(float(x)) == lam


def test_clear_forgets_what_can_not_be_seen(tmp_path):
    path, ticks = tmp_path / "lam.txt", new_ticks()

    def f(x):
        next(ticks)
        return float(path.read_text()) * x

    path.write_text("0.1")
    derivative = tg.grad(f)
    assert derivative(1.0) == 0.1
    path.write_text("0.2")
    derivative.clear()
    assert derivative(1.0) == 0.2
    assert derivative(2.0) == 0.2
    assert ran(ticks) == 2


@pytest.mark.parametrize(
    "make", [tg.grad, tg.value_and_grad, tg.jacobian, tg.hessian, tg.hvp], ids=lambda m: m.__name__
)
def test_clear_makes_every_derivative_record_again(make):
    ticks = new_ticks()

    def f(x):
        next(ticks)
        return x * x * x

    derivative = make(f)
    args = (2.0, 1.0) if make is tg.hvp else (2.0,)
    before = derivative(*args)
    assert ran(ticks) == 1
    derivative.clear()
    assert derivative(*args) == before
    assert ran(ticks) == 2


def test_clear_of_one_derivative_leaves_the_others():
    ticks = new_ticks()

    def f(x):
        next(ticks)
        return x * x

    first_one, second_one = tg.grad(f), tg.grad(f)
    first_one(1.0)
    second_one(1.0)
    first_one.clear()
    second_one(2.0)
    assert ran(ticks) == 2


def test_a_context_manager_a_generator_and_itertools_inside_are_no_reads():
    ticks = new_ticks()

    def f(x):
        next(ticks)
        with contextlib.nullcontext():
            return sum(y * x for y in itertools.islice(itertools.count(1.0), 3))

    derivative = tg.grad(f)
    for x in (1.0, 2.0, 3.0):
        assert derivative(x) == 6.0
    assert ran(ticks) == 1
