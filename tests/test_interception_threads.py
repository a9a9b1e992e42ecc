"""What one thread records no other can tell; an interrupt leaves everything as it was; and an
active number is refused in a thread that isn't recording it."""

from __future__ import annotations

import inspect
import math
import pickle
import random
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from math import sin

import numba
import numpy as np
import pytest
from numpy import zeros

import tapegrad as tg
from tapegrad.errors import OtherThreadError, TapeEndedError
from tapegrad.record.nesting import is_recording
from tapegrad.record.trampolines import code_of, put, take_away

X = 0.4


class Model:
    """Reached through an object, by its methods, operators and properties."""

    def __init__(self, scale):
        self.scale = scale
        self.wait = None

    def energy(self, x, /, factor=1.0, *rest, power=1, **more):
        """Return an energy."""
        y = np.zeros(2)
        y[0] = self.scale * sin(x) ** power * factor
        return y[0]

    @property
    def force(self):
        return lambda x: self.energy(x, power=1)

    def __call__(self, x):
        return helper(self, x)

    def __add__(self, x):
        y = zeros(1)
        y[0] = x
        return y[0]


def helper(model, x):
    if model.wait is not None:
        model.wait()
    return model.energy(x) + model.force(x) + (model + x)


def energies(x):
    return MODEL(x)


MODEL = Model(2.0)
SLOPE = 4.0 * math.cos(X) + 1.0


class While:
    """A recording of `energies` in another thread, stopped half way."""

    def __enter__(self):
        inside, self.go = threading.Event(), threading.Event()
        self.slopes = []

        def wait():
            if is_recording() and not inside.is_set():
                inside.set()
                assert self.go.wait(60)

        MODEL.wait = wait
        self.thread = threading.Thread(target=lambda: self.slopes.append(tg.grad(energies)(X)))
        self.thread.start()
        assert inside.wait(60)
        return self

    def __exit__(self, *error):
        self.go.set()
        self.thread.join()
        MODEL.wait = None
        assert self.slopes == [pytest.approx(SLOPE, rel=1e-15)]


METHODS = [member for member in vars(Model).values() if inspect.isfunction(member)]


def codes():
    return [method.__code__ for method in [*METHODS, Model.force.fget, helper, energies]]


@pytest.fixture(autouse=True)
def everything_is_as_before():
    names, members, before = dict(globals()), dict(vars(Model)), codes()
    yield
    assert all(globals()[name] is thing for name, thing in names.items())
    assert all(vars(Model)[name] is thing for name, thing in members.items())
    assert all(code is was for code, was in zip(codes(), before, strict=True))
    assert not is_recording()


# --- another thread -------------------------------------------------------------------------------


def test_another_thread_cannot_tell_that_one_records():
    names, before, method = dict(globals()), codes(), Model.energy
    signature = inspect.signature(method)
    with While():
        assert all(globals()[name] is thing for name, thing in names.items())
        assert np is sys.modules["numpy"]
        assert sin is math.sin
        assert [f.__code__ for f in (helper, energies)] == before[-2:]
        assert helper.__globals__ is energies.__globals__ is globals()
        assert Model.energy is method
        assert [code_of(f) for f in METHODS] == before[: len(METHODS)]
        assert inspect.signature(Model.energy) == signature
        assert Model.energy.__doc__ == "Return an energy."
        assert inspect.getsource(Model.energy).startswith("    def energy")
        assert isinstance(np.float64(1.0), np.float64)
        assert isinstance(np.zeros(2), np.ndarray)
        assert type(MODEL.energy(X)) is np.float64
        assert MODEL.energy(X, 2.0, 3.0, power=2, more=4) == 4.0 * math.sin(X) ** 2
        with pytest.raises(TypeError, match="positional"):
            MODEL.energy()
        for thing in (np.float64(1), np.zeros(2), np.zeros, math.sin, Model, Model.energy, helper):
            pickle.loads(pickle.dumps(thing))
        module = sys.modules[__name__]
        module.attribute = np
        np.tg_attribute = module
        math.tg_attribute = 3
    assert module.attribute is np
    assert np.tg_attribute is module
    assert math.tg_attribute == 3
    del module.attribute, np.tg_attribute, math.tg_attribute


def test_two_threads_record_functions_that_share_methods():
    other = Model(3.0)
    with While():
        assert tg.grad(energies)(X) == pytest.approx(SLOPE, rel=1e-15)
        assert tg.grad(other.energy)(X) == pytest.approx(3.0 * math.cos(X), rel=1e-15)
        assert MODEL.energy(X) == 2.0 * math.sin(X)


def test_threads_that_record_at_once_get_the_serial_results():
    def job(k):
        own = Model(float(k))
        functions = (energies, own, own.energy, lambda x: own.force(x) * zeros(1).size)
        return [tg.grad(function)(X) for _ in range(8) for function in functions]

    wanted = [[SLOPE, 2 * k * math.cos(X) + 1, k * math.cos(X), k * math.cos(X)] * 8
              for k in range(4)]  # fmt: skip
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(job, range(4)))
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_a_code_given_to_a_method_meanwhile_stays():
    def other(self, x, /, factor=1.0, *rest, power=1, **more):
        return x

    before, user = Model.energy.__code__, (threading.get_ident(), 0)
    put([Model.energy, Model.__add__], user)
    Model.energy.__code__ = other.__code__
    try:
        assert MODEL.energy(X) == X
        take_away(user)
        assert Model.energy.__code__ is other.__code__
    finally:
        Model.energy.__code__ = before


