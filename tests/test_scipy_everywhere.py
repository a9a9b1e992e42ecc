"""SciPy's functions reached in unusual ways, from threads at once and from other processes."""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import multiprocessing
import operator
import pickle
import threading
import types
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from scipy import linalg, special, stats
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation
from scipy.stats import norm

import tapegrad as tg
from tapegrad.testing import extrapolated_difference

DATA = np.array([0.4, 1.3, 2.2, 0.9])
PLACE = np.array([0.7, 1.6])


def _plainly(p):
    return np.sum(norm.logpdf(DATA, p[0], p[1]))


# --- ways to reach them -----------------------------------------------------------------------


@dataclasses.dataclass
class Model:
    dist: object = norm
    logpdf: object = norm.logpdf
    kind = stats.norm
    bound = norm.logpdf
    partial = functools.partialmethod(lambda self, d, p: np.sum(d.logpdf(DATA, *p)), norm)

    @functools.cached_property
    def kept(self):
        return self.dist

    @classmethod
    def by_class(cls, p):
        return np.sum(cls.kind.logpdf(DATA, p[0], p[1]))

    @staticmethod
    def by_default(p, dist=norm):
        return np.sum(dist.logpdf(DATA, p[0], p[1]))

    def __call__(self, p):
        return np.sum(self.logpdf(DATA, *p))


@functools.lru_cache
def _named(name):
    return getattr(stats, name)


def _decorated(function):
    @functools.wraps(function)
    def call(*args):
        return function(*args)

    return call


@_decorated
def _by_keyword_default(p, *, dist=norm):
    return np.sum(dist.logpdf(DATA, p[0], p[1]))


def _generated(p):
    def each():
        for number in DATA:
            yield norm.logpdf(number, p[0], p[1])

    return sum(each())


def _again(p, k=4):
    return 0.0 if k == 0 else norm.logpdf(DATA[k - 1], p[0], p[1]) + _again(p, k - 1)


def _imported(p):
    from scipy.stats import norm as own  # as it's written

    return np.sum(own.logpdf(DATA, p[0], p[1]))


