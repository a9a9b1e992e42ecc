"""Every array function with exact reservations, on active, passive and half-passive operands."""

from __future__ import annotations

import itertools
import math

import calls
import exact
import numpy as np
import pytest
from against_numpy import assert_same, outcome

import tapegrad as tg
from tapegrad.function.recording import _activate
from tapegrad.jit import Kernel
from tapegrad.record import elementwise
from tapegrad.record.appending import append, leave, room_for
from tapegrad.record.array import ActiveArray, as_active_data
from tapegrad.record.nesting import recording

SHAPES = [(), (1,), (0,), (3,), (2, 3), (3, 0), (1, 1), (2, 1, 2), (2, 1, 2, 3)]
MIXES = [("half", "half"), ("passive", "half"), ("active", "passive"), ("half", "active"),
         ("passive", "passive")]  # fmt: skip
PASSIVE = {"active": slice(0), "passive": slice(None), "half": slice(None, None, 2)}


@pytest.fixture
def exact_reservations():
    with exact.reservations():
        yield


def operand(tape, numbers, mix):
    """Return an active array of these numbers, of which all, none or every other is passive."""
    data = as_active_data(tape, _activate(tape, numbers)).copy()
    flat = data.reshape(-1)
    for field in ("slot", "tape"):
        flat[field][PASSIVE[mix]] = 0
    return ActiveArray(tape, data)


def recorded(call, x, y, mixes):
    """Return what a call gives of such operands, its tape being as tapes must be."""
    with recording() as tape:
        found = outcome(call, operand(tape, x, mixes[0]), operand(tape, y, mixes[1]))
        tg.check(tape.so_far())
        return found


def test_every_function_that_can_be_recorded_is_called():
    assert calls.uncovered() == []


@pytest.mark.usefixtures("exact_reservations")
@pytest.mark.parametrize("name", [n for n in calls.NAMES if n not in calls.REACHED_BY_NAME])
def test_a_function_of_half_passive_operands_is_numpys_and_writes_where_it_may(name):
    rng = np.random.default_rng(4)
    mixes = itertools.cycle(MIXES)
    for position, call in enumerate(calls.calls_of(name)):
        for shape in SHAPES:
            x, y = np.asarray(rng.uniform(0.1, 0.9, (2, *shape)))
            x, y = np.asarray(x), np.asarray(y)
            wanted = outcome(call, x.copy(), y.copy())
            label = f"call {position} of {name}, {shape}"
            found = recorded(call, x, y, next(mixes))
            if not isinstance(wanted, Exception):
                assert_same(found, wanted, label)
        next(mixes)  # so that each shape meets each mix


# --- derivatives ------------------------------------------------------------------------------


def weighted(result):
    """A sum of all numbers of a result, each with a weight of its own."""
    if isinstance(result, tuple | list):
        return sum((k + 1.0) * weighted(part) for k, part in enumerate(result))
    if isinstance(result, np.dtype | type | bool) or not np.size(result):
        return 0.0
    return np.sum(np.ravel(result) * np.cos(np.arange(np.size(result))))


@pytest.mark.usefixtures("exact_reservations")
@pytest.mark.parametrize("name", calls.NAMES)
def test_the_gradient_by_half_passive_operands_is_that_by_differences(name):
    rng = np.random.default_rng(6)
    for position, call in enumerate(calls.calls_of(name)):
        for shape in [(3,), (2, 2)]:
            point, numbers = rng.uniform(0.1, 0.9, (2, *shape))

            def loss(x, call=call, numbers=numbers):
                half, other = x.copy(), np.zeros_like(x)
                half[..., ::2] = numbers[..., ::2]
                other[...] = numbers[::-1]
                other[..., 1:] = x[..., 1:] * 0.75
                return weighted(call(half, other)) + 0.0 * np.sum(x)

            if isinstance(outcome(loss, point), Exception):
                continue
            gradient = outcome(tg.grad(loss, compile="never"), point)
            label = f"call {position} of {name}, {shape}"
            wanted = np.array([by_differences(loss, point, index) for index in np.ndindex(shape)])
            is_known = np.isfinite(wanted)
            np.testing.assert_allclose(np.ravel(gradient)[is_known], wanted[is_known], rtol=2e-6,
                                       atol=2e-7, err_msg=label)  # fmt: skip


