"""SciPy's special functions that are blocks: mpmath is the oracle of their derivatives, SciPy of
their values, and their rows of second derivatives and of what mpmath lacks."""

from __future__ import annotations

import contextlib
import functools

import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.special._ufuncs

import tapegrad as tg
from tapegrad.errors import UnsupportedFunctionError
from tapegrad.special.whole_arrays import KERNELS
from tapegrad.special_table import FUNCTIONS, documentation
from tests.against_numpy import recorded_outcome

mp = mpmath.MPContext()
mp.dps = 40


def function_of(name):
    private = getattr(scipy.special._ufuncs, name, None)  # which SciPy's versions differ in
    return getattr(scipy.special, name, private)


def had(names):
    return [name for name in names if function_of(name) is not None]


# --- the oracle -------------------------------------------------------------------------------


def lower_gamma(a, x):
    if x > a + 1:
        return 1 - mp.gammainc(a, x, mp.inf, regularized=True)
    return mp.gammainc(a, 0, x, regularized=True)


def lower_beta(a, b, x):
    if x > a / (a + b):
        return 1 - lower_beta(b, a, 1 - x)
    series = mp.hyp2f1(a, 1 - b, a + 1, x) / a
    return x**a * series * mp.gamma(a + b) / mp.gamma(a) / mp.gamma(b)


def student(df, t):
    tail = lower_beta(df / 2, mp.mpf(1) / 2, df / (df + t * t)) / 2
    return tail if t < 0 else 1 - tail


def fisher(n, d, x):
    return lower_beta(n / 2, d / 2, n * x / (n * x + d))


def dawson(x):
    return mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x)


def voigt(x, s, g):
    z = (x + mp.mpc(0, 1) * g) / (s * mp.sqrt(2))
    return mp.re(mp.exp(-z * z) * mp.erfc(mp.mpc(0, -1) * z)) / (s * mp.sqrt(2 * mp.pi))


GAMMA = [(a, x) for a in (0.01, 0.6, 3.0, 28.0, 200.0) for x in (0.02, a * 0.8, a + 0.3, a * 1.6)]
NEAR = [(a, x) for a, x in GAMMA if x > 0.3 * a]
BETA = [
    (a, b, x) for a in (0.05, 0.8, 4.0, 70.0) for b in (0.3, 5.0, 90.0) for x in (0.05, 0.5, 0.93)
]
BETA = [point for point in BETA if 1e-15 < scipy.special.betainc(*point) < 1.0 - 1e-15]
HALF_LINE = [0.03, 0.6, 1.7, 5.0, 19.0]
ORDERS = [(v, x) for v in (0.0, 0.4, 2.0, -1.3, 7.5) for x in (0.1, 1.3, 12.0)]

