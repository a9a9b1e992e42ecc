"""scipy.special in recorded functions: mpmath is the oracle of values and derivatives, SciPy of
what they are at the edges of their domains."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.special

import tapegrad as tg
from tests.against_numpy import assert_same, outcome, recorded_outcome

mp = mpmath.MPContext()
mp.dps = 50
INF, NAN = np.inf, np.nan


# --- the oracle -------------------------------------------------------------------------------


def erfinv(x):
    return mp.erfinv(x)


def erfcinv(p):
    return -ndtri(p / 2) / mp.sqrt(2)


def ndtri(p):
    """By Newton's method on the logarithm of the smaller tail."""
    if p > 0.5:
        return -ndtri(1 - p)
    y = -mp.sqrt(-2 * mp.log(p)) if p < 0.1 else (p - 0.5) * 2
    for _ in range(60):
        value = mp.ncdf(y)
        step = (mp.log(value) - mp.log(p)) * value / mp.npdf(y)
        y -= step
        if abs(step) < mp.mpf(10) ** -45:
            break
    return y


def log_ndtr(x):
    return mp.log(mp.ncdf(x)) if x < 0 else mp.log1p(-mp.ncdf(-x))


def boxcox(x, power):
    return mp.log(x) if power == 0 else mp.expm1(power * mp.log(x)) / power


def inv_boxcox(y, power):
    return mp.exp(y) if power == 0 else mp.exp(mp.log1p(power * y) / power)


def huber(delta, r):
    return r * r / 2 if abs(r) <= delta else delta * (abs(r) - delta / 2)


def exprel(x):
    return mp.hyp1f1(1, 2, x)


def tails(low, high, count=9):
    return [10.0**k for k in np.linspace(low, high, count)]


def both_signs(numbers):
    return [*numbers, *(-x for x in numbers)]


LINE = both_signs([0.05, 0.3, 0.9, 1.7, 2.6, 4.4, 7.3])
HALF_LINE = [0.05, 0.3, 0.62, 0.97, 1.4616, 1.03, 1.96, 2.05, 3.3, 7.9, 12.5, 31.0]
UNIT = [1e-9, 0.01, 0.2, 0.26, 0.499, 0.51, 0.74, 0.8, 0.97]

