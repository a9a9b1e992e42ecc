"""How the tests of NumPy's functions compare a recording with NumPy itself, value by value."""

from __future__ import annotations

import warnings

import numpy as np

import tapegrad as tg
from tapegrad.function.recording import _activate
from tapegrad.record.active import Active, ActiveBool
from tapegrad.record.array import ActiveArray
from tapegrad.record.nesting import recording


def plain(thing):
    """Return a result with its active numbers and arrays as plain ones."""
    if isinstance(thing, tuple | list):
        return [plain(part) for part in thing]
    if isinstance(thing, np.ndarray) and thing.dtype == object:
        return np.array([plain(element) for element in thing.flat], float).reshape(thing.shape)
    if isinstance(thing, ActiveBool):
        return np.bool_(thing.value)
    if isinstance(thing, ActiveArray):
        return np.asarray(thing.value)
    return np.float64(thing.value) if isinstance(thing, Active) else thing


def outcome(function, *args):
    """Return a function's result, or the error it raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return plain(function(*args))
        except (ValueError, TypeError, IndexError, ZeroDivisionError) as error:
            return error


def recorded_outcome(function, *args):
    with recording() as tape:
        return outcome(function, *[_activate(tape, leaf) for leaf in args])


def assert_same(found, wanted, label="", rtol=1e-13):
    """Assert the same shapes, kinds and numbers, or errors of one kind."""
    if isinstance(wanted, Exception):
        kinds = (ValueError, TypeError, IndexError, ZeroDivisionError)
        kind = next(kind for kind in kinds if isinstance(wanted, kind))
        assert isinstance(found, kind), (label, found, wanted)
        return
    assert not isinstance(found, Exception), (label, found, wanted)
    if isinstance(wanted, tuple | list):
        assert len(found) == len(wanted), label
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other, label, rtol)
        return
    assert np.shape(found) == np.shape(wanted), (label, np.shape(found), np.shape(wanted))
    if np.asarray(wanted).dtype == np.bool_:
        assert np.asarray(found).dtype == np.bool_, label
    np.testing.assert_allclose(
        np.asarray(found, float), np.asarray(wanted, float), rtol=rtol, atol=1e-14, err_msg=label
    )


def assert_recorded_as_numpy(function, *args, label=""):
    """Assert that a function recorded at a point gives what NumPy gives."""
    assert_same(recorded_outcome(function, *args), outcome(function, *args), label)


def assert_replays_as_recorded(function, points):
    """Assert that one recorded function agrees, at each point, with a recording made there."""
    replayed = tg.value_and_grad(function)
    for x in points:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wanted = function(x)
        fresh = tg.value_and_grad(lambda x: function(x))(x)
        value, gradient = replayed(x)
        assert_same(value, wanted, repr(x))
        assert_same(value, fresh[0], repr(x), rtol=0)
        assert_same(gradient, fresh[1], repr(x), rtol=0)


def tied_points(size, count=12, nans=False, seed=0):
    """Return points with many equal elements, and with NaNs among them."""
    rng = np.random.default_rng(seed)
    points = [rng.integers(-2, 3, size).astype(float) for _ in range(count)]
    points += [rng.normal(size=size) for _ in range(count // 2)]
    if nans:
        points += [np.where(rng.uniform(size=size) < 0.3, np.nan, x) for x in points]
        points.append(np.full(size, np.nan))
    return points