EXACT = {  # the function as mpmath has it, and points
    "gammainc": (lower_gamma, GAMMA),
    "gammaincc": (lambda a, x: 1 - lower_gamma(a, x), NEAR),
    "chdtr": (lambda v, x: lower_gamma(v / 2, x / 2), GAMMA),
    "chdtrc": (lambda v, x: 1 - lower_gamma(v / 2, x / 2), NEAR),
    "gdtr": (lambda a, b, x: lower_gamma(b, a * x), [(0.7, 2.0, 3.0), (2.0, 40.0, 18.0)]),
    "gdtrc": (lambda a, b, x: 1 - lower_gamma(b, a * x), [(0.7, 2.0, 3.0), (2.0, 40.0, 18.0)]),
    "pdtr": (lambda k, m: 1 - lower_gamma(mp.floor(k) + 1, m), [(0.0, 0.3), (7.4, 9.0)]),
    "pdtrc": (lambda k, m: lower_gamma(mp.floor(k) + 1, m), [(0.0, 0.3), (7.4, 9.0)]),
    "betainc": (lower_beta, BETA),
    "betaincc": (lambda a, b, x: 1 - lower_beta(a, b, x), BETA),
    "stdtr": (student, [(v, t) for v in (0.7, 3.0, 19.0, 45.0) for t in (-8.0, -0.2, 1.3, 4.0)]),
    "fdtr": (fisher, [(3.0, 4.0, 1.2), (0.5, 9.0, 0.01), (40.0, 12.0, 2.0)]),
    "fdtrc": (lambda *p: 1 - fisher(*p), [(3.0, 4.0, 1.2), (0.5, 9.0, 0.01), (40.0, 12.0, 2.0)]),
    "j0": (lambda x: mp.besselj(0, x), HALF_LINE),
    "j1": (lambda x: mp.besselj(1, x), HALF_LINE),
    "jv": (mp.besselj, ORDERS),
    "y0": (lambda x: mp.bessely(0, x), HALF_LINE),
    "y1": (lambda x: mp.bessely(1, x), HALF_LINE),
    "yv": (mp.bessely, ORDERS),
    "iv": (mp.besseli, [(v, x) for v, x in ORDERS if v % 1]),
    "ive": (lambda v, x: mp.exp(-x) * mp.besseli(v, x), [(v, x) for v, x in ORDERS if v % 1]),
    "k0": (lambda x: mp.besselk(0, x), HALF_LINE),
    "k1": (lambda x: mp.besselk(1, x), HALF_LINE),
    "k0e": (lambda x: mp.exp(x) * mp.besselk(0, x), HALF_LINE),
    "k1e": (lambda x: mp.exp(x) * mp.besselk(1, x), HALF_LINE),
    "kn": (mp.besselk, [(0.0, 0.4), (3.0, 0.4), (3.0, 9.0)]),
    "kv": (mp.besselk, [*ORDERS, (30.0, 2.0)]),
    "kve": (lambda v, x: mp.exp(x) * mp.besselk(v, x), [*ORDERS, (0.3, 900.0)]),
    "hyp0f1": (mp.hyp0f1, [(1.2, 0.4), (0.3, -5.0)]),
    "hyp1f1": (mp.hyp1f1, [(0.3, 1.2, 0.4), (2.0, 3.5, -6.0)]),
    "hyp2f1": (mp.hyp2f1, [(0.3, 0.7, 1.2, 0.4), (1.0, 2.0, 3.5, -2.0)]),
    "hyperu": (mp.hyperu, [(0.3, 1.2, 0.4), (2.0, 0.5, 6.0)]),
    "ellipk": (mp.ellipk, [-3.0, -0.06, -1e-3, 0.0, 1e-9, 0.04, 0.97, 0.3]),
    "ellipe": (mp.ellipe, [-3.0, -0.06, -1e-3, 0.0, 1e-9, 0.04, 0.97, 0.3]),
    "ellipkinc": (mp.ellipf, [(0.7, 0.3), (1.2, -2.0)]),
    "ellipeinc": (mp.ellipe, [(0.7, 0.3), (1.2, -2.0)]),
    "exp1": (mp.e1, HALF_LINE),
    "expi": (mp.ei, [*HALF_LINE, -0.7]),
    "expn": (mp.expint, [(0.0, 0.7), (1.0, 0.7), (4.0, 2.0)]),
    "erfi": (mp.erfi, [-0.4, 0.0, 0.7, 4.0]),
    "dawsn": (dawson, [-20.0, -0.4, 0.0, 0.7, 4.0, 9.0, 300.0]),
    "voigt_profile": (
        voigt,
        [(0.7, 0.4, 0.3), (9.0, 0.4, 0.3), (-2.0, 1.5, 0.01), (40.0, 1.0, 2.0)],
    ),
    "spence": (lambda x: mp.polylog(2, 1 - x), [0.1, 0.999, 1.0, 1.7, 1.9]),
    "rgamma": (mp.rgamma, [-2.3, -2.0, -0.6, 0.0, 0.2, 0.7, 4.0]),
    "poch": (mp.rf, [(0.7, 1.2), (30.0, 0.5)]),
    "binom": (mp.binomial, [(5.3, 1.2), (40.0, 7.0)]),
    "_zeta": (mp.zeta, [(2.3, 0.7), (1.01, 3.0), (8.0, 40.0), (30.0, 1.0)]),
    "_riemann_zeta": (mp.zeta, [-3.3, -2.0, -1.0, 0.4, 1.2, 2.3, 30.0]),
    "powm1": (lambda x, y: x**y - 1, [(0.7, 1.2), (3.0, -0.4)]),
    "boxcox1p": (
        lambda x, p: mp.log1p(x) if p == 0 else mp.expm1(p * mp.log1p(x)) / p,
        [(0.7, 1.2), (1e-9, 0.4), (0.7, -2.0)],
    ),
    "inv_boxcox1p": (
        lambda y, p: mp.expm1(mp.log1p(p * y) / p),
        [(0.7, 1.2), (0.3, 0.04), (0.2, -2.0)],
    ),
    "owens_t": (
        lambda h, a: mp.quad(
            lambda t: mp.exp(-h * h * (1 + t * t) / 2) / (1 + t * t) / 2 / mp.pi, [0, a]
        ),
        [(0.4, 0.7), (-2.0, 1.8)],
    ),
    "gammaincinv": (None, [(0.3, 0.2), (7.0, 0.9)]),
}
INVERSES = {  # of which function, by which operand
    "gammaincinv": (lower_gamma, [(0.3, 0.2), (7.0, 0.9), (70.0, 0.01)]),
    "gammainccinv": (lambda a, x: 1 - lower_gamma(a, x), [(0.3, 0.2), (7.0, 0.9)]),
    "chdtri": (lambda v, x: 1 - lower_gamma(v / 2, x / 2), [(3.0, 0.2), (9.0, 0.95)]),
    "gdtrix": (lambda a, b, x: lower_gamma(b, a * x), [(0.7, 2.0, 0.3)]),
    "pdtri": (lambda k, m: 1 - lower_gamma(mp.floor(k) + 1, m), [(3.0, 0.4)]),
    "betaincinv": (lower_beta, [(0.8, 3.0, 0.4), (20.0, 3.0, 0.1)]),
    "betainccinv": (lambda a, b, x: 1 - lower_beta(a, b, x), [(0.8, 3.0, 0.4)]),
    "stdtrit": (student, [(3.0, 0.7), (40.0, 0.02)]),
    "fdtri": (fisher, [(3.0, 4.0, 0.2), (9.0, 30.0, 0.7)]),
}
del EXACT["gammaincinv"]


