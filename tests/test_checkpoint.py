"""Checkpoints: the same function and derivatives, and a tape that keeps inputs only."""

from __future__ import annotations

import functools
import pickle
import threading

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.errors import OutdatedBlockError, UnsupportedFunctionError
from tapegrad.implicit import shelf
from tapegrad.testing import check_grads


def advance(x, dt):
    for _ in range(10):
        x = x - dt * np.sin(x) * x
    return x


@tg.checkpoint
def kept_small(x, dt):
    return advance(x, dt)


def run(step, x, dt, n=20):
    for _ in range(n):
        x = step(x, dt)
    return np.sum(x * x)


POINT = np.array([0.5, 1.0, -0.3]), 0.01


def recorded(function, *args):
    gradient = tg.value_and_grad(function)
    found = gradient(*args)
    return found, gradient.recorded.recordings[0].tape


def assert_same(found, wanted):
    assert found[0] == wanted[0]
    np.testing.assert_allclose(found[1], wanted[1], rtol=1e-13)


@pytest.fixture
def no_room(monkeypatch):
    """Forget every recording but the one used last."""
    monkeypatch.setattr(shelf.SHELF, "limit", 0)


# --- the same, in less memory -------------------------------------------------------------------


def test_value_and_derivatives_are_those_of_the_function():
    plain, small = functools.partial(run, advance), functools.partial(run, kept_small)
    found = recorded(small, *POINT)[0]
    assert_same(found, recorded(plain, *POINT)[0])
    assert kept_small(*POINT).tolist() == advance(*POINT).tolist()
    for derivative in (tg.hessian, lambda f: tg.hvp(f), lambda f: tg.jacobian(f, argnums=1)):
        args = (POINT[0], np.ones(3), POINT[1]) if derivative(plain).__class__.__name__ == (
            "HessianProduct") else POINT  # fmt: skip
        np.testing.assert_allclose(derivative(small)(*args), derivative(plain)(*args), rtol=1e-12)
    v = np.array([1.0, -2.0, 0.5])
    assert tg.jvp(small, POINT, (v, 1.0)) == pytest.approx(
        tg.jvp(plain, POINT, (v, 1.0)), rel=1e-13
    )
    third = [tg.grad(tg.grad(tg.grad(lambda dt, f=f: f(POINT[0], dt)))) for f in (small, plain)]
    assert third[0](0.01) == pytest.approx(third[1](0.01), rel=1e-11)
    check_grads(small, POINT, order=2)


def test_the_tape_keeps_inputs_and_results_only():
    _, plain = recorded(functools.partial(run, advance), *POINT)
    _, small = recorded(functools.partial(run, kept_small), *POINT)
    n_operands, n_results = 4, 3
    assert len(small.blocks) == 1
    assert small.nbytes < 17 * (20 * (1 + n_results) + 20) + 4 * 20 * n_operands
    assert small.nbytes < plain.nbytes / 15


@pytest.mark.usefixtures("no_room")
def test_recordings_are_forgotten_and_made_again_where_there_is_no_room():
    # Each step is another block, since it closes over another number.
    def run_different(x, dt):
        for k in range(12):
            x = tg.checkpoint(lambda x, dt: advance(x, dt * (1.0 + 0.1 * k)))(x, dt)  # noqa: B023
        return np.sum(x * x)

    def plainly(x, dt):
        for k in range(12):
            x = advance(x, dt * (1.0 + 0.1 * k))
        return np.sum(x * x)

    found, tape = recorded(run_different, *POINT)
    wanted, plain = recorded(plainly, *POINT)
    assert_same(found, wanted)
    kept = [len(block.inner.recordings) for block in tape.blocks]
    assert len(kept) == 12
    assert sum(kept) == 1
    assert shelf.SHELF.n_bytes < plain.nbytes / 4
    np.testing.assert_allclose(tg.hessian(run_different)(*POINT), tg.hessian(plainly)(*POINT),
                               rtol=1e-11)  # fmt: skip


def test_recordings_stay_where_there_is_room():
    gradient = tg.value_and_grad(functools.partial(run, kept_small))
    gradient(*POINT)
    (block,) = gradient.recorded.recordings[0].tape.blocks
    (first,) = block.inner.recordings
    gradient(2.0 * POINT[0], 0.02)
    assert block.inner.recordings == [first]


