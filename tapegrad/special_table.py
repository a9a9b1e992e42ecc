"""The table of SciPy's special functions that are computed by whole arrays, and their calculus.

A row gives a function's name, its operands, and by each its partial derivative: an expression in
the operands and the computed value `z`, made of NumPy's and SciPy's functions, of rows and of
what `special.whole_arrays` has, so that it has derivatives itself. None says that there is no rule
by an operand, zero that the function is constant in it. `within` is the relative accuracy of the
partial derivatives. The values are SciPy's own; those of parts, which derivatives are made of
and SciPy lacks, are in `special.whole_arrays`. Of an operand `y` that is 1 - x there is no
derivative, as the one by `x` tells all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from tapegrad.expression import Expression, Name, Number, parse
from tapegrad.ops import CONSTANTS, aligned

_CONSTANTS = {**CONSTANTS, "PI": math.pi, "SQRT_2": math.sqrt(2.0)}


@dataclass(frozen=True)
class Function:
    """One row: a function of arrays, elementwise.

    Attributes
    ----------
    name : str
        What scipy.special, or its module of private functions, calls it.
    operands : tuple of str
    partials : tuple of (str or None)
    within : float
        How far the partial derivatives are off, relatively, where they're well conditioned.
    is_scipys : bool
        Whether SciPy has it.
    where : dict
        Expressions that partial derivatives share, by name.
    whole : str
        The operand that SciPy wants as an integer if it's whole.
    """

    name: str
    operands: tuple[str, ...]
    partials: tuple[str | None, ...]
    within: float
    is_scipys: bool
    where: dict[str, str] = field(default_factory=dict)
    whole: str = ""

    def __hash__(self) -> int:
        return hash(self.name)

    @cached_property
    def trees(self) -> tuple[Expression | None, ...]:
        """The partial derivatives, parsed."""
        return tuple(None if text is None else parse(text, self._named) for text in self.partials)

    def _named(self, name: str) -> Expression:
        if name in self.operands or name == "z":
            return Name(name)
        if name in _CONSTANTS:
            return Number(_CONSTANTS[name])
        return parse(self.where[name], self._named)


FUNCTIONS: dict[str, Function] = {}
"""The rows, by name."""


def _rows(is_scipys: bool) -> Callable[..., None]:
    def row(name: str, operands: str, *partials: str | None, within: float = 1e-13,
            whole: str = "", **where: str) -> None:  # fmt: skip
        names = tuple(operands.split())
        assert len(names) == len(partials), name
        FUNCTIONS[name] = Function(name, names, partials, within, is_scipys, where, whole)

    return row


_row, _part = _rows(True), _rows(False)

# fmt: off
# --- what derivatives are made of -----------------------------------------------------------
_part("gamma_density", "a x", "z * (log(x) - psi(a))", "z * ((a - 1.0) / x - 1.0)")
_part("gammainc_by_a", "a x", None, "gamma_density(a, x) * (log(x) - psi(a))")
_part("beta_density", "a b x y", "z * (log(x) + digamma_rise(a, b))",
      "z * (log(y) + digamma_rise(b, a))", "z * ((a - 1.0) / x - (b - 1.0) / y)", "0")
_part("betainc_by_a", "a b x y", None, None,
      "beta_density(a, b, x, y) * (log(x) + digamma_rise(a, b))", "0")
_part("t_density", "df t", "z * t_score(df, t)", "-z * (df + 1.0) * t / (df + t * t)")
_part("t_score", "df t", None, "(df + 1.0) * t / s * (1.0 / s) - t / s", s="df + t * t")
_part("stdtr_by_df", "df t", None, "t_density(df, t) * t_score(df, t)")
_part("kve_moment", "n v x", "0", "kve_moment(n + 1.0, v, x)",
      "z - 0.5 * (kve_moment(n, v - 1.0, x) + kve_moment(n, v + 1.0, x))")
_part("zeta_by_order", "s q", None, "-_zeta(s + 1.0, q) - s * zeta_by_order(s + 1.0, q)")
_part("harmonic_slope", "first last a", "0", "0", None)
_part("ellipk_slope", "m", "9.0 * PI / 64.0 * hyp2f1(2.5, 2.5, 3.0, m)", within=1e-11)
_part("ellipe_slope", "m", "-3.0 * PI / 64.0 * hyp2f1(1.5, 2.5, 3.0, m)", within=1e-11)
_part("wofz_real", "x y", "wofz_slope_real(x, y)", "-wofz_slope_imaginary(x, y)")
_part("wofz_imaginary", "x y", "wofz_slope_imaginary(x, y)", "wofz_slope_real(x, y)")
_part("wofz_slope_real", "x y", "-2.0 * (wofz_real(x, y) + x * z - y * i)",
      "2.0 * (wofz_imaginary(x, y) + x * i + y * z)", within=1e-11,
      i="wofz_slope_imaginary(x, y)")
_part("wofz_slope_imaginary", "x y", "-2.0 * (wofz_imaginary(x, y) + x * z + y * r)",
      "-2.0 * (wofz_real(x, y) + x * r - y * z)", within=1e-11, r="wofz_slope_real(x, y)")

# --- incomplete gamma functions -------------------------------------------------------------
_row("gammainc",  "a x", "gammainc_by_a(a, x)",  "gamma_density(a, x)")
_row("gammaincc", "a x", "-gammainc_by_a(a, x)", "-gamma_density(a, x)")
_row("gammaincinv",  "a p", "-gammainc_by_a(a, z) / f", "1.0 / f",  f="gamma_density(a, z)")
_row("gammainccinv", "a p", "-gammainc_by_a(a, z) / f", "-1.0 / f", f="gamma_density(a, z)")
_row("chdtr",  "v x", "0.5 * gammainc_by_a(0.5 * v, 0.5 * x)",
     "0.5 * gamma_density(0.5 * v, 0.5 * x)")
_row("chdtrc", "v x", "-0.5 * gammainc_by_a(0.5 * v, 0.5 * x)",
     "-0.5 * gamma_density(0.5 * v, 0.5 * x)")
_row("chdtri", "v p", "-gammainc_by_a(0.5 * v, 0.5 * z) / f", "-2.0 / f",
     f="gamma_density(0.5 * v, 0.5 * z)")
_row("gdtr",  "a b x", "x * gamma_density(b, a * x)", "gammainc_by_a(b, a * x)",
     "a * gamma_density(b, a * x)")
_row("gdtrc", "a b x", "-x * gamma_density(b, a * x)", "-gammainc_by_a(b, a * x)",
     "-a * gamma_density(b, a * x)")
_row("gdtrix", "a b p", "-z / a", "-gammainc_by_a(b, a * z) / f", "1.0 / f",
     f="a * gamma_density(b, a * z)")
_row("pdtr",  "k m", "0", "-gamma_density(floor(k) + 1.0, m)")
_row("pdtrc", "k m", "0", "gamma_density(floor(k) + 1.0, m)")
_row("pdtri", "k p", "0", "-1.0 / gamma_density(floor(k) + 1.0, z)")
# What would be negative is 0.
_row("pdtrik", "p m", "-sign(z) / gammainc_by_a(z + 1.0, m)",
     "-sign(z) * gamma_density(z + 1.0, m) / gammainc_by_a(z + 1.0, m)")

# --- incomplete beta functions --------------------------------------------------------------
_row("betainc",  "a b x", "betainc_by_a(a, b, x, 1.0 - x)", "-betainc_by_a(b, a, 1.0 - x, x)",
     "beta_density(a, b, x, 1.0 - x)", within=1e-12)
_row("betaincc", "a b x", "-betainc_by_a(a, b, x, 1.0 - x)", "betainc_by_a(b, a, 1.0 - x, x)",
     "-beta_density(a, b, x, 1.0 - x)", within=1e-12)
_row("betaincinv",  "a b p", "-betainc_by_a(a, b, z, 1.0 - z) / f",
     "betainc_by_a(b, a, 1.0 - z, z) / f", "1.0 / f", within=1e-12,
     f="beta_density(a, b, z, 1.0 - z)")
_row("betainccinv", "a b p", "-betainc_by_a(a, b, z, 1.0 - z) / f",
     "betainc_by_a(b, a, 1.0 - z, z) / f", "-1.0 / f", within=1e-12,
     f="beta_density(a, b, z, 1.0 - z)")
_row("_beta_ppf", "p a b", "1.0 / f", "-betainc_by_a(a, b, z, 1.0 - z) / f",
     "betainc_by_a(b, a, 1.0 - z, z) / f", within=1e-12, f="beta_density(a, b, z, 1.0 - z)")
_row("_beta_pdf", "x a b", "z * ((a - 1.0) / x - (b - 1.0) / (1.0 - x))",
     "z * (log(x) + digamma_rise(a, b))", "z * (log1p(-x) + digamma_rise(b, a))")
_row("stdtr",   "df t", "stdtr_by_df(df, t)", "t_density(df, t)")
_row("stdtrit", "df p", "-stdtr_by_df(df, z) / t_density(df, z)", "1.0 / t_density(df, z)")
_row("fdtr",  "n d x",
     "0.5 * betainc_by_a(0.5 * n, 0.5 * d, u, v) + f * x * v / s",
     "-0.5 * betainc_by_a(0.5 * d, 0.5 * n, v, u) - f * u / s",
     "f * n * v / s", within=1e-12,
     s="d + n * x", u="n * x / s", v="d / s", f="beta_density(0.5 * n, 0.5 * d, u, v)")
_row("fdtrc", "n d x",
     "-0.5 * betainc_by_a(0.5 * n, 0.5 * d, u, v) - f * x * v / s",
     "0.5 * betainc_by_a(0.5 * d, 0.5 * n, v, u) + f * u / s",
     "-f * n * v / s", within=1e-12,
     s="d + n * x", u="n * x / s", v="d / s", f="beta_density(0.5 * n, 0.5 * d, u, v)")
_row("fdtri", "n d p",
     "-(0.5 * betainc_by_a(0.5 * n, 0.5 * d, u, v) * s / (f * v) + z) / n",
     "(0.5 * betainc_by_a(0.5 * d, 0.5 * n, v, u) * s / (f * v) + n * z / d) / n",
     "s / (f * n * v)", within=1e-12,
     s="d + n * z", u="n * z / s", v="d / s", f="beta_density(0.5 * n, 0.5 * d, u, v)")
_row("bdtr",  "k n p", "0", None, "-beta_density(n - k, floor(k) + 1.0, 1.0 - p, p)", whole="n")
_row("bdtrc", "k n p", "0", None, "beta_density(n - k, floor(k) + 1.0, 1.0 - p, p)", whole="n")
_row("bdtri", "k n q", "0", None, "-1.0 / beta_density(n - k, floor(k) + 1.0, 1.0 - z, z)",
     whole="n")
_row("nbdtr",  "k n p", "0", None, "beta_density(n, k + 1.0, p, 1.0 - p)")
_row("nbdtrc", "k n p", "0", None, "-beta_density(n, k + 1.0, p, 1.0 - p)")
_row("nbdtri", "k n q", "0", None, "1.0 / beta_density(n, k + 1.0, z, 1.0 - z)")
_row("_binom_pmf", "k n p", "0", None, "z * (k / p - (n - k) / (1.0 - p))")
_row("_binom_cdf", "k n p", "0", None, "-beta_density(n - k, k + 1.0, 1.0 - p, p)")
_row("_binom_sf",  "k n p", "0", None, "beta_density(n - k, k + 1.0, 1.0 - p, p)")
_row("_binom_ppf", "q n p", "0", "0", "0")
_row("_binom_isf", "q n p", "0", "0", "0")
_row("_nbinom_pmf", "k n p", "0", "z * (digamma_rise(n, k) + log(p))",
     "z * (n / p - k / (1.0 - p))")
_row("_nbinom_cdf", "k n p", "0", "betainc_by_a(n, k + 1.0, p, 1.0 - p)",
     "beta_density(n, k + 1.0, p, 1.0 - p)", within=1e-12)
_row("_nbinom_sf",  "k n p", "0", "-betainc_by_a(n, k + 1.0, p, 1.0 - p)",
     "-beta_density(n, k + 1.0, p, 1.0 - p)", within=1e-12)
_row("_nbinom_ppf", "q n p", "0", "0", "0")
_row("_nbinom_isf", "q n p", "0", "0", "0")
_row("_hypergeom_pmf", "k n r m", "0", None, None, None)
_row("_hypergeom_cdf", "k n r m", "0", None, None, None)
_row("_hypergeom_sf",  "k n r m", "0", None, None, None)

# --- moments --------------------------------------------------------------------------------
_row("_nbinom_mean",     "n p", "z / n", "-n / (p * p)")
_row("_nbinom_variance", "n p", "z / n", "n * (p - 2.0) / (p * p * p)")
_row("_nbinom_skewness", "n p", "-0.5 * z / n", "z * (0.5 / (1.0 - p) - 1.0 / (2.0 - p))")
_row("_nbinom_kurtosis_excess", "n p", "-z / n",
     "(2.0 * p * (1.0 - p) + p * p) / (n * (1.0 - p) * (1.0 - p))")
_row("_ncf_mean", "n d nc", "-nc * d / (n * n * (d - 2.0))",
     "-2.0 * (n + nc) / (n * (d - 2.0) * (d - 2.0))", "d / (n * (d - 2.0))")
_row("_ncf_variance", "n d nc", "z * ((2.0 * (n + nc) + d - 2.0) / q - 2.0 / n)",
     "z * (2.0 / d + (n + 2.0 * nc) / q - 2.0 / (d - 2.0) - 1.0 / (d - 4.0))",
     "2.0 * z * (n + nc + d - 2.0) / q", q="square(n + nc) + (n + 2.0 * nc) * (d - 2.0)")
_row("_nct_mean", "df nc", "0.5 * z * (1.0 / df - digamma_rise(0.5 * df - 0.5, 0.5))",
     "sqrt(0.5 * df) / poch(0.5 * df - 0.5, 0.5)")
_row("_nct_variance", "df nc", "-2.0 * (1.0 + nc * nc) / square(df - 2.0) - "
     "nc * nc * q * (1.0 / df - digamma_rise(0.5 * df - 0.5, 0.5))",
     "2.0 * nc * (df / (df - 2.0) - q)", within=1e-11,
     q="0.5 * df / square(poch(0.5 * df - 0.5, 0.5))")

# --- other distributions --------------------------------------------------------------------
_row("_cauchy_ppf", "p m s", "c * c * s * PI", "1", "(z - m) / s", c="1.0 / sin(PI * p)")
_row("_cauchy_isf", "p m s", "-c * c * s * PI", "1", "(z - m) / s", c="1.0 / sin(PI * p)")
_row("_cosine_cdf", "x", "where((x < PI) * (x > -PI), (1.0 + cos(x)) / (2.0 * PI), 0.0)")
_row("_cosine_invcdf", "p", "2.0 * PI / (1.0 + cos(z))")
_row("_landau_pdf", "x m s", None, None, None)
_row("_landau_cdf", "x m s", "f", "-f", "-f * ((x - m) / s + 2.0 / PI)", f="_landau_pdf(x, m, s)")
_row("_landau_sf",  "x m s", "-f", "f", "f * ((x - m) / s + 2.0 / PI)", f="_landau_pdf(x, m, s)")
_row("_landau_ppf", "p m s", "1.0 / _landau_pdf(z, m, s)", "1", "(z - m) / s + 2.0 / PI")
_row("_landau_isf", "p m s", "-1.0 / _landau_pdf(z, m, s)", "1", "(z - m) / s + 2.0 / PI")
_row("owens_t", "h a", "-0.5 * exp(-0.5 * h * h) * erf(a * h * SQRT_HALF) * ONE_OVER_SQRT_2PI",
     "exp(-0.5 * h * h * q) / (2.0 * PI * q)", q="1.0 + a * a")
_row("_skewnorm_cdf", "x m s a", "f", "-f", "-f * u", "-exp(-0.5 * u * u * q) / (PI * q)",
     u="(x - m) / s", q="1.0 + a * a",
     f="2.0 / s * exp(-0.5 * u * u) * ONE_OVER_SQRT_2PI * ndtr(a * u)")
_row("_skewnorm_ppf", "p m s a", "1.0 / f", "1", "u", "exp(-0.5 * u * u * q) / (PI * q * f)",
     u="(z - m) / s", q="1.0 + a * a",
     f="2.0 / s * exp(-0.5 * u * u) * ONE_OVER_SQRT_2PI * ndtr(a * u)")
_row("_skewnorm_isf", "p m s a", "-1.0 / f", "1", "u", "exp(-0.5 * u * u * q) / (PI * q * f)",
     u="(z - m) / s", q="1.0 + a * a",
     f="2.0 / s * exp(-0.5 * u * u) * ONE_OVER_SQRT_2PI * ndtr(a * u)")
_row("_invgauss_ppf", "p m s", "1.0 / f",
     "2.0 * s / (m * m) * exp(2.0 * s / m + log_ndtr(-sqrt(s / z) * (z / m + 1.0))) / f", None,
     d="z - m", f="sqrt(0.5 * s / (PI * z * z * z)) * exp(-0.5 * s * d * d / (m * m * z))")
_row("_invgauss_isf", "p m s", "-1.0 / f",
     "2.0 * s / (m * m) * exp(2.0 * s / m + log_ndtr(-sqrt(s / z) * (z / m + 1.0))) / f", None,
     d="z - m", f="sqrt(0.5 * s / (PI * z * z * z)) * exp(-0.5 * s * d * d / (m * m * z))")
_row("chndtr",  "x df nc", "_ncx2_pdf(x, df, nc)", None, "-_ncx2_pdf(x, df + 2.0, nc)",
     within=1e-11)
_row("_ncx2_sf", "x df nc", "-_ncx2_pdf(x, df, nc)", None, "_ncx2_pdf(x, df + 2.0, nc)",
     within=1e-11)
_row("chndtrix", "p df nc", "1.0 / f", None, "_ncx2_pdf(z, df + 2.0, nc) / f", within=1e-9,
     f="_ncx2_pdf(z, df, nc)")
_row("_ncx2_isf", "p df nc", "-1.0 / f", None, "_ncx2_pdf(z, df + 2.0, nc) / f", within=1e-9,
     f="_ncx2_pdf(z, df, nc)")
_row("_ncx2_pdf", "x df nc",
     "0.5 * ((nc * _ncx2_pdf(x, df + 2.0, nc) + (df - 2.0) * z) / x - z)", None,
     "0.5 * (_ncx2_pdf(x, df + 2.0, nc) - z)", within=1e-11)
_row("ncfdtr", "n d nc x", None, None, "0.5 * (ncfdtr(n + 2.0, d, nc, n * x / (n + 2.0)) - z)",
     "_ncf_pdf(x, n, d, nc)", within=1e-11)
_row("_ncf_sf", "x n d nc", "-_ncf_pdf(x, n, d, nc)", None, None,
     "0.5 * (_ncf_sf(n * x / (n + 2.0), n + 2.0, d, nc) - z)", within=1e-11)
_row("ncfdtri", "n d nc p", None, None,
     "-0.5 * (ncfdtr(n + 2.0, d, nc, n * z / (n + 2.0)) - p) / f", "1.0 / f", within=1e-8,
     f="_ncf_pdf(z, n, d, nc)")
_row("_ncf_isf", "p n d nc", "-1.0 / f", None, None,
     "0.5 * (_ncf_sf(n * z / (n + 2.0), n + 2.0, d, nc) - p) / f", within=1e-8,
     f="_ncf_pdf(z, n, d, nc)")
_row("_ncf_pdf", "x n d nc", None, None, None,
     "0.5 * (n / (n + 2.0) * _ncf_pdf(n * x / (n + 2.0), n + 2.0, d, nc) - z)", within=1e-11)
_row("nctdtr",   "df nc t", None, None, "_nct_pdf(t, df, nc)", within=1e-11)
_row("_nct_sf",  "t df nc", "-_nct_pdf(t, df, nc)", None, None, within=1e-11)
_row("nctdtrit", "df nc p", None, None, "1.0 / _nct_pdf(z, df, nc)", within=1e-8)
_row("_nct_isf", "p df nc", "-1.0 / _nct_pdf(z, df, nc)", None, None, within=1e-8)
_row("_nct_pdf", "t df nc", None, None, None)
_row("ndtri_exp", "y", "SQRT_HALF_PI * erfcx(-SQRT_HALF * z)")
_row("tklmbda", "x l", "d", "-d * (m * m * exponential_moment(1.0, l * m) - "
     "n * n * exponential_moment(1.0, l * n))", within=1e-11,
     m="log(q)", n="log1p(-q)", q="where((z > 0.0) * (z < 1.0), z, 0.5)",
     d="where((z > 0.0) * (z < 1.0), 1.0 / (q ** (l - 1.0) + (1.0 - q) ** (l - 1.0)), 0.0)")
_row("kolmogorov", "x", "_kolmogp(x)")
_row("_kolmogc",   "x", "-_kolmogp(x)")
_row("kolmogi",    "p", "1.0 / _kolmogp(z)")
_row("_kolmogci",  "p", "-1.0 / _kolmogp(z)")
_row("_kolmogp",   "x", None)
_row("smirnov",    "n d", None, "_smirnovp(n, d)")
_row("_smirnovc",  "n d", None, "-_smirnovp(n, d)")
_row("smirnovi",   "n p", None, "1.0 / _smirnovp(n, z)")
_row("_smirnovci", "n p", None, "-1.0 / _smirnovp(n, z)")
_row("_smirnovp",  "n d", None, None)
_row("_log1mexp", "x", "-1.0 / expm1(-x)")

# --- Bessel functions -----------------------------------------------------------------------
_row("j0", "x", "-j1(x)")
_row("j1", "x", "0.5 * (j0(x) - jv(2.0, x))")
_row("jv", "v x", None, "0.5 * (jv(v - 1.0, x) - jv(v + 1.0, x))")
_row("y0", "x", "-y1(x)")
_row("y1", "x", "0.5 * (y0(x) - yv(2.0, x))")
_row("yv", "v x", None, "0.5 * (yv(v - 1.0, x) - yv(v + 1.0, x))")
_row("yn", "n x", None, "0.5 * (yv(n - 1.0, x) - yv(n + 1.0, x))")
_row("iv", "v x", None, "0.5 * (iv(v - 1.0, x) + iv(v + 1.0, x))")
_row("ive", "v x", None, "0.5 * (ive(v - 1.0, x) + ive(v + 1.0, x)) - sign(x) * z",
     within=1e-12)
_row("k0", "x", "-k1(x)")
_row("k1", "x", "-k0(x) - z / x")
_row("k0e", "x", "z - k1e(x)", within=1e-12)
_row("k1e", "x", "z - k0e(x) - z / x", within=1e-12)
_row("kn", "n x", None, "-0.5 * (kv(n - 1.0, x) + kv(n + 1.0, x))")
_row("kv", "v x", "exp(-x) * kve_moment(1.0, v, x)", "-0.5 * (kv(v - 1.0, x) + kv(v + 1.0, x))")
_row("kve", "v x", "kve_moment(1.0, v, x)", "z - 0.5 * (kve(v - 1.0, x) + kve(v + 1.0, x))",
     within=1e-12)

# --- hypergeometric and elliptic functions, integrals ---------------------------------------
_row("hyp0f1", "b x", None, "hyp0f1(b + 1.0, x) / b")
_row("hyp1f1", "a b x", None, None, "a / b * hyp1f1(a + 1.0, b + 1.0, x)", within=1e-11)
_row("hyp2f1", "a b c x", None, None, None,
     "a * b / c * hyp2f1(a + 1.0, b + 1.0, c + 1.0, x)", within=1e-11)
_row("hyperu", "a b x", None, None, "-a * hyperu(a + 1.0, b + 1.0, x)", within=1e-11)
_row("ellipk", "m", "ellipk_slope(m)")
_row("ellipe", "m", "ellipe_slope(m)")
_row("ellipkinc", "phi m", "1.0 / sqrt(1.0 - m * square(sin(phi)))", None)
_row("ellipeinc", "phi m", "sqrt(1.0 - m * square(sin(phi)))", None)
_row("exp1", "x", "-exp(-x) / x")
_row("expi", "x", "exp(x) / x")
_row("expn", "n x", None, "where(n > 0.5, -expn(maximum(n - 1.0, 0.0), x), -z * (1.0 + 1.0 / x))")
_row("erfi", "x", "TWO_OVER_SQRT_PI * exp(x * x)")
_row("dawsn", "x", "HALF_SQRT_PI * wofz_slope_imaginary(x, 0.0)")
_row("voigt_profile", "x s g", "k / s * wofz_slope_real(u, v)",
     "-(z + k * (u * wofz_slope_real(u, v) - v * wofz_slope_imaginary(u, v)) * SQRT_2)"
     " / s", "-k / s * wofz_slope_imaginary(u, v)",
     u="SQRT_HALF * x / s", v="SQRT_HALF * g / s", k="0.25 * TWO_OVER_SQRT_PI / s")
_row("spence", "x", "-1.0 / exprel(log(x))")
_part("real_lambertw", "x k tol", "exp(-z) / (1.0 + z)", "0", "0")
_row("wrightomega", "x", "z / (1.0 + z)")

# --- gamma and zeta, powers -----------------------------------------------------------------
_row("rgamma", "x", "where(x < 0.5, cos(PI * x) * gamma(r) - sin(PI * x) / PI * gamma(r) * psi(r),"
     " -z * psi(maximum(x, 0.5)))", r="1.0 - minimum(x, 0.5)")
_row("poch", "a m", "z * digamma_rise(a, m)", "z * psi(a + m)")
_row("binom", "n k", "z * digamma_rise(n - k + 1.0, k)", "z * (psi(n - k + 1.0) - psi(k + 1.0))")
_row("_zeta", "s q", "zeta_by_order(s, q)", "-s * _zeta(s + 1.0, q)")
_row("_riemann_zeta", "s", "zeta_by_order(s, 1.0)")
_row("_gen_harmonic", "n a", None, "z * harmonic_slope(1.0, n, a)")
_row("_normalized_gen_harmonic", "j k n a", None, None, None,
     "z * (harmonic_slope(j, k, a) - harmonic_slope(1.0, n, a))")
_row("powm1", "x y", "y * x ** (y - 1.0)", "xlogy(x ** y, x)")
_row("boxcox1p", "x l", "exp((l - 1.0) * L)", "L * L * exponential_moment(1.0, l * L)",
     L="log1p(x)")
_row("inv_boxcox1p", "y l", "(1.0 + z) / (1.0 + l * y)",
     "-(1.0 + z) / (1.0 + l * y) * L * L * exponential_moment(1.0, l * L)", L="log1p(z)")
# fmt: on


def documentation() -> str:
    """Return the table as aligned text, one function a line.

    Examples
    --------
    >>> from tapegrad.special_table import documentation
    >>> print(documentation().splitlines()[0])
    function                              partials' accuracy  partials
    """
    header = ("function", "partials' accuracy", "partials")
    rows = [
        (
            f"{row.name}({', '.join(row.operands)})",
            f"{row.within:g}",
            "; ".join([", ".join(text or "no rule" for text in row.partials),
                       *(f"{name} = {text}" for name, text in row.where.items())]),
        )
        for row in FUNCTIONS.values()
    ]  # fmt: skip
    return aligned([header, *rows])
