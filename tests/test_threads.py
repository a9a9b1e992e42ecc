"""Recorded functions called from several threads give what they give in one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tapegrad as tg

THREADS = 8


def in_threads(functions):
    """Call functions, each in a thread of its own, as simultaneously as can be; return results."""
    functions = list(functions)
    barrier = threading.Barrier(len(functions))

    def start(function):
        barrier.wait(timeout=60)
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(start, functions))


def branching(x):
    """A long tape, so that threads meet in the middle of a sweep; one of eight paths."""
    total = x[0] * x[1] if x[0] > 0.0 else x[0] - x[1]
    total = total * x[2] if x[1] > 0.0 else total + x[2]
    total = total + x[0] * x[2] if x[2] > 0.0 else total * 2.0
    for k in range(300):
        total = np.sin(total + 0.1 * x[k % 3]) * x[(k + 1) % 3]
    return total


def points(seed, count):
    return np.random.default_rng(seed).standard_normal((count, 3))


MAKERS = {
    "grad": lambda: tg.grad(branching),
    "value_and_grad": lambda: tg.value_and_grad(branching),
    "jacobian": lambda: tg.jacobian(lambda x: np.stack([branching(x), x[0] * x[1]])),
    "hessian": lambda: tg.hessian(branching),
    "hvp": lambda: (lambda product: lambda x: product(x, x[::-1] + 1.0))(tg.hvp(branching)),
}


def results(derivative, xs):
    return [derivative(x) for x in xs]


def assert_same(found, wanted):
    for part, other in zip(found, wanted, strict=True):
        if isinstance(other, tuple):
            assert part[0] == other[0]
            part, other = part[1], other[1]
        np.testing.assert_array_equal(part, other)


@pytest.mark.parametrize("name", MAKERS)
def test_threads_that_share_a_recorded_function_get_the_serial_results(name):
    jobs = [points(seed, 12) for seed in range(THREADS)]
    serial = MAKERS[name]()
    wanted = [results(serial, xs) for xs in jobs]
    shared = MAKERS[name]()
    found = in_threads((lambda xs=xs: results(shared, xs)) for xs in jobs)
    for part, other in zip(found, wanted, strict=True):
        assert_same(part, other)


def test_threads_that_replay_one_recording_at_many_points_do_not_mix_them():
    def f(x, data):
        total = 0.0
        for k in range(2000):
            total = total + np.tanh(x[k % 4] * data[k % 5])
        return total

    shared = tg.value_and_grad(f)
    rng = np.random.default_rng(0)
    jobs = [(rng.standard_normal(4), rng.standard_normal(5)) for _ in range(THREADS)]
    wanted = [shared(*job) for job in jobs]

    def many(job):
        return [shared(*job) for _ in range(40)]

    for part, other in zip(in_threads((lambda job=job: many(job)) for job in jobs), wanted,
                           strict=True):  # fmt: skip
        for value, gradient in part:
            assert value == other[0]
            np.testing.assert_array_equal(gradient, other[1])


def test_one_pullback_may_be_called_from_several_threads():
    x = np.linspace(0.1, 1.0, 40)

    def f(x):
        for _ in range(400):
            x = np.sin(x) * 1.1 + 0.1 * x[::-1]
        return x

    _, pullback = tg.vjp(f, x)
    seeds = np.eye(40)[:THREADS]
    wanted = [pullback(seed)[0] for seed in seeds]

    def many(seed):
        return [pullback(seed)[0] for _ in range(60)]

    found = in_threads((lambda seed=seed: many(seed)) for seed in seeds)
    for part, other in zip(found, wanted, strict=True):
        for gradient in part:
            np.testing.assert_array_equal(gradient, other)


def test_threads_that_record_different_functions_at_once_do_not_meet():
    def job(k):
        def f(x):
            total = x * 0.0
            for j in range(200):
                total = total + x * (k + 1.0) if j % 2 else total * 1.0
            return total * x

        return [tg.grad(f)(float(x)) for x in range(5)], tg.grad(tg.grad(f))(2.0)

    found = in_threads((lambda k=k: job(k)) for k in range(THREADS))
    for k, (gradients, second) in enumerate(found):
        assert gradients == [200.0 * (k + 1) * x for x in range(5)]
        assert second == 200.0 * (k + 1)


def test_nested_derivatives_recorded_at_once_do_not_meet():
    def job(k):
        def f(x):
            return x * tg.grad(lambda y: tg.grad(lambda z: x * y * z * (k + 1.0))(y) * y)(x)

        return [tg.grad(f)(float(x)) for x in range(4)]

    # d/dz = (k + 1) x y; times y, d/dy: 2 (k + 1) x y; at x, times x: 2 (k + 1) x^3
    for k, found in enumerate(in_threads((lambda k=k: job(k)) for k in range(THREADS))):
        assert found == [6.0 * (k + 1) * x * x for x in range(4)]


def test_an_exception_in_one_thread_leaves_the_others_right():
    def f(x):
        if x[0] > 1.0:
            raise ArithmeticError("too large")
        return np.sum(x * x * x)

    shared = tg.grad(f)

    def good(seed):
        xs = np.random.default_rng(seed).uniform(-1.0, 1.0, (30, 4))
        return [(x, shared(x)) for x in xs]

    def bad():
        for _ in range(30):
            with pytest.raises(ArithmeticError):
                shared(np.full(4, 2.0))
        return []

    for part in in_threads([bad, *((lambda s=s: good(s)) for s in range(4)), bad]):
        for x, gradient in part:
            np.testing.assert_allclose(gradient, 3 * x * x, rtol=1e-14)
    np.testing.assert_array_equal(shared(np.ones(4)), np.full(4, 3.0))


def test_an_exception_while_a_nested_derivative_records_leaves_the_threads_next_one_whole():
    def job(k):
        def broken(y):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            tg.grad(lambda x: tg.grad(broken)(x))(1.0)
        return tg.grad(lambda x: x * tg.grad(lambda y: x + y)(1.0))(float(k))

    assert in_threads((lambda k=k: job(k)) for k in range(THREADS)) == [1.0] * THREADS


def test_a_function_called_in_a_thread_while_another_records_is_not_nested_in_it():
    inside, leave = threading.Event(), threading.Event()

    def slow(x):
        inside.set()
        assert leave.wait(timeout=60)
        return x * x * x

    def quick():
        assert inside.wait(timeout=60)
        found = tg.value_and_grad(lambda x: x * x)(3.0)
        leave.set()
        return found

    slow_result, quick_result = in_threads([lambda: tg.grad(slow)(2.0), quick])
    assert slow_result == 12.0
    assert quick_result == (9.0, 6.0)
    assert type(quick_result[0]) is float


def test_clear_in_one_thread_leaves_the_others_right():
    shared = tg.grad(branching)
    xs = points(1, 15)
    wanted = results(tg.grad(branching), xs)

    def clear():
        for _ in range(20):
            shared.clear()
            np.testing.assert_array_equal(shared(xs[0]), wanted[0])
        return wanted

    for found in in_threads([clear, *[lambda: results(shared, xs)] * 4]):
        assert_same(found, wanted)


def test_threads_with_other_shapes_and_selectors_share_a_function():
    shared = tg.grad(lambda x, power: np.sum(x**power))

    def job(k):
        xs = np.random.default_rng(k).standard_normal((10, k + 1))
        return [(x, shared(x, power), power) for x in xs for power in (1, 2, 3)]

    for part in in_threads((lambda k=k: job(k)) for k in range(THREADS)):
        for x, gradient, power in part:
            np.testing.assert_allclose(gradient, power * x ** (power - 1), rtol=1e-14)
