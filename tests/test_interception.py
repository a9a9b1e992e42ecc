"""Code stays as it was written: what math's names mean while it's recorded, however they were
bound, and that everything is put back."""

from __future__ import annotations

import importlib
import math
import math as m
import statistics
import sys
import threading
from math import exp as e
from math import sin

import numpy as np
import pytest
import scipy.special
from numpy import zeros

import tapegrad as tg
from tests.recorded_gradient import assert_gradient

MODULES = (np, math, scipy.special, sys.modules[__name__])


def namespaces():
    return [dict(vars(module)) for module in MODULES]


def unchanged(before):
    return all(
        vars(module).keys() == names.keys()
        and all(vars(module)[name] is thing for name, thing in names.items())
        for module, names in zip(MODULES, before, strict=True)
    )


@pytest.fixture(autouse=True)
def everything_is_put_back():
    before = namespaces()
    yield
    assert unchanged(before)


# --- math, however it was imported ----------------------------------------------------------------

MATHS = {
    "acos": 0.3, "acosh": 1.7, "asin": 0.3, "asinh": 0.3, "atan": 0.3, "atanh": 0.3, "cbrt": 2.0,
    "cos": 0.3, "cosh": 0.3, "degrees": 0.3, "erf": 0.3, "erfc": 0.3, "exp": 0.3, "exp2": 0.3,
    "expm1": 0.3, "fabs": -0.3, "gamma": 2.3, "lgamma": 2.3, "log": 0.3, "log10": 0.3,
    "log1p": 0.3, "log2": 0.3, "radians": 0.3, "sin": 0.3, "sinh": 0.3, "sqrt": 0.3, "tan": 0.3,
    "tanh": 0.3,
}  # fmt: skip


@pytest.mark.parametrize("name", MATHS)
def test_math_takes_active_numbers(name):
    def function(x):
        return getattr(math, name)(x)

    x = MATHS[name]
    value, slope = tg.value_and_grad(function)(x)
    assert value == pytest.approx(function(x), rel=1e-15)
    assert slope == pytest.approx((function(x + 1e-6) - function(x - 1e-6)) / 2e-6, rel=1e-8)


def test_math_of_several_numbers():
    assert_gradient(lambda x: math.atan2(x[0], x[1]) + math.pow(x[0], x[1]) + math.fmod(x[2], 1.5))
    assert_gradient(
        lambda x: math.hypot(*x) + math.dist(x, [0, 1, 2]) + math.fsum(x) * math.prod(x)
    )
    assert_gradient(lambda x: math.log(x[0], 3) + math.log(x[1], x[2]) + math.copysign(x[0], -2))
    assert_gradient(lambda x: math.modf(x[1])[0] * math.ldexp(x[0], 3) + math.remainder(x[2], 1.5))


def test_math_of_plain_numbers_is_math():
    def function(x):
        assert math.sqrt(2.0) == 2.0**0.5
        assert type(math.floor(2.5)) is int
        assert (math.gcd(4, 6), math.comb(4, 2), math.pi) == (2, 6, np.pi)
        with pytest.raises(ValueError, match="domain"):
            math.sqrt(-1.0)
        return x * math.exp(0.0)

    assert tg.grad(function)(2.0) == 1.0


def test_a_whole_number_read_from_an_active_one_is_replayed():
    table = [1.0, 10.0, 100.0]
    f = tg.grad(lambda x: x * table[math.floor(x)] + math.ceil(x) + math.trunc(x))
    assert [f(x) for x in (0.5, 1.5, 2.5, 0.25)] == [1.0, 10.0, 100.0, 1.0]


def test_names_however_they_were_bound():
    in_a_closure, module_in_a_closure = math.sin, math

    def nested(x):
        def inner(y):
            def innermost(z):
                return in_a_closure(z) + module_in_a_closure.exp(z)

            return innermost(y) * m.cos(y)

        return inner(x)

    class Model:
        scale = 2.0

        def __init__(self):
            self.weight = 3.0

        def __call__(self, x):
            return self.weight * self.energy(x) + self.shift(x) + self.total(x)

        def energy(self, x):
            return math.sin(x[0]) * zeros(3)[0] + e(x[1])

        @classmethod
        def shift(cls, x):
            return cls.scale * sin(x[2])

        @staticmethod
        def total(x):
            y = np.zeros(3)
            y[1] = x[1]
            return y.sum()

    assert_gradient(lambda x: sin(x[0]) * e(x[1]) * m.cos(x[2]))
    assert_gradient(lambda x: nested(x[0]) + sum(map(math.sin, x)) + sum(sin(v) for v in x))
    assert_gradient(lambda x: [f(x[0]) for f in (math.sin, math.exp)][1])
    assert_gradient(Model())
    assert_gradient(Model().energy)


def test_a_recursive_function():
    def power(x, n):
        return math.exp(0.0 * x) if n == 0 else x * power(x, n - 1)

    assert tg.grad(lambda x: power(x, 5))(2.0) == 80.0