def test_what_is_forgotten_is_what_was_used_least_recently():
    small = shelf.Shelf(10**9)
    functions = [tg.checkpoint(lambda x, k=k: np.sin(x) * k) for k in range(3)]
    gradients = [tg.value_and_grad(lambda x, f=f: f(x)) for f in functions]
    for gradient in gradients:
        gradient(1.0)
    inners = [g.recorded.recordings[0].tape.blocks[0].inner for g in gradients]
    for inner in inners:
        small.put(inner, inner.recordings[0])
    total = small.n_bytes
    assert total == sum(shelf.size_of(inner.recordings[0]) for inner in inners)
    small.touch(inners[0].recordings[0])
    small.limit = total - 1
    small.put(inners[2], inners[2].recordings[0])
    assert [len(inner.recordings) for inner in inners] == [1, 0, 1]


# --- what it's made of ---------------------------------------------------------------------------


def test_checkpoints_nest():
    @tg.checkpoint
    def ten(x, dt):
        for _ in range(10):
            x = kept_small(x, dt)
        return x

    nested = functools.partial(run, ten, n=2)
    found, tape = recorded(nested, *POINT)
    assert_same(found, recorded(functools.partial(run, advance), *POINT)[0])
    assert len(tape) < 50
    check_grads(nested, POINT, order=2)


@pytest.mark.usefixtures("no_room")
def test_nested_checkpoints_are_right_without_room():
    @tg.checkpoint
    def ten(x, dt):
        for _ in range(10):
            x = kept_small(x, dt)
        return x

    assert_same(recorded(functools.partial(run, ten, n=2), *POINT)[0],
                recorded(functools.partial(run, advance), *POINT)[0])  # fmt: skip


def test_structures_and_what_is_no_number_go_in_and_out():
    @tg.checkpoint
    def step(state, name, *, scale, flags=(True, 3)):
        assert name == "heun"
        return {"x": state["x"] * scale, "pair": (state["y"][0], 2.0)}, name.upper(), flags

    def total(x, y, scale):
        (found, name, flags) = step({"x": x, "y": [y]}, "heun", scale=scale)
        assert (name, flags) == ("HEUN", (True, 3))
        return np.sum(found["x"]) * found["pair"][0] * found["pair"][1]

    gradient = tg.grad(total, argnums=(0, 1, 2))
    for y in (3.0, 4.0):
        of_x, of_y, of_scale = gradient(np.array([1.0, 2.0]), y, 5.0)
        np.testing.assert_allclose(of_x, [10 * y, 10 * y])
        assert (of_y, of_scale) == (30.0, 6 * y)
    assert step({"x": 1.0, "y": [2.0]}, "heun", scale=2.0)[1] == "HEUN"


def test_nothing_in_or_out_is_possible():
    constant = tg.checkpoint(lambda: 3.0)
    nothing = tg.checkpoint(lambda x: None)
    empty = tg.checkpoint(lambda x: (x[:0], "empty"))

    def total(x):
        assert nothing(x) is None
        assert empty(x)[1] == "empty"
        assert empty(x)[0].shape == (0,)
        return constant() * np.sum(x) + np.sum(empty(x)[0])

    np.testing.assert_array_equal(tg.grad(total)(np.ones(2)), [3.0, 3.0])


def test_truth_values_that_come_out_are_guarded_where_they_are_read():
    @tg.checkpoint
    def step(x):
        return x * x, x > 1.0

    def total(x):
        square, is_large = step(x)
        return 10.0 * square if is_large else square

    gradient = tg.value_and_grad(total)
    for x in (0.5, 2.0, 0.25, 3.0):
        assert gradient(x) == ((10.0 * x * x, 20.0 * x) if x > 1 else (x * x, 2.0 * x))
    assert len(gradient.recorded.recordings) == 2


def test_truth_values_that_go_in_are_truth_values_inside(monkeypatch):
    def masked(x, is_positive, is_large):
        return np.sum(x[is_positive] ** 2) * (2.0 if is_large else 3.0) + np.sum(x[~is_positive])

    def total(x):
        mask = x > 0.0
        around = tg.checkpoint(lambda x: masked(x, mask, x[0] > 5.0))
        return tg.checkpoint(masked)(x, mask, x[0] > 5.0) + around(x)

    gradient = tg.grad(total)
    for limit in (0, 2**26):
        monkeypatch.setattr(shelf.SHELF, "limit", limit)
        for x in ([1.0, -2.0, 3.0], [6.0, 2.0, -1.0], [1.0, 2.0, 3.0]):
            x, factor = np.array(x), 2.0 if x[0] > 5.0 else 3.0
            np.testing.assert_allclose(gradient(x), np.where(x > 0.0, 4.0 * factor * x, 2.0))


def changes_an_array(x, log):
    x[0] = 2.0 * x[1]
    return x


def changes_a_list(x, log):
    log.append(x)
    return 2.0 * x