def test_what_a_killed_thread_left_is_repaired_at_the_next_recording():
    before = Model.energy.__code__
    dead = threading.Thread(target=lambda: None)
    dead.start()
    dead.join()
    put([Model.energy], (dead.ident, 0))
    put([Model.__add__], (threading.get_ident(), 0))
    assert Model.energy.__code__ is not before
    assert MODEL.energy(X) == 2.0 * math.sin(X)
    assert tg.grad(lambda x: x * x)(3.0) == 6.0
    assert Model.energy.__code__ is before


# --- interrupts -----------------------------------------------------------------------------------


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer that interrupts")
def test_an_interrupt_leaves_everything_as_it_was():
    names, before = dict(globals()), codes()
    tg.grad(energies)(X)
    draw = random.Random(0)
    handler = signal.signal(signal.SIGALRM, interrupt)
    hits = 0
    try:
        for _ in range(300):
            derivative = tg.grad(energies)
            try:
                signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-5, 1e-3))
                derivative(X)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                hits += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert not is_recording()
            assert codes() == before
            assert all(globals()[name] is thing for name, thing in names.items())
            assert derivative(X) == pytest.approx(SLOPE, rel=1e-15)
    finally:
        signal.signal(signal.SIGALRM, handler)
    assert hits > 0


# --- active numbers in other threads --------------------------------------------------------------


@numba.njit
def compiled(x):
    return x * 2.0


def in_a_pool(x, work):
    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(work, [x] * 4))


def in_threads_whose_errors_nobody_sees(x, work):
    found = [0.0 * x]
    hook, threading.excepthook = threading.excepthook, lambda _: None
    try:
        threads = [threading.Thread(target=lambda: found.append(work(x))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        threading.excepthook = hook
    return sum(found)


def stored(x):
    y = np.zeros(2)
    y[0] = x
    return y[0]


WORK = {
    "operator": lambda x: x * 2.0,
    "reflected": lambda x: 2.0 - x,
    "two": lambda x: x + x,
    "comparison": lambda x: 1.0 if x > 0.0 else 2.0,
    "power": lambda x: x**3,
    "negative": lambda x: -x,
    "whole": int,
    "function": math.sin,
    "ufunc": np.sin,
    "sum": lambda x: np.sum([x, x]),
    "plain array": stored,
    "compiled": compiled,
    "derivative": lambda x: tg.grad(lambda y: y * x)(1.0),
    "method": MODEL,
}  # fmt: skip
WAYS = [in_a_pool, in_threads_whose_errors_nobody_sees]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", WORK)
def test_an_active_number_is_refused_in_another_thread(name, way):
    compiled(1.0)
    derivative = tg.grad(lambda x: 0.0 * x + way(x, WORK[name]))
    with pytest.raises(OtherThreadError, match=r"at .*\.py:\d+; a recording follows one thread"):
        derivative(X)
    assert tg.grad(lambda x: x * WORK["operator"](x))(X) == 4.0 * X


@pytest.mark.parametrize("work", [np.sum, lambda x: x[0] * 2.0, lambda x: (x @ x), np.sort,
                                  lambda x: compiled(x)[0]])  # fmt: skip
def test_an_active_array_is_refused_in_another_thread(work):
    for way in WAYS:
        with pytest.raises(OtherThreadError):
            tg.grad(lambda x, way=way: x[0] + way(x, work))(np.array([1.0, 2.0]))


def test_the_error_of_another_thread_names_the_line():
    with pytest.raises(OtherThreadError) as caught:
        tg.grad(lambda x: in_a_pool(x, WORK["operator"]))(X)
    line = inspect.getsourcelines(WORK["operator"])[1]
    assert f"{__file__}:{line};" in str(caught.value)


def test_threads_inside_may_do_what_isnt_recorded():
    def f(x):
        with ThreadPoolExecutor(2) as pool:
            plain = list(pool.map(lambda k: np.zeros(3) + math.sqrt(k), [1.0, 4.0]))
            slopes = list(pool.map(tg.grad(energies), [X, X]))
        assert [type(part) for part in plain] == [np.ndarray] * 2
        return x * plain[1][0] * slopes[0]

    assert tg.grad(f)(3.0) == pytest.approx(2.0 * SLOPE, rel=1e-15)


def test_a_thread_that_goes_on_after_the_recording_is_refused():
    go, errors = threading.Event(), []

    def late(x):
        assert go.wait(60)
        try:
            x * 2.0
        except TapeEndedError as error:
            errors.append(error)

    def f(x):
        threads.append(threading.Thread(target=late, args=(x,)))
        threads[-1].start()
        return x * x

    threads = []
    assert tg.grad(f)(3.0) == 6.0
    go.set()
    for thread in threads:
        thread.join()
    assert len(errors) == len(threads) == 1