ONE = {  # the function as mpmath has it, points inside, points so far out that only values count
    "erf": (mp.erf, LINE, tails(-300, -1)),
    "erfc": (mp.erfc, LINE, [12.0, 20.0, 26.0, -12.0]),
    "erfcx": (lambda x: mp.exp(x * x) * mp.erfc(x), LINE, [12.0, 24.9, 25.1, *tails(2, 5)]),
    "erfinv": (erfinv, both_signs(UNIT), [1e-300]),
    "erfcinv": (erfcinv, [*UNIT, 1.3, 1.8], [1e-300, 1e-100, 1e-20]),
    "ndtr": (mp.ncdf, LINE, [-15.0, -25.3, -36.9, 9.0]),
    "log_ndtr": (log_ndtr, LINE, [-15.0, -36.9, -1e3, -1e9, 9.0, 30.0, -1e-20]),
    "ndtri": (ndtri, UNIT, [1e-300, 1e-100, 1e-20]),
    "gammaln": (mp.loggamma, HALF_LINE, [1 + 1e-9, 2 - 1e-9, *tails(-300, 300)]),
    "loggamma": (mp.loggamma, HALF_LINE, tails(-300, 300)),
    "gamma": (mp.gamma, [*HALF_LINE, -0.6, -3.3, -7.9], [1e-300, 100.3, 170.9]),
    "psi": (mp.digamma, [*HALF_LINE, -0.6, -3.3], tails(-300, 300)),
    "digamma": (mp.digamma, [*HALF_LINE, -0.6, -3.3], []),
    "expit": (lambda x: 1 / (1 + mp.exp(-x)), LINE, both_signs([30.0, 300.0, 700.0])),
    "log_expit": (lambda x: -mp.log1p(mp.exp(-x)), LINE, both_signs([30.0, 300.0, 700.0])),
    "logit": (lambda x: mp.log(x / (1 - x)), UNIT, [1e-300, 0.5 + 1e-12]),
    "entr": (lambda x: -x * mp.log(x), HALF_LINE, tails(-300, 300)),
    "exprel": (exprel, LINE, [1e-300, -1e-9, 36.0, -36.0, 300.0, -300.0, 705.0, -1e9]),
    "exp10": (lambda x: mp.mpf(10) ** x, LINE, [300.0, -300.0]),
    "exp2": (lambda x: mp.mpf(2) ** x, LINE, [1000.5, -1000.5]),
    "expm1": (mp.expm1, LINE, [1e-300, 1e-9, 700.0]),
    "log1p": (mp.log1p, [-0.9, -0.3, *HALF_LINE], [1e-300, 1e-9, 1e300]),
    "cbrt": (mp.cbrt, HALF_LINE, tails(-300, 300)),
    "cosm1": (lambda x: -2 * mp.sin(x / 2) ** 2, LINE, [1e-150, 1e-9]),
    "i0": (lambda x: mp.besseli(0, x), LINE, both_signs([8.1, 40.0, 300.0, 712.0])),
    "i1": (lambda x: mp.besseli(1, x), LINE, both_signs([1e-300, 8.1, 40.0, 300.0, 712.0])),
    "i0e": (lambda x: mp.exp(-abs(x)) * mp.besseli(0, x), LINE, [8.1, 40.0, 1e6, 1e300]),
    "i1e": (lambda x: mp.exp(-abs(x)) * mp.besseli(1, x), LINE, [8.1, 40.0, 1e6, 1e300]),
}
GRID = [(x, y) for x in (0.07, 0.6, 1.3, 4.2, 17.0) for y in (0.11, 0.6, 1.31, 3.9, 23.0)]
TWO = {
    "xlogy": (lambda x, y: x * mp.log(y), GRID),
    "xlog1py": (lambda x, y: x * mp.log1p(y), GRID),
    "rel_entr": (lambda x, y: x * mp.log(x / y), GRID),
    "kl_div": (lambda x, y: x * mp.log(x / y) - x + y, [*GRID, (1.0, 1.0 + 1e-7), (1.0, 0.9)]),
    "beta": (mp.beta, GRID),
    "betaln": (lambda x, y: mp.log(mp.beta(x, y)), [*GRID, (300.0, 2.5), (1e5, 40.0)]),
    "boxcox": (boxcox, [(x, y) for x, y in GRID if y < 4] + [(0.4, -1.7), (3.0, 1e-9)]),
    "inv_boxcox": (inv_boxcox, [(x, y) for x, y in GRID if x < 4] + [(3.0, 1e-9)]),
    "huber": (huber, [*GRID, (1.2, -0.3), (1.2, -3.0)]),
    "pseudo_huber": (
        lambda d, r: d * d * (mp.sqrt(1 + (r / d) ** 2) - 1),
        [*GRID, (1.2, -0.3), (1.2, 1e-7), (1e-7, 1.2)],
    ),
}


def conditioned(function, point, wanted):
    """Return how far a relative error of an ulp in the point moves the result, relatively."""
    total = mp.mpf(0)
    for k, x in enumerate(point):
        moved = list(point)
        moved[k] = x * (1 + mp.mpf(10) ** -25)
        total += abs(function(*moved) - wanted) * mp.mpf(10) ** 25
    return float(total / abs(wanted)) if wanted else INF


def assert_close(found, function, points, tolerance=2e-15):
    """Assert results to be exact but for a few ulps, and what an ulp in the point does."""
    for one, point in zip(found, points, strict=True):
        exact = [mp.mpf(x) for x in point]
        wanted = mp.re(function(*exact))
        if abs(wanted) < 1e-290:
            assert abs(one) < 1e-289, point
            continue
        error = float(abs((mp.mpf(float(one)) - wanted) / wanted))
        if error > tolerance:
            allowed = tolerance + 4e-16 * conditioned(lambda *p: mp.re(function(*p)), exact, wanted)
            assert error <= allowed, (point, float(one), float(wanted), error, allowed)


def derivative(function, *orders):
    return lambda *point: mp.diff(function, point if len(point) > 1 else point[0],
                                  orders if len(point) > 1 else orders[0])  # fmt: skip


