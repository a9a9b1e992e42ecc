"""How functions of signals are reached, what plain calls give, errors, edges and choices."""

from __future__ import annotations

import functools
import inspect
import pickle
import threading

import numpy as np
import pytest
import scipy.fft
import scipy.fft as sf
import scipy.ndimage
import scipy.ndimage as nd
import scipy.signal
import scipy.signal as ss
from numpy.fft import rfft as numpys
from scipy.fft import rfft
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.record.signals.fourier_forms import Fourier
from tapegrad.record.signals.image_edges import OF_NUMPY, folded, padded
from tapegrad.record.signals.splines_on_grids import Coefficients

X = np.array([0.3, -1.2, 0.8, 2.0, 0.1, -0.4, 1.1])
B, A = [0.2, 0.3], [1.0, -0.5, 0.1]
LISTED, NAMED = [lfilter, rfft], {"filter": gaussian_filter}
PARTIAL = functools.partial(lfilter, B, A)
SPECTRUM = functools.partial(rfft, norm="ortho")


def power(z):
    return np.sum(z.real**2 + z.imag**2)


class Filter:
    run = staticmethod(ss.lfilter)

    def __init__(self):
        self.function, self.transform, self.b = lfilter, sf.rfft, np.array(B)

    def by_attribute(self, x):
        return np.sum(self.function(self.b, A, x) ** 2) + power(self.transform(x, norm="ortho"))

    def by_class(self, x):
        return np.sum(Filter.run(B, A, x) ** 2) + power(rfft(x, norm="ortho"))


def default(x, function=lfilter, transform=rfft):
    return np.sum(function(B, A, x) ** 2) + power(transform(x, norm="ortho"))


def enclosed():
    inner, module, modules = lfilter, ss, sf

    def function(x):
        total = 0.5 * np.sum(inner(B, A, x) ** 2) + 0.5 * np.sum(module.lfilter(B, A, x) ** 2)
        return total + power(modules.rfft(x, norm="ortho"))

    return function


def imported(x):
    import scipy.fft as again
    from scipy.signal import lfilter as renamed

    return np.sum(renamed(B, A, x) ** 2) + power(again.rfft(x, norm="ortho"))


WAYS = {
    "names": lambda x: np.sum(lfilter(B, A, x) ** 2) + power(rfft(x, norm="ortho")),
    "attributes": lambda x: np.sum(ss.lfilter(B, A, x) ** 2) + power(sf.rfft(x, norm="ortho")),
    "long names": lambda x: np.sum(scipy.signal.lfilter(B, A, x) ** 2)
    + power(scipy.fft.rfft(x, norm="ortho")),
    "a list": lambda x: np.sum(LISTED[0](B, A, x) ** 2) + power(LISTED[1](x, norm="ortho")),
    "partials": lambda x: np.sum(PARTIAL(x) ** 2) + power(SPECTRUM(x)),
    "a map": lambda x: sum(np.sum(y**2) for y in map(PARTIAL, [x]))
    + sum(power(z) for z in map(SPECTRUM, [x])),
    "getattr": lambda x: np.sum(getattr(ss, "lfil" + "ter")(B, A, x) ** 2)
    + power(getattr(sf, "rff" + "t")(x, norm="ortho")),
    "keywords": lambda x: np.sum(lfilter(x=x, a=A, b=B) ** 2) + power(rfft(norm="ortho", x=x)),
    "defaults": default,
    "a closure": enclosed(),
    "an import": imported,
    "an object's attributes": Filter().by_attribute,
    "a class's attribute": Filter().by_class,
    "numpy's": lambda x: np.sum(lfilter(B, A, x) ** 2) + power(numpys(x, norm="ortho")),
    "numpy's by attribute": lambda x: np.sum(lfilter(B, A, x) ** 2)
    + power(np.fft.rfft(x, None, -1, "ortho")),
    "lists of numbers": lambda x: np.sum(lfilter(B, A, list(x)) ** 2)
    + power(rfft([x[k] for k in range(len(x))], norm="ortho")),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_function_is_recognised_however_it_is_reached(way):
    value, gradient = tg.value_and_grad(WAYS[way])(X)
    matrix = np.array([lfilter(B, A, row) for row in np.eye(7)])
    halves = np.array([rfft(row, norm="ortho") for row in np.eye(7)])
    wanted = 2 * matrix @ lfilter(B, A, X) + 2 * (halves @ rfft(X, norm="ortho").conj()).real
    assert value == pytest.approx(WAYS[way](X), rel=1e-14)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-12)


