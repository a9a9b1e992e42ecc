"""The user's functions run as they're written while they're recorded, whatever they do with names,
and what they leave behind is as if nothing had stood for anything."""

from __future__ import annotations

import math
import sys
import types

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.record.nesting import is_recording
from tapegrad.record.twins import Twins

X = 0.7


def slot(x):
    """An array that holds an active number, which only a stand-in of `np.zeros` makes."""
    y = np.zeros(2)
    y[1] = x
    return y[1]


def slope(function, x=X):
    return tg.grad(function)(x)


# --- globals --------------------------------------------------------------------------------------

COUNTER = """
import numpy as np, math
count = 0
table = {}

def read():
    return count

def helper(x):
    y = np.zeros(1); y[0] = math.sin(x)
    return y[0]

def f(x):
    global count, fresh
    count += 1
    fresh = helper
    assert globals()["count"] == read() == count
    del fresh
    def inner():
        global count, made
        count += 10
        made = np
    inner()
    return helper(x) * count
"""


def test_a_global_is_written_to_the_module_at_once(make_module):
    module = make_module("tg_counter", COUNTER)
    seen = []
    vars(module)["read"] = lambda: seen.append(vars(module)["count"]) or seen[-1]
    assert slope(module.f) == pytest.approx(11 * math.cos(X), rel=1e-15)
    assert (module.count, seen, module.made) == (11, [1], np)
    assert not hasattr(module, "fresh")
    assert {type(thing) for thing in vars(module).values()} <= {
        int, str, dict, type(None), types.FunctionType, types.ModuleType, type(module.__loader__),
        type(module.__spec__), type(__builtins__),
    }  # fmt: skip


def test_a_global_written_before_an_error_stays_written(make_module):
    module = make_module(
        "tg_failing", "def f(x):\n    global last\n    last = 3\n    return x / None"
    )
    with pytest.raises(TypeError):
        slope(module.f)
    assert module.last == 3


def test_globals_are_the_modules():
    def f(x):
        names = globals()
        assert names == sys.modules[__name__].__dict__
        assert names["slot"](1.0) == 1.0
        assert "range" not in names
        assert names.get("range", 5) == 5
        assert set(names) == set(sys.modules[__name__].__dict__)
        assert len(names.items()) == len(names)
        assert names.setdefault("X", None) == X
        assert {**names}["X"] == X
        names["temporary"] = np
        names.update(other=2.0)
        assert sys.modules[__name__].__dict__["temporary"] is sys.modules["numpy"]
        assert temporary.zeros(3) is not None  # noqa: F821
        assert names.pop("temporary") is np
        with pytest.raises(NameError):
            temporary  # noqa: B018, F821
        return names.pop("other") * names["slot"](x)

    assert slope(f) == 2.0
    assert "other" not in globals()


def test_a_name_bound_again_while_recording_means_the_new_thing(make_module):
    source = (
        "import numpy as np, math\nfrom math import sin\n"
        "def one(x): return 1.0 * sin(x)\ndef two(x): return 2.0 * sin(x)\nused = one\n"
        "def f(x):\n    global used, sin\n    a = used(x)\n    used = two\n    b = used(x)\n"
        "    used, kept, sin = one, sin, math.cos\n    c = used(x)\n    sin = kept\n"
        "    return a + 10 * b + 100 * c"
    )
    module = make_module("tg_rebound", source)
    before = dict(vars(module))
    assert slope(module.f) == pytest.approx(21 * math.cos(X) - 100 * math.sin(X), rel=1e-15)
    assert vars(module) == before


def test_classes_and_code_made_inside_read_and_write_globals(make_module):
    source = (
        "import numpy as np\nlam = 3.0\n"
        "def helper(x):\n    y = np.zeros(1); y[0] = lam * x\n    return y[0]\n"
        "def f(x):\n"
        "    class Local:\n"
        "        global seen\n"
        "        scale, seen, module = lam, 5, np\n"
        "        def value(self, x): return self.scale * helper(x) + self.module.zeros(2)[0]\n"
        "    exec('def g(x):\\n    global stored\\n    stored = 1\\n"
        "    return helper(x)', globals())\n"
        "    exec('import numpy as inner')\n"
        "    return Local().value(x) + eval('lam * helper(x)') + g(x)"
    )
    module = make_module("tg_made_inside", source)
    assert slope(module.f) == 9.0 + 9.0 + 3.0
    assert (module.seen, module.stored) == (5, 1)
    assert module.g(2.0) == 6.0
    assert type(module.g.__globals__["np"].zeros(1)) is np.ndarray


# --- closure variables ----------------------------------------------------------------------------


def test_functions_that_share_a_variable_go_on_sharing_it():
    count, chosen = 0, slot

    def tick():
        nonlocal count
        count += 1

    def choose(function):
        nonlocal chosen
        chosen = function

    def twice(x):
        return 2.0 * slot(x)

    def f(x):
        tick()
        first = chosen(x)
        choose(twice)
        return first + 10.0 * chosen(x)

    assert slope(f) == 21.0
    assert count == 1
    assert chosen is twice
    choose(slot)
    assert slope(f) == 21.0
    assert count == 2


def test_a_variable_without_a_value_yet_gets_one():
    def f(x):
        def early():
            return late(x)

        def late(y):
            return slot(y) * 3.0

        return early()

    assert slope(f) == 3.0


# --- imports --------------------------------------------------------------------------------------


