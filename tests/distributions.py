"""SciPy's own list of distributions, and gradients of their methods beside differences."""

from __future__ import annotations

import warnings

import numpy as np
from scipy import stats
from scipy.stats._distr_params import distcont, distdiscrete

import tapegrad as tg

# What no search for a formula could change, and takes seconds to evaluate.
SLOW = {"levy_stable", "studentized_range", "kstwo", "ksone"}
LEVELS = np.array([0.12, 0.37, 0.62, 0.88])
DENSITIES = ("pdf", "logpdf")
CUMULATIVE = ("cdf", "sf", "logcdf", "logsf")
QUANTILES = ("ppf", "isf")
WEIGHTS = np.array([0.7, -0.4, 0.9, 0.6])


def listed(table):
    found = {}
    for dist, shapes in table:
        if isinstance(dist, str):
            found.setdefault(dist, shapes)
    return found


CONTINUOUS = listed(distcont)
DISCRETE = listed(distdiscrete)
CONTINUOUS["kappa4"] = (0.3, 0.2)  # SciPy's own place is where its formulas change


def difference(f, x, h):
    """The gradient of a function, by differences of the sixth order, in steps of h[k]."""
    gradient = np.zeros_like(x)
    for k in range(len(x)):
        step = np.zeros_like(x)
        step[k] = h[k]
        gradient[k] = (
            sum(
                w * (f(x + m * step) - f(x - m * step))
                for m, w in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))
            )
            / h[k]
        )
    return gradient


def case(name, method, table):
    """A function of all operands of a method, a place, and which may be moved by how much."""
    dist, shapes = getattr(stats, name), table[name]
    is_discrete = table is DISCRETE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        points = dist.ppf(LEVELS, *shapes)
    if method in QUANTILES:
        points = LEVELS
    n = len(points)
    whole = [info.integrality for info in dist._shape_info()]
    moving = [k for k, is_whole in enumerate(whole) if not is_whole or name == "erlang"]
    if is_discrete and (not moving or len(whole) != len(shapes)):  # nothing but the points
        return (lambda k: np.sum(WEIGHTS * getattr(dist, method)(k, *shapes)), points, None)
    if is_discrete:

        def function(theta):
            given = list(shapes)
            for k, value in zip(moving, [theta[j] for j in range(len(moving))], strict=True):
                given[k] = value
            return np.sum(WEIGHTS * getattr(dist, method)(points, *given))

        place = np.array([shapes[k] for k in moving], float)
        return function, place, None if method in QUANTILES else 1e-3 * np.abs(place)

    def function(theta):
        given = list(shapes)
        for j, k in enumerate(moving):
            given[k] = theta[n + j]
        values = getattr(dist, method)(theta[:n], *given, loc=theta[-2], scale=theta[-1])
        return np.sum(WEIGHTS * values)

    place = np.array([*(points if method in QUANTILES else 0.3 + 1.7 * points),
                      *[shapes[k] for k in moving], 0.3, 1.7])  # fmt: skip
    h = 1e-3 * np.maximum(np.abs(place), 0.1)
    if method not in QUANTILES:  # as far apart as the points are
        h[[*range(n), -2]] = 4e-3 * 1.7 * np.min(np.diff(points))
    return function, place, h


def verdict(name, method, table, rtol=2e-6):
    """What a method's gradient is: right (''), or why not."""
    function, place, h = case(name, method, table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value, gradient = tg.value_and_grad(function, compile="never")(place)
        except tg.errors.TapegradError as error:
            return str(error).partition("\n")[0]
        expected = np.zeros(len(place)) if h is None else difference(function, place, h)
        np.testing.assert_allclose(value, function(place), rtol=1e-9)
    scale = max(1e-3, np.max(np.abs(expected)))
    if not np.allclose(gradient, expected, rtol, rtol * scale):
        return f"wrong: {gradient} where differences have {expected}"
    return ""