def test_plain_calls_are_scipys_own_to_the_bit():
    y = np.sin(np.arange(30.0)).reshape(5, 6)

    def calls(make):
        made = make(y)  # an array that may hold active numbers while recording
        return [
            lfilter(B, A, y), ss.filtfilt(B, A, made, padlen=2), ss.convolve(made, y),
            ss.correlate(y, made), ss.hilbert(made), *ss.welch(y, nperseg=4), ss.detrend(made),
            gaussian_filter(made, 1.0), nd.map_coordinates(y, [[0.5], [1.5]]),
            nd.median_filter(y, 3), rfft(y), rfft(made), numpys(y), numpys(made), sf.dct(made),
            sf.fht(y, 0.1, 0.0),
            np.fft.fftn(y + 1j), sf.fftn(made + 1j), sf.fft(y.astype(np.float32)), ss.medfilt(made),
            nd.convolve(y.astype(int), np.ones((2, 2), int)), ss.savgol_filter(made, 3, 1),
        ]  # fmt: skip

    found = []

    def recorded(x):
        found.extend(calls(np.array))
        return np.sum(x)

    tg.grad(recorded)(X)
    for position, (one, other) in enumerate(zip(found, calls(np.array), strict=True)):
        assert np.array_equal(np.asarray(one), other), position
        assert np.asarray(one).dtype == other.dtype, position


def test_functions_are_themselves_in_other_threads_and_outside():
    code, signature, seen = lfilter.__code__, inspect.signature(lfilter), []

    def function(x):
        def other():
            seen.extend([lfilter(B, A, X), rfft(X), numpys(X), gaussian_filter(X, 1.0)])

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return power(rfft(x)) + np.sum(lfilter(B, A, x))

    tg.grad(function)(X)
    wanted = [lfilter(B, A, X), rfft(X), numpys(X), gaussian_filter(X, 1.0)]
    assert all(np.array_equal(one, other) for one, other in zip(seen, wanted, strict=True))
    assert lfilter.__code__ is code
    assert inspect.signature(lfilter) == signature


def test_a_backend_and_workers_of_the_users_stay_theirs():
    def function(x):
        with sf.set_workers(2), sf.set_backend("scipy", only=True):
            return power(sf.fft(x.reshape(7, 1) * x))

    wanted = power(sf.fft(np.outer(X, X)))
    assert tg.value_and_grad(function)(X)[0] == pytest.approx(wanted)

    class Foreign:
        __ua_domain__ = "numpy.scipy.fft"

        @staticmethod
        def __ua_function__(method, args, kwargs):
            return np.asarray(args[0], float) * 2.0

    def foreign(x):
        with sf.set_backend(Foreign):
            return np.sum(sf.fft(x))

    assert foreign(X) == pytest.approx(2 * X.sum())
    assert np.array_equal(tg.grad(foreign)(X), np.full(7, 2.0))


# --- errors ---------------------------------------------------------------------------------------

