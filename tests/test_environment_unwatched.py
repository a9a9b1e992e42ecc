"""What can't be watched is recorded at each call and named once; what can't matter is not."""

from __future__ import annotations

import collections
import io
import itertools
import logging
import re
import statistics
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ticks import new_ticks, ran

import tapegrad as tg
from tapegrad.errors import RecordingLimitWarning


def test_a_running_generator_is_read_at_each_call_and_named():
    numbers = (float(k) for k in range(1, 100))
    derivative = tg.grad(lambda x: x * next(numbers))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert [derivative(1.0) for _ in range(40)] == [float(k) for k in range(1, 41)]
    (warning,) = caught
    assert issubclass(warning.category, RecordingLimitWarning)
    assert "'numbers'" in str(warning.message)
    assert "generator" in str(warning.message)
    assert warning.filename == __file__


@pytest.mark.parametrize(
    "make",
    [
        lambda: iter([1.0, 2.0, 3.0, 4.0]),
        lambda: itertools.count(1.0),
        lambda: iter(collections.deque([1.0, 2.0, 3.0, 4.0])),
        lambda: iter(np.arange(1.0, 5.0).tolist()),
        lambda: (k for k in (1.0, 2.0, 3.0, 4.0)),
        lambda: map(float, [1, 2, 3, 4]),
        lambda: zip([1.0, 2.0, 3.0, 4.0]),
        lambda: iter(map(float, "1234")),
    ],
    ids=["list", "count", "deque", "array", "generator", "map", "zip", "string"],
)
@pytest.mark.filterwarnings("ignore::tapegrad.errors.RecordingLimitWarning")
def test_an_iterator_that_is_used_up_gives_its_next_number_at_each_call(make):
    numbers = make()

    def f(x):
        number = next(numbers)
        return x * (number[0] if isinstance(number, tuple) else number)

    derivative = tg.grad(f)
    assert [derivative(1.0) for _ in range(4)] == [1.0, 2.0, 3.0, 4.0]


def test_a_function_that_no_longer_reads_what_cannot_be_watched_is_replayed_again():
    held, ticks = (k for k in range(3)), new_ticks()

    def f(x):
        ticks.release()
        return 2.0 * x if held is not None else x

    derivative = tg.grad(f)
    with pytest.warns(RecordingLimitWarning):
        assert [derivative(1.0), derivative(1.0)] == [2.0, 2.0]
    assert ran(ticks) == 2
    held = "a word"
    assert [derivative(1.0), derivative(1.0)] == [2.0, 2.0]
    assert ran(ticks) == 3


class Model:
    """An object with something that can't be watched, in a method that isn't used."""

    def __init__(self):
        self.k, self.pool = 2.0, ThreadPoolExecutor()

    def loss(self, x):
        return self.k * x

    def in_parallel(self, xs):
        return list(self.pool.map(self.loss, xs))


def apply(model, x):
    return model.loss(x)


UNCHANGED = {
    "lock": threading.Lock(),
    "reentrant_lock": threading.RLock(),
    "event": threading.Event(),
    "logger": logging.getLogger("tapegrad.test"),
    "pattern": re.compile("a+"),
    "clock": time.perf_counter,
    "file": io.TextIOWrapper(io.BytesIO()),
    "dtype": np.dtype(float),
    "ufunc": np.add,
    "function_of_numpy": np.sum,
    "module": np,
    "class_of_numpy": np.ndarray,
    "object_with_an_unused_pool": Model(),
    "exception": ValueError("a"),
    "named_tuple": collections.namedtuple("Pair", "a b")(1.0, 2.0),
    "derivative": tg.grad(lambda x: x * x),
    "iterator": iter([1.0, 2.0]),
    "generator_of_numbers": np.random.default_rng(1),
    "nested": [{"a": ([1.0], {2.0})}, frozenset([3.0])],
    "slice": slice(0, 3),
    "array_of_objects": np.array([1.0, "a", None], object),
    "array_with_nan": np.array([np.nan, 1.0]),
    "array_of_times": np.array(["2020-01-01"], "M8[D]"),
    "structured": np.zeros(2000, [("a", float), ("b", int)]),
    "empty": np.zeros((0, 3)),
    "reversed_array": np.arange(2000.0)[::-1],
}


@pytest.mark.parametrize("name", UNCHANGED)
def test_what_does_not_change_records_once(name):
    held, ticks = UNCHANGED[name], new_ticks()

    def use(thing):
        return 1.0 if thing is not None else 0.0

    def f(x):
        ticks.release()
        return x * use(held)

    derivative = tg.grad(f)
    assert [derivative(float(k)) for k in range(5)] == [1.0] * 5
    assert ran(ticks) == 1


