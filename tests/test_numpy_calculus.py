"""Differences, integrals, interpolation, convolution, polynomials and grids, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from against_numpy import (
    assert_recorded_as_numpy,
    assert_replays_as_recorded,
    outcome,
)

import tapegrad as tg
from tapegrad.testing import check_grads

RNG = np.random.default_rng(7)
V = RNG.normal(size=6)
M = RNG.normal(size=(4, 5))
GRID = np.array([0.0, 0.5, 0.7, 1.9, 2.0, 3.5])

CASES = {
    "diff": np.diff,
    "diff twice": lambda v: np.diff(v, 2),
    "diff zero times": lambda v: np.diff(v, 0),
    "diff too often": lambda v: np.diff(v, 9),
    "diff fewer than none": lambda v: np.diff(v, -1),
    "diff of an axis": lambda v: np.diff(np.outer(v, v), axis=0),
    "diff with borders": lambda v: np.diff(v, prepend=0.0, append=[v[0], 1.0]),
    "diff of rows with a border": lambda v: np.diff(np.outer(v, v**2), prepend=v[1]),
    "ediff1d": np.ediff1d,
    "ediff1d with ends": lambda v: np.ediff1d(v, to_begin=v[0], to_end=[1.0, 2.0]),
    "gradient": np.gradient,
    "gradient with a step": lambda v: np.gradient(v, 0.25),
    "gradient with an active step": lambda v: np.gradient(v, v[0] ** 2 + 1.0),
    "gradient on a grid": lambda v: np.gradient(v, GRID),
    "gradient of the second order": lambda v: np.gradient(v, GRID, edge_order=2),
    "gradient of one order more": lambda v: np.gradient(v, edge_order=3),
    "gradient of a matrix": lambda v: np.gradient(np.outer(v, v[:4]), 0.5, 2.0),
    "gradient of an axis": lambda v: np.gradient(np.outer(v, v[:4]), GRID[:4], axis=1),
    "gradient of one": lambda v: np.gradient(v[:1]),
    "gradient with too many steps": lambda v: np.gradient(v, 1.0, 2.0),
    "trapezoid": np.trapezoid,
    "trapezoid with a step": lambda v: np.trapezoid(v, dx=0.5),
    "trapezoid on a grid": lambda v: np.trapezoid(v, GRID),
    "trapezoid on an active grid": lambda v: np.trapezoid(GRID, v),
    "trapezoid of an axis": lambda v: np.trapezoid(np.outer(v, v[:3]), GRID, axis=0),
    "trapezoid of grids": lambda v: np.trapezoid(np.outer(v, v), np.outer(v, v) ** 2, axis=0),
    "convolve": lambda v: np.convolve(v, v[:3]),
    "convolve same": lambda v: np.convolve(v, [1.0, 2.0, 0.5], "same"),
    "convolve same, even": lambda v: np.convolve(v, [1.0, 2.0, 0.5, 3.0], "same"),
    "convolve same, the shorter first": lambda v: np.convolve(v[:2], v, "same"),
    "convolve valid": lambda v: np.convolve(v, v[1:5], mode="valid"),
    "convolve valid, the shorter first": lambda v: np.convolve([1.0, 2.0], v, mode="valid"),
    "convolve with nothing": lambda v: np.convolve(v, []),
    "convolve in an unknown way": lambda v: np.convolve(v, v, "half"),
    "correlate": lambda v: np.correlate(v, v[:3]),
    "correlate the shorter first": lambda v: np.correlate(v[:3], v, "full"),
    "correlate valid, the shorter first": lambda v: np.correlate(v[:3], v),
    "correlate same": lambda v: np.correlate(v, v[:3], "same"),
    "correlate same, even": lambda v: np.correlate(v, v[:4], "same"),
    "correlate same, the shorter first": lambda v: np.correlate(v[:4], v, "same"),
    "correlate same, the shorter odd first": lambda v: np.correlate(v[:3], v, "same"),
    "correlate full": lambda v: np.correlate([1.0, 2.0], v, "full"),
    "polyval": lambda v: np.polyval(v, 0.7),
    "polyval at active numbers": lambda v: np.polyval([1.0, 2.0, -3.0], v),
    "polyval of both": lambda v: np.polyval(v[:3], np.outer(v, v)),
    "polyval of no coefficients": lambda v: np.polyval([], v),
    "vander": np.vander,
    "vander increasing": lambda v: np.vander(v, 3, increasing=True),
    "vander of no columns": lambda v: np.vander(v, 0),
    "linspace": lambda v: np.linspace(v[0], v[1], 5),
    "linspace to a plain end": lambda v: np.linspace(v[0], 2.0, 4, endpoint=False),
    "linspace and its step": lambda v: np.linspace(0.0, v[2], 3, retstep=True),
    "linspace of arrays": lambda v: np.linspace(v[:2], v[2:4], 4, axis=1),
    "linspace of one point": lambda v: np.linspace(v[0], v[1], 1),
    "linspace of none": lambda v: np.linspace(v[0], v[1], 0),
    "logspace": lambda v: np.logspace(v[0], v[1], 4),
    "logspace to a base": lambda v: np.logspace(v[0], v[1], 3, base=2.0, endpoint=False),
    "geomspace": lambda v: np.geomspace(v[0] ** 2 + 1.0, 9.0, 4),
    "geomspace of negative numbers": lambda v: np.geomspace(-1.0, -(v[0] ** 2) - 2.0, 3),
    "geomspace of arrays": lambda v: np.geomspace(v[:2] ** 2 + 1.0, [8.0, 9.0], 4, axis=-1),
    "sinc": np.sinc,
    "sinc near zero": lambda v: np.sinc(v * 1e-3),
    "deg2rad": lambda v: np.deg2rad(v) + np.radians(v[0]),
    "rad2deg": lambda v: np.rad2deg(v) + np.degrees(v[0]),
    "i0": np.i0,
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_are_numpys(name):
    assert_recorded_as_numpy(CASES[name], V)
    assert_recorded_as_numpy(CASES[name], np.repeat(V, 2)[::2])


@pytest.mark.parametrize(
    "name", [name for name in CASES if not isinstance(outcome(CASES[name], V), Exception)]
)
def test_gradients(name):
    check_grads(CASES[name], (V,), order=2)


@pytest.mark.parametrize("function", [np.diff, np.gradient, np.trapezoid, np.ediff1d, np.sinc],
                         ids=lambda function: function.__name__)  # fmt: skip
def test_values_over_shapes(function):
    for shape in [(), (0,), (1,), (2,), (5,), (3, 4), (0, 3), (2, 3, 2)]:
        if function is np.trapezoid and shape == ():
            continue  # NumPy takes apart the number's own axes
        assert_recorded_as_numpy(function, RNG.normal(size=shape), label=str(shape))


def test_sinc_at_zero_has_its_limits():
    first = tg.grad(np.sinc)
    assert float(first(0.0)) == 0.0
    assert tg.grad(first)(0.0) == pytest.approx(-(np.pi**2) / 3.0, rel=1e-14)


KNOTS = np.array([-1.0, 0.0, 0.5, 2.0])
HEIGHTS = np.array([1.0, 3.0, -2.0, 0.5])
INTERPOLATIONS = {
    "at active points": lambda x: np.interp(x, KNOTS, HEIGHTS),
    "with a left and a right": lambda x: np.interp(x, KNOTS, HEIGHTS, left=7.0, right=-7.0),
    "of active heights": lambda x: np.interp(np.linspace(-2.0, 3.0, 11), KNOTS, x[:4]),
    "of active knots": lambda x: np.interp(0.3, KNOTS + 0.1 * x[:4], HEIGHTS),
    "at one point": lambda x: np.interp(x[0], KNOTS, HEIGHTS * x[1]),
    "of a matrix of points": lambda x: np.interp(np.outer(x, x), KNOTS, HEIGHTS),
    "with a period": lambda x: np.interp(x, KNOTS, HEIGHTS, period=2.5),
    "with one knot": lambda x: np.interp(x, KNOTS[:1], HEIGHTS[:1]),
    "with unequal lengths": lambda x: np.interp(x, KNOTS, HEIGHTS[:2]),
}


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_interpolation_is_numpys_inside_outside_and_at_the_knots(name):
    function = INTERPOLATIONS[name]
    points = [
        V,
        np.array([-1.0, 0.0, 0.5, 2.0, 2.1, -3.0]),
        np.array([0.25, 1.9, -0.5, 9.0, 1.0, 1.0]),
    ]
    for x in points:
        assert_recorded_as_numpy(function, x)
    assert_recorded_as_numpy(function, np.array([np.nan, 1.0, np.inf, -np.inf, 0.1, 0.2])) if (
        name in ("at active points", "with a left and a right")
    ) else None
    if not isinstance(outcome(function, V), Exception):
        check_grads(function, (points[2] + 0.013,))
        assert_replays_as_recorded(lambda x: np.sum(function(x) ** 2), points)