WRONG = {
    "state": (lambda x: ss.lfilter(B, A, x, zi=[0.0]), ValueError),
    "sections": (lambda x: ss.sosfilt([[1.0, 0, 0, 2.0, 0, 0]], x), ValueError),
    "padding": (lambda x: ss.filtfilt(B, A, x, padlen=9), ValueError),
    "dimensions": (lambda x: ss.convolve(x, np.eye(2)), ValueError),
    "mode": (lambda x: ss.correlate(x, x, mode="some"), ValueError),
    "no points": (lambda x: np.fft.fft(x, 0), ValueError),
    "no numbers": (lambda x: sf.rfft(x[:0]), ValueError),
    "an axis": (lambda x: np.fft.rfft(x, axis=1), IndexError),
    "norm": (lambda x: sf.ifft(x, norm="none"), ValueError),
    "an order": (lambda x: nd.map_coordinates(x, x[None], order=6), RuntimeError),
    "a rank": (lambda x: nd.map_coordinates(x, x, order=1), RuntimeError),
    "an origin": (lambda x: nd.correlate1d(x, [1.0, 2.0], origin=3), ValueError),
    "a type": (lambda x: sf.dct(x, 5), (NotImplementedError, ValueError)),
    "one number of a kind": (lambda x: sf.dct(x[:1], 1), RuntimeError),
    "segments": (lambda x: ss.welch(x, nperseg=4, nfft=3)[1], ValueError),
    "a trend": (lambda x: ss.detrend(x, type="some"), ValueError),
    "complex numbers": (lambda x: ss.hilbert(x * 1j).real, ValueError),
    "a real transform of complex numbers": (lambda x: sf.rfft(x * 1j).real, TypeError),
}


@pytest.mark.parametrize("name", WRONG)
def test_scipys_errors_come_at_the_users_line(name):
    function, error = WRONG[name]
    with pytest.raises(error) as plain:
        function(X)
    with pytest.raises(error) as caught:
        tg.grad(lambda x: np.sum(function(x)))(X)
    assert str(caught.value) == str(plain.value)
    lines = [frame.lineno for frame in caught.traceback if str(frame.path) == __file__]
    assert function.__code__.co_firstlineno - 1 in lines