def as_points(points):
    return [point if isinstance(point, tuple) else (point,) for point in points]


def differentiable(name):
    """The operands by which there is a rule that isn't zero."""
    return [k for k, text in enumerate(FUNCTIONS[name].partials) if text not in (None, "0")]


def slope(exact, point, k):
    """By mpmath's differences, of a step that resolves a point near a boundary."""
    point = [mp.mpf(x) for x in point]
    by_one = lambda x: exact(*point[:k], x, *point[k + 1 :])  # noqa: E731
    return mp.re(mp.diff(by_one, point[k], h=mp.mpf(10) ** -12 * max(abs(point[k]), mp.mpf(1e-4))))


def assert_within(found, wanted, name, point, k, rounding=0.0):
    error = abs(mp.mpf(float(found)) - wanted)
    assert error <= (FUNCTIONS[name].within + rounding) * abs(wanted) + 1e-300, (
        name, point, k, float(found), float(wanted), float(error / abs(wanted)),
    )  # fmt: skip


@pytest.mark.parametrize("name", had(EXACT))
def test_derivatives_are_as_exact_as_the_table_says(name):
    exact, points = EXACT[name]
    points = as_points(points)
    function = function_of(name)
    columns = np.transpose(points)
    for k in differentiable(name):
        fixed = functools.partial(_with, function, columns, k)
        value, pull = tg.vjp(fixed, columns[k])
        np.testing.assert_array_equal(value, function(*columns))
        for one, point in zip(pull(np.ones(len(points)))[0], points, strict=True):
            wanted = slope(exact, point, k)
            # What an ulp in the point does to the derivative is no error of it.
            moved = [x * (1 + mp.mpf(10) ** -9) for x in map(mp.mpf, point)]
            bend = abs(slope(exact, moved, k) / wanted - 1) * 10**9 if wanted else mp.mpf(0)
            assert_within(one, wanted, name, point, k, 4e-16 * float(bend))


def _with(function, columns, k, x):
    return function(*columns[:k], x, *columns[k + 1 :])