def test_an_object_is_replayed_whose_unused_method_reads_what_cannot_be_watched():
    model, ticks = Model(), new_ticks()

    def f(x):
        ticks.release()
        return apply(model, x)

    derivative = tg.grad(f)
    assert [derivative(float(k)) for k in range(5)] == [2.0] * 5
    assert ran(ticks) == 1
    model.k = 3.0
    assert derivative(1.0) == 3.0


def test_logging_and_locking_inside_record_once():
    log, lock, ticks = logging.getLogger("tapegrad.test"), threading.Lock(), new_ticks()

    def f(x):
        ticks.release()
        with lock:
            log.debug("called at %s", time.perf_counter())
            return x * x

    derivative = tg.grad(f)
    assert [derivative(float(k)) for k in range(5)] == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert ran(ticks) == 1


def test_reading_what_runs_code_again_does_nothing_twice():
    class Counting:
        reads = 0

        @property
        def k(self):
            Counting.reads += 1
            return 2.0

    counting = Counting()
    derivative = tg.grad(lambda x: counting.k * x)
    derivative(1.0)
    assert Counting.reads == 1


class Layer:
    """An object that keeps what it was called with, and counts its calls, but reads neither."""

    def __init__(self):
        self.weight, self.last, self.calls, self.seen = 2.0, None, 0, []

    def __call__(self, x):
        self.last = x
        self.calls += 1
        self.seen.append(1)
        return self.weight * x


def test_attributes_that_a_call_only_writes_are_no_inputs():
    layers, ticks = [Layer(), Layer()], new_ticks()

    def f(x):
        ticks.release()
        for layer in layers:
            x = layer(x)
        return x

    derivative = tg.grad(f)
    assert [derivative(float(k)) for k in range(5)] == [4.0] * 5
    assert ran(ticks) == 1
    layers[1].weight = 3.0
    assert derivative(1.0) == 6.0


def test_an_attribute_that_a_call_writes_and_reads_is_an_input():
    layer = Layer()
    derivative = tg.grad(lambda x: layer(x) * layer.calls)
    assert [derivative(1.0) for _ in range(4)] == [2.0, 4.0, 6.0, 8.0]


def test_classes_derived_later_are_seen_where_code_asks_for_them():
    class Base:
        pass

    kept = [type("First", (Base,), {"k": 2.0})]
    derivative = tg.grad(lambda x: x * max(kind.k for kind in Base.__subclasses__()))
    assert derivative(1.0) == 2.0
    kept.append(type("Second", (Base,), {"k": 5.0}))
    assert derivative(1.0) == 5.0


# --- among the arguments --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, tuple, frozenset, collections.deque])
def test_a_function_in_a_container_among_the_arguments_is_watched(kind):
    k = 2.0

    def scale(x):
        return k * x

    held = kind([scale])
    derivative = tg.grad(lambda x, held: next(iter(held))(x))
    assert derivative(1.0, held) == 2.0
    k = 5.0
    assert derivative(1.0, held) == 5.0


def test_the_state_of_an_object_among_the_arguments_is_watched():
    model = Model()
    derivative = tg.grad(lambda x, model: model.loss(x))
    assert derivative(1.0, model) == 2.0
    model.k = 5.0
    assert derivative(1.0, model) == 5.0


# --- what a program shares ------------------------------------------------------------------------


def test_a_patched_builtin_is_seen(monkeypatch):
    derivative = tg.grad(lambda x: x * divmod(4.0, 2.0)[0])
    assert derivative(1.0) == 2.0
    monkeypatch.setattr("builtins.divmod", lambda a, b: (7.0, 0.0))
    assert derivative(1.0) == 7.0


def test_a_patched_function_of_a_library_is_seen(monkeypatch):
    derivative = tg.grad(lambda x: x * statistics.fmean([3.0, 7.0]))
    assert derivative(1.0) == 5.0
    monkeypatch.setattr(statistics, "fmean", lambda numbers: 7.0)
    assert derivative(1.0) == 7.0


def test_an_alias_of_a_library_bound_again_is_seen():
    library = np
    derivative = tg.grad(lambda x: x * library.float64(2.0))
    assert derivative(1.0) == 2.0
    library = type("Library", (), {"float64": staticmethod(lambda number: 5.0)})
    assert derivative(1.0) == 5.0


def test_a_users_package_that_is_installed_is_watched(tmp_path, make_module):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    source = (
        "K = 2.0\ndef loss(x): return K * x\n"
        "class Model:\n    def __init__(self, k): self.k = k\n"
        "    def loss(self, x): return self.k * x\n"
    )
    (folder / "tg_installed.py").write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        import tg_installed
    derivative = tg.grad(tg_installed.loss)
    assert derivative(1.0) == 2.0
    tg_installed.K = 5.0
    assert derivative(1.0) == 5.0
    model = tg_installed.Model(2.0)
    derivative = tg.grad(model.loss)
    assert derivative(1.0) == 2.0
    model.k = 5.0
    assert derivative(1.0) == 5.0