def test_imports_inside_are_intercepted(make_module):
    make_module("tg_pack.__init__", "")
    make_module("tg_pack.near", "import numpy as np\ndef near(x):\n    y = np.zeros(1); y[0] = x\n"
                                "    return y[0]")  # fmt: skip
    source = (
        "def f(x):\n"
        "    import numpy as np\n    import numpy.linalg\n    from math import sin\n"
        "    import scipy.special\n    from . import near as module\n    from .near import near\n"
        "    import tg_pack.near as again\n    from scipy.special import logsumexp\n"
        "    assert near is module.near is again.near\n"
        "    y = np.zeros(2)\n    y[0] = sin(x)\n    y[1] = near(x)\n"
        "    return numpy.linalg.norm([y[0], 0.0]) + y[1] + logsumexp([x]) "
        "+ scipy.special.logsumexp(np.array([x]))"
    )
    module = make_module("tg_pack.inside", source)
    assert slope(module.f) == pytest.approx(math.cos(X) + 3.0, rel=1e-15)


def test_a_module_first_imported_while_recording_is_intercepted(make_module, tmp_path):
    (tmp_path / "tg_late.py").write_text(
        "import numpy as np\nPLAIN = np.zeros(2)\n"
        "def late(x):\n    y = np.zeros(2); y[0] = x\n    return y[0] + PLAIN[0]\n"
    )
    module = make_module(
        "tg_early", "def f(x):\n    import tg_late\n    return 2.0 * tg_late.late(x)"
    )
    assert slope(module.f) == 2.0
    assert type(sys.modules["tg_late"].PLAIN) is np.ndarray


# --- modules --------------------------------------------------------------------------------------

HELPERS = """
import numpy as np
rate = 2.0
def newton(x):
    y = np.zeros(1); y[0] = rate * x
    return y[0]
def solve(x, method):
    return method(x) if method is newton else 0.0 * x
"""


def test_an_attribute_set_on_a_module_is_set_on_the_module(make_module):
    helpers = make_module("tg_helpers_set", HELPERS)

    def f(x):
        helpers.rate = 5.0
        helpers.module, helpers.function = np, helpers.newton
        np.tg_mark = np.sin
        assert np.tg_mark is np.sin
        assert vars(helpers)["rate"] == helpers.rate
        return helpers.newton(x)

    newton = helpers.newton
    try:
        assert slope(f) == 5.0
        assert np.tg_mark is np.sin
    finally:
        del np.tg_mark
    assert helpers.module is np
    assert helpers.function is newton
    assert helpers.rate == 5.0


def test_a_function_is_the_same_by_whichever_name_it_is_reached(make_module):
    helpers = make_module("tg_helpers_same", HELPERS)
    newton = helpers.newton

    def f(x):
        assert newton is helpers.newton
        assert isinstance(helpers, types.ModuleType)
        assert repr(helpers).startswith("<module 'tg_helpers_same'")
        assert dir(helpers) == dir(sys.modules["tg_helpers_same"])
        return helpers.solve(x, newton) + helpers.solve(x, method=helpers.newton)

    assert slope(f) == 4.0


def test_modules_that_import_each_other(make_module, tmp_path):
    (tmp_path / "tg_mutual_b.py").write_text(
        "import numpy as np\nimport tg_mutual_a\n"
        "def g(x, n):\n    y = np.zeros(1); y[0] = 2.0 * x\n"
        "    return tg_mutual_a.f(y[0], n - 1) if n else y[0]\n"
    )
    module = make_module(
        "tg_mutual_a", "import tg_mutual_b\ndef f(x, n=3):\n    return tg_mutual_b.g(x, n)\n"
    )
    assert slope(module.f) == 16.0


def test_a_function_of_another_modules_globals():
    other = types.FunctionType(slot.__code__, {"np": np}, "other")
    without_builtins = types.FunctionType(slot.__code__, {"np": np, "__builtins__": {}})
    assert slope(lambda x: other(x) + without_builtins(x)) == 2.0


def test_a_deep_chain_of_functions(make_module):
    lines = [f"def f{k}(x): return f{k + 1}(x)" for k in range(400)]
    module = make_module("tg_deep", "import numpy as np\nf400 = np.zeros\n" + "\n".join(lines))
    assert Twins().of(module.f0)(2).tolist() == [0.0, 0.0]


# --- what is left behind --------------------------------------------------------------------------


def test_what_outlives_the_recording_is_plain(make_module):
    module = make_module(
        "tg_outlives",
        "import numpy as np\nfrom math import sin\nkept = []\nscale = 2.0\n"
        "def helper(x):\n    y = np.zeros(1); y[0] = scale * sin(x)\n    return y\n"
        "def f(x):\n"
        "    def inner(x): return helper(x), np.zeros(1)\n"
        "    kept[:] = [inner, helper]\n"
        "    return helper(x)[0]",
    )
    assert slope(module.f) == 2.0 * math.cos(X)
    module.scale = 3.0
    inner, helper = module.kept
    assert not is_recording()
    assert [type(thing) for thing in (*inner(X), helper(X))] == [np.ndarray] * 3
    assert helper(X) == inner(X)[0] == 3.0 * math.sin(X)
    assert inner.__globals__["np"] is np
    assert slope(lambda x: module.kept[0](x)[0][0]) == 3.0 * math.cos(X)
    assert slope(lambda x: inner(x)[0][0] + helper(x)[0]) == pytest.approx(6.0 * math.cos(X))


def test_a_derivative_made_inside_is_of_the_function_itself():
    made = []

    def inner(x):
        return slot(x) ** 3

    def f(x):
        made.append(tg.grad(inner))
        return made[-1](x)

    assert slope(f) == pytest.approx(6.0 * X, rel=1e-15)
    assert made[0].recorded.function is inner
    assert made[0](2.0) == 12.0