REFUSED = {
    "scipy.signal.filtfilt with method='gust'": lambda x: ss.filtfilt(B, A, x, method="gust"),
    "scipy.signal.welch with a function": lambda x: ss.welch(x, nperseg=7, detrend=np.sin)[1],
    "scipy.signal.welch by fs=": lambda x: ss.welch(X, x[3], nperseg=7)[1],
    "scipy.signal.decimate with ftype='fir'": lambda x: ss.decimate(x, 2, ftype="fir"),
    "scipy.signal.savgol_filter by delta=": lambda x: ss.savgol_filter(X, 3, 1, 1, x[3]),
    "scipy.ndimage.correlate1d by cval=": lambda x: nd.correlate1d(X, A, cval=x[0]),
    "scipy.ndimage.gaussian_filter with output=": lambda x: gaussian_filter(x, 1.0, output=float),
    "numpy.fft.fftn along an axis twice": lambda x: np.fft.fftn(x, axes=(0, 0)).real,
    "numpy.fft.rfft with out=": lambda x: np.fft.rfft(x, out=np.zeros(4, complex)).real,
    "scipy.signal.lfilter of complex numbers": lambda x: ss.lfilter(B, [1.0], x * 1j).real,
    "scipy.signal.convolve of complex numbers": lambda x: ss.convolve(x, [1j, 2.0]).real,
    "scipy.ndimage.gaussian_filter of complex numbers": lambda x: gaussian_filter(x * 1j, 1.0).real,
    "scipy.signal.welch of complex numbers": lambda x: ss.welch(x * 1j, nperseg=7)[1],
    "scipy.ndimage.rotate by its angle": lambda x: nd.rotate(np.eye(3), x[0]),
    "scipy.signal.freqz by worN=": lambda x: ss.freqz([1.0, 2.0], 1.0, x[:2])[1].real,
    "scipy.ndimage.map_coordinates of an image of uint8": lambda x: nd.map_coordinates(
        np.eye(5, dtype=np.uint8), [x, x]
    ),
    "scipy.ndimage.correlate1d of an image of float32": lambda x: nd.correlate1d(
        np.ones(5, np.float32), x
    ),
    "scipy.ndimage.gaussian_filter of an image of int64": lambda x: gaussian_filter(
        np.arange(5), x[3]
    ),
    "scipy.signal.medfilt": lambda x: ss.medfilt(x),
    "scipy.ndimage.median_filter": lambda x: nd.median_filter(x, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_is_refused_by_name(name):
    with pytest.raises(UnsupportedFunctionError) as caught:
        tg.grad(lambda x: np.sum(REFUSED[name](x)))(X)
    assert name in str(caught.value)
    assert __file__ in str(caught.value)


# --- edges ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", OF_NUMPY)
def test_what_is_beyond_an_edge_has_its_transpose(mode):
    rng = np.random.default_rng(0)
    for size in (1, 2, 5, 8):
        for widths in ((0, 0), (1, 0), (3, 2), (9, 13)):
            x, y = rng.normal(size=(size, 3)), rng.normal(size=(size + sum(widths), 4))
            both = [widths, (1, 0)]
            assert np.sum(padded(x, both, mode, 0.0) * y) == pytest.approx(
                np.sum(x * folded(y, both, mode)), rel=1e-12
            )


@pytest.mark.parametrize("mode", OF_NUMPY)
def test_splines_coefficients_have_their_transpose(mode):
    rng = np.random.default_rng(1)
    for shape in ((1,), (2,), (3, 4), (64,), (65,), (66, 3), (301,)):
        for order in (2, 3, 4, 5):
            form = Coefficients((shape, shape), order, mode, tuple(range(len(shape))))
            x, y = rng.normal(size=(2, *shape))
            one, other = np.sum(form.gradient(1, (x, None)) * y), form.gradient(0, (None, y))
            assert one == pytest.approx(np.sum(x * other), rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("size", [1, 2, 7, 8, 1000, 1001])
def test_transforms_of_any_length_have_their_transposes(size):
    rng = np.random.default_rng(2)
    for n in (size, size + 1, max(1, size - 1), 2 * size + 1):
        for norm in ("backward", "ortho", "forward"):
            to_half = Fourier(((size,), (2, n // 2 + 1)), "numpy.fft", "rfft", False, (n,), (0,),
                              norm, False)  # fmt: skip
            from_half = Fourier(((2, size), (n,)), "numpy.fft", "irfft", True, (n,), (0,), norm,
                                False)  # fmt: skip
            for form in (to_half, from_half):
                x, y = (rng.normal(size=shape) for shape in form.shapes)
                assert np.sum(form.gradient(1, (x, None)) * y) == pytest.approx(
                    np.sum(x * form.gradient(0, (None, y))), rel=1e-11, abs=1e-11
                )


def test_one_number_and_none_are_filtered():
    double = [[2.0, 0.0, 0.0, 1.0, 0.0, 0.0]]
    one = {
        "lfilter": lambda x: lfilter(B, A, x), "sosfilt": lambda x: ss.sosfilt(double, x),
        "convolve": lambda x: ss.convolve(x, [3.0]), "rfft": lambda x: rfft(x).real,
        "ifft": lambda x: np.fft.ifft(x).real, "gauss": lambda x: gaussian_filter(x, 1.0),
        "map": lambda x: nd.map_coordinates(x, [[0.0]], order=3, mode="mirror"),
        "dct": lambda x: sf.dct(x), "detrend": lambda x: ss.detrend(x, type="constant"),
    }  # fmt: skip
    for name, function in one.items():
        gradient = tg.grad(lambda x, f=function: np.sum(f(x)))(np.array([0.5]))
        assert gradient[0] == pytest.approx(2 * np.sum(function(np.array([0.5]))), abs=1e-15), name
    none = np.zeros((0, 3))
    for function in (
        lambda x: lfilter(B, A, x, axis=0), lambda x: ss.fftconvolve(x, x),
        lambda x: gaussian_filter(x, 1.0), lambda x: ss.detrend(x, type="constant", axis=1),
        lambda x: ss.periodogram(x)[1],
        lambda x: np.fft.rfft(x).real, lambda x: ss.sosfilt(double, x),
    ):  # fmt: skip
        value, gradient = tg.value_and_grad(lambda x, f=function: np.sum(f(x)))(none)
        assert value == np.sum(function(none))
        assert gradient.shape == (0, 3)


def test_a_passed_over_number_that_is_none_spoils_nothing():
    x = np.array([1.0, 2.0, 3.0, np.nan, np.inf])

    def kept(y):
        return np.sum(np.where(np.isfinite(y), y, 0.0))

    gradient = tg.grad(lambda b: kept(lfilter(b, 1.0, x)))(np.array([1.0, 2.0]))
    assert np.array_equal(gradient, [6.0, 3.0])
    gradient = tg.grad(lambda w: kept(ss.convolve(x, w, method="direct")))(np.array([1.0, 2.0]))
    assert np.array_equal(gradient, [6.0, 3.0])
    gradient = tg.grad(lambda w: kept(nd.correlate1d(x, w, mode="constant")))(np.ones(3))
    assert np.array_equal(gradient, [1.0, 3.0, 5.0])


def test_straight_lines_have_the_mean_of_both_slopes_where_they_meet():
    image = np.array([1.0, 2.0, 5.0])

    def slopes(mode):
        at = np.array([[0.0, 1.0, 2.0, 1.5]])
        return tg.grad(lambda c: np.sum(nd.map_coordinates(image, c, order=1, mode=mode)))(at)[0]

    assert np.array_equal(slopes("constant"), [1.0, 2.0, 3.0, 3.0])
    assert np.array_equal(slopes("nearest"), [0.5, 2.0, 1.5, 3.0])
    assert np.array_equal(slopes("mirror"), [0.0, 2.0, 0.0, 3.0])


def test_places_that_are_none_have_no_derivative():
    at = np.array([[np.nan, 0.5]])
    gradient = tg.grad(lambda c: np.sum(nd.map_coordinates(X, c, order=1)[1:]))(at)
    assert np.array_equal(gradient, [[0.0, -1.5]])
    assert np.isnan(tg.grad(lambda c: np.sum(nd.map_coordinates(X, c, order=3)))(at)[0, 0])


# --- choices and tapes ----------------------------------------------------------------------------


def test_how_many_weights_a_gaussian_has_is_guarded():
    derivative = tg.value_and_grad(lambda s: np.sum(gaussian_filter(X, s) ** 2))
    for sigma in (1.0, 1.6, 1.05, 1.61):
        value, slope = derivative(sigma)
        assert value == pytest.approx(np.sum(gaussian_filter(X, sigma) ** 2), rel=1e-14)
        sides = [np.sum(gaussian_filter(X, sigma + h) ** 2) for h in (1e-6, -1e-6)]
        assert slope == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-7)
    assert len(derivative.recorded.recordings) == 2


def test_swept_and_compiled_derivatives_agree_at_other_points():
    def function(x):
        y = ss.filtfilt(B, A, x, padlen=3)
        z = np.fft.irfft(rfft(y * x) * np.exp(-np.arange(4.0)), 7)
        return np.sum(gaussian_filter(z, 1.0) ** 2) + np.sum(np.abs(np.fft.fft(x)) ** 3)

    swept, compiled = tg.value_and_grad(function, compile="never"), tg.value_and_grad(function)
    fast = compiled.compiled(X)
    for point in (X, 0.5 * X + 1.0):
        value, gradient = swept(point)
        assert value == pytest.approx(function(point), rel=1e-13)
        assert fast(point)[0] == pytest.approx(value, rel=1e-13)
        np.testing.assert_allclose(fast(point)[1], gradient, rtol=1e-11)
    tape = swept.recorded.recordings[0].tape
    tg.check(tape)
    assert pickle.loads(pickle.dumps(tape.blocks)) == tape.blocks


def test_derivatives_nest():
    def inner(s):
        return tg.grad(lambda t: power(rfft(t * s * X)) + np.sum(lfilter([t, s], A, X)))(2.0)

    # Of s^2 t^2 |X|^2 + t f(X).
    square, linear = power(rfft(X)), np.sum(lfilter([1.0], A, X))
    assert inner(3.0) == pytest.approx(36.0 * square + linear)
    assert tg.grad(inner)(3.0) == pytest.approx(24.0 * square)
