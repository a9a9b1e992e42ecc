"""Plain values and texts that a function reads of active numbers: right at every call."""

from __future__ import annotations

import logging
import math
import statistics
import warnings

import numba
import numpy as np
import pytest
import scipy.linalg
import scipy.special
from ticks import new_ticks, ran

import tapegrad as tg
from tapegrad.checking import check
from tapegrad.errors import LostDerivativeError, UnsupportedFunctionError
from tapegrad.record.active import Active

inf, nan = math.inf, math.nan
stop = tg.stop_gradient
POINTS = (3.0, 4.0, 3.0, -0.0, 0.0, -0.0, nan, inf, nan, -inf, 0.25)


def same(found, wanted):
    """The same bits, but that all NaNs are one."""
    return repr(float(found)) == repr(float(wanted))


def sign(number):
    """1.0 or -1.0, by the sign of zero too, and 5.0 for NaN."""
    return 5.0 if math.isnan(number) else math.copysign(1.0, number)


@tg.grad
def inner(y):
    return y * y * float(stop(y))


READERS = {
    "value": lambda x: sign(x.value if isinstance(x, Active) else x),
    "float": lambda x: sign(float(stop(x))),
    "of stopped numbers": lambda x: sign(float(2.0 * stop(x) + stop(x))),
    "a comparison": lambda x: float(x > 3.5),
    "a rounding": lambda x: sign(float(np.floor(stop(x)))),
    "a rounding of x": lambda x: sign(float(np.rint(x * 0.1))),
    "an int": lambda x: int(stop(x)) if math.isfinite(stop(x)) else 7,
    "percent": lambda x: sign(float("%r" % float("%.17g" % stop(x)))),  # noqa: UP031
    "str": lambda x: sign(float(str(x))),
    "empty format": lambda x: sign(float(f"{x}")),
    "format": lambda x: sign(float(f"{x:.1f}")),
    "format e": lambda x: sign(float(f"{x:+.2e}")),
    "key": lambda x: {"3.0": 1.0, "-0.0": 2.0, "0.0": 3.0}.get(f"{x:.1f}", 4.0),
    "round": lambda x: sign(round(x, 1)),
    "complex": lambda x: sign(complex(stop(x)).real),
    "foreign": lambda x: sign(statistics.fmean([stop(x), stop(x)])),
    "no rule": lambda x: sign(np.nextafter(stop(x), 0.0)),
    "array": lambda x: sign(np.spacing(stop(np.array([x, x])))[1]),
    "text of an array": lambda x: len(str(np.array([x, 1.0]))),
    "value of an array": lambda x: sign(float(str(stop(np.array([x]))).strip("[]"))),
}


@pytest.mark.parametrize("name", READERS)
def test_what_is_read_is_this_calls_number(name):
    read = READERS[name]
    derivative = tg.value_and_grad(lambda x: read(x) + 2.0 * x)
    for x in POINTS:
        with np.errstate(all="ignore"):
            value, gradient = derivative(x)
            assert same(value, read(np.float64(x)) + 2.0 * x), x
        assert gradient == 2.0
    for recording in derivative.recorded.recordings:
        check(recording.tape)


class Report:
    form = "%g"

    def of(self, x):
        return self.form % x


def in_place(x):
    text = "%g"
    text %= x
    return text


