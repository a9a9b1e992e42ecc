"""Places of numbers in modules: globals and attributes."""

from __future__ import annotations

import functools
import importlib
import types

from places import place
from ticks import new_ticks

GLOBALS = """
import threading
lam = 0.1
ticks = threading.Semaphore(0)
{code}
"""


def from_module(make_module, name, code):
    module = make_module(name, GLOBALS.format(code=code))
    return module.f, lambda value: setattr(module, "lam", value), module.ticks


@place
def module_global(make_module):
    return from_module(make_module, "tg_global", "def f(x): ticks.release(); return lam * x * x")


@place
def module_global_read_by_a_helper(make_module):
    code = "def helper(x): return lam * x\ndef f(x): ticks.release(); return helper(x) * x"
    return from_module(make_module, "tg_helper", code)


@place
def module_global_read_by_a_helper_of_a_helper(make_module):
    code = (
        "def inner(x): return lam * x\n"
        "def helper(x): return inner(x)\n"
        "def f(x): ticks.release(); return helper(x) * x"
    )
    return from_module(make_module, "tg_helpers", code)


@place
def module_global_read_by_a_lambda_in_a_dict(make_module):
    code = "table = {'a': lambda x: lam * x}\ndef f(x): ticks.release(); return table['a'](x) * x"
    return from_module(make_module, "tg_dict", code)


@place
def module_global_read_by_a_lambda_in_nested_lists(make_module):
    code = "table = [[lambda x: lam * x]]\ndef f(x): ticks.release(); return table[0][0](x) * x"
    return from_module(make_module, "tg_list", code)


@place
def module_global_read_through_the_global_statement(make_module):
    code = "def f(x):\n    global lam\n    ticks.release()\n    return lam * x * x"
    return from_module(make_module, "tg_statement", code)


@place
def module_global_read_by_a_local_class(make_module):
    code = (
        "def f(x):\n    ticks.release()\n    class Local:\n        scale = lam\n"
        "    return Local.scale * x * x"
    )
    return from_module(make_module, "tg_local_class", code)


@place
def module_global_read_by_mutually_recursive_helpers(make_module):
    code = (
        "def even(x, n): return lam * x if n == 0 else odd(x, n - 1)\n"
        "def odd(x, n): return even(x, n - 1)\n"
        "def f(x): ticks.release(); return even(x, 4) * x"
    )
    return from_module(make_module, "tg_recursive", code)


@place
def module_global_that_is_a_default_of_a_helper_of_a_method(make_module):
    code = (
        "class Model:\n    def scale(self, x): return lam * x\n"
        "    def __call__(self, x): ticks.release(); return self.scale(x) * x\n"
        "f = Model()"
    )
    return from_module(make_module, "tg_method", code)


@place
def module_global_read_by_a_staticmethod(make_module):
    code = (
        "class Model:\n    @staticmethod\n    def scale(x): return lam * x\n"
        "def f(x): ticks.release(); return Model.scale(x) * x"
    )
    return from_module(make_module, "tg_static", code)


@place
def module_global_read_by_a_constructor(make_module):
    code = (
        "class Model:\n    def __init__(self): self.scale = lam\n"
        "def f(x): ticks.release(); return Model().scale * x * x"
    )
    return from_module(make_module, "tg_constructor", code)


@place
def module_global_read_by_a_method_of_an_object_given_to_a_helper(make_module):
    code = (
        "class Model:\n    def scale(self, x): return lam * x\n"
        "model = Model()\n"
        "def helper(m, x): return m.scale(x)\n"
        "def f(x): ticks.release(); return helper(model, x) * x"
    )
    return from_module(make_module, "tg_given_method", code)


@place
def module_global_read_by_an_operator_of_an_object(make_module):
    code = (
        "class Table:\n    def __getitem__(self, key): return lam\n"
        "table = Table()\n"
        "def f(x): ticks.release(); return table[0] * x * x"
    )
    return from_module(make_module, "tg_operator", code)


@place
def module_global_read_by_a_function_under_a_librarys_decorator(make_module):
    code = (
        "import numpy as np\n@np.errstate(all='ignore')\n"
        "def f(x): ticks.release(); return lam * x * x"
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
        "def f(x): ticks.release(); return helper(x) * x"
    )
    return from_module(make_module, "tg_context", code)


@place
def module_global_read_by_a_sort_key(make_module):
    code = (
        "def key(pair): return pair[0] * lam\n"
        "def f(x):\n    ticks.release()\n"
        "    return key(sorted([(x * x, 0)], key=key)[0]) + 0.0 * x"
    )
    return from_module(make_module, "tg_key", code)


@place
def attribute_of_a_module(make_module):
    config, ticks = make_module("tg_config", "lam = 0.1"), new_ticks()

    def f(x):
        ticks.release()
        return config.lam * x * x

    return f, functools.partial(setattr, config, "lam"), ticks


@place
def attribute_of_a_module_in_a_package(make_module):
    make_module("tg_pkg.__init__", "")
    config, ticks = make_module("tg_pkg.config", "lam = 0.1"), new_ticks()
    tg_pkg = importlib.import_module("tg_pkg")

    def f(x):
        ticks.release()
        return tg_pkg.config.lam * x * x

    return f, functools.partial(setattr, config, "lam"), ticks


@place
def attribute_of_a_module_in_a_namespace_package(make_module):
    config, ticks = make_module("tg_namespace.config", "lam = 0.1"), new_ticks()
    tg_namespace = importlib.import_module("tg_namespace")

    def f(x):
        ticks.release()
        return tg_namespace.config.lam * x * x

    return f, functools.partial(setattr, config, "lam"), ticks


@place
def attribute_of_a_module_under_a_local_name(make_module):
    config, ticks = make_module("tg_alias", "lam = 0.1"), new_ticks()

    def f(x):
        ticks.release()
        c = config
        return c.lam * x * x

    return f, functools.partial(setattr, config, "lam"), ticks


@place
def attribute_of_a_module_by_getattr(make_module):
    config, ticks = make_module("tg_getattr", "lam = 0.1"), new_ticks()

    def f(x):
        ticks.release()
        return getattr(config, "lam") * x * x  # noqa: B009

    return f, functools.partial(setattr, config, "lam"), ticks


@place
def attribute_of_a_module_imported_inside(make_module):
    config, ticks = make_module("tg_inside", "lam = 0.1"), new_ticks()

    def f(x):
        import tg_inside

        ticks.release()
        return tg_inside.lam * x * x

    return f, functools.partial(setattr, config, "lam"), ticks


@place
def name_imported_inside(make_module):
    config, ticks = make_module("tg_name_inside", "lam = 0.1"), new_ticks()

    def f(x):
        from tg_name_inside import lam

        ticks.release()
        return lam * x * x

    return f, functools.partial(setattr, config, "lam"), ticks


@place
def attribute_of_a_module_made_in_memory(make_module):
    config, ticks = types.ModuleType("tg_memory"), new_ticks()
    config.lam = 0.1

    def f(x):
        ticks.release()
        return config.lam * x * x

    return f, functools.partial(setattr, config, "lam"), ticks
