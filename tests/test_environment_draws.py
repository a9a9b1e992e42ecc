"""Random numbers drawn inside a function: noticed, so that none is drawn once and for all."""

from __future__ import annotations

import random
import secrets
import warnings

import numpy as np
import pytest
from ticks import new_ticks, ran

import tapegrad as tg
from tapegrad.errors import RecordingLimitWarning


def shared_numpy():
    return lambda: np.random.rand()


def shared_numpy_by_name():
    rand = np.random.normal
    return lambda: rand()


def shared_random():
    return lambda: random.random()


def shared_random_by_name():
    gauss = random.gauss
    return lambda: gauss(0.0, 1.0)


def generator_in_a_closure():
    rng = np.random.default_rng(1)
    return lambda: rng.standard_normal()


def generator_in_an_attribute():
    class Model:
        def __init__(self):
            self.rng = np.random.default_rng(1)

        def draw(self):
            return self.rng.random()

    return Model().draw


def bound_method_of_a_generator():
    return np.random.default_rng(1).random


def generator_in_a_list():
    rngs = [np.random.default_rng(1)]
    return lambda: rngs[0].random()


def bits_of_a_generator():
    bits = np.random.PCG64(1)
    return lambda: np.random.Generator(bits).random()


def random_state():
    rng = np.random.RandomState(1)
    return lambda: rng.normal()


def random_of_the_standard_library():
    rng = random.Random(1)
    return lambda: rng.gauss(0.0, 1.0)


def generator_without_a_seed():
    return lambda: np.random.default_rng().random()


def generator_whose_seed_is_none():
    return lambda: np.random.default_rng(None).random()


def random_without_a_seed():
    return lambda: random.Random().random()


def bits_of_the_system():
    return lambda: secrets.randbits(30) / 2.0**30


def system_random():
    return lambda: random.SystemRandom().random()


def distribution():
    import scipy.stats

    return lambda: float(scipy.stats.norm.rvs())


DRAWS = [
    shared_numpy,
    shared_numpy_by_name,
    shared_random,
    shared_random_by_name,
    generator_in_a_closure,
    generator_in_an_attribute,
    bound_method_of_a_generator,
    generator_in_a_list,
    bits_of_a_generator,
    random_state,
    random_of_the_standard_library,
    generator_without_a_seed,
    generator_whose_seed_is_none,
    random_without_a_seed,
    bits_of_the_system,
    system_random,
    distribution,
]


@pytest.mark.parametrize("make", DRAWS, ids=lambda make: make.__name__)
def test_numbers_drawn_inside_are_drawn_at_each_call_with_one_warning(make):
    draw = make()
    derivative = tg.grad(lambda x: (2.0 + draw()) * x)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = [derivative(float(k)) for k in range(40)]
    assert len(set(found)) == 40
    (warning,) = caught
    assert issubclass(warning.category, RecordingLimitWarning)
    assert warning.filename == __file__
    assert "random numbers" in str(warning.message)
    assert "def f(x, noise)" in str(warning.message)


def test_numbers_drawn_inside_are_those_that_the_function_draws():
    derivative = tg.value_and_grad(lambda x: x * np.random.rand())
    np.random.seed(3)
    with pytest.warns(RecordingLimitWarning):
        found = [derivative(2.0) for _ in range(3)]
    np.random.seed(3)
    wanted = np.random.rand(3)
    assert found == [(2.0 * number, number) for number in wanted]


SEEDED = {
    "generator": lambda: np.random.default_rng(5).random(),
    "random_state": lambda: np.random.RandomState(5).rand(),
    "random": lambda: random.Random(5).random(),
    "bits": lambda: np.random.Generator(np.random.PCG64(5)).random(),
}


@pytest.mark.parametrize("name", SEEDED)
def test_a_generator_seeded_within_the_call_is_no_input(name):
    draw, ticks = SEEDED[name], new_ticks()

    def f(x):
        ticks.release()
        return draw() * x

    derivative = tg.grad(f)
    assert [derivative(float(k)) for k in range(4)] == [draw()] * 4
    assert ran(ticks) == 1


@pytest.mark.parametrize("module", [np.random, random], ids=["numpy", "random"])
def test_a_shared_generator_seeded_within_the_call_is_no_input(module):
    ticks = new_ticks()

    def with_numpy(x):
        np.random.seed(7)
        ticks.release()
        return np.random.random() * x

    def with_random(x):
        random.seed(7)
        ticks.release()
        return random.random() * x

    derivative = tg.grad(with_numpy if module is np.random else with_random)
    found = []
    for k in range(5):
        module.seed(k)  # somebody else's use of it changes nothing
        found.append(derivative(1.0))
    module.seed(7)
    assert found == [module.random()] * 5
    assert ran(ticks) <= 3


def test_a_generator_that_is_passed_in_and_drawn_from_is_drawn_from_at_each_call():
    derivative = tg.grad(lambda x, rng: x * rng.random())
    rng = np.random.default_rng(2)
    with pytest.warns(RecordingLimitWarning):
        found = [derivative(1.0, rng) for _ in range(4)]
    assert found == list(np.random.default_rng(2).random(4))


def test_a_generator_that_is_reached_but_not_drawn_from_records_once():
    rng, ticks = np.random.default_rng(1), new_ticks()

    def f(x):
        ticks.release()
        return x * rng.random() if x < 0.0 else 2.0 * x

    derivative = tg.grad(f)
    assert [derivative(float(k)) for k in range(1, 6)] == [2.0] * 5
    assert ran(ticks) == 1
    rng.random()
    assert derivative(1.0) == 2.0
    assert ran(ticks) == 2


def test_drawing_outside_does_not_record_again():
    ticks = new_ticks()

    def f(x, noise):
        ticks.release()
        return x * noise

    derivative = tg.grad(f)
    rng = np.random.default_rng(1)
    for noise in (rng.random(), np.random.rand(), random.random()):
        assert derivative(1.0, noise) == noise
    assert ran(ticks) == 1