WRITTEN = {
    "plain": lambda x: "%.2f" % x,  # noqa: UP031
    "several": lambda x: "%g and %d" % (x, 3),  # noqa: UP031
    "named": lambda x: "%(x)g" % {"x": x},  # noqa: UP031
    "joined": lambda x: ("%g" + " and %g") % (x, 2 * x),
    "attribute": Report().of,
    "bytes": lambda x: b"%g" % x,
    "in place": in_place,
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_number_is_written_by_a_percent_sign_as_it_is_at_each_call(name):
    derivative = tg.grad(lambda x: len(WRITTEN[name](x)) * x)
    for x in (0.25, 1234.5, 0.25, 7.0, 0.001):
        assert derivative(x) == len(WRITTEN[name](x))


def test_a_log_writes_a_number_at_each_call(caplog):
    def loss(x):
        logging.getLogger("clients").warning("x=%g, %.1f", x, x * x)
        return x * x

    derivative = tg.grad(loss)
    assert [derivative(x) for x in (0.5, 3.0)] == [1.0, 6.0]
    found = [r.message for r in caplog.records if r.name == "clients"]
    assert found == ["x=0.5, 0.2", "x=3, 9.0"]


def test_a_number_in_code_without_source_is_written_too():
    names = {}
    exec("def f(x):\n    return x * len('%g %d' % (x, 3))\n", names)
    assert [tg.grad(names["f"])(x) for x in (1.5, 2.0)] == [5.0, 3.0]


def test_a_text_holds_for_the_numbers_that_are_written_so():
    texts = []

    def f(x):
        texts.append(f"{x:.1f}")
        return x * x

    derivative = tg.grad(f)
    for x in (0.31, 0.2501, 0.3499, 0.36):
        assert derivative(x) == 2.0 * x
    assert texts == ["0.3", "0.3", "0.3", "0.4"]
    assert len(derivative.recorded.recordings) == 1


def test_repr_is_free():
    texts, ticks = [], new_ticks()

    def f(x):
        ticks.release()
        texts.append(f"{x!r} {[x]}")
        return x * x

    derivative = tg.grad(f)
    assert [derivative(x) for x in (1.0, 2.0)] == [2.0, 4.0]
    assert texts[0] == "Active(1.0) [Active(1.0)]"
    assert ran(ticks) == 1


def test_one_recording_that_holds_a_value_is_kept_and_never_compiled(caplog):
    seen = []

    def f(x):
        seen.append(float(stop(x * 2.0)))
        return x * x

    derivative = tg.value_and_grad(f, compile="now")
    points = [0.1 * k for k in range(100)]
    with warnings.catch_warnings(), caplog.at_level(logging.INFO, "tapegrad"):
        warnings.simplefilter("error")
        assert [derivative(x) for x in points] == [(x * x, 2.0 * x) for x in points]
        assert derivative(points[-1]) == (points[-1] ** 2, 2.0 * points[-1])
    assert seen == [2.0 * x for x in (*points, points[-1])]
    assert len(derivative.recorded.recordings) == 1
    assert derivative.tier == "swept"
    lines = [r.message for r in caplog.records if r.name == "tapegrad"]
    assert len(lines) == 100
    assert "is recorded again, since a plain value" in lines[1]
    assert __file__ in lines[1]


def test_ways_that_read_no_value_stay_beside_one_that_does():
    ticks = new_ticks()

    def f(x):
        ticks.release()
        return x * float(stop(x)) if x > 0.0 else 3.0 * x

    derivative = tg.grad(f)
    for x in (1.0, 2.0, -1.0, -2.0, 2.0, 3.0, -4.0):
        assert derivative(x) == (x if x > 0.0 else 3.0)
    assert ran(ticks) == 4
    assert len(derivative.recorded.recordings) == 2


def test_values_beyond_the_limit_take_each_others_place():
    """Every way of these reads a value, and there are more ways than are kept."""

    def f(x):
        n = int(x)
        return x * float(stop(x)) + n

    derivative = tg.grad(f)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for k in range(80):
            assert derivative(k + 0.5) == k + 0.5


def test_a_comparison_or_a_rounding_as_a_float_is_found_again():
    ticks = new_ticks()

    def f(x):
        ticks.release()
        return x * (float(x > 2.0) + float(np.floor(x)) + float(np.sum(np.array([x, 1.0]) > 0.5)))

    derivative = tg.grad(f)
    assert [derivative(x) for x in (1.5, 2.5, 1.25, 2.75, 2.5)] == [3.0, 5.0, 3.0, 5.0, 5.0]
    assert ran(ticks) == 2


def test_values_are_read_in_inner_and_outer_derivatives():
    derivative = tg.value_and_grad(lambda x: x * inner(x))
    for x in (2.0, 3.0):
        assert derivative(x) == (2.0 * x**3, 4.0 * x * x)
    captured = tg.value_and_grad(lambda x: x * tg.grad(lambda y: y * y * float(stop(x)))(2.0))
    for x in (2.0, 3.0):
        assert captured(x) == (4.0 * x * x, 4.0 * x)
    lost = tg.grad(lambda x: x * tg.grad(lambda y: y * y * float(x))(2.0))
    with pytest.raises(LostDerivativeError):
        lost(2.0)
    hessian = tg.hessian(lambda x: float(stop(x[0])) * x[0] ** 2 * x[1])
    for x in (2.0, 3.0):
        assert hessian(np.array([x, 1.0])).tolist() == [[2.0 * x, 2.0 * x * x], [2.0 * x * x, 0.0]]


def test_machine_code_of_a_value_hands_over_where_it_changes():
    handle = tg.value_and_grad(lambda x: sign(float(stop(x[0]))) * x[1]).compiled(
        np.array([0.0, 2.0])
    )
    for x, wanted in ((0.0, 1.0), (-0.0, -1.0), (nan, 5.0), (-3.0, -1.0)):
        value, gradient = handle(np.array([x, 2.0]))
        assert (value, gradient.tolist()) == (2.0 * wanted, [0.0, wanted])


def test_arrays_without_a_derivative_go_into_foreign_functions():
    functions = {
        "expm": lambda x: scipy.linalg.expm(stop(np.outer(x, x)))[0, 0],
        "svd": lambda x: np.linalg.svd(stop(np.outer(x, x)))[1][0],
        "airy": lambda x: scipy.special.airy(stop(x))[0][1],
        "frexp": lambda x: math.frexp(stop(x[0]))[1],
        "ulp": lambda x: math.ulp(stop(x[0]) * 4.0),
        "modf": lambda x: np.frexp(stop(x))[0][1],
        "histogram": lambda x: np.histogram(stop(x), bins=2)[0][0],
        "booleans": lambda x: np.packbits(x > 1.0)[0],
    }
    for name, function in functions.items():
        derivative = tg.value_and_grad(lambda x, f=function: x[0] * float(f(x)))
        for x in (np.array([2.0, 1.0]), np.array([0.5, 3.0])):
            value, gradient = derivative(x)
            plain = float(function(x))
            assert value == pytest.approx(x[0] * plain, rel=1e-15), name
            assert gradient.tolist() == [pytest.approx(plain, rel=1e-15), 0.0], name


def test_asarray_in_the_functions_own_code_stays_active():
    derivative = tg.grad(lambda x: np.sum(np.asarray(x) * x) + np.asarray(x[0]) * 2.0)
    assert derivative(np.array([1.0, 2.0])).tolist() == [4.0, 4.0]


def test_what_is_stored_into_a_plain_array_is_this_calls_number():
    history = np.zeros(2)

    def f(x):
        history[0] = stop(x)
        return x * x

    derivative = tg.grad(f)
    for x in (1.0, 2.0):
        assert derivative(x) == 2.0 * x
        assert history[0] == x


def test_a_function_without_a_rule_stores_nothing_into_an_active_array():
    def f(x):
        out = np.zeros(1)
        np.nextafter(stop(x), 0.0, out=out)
        return out[0] * x[0]

    with pytest.raises(ValueError, match="read-only"):
        tg.grad(f)(np.array([1.0]))


def test_numbers_with_a_derivative_are_refused_and_the_way_out_works():
    refused = {
        "float": (lambda x: float(2.0 * x) * x, lambda x: float(stop(2.0 * x)) * x),
        "fmean": (
            lambda x: statistics.fmean([x, x]) * x,
            lambda x: statistics.fmean([float(stop(x)), float(stop(x))]) * x * 2.0,
        ),
        "mean": (
            lambda x: statistics.mean([x, x]) * x,
            lambda x: statistics.mean([float(stop(x)), float(stop(x))]) * x * 2.0,
        ),
    }
    for function, way_out in refused.values():
        with pytest.raises(LostDerivativeError, match=r"write tapegrad\.stop_gradient\(x\)"):
            tg.grad(function)(3.0)
        derivative = tg.grad(way_out)
        assert [derivative(x) for x in (3.0, 5.0)] == [6.0, 10.0]
    bound = [math.frexp]
    without_rule = {
        "frexp": lambda x: math.frexp(x)[1],
        "ulp": lambda x: math.ulp(x),
        "nextafter": lambda x: np.nextafter(x, 1.0),
        "airy": lambda x: scipy.special.airy(x)[0],
        "bound": lambda x: bound[0](x)[1],
    }
    for name, function in without_rule.items():
        error = LostDerivativeError if name == "bound" else UnsupportedFunctionError
        with pytest.raises(error, match=r"has no rule(?s:.*)tapegrad\.stop_gradient\(x\)"):
            tg.grad(lambda x, f=function: f(x) * x)(3.0)
        derivative = tg.grad(lambda x, f=function: f(stop(x)) * x)
        assert [derivative(x) for x in (3.0, 5.0)] == [function(3.0), function(5.0)]


def test_an_integer_array_of_nan_is_numpys():
    derivative = tg.value_and_grad(lambda x: np.sum(x.astype(int) * x))
    assert derivative(np.array([2.5]))[0] == 5.0
    with pytest.warns(RuntimeWarning, match="invalid value"):
        value, _ = derivative(np.array([nan]))
    assert math.isnan(value)
    assert derivative(np.array([3.5]))[0] == 10.5
    with pytest.raises(ValueError, match="NaN"):
        tg.grad(lambda x: x * int(x))(nan)


def test_a_rounding_tells_the_zeros_apart():
    derivative = tg.value_and_grad(lambda x: math.copysign(1.0, round(x, 1)) + x)
    for x in (0.01, -0.01, 0.0, -0.0, 0.02):
        assert derivative(x) == (math.copysign(1.0, x) + x, 1.0)


@pytest.mark.parametrize("sequence", [[1.0, 2.0], (1.0,), "a", b"a", bytearray(b"a")], ids=repr)
def test_a_whole_float_repeats_no_sequence(sequence):
    ways = (lambda x: x * sequence, lambda x: sequence * x, lambda x: (x > 1.0) * sequence)
    for function in ways:
        # Of NumPy's booleans it is deprecated at first.
        with pytest.raises((TypeError, DeprecationWarning), match=r"can't multiply|be an error"):
            function(np.float64(2.0))
        with pytest.raises(TypeError, match="can't multiply a"):
            tg.grad(lambda x, f=function: f(x))(2.0)
    assert tg.grad(lambda x: x * len(sequence * int(x)))(2.0) == 2.0 * len(sequence)


@numba.njit
def rounded_in_numba(x):
    return math.copysign(1.0, round(x, 1)) + x


def test_a_compiled_rounding_tells_the_zeros_apart_too():
    derivative = tg.value_and_grad(rounded_in_numba)
    for x in (0.01, -0.01, 0.0, -0.0, 0.02, -3.14):
        assert derivative(x) == (math.copysign(1.0, x) + x, 1.0)
