"""Programs of loops that were once hard to roll, to try or to compute to the last bit."""

import numpy as np
import pytest
from hard_programs import (
    HARD,
    UP_TO_ONE,
    bukin,
    root_below_a_maximum,
    root_times_zero,
    triangles_that_are_thrown_away,
)

import tapegrad as tg
from tapegrad.codegen.compiled_tape import CompiledTape


def recorded(function, x):
    gradient = tg.value_and_grad(function, compile="never")
    found = gradient(x)
    return found, gradient.recorded.recordings[0].tape


def check(function, x, value=None):
    """Compare value, gradient, tangent and Hessian product, strict and not, with the sweeps'."""
    (expected_value, expected), tape = recorded(function, x)
    if value is not None:
        assert expected_value == value
    v = np.cos(np.arange(len(x)))
    product = tg.hvp(function, compile="never")(x, v)
    tangent = tg.jvp(function, (x,), (v,))[1]
    for strict in (True, False):
        native = CompiledTape(tape, strict)
        compare = np.testing.assert_array_equal if strict else _assert_close
        ok, outputs, found = native.pullback(x, np.ones(1))
        assert ok
        compare(outputs, [expected_value])
        compare(found, expected)
        ok, _, found = native.pushforward(x, v)
        assert ok
        compare(found, [tangent])
        ok, _, found = native.hessian_product(x, v)
        assert ok
        _assert_close(found, product)


def _assert_close(found, expected):
    scale = 1e-12 * np.max(np.abs(expected), initial=1.0)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=scale)


# --- rolling -----------------------------------------------------------------------------------


def test_rows_that_become_shorter_until_loops_are_written_out():
    function, points = HARD["option_on_a_tree"]
    for x in points:
        check(function, np.array(x))


def test_inner_loops_that_end_what_an_outer_one_takes_in():
    x = np.array([1.858, -0.76, -0.068, -1.867, 1.215])
    check(triangles_that_are_thrown_away, x, value=0.0)


# --- NaN where nothing depends on it -----------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in HARD if name.startswith("nan")])
def test_nan_that_no_output_depends_on(name):
    function, x = HARD[name][0], UP_TO_ONE
    (value, gradient), _ = recorded(function, x)
    assert value == pytest.approx(np.sum(x**2), rel=1e-14)
    np.testing.assert_array_equal(gradient, 2.0 * x)
    check(function, x)


@pytest.mark.parametrize(
    ("function", "slope"), [(root_times_zero, 0.0), (root_below_a_maximum, 1.0)]
)
def test_an_infinite_partial_times_an_adjoint_of_zero_where_it_was_recorded(function, slope):
    x = UP_TO_ONE
    (_, expected), tape = recorded(function, x)
    np.testing.assert_array_equal(expected, slope)
    for strict in (True, False):
        ok, _, gradient = CompiledTape(tape, strict).pullback(x, np.ones(1))
        assert ok
        np.testing.assert_array_equal(gradient, slope)


# --- the value's bits --------------------------------------------------------------------------


@pytest.mark.parametrize("strict", [True, False])
def test_the_value_does_not_change_when_machine_code_takes_over(strict):
    """A product fused with the sum it's in is 0.01 * 100 - 1.0 = 2e-17 in place of 0."""
    fast = tg.value_and_grad(bukin, strict=strict).compiled(np.array([-9.0, 2.0]))
    assert fast(np.array([-10.0, 1.0]))[0] == 0.0
    for x in np.random.default_rng(0).uniform(-10.0, 10.0, (200, 2)):
        found = fast(x)
        swept = tg.value_and_grad(bukin, compile="never")(x)
        assert found[0] == swept[0] == bukin(x)


def test_values_in_loops_and_in_tangents_have_their_own_bits():
    """Nothing is summed over iterations here, so there's no other order."""

    def steps(x):
        u, v = x[0], x[1]
        for _ in range(40):
            u, v = u + 0.1 * (v * x[2] - u * u), v - 0.1 * (u * v + x[2] * u)
        return u * v

    for x in np.random.default_rng(1).uniform(0.1, 1.0, (5, 3)):
        _, tape = recorded(steps, x)
        native = CompiledTape(tape)
        for ok, value, _ in (
            native.pullback(x, np.ones(1)),
            native.pushforward(x, np.ones(3)),
            native.hessian_product(x, np.ones(3)),
        ):
            assert ok
            assert value == steps(x)


def test_a_guard_at_a_tie_is_not_fused():
    """Fused, 0.1 * x - 1.0 isn't zero at 10, and another way would be taken."""

    def kinked(x):
        total = 0.0
        for k in range(10):
            total = total + (x[k] if 0.1 * x[k] - 1.0 == 0.0 else -x[k])
        return total

    x = np.full(10, 10.0)
    fast = tg.value_and_grad(kinked, compile="never").compiled(x)
    status, value = fast._code.gradient(x, np.empty(10))
    assert (status, value) == (0, 100.0)


# --- arrays of no dimension --------------------------------------------------------------------


def test_a_gradient_by_an_array_of_no_dimension_is_a_number():
    fast = tg.value_and_grad(lambda x: x * x).compiled(np.array(2.0))
    for x in (np.array(3.0), 3.0, np.float64(3.0), 3):
        value, gradient = fast(x)
        assert (value, gradient) == (9.0, 6.0)
        assert isinstance(gradient, float)
    with pytest.raises(ValueError, match=r"shape \(\), not \(1,\)"):
        fast(np.array([3.0]))


def test_other_kinds_of_numbers_and_orders_of_elements():
    fast = tg.value_and_grad(lambda x: np.sum(x**3)).compiled(np.ones((2, 2)))
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    for same in (x, np.asfortranarray(x), x.tolist(), x.astype(int), x.astype(np.float32),
                 np.repeat(x, 2, axis=0)[::2]):  # fmt: skip
        value, gradient = fast(same)
        assert value == 100.0
        np.testing.assert_array_equal(gradient, 3.0 * x**2)
    with pytest.raises(tg.errors.InputTypeError, match="complex"):
        fast(x + 1j)