TABLE, SPACE = {"d": norm, "f": norm.logpdf}, types.SimpleNamespace(d=norm)
FROZEN = norm().logpdf
WAYS = {
    "a dictionary": lambda p: np.sum(TABLE["d"].logpdf(DATA, *p)),
    "a dictionary of methods": lambda p: np.sum(TABLE["f"](DATA, *p)),
    "a namespace": lambda p: np.sum(SPACE.d.logpdf(DATA, *p)),
    "a field": lambda p: np.sum(Model().dist.logpdf(DATA, *p)),
    "an object that is called": Model(),
    "a property that is kept": lambda p: np.sum(Model().kept.logpdf(DATA, *p)),
    "a class method": Model.by_class,
    "a class's attribute": lambda p: np.sum(Model.bound(DATA, *p)),
    "a static method's default": Model.by_default,
    "a partial method": lambda p: Model().partial(p),
    "a decorator": _by_keyword_default,
    "a generator": _generated,
    "a recursion": _again,
    "an import inside": _imported,
    "a comprehension": lambda p: sum([norm.logpdf(number, *p) for number in DATA]),
    "functools.reduce": lambda p: functools.reduce(
        lambda total, number: total + norm.logpdf(number, *p), DATA, 0.0),
    "operator.methodcaller": lambda p: np.sum(operator.methodcaller("logpdf", DATA, *p)(norm)),
    "operator.attrgetter": lambda p: np.sum(operator.attrgetter("norm.logpdf")(stats)(DATA, *p)),
    "itertools.starmap": lambda p: sum(
        itertools.starmap(norm.logpdf, [(number, *p) for number in DATA])),
    "a function that is called with rows": lambda p: np.sum(
        np.apply_along_axis(lambda row: norm.logpdf(row, p[0], p[1]), 0, DATA)),
    "a name looked up": lambda p: np.sum(_named("norm").logpdf(DATA, *p)),
    "a condition": lambda p: np.sum((norm if p[0] > 0.0 else stats.gamma).logpdf(DATA, *p)),
    "the class's function": lambda p: np.sum(type(norm).logpdf(norm, DATA, *p)),
    "a partial of the distribution": lambda p: np.sum(
        functools.partial(norm, p[0])(p[1]).logpdf(DATA)),
    "a method frozen outside": lambda p: np.sum(FROZEN((DATA - p[0]) / p[1]) - np.log(p[1])),
    "a copy": lambda p: np.sum(copy.deepcopy(norm).logpdf(DATA, *p)),
    "text that is evaluated": lambda p: eval("np.sum(norm.logpdf(DATA, *p))", globals(), {"p": p}),
    "a derivative inside": lambda p: tg.value_and_grad(_plainly)(p)[0],
    "a checkpoint": lambda p: tg.checkpoint(_plainly)(p),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_distribution_is_recognised_in_any_way(way):
    deviation = DATA - PLACE[0]
    score = [np.sum(deviation) / PLACE[1] ** 2,
             np.sum(deviation**2) / PLACE[1] ** 3 - len(DATA) / PLACE[1]]  # fmt: skip
    gradient = tg.grad(WAYS[way])
    for _ in range(2):
        np.testing.assert_allclose(gradient(PLACE), score, rtol=1e-12)


def test_a_distribution_may_be_an_argument():
    def likelihood(p, dist):
        return np.sum(dist.logpdf(DATA, p[0], p[1]))

    gradient = tg.grad(likelihood)
    for dist in (norm, stats.logistic, stats.laplace, norm):
        expected = tg.grad(lambda p, d=dist: np.sum(d.logpdf(DATA, p[0], p[1])))(PLACE)
        np.testing.assert_allclose(gradient(PLACE, dist), expected, rtol=1e-13)


# --- threads and processes --------------------------------------------------------------------


def mixed(x):
    """A little of everything, and branches that depend on it."""
    form = np.outer(x[:2], x[:2]) + 2.0 * np.eye(2)
    total = np.sum(linalg.solve(form, x[1:3])) + special.gammaln(1.5 + x[0] ** 2)
    for number in x:
        if number > 0.0:
            total = total + norm.logpdf(number, x[0], 1.0 + x[1] ** 2)
        else:
            total = total + stats.t.logsf(number, 4.0)
    total = total + np.sum(np.exp(-cdist(form, form, "sqeuclidean")))
    return total + np.sum(Rotation.from_rotvec(x[:3]).apply(x[1:4])) * special.erf(x[3])


POINTS = [np.random.default_rng(seed).normal(size=4) for seed in range(6)]
GRADIENT = tg.grad(mixed)
VALUE_AND_GRADIENT = tg.value_and_grad(mixed)


def test_a_mixture_of_scipys_functions_has_the_derivatives_that_differences_have():
    for point in POINTS[:3]:
        slope, _ = extrapolated_difference(lambda t, x=point: np.array([mixed(x + t * x[::-1])]),
                                           1e-2, 6)  # fmt: skip
        np.testing.assert_allclose(GRADIENT(point) @ point[::-1], slope[0], rtol=1e-8)
        hessian = tg.hessian(mixed)(point)
        np.testing.assert_allclose(hessian, hessian.T, rtol=1e-9, atol=1e-10)


def _in_threads(jobs):
    """Return what functions return that are called at once, each in a thread of its own."""
    found, start = [None] * len(jobs), threading.Barrier(len(jobs))

    def run(k):
        start.wait()
        try:
            found[k] = jobs[k]()
        except Exception as error:
            found[k] = error

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in found:
        if isinstance(one, Exception):
            raise one
    return found


def test_threads_record_replay_and_call_scipy_at_once():
    expected = [GRADIENT(point) for point in POINTS]
    values = [mixed(point) for point in POINTS]
    shared = tg.grad(mixed)

    def recording(k):
        return lambda: [tg.grad(lambda x: mixed(x))(POINTS[k]) for _ in range(3)]

    def replaying(k):
        return lambda: [shared(POINTS[k]) for _ in range(3)]

    def plain(k):  # SciPy's own, whatever the others do
        return lambda: [mixed(POINTS[k]) for _ in range(10)]

    jobs = [make(k) for k in range(len(POINTS)) for make in (recording, replaying, plain)]
    found = _in_threads(jobs)
    for k, point in enumerate(POINTS):
        for gradients in found[3 * k : 3 * k + 2]:
            for gradient in gradients:
                np.testing.assert_allclose(gradient, expected[k], rtol=1e-12, atol=1e-14)
        assert found[3 * k + 2] == [values[k]] * 10
        np.testing.assert_array_equal(mixed(point), values[k])


def test_gradients_of_scipys_functions_are_the_same_in_other_processes():
    expected = [VALUE_AND_GRADIENT(point) for point in POINTS]
    copied = pickle.loads(pickle.dumps(VALUE_AND_GRADIENT))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        found = list(pool.map(copied, POINTS))
    for (value, gradient), (own, own_gradient) in zip(found, expected, strict=True):
        assert value == pytest.approx(own, rel=1e-15)
        np.testing.assert_allclose(gradient, own_gradient, rtol=1e-13, atol=1e-15)