@pytest.mark.parametrize("name", ONE)
def test_a_function_of_one_number_and_its_derivatives(name):
    exact, points, far = ONE[name]
    function = getattr(scipy.special, name)
    everywhere = [(x,) for x in [*points, *far]]
    assert_close(recorded_outcome(function, np.ravel(everywhere)), exact, everywhere)
    points = [(x,) for x in points]
    x = np.ravel(points)
    first = tg.grad(lambda x: np.sum(function(x)))
    assert_close(first(x), derivative(exact, 1), points, 4e-15)
    second = tg.grad(lambda x: np.sum(first(x)))
    assert_close(second(x), derivative(exact, 2), points, 2e-13)
    assert tg.grad(function)(float(x[0])) == first(x)[0]


@pytest.mark.parametrize("name", TWO)
def test_a_function_of_two_numbers_and_its_derivatives(name):
    exact, points = TWO[name]
    function = getattr(scipy.special, name)
    x, y = np.transpose(points)
    assert_close(recorded_outcome(function, x, y), exact, points)
    by_both = tg.grad(lambda x, y: np.sum(function(x, y)), argnums=(0, 1))
    by_x, by_y = by_both(x, y)
    assert_close(by_x, derivative(exact, 1, 0), points, 8e-15)
    assert_close(by_y, derivative(exact, 0, 1), points, 8e-15)
    mixed = tg.grad(lambda y: np.sum(tg.grad(lambda x: np.sum(function(x, y)))(x)))(y)
    if name != "huber":  # whose second derivatives are zeros
        assert_close(mixed, derivative(exact, 1, 1), points, 2e-12)
    assert tg.grad(function)(float(x[0]), float(y[0])) == by_x[0]


@pytest.mark.parametrize("order", [0, 1, 2, 3, 5])
def test_polygamma_of_an_order(order):
    points = [(x,) for x in [*HALF_LINE, -0.6, -3.3, 1e-30, 1e9]]
    function = lambda x: scipy.special.polygamma(order, x)  # noqa: E731
    x = np.ravel(points)
    value, pull = tg.vjp(function, x)
    assert_close(value, lambda x: mp.psi(order, x), points, 1e-14)
    assert_close(pull(np.ones(len(x)))[0], lambda x: mp.psi(order + 1, x), points, 1e-14)


@pytest.mark.parametrize("order", [-1, 0, 1, 2, 3, 6])
def test_a_modified_bessel_function_of_an_order(order):
    points = [(x,) for x in [*LINE, 30.0, 300.0, -30.0]]
    exact = lambda x: mp.besseli(order, x)  # noqa: E731
    first = tg.grad(lambda x: np.sum(scipy.special.iv(order, x)))
    x = np.ravel(points)
    assert_close(recorded_outcome(lambda x: scipy.special.iv(order, x), x), exact, points)
    assert_close(first(x), derivative(exact, 1), points, 4e-15)


def test_derivatives_of_bessel_functions_at_zero_are_right_to_any_order():
    function = scipy.special.i1
    found = []
    for _ in range(4):
        function = tg.grad(function)
        found.append(function(0.0))
    assert found == pytest.approx([0.5, 0.0, 0.375, 0.0], rel=1e-15, abs=0.0)


def test_the_derivatives_at_a_box_cox_power_of_zero_are_those_of_the_logarithm():
    by_power = tg.grad(scipy.special.boxcox, argnums=1)
    assert by_power(3.0, 0.0) == pytest.approx(np.log(3.0) ** 2 / 2, rel=1e-15)
    assert tg.grad(by_power, argnums=1)(3.0, 0.0) == pytest.approx(np.log(3.0) ** 3 / 3, rel=1e-15)
    by_power = tg.grad(scipy.special.inv_boxcox, argnums=1)
    assert by_power(1.5, 0.0) == pytest.approx(-np.exp(1.5) * 1.5**2 / 2, rel=1e-14)


def test_a_derivative_of_an_inverse_is_exact_in_the_far_tail():
    p = [(1e-12,), (1e-100,), (1e-300,)]
    for name, exact in (("erfcinv", erfcinv), ("ndtri", ndtri)):
        found = tg.grad(lambda p, name=name: np.sum(getattr(scipy.special, name)(p)))(np.ravel(p))
        slope = lambda p, exact=exact: mp.diff(exact, p, h=p * mp.mpf(10) ** -20)  # noqa: E731
        assert_close(found, slope, p)


# --- edges ------------------------------------------------------------------------------------

EDGES = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, -1.5, 3.0, INF, -INF, NAN, 5e-324, -5e-324,
         1e-310, 1e300, -1e300, 1e5, -1e5, 170.0, 172.0, 800.0, -800.0]  # fmt: skip