@pytest.mark.parametrize("name", had(INVERSES))
def test_derivatives_of_inverses_are_as_exact_as_their_values(name):
    exact, points = INVERSES[name]
    function = function_of(name)
    for point in points:
        found = function(*point)
        solved = [*map(mp.mpf, point[:-1]), mp.mpf(float(found))]
        by_result = slope(exact, solved, len(point) - 1)
        for k in differentiable(name):
            fixed = functools.partial(_with, function, point, k)
            assert tg.value_and_grad(fixed)(float(point[k]))[0] == found
            is_last = k == len(point) - 1
            wanted = (mp.mpf(1) if is_last else -slope(exact, solved, k)) / by_result
            assert_within(tg.grad(fixed)(float(point[k])), wanted, name, point, k, 1e-12)


# --- what mpmath lacks, and second derivatives ------------------------------------------------

OTHERS = {
    "pdtrik": (0.4, 5.0), "_beta_ppf": (0.4, 2.0, 3.0), "_beta_pdf": (0.4, 2.0, 3.0),
    "bdtr": (2.0, 5, 0.3), "bdtrc": (2.0, 5, 0.3), "bdtri": (2.0, 5, 0.3),
    "nbdtr": (2.0, 5, 0.3), "nbdtrc": (2.0, 5, 0.3), "nbdtri": (2.0, 5, 0.3),
    "_binom_pmf": (2.0, 5, 0.3), "_binom_cdf": (2.0, 5, 0.3), "_binom_sf": (2.0, 5, 0.3),
    "_nbinom_pmf": (2.0, 5.3, 0.3), "_nbinom_cdf": (2.0, 5.3, 0.3), "_nbinom_sf": (2.0, 5.3, 0.3),
    "_binom_ppf": (0.4, 5.0, 0.3), "_binom_isf": (0.4, 5.0, 0.3), "_nbinom_ppf": (0.4, 5.3, 0.3),
    "_nbinom_isf": (0.4, 5.3, 0.3), "_cauchy_ppf": (0.3, 0.5, 1.4), "_cauchy_isf": (0.3, 0.5, 1.4),
    "_cosine_cdf": (0.4,), "_cosine_invcdf": (0.4,), "_landau_pdf": (0.4, 0.1, 1.3),
    "_landau_cdf": (0.4, 0.1, 1.3), "_landau_sf": (0.4, 0.1, 1.3), "_landau_ppf": (0.4, 0.1, 1.3),
    "_landau_isf": (0.4, 0.1, 1.3), "_skewnorm_cdf": (0.4, 0.1, 1.3, 2.0),
    "_skewnorm_ppf": (0.4, 0.1, 1.3, 2.0), "_skewnorm_isf": (0.4, 0.1, 1.3, 2.0),
    "_invgauss_ppf": (0.4, 0.8, 1.0), "_invgauss_isf": (0.4, 0.8, 1.0),
    "chndtr": (3.0, 2.5, 1.3), "_ncx2_sf": (3.0, 2.5, 1.3), "chndtrix": (0.3, 2.5, 1.3),
    "_ncx2_isf": (0.3, 2.5, 1.3), "_ncx2_pdf": (3.0, 1.2, 1.3), "ncfdtr": (3.0, 5.0, 1.3, 1.7),
    "_ncf_sf": (1.7, 3.0, 5.0, 1.3), "ncfdtri": (3.0, 5.0, 1.3, 0.3),
    "_ncf_isf": (0.3, 3.0, 5.0, 1.3), "_ncf_pdf": (1.7, 3.0, 5.0, 1.3), "nctdtr": (3.0, 0.7, 1.1),
    "_nct_sf": (1.1, 3.0, 0.7), "nctdtrit": (3.0, 0.7, 0.4), "_nct_isf": (0.4, 3.0, 0.7),
    "_nct_pdf": (1.1, 3.0, 0.7), "ndtri_exp": (-30.0,), "tklmbda": (0.7, -1.2),
    "kolmogorov": (0.9,), "_kolmogc": (0.9,), "kolmogi": (0.4,), "_kolmogci": (0.4,),
    "_kolmogp": (0.9,), "smirnov": (5.0, 0.3), "_smirnovc": (5.0, 0.3), "smirnovi": (5.0, 0.3),
    "_smirnovci": (5.0, 0.3), "_smirnovp": (5.0, 0.3), "_log1mexp": (-0.7,), "yn": (2.0, 1.3),
    "wrightomega": (0.7,), "_gen_harmonic": (12.0, 0.7),
    "_normalized_gen_harmonic": (3.0, 7.0, 12.0, 0.7),
    "_hypergeom_pmf": (2.0, 7.0, 12.0, 20.0), "_hypergeom_cdf": (2.0, 7.0, 12.0, 20.0),
    "_hypergeom_sf": (2.0, 7.0, 12.0, 20.0), "_nbinom_mean": (5.3, 0.3),
    "_nbinom_variance": (5.3, 0.3), "_nbinom_skewness": (5.3, 0.3),
    "_nbinom_kurtosis_excess": (5.3, 0.3), "_ncf_mean": (3.0, 9.0, 1.3),
    "_ncf_variance": (3.0, 9.0, 1.3), "_nct_mean": (5.0, 0.7), "_nct_variance": (5.0, 0.7),
}  # fmt: skip
POINTS = {name: as_points(points)[-1] for name, (_, points) in [*EXACT.items(), *INVERSES.items()]}
POINTS |= OTHERS