def replaces_an_entry(x, log):
    log[0] = x
    return 2.0 * x


@pytest.mark.parametrize("function", [changes_an_array, changes_a_list, replaces_an_entry])
def test_what_it_would_change_of_its_arguments_is_an_error_not_lost(function):
    step = tg.checkpoint(function)
    with pytest.raises(UnsupportedFunctionError, match=r"changes what .* let it return"):
        step(np.ones(2), [1.0])
    with pytest.raises(UnsupportedFunctionError, match=function.__name__):
        tg.grad(lambda x: np.sum(step(x, [1.0])))(np.ones(2))


def test_methods_and_decorated_functions_are_checkpointed():
    class Model:
        def __init__(self, rate):
            self.rate = rate

        @tg.checkpoint
        def step(self, x):
            return x - self.rate * np.sin(x)

        def total(self, x):
            for _ in range(5):
                x = self.step(x)
            return x

    model = Model(0.1)
    gradient = tg.value_and_grad(model.total)

    def wanted(x):
        for _ in range(5):
            x = x - model.rate * np.sin(x)
        return x

    assert_same(gradient(1.0), tg.value_and_grad(wanted)(1.0))
    model.rate = 0.2
    assert_same(gradient(1.0), tg.value_and_grad(wanted)(1.0))
    assert Model.step.__name__ == "step"
    assert repr(Model.step).startswith("<Checkpoint of test_methods")

    def by_rate(rate):
        return Model(rate).total(1.0)

    def plainly(rate):
        x = 1.0
        for _ in range(5):
            x = x - rate * np.sin(x)
        return x

    for derivative in (tg.value_and_grad, lambda f: tg.value_and_grad(tg.grad(f))):
        found, other = derivative(by_rate), derivative(plainly)
        for rate in (0.1, 0.3):
            assert found(rate) == pytest.approx(other(rate), rel=1e-12)


def test_what_it_closes_over_is_differentiated_and_not_kept():
    def total(x, w):
        def inner(x):
            def layer(x):
                return np.tanh(w * x)

            return layer(layer(x))

        for _ in range(6):
            x = tg.checkpoint(inner)(x)
        return np.sum(x)

    def plainly(x, w):
        for _ in range(12):
            x = np.tanh(w * x)
        return np.sum(x)

    gradient, wanted = (tg.value_and_grad(f, argnums=(0, 1)) for f in (total, plainly))
    for w in (0.9, 1.1):
        for found, other in zip(gradient(POINT[0], w)[1], wanted(POINT[0], w)[1], strict=True):
            np.testing.assert_allclose(found, other, rtol=1e-13)
    assert len(gradient.recorded.recordings[0].tape.blocks) == 1
    check_grads(total, (POINT[0], 0.9), order=2)


def test_what_it_taps_is_tapped_once_a_call():
    seen = []

    @tg.checkpoint
    def step(x):
        tg.tap(lambda *values: seen.append(values), x, "square")
        return x * x

    gradient = tg.value_and_grad(lambda x: step(step(x)))
    for x in (2.0, 3.0):
        seen.clear()
        assert gradient(x) == (x**4, 4 * x**3)
        assert seen == [(x, "square"), (x * x, "square")]


# --- branches and changes ------------------------------------------------------------------------


def test_a_branch_that_flips_inside_is_no_reason_to_record_the_rest_again():
    @tg.checkpoint
    def bounce(x):
        return 0.5 * x if x > 1.0 else 3.0 * x

    def total(x):
        for _ in range(8):
            x = bounce(x)
        return x

    def plainly(x):
        factor = 1.0
        for _ in range(8):
            here = 0.5 if x > 1.0 else 3.0
            x, factor = here * x, factor * here
        return x, factor

    gradient = tg.value_and_grad(total)
    for x in (0.3, 1.7, 5.0, 0.99, 1.01):
        assert gradient(x) == pytest.approx(plainly(x), rel=1e-14)
    assert len(gradient.recorded.recordings) == 1
    assert tg.grad(tg.grad(lambda x: total(x) ** 2))(1.7) == pytest.approx(2 * plainly(1.7)[1] ** 2)


def test_a_branch_that_returns_something_else_records_the_rest_again():
    @tg.checkpoint
    def step(x):
        return (x * x, "large") if x > 1.0 else (x * 3.0, "small")

    def total(x):
        y, size = step(x)
        return y + (100.0 if size == "large" else 0.0)

    gradient = tg.value_and_grad(total)
    for x in (0.5, 2.0, 0.25, 3.0):
        assert gradient(x) == ((x * x + 100.0, 2.0 * x) if x > 1 else (3.0 * x, 3.0))