def is_subnormal(x):
    return 0.0 < abs(x) < 1e-300


def is_far(*point):
    return any(not abs(x) < 100.0 or is_subnormal(x) for x in point)


# Where SciPy overflows, underflows, cancels or doesn't take the limit, and the table does better.
SCIPY_IS_OFF = {
    "erfcinv": is_subnormal,
    "gammaln": is_subnormal,
    "loggamma": is_subnormal,
    "i0": np.isinf,
    "i1": np.isinf,
    "kl_div": lambda x, y: is_subnormal(x) or is_subnormal(y) or {x, y} == {170.0, 172.0},
    "beta": is_far,
    "betaln": is_far,
    "inv_boxcox": lambda x, power: is_subnormal(power),
    "pseudo_huber": lambda delta, r: delta >= 1e300 or is_subnormal(delta) or abs(r) == 1e300,
}


def assert_edges(name, points):
    function = getattr(scipy.special, name)
    is_off = SCIPY_IS_OFF.get(name, lambda *point: False)
    for point in points:
        if not is_off(*point):
            found, wanted = recorded_outcome(function, *point), outcome(function, *point)
            assert_same(found, wanted, f"{name}{point}", rtol=3e-14)


@pytest.mark.parametrize("name", ONE)
def test_at_the_edges_a_function_is_what_scipy_has(name):
    assert_edges(name, [(x,) for x in EDGES])


@pytest.mark.parametrize("name", TWO)
def test_at_the_edges_a_function_of_two_is_what_scipy_has(name):
    assert_edges(name, [(x, y) for x in EDGES for y in EDGES])


@pytest.mark.parametrize(
    ("name", "point", "wanted"),
    [
        ("gammaln", (5e-324,), 744.4400719213812),
        ("gammaln", (1e-310,), 713.8013788281542),
        ("i0", (INF,), INF),
        ("i1", (-INF,), -INF),
        ("kl_div", (1.0, 5e-324), 743.4400719213812),
        ("kl_div", (170.0, 172.0), 0.011673240257482733),
        ("beta", (2.0, 1e5), 9.999900000999990e-11),
        ("beta", (-0.5, 1e300), -3.544907701811032e150),
        ("beta", (0.5, INF), 0.0),
        ("beta", (NAN, 0.0), NAN),
        ("betaln", (2.0, 1e5), -23.025860929890456),
        ("betaln", (1.0, 1e300), -690.7755278982137),
        ("inv_boxcox", (0.5, 5e-324), 1.6487212707001282),
        ("pseudo_huber", (INF, 3.0), 4.5),
        ("pseudo_huber", (5e-324, 1e300), 4.940656458412466e-24),
    ],
)
def test_where_scipy_is_off_the_table_has_the_limit(name, point, wanted):
    found = recorded_outcome(getattr(scipy.special, name), *point)
    assert_same(found, wanted, rtol=1e-14)


@pytest.mark.parametrize(
    ("function", "x", "wanted"),
    [
        (lambda x: scipy.special.xlogy(x, 0.0), 0.0, -INF),
        (lambda y: scipy.special.xlogy(0.0, y), 0.0, 0.0),
        (lambda y: scipy.special.xlog1py(0.0, y), -1.0, 0.0),
        (scipy.special.entr, 0.0, INF),
        (scipy.special.gammaln, INF, INF),
        (scipy.special.log_ndtr, -INF, INF),
        (scipy.special.log_ndtr, INF, 0.0),
        (scipy.special.ndtr, INF, 0.0),
        (scipy.special.ndtri, 0.0, INF),
        (scipy.special.erfcinv, 0.0, -INF),
        (scipy.special.erfinv, -1.0, INF),
        (scipy.special.logit, 0.0, INF),
        (scipy.special.exprel, 0.0, 0.5),
        (scipy.special.exprel, -INF, 0.0),
        (scipy.special.i0e, 0.0, 0.0),
        (lambda r: scipy.special.huber(1.0, r), -INF, -1.0),
    ],
)
def test_a_derivative_at_an_edge_is_its_limit(function, x, wanted):
    assert tg.grad(function)(x) == wanted


def test_the_list_of_supported_functions_names_them_all():
    assert {f"scipy.special.{name}" for name in [*ONE, *TWO]} <= set(tg.supported())
