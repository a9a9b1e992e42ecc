"""Calls of every kind, in any order: each has its plan, and none disturbs another's."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import pytest
from ticks import counted, new_ticks, ran

import tapegrad as tg
from tapegrad.errors import InputTypeError, NotScalarError
from tapegrad.tree import flatten, map_leaves

SCALE = 1.5


def squares(x, scale=1.0):
    """The sum of the squares of all numbers in a structure, times two scales."""
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, list | tuple) else [x]
    total = 0.0
    for part in parts:
        total = total + np.sum(part * part)
    return SCALE * scale * total


def misaligned(values):
    room = np.zeros(8 * len(values) + 1, np.uint8)[1:]
    found = room.view(np.float64)
    found[:] = values
    assert not found.flags.aligned
    return found


def read_only(values):
    values.flags.writeable = False
    return values


def strided(values):
    return np.repeat(values, 2)[::2]


def draw(*shape):
    return np.random.default_rng(next(_seeds)).uniform(0.5, 2.0, shape)


_seeds = count()

# What makes an argument with new numbers, by its kind.
KINDS = {
    "vector": lambda: draw(5),
    "longer vector": lambda: draw(9),
    "one element": lambda: draw(1),
    "no dimension": lambda: draw(1).reshape(()),
    "empty": lambda: draw(0),
    "empty matrix": lambda: draw(0, 3),
    "matrix": lambda: draw(2, 3),
    "matrix in columns": lambda: np.asfortranarray(draw(3, 2)),
    "cube": lambda: draw(2, 2, 2),
    "strided": lambda: strided(draw(4)),
    "reversed": lambda: draw(6)[::-1],
    "read-only": lambda: read_only(draw(7)),
    "misaligned": lambda: misaligned(draw(3)),
    "single precision": lambda: draw(8).astype(np.float32),
    "half precision": lambda: draw(10).astype(np.float16),
    "other byte order": lambda: draw(11).astype(">f8"),
    "integers": lambda: np.arange(next(_seeds), 12 + next(_seeds))[:12],
    "float": lambda: float(draw(1)[0]),
    "NumPy's float": lambda: draw(1)[0],
    "list": lambda: [float(v) for v in draw(3)],
    "tuple": lambda: tuple(float(v) for v in draw(3)),
    "list of integers": lambda: [next(_seeds), 2, 3],
    "list of arrays and floats": lambda: [draw(2), 1.5, draw(2, 2)],
    "dictionary": lambda: {"a": draw(3), "b": 0.5},
    "dictionary of other names": lambda: {"a": draw(3), "c": 0.5},
}
# Those that are recorded once, whichever comes first.
SAME = [
    {"float", "NumPy's float"},
    {"list", "list of integers"},
]


def as_float(leaf):
    found = np.asarray(leaf, np.float64)
    return found if found.ndim else float(found)


def check(found, x, factor):
    """Value and gradient of the squares, in fresh memory."""
    value, gradient = found
    leaves, arrays = [], []
    expected = map_leaves(lambda leaf: 2.0 * factor * as_float(leaf), x)
    flatten(x, leaves)
    total = factor * sum(float(np.sum(np.asarray(leaf, np.float64) ** 2)) for leaf in leaves)
    assert type(value) is float
    assert value == pytest.approx(total, rel=1e-14)
    leaves, wanted = [], []
    assert flatten(gradient, leaves) == flatten(expected, wanted)
    for leaf, right in zip(leaves, wanted, strict=True):
        assert type(leaf) is type(right)
        np.testing.assert_allclose(leaf, right, rtol=1e-15)
        assert np.shape(leaf) == np.shape(right)
    flatten(x, arrays)
    for leaf in leaves:
        if isinstance(leaf, np.ndarray):
            assert leaf.flags.writeable
            assert not any(np.shares_memory(leaf, array) for array in arrays)
            leaf[...] = np.nan  # it's the caller's


@pytest.mark.parametrize("compile", ["never", "now"])
def test_kinds_of_arguments_alternate(compile):
    f, ticks = counted(squares)
    derivative = tg.value_and_grad(f, compile=compile)
    rng = np.random.default_rng(1)
    for _ in range(4):
        for kind in rng.permutation(list(KINDS)):
            x = KINDS[kind]()
            check(derivative(x), x, SCALE)
    n_equal = sum(len(kinds) - 1 for kinds in SAME)
    assert ran(ticks) == len(KINDS) - n_equal
    assert derivative.tier == ("compiled" if compile == "now" else "swept")


def test_a_memory_map_is_an_array(tmp_path):
    x = np.memmap(tmp_path / "x", np.float64, "w+", shape=5)
    derivative = tg.value_and_grad(squares, compile="now")
    for _ in range(4):
        x[:] = draw(5)
        check(derivative(x), np.array(x), SCALE)
        plain = draw(5)
        check(derivative(plain), plain, SCALE)
    assert len(derivative.recorded.recordings) == 1


@pytest.mark.parametrize("compile", ["never", "now"])
def test_keywords_positions_and_defaults_are_kinds_of_their_own(compile):
    ticks = new_ticks()

    def f(x, scale=1.0):
        ticks.release()
        return squares(x, scale)

    derivative = tg.value_and_grad(f, argnums="x", compile=compile)
    for _ in range(4):
        x, scale = draw(3), float(draw(1)[0])
        check(derivative(x), x, SCALE)
        check(derivative(x=x), x, SCALE)
        check(derivative(x, scale), x, SCALE * scale)
        check(derivative(x, scale=scale), x, SCALE * scale)
        check(derivative(scale=scale, x=x), x, SCALE * scale)
        check(derivative(x, 3), x, SCALE * 3)
        check(derivative(x, 4), x, SCALE * 4)
        check(derivative(x, scale=4), x, SCALE * 4)
    assert ran(ticks) == 8


def test_an_integer_is_refused_at_each_call_and_disturbs_no_other():
    derivative = tg.value_and_grad(squares, compile="now")
    for _ in range(3):
        with pytest.raises(InputTypeError, match="integers have no derivative"):
            derivative(3)
        x = draw(4)
        check(derivative(x), x, SCALE)
        check(derivative(2.0), 2.0, SCALE)


@pytest.mark.parametrize("kind", ["vector", "matrix", "float", "dictionary"])
@pytest.mark.parametrize("compile", ["never", "now"])
def test_what_the_function_reads_may_change_between_any_two_calls(monkeypatch, compile, kind):
    power = 1.0

    def scaled(x):
        return power * squares(x)

    derivative = tg.value_and_grad(scaled, compile=compile)
    make = KINDS[kind]
    for power in (1.0, 2.0, 1.0, 4.0):  # the function reads it
        for scale in (1.5, 0.5, 1.5):
            monkeypatch.setitem(globals(), "SCALE", scale)
            for _ in range(3):
                x = make()
                check(derivative(x), x, power * scale)


def test_every_derivative_takes_every_kind_of_vector():
    derivatives = {
        tg.grad(squares, compile="now"): lambda x, v: 2.0 * SCALE * x,
        tg.jacobian(lambda x: x * x, compile="now"): lambda x, v: np.diag(2.0 * x),
        tg.hessian(squares, compile="now"): lambda x, v: 2.0 * SCALE * np.eye(len(x)),
    }
    product = tg.hvp(squares, compile="now")
    kinds = ("vector", "longer vector", "one element", "empty", "strided", "reversed", "read-only",
             "misaligned", "single precision", "other byte order", "integers")  # fmt: skip
    for _ in range(3):
        for kind in kinds:
            x = KINDS[kind]()
            exact = np.asarray(x, np.float64)
            for derivative, right in derivatives.items():
                np.testing.assert_allclose(derivative(x), right(exact, x), rtol=1e-14)
            v = draw(len(x))
            np.testing.assert_allclose(product(x, v), 2.0 * SCALE * v, rtol=1e-14)
            value, tangent = tg.jvp(squares, x, v)
            np.testing.assert_allclose(tangent, 2.0 * SCALE * np.sum(exact * v), rtol=1e-14)
            value, pullback = tg.vjp(squares, x)
            assert value == pytest.approx(SCALE * np.sum(exact**2), rel=1e-14)
            np.testing.assert_allclose(pullback(0.5)[0], SCALE * exact, rtol=1e-14)


@pytest.mark.parametrize("compile", ["never", "now"])
def test_threads_call_different_kinds_at_once(compile):
    derivative = tg.value_and_grad(squares, compile=compile)
    barrier = threading.Barrier(4)

    def work(seed):
        rng = np.random.default_rng(seed)
        barrier.wait(60.0)
        for kind in rng.choice(["vector", "matrix", "float", "dictionary", "strided"], 60):
            x = KINDS[kind]()
            check(derivative(x), x, SCALE)
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


def test_clearing_while_another_thread_calls_leaves_nothing_old(tmp_path):
    path = tmp_path / "scale"

    def scaled(x):
        return float(path.read_text()) * np.sum(x * x)

    def write(scale):
        path.with_suffix(".new").write_text(str(scale))
        path.with_suffix(".new").replace(path)

    write(1.0)
    derivative = tg.value_and_grad(scaled, compile="now")
    done = threading.Event()

    def work():
        while not done.is_set():
            derivative(draw(5))

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(work)
        try:
            for scale in (2.0, 3.0, 4.0, 5.0):
                write(scale)
                derivative.clear()
                for _ in range(5):
                    x = draw(5)
                    np.testing.assert_array_equal(derivative(x)[1], 2.0 * scale * x)
        finally:
            done.set()
        other.result(60.0)


def test_more_kinds_than_are_kept_stay_right():
    derivative = tg.value_and_grad(squares)
    for n in [*range(300), *range(0, 300, 40)]:
        x = draw(n)
        check(derivative(x), x, SCALE)


# --- the policy --------------------------------------------------------------------------------


def branched(x):
    """A number in one branch, an array in the other."""
    return np.sum(x * x) if x[0] > 0.0 else x * x


@pytest.mark.parametrize("compile", ["never", "now"])
def test_a_branch_that_returns_no_number_spoils_no_other(compile):
    derivative = tg.value_and_grad(branched, compile=compile)
    for _ in range(3):
        with pytest.raises(NotScalarError, match=r"an array of shape \(3,\)"):
            derivative(-np.ones(3))
        value, gradient = derivative(np.ones(3))
        assert value == 3.0
        np.testing.assert_array_equal(gradient, [2.0, 2.0, 2.0])
    assert len(derivative.recorded.recordings) == 2


@pytest.mark.parametrize("compile", ["never", "now"])
def test_a_result_without_numbers_is_of_its_own_branch_only(compile):
    derivative = tg.jacobian(lambda x: x * x if x[0] > 0.0 else (), compile=compile)
    for _ in range(3):
        assert derivative(-np.ones(2)) == ()
        np.testing.assert_array_equal(derivative(np.ones(2)), 2.0 * np.eye(2))
    none = tg.jacobian(lambda x, y: x * x if y > 0.0 else x, argnums=[], compile=compile)
    for _ in range(3):
        assert none(np.ones(2), 1.0) == none(np.ones(2), -1.0) == ()


@pytest.mark.parametrize("compile", ["never", "now"])
def test_every_derivative_taps_once_a_call(compile):
    seen = []

    def tapping(x):
        tg.tap(seen.append, 3.0 * x[0])
        return np.sum(x * x)

    def nothing(x):
        tg.tap(seen.append, 3.0 * x[0])

    product = tg.hvp(tapping, compile=compile)
    calls = [
        tg.grad(tapping, compile=compile),
        tg.value_and_grad(tapping, compile=compile),
        tg.jacobian(tapping, compile=compile),
        tg.hessian(tapping, compile=compile),
        tg.jacobian(nothing, compile=compile),
        lambda x: product(x, x),
        lambda x: tg.jvp(tapping, x, x),
        lambda x: tg.vjp(tapping, x),
    ]
    for call in calls:
        for first in (1.0, 2.0, 3.0, 4.0):
            seen.clear()
            call(np.array([first, 1.0]))
            assert seen == [3.0 * first]


def test_a_pullback_keeps_its_point():
    x = np.array([1.0, 2.0])
    _, pullback = tg.vjp(lambda x: x * x, x)
    x[:] = 0.0
    np.testing.assert_array_equal(pullback(np.ones(2))[0], [2.0, 4.0])
    # A seed that is active later: the pullback is linear in it.
    for k in (1.0, 2.0):
        slope = tg.grad(lambda s: k * np.sum(pullback(np.array([s, 3.0 * s]))[0]))  # noqa: B023
        assert slope(5.0) == k * (2.0 + 12.0)

    def inner(y):
        data = np.array([3.0, 4.0])
        _, pullback = tg.vjp(lambda z, d: np.sum(z * d), y, data)
        data[:] = 0.0
        return np.sum(pullback(1.0)[0] * y)

    np.testing.assert_array_equal(tg.grad(inner)(np.ones(2)), [3.0, 4.0])


def test_machine_code_of_every_recording_is_used():
    derivative = tg.value_and_grad(
        lambda x: np.sum(x * x) if x[0] > 0.0 else np.sum(-3.0 * x), compile="now"
    )
    for _ in range(4):
        np.testing.assert_array_equal(derivative(np.ones(3))[1], [2.0] * 3)
        np.testing.assert_array_equal(derivative(-np.ones(3))[1], [-3.0] * 3)
    first, second = derivative.recorded.recordings
    assert first.tiers.name == second.tiers.name == "compiled"


held = {"factor": 2.0, "list": [2.0], "array": np.array([2.0])}


class Holder:
    factor = 2.0


holder = Holder()
READS = {
    "item": lambda x: held["factor"] * np.sum(x * x),
    "attribute": lambda x: holder.factor * np.sum(x * x),
    "list": lambda x: held["list"][0] * np.sum(x * x),
    "array": lambda x: held["array"][0] * np.sum(x * x),
}


def put(name, value):
    if name == "item":
        held["factor"] = value
    elif name == "attribute":
        holder.factor = value
    elif name == "list":
        held["list"][0] = value
    else:
        held["array"] = np.array([value])


@pytest.mark.parametrize("name", READS)
def test_machine_code_within_a_recording_knows_active_numbers_from_plain_ones(name):
    derivative = tg.value_and_grad(READS[name], compile="now")
    x = np.array([1.0, 3.0])

    def outer(y):
        plain = derivative(x)[1][0]
        put(name, y)
        active = derivative(x)[1][1]
        put(name, 2.0)
        return y * plain + active

    for _ in range(4):
        assert derivative(x)[0] == 20.0
        # y * 2 * 2 * 1 + 2 * y * 3
        assert tg.value_and_grad(outer)(5.0) == (50.0, 10.0)
        assert derivative(x)[0] == 20.0
    assert derivative.tier == "compiled"


@pytest.mark.parametrize("argnum", [0, -2])
def test_what_is_compiled_keeps_the_other_arguments(argnum):
    def signed(x, data):
        return np.sum(x * data) if x[0] > 0.0 else -np.sum(x * data)

    x, data = np.ones(3), np.array([1.0, 2.0, 3.0])
    fast = tg.value_and_grad(signed, argnum).compiled(x, data)
    data[:] = 0.0
    for point in (x, -x, 2.0 * x):  # by machine code, and where its guard fails
        value, gradient = fast(point)
        np.testing.assert_array_equal(gradient, np.sign(point) * [1.0, 2.0, 3.0])
        assert value == 6.0 * abs(point[0])


def python_calls(call):
    """The Python functions that a call runs."""
    names = Counter()

    def note(frame, event, arg):
        if event == "call":
            names[frame.f_code.co_qualname] += 1

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return names


def test_a_compiled_gradient_runs_hardly_any_python():
    derivative = tg.value_and_grad(squares, compile="now")
    x = draw(5)
    for _ in range(4):
        derivative(x)
    assert sum(python_calls(lambda: derivative(x)).values()) <= 5 + 1  # the lambda is one
    check(derivative(x), x, SCALE)