def by_differences(function, point, index):
    """The derivative by one element, from differences of fourth order."""
    step, values = 1e-4, []
    for k in (-2, -1, 1, 2):
        moved = point.copy()
        moved[index] += k * step
        values.append(outcome(function, moved))
    return (values[0] - 8.0 * values[1] + 8.0 * values[2] - values[3]) / (12.0 * step)


# --- products of operands that are passive at one inner index ---------------------------------


def with_intercepts(x):
    a, b = np.ones((len(x), 2)), np.ones((2, len(x)))
    a[:, 1], b[1] = x, x
    return np.sum(a @ b)


def turned(q):
    """Where 20 homogeneous transforms, each a turn and a step, take the origin."""
    t = np.eye(4)
    for i in range(20):
        r = np.eye(4)
        c, s = np.cos(q[i % 5]), np.sin(q[i % 5])
        r[0, 0], r[0, 1], r[1, 0], r[1, 1], r[0, 3] = c, -s, s, c, 0.1
        t = t @ r
    return t[0, 3] + t[1, 3]


def with_zeros(x):
    a, s = np.zeros(4), 0.0
    for i in range(50):
        a[1] = x[0] * i
        s = s + np.dot(a, a)
    return s


@pytest.mark.usefixtures("exact_reservations")
def test_products_of_operands_passive_at_one_index_write_where_they_may():
    x = np.linspace(0.0, 1.0, 40)
    value, gradient = tg.value_and_grad(with_intercepts, compile="never")(x)
    assert value == pytest.approx(1600 + np.sum(x) ** 2, rel=1e-14)
    np.testing.assert_allclose(gradient, np.full(40, 2.0 * np.sum(x)), rtol=1e-13)
    value, gradient = tg.value_and_grad(with_zeros, compile="never")(np.ones(1))
    assert (value, gradient.tolist()) == (40425.0, [80850.0])
    q = np.linspace(0.1, 0.5, 5)
    value, gradient = tg.value_and_grad(turned, compile="never")(q)
    angles = np.cumsum(q[np.arange(20) % 5])
    turns = np.concatenate([[0.0], angles[:-1]])
    assert value == pytest.approx(0.1 * np.sum(np.cos(turns) + np.sin(turns)), rel=1e-13)
    slopes = 0.1 * (np.cos(turns) - np.sin(turns))
    wanted = [math.fsum(slopes[i] * np.sum(np.arange(i) % 5 == k) for i in range(20))
              for k in range(5)]  # fmt: skip
    np.testing.assert_allclose(gradient, wanted, rtol=1e-12)


def test_products_beyond_a_tapes_first_room_are_right():
    x = np.linspace(0.0, 1.0, 400)
    value, gradient = tg.value_and_grad(with_intercepts, compile="never")(x)
    assert value == pytest.approx(200_000.0, rel=1e-12)
    np.testing.assert_allclose(gradient, np.full(400, 400.0), rtol=1e-12)


# --- the mode notices ---------------------------------------------------------------------------


def _chain_that_asks_for_less(address, code, x):
    tape, slot, constant = room_for(address, len(x) - 2)
    result = x[0]
    for k in range(1, len(x)):
        result, slot, constant = append(address, tape, slot, constant, code, result, x[k])
    leave(address, slot, constant)
    return result.value, result.slot


def _unary_that_goes_on(address, code, x, out):
    for i in range(len(out) + 1):
        out[i] = x[min(i, len(x) - 1)]


def test_a_kernel_that_writes_beyond_what_it_asked_for_is_named(monkeypatch):
    wrong = Kernel(_chain_that_asks_for_less, elementwise._chain_kernel._signature)
    monkeypatch.setattr(elementwise, "_chain_kernel", wrong)
    with (
        exact.reservations(),
        pytest.raises(exact.OverrunError, match=r"less wrote 1 entries after the column `op`"),
    ):
        tg.grad(np.sum)(np.ones(5))


def test_a_kernel_that_writes_beyond_an_argument_is_named(monkeypatch):
    wrong = Kernel(_unary_that_goes_on, elementwise._unary_kernel._signature)
    monkeypatch.setattr(elementwise, "_unary_kernel", wrong)
    with (
        exact.reservations(),
        pytest.raises(exact.OverrunError, match=r"goes_on wrote 1 entries after argument 3"),
    ):
        tg.grad(lambda x: np.sum(np.exp(x)))(np.ones(5))