def differences(function, x):
    """Return a derivative by Richardson's extrapolation, and the best of its estimates."""
    table, h = [], 0.05 * max(abs(x), 0.1)
    for i in range(7):
        step = h / 2**i
        row = [(function(x + step) - function(x - step)) / (2.0 * step)]
        for j in range(i):
            row.append(row[j] + (row[j] - table[-1][j]) / (4.0 ** (j + 1) - 1.0))
        table.append(row)
    return min((abs(table[i][-1] - table[i - 1][-1]), table[i][-1]) for i in range(2, 7))[1]


def test_every_row_has_a_point():
    assert set(POINTS) == {name for name, row in FUNCTIONS.items() if row.is_scipys}


@pytest.mark.parametrize("name", had(OTHERS))
def test_derivatives_agree_with_differences_of_scipys_values(name):
    point, function = OTHERS[name], function_of(name)
    for k, text in enumerate(FUNCTIONS[name].partials):
        fixed = functools.partial(_with, function, point, k)
        if text is None:
            with pytest.raises(UnsupportedFunctionError, match=f"no rule for the derivative by "
                               f"{FUNCTIONS[name].operands[k]}"):  # fmt: skip
                tg.grad(fixed)(float(point[k]))
        else:
            value, found = tg.value_and_grad(fixed)(float(point[k]))
            assert value == function(*point)
            wanted = 0.0 if text == "0" else differences(fixed, point[k])
            assert found == pytest.approx(wanted, rel=1e-8, abs=1e-13), (name, k)


@pytest.mark.parametrize("name", had(POINTS))
def test_second_derivatives_agree_with_differences_or_are_refused(name):
    point, function = POINTS[name], function_of(name)
    for k in differentiable(name):
        first = tg.grad(functools.partial(_with, function, point, k))
        with contextlib.suppress(UnsupportedFunctionError):
            found, wanted = tg.grad(first)(float(point[k])), differences(first, point[k])
            assert found == pytest.approx(wanted, rel=2e-7, abs=1e-9), (name, k)


def test_a_derivative_by_a_parameter_of_order_two_is_refused_and_by_the_argument_is_not():
    with pytest.raises(UnsupportedFunctionError, match=r"gammainc_by_a\(a, x\) has no rule"):
        tg.grad(tg.grad(lambda a: scipy.special.gammainc(a, 1.3)))(0.7)
    hessian = tg.hessian(lambda x: scipy.special.gammainc(2.5, x))(1.3)
    density = 1.3**1.5 * np.exp(-1.3) / scipy.special.gamma(2.5)
    assert hessian == pytest.approx(density * (1.5 / 1.3 - 1.0), rel=1e-14)
    mixed = tg.grad(lambda a: tg.grad(lambda x: scipy.special.gammainc(a, x))(1.3))(2.5)
    assert mixed == pytest.approx(density * (np.log(1.3) - scipy.special.psi(2.5)), rel=1e-14)


def test_any_derivative_by_an_order_of_kv_has_a_rule():
    third = tg.grad(tg.grad(tg.grad(lambda v: scipy.special.kv(v, 1.3))))(0.4)
    wanted = mp.diff(lambda v: mp.besselk(v, mp.mpf(1.3)), mp.mpf(0.4), 3)
    assert third == pytest.approx(float(wanted), rel=1e-13)