@pytest.fixture
def make_module(tmp_path, monkeypatch):
    """Write a module and import it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def make(name, source):
        (tmp_path / f"{name}.py").write_text(source)
        importlib.invalidate_caches()
        made.append(name)
        return importlib.import_module(name)

    yield make
    for name in made:
        del sys.modules[name]


def test_helper_modules_of_the_user_are_intercepted_too(make_module):
    make_module(
        "helper_below", "from math import sin, exp as e\n\ndef f(x):\n    return sin(e(x))\n"
    )
    helper = make_module(
        "helper_above",
        "import math\nimport numpy\nfrom numpy import zeros\nimport helper_below\n"
        "from helper_below import f\n\n"
        "def g(x):\n    y = zeros(2)\n    y[0] = f(x) + helper_below.f(x)\n"
        "    z = numpy.array([x, math.cos(x)])\n    return (y * z).sum()\n\n"
        "class Model:\n    def value(self, x):\n        return g(x) * math.exp(x)\n",
    )
    names = [dict(vars(module)) for module in (helper, sys.modules["helper_below"])]
    g = helper.g
    for function in (lambda x: helper.g(x[0]), lambda x: g(x[1]),
                     lambda x: helper.Model().value(x[0])):  # fmt: skip
        assert_gradient(function)
    assert names == [dict(vars(module)) for module in (helper, sys.modules["helper_below"])]


def test_a_library_is_left_as_it_is():
    def function(x):
        seen.append((math, statistics.math, np, sys.modules["math"], sys.modules["numpy"]))
        return math.sin(x)

    seen = []
    assert tg.grad(function)(0.3) == math.cos(0.3)
    own_math, *others = seen[0]
    assert own_math is not math
    assert others[0] is others[2] is math
    assert others[1] is not np
    assert others[3] is np


# --- everything is put back ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, RecursionError, MemoryError]
)
def test_after_an_error_every_name_is_as_before(error):
    in_a_closure = math.sin
    before = namespaces()

    def function(x):
        y = np.zeros(3)
        y[0] = in_a_closure(x) + sin(x) + math.exp(x)
        assert math is not sys.modules["math"]
        raise error("stop")

    for derivative in (tg.grad(function), tg.grad(tg.grad(function)), tg.hessian(function)):
        with pytest.raises(error):
            derivative(0.5)
        assert unchanged(before)
        assert in_a_closure is before[1]["sin"]


def test_a_generator_left_half_way_puts_everything_back():
    before = namespaces()

    def steps():
        def function(x):
            return math.sin(x)

        yield tg.grad(function)(0.3)
        yield tg.grad(function)(0.4)

    generator = steps()
    assert next(generator) == math.cos(0.3)
    assert unchanged(before)
    generator.close()
    assert unchanged(before)


def test_nested_recordings_put_back_what_the_outer_one_needs():
    def inner(x):
        y = np.zeros(2)
        y[0] = math.sin(x) * x
        return y.sum()

    def outer(x):
        slope = tg.grad(inner)(x)
        y = np.zeros(2)
        y[1] = slope * math.exp(x)
        return y.sum()

    x = 0.7
    first, second = np.sin(x) + x * np.cos(x), 2 * np.cos(x) - x * np.sin(x)
    assert tg.grad(outer)(x) == pytest.approx((first + second) * np.exp(x), rel=1e-15)
    assert tg.grad(tg.grad(inner))(x) == pytest.approx(second, rel=1e-15)
    third = tg.grad(tg.grad(tg.grad(inner)))(x)
    assert third == pytest.approx(-3 * np.sin(x) - x * np.cos(x), rel=1e-15)


def test_an_error_of_an_inner_recording_leaves_the_outer_one_intercepted():
    def inner(x):
        raise ValueError(f"{math.sin(x)}")

    def outer(x):
        with pytest.raises(ValueError, match=r"0\.29"):
            tg.grad(inner)(x)
        return math.sin(x)

    assert tg.grad(outer)(0.3) == math.cos(0.3)


def test_another_thread_sees_plain_numpy_while_one_records():
    inside, done = threading.Event(), threading.Event()
    seen = {}

    def function(x, wait=False):
        y = np.zeros(2)
        y[0] = math.sin(x) + e(x)
        if wait:
            inside.set()
            assert done.wait(20)
        return y, sin(x), np.array([x, x]), np.float64(x), np.asarray([1.0])

    def total(x):
        return sum(np.sum(part) for part in function(x, wait=True))

    recorder = threading.Thread(target=lambda: seen.update(slope=tg.grad(total)(0.4)))
    recorder.start()
    assert inside.wait(60)
    plain = function(0.4)
    own = tg.grad(lambda x: function(x)[0].sum())(0.4)
    done.set()
    recorder.join()
    assert [type(part) for part in plain] == [np.ndarray, float, np.ndarray, np.float64, np.ndarray]
    np.testing.assert_array_equal(plain[0], [math.sin(0.4) + math.exp(0.4), 0.0])
    assert own == pytest.approx(math.cos(0.4) + math.exp(0.4), rel=1e-15)
    assert seen["slope"] == pytest.approx(2 * math.cos(0.4) + math.exp(0.4) + 3, rel=1e-15)
