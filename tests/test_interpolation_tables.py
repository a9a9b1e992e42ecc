"""Tables: `np.interp` and `interp1d`, whose lines and steps are found again at every call."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.interpolate as si
from interpolants import BESIDE, COLUMNS, INSIDE, X, Y, agrees, recordings, replays, total

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError

KINDS = ["linear", "nearest", "nearest-up", "previous", "next", "zero", "slinear", "quadratic",
         "cubic", 5]  # fmt: skip
FILLS = {
    "refused": ({}, INSIDE),
    "filled": ({"bounds_error": False, "fill_value": 0.7}, BESIDE),
    "filled on both sides": ({"bounds_error": False, "fill_value": (0.2, 0.4)}, BESIDE),
    "extrapolated": ({"fill_value": "extrapolate"}, BESIDE),
}
OPTIONS = {"plain": {}, "with ends": {"left": 2.0, "right": 3.0}, "one end": {"left": 0.3},
           "periodic": {"period": 1.3}}  # fmt: skip
ODD = np.array([-0.2, 0.33, 1.1, 3.7, -1e300, 1e300, np.nan, 0.0, -0.0])


# --- np.interp ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
def test_interp_has_derivatives_by_everything(name):
    options = OPTIONS[name]
    agrees(lambda p: total(np.interp(p, X, Y, **options)), BESIDE)
    agrees(lambda p, x, y: total(np.interp(p, x, y, **options)), BESIDE, X, Y, order=1)
    agrees(lambda y: total(np.interp(BESIDE, X, y, **options)), Y, order=1)


@pytest.mark.parametrize("name", OPTIONS)
def test_interp_at_active_places_has_numpys_bits(name):
    options = OPTIONS[name]
    for places in (ODD, X, X[::-1], np.zeros((2, 0)), np.array(0.4)):
        value, _ = tg.jvp(lambda p: np.interp(p, X, Y, **options), (places,), (places,))
        assert np.array_equal(value, np.interp(places, X, Y, **options), equal_nan=True)


def test_interp_of_what_is_not_finite_is_numpys():
    heights = np.where(np.arange(8) == 3, np.inf, Y)
    for place in (0.5, 1.2, 1.5, 2.0):
        assert tg.value_and_grad(lambda p: np.interp(p, X, heights))(place)[0] == np.interp(
            place, X, heights
        )


def test_which_line_it_is_is_found_at_every_call_and_never_guarded():
    points = [0.5, 1.7, 2.9, -1.0, 9.0, X[0], X[3], X[-1], np.nextafter(X[3], 0.0)]
    replays(lambda p: np.interp(p, X, Y), map(float, points))
    replays(lambda p: np.interp(p, list(X), list(Y)), [0.5, 2.9, -1.0, 9.0])
    replays(lambda p: total(np.interp(p, X, Y, period=2.0)), [INSIDE, BESIDE])
    replays(lambda x: total(np.interp(INSIDE, x, Y)), [X, X + 0.3, X * 0.8, X - 2.0])
    assert tg.grad(lambda p: np.interp(p, X, Y))(9.0) == 0.0


def test_a_table_that_is_changed_is_recorded_again():
    heights = Y.copy()
    derivative = tg.grad(lambda p: np.interp(p, X, heights), compile="never")
    before = derivative(0.4)
    heights *= 2.0
    assert derivative(0.4) == 2.0 * before


# --- interp1d -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("name", FILLS)
def test_interp1d_of_every_kind_has_derivatives_by_data_and_places(kind, name):
    options, places = FILLS[name]
    if name == "extrapolated" and kind in ("previous", "next"):
        places = INSIDE
    made = si.interp1d(X, Y, kind, **options)
    agrees(lambda p: total(made(p)), places)
    agrees(lambda y, p: total(si.interp1d(X, y, kind, **options)(p)), Y, places, order=1)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_interp1d_along_an_axis_of_data_in_any_order(kind):
    def function(y, p):
        made = si.interp1d(X[::-1], y, kind, axis=1, bounds_error=False, fill_value=0.5)
        assert made(p).shape == (2, len(p), 3)
        return total(made(p))

    agrees(function, COLUMNS, BESIDE, order=1)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("fill_value", [np.nan, 0.3, "extrapolate"])
def test_interp1d_at_odd_places_is_scipys(kind, fill_value):
    made = si.interp1d(X, Y, kind, bounds_error=False, fill_value=fill_value)
    ties = (X[1:] + X[:-1]) / 2.0
    for places in (ODD, X, ties, np.array(X[2]), np.zeros((2, 0)), np.full((1, 2), 0.7)):
        value, _ = tg.jvp(lambda p: made(p), (places,), (places,))
        assert np.shape(value) == np.shape(made(places))
        np.testing.assert_array_equal(value, made(places))


def test_active_fill_values_and_places_of_data():
    def filled(a):
        return total(si.interp1d(X, Y, bounds_error=False, fill_value=(a, a * a))(BESIDE))

    agrees(filled, 0.3)
    agrees(lambda x, y, p: total(si.interp1d(x, y)(p)), X, Y, INSIDE)
    agrees(lambda x: total(si.interp1d(x, Y, bounds_error=False, fill_value=0.1)(BESIDE)), X)


def test_an_error_beyond_the_ends_is_scipys_at_the_users_line():
    made = si.interp1d(X, Y)
    derivative = tg.value_and_grad(lambda p: made(p), compile="never")
    replays(lambda p: made(p), [0.5, 1.7, 2.9])
    derivative(0.5)
    for place in (9.0, -9.0):
        with pytest.raises(ValueError, match="A value") as expected:
            made(place)
        with pytest.raises(ValueError, match="A value") as found:
            derivative(place)
        assert str(found.value) == str(expected.value)
        assert any(entry.path.samefile(__file__) for entry in found.traceback[1:])
    assert derivative(2.0)[0] == made(2.0)
    assert recordings(derivative) == 1

    def caught(p):
        try:
            return made(p)
        except ValueError:
            return 3.0 * p

    derivative = tg.value_and_grad(caught, compile="never")
    assert derivative(9.0) == (27.0, 3.0)
    assert derivative(0.5)[0] == made(0.5)


def test_steps_by_active_places_of_data_are_refused_by_name():
    for kind in ("nearest", "previous", "cubic"):
        with pytest.raises(UnsupportedFunctionError, match=f"kind='{kind}' by the places"):
            tg.grad(lambda x, kind=kind: total(si.interp1d(x, Y, kind)(INSIDE)))(X)


def test_loops_of_look_ups_become_machine_code():
    made, places = si.interp1d(X, Y, fill_value="extrapolate"), np.linspace(0.3, 2.9, 40)
    steps = si.interp1d(X, Y, "previous", bounds_error=False, fill_value=0.0)

    def function(p):
        found = 0.0
        for place in places:
            at = place * p[0]
            found = found + made(at) ** 2 + np.interp(at, X, Y) * at + steps(at) * at
        return found

    fast = tg.value_and_grad(function).compiled(np.array([1.01]))
    swept = tg.value_and_grad(function, compile="never")
    for p in (1.01, 0.7, 2.0):
        for found, expected in zip(fast(np.array([p])), swept(np.array([p])), strict=True):
            np.testing.assert_allclose(found, expected, 1e-12)