def test_the_documentation_shows_every_row_with_its_accuracy():
    header, *lines = documentation().splitlines()
    assert header.split("  ")[0] == "function"
    assert [line.partition("(")[0] for line in lines] == list(FUNCTIONS)
    for line, row in zip(lines, FUNCTIONS.values(), strict=True):
        assert f" {row.within:g} " in line
        assert all((text or "no rule") in line for text in row.partials)


# --- far out ----------------------------------------------------------------------------------

FAR = [
    ("gammainc_by_a", (1e6, 1.0005e6), lower_gamma, (0,)),
    ("gammainc_by_a", (1e-8, 1e-30), lower_gamma, (0,)),
    (
        "gammainc_by_a",
        (0.5, 300.0),
        lambda a, x: -mp.gammainc(a, x, mp.inf, regularized=True),
        (0,),
    ),
    ("gammainc_by_a", (50.0, 1e-3), lower_gamma, (0,)),
    ("stdtr_by_df", (1e5, 2.0), student, (0,)),
    ("stdtr_by_df", (1e4, -0.1), student, (0,)),
]


@pytest.mark.parametrize(("name", "point", "exact", "orders"), FAR)
def test_derivatives_by_parameters_are_exact_far_out(name, point, exact, orders):
    mp.dps = 60
    try:
        wanted = slope(exact, point, 0)
    finally:
        mp.dps = 40
    assert KERNELS[name](*point) == pytest.approx(float(wanted), rel=2e-12)


@pytest.mark.parametrize(
    ("name", "point", "k", "wanted"),
    [
        ("gammainc", (2.5, 0.0), 0, 0.0),
        ("gammainc", (2.5, 0.0), 1, 0.0),
        ("gammainc", (1.0, 0.0), 1, 1.0),
        ("gammainc", (0.5, 0.0), 1, np.inf),
        ("gammainc", (2.5, np.inf), 1, 0.0),
        ("gammainc", (2.5, np.inf), 0, 0.0),
        ("gammainc", (np.nan, 1.0), 0, np.nan),
        ("betainc", (2.0, 3.0, 0.0), 0, 0.0),
        ("betainc", (2.0, 3.0, 1.0), 1, 0.0),
        ("betainc", (1.0, 3.0, 0.0), 2, 3.0),
        ("betainc", (2.0, 1.0, 1.0), 2, 2.0),
        ("betainc", (2.0, 3.0, np.nan), 2, np.nan),
        ("stdtr", (3.0, 0.0), 0, 0.0),
        ("stdtr", (3.0, np.inf), 1, 0.0),
        ("stdtr", (np.inf, 0.0), 1, 0.3989422804014327),
        ("kv", (2.0, 0.0), 0, np.inf),
        ("kv", (-2.0, 5e-324), 0, -np.inf),
        ("kv", (0.0, 0.0), 0, 0.0),
        ("kv", (2.0, np.inf), 0, 0.0),
        ("spence", (0.0,), 0, -np.inf),
        ("j1", (0.0,), 0, 0.5),
        ("jv", (2.0, 0.0), 1, 0.0),
        ("dawsn", (np.inf,), 0, 0.0),
        ("bdtr", (5.0, 5.0, 0.3), 2, 0.0),
        ("_cosine_cdf", (4.0,), 0, 0.0),
    ],
)  # fmt: skip
def test_a_derivative_at_an_edge_is_its_limit(name, point, k, wanted):
    fixed = functools.partial(_with, function_of(name), point, k)
    found = tg.grad(fixed)(float(point[k]))
    assert found == pytest.approx(wanted, rel=1e-15, nan_ok=True)


@pytest.mark.parametrize("name", ["gammainc", "betainc", "stdtr", "kv", "jv", "expi", "rgamma"])
def test_values_at_edges_have_scipys_bits(name):
    edges = np.array([0.0, -0.0, 1.0, -1.0, 2.5, np.inf, -np.inf, np.nan, 1e300, 5e-324])
    function = function_of(name)
    count = len(FUNCTIONS[name].operands)
    points = np.array(np.meshgrid(*[edges] * count)).reshape(count, -1)
    fixed = functools.partial(_with, function, points, count - 1)
    np.testing.assert_array_equal(recorded_outcome(fixed, points[-1]), function(*points))