def test_a_branch_is_noticed_even_where_no_number_of_it_is_used():
    @tg.checkpoint
    def word(x):
        return "large" if x > 1.0 else "small"

    @tg.checkpoint
    def both(x):
        return x * x, "large" if x > 1.0 else "small"

    @tg.checkpoint
    def chosen(x):
        return x[x > 1.0]

    def total(x):
        found = 5.0 * x[0] if word(x[0]) == "large" else x[0]
        found = found + (7.0 * x[1] if both(x[1])[1] == "large" else x[1])
        return found * len(chosen(x))

    gradient = tg.grad(total)
    for x in ([0.5, 2.0], [2.0, 0.5], [2.0, 3.0], [0.5, 2.0]):
        count = sum(np.array(x) > 1.0)
        wanted = [5.0 if x[0] > 1.0 else 1.0, 7.0 if x[1] > 1.0 else 1.0]
        np.testing.assert_array_equal(gradient(np.array(x)), count * np.array(wanted))
    assert len(gradient.recorded.recordings) == 3
    _, tape = recorded(total, np.array([0.5, 2.0]))
    assert len(tape.guard_slot) == 3  # of `word`, and that the others return the like


FACTOR = 2.0


@tg.checkpoint
def by_global(x):
    return FACTOR * x * x


@pytest.mark.parametrize("limit", [0, 2**26])
def test_a_change_of_what_it_reads_is_noticed(monkeypatch, limit):
    monkeypatch.setattr(shelf.SHELF, "limit", limit)
    gradient = tg.value_and_grad(lambda x: by_global(by_global(x)))
    for factor in (2.0, 3.0, 2.0):
        monkeypatch.setattr(f"{__name__}.FACTOR", factor)
        assert gradient(1.5) == pytest.approx((factor**3 * 1.5**4, 4 * factor**3 * 1.5**3))


@pytest.mark.usefixtures("no_room")
def test_what_changed_before_it_is_recorded_again_is_an_error_not_another_derivative():
    class Clock:
        t = 0.0

    def total(x):
        clock = Clock()
        for _ in range(3):
            x = tg.checkpoint(lambda x: x * np.cos(clock.t) + x * x)(x)
            clock.t = clock.t + 1.0
        return x

    with pytest.raises(OutdatedBlockError, match=r"has changed since it was called, .*pass that"):
        tg.grad(total)(0.3)


def test_random_numbers_that_it_draws_are_those_of_its_call():
    rng = np.random.default_rng(0)

    @tg.checkpoint
    def noisy(x):
        return x * rng.standard_normal()

    with pytest.warns(tg.errors.RecordingLimitWarning):
        value, slope = tg.value_and_grad(lambda x: noisy(x) + noisy(x))(2.0)
    wanted = np.sum(np.random.default_rng(0).standard_normal(2))
    assert (value, slope) == pytest.approx((2.0 * wanted, wanted), rel=1e-14)


def test_what_it_raises_arrives_and_leaves_nothing_behind():
    @tg.checkpoint
    def careful(x):
        if x > 2.0:
            raise ValueError("too large")
        return x * x

    gradient = tg.value_and_grad(lambda x: careful(x) + 1.0)
    for _ in range(2):
        assert gradient(1.5) == (3.25, 3.0)
        with pytest.raises(ValueError, match="too large"):
            gradient(3.0)


# --- threads and processes ------------------------------------------------------------------------


@pytest.mark.usefixtures("no_room")
def test_threads_share_checkpoints():
    gradient = tg.value_and_grad(functools.partial(run, kept_small))
    points = [np.array([0.1 * k, 1.0, -0.3]) for k in range(1, 9)]
    wanted = [tg.value_and_grad(functools.partial(run, advance))(p, 0.01) for p in points]
    found = [None] * len(points)

    def work(k):
        for _ in range(3):
            found[k] = gradient(points[k], 0.01)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(points))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b in zip(found, wanted, strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("limit", [0, 2**26])
def test_checkpoints_and_tapes_that_call_them_pickle(monkeypatch, limit):
    monkeypatch.setattr(shelf.SHELF, "limit", limit)
    again = pickle.loads(pickle.dumps(kept_small))
    assert again is kept_small
    _, tape = recorded(functools.partial(run, kept_small), *POINT)
    tg.value_and_grad(lambda x: by_global(x))(1.0)  # takes the room
    copy = pickle.loads(pickle.dumps(tape))
    tg.check(copy)
    (block,) = copy.blocks
    np.testing.assert_array_equal(block.value([POINT[0], np.array(0.01)])[0], advance(*POINT))
